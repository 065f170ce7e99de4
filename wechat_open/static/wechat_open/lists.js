// Writes the title of its column to each cell: on a narrow screen a row is a card, without a head above it.

"use strict";

for (const table of document.querySelectorAll("#result_list")) {
  const titles = [...table.tHead.rows[0].cells].map((cell) => cell.querySelector(".text")?.textContent.trim() ?? "");
  for (const row of table.tBodies[0].rows) {
    [...row.cells].forEach((cell, place) => {
      cell.dataset.title = titles[place];
    });
  }
}
