"use strict";
// Sorting, filtering and the sample browser. Text of models is only ever set as textContent.
function make(tag, attributes, text) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

let controls_made = 0;
function labelled(text, control, kind) {
  control.id = "control-" + controls_made++;
  const label = make("label", { for: control.id }, text), box = make("div", { class: kind || "field" });
  box.append(...(kind ? [control, label] : [label, control]));
  return box;
}

// The number a cell starts with: "+2.2†", "×1.05", "108k", "<.001", "3/8"; null for text or nothing.
function number(text) {
  const found = /^[^\d+\-.\w]*([+-]?(?:\d+\.?\d*|\.\d+))([kMB](?![a-z]))?/.exec(text.trim());
  if (!found) return null;
  return parseFloat(found[1]) * ({ k: 1e3, M: 1e6, B: 1e9 }[found[2]] || 1);
}

// Rows by the heading above them; a table without headings is one group. Details stay with the row that they belong to.
function groups(body) {
  const found = [];
  for (const row of body.rows) {
    if (row.classList.contains("group")) found.push({ head: row, rows: [] });
    else if (!row.classList.contains("detail")) {
      if (!found.length) found.push({ head: null, rows: [] });
      found[found.length - 1].rows.push(row);
    }
  }
  return found;
}

function detail(row) {
  const next = row.nextElementSibling;
  return next && next.classList.contains("detail") ? next : null;
}

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const text = (row, column) => row.cells[column].textContent.trim();
  const value = (row, column) => {
    const said = row.cells[column].dataset.value;
    return said === undefined ? number(text(row, column)) : parseFloat(said);
  };
  heads.forEach((head, column) => {
    const button = make("button", { type: "button", title: "Sort by this column" }, head.textContent);
    head.replaceChildren(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const rows = groups(body).flatMap((g) => g.rows).filter((row) => text(row, column));
      const numeric = rows.some((row) => row.cells[column].dataset.value !== undefined) ||
        (rows.length > 0 && rows.every((row) => value(row, column) !== null));
      const key = (row) => (!text(row, column) ? null : numeric ? value(row, column) : text(row, column));
      const now = head.getAttribute("aria-sort");
      const down = now === "none" ? numeric && head.textContent.trim() !== "rank" : now === "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      for (const group of groups(body)) {
        const sorted = [...group.rows].sort((a, b) => {
          const [x, y] = [key(a), key(b)];
          if (x === null || y === null) return (x === null) - (y === null); // blanks last, either way
          const order = x < y ? -1 : x > y ? 1 : 0;
          return down ? -order : order;
        });
        const moved = sorted.flatMap((row) => [row, detail(row)]).filter((row) => row);
        const after = group.head ? group.head.nextSibling : body.firstChild;
        const before = document.createComment("");
        body.insertBefore(before, after);
        for (const row of moved) body.insertBefore(row, before);
        before.remove();
      }
    });
  });
}

// Details are shown without this script; with it, an arm's name opens them.
function foldable(table) {
  for (const row of groups(table.tBodies[0]).flatMap((g) => g.rows)) {
    const below = detail(row), name = row.querySelector("th");
    const button = make("button", { type: "button", "aria-expanded": "false", "aria-controls": below.id });
    button.append(...name.childNodes);
    name.append(button);
    below.hidden = true;
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-expanded") !== "true";
      button.setAttribute("aria-expanded", String(open));
      below.hidden = row.hidden || !open;
    });
  }
}

function filterable(box) {
  const table = box.querySelector("table");
  const found = groups(table.tBodies[0]).flatMap((g) => g.rows);
  const name = make("input", { type: "search", autocomplete: "off" });
  const status = make("span", { role: "status", class: "soft" });
  const stands = make("select"), against = (row) => (row.querySelector("td small[class]") || {}).textContent || "";
  const all = make("button", { type: "button" }, "Open all details");
  for (const value of ["", ...new Set(found.map(against).filter((x) => x))]) stands.append(make("option", { value }, value || "all"));
  const controls = make("div", { class: "controls", role: "group", "aria-label": "Filter" });
  controls.append(labelled("Arm", name));
  if (stands.options.length > 1) controls.append(labelled("Against baseline", stands));
  controls.append(all, status);
  const apply = () => {
    for (const row of found) {
      row.hidden = !(row.querySelector("th").textContent.toLowerCase().includes(name.value.trim().toLowerCase()) &&
        (!stands.value || against(row) === stands.value));
      detail(row).hidden = row.hidden || row.querySelector("th button").getAttribute("aria-expanded") !== "true";
    }
    const shown = found.filter((row) => !row.hidden).length;
    status.textContent = shown === found.length ? shown + (shown === 1 ? " arm" : " arms") : shown + " of " + found.length + " arms";
  };
  all.addEventListener("click", () => {
    const open = all.textContent.startsWith("Open");
    for (const row of found) row.querySelector("th button").setAttribute("aria-expanded", String(open));
    all.textContent = open ? "Close all details" : "Open all details";
    apply();
  });
  for (const control of [name, stands]) control.addEventListener("input", apply);
  table.before(controls);
  apply();
}

function browser(box, samples) {
  const distinct = (key, rows) => [...new Set(rows.map((row) => row[key]))];
  const choose = (values) => {
    const select = make("select");
    for (const value of values) select.append(make("option", { value }, value));
    return select;
  };
  const suite = choose(distinct("suite", samples)), arm = choose(distinct("arm", samples)), problem = make("select");
  const [back, next] = [make("button", { type: "button" }, "Previous"), make("button", { type: "button" }, "Next")];
  const view = make("div", { "aria-live": "polite" });
  const fill = () => {
    const before = problem.value;
    const names = distinct("problem", samples.filter((s) => s.suite === suite.value));
    problem.replaceChildren(...names.map((value) => make("option", { value }, value)));
    if (names.includes(before)) problem.value = before;
  };
  const show = () => {
    const s = samples.find((x) => x.suite === suite.value && x.problem === problem.value && x.arm === arm.value);
    view.replaceChildren();
    if (!s) return void view.append(make("p", {}, "This arm has no sample of this problem."));
    view.append(make("p", {}, s.facts));
    for (const [key, title] of [["prompt", "prompt"], ["completion", "completion"], ["answer", "read as"], ["gold", "reference"]]) {
      if (s[key] !== undefined) view.append(make("p", { class: "soft" }, title), make("pre", { tabindex: "0" }, s[key]));
    }
  };
  const step = (by) => {
    problem.selectedIndex = (problem.selectedIndex + by + problem.options.length) % problem.options.length;
    show();
  };
  suite.addEventListener("input", () => { fill(); show(); });
  for (const control of [arm, problem]) control.addEventListener("input", show);
  back.addEventListener("click", () => step(-1));
  next.addEventListener("click", () => step(1));
  const controls = make("div", { class: "controls", role: "group", "aria-label": "Sample" });
  controls.append(labelled("Suite", suite), labelled("Arm", arm), labelled("Problem", problem), back, next);
  box.replaceChildren(controls, view);
  fill();
  show();
}

document.querySelectorAll(".standings").forEach(foldable);
document.querySelectorAll(".scroll > table, .standings").forEach(sortable);
document.querySelectorAll(".filtered").forEach(filterable);
const samples = JSON.parse(document.getElementById("samples").textContent);
document.querySelectorAll(".samples").forEach((box) => browser(box, samples[Number(box.dataset.section)]));
