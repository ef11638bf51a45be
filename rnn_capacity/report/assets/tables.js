"use strict";
(() => { // tables that are sorted by the heads of their columns
const asNumber = (text) => parseFloat(text.replaceAll(",", "").replace("−", "-"));
const isNothing = (text) => text === "" || text === "–" || text === "-";

function sortBy(table, place, ascending) {
  const numeric = table.tHead.rows[0].cells[place].classList.contains("num");
  const said = (row) => row.cells[place].textContent.trim();
  const compare = (a, b) =>
    numeric ? asNumber(a) - asNumber(b) : a.localeCompare(b, "en", { numeric: true, sensitivity: "base" });
  const rows = [...table.tBodies[0].rows].sort((a, b) => {
    const [left, right] = [said(a), said(b)];
    if (isNothing(left) || isNothing(right)) return isNothing(left) - isNothing(right); // last, either way
    return ascending ? compare(left, right) : compare(right, left);
  });
  table.tBodies[0].append(...rows);
  for (const [i, cell] of [...table.tHead.rows[0].cells].entries()) {
    if (i === place) cell.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    else cell.removeAttribute("aria-sort");
  }
}
for (const button of document.querySelectorAll("table.sortable thead button")) {
  button.addEventListener("click", () => {
    const cell = button.closest("th");
    sortBy(button.closest("table"), cell.cellIndex, cell.getAttribute("aria-sort") !== "ascending");
  });
}
})();
