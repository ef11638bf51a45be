"use strict";
(() => {
const byId = (id) => document.getElementById(id);
const boards = [...document.querySelectorAll(".board")];
const tabs = [...document.querySelectorAll(".tabs a")];

/** The protocol that the address names; else the first that has rows. */
function choose() {
  const named = boards.find((board) => `#${board.id}` === decodeURIComponent(location.hash));
  const shown = named ?? boards.find((board) => board.querySelector("tbody tr")) ?? boards[0];
  for (const board of boards) board.hidden = board !== shown;
  for (const tab of tabs) {
    if (tab.hash === `#${shown.id}`) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  filter();
}

function filter() {
  const track = byId("track").value;
  const most = (name) => (byId(name).value === "" ? Infinity : Number(byId(name).value));
  const [state, operations] = [most("state"), most("operations")];
  for (const board of boards) {
    const rows = [...board.querySelectorAll("tbody tr")];
    for (const row of rows) {
      const { dataset } = row;
      row.hidden = (track !== "" && dataset.track !== track)
        || Number(dataset.state) > state || Number(dataset.operations) > operations;
    }
    const kept = rows.filter((row) => !row.hidden).length;
    const nothing = board.querySelector(".nothing");
    if (nothing) nothing.hidden = kept > 0;
    if (!board.hidden) byId("shown").textContent = `${kept} of ${rows.length} cells`;
  }
}

byId("filters").hidden = false;
for (const id of ["track", "state", "operations"]) byId(id).addEventListener("input", filter);
addEventListener("hashchange", choose);
choose();
})();
