"""Reports of one run and of a comparison: pure functions of run directories, readable without network or script.

Everything a model wrote is hostile: the templates escape it, and control and bidi characters are spelled out.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from harness.core.errors import UsageError
from harness.core.tables import Table, compact, markdown_cell, points, seconds, visible
from harness.report import plots
from harness.runs.files import read_jsonl, write_text
from harness.runs.result import load_result
from harness.stats.compare import WIDTH, Comparison, Measure, compare, overlap_notes, protocol_table

CURVES = {
    "reward": "Reward",
    "degenerate_groups": "Groups without gradient, share",
    "all_zero_before": "Groups without a success in their first attempt, share",
    "all_zero_groups": "Groups without a success, share",
    "rescued_groups": "Rescued of those that failed at first, share",
    "templated_rollouts": "Rollouts with a template, share",
    "masked_tokens": "Masked tokens of those, share",
    "hint_reliance": "Hint reliance, nats per token",
    "template_diversity": "Two templates of a batch differ, probability",
    "hard_problems": "Hard problems after the epoch",
}
"""Metrics worth a panel, where a run has them; keys that start with `branch_` get one too."""
EXCERPT = 6000
"""Characters of a model's text on a page, at most."""


def write_report(run: Path) -> Path:
    """Write report.md and report.html into a finished run's directory; returns the path of the page.

    Raises MissingError where no run is, HarnessError where it is unfinished.
    """
    page, text = render_report(run)
    write_text(run / "report.md", text)
    return write_text(run / "report.html", page)


def render_report(run: Path) -> tuple[str, str]:
    """The page of a finished run, and the same in Markdown. Raises as `write_report`."""
    result = load_result(run)
    comparison = compare([result])
    env = _read_json(run / "env.json")
    metrics = read_jsonl(run / "metrics.jsonl")
    pools = _templates(run, result["seeds"])
    tables = [_scores(result, comparison), _ledger(result), protocol_table(comparison)]
    title = f"{result['method']} on {result['training_set']}"
    seeds = ", ".join(map(str, result["seeds"]))
    subtitle = f"model {result['model']}, recipe {result['recipe']}, training seeds {seeds}; run {run.resolve().name}"
    commands = env.get("commands", [])
    page = render(
        "report.html.j2",
        title=title,
        subtitle=subtitle,
        stamp=result["not_a_result"],
        tables=tables,
        keys=[{"label": f"seed {s}", "colour": plots.colour(i)} for i, s in enumerate(result["seeds"])],
        panels=_panels([metrics], lambda _, row: result["seeds"].index(row["seed"]), _keys(metrics)),
        templates=pools,
        samples=[s for name in result["suites"] for s in _samples(run, name)],
        commands=commands,
        spec_hash=result["spec_hash"][:12],
        spec=_pretty(result["spec"]),
        environment=_pretty(env),
    )
    lines = [f"# {markdown_cell(title)}\n", f"{markdown_cell(subtitle)}.\n"]
    if result["not_a_result"]:
        lines.append(f"> **Not a result.** {markdown_cell(result['not_a_result'])}\n")
    lines += [table.to_markdown() for table in tables]
    if pools:
        lines.append(_templates_table(pools).to_markdown())
    lines += ["## How it was made\n", *(f"- {markdown_cell(c)}" for c in commands), f"- spec {result['spec_hash']}\n"]
    return page, "\n".join(lines)


def comparison_page(runs: Sequence[Path], comparison: Comparison) -> str:
    """The page of a comparison. `runs` are the directories of its arms, in that order; their learning curves are drawn."""
    keys = [{"label": arm.label, "colour": plots.colour(i)} for i, arm in enumerate(comparison.arms)]
    specs = [_read_json(run / "spec.json") for run in runs]
    names = zip(comparison.arms, runs, specs, strict=True)
    return render(
        "comparison.html.j2",
        title="Comparison",
        stamps=comparison.stamps,
        keys=keys,
        tables=comparison.tables,
        subtitle=f"model {comparison.model}, trained on {comparison.training_set}; "
        f"baseline {comparison.arms[comparison.baseline].label}",
        overview=overview(comparison),
        panels=_panels([read_jsonl(run / "metrics.jsonl") for run in runs], lambda arm, _: arm, ["reward"]),
        runs=[{"label": a.label, "name": run.resolve().name, "spec_hash": s["hash"][:12]} for a, run, s in names],
    )


def write_study(out: Path, title: str, texts: Sequence[str], table: Table, comparisons: Mapping[str, Comparison]) -> None:
    """Write study.md and study.html: `table`, the one of all cells, then a comparison per condition."""
    named = {condition or "Comparison": c for condition, c in comparisons.items()}
    parts = [f"# {markdown_cell(title)}\n", *(f"{markdown_cell(text)}\n" for text in texts if text), table.to_markdown()]
    write_text(out / "study.md", "\n".join([*parts, *(c.to_markdown(name) for name, c in named.items())]))
    sections = [
        {
            "title": name,
            "stamps": c.stamps,
            "tables": c.tables,
            "overview": overview(c),
            "baseline": c.arms[c.baseline].label,
            "arms": [{"label": arm.label, "colour": plots.colour(i)} for i, arm in enumerate(c.arms)],
        }
        for name, c in named.items()
    ]
    page = render("study.html.j2", title=title, texts=[t for t in texts if t], table_=table, sections=sections)
    write_text(out / "study.html", page)


FORMATS = {"terminal": ".txt", "markdown": ".md", "csv": ".csv", "latex": ".tex", "json": ".json", "html": ".html"}
"""What a comparison is written in, and the suffix of a file in each."""


def render_comparison(runs: Sequence[Path], comparison: Comparison, name: str) -> str:
    """The comparison in a format of FORMATS, of one and the same tables. `runs`: as for `comparison_page`."""
    from rich.console import Console

    if name == "terminal":
        console = Console(width=WIDTH, file=io.StringIO(), record=True)
        console.print(comparison.to_rich())
        return console.export_text()
    renderers: dict[str, Callable[[], str]] = {
        "markdown": comparison.to_markdown,
        "csv": comparison.to_csv,
        "latex": comparison.to_latex,
        "json": lambda: json.dumps(comparison.to_dict(), indent=1) + "\n",
        "html": lambda: comparison_page(runs, comparison),
    }
    return renderers[name]()


def write_comparison(runs: Sequence[Path], comparison: Comparison, out: Path, name: str | None = None) -> Path:
    """Write `out` in a format of FORMATS, by default that of its suffix. Raises UsageError for a suffix of none."""
    found = name or next((f for f, suffix in FORMATS.items() if suffix == out.suffix), None)
    if found is None:
        known = ", ".join(FORMATS.values())
        raise UsageError(f"{out}: which format is this? Use a suffix of {known}, or --format")
    out.parent.mkdir(parents=True, exist_ok=True)
    return write_text(out, render_comparison(runs, comparison, found))


def render(name: str, **values: Any) -> str:
    """Fill a page; what is not markup of ours is escaped, and no character steers the page around it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    env = Environment(
        loader=FileSystemLoader(str(files("harness.report") / "templates")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda x: x if isinstance(x, Markup) else visible(str(x)),
    )
    return env.get_template(name).render(**values)


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)


def _scores(result: dict[str, Any], comparison: Comparison) -> Table:
    """A row per measure: the mean, every seed, and what could make a score misleading."""
    seeds = comparison.arms[0].seeds
    ks = sorted({k for suite in result["suites"].values() for k in suite["pass_at"] if k != "1"}, key=int)
    disagree = any(suite.get("disagreement") for suite in result["suites"].values())
    greedy = any(suite.get("greedy") is not None for suite in result["suites"].values())
    quality = ("tokens", "truncated", "unparsed", "grader faults", *(("parity score", "disagreement") if disagree else ()))
    quality += ("greedy", "greedy, parity") if greedy else ()
    header = ("score", "sd", *(f"seed {s}" for s in seeds), *(f"pass@{k}" for k in ks), *quality)
    rows = []
    for m in comparison.measures:
        s = comparison.arms[0].scores[m.key]
        each = (points(s.per_seed[seed]) if seed in s.per_seed else "" for seed in seeds)
        row = (m.title, points(s.mean), "" if s.sd is None else points(s.sd), *each)
        if m.protocol is None:
            rows.append((*row, *[""] * (len(ks) + len(quality))))
            continue
        suite = result["suites"][m.key]
        pass_at = (points(suite["pass_at"][k]) if k in suite["pass_at"] else "" for k in ks)
        keys = (*(("parity_avg", "disagreement") if disagree else ()), *(("greedy", "greedy_parity") if greedy else ()))
        second = ("" if suite.get(key) is None else points(suite[key]) for key in keys)
        drawn = suite["n"] * (suite["k"] + (suite.get("greedy") is not None)) * len(seeds)
        tokens = compact(suite["generated_tokens"] / drawn)
        shares = (points(suite["truncated"]), points(suite["unparsed"]), str(suite["grader_faults"]))
        rows.append((*row, *pass_at, tokens, *shares, *second))
    note = "Percent points. Score: avg@k, mean over seeds; sd: sample standard deviation over seeds. Tokens: mean a sample."
    if greedy:
        note += " Greedy: one completion a problem, beside the samples."
    if disagree:
        note += " Disagreement: share of samples that the parity grader judges differently."
    return Table("Scores", ("measure", *header), "l" + "r" * len(header), rows, (note, *overlap_notes(comparison)))


def _ledger(result: dict[str, Any]) -> Table:
    """A row per entry: the total over seeds, then every seed."""
    seeds = [str(s) for s in result["seeds"]]

    def row(key: str) -> tuple[str, ...]:
        shown = seconds if key == "wall_seconds" else compact
        values = (result["ledger"][key], *(result["ledgers"][s][key] for s in seeds))
        return ("wall time" if key == "wall_seconds" else key.replace("_", " "), *map(shown, values))

    header = ("entry", "all seeds", *(f"seed {s}" for s in seeds))
    note = "What training and prompt search paid, without evaluation."
    return Table("Ledger", header, "l" + "r" * (len(header) - 1), [row(key) for key in result["ledger"]], (note,))


def _keys(metrics: list[dict[str, Any]]) -> list[str]:
    branch = {key for row in metrics for key in row if key.startswith("branch_")}
    return [*CURVES, *sorted(branch)]


def _panels(
    metrics: Sequence[list[dict[str, Any]]], series: Callable[[int, dict[str, Any]], int], keys: Sequence[str]
) -> list[dict[str, Any]]:
    """A plot for every key that some run logged: a line per run and seed, coloured by `series(run, row)`."""
    from markupsafe import Markup

    out = []
    for key in keys:
        lines = []
        for run, rows in enumerate(metrics):
            by_seed: dict[tuple[int, str], list[dict[str, Any]]] = {}
            for row in rows:
                if isinstance(row.get(key), int | float):
                    by_seed.setdefault((row["seed"], row["kind"]), []).append(row)
            for own in by_seed.values():
                lines.append(plots.Line([r["rollouts"] for r in own], [r[key] for r in own], series(run, own[0])))
        if lines:
            svg = Markup(plots.curves(lines, unit=key == "reward"))
            out.append({"title": CURVES.get(key, key.replace("_", " ")), "svg": svg})
    return out


def overview(c: Comparison) -> list[dict[str, Any]]:
    """Differences with their intervals, and every seed of every arm."""
    from markupsafe import Markup

    gaps = []
    for m in c.measures:
        differences = []
        for i, arm in enumerate(c.arms):
            if (x := arm.contrasts.get(m.key)) is not None:
                ends = (None, None) if x.fixed is None else (100 * x.fixed.low, 100 * x.fixed.high)
                outer = None if x.new is None else (100 * x.new.low, 100 * x.new.high)
                differences.append(plots.Mark(arm.label, [], i, 100 * x.difference, *ends, outer))
        gaps.append((m.title, differences))
    out = [{"title": "Every seed; the bar is the mean", "svg": Markup(every_seed(c, c.measures))}]
    if len(c.arms) > 1:
        base = c.arms[c.baseline].label
        svg = Markup(plots.dots(gaps, "difference, percent points", zero=True))
        title = f"Difference to {base}; 95% interval on these questions (thick), on new ones (thin); an upright bar: none"
        out.insert(0, {"title": title, "svg": svg})
    return out


def every_seed(c: Comparison, measures: Sequence[Measure]) -> str:
    """A dot plot: of each arm the score of every seed, and their mean, as SVG."""
    groups = []
    for m in measures:
        marks = []
        for i, arm in enumerate(c.arms):
            s = arm.scores[m.key]
            marks.append(plots.Mark(arm.label, [100 * v for v in s.per_seed.values()], i, 100 * s.mean))
        groups.append((m.title, marks))
    return plots.dots(groups, "score, percent points")


def _templates(run: Path, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Selected templates of every seed and epoch, in that order, best first."""
    out = []
    for seed in seeds:
        rows = read_jsonl(run / "templates" / f"s{seed}.jsonl")
        for epoch in sorted({row["epoch"] for row in rows}):
            pool = [row for row in rows if row["epoch"] == epoch]
            chosen = sorted((r for r in pool if r["selected"]), key=lambda r: -(r["mean_score"] or 0.0))
            title = f"after epoch {epoch + 1}: {len(chosen)} selected of {len(pool)}"
            out.append({"seed": f"seed {seed}", "title": title, "rows": [_template(row) for row in chosen]})
    return out


def _template(row: dict[str, Any]) -> dict[str, str]:
    known = ("seed", "epoch", "template", "mean_score", "selected")
    other = {k.replace("_", " "): v for k, v in row.items() if k not in known and isinstance(v, str | int | float)}
    details = ", ".join(f"{k} {v}" for k, v in other.items())
    score = "unscored" if row["mean_score"] is None else points(row["mean_score"])
    return {"template": excerpt(row["template"]), "score": score, "details": excerpt(details)}


def _templates_table(pools: list[dict[str, Any]]) -> Table:
    """A row per selected template; texts on one line each."""
    rows = []
    for pool in pools:
        for i, row in enumerate(pool["rows"]):
            name = f"{pool['seed']} {pool['title']}" if i == 0 else ""
            rows.append((name, row["score"], row["template"] or "(the empty template)"))
    return Table("Templates", ("pool", "score", "selected template"), "lrl", rows)


def _samples(run: Path, suite: str, each: int = 2) -> list[dict[str, Any]]:
    """The first right, then the first wrong samples, of different problems; reads no further than it must."""
    out: list[dict[str, Any]] = []
    wanted = {True: each, False: each}
    seen: set[str] = set()
    path = run / "samples" / f"{suite}.jsonl"
    if not path.exists():
        return out
    with path.open() as f:
        for line in f:
            row = json.loads(line)
            right = row["score"] >= 1.0
            if not wanted[right] or row["problem"] in seen:
                continue
            wanted[right] -= 1
            seen.add(row["problem"])
            text = {key: excerpt(str(row[key])) for key in ("prompt", "completion", "answer", "gold")}
            out.append({**row, **text, "verdict": "right" if right else "wrong"})
            if not any(wanted.values()):
                break
    return sorted(out, key=lambda s: s["verdict"])


def excerpt(text: str, most: int = EXCERPT) -> str:
    """Head and tail of a long text."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"
