// The matrix: a grid that the arrow keys move in.

const SYMBOLS = { pass: "✓", skip: "–", known: "≈", fail: "✗", error: "!", caught: "✗" };

/** What the colours and the signs of the matrix mean. */
function renderLegend() {
  const kinds = data.outcomes.flatMap(({ name, tone }) => [
    element("span", { className: "sign " + tone, ariaHidden: "true" }, SYMBOLS[tone]), ` ${name}  `,
  ]);
  byId("legend").replaceChildren(...kinds);
  byId("cells").textContent = data.cells_say;
}

function renderMatrix(cells) {
  const used = new Set(cells.map((cell) => at(cell, COLUMN)));
  const columns = data.order.filter((column) => used.has(column));
  const groups = [...grouped(cells, (cell) => data.rows[at(cell, ROW)][0])]
    .sort(([a], [b]) => text(a) < text(b) ? -1 : 1);
  const body = element("tbody", {});
  for (const [group, of] of groups) {
    body.append(groupRow(group, of, columns));
    if (shown.open.has(group)) body.append(...caseRows(of, columns));
  }
  const table = element("table", { role: "grid" }, element("thead", {}, heads(columns)), body);
  table.setAttribute("aria-labelledby", "matrix-title");
  table.addEventListener("keydown", moved);
  table.addEventListener("click", (event) => {
    const target = event.target.closest("[data-grid]");
    if (target) activate(target);
  });
  byId("matrix").replaceChildren(groups.length === 0 ? element("p", { className: "hint" }, "Nothing is left by the filters.") : table);
  const first = table.querySelector("[data-grid]");
  if (first) first.tabIndex = 0;
}

function firstOf(columns, index) {
  return index === 0 || data.columns[columns[index]][0] !== data.columns[columns[index - 1]][0];
}

function heads(columns) {
  return element("tr", {}, element("th", { className: "row", scope: "col" }, data.heads), ...columns.map((column, index) => {
    const [over, name] = data.columns[column].map(text);
    const words = element("span", {}, element("span", { className: "over" }, over), name === "" ? "" : " " + name);
    return element("th", { scope: "col", className: firstOf(columns, index) ? "first" : "" }, words);
  }));
}

function groupRow(group, of, columns) {
  const open = shown.open.has(group);
  const button = element("button", { type: "button", tabIndex: -1 }, `${open ? "▾" : "▸"} ${text(group) || data.everything}`);
  button.dataset.grid = "group";
  button.dataset.group = group;
  button.setAttribute("aria-expanded", String(open));
  return element("tr", { className: "group" }, element("th", { className: "row", scope: "row" }, button),
    ...cellsOf(text(group) || data.everything, of, columns));
}

function caseRows(of, columns) {
  return sortedRows(of).map((row) => element("tr", { className: "case" },
    element("th", { className: "row", scope: "row" }, rowName(row[0])), ...cellsOf(rowName(row[0]), row, columns)));
}

function cellsOf(name, of, columns) {
  const each = grouped(of, (cell) => at(cell, COLUMN));
  return columns.map((column, index) => {
    const cells = each.get(column);
    const edge = firstOf(columns, index) ? " first" : "";
    if (cells === undefined) return element("td", { className: edge });
    const outcome = data.outcomes[worst(cells)];
    const bad = cells.filter((cell) => at(cell, OUTCOME) === worst(cells));
    const number = bad.reduce((sum, cell) => sum + at(cell, NUMBER), 0);
    const words = !["pass", "skip"].includes(outcome.tone) && number > 1 ? String(number) : SYMBOLS[outcome.tone];
    const made = element("td", { className: `cell ${outcome.tone}${edge}`, tabIndex: -1 }, words);
    made.dataset.grid = "cells";
    made.cells = cells;
    const label = [name, ...data.columns[column].map(text)].filter((part) => part !== "").join(" ");
    made.setAttribute("aria-label", `${label}: ${number} ${outcome.name}`);
    made.title = made.getAttribute("aria-label");
    return made;
  });
}

function activate(target) {
  focusCell(target);
  if (target.dataset.grid === "cells") {
    const { cells } = target;
    if (cells.length === 1) openDetail(cells, 0);
    else openCells(target.getAttribute("aria-label"), worstFirst(cells));
    return;
  }
  const group = Number(target.dataset.group);
  if (!shown.open.delete(group)) shown.open.add(group);
  render();
  focusCell(document.querySelector(`[data-group="${group}"]`));
}

function focusCell(target) {
  for (const one of byId("matrix").querySelectorAll('[tabindex="0"]')) one.tabIndex = -1;
  target.tabIndex = 0;
  target.focus();
}

const STEPS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };

function moved(event) {
  const target = event.target.closest("[data-grid]");
  if (!target) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    activate(target);
    return;
  }
  const step = STEPS[event.key];
  if (!step) return;
  event.preventDefault();
  const place = target.closest("td, th");
  const next = nextCell(place.closest("table"), place.parentElement.rowIndex, place.cellIndex, step);
  if (next) focusCell(next);
}

/** The next thing in a direction that can be opened; what is empty is passed over. */
function nextCell(table, row, column, [down, right]) {
  for (;;) {
    row += down;
    column += right;
    const place = table.rows[row]?.cells[column];
    if (!place) return null;
    const found = place.matches("[data-grid]") ? place : place.querySelector("[data-grid]");
    if (found) return found;
  }
}
