"use strict";
const body = document.querySelector("tbody");
const rows = [...body.rows];
const text = rows.map(row => row.textContent.toLowerCase());
function show() {
  const wanted = document.getElementById("find").value.toLowerCase();
  const status = document.getElementById("status").value;
  let count = 0;
  rows.forEach((row, n) => {
    row.hidden = !text[n].includes(wanted) || (status && row.cells[2].textContent !== status);
    count += !row.hidden;
  });
  document.getElementById("shown").textContent = count + " shown";
}
document.getElementById("find").addEventListener("input", show);
document.getElementById("status").addEventListener("change", show);
document.querySelectorAll("thead button").forEach(button => button.addEventListener("click", () => {
  const head = button.parentElement, column = head.cellIndex;
  const down = head.getAttribute("aria-sort") === "ascending";
  document.querySelectorAll("thead th").forEach(th => th.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = row => row.cells[column].dataset.v ?? row.cells[column].textContent;
  const order = new Intl.Collator(undefined, { numeric: true }).compare;
  const sorted = [...rows].sort((a, b) => row_order(value(a), value(b), order) * (down ? -1 : 1));
  body.append(...sorted);
}));
function row_order(a, b, order) {
  const x = Number(a), y = Number(b);
  return Number.isFinite(x) && Number.isFinite(y) && a !== "" && b !== "" ? x - y : order(a, b);
}
show();
document.documentElement.dataset.ready = "true";
