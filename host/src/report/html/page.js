// What stands around the matrix, and the start of all.

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
