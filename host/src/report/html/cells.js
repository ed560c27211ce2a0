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

