"use strict";
// The sample browser of a run's page. The samples stand in blocks of the page (harness/report/browser.py): facts by columns,
// prompts, texts. Text of models is only ever set as textContent.
const PAGE = 50; // samples in the list at a time
const box = document.getElementById("browser");

function make(tag, attributes, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  element.append(...inside.map(String));
  return element;
}

async function unpack(block) {
  const coded = atob(block.textContent);
  const bytes = new Uint8Array(coded.length);
  for (let i = 0; i < coded.length; i++) bytes[i] = coded.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const found = JSON.parse(await new Response(stream).text());
  block.remove(); // its text would be kept twice
  return found;
}

// What a sample can be; one sample is several of them.
const KINDS = {
  right: (f, i) => f.score[i] >= 1,
  "partly right": (f, i) => f.score[i] > 0 && f.score[i] < 1,
  wrong: (f, i) => f.score[i] <= 0,
  unparsed: (f, i) => f.status[i] === "unparsed",
  "cut at the token limit": (f, i) => f.truncated[i] === 1,
  "prompt too long": (f, i) => f.status[i] === "overlong",
  "grader failed": (f, i) => f.status[i] === "timeout" || f.status[i] === "error",
  "graders differ": (f, i) => f.parity[i] !== null && f.parity[i] !== f.score[i],
  "greedy pass": (f, i) => f.greedy[i] === 1,
};
const verdict = (score) => (score >= 1 ? "right" : score > 0 ? "partly right (" + score + ")" : "wrong");
const counted = (n) => n.toLocaleString("en");

function browse(f) {
  const total = f.suite.length, all = [...Array(total).keys()], texts = [], prompts = [];
  let found = all, first = 0, open = -1, complete = false, asked = 0;
  const name = (i) => [f.suites[f.suite[i]], f.seeds[f.seed[i]], f.problems[f.problem[i]], f.index[i], ...(f.greedy[i] ? ["greedy"] : [])];
  const address = (i) => "#sample=" + name(i).map(encodeURIComponent).join("/");

  const canonical = (hash) => { // whatever of it a browser or a person spelled out
    try {
      return "#sample=" + hash.slice(8).split("/").map((part) => encodeURIComponent(decodeURIComponent(part))).join("/");
    } catch {
      return hash;
    }
  };

  // ---- the controls
  let made = 0;
  const field = (title, control) => {
    control.id = "browse-" + made++;
    const holder = make("div");
    holder.append(make("label", { for: control.id }, title), control);
    return holder;
  };
  const choice = (values) => {
    const select = make("select");
    for (const [value, text] of [["", "all"], ...values]) select.append(make("option", { value }, text));
    return select;
  };
  const search = make("input", { type: "search", autocomplete: "off", spellcheck: "false" });
  const suite = choice(f.suites.map((text, i) => [i, text])), seed = choice(f.seeds.map((text, i) => [i, text]));
  const sizes = Object.entries(KINDS).map(([kind, fits]) => [kind, all.reduce((n, i) => n + fits(f, i), 0)]);
  const outcome = choice(sizes.filter(([, n]) => n > 0).map(([kind, n]) => [kind, kind + " (" + counted(n) + ")"]));
  const status = make("p", { role: "status", class: "soft" });
  const controls = make("div", { class: "controls", role: "search", "aria-label": "Samples" });
  controls.append(field("Search in texts", search), field("Suite", suite), field("Seed", seed), field("Outcome", outcome));

  // ---- the list
  const table = make("table"), head = make("tr"), body = make("tbody");
  for (const title of ["sample", "outcome", "read as", "reference", "tokens"]) head.append(make("th", { scope: "col" }, title));
  table.append(make("caption", { class: "hidden" }, "Samples, a page at a time"), make("thead"), body);
  table.tHead.append(head);
  const list = make("div", { class: "scroll list", tabindex: "0", role: "region", "aria-label": "List of samples" });
  list.append(table);
  const [back, next] = [make("button", { type: "button" }, "Earlier"), make("button", { type: "button" }, "Later")];
  const place = make("span", { class: "soft" });
  const pager = make("div", { class: "controls pager", role: "group", "aria-label": "Pages of the list" });
  pager.append(back, next, place);
  const view = make("article", { id: "sample", tabindex: "-1", "aria-label": "Sample" });

  const outcomeOf = (i) => [verdict(f.score[i]), ...["unparsed", "cut at the token limit", "prompt too long", "grader failed", "graders differ"]
    .filter((kind) => KINDS[kind](f, i))].join(", ");
  const row = (i) => {
    const line = make("tr"), cell = make("td"), [, answer, gold] = texts[i] || ["", "", ""];
    cell.append(make("a", { href: address(i) }, name(i).join(" / ")));
    if (i === open) cell.firstChild.setAttribute("aria-current", "true");
    const short = (text) => (text === null ? "" : text.length > 60 ? text.slice(0, 60) + "…" : text);
    line.append(cell, make("td", {}, outcomeOf(i)), make("td", {}, short(answer)), make("td", {}, short(gold)), make("td", { class: "r" }, f.tokens[i]));
    return line;
  };
  const draw = () => {
    body.replaceChildren(...found.slice(first, first + PAGE).map(row));
    back.disabled = first === 0;
    next.disabled = first + PAGE >= found.length;
    place.textContent = found.length ? counted(first + 1) + " to " + counted(Math.min(first + PAGE, found.length)) + " of " + counted(found.length) : "";
  };
  const turn = (by) => {
    first = Math.max(0, first + by);
    draw();
    list.scrollTop = 0;
  };
  back.addEventListener("click", () => turn(-PAGE));
  next.addEventListener("click", () => turn(PAGE));

  // ---- filters
  const filter = async () => {
    const mine = ++asked, words = search.value.trim();
    if (words && !complete) {
      status.textContent = "Reading all texts…";
      await reading;
      if (mine !== asked) return;
    }
    const pattern = words && new RegExp(words.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "i");
    const asks = pattern && prompts.map((text) => pattern.test(text)), names = pattern && f.problems.map((text) => pattern.test(text));
    const kind = KINDS[outcome.value];
    found = all.filter((i) => (!suite.value || f.suite[i] === +suite.value) && (!seed.value || f.seed[i] === +seed.value) &&
      (!kind || kind(f, i)) && (!pattern || asks[f.prompt[i]] || names[f.problem[i]] || texts[i].some((text) => text !== null && pattern.test(text))));
    first = 0;
    draw();
    status.textContent = counted(found.length) + (found.length === total ? "" : " of " + counted(total)) + (total === 1 ? " sample" : " samples");
  };
  let waiting = 0;
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 150); });
  for (const control of [suite, seed, outcome]) control.addEventListener("input", filter);

  // ---- one sample
  const show = (i) => {
    open = i;
    view.replaceChildren();
    if (i < 0) return;
    const [completion, answer, gold] = texts[i] || [null, null, null];
    const facts = [outcomeOf(i), f.tokens[i] + " tokens", "grading " + f.status[i]];
    if (f.parity[i] !== null) facts.push("second grader: " + verdict(f.parity[i]));
    const steps = make("p", { class: "controls" });
    for (const [text, by] of [["Previous", -1], ["Next", 1]]) {
      const button = make("button", { type: "button" }, text);
      button.addEventListener("click", () => step(by));
      steps.append(button);
    }
    steps.append(make("a", { href: "#samples" }, "Back to the list"));
    view.append(make("h3", {}, name(i).join(" / ")), make("p", {}, facts.join("; ")), steps);
    if (completion === null) return void view.append(make("p", { class: "soft" }, "Reading…"));
    for (const [title, text] of [["prompt", prompts[f.prompt[i]]], ["completion", completion], ["read as", answer], ["reference", gold]]) {
      view.append(make("p", { class: "soft" }, title), make("pre", { tabindex: "0", "aria-label": title }, text === null ? "(nothing was found)" : text));
    }
  };
  const refresh = () => {
    if (!document.activeElement.closest("tbody")) draw();
    if (open >= 0 && !view.querySelector("pre")) show(open);
  };
  const addressed = () => { // by the address, which is ahead of what is shown until its event arrives
    if (!location.hash.startsWith("#sample=")) return undefined;
    const wanted = canonical(location.hash);
    return open >= 0 && address(open) === wanted ? open : all.find((i) => address(i) === wanted);
  };
  const step = (by) => {
    if (!found.length) return;
    const at = found.indexOf(addressed() ?? open);
    location.hash = address(found[at < 0 ? 0 : (at + by + found.length) % found.length]);
  };
  const follow = () => {
    if (!location.hash.startsWith("#sample=")) return;
    const i = addressed();
    if (i === undefined) {
      show(-1);
      view.append(make("p", {}, "This run has no such sample: " + location.hash.slice(8)));
    } else show(i);
    const at = found.indexOf(open);
    if (at >= 0) first = at - (at % PAGE);
    draw();
    view.focus({ preventScroll: true });
    view.scrollIntoView({ block: "nearest" });
    body.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  };
  window.addEventListener("hashchange", follow);
  box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || ["INPUT", "SELECT"].includes(event.target.tagName)) return;
    const links = [...body.querySelectorAll("a")], at = links.indexOf(document.activeElement);
    if (event.key === "j" || event.key === "k") step(event.key === "j" ? 1 : -1);
    else if (at >= 0 && event.key === "ArrowDown") links[Math.min(at + 1, links.length - 1)].focus();
    else if (at >= 0 && event.key === "ArrowUp") links[Math.max(at - 1, 0)].focus();
    else return;
    event.preventDefault();
  });

  box.replaceChildren(controls, status, list, pager, view);
  const reading = (async () => {
    for (const block of document.querySelectorAll("script.prompts")) for (const text of await unpack(block)) prompts.push(text);
    for (const block of document.querySelectorAll("script.texts")) {
      for (const row of await unpack(block)) texts.push(row);
      refresh(); // what is in view may have been waiting for them
    }
    complete = true;
    box.dataset.ready = "true";
  })();
  filter();
  follow();
  return reading;
}

unpack(document.getElementById("facts")).then(browse).catch((error) => {
  box.replaceChildren(make("p", {}, "The samples of this page cannot be read: " + error.message));
});
