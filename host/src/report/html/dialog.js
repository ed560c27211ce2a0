// The dialog: the cells that one of the matrix stands for, and one of them in detail.

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
