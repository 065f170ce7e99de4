/* Copies an address to the clipboard. Without this script it can be selected, and the button stays hidden. */

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
  const status = button.parentElement.querySelector("[role=status]");
  select(source);
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
    status.textContent = button.dataset.copied;
  } catch {
    // No clipboard without https: what is selected is copied the old way, or by the reader.
    status.textContent = document.execCommand("copy") ? button.dataset.copied : button.dataset.failed;
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
