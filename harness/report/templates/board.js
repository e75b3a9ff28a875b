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

// Rows by the heading above them; a table without headings is one group.
function groups(body) {
  const found = [];
  for (const row of body.rows) {
    if (row.classList.contains("group")) found.push({ head: row, rows: [] });
    else {
      if (!found.length) found.push({ head: null, rows: [] });
      found[found.length - 1].rows.push(row);
    }
  }
  return found;
}

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = make("button", { type: "button", title: "Sort by this column" }, head.textContent);
    head.replaceChildren(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const cell = (row) => row.cells[column].textContent.trim();
      const all = groups(body).flatMap((g) => g.rows).map(cell).filter((text) => text);
      const numeric = all.length > 0 && all.every((text) => number(text) !== null);
      const now = head.getAttribute("aria-sort");
      const down = now === "none" ? numeric : now === "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      for (const group of groups(body)) {
        const sorted = [...group.rows].sort((a, b) => {
          const [x, y] = [cell(a), cell(b)];
          if (!x || !y) return (x ? 0 : 1) - (y ? 0 : 1); // blanks last, either way
          const order = numeric ? number(x) - number(y) : x < y ? -1 : x > y ? 1 : 0;
          return down ? -order : order;
        });
        let after = group.rows.length ? group.rows[group.rows.length - 1].nextSibling : null;
        if (after && group.rows.includes(after)) after = null;
        for (const row of sorted) body.insertBefore(row, after);
      }
    });
  });
}

function filterable(box) {
  const table = box.querySelector("table");
  const found = groups(table.tBodies[0]);
  const text = make("input", { type: "search", autocomplete: "off" });
  const measure = make("select");
  measure.append(make("option", { value: "" }, "all"));
  found.forEach((g, i) => { if (g.head) measure.append(make("option", { value: String(i) }, g.head.textContent)); });
  const several = make("input", { type: "checkbox" });
  const status = make("span", { role: "status", class: "soft" });
  const controls = make("div", { class: "controls", role: "group", "aria-label": "Filter" });
  controls.append(labelled("Arm", text), labelled("Measure", measure), labelled("several seeds only", several, "check"), status);
  const apply = () => {
    let shown = 0, total = 0;
    found.forEach((g, i) => {
      let some = false;
      for (const row of g.rows) {
        const fits = (!measure.value || measure.value === String(i)) && (!several.checked || !row.classList.contains("soft")) &&
          row.cells[0].textContent.toLowerCase().includes(text.value.trim().toLowerCase());
        row.hidden = !fits;
        some = some || fits;
        shown += fits;
        total += 1;
      }
      if (g.head) g.head.hidden = !some;
    });
    status.textContent = shown === total ? total + " rows" : shown + " of " + total + " rows";
  };
  for (const control of [text, measure, several]) control.addEventListener("input", apply);
  box.querySelector(".scroll").before(controls);
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

document.querySelectorAll(".scroll > table").forEach(sortable);
document.querySelectorAll(".filtered").forEach(filterable);
const samples = JSON.parse(document.getElementById("samples").textContent);
document.querySelectorAll(".samples").forEach((box) => browser(box, samples[Number(box.dataset.section)]));
