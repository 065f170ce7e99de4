// Sends the follower's actions without leaving the page, and fetches updates every second.
// Without this file the page works too: its forms are submitted, and the page is loaded again.
"use strict";
(() => {
  const phone = document.querySelector("[data-news]");
  if (!phone) return;
  const lines = phone.querySelector(".lines");
  const foot = phone.querySelector(".foot");
  const wrong = phone.querySelector(".wrong");
  const exchange = document.querySelector(".entries");
  let asking = null;
  let timer = 0;

  function show(html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content;
  }

  function complain(message) {
    wrong.textContent = message;
    wrong.hidden = !message;
  }

  // After following or a new grant, the text that is being typed is kept.
  function replaceFoot(news) {
    const hadFocus = foot.contains(document.activeElement) || document.activeElement === document.body;
    const typed = foot.querySelector("#content")?.value ?? "";
    foot.replaceChildren(show(news.html));
    foot.dataset.mark = news.mark;
    const content = foot.querySelector("#content");
    if (content) content.value = typed;
    if (hadFocus) (content ?? foot.querySelector("button"))?.focus();
  }

  function replaceEntry(old, fresh) {
    const open = [...old.querySelectorAll("details")].map((details) => details.open);
    fresh.querySelectorAll("details").forEach((details, number) => { details.open = open[number] ?? false; });
    const focused = [...old.querySelectorAll("summary")].indexOf(document.activeElement);
    old.replaceWith(fresh);
    fresh.querySelectorAll("summary")[focused]?.focus();
  }

  function updateExchange(news) {
    const kept = new Set();
    let above = null;
    for (const html of news.entries) {
      const fresh = show(html).firstElementChild;
      const old = document.getElementById(fresh.id);
      kept.add(fresh.id);
      if (!old && above) above.after(fresh);
      else if (!old) {
        // The newest entry is open; the previous one closes, unless it has the focus.
        const newest = exchange.firstElementChild;
        if (newest && !newest.contains(document.activeElement)) newest.querySelector("details").open = false;
        exchange.prepend(fresh);
      }
      else if (old.dataset.mark !== fresh.dataset.mark) replaceEntry(old, fresh);
      above = document.getElementById(fresh.id);
    }
    for (const entry of [...exchange.children]) if (!kept.has(entry.id)) entry.remove();
    exchange.dataset.mark = news.mark;
  }

  async function fetchNews() {
    const query = new URLSearchParams({
      after: phone.dataset.after, foot: foot.dataset.mark, exchange: exchange.dataset.mark,
    });
    const answer = await fetch(`${phone.dataset.news}&${query}`);
    if (!answer.ok) return;
    const news = await answer.json();
    // The simulator was restarted, and its numbers begin at 1.
    if (news.after < Number(phone.dataset.after)) location.reload();
    phone.dataset.after = news.after;
    if (news.lines) lines.append(show(news.lines));
    if (news.foot) replaceFoot(news.foot);
    if (news.exchange) updateExchange(news.exchange);
  }

  // One request at a time: two answers to the same one would add every line twice.
  async function ask() {
    clearTimeout(timer);
    asking ??= fetchNews().catch(() => {}).finally(() => { asking = null; });
    await asking;
    clearTimeout(timer);
    timer = setTimeout(ask, document.hidden ? 5000 : 1000);
  }

  function closePanels(except) {
    for (const details of phone.querySelectorAll("details[open]")) if (details !== except) details.open = false;
  }

  phone.addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target;
    const body = new FormData(form);
    if (event.submitter?.name) body.append(event.submitter.name, event.submitter.value);
    const content = form.querySelector("#content");
    const typed = content?.value;
    if (content) content.value = "";
    const panel = (event.submitter ?? form).closest("details");
    if (panel) {
      panel.open = false;
      panel.querySelector("summary").focus();
    }
    complain("");
    try {
      const sent = fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
      // Display the sent message at once; the answer may be late.
      setTimeout(ask, 50);
      setTimeout(ask, 300);
      const result = await (await sent).json();
      if (result.wrong) throw new Error(result.wrong);
      if (form.matches(".own, .typed")) form.reset();
    } catch (error) {
      if (content && !content.value) content.value = typed;
      complain(error instanceof TypeError || error instanceof SyntaxError ? phone.dataset.notSent : error.message);
    }
    await asking;
    ask();
  });

  phone.addEventListener("toggle", (event) => { if (event.target.open) closePanels(event.target); }, true);
  phone.addEventListener("keydown", (event) => {
    const panel = event.target.closest("details[open]");
    if (event.key !== "Escape" || !panel) return;
    panel.open = false;
    panel.querySelector("summary").focus();
  });
  document.addEventListener("click", (event) => { if (!event.target.closest("details")) closePanels(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
  timer = setTimeout(ask, 1000);
})();
