/* How does an address get into the clipboard? Without this script it can be selected; the button shows itself with it. */

"use strict";

function select(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  const selection = window.getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  const told = button.parentElement.querySelector("[role=status]");
  select(source);
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
    told.textContent = button.dataset.copied;
  } catch {
    // No clipboard without https: what is selected is copied the old way, or by the reader.
    told.textContent = document.execCommand("copy") ? button.dataset.copied : button.dataset.failed;
  }
}

document.addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
  const expires = document.getElementById("id_expires");
  const hours = document.querySelector(".field-hours");
  if (expires && hours) {
    const show = () => { hours.hidden = expires.value !== "other"; };
    expires.addEventListener("change", show);
    show();
  }
});
