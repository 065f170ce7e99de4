/* Keeps the page of a bulk action up to date. Only what has changed is replaced, so that the reader keeps the place, and
   a screen reader announces each tenth and the end. */
"use strict";
{
  const page = document.querySelector("[data-progress]");
  const spoken = page.querySelector("[role=status]");
  const bar = page.querySelector("progress");
  const EVERY = 1500;
  const AFTER_ERROR = 5000;
  let tenth = -1;

  page.querySelector(".wechat-open-reload").hidden = true;

  const announce = (text) => {
    if (text && spoken.textContent !== text) {
      spoken.textContent = text;
    }
  };

  const show = (name, text) => {
    for (const place of page.querySelectorAll(`[data-show="${name}"]`)) {
      if (place.textContent !== text) {
        place.textContent = text;
      }
      if (place.hasAttribute("data-tone") === false && place.tagName === "P") {
        place.hidden = !text;
      }
    }
  };

  /* The groups of failures come as the site made them; those that are open stay open. */
  const showFailures = (html) => {
    const old = page.querySelector("[data-part=groups]");
    const fresh = new DOMParser().parseFromString(html, "text/html").querySelector("[data-part=groups]");
    page.querySelector("[data-part=failures]").hidden = !fresh.querySelector("[data-reason]");
    for (const details of old.querySelectorAll("[data-reason] details[open]")) {
      const reason = details.closest("[data-reason]").dataset.reason;
      const same = fresh.querySelector(`[data-reason="${CSS.escape(reason)}"] details`);
      if (same) {
        same.open = true;
      }
    }
    if (old.innerHTML === fresh.innerHTML) {
      return;
    }
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const group = focused && focused.closest("[data-reason]");
    old.replaceWith(fresh);
    if (group) {
      const same = fresh.querySelector(`[data-reason="${CSS.escape(group.dataset.reason)}"] ${focused.localName}`);
      (same || page).focus({ preventScroll: true });
    }
  };

  const draw = (facts) => {
    bar.max = facts.total || 1;
    bar.value = facts.position;
    for (const name of ["state", "left", "rows", "done", "failed", "reason", "hint", "finished_at"]) {
      show(name, facts[name]);
    }
    const state = page.querySelector("[data-tone]");
    state.className = `wechat-open-tag wechat-open-${facts.tone}`;
    showFailures(facts.failures);
    const visible = { open: !facts.finished && !facts.stopping, stopped: facts.stopped, finished: facts.finished };
    for (const part of page.querySelectorAll("[data-while]")) {
      part.hidden = !visible[part.dataset.while];
    }
    const now = Math.floor((10 * facts.position) / (facts.total || 1));
    if (now !== tenth || facts.finished) {
      tenth = now;
      announce(facts.spoken);
    }
  };

  const update = async () => {
    let pause = EVERY;
    try {
      const answer = await fetch(page.dataset.progress, { headers: { Accept: "application/json" }, cache: "no-store" });
      if (!answer.ok || answer.redirected) {
        throw new Error(answer.statusText);
      }
      const facts = await answer.json();
      draw(facts);
      if (facts.finished) {
        return;
      }
    } catch {
      announce(page.dataset.lost);
      pause = AFTER_ERROR;
    }
    setTimeout(update, pause);
  };

  if (page.dataset.finished === "no") {
    setTimeout(update, EVERY);
  }
}
