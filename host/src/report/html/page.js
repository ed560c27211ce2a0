"use strict";
// The data: see page.rs, which writes it. Text is only ever put into the page as text.
const data = JSON.parse(document.getElementById("data").textContent);
const WIDTH = 7;
const COUNT = data.cells.length / WIDTH;
const SECTION = 0, ROW = 1, COLUMN = 2, OUTCOME = 3, DETAIL = 4, TIME = 5, NUMBER = 6;
const at = (cell, what) => data.cells[cell * WIDTH + what];
const text = (index) => data.strings[index];
const byId = (id) => document.getElementById(id);
const outcomeOf = (cell) => data.outcomes[at(cell, OUTCOME)];
const rowName = (cell) => text(data.rows[at(cell, ROW)][1]);
const FIRST_SHOWN = 12;

const shown = {
  section: 0, group: -1, text: "", outcomes: new Set(data.outcomes.keys()), open: new Set(), all: false,
};

/** An element with properties and children; a child that is a string becomes text. */
function element(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** What a cell is called: the scenario's id. */
function nameOf(cell) {
  const [over, column] = data.columns[at(cell, COLUMN)].map(text);
  return [rowName(cell), over, column].filter((part) => part !== "").join(data.joint);
}

/** In a shell's words. */
function quoted(word) {
  return /^[A-Za-z0-9_\/:@+=.,-]+$/.test(word) ? word : "'" + word.replaceAll("'", "'\\''") + "'";
}

function matches(cell) {
  const [group] = data.rows[at(cell, ROW)];
  return at(cell, SECTION) === shown.section && (shown.group < 0 || group === shown.group)
    && (shown.text === "" || nameOf(cell).toLowerCase().includes(shown.text));
}

/** The cells that the filters leave, and how many there are of each outcome before that filter. */
function selected() {
  const cells = [], counts = data.outcomes.map(() => 0);
  for (let cell = 0; cell < COUNT; cell += 1) {
    if (!matches(cell)) continue;
    counts[at(cell, OUTCOME)] += 1;
    if (shown.outcomes.has(at(cell, OUTCOME))) cells.push(cell);
  }
  return { cells, counts };
}

const worst = (cells) => cells.reduce((so, cell) => Math.max(so, at(cell, OUTCOME)), 0);
const worstFirst = (cells) => [...cells].sort((a, b) => at(b, OUTCOME) - at(a, OUTCOME));

/** Cells by what `key` gives for each, in the order in which a key is first met. */
function grouped(cells, key) {
  const groups = new Map();
  for (const cell of cells) {
    const name = key(cell);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(cell);
  }
  return groups;
}

/** Cells row by row, by the rows' names. */
function sortedRows(cells) {
  const rows = [...grouped(cells, (cell) => at(cell, ROW)).values()];
  return rows.sort((a, b) => rowName(a[0]) < rowName(b[0]) ? -1 : 1);
}

function render() {
  const { cells, counts } = selected();
  renderOutcomes(counts);
  renderAttention(cells);
  renderMatrix(cells);
  renderFacts();
}

function renderOutcomes(counts) {
  byId("outcomes").replaceChildren(...data.outcomes.map((outcome, index) => {
    const box = element("input", { type: "checkbox", checked: shown.outcomes.has(index), id: "outcome-" + outcome.name });
    box.addEventListener("change", () => {
      if (box.checked) shown.outcomes.add(index);
      else shown.outcomes.delete(index);
      render();
      byId("outcome-" + outcome.name).focus();
    });
    const label = element("label", { className: outcome.tone }, box, `${outcome.name} ${counts[index].toLocaleString("en")}`);
    label.hidden = counts[index] === 0;
    return label;
  }).reverse());
}

const counted = (cases) => `${cases.toLocaleString("en")} case${cases === 1 ? "" : "s"}`;

/** The list of cases that need attention, which is what a narrow screen shows best. */
function renderAttention(cells) {
  const bad = cells.filter((cell) => outcomeOf(cell).attention);
  const cases = sortedRows(bad);
  const most = shown.all ? cases.length : FIRST_SHOWN;
  byId("attention-title").textContent = cases.length === 0
    ? data.none : `${data.attention}: ${bad.length.toLocaleString("en")} in ${counted(cases.length)}`;
  byId("attention").replaceChildren(...cases.slice(0, most).map((of) => listed(of, worstFirst(of)[0], of.length)));
  const more = byId("attention-more");
  more.hidden = cases.length <= most;
  more.textContent = `Show all ${counted(cases.length)}`;
}

function badge(cell) {
  return element("span", { className: "badge " + outcomeOf(cell).tone }, outcomeOf(cell).name);
}

/** A button in a list: for one cell, or for several of a case. */
function listed(cells, cell, count) {
  const name = count === undefined ? nameOf(cell) : rowName(cell);
  const more = count > 1 ? ` × ${count.toLocaleString("en")}` : "";
  const summary = data.details[at(cell, DETAIL)].s;
  const button = element("button", { type: "button" }, badge(cell), more + " ", element("span", { className: "id" }, name),
    summary === undefined ? null : element("span", { className: "dim" }, text(summary)));
  button.addEventListener("click", () => {
    if (count === undefined) openDetail(cells, cells.indexOf(cell));
    else openCells(name, worstFirst(cells));
  });
  return element("li", {}, button);
}

// The matrix.

const SYMBOLS = { pass: "✓", skip: "–", known: "≈", fail: "✗", error: "!", caught: "✗" };

/** What the colours and the signs of the matrix mean. */
function renderLegend() {
  const kinds = data.outcomes.flatMap(({ name, tone }) => [
    element("span", { className: "sign " + tone, ariaHidden: "true" }, SYMBOLS[tone]), ` ${name}  `,
  ]);
  byId("legend").replaceChildren(...kinds, "A cell shows the worst of its results, and how many are so. Empty: there is no such scenario.");
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

// The dialog.

const dialog = byId("detail");
let list = null;
let opened = { cells: [], index: 0 };

function openCells(name, cells) {
  list = { name, cells };
  byId("detail-title").textContent = name;
  byId("detail-body").replaceChildren(element("ul", { className: "list" },
    ...cells.slice(0, 500).map((cell) => listed(cells, cell))),
    cells.length > 500 ? element("p", { className: "hint" }, `and ${cells.length - 500} more: use the filters`) : "");
  for (const id of ["back", "previous", "next"]) byId(id).hidden = true;
  show();
}

function openDetail(cells, index) {
  if (list && list.cells !== cells) list = null;
  opened = { cells, index };
  const cell = cells[index], detail = data.details[at(cell, DETAIL)];
  byId("detail-title").textContent = nameOf(cell);
  byId("back").hidden = list === null;
  byId("previous").hidden = index === 0;
  byId("next").hidden = index + 1 >= cells.length;
  byId("detail-body").replaceChildren(
    element("p", {}, badge(cell), ` on ${data.sections[at(cell, SECTION)].name}${time(cell)}`),
    ...(detail.f || []).map((frame) => frameTable(data.frames[frame])),
    ...(detail.d ? [element("h3", {}, "Fields that differ"), values(detail.d)] : []),
    words(detail.t || []), ...command(cell, detail));
  show();
}

function time(cell) {
  const microseconds = at(cell, TIME);
  return microseconds < 0 ? "" : `, in ${(microseconds / 1000).toLocaleString("en", { maximumFractionDigits: 1 })} ms`;
}

function words(pairs) {
  const parts = pairs.flatMap(([label, what]) => [element("dt", {}, text(label)), element("dd", {}, text(what))]);
  return element("dl", {}, ...parts);
}

function frameTable([title, ...flat]) {
  const rows = [];
  for (let index = 0; index < flat.length; index += 3) rows.push(flat.slice(index, index + 3));
  return element("div", {}, element("h3", {}, text(title)), values(rows));
}

/** A table of fields: expected is -1 where it is what was got. */
function values(rows) {
  const row = ([field, expected, got]) => expected < 0
    ? element("tr", {}, element("th", { scope: "row" }, text(field)), element("td", { colSpan: 2 }, text(got)))
    : element("tr", { className: "differs" }, element("th", { scope: "row" }, text(field)),
      element("td", { "data-is": "expected" }, text(expected)),
      element("td", { className: "got", "data-is": "got" }, text(got)));
  const head = element("thead", {}, element("tr", {}, ...["Field", "Expected", "Got"].map((name) => element("th", { scope: "col" }, name))));
  return element("table", { className: "values" }, head, element("tbody", {}, ...rows.map(row)));
}

function command(cell, detail) {
  const options = data.sections[at(cell, SECTION)].options;
  const line = detail.c !== undefined ? text(detail.c) : `midflight run ${quoted(nameOf(cell))}${options}`;
  const copy = element("button", { type: "button" }, "Copy the command");
  copy.addEventListener("click", () => {
    getSelection().selectAllChildren(copy.previousElementSibling);
    navigator.clipboard?.writeText(line).then(() => { copy.textContent = "Copied"; }, () => {});
  });
  return [element("h3", {}, "To repeat it"), element("pre", {}, line), copy];
}

function show() {
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

function renderFacts() {
  const { facts, notes } = data.sections[shown.section];
  const parts = facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
  byId("facts").replaceChildren(...notes.map((note) => element("p", {}, note)), element("dl", {}, ...parts));
}

function options(select, pairs) {
  select.replaceChildren(...pairs.map(([value, name]) => element("option", { value: String(value) }, name)));
}

function renderGroups() {
  const groups = [...new Set(data.rows.map(([group]) => group))].sort((a, b) => text(a) < text(b) ? -1 : 1);
  options(byId("group"), [[-1, "all"], ...groups.filter((group) => text(group) !== "").map((group) => [group, text(group)])]);
}

function start() {
  document.title = byId("title").textContent = data.title;
  byId("sentences").replaceChildren(...data.sentences.map((sentence) => element("p", {}, sentence)));
  options(byId("section"), data.sections.map((section, index) => [index, section.name]));
  renderGroups();
  renderLegend();
  // The first machine on which something needs attention.
  for (let cell = 0, found = false; cell < COUNT && !found; cell += 1) {
    found = outcomeOf(cell).attention;
    if (found) shown.section = at(cell, SECTION);
  }
  byId("section").value = String(shown.section);
  byId("section").addEventListener("change", (event) => { shown.section = Number(event.target.value); render(); });
  byId("group").addEventListener("change", (event) => {
    shown.group = Number(event.target.value);
    if (shown.group >= 0) shown.open.add(shown.group);
    render();
  });
  byId("text").addEventListener("input", (event) => { shown.text = event.target.value.trim().toLowerCase(); render(); });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("attention-more").addEventListener("click", () => { shown.all = true; render(); });
  byId("close").addEventListener("click", () => dialog.close());
  byId("back").addEventListener("click", () => { if (list) openCells(list.name, list.cells); });
  byId("previous").addEventListener("click", () => openDetail(opened.cells, opened.index - 1));
  byId("next").addEventListener("click", () => openDetail(opened.cells, opened.index + 1));
  dialog.addEventListener("close", () => { list = null; });
  render();
}

start();
