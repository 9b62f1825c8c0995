// Tables: sorted by a click on a heading, filtered by words, and all columns on demand.
"use strict";

document.documentElement.classList.add("js");
const FILTER_FROM = 8; // rows
const NUMBER = /^[+−-]?[\d,]*\.?\d+/;

/** What a cell is sorted by: its number, or its text. */
function valueOf(row, place) {
  const cell = row.cells[place];
  if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
  const text = cell.firstChild ? cell.firstChild.textContent.trim() : "";
  const seen = text.match(NUMBER);
  return seen ? Number(seen[0].replace(/,/g, "").replace("−", "-")) : text === "–" ? "" : text.toLowerCase();
}

/** Below zero if a comes first; what has no value stands last, whichever way. */
function order(a, b, sign) {
  if (a === "" || b === "") return (a === "") - (b === "");
  if (typeof a === typeof b) return sign * (typeof a === "number" ? a - b : a.localeCompare(b));
  return typeof a === "number" ? -1 : 1;
}

function sort(table, place) {
  const heads = [...table.tHead.rows[0].cells];
  const head = heads[place];
  const isFigure = !head.classList.contains("left") && place > 0;
  const before = head.getAttribute("aria-sort");
  const way = before ? (before === "ascending" ? "descending" : "ascending") : isFigure ? "descending" : "ascending";
  heads.forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", way);
  const sign = way === "ascending" ? 1 : -1;
  for (const body of table.tBodies) {
    const rows = [...body.rows].map((row) => [valueOf(row, place), row]);
    rows.sort((a, b) => order(a[0], b[0], sign));
    body.append(...rows.map((pair) => pair[1]));
  }
}

function button(words, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.append(...words);
  made.addEventListener("click", act);
  return made;
}

function addFilter(tools, table) {
  const count = document.createElement("span");
  count.setAttribute("aria-live", "polite");
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "filter rows";
  field.setAttribute("aria-label", "filter rows");
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    const shown = rows.filter((row) => !row.hidden).length;
    count.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
  });
  tools.append(field, count);
}

function addColumns(tools, box) {
  const folds = box.dataset.folds.split(" ").filter(Boolean);
  if (!folds.length) return;
  const toggle = button(["all columns"], () => {
    const isAll = box.classList.toggle("all");
    toggle.setAttribute("aria-pressed", isAll);
    toggle.textContent = isAll ? "fewer columns" : "all columns";
  });
  toggle.setAttribute("aria-pressed", "false");
  if (!folds.includes("fold")) toggle.classList.add("only-narrow");
  tools.append(toggle);
}

for (const box of document.querySelectorAll(".table")) {
  const table = box.querySelector("table");
  const tools = document.createElement("div");
  tools.className = "tools";
  if (Number(box.dataset.rows) >= FILTER_FROM) addFilter(tools, table);
  addColumns(tools, box);
  if (tools.childElementCount) box.prepend(tools);
  if (Number(box.dataset.rows) < 2) continue;
  [...table.tHead.rows[0].cells].forEach((head, place) => {
    head.replaceChildren(button([...head.childNodes], () => sort(table, place)));
  });
}

// One list of pages is open at a time; it closes on a click beside it and with Escape.
const menus = [...document.querySelectorAll("details.menu")];
addEventListener("click", (event) => menus.forEach((menu) => menu.contains(event.target) || (menu.open = false)));
addEventListener("keydown", (event) => event.key === "Escape" && menus.forEach((menu) => (menu.open = false)));
// On paper nothing is folded.
addEventListener("beforeprint", () => document.querySelectorAll("main details").forEach((part) => (part.open = true)));
