"""The report of one run, report.md and report.html: pure functions of its directory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from harness.core.ledger import Ledger
from harness.report import plots
from harness.report.comparison import arm_notes, fault_notes, overlap_notes, protocol_table
from harness.report.pages import CURVES, excerpt, panels, render
from harness.report.sentences import comparison_sentences, markdown_lines
from harness.report.tables import Table, compact, markdown_cell, points, seconds
from harness.runs.environment import read_environment
from harness.runs.files import write_text
from harness.runs.formats import tree
from harness.runs.logs import Metrics, Template, read_metrics, read_templates
from harness.runs.result import Result, load_result
from harness.runs.samples import iter_samples, samples_path
from harness.stats.comparison import Comparison, compare
from harness.stats.questions import load_questions


def write_report(run: Path) -> Path:
    """Write report.md and report.html to the directory of a finished run; returns the path of the page.

    Raises MissingError if there is no run, HarnessError if it is unfinished.
    """
    page, text = render_report(run)
    write_text(run / "report.md", text)
    return write_text(run / "report.html", page)


def render_report(run: Path) -> tuple[str, str]:
    """The page of a finished run, and the same in Markdown. Raises as `write_report` does."""
    result = load_result(run)
    comparison = compare([result], questions=[load_questions(result)])
    said = comparison_sentences(comparison)
    env = read_environment(run)
    metrics = read_metrics(run)
    pools = _templates(read_templates(run, result.seeds))
    tables = [_scores(result, comparison), _ledger(result), protocol_table(comparison)]
    title = f"{result.method} on {result.training_set}"
    seeds = ", ".join(map(str, result.seeds))
    subtitle = f"model {result.model}, recipe {result.recipe}, training seeds {seeds}; run {run.resolve().name}"
    commands = env.commands if env else []
    page = render(
        "report.html.j2",
        title=title,
        subtitle=subtitle,
        stamp=result.not_a_result,
        sentences=said,
        tables=tables,
        keys=[{"label": f"seed {s}", "colour": plots.colour(i)} for i, s in enumerate(result.seeds)],
        panels=panels([metrics], lambda _, seed: result.seeds.index(seed), _keys(metrics)),
        templates=pools,
        samples=[s for name in result.suites for s in _samples(run, name)],
        commands=commands,
        spec_hash=result.spec_hash[:12],
        spec=_pretty(result.spec),
        environment=_pretty(tree(env) if env else {}),
    )
    lines = [f"# {markdown_cell(title)}\n", f"{markdown_cell(subtitle)}.\n"]
    if result.not_a_result:
        lines.append(f"> **Not a result.** {markdown_cell(result.not_a_result)}\n")
    lines += [markdown_lines(said), *(table.to_markdown() for table in tables)]
    if pools:
        lines.append(_templates_table(pools).to_markdown())
    lines += ["## How it was made\n", *(f"- {markdown_cell(c)}" for c in commands), f"- spec {result.spec_hash}\n"]
    return page, "\n".join(lines)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)


def _scores(result: Result, comparison: Comparison) -> Table:
    """A row per measure: the mean, every seed, and what could make the score misleading."""
    seeds = comparison.arms[0].seeds
    ks = sorted({k for suite in result.suites.values() for k in suite.pass_at if k != 1})
    disagree = any(suite.disagreement for suite in result.suites.values())
    greedy = any(suite.greedy is not None for suite in result.suites.values())
    quality = ["tokens per sample", "truncated", "unparsed", "grader faults"]
    quality += ["parity score", "graders differ"] if disagree else []
    quality += ["greedy", "greedy, parity"] if greedy else []
    quality += ["overlong"] if (unread := any(suite.overlong for suite in result.suites.values())) else []
    header = ("score", "sd", *(f"seed {s}" for s in seeds), *(f"pass@{k}" for k in ks), *quality)
    rows = []
    for m in comparison.measures:
        s = comparison.arms[0].scores[m.key]
        each = (points(s.per_seed[seed]) if seed in s.per_seed else "" for seed in seeds)
        row = (m.title, points(s.mean), "" if s.sd is None else points(s.sd), *each)
        if m.protocol is None:
            rows.append((*row, *[""] * (len(ks) + len(quality))))
            continue
        suite = result.suites[m.key]
        pass_at = (points(suite.pass_at[k]) if k in suite.pass_at else "" for k in ks)
        more = (*((suite.parity_avg, suite.disagreement) if disagree else ()),)
        more += (suite.greedy, suite.greedy_parity) if greedy else ()
        second = [*("" if value is None else points(value) for value in more), *([str(suite.overlong)] if unread else [])]
        tokens = compact(suite.generated_tokens / suite.drawn(len(seeds)))
        shares = (points(suite.truncated), points(suite.unparsed), str(suite.grader_faults))
        rows.append((*row, *pass_at, tokens, *shares, *second))
    note = "Percent points. Score: avg@k, mean over seeds; sd: sample standard deviation over seeds."
    if greedy:
        note += " Greedy: one completion per problem, apart from the samples."
    if disagree:
        note += " Graders differ: samples that the parity grader grades differently."
    return Table(
        title="Scores",
        header=("measure", *header),
        align="l" + "r" * len(header),
        rows=rows,
        notes=(note, *fault_notes(comparison), *arm_notes(comparison), *overlap_notes(comparison)),
    )


def _ledger(result: Result) -> Table:
    """A row per entry: the total over seeds, then each seed."""
    ledgers = [result.ledger, *(result.ledgers[s] for s in result.seeds)]

    def row(key: str) -> tuple[str, ...]:
        shown = seconds if key == "wall_seconds" else compact
        values = (getattr(ledger, key) for ledger in ledgers)
        return ("wall time" if key == "wall_seconds" else key.replace("_", " "), *map(shown, values))

    header = ("entry", "all seeds", *(f"seed {s}" for s in result.seeds))
    note = "Training and prompt search, without evaluation."
    return Table(
        title="Ledger",
        header=header,
        align="l" + "r" * (len(header) - 1),
        rows=[row(f.name) for f in fields(Ledger)],
        notes=(note,),
    )


def _keys(metrics: Sequence[Metrics]) -> list[str]:
    branch = {key for m in metrics for key in m.values if key.startswith("branch_")}
    return [*CURVES, *sorted(branch)]


def _templates(templates: Sequence[Template]) -> list[dict[str, Any]]:
    """The selected templates of every seed and epoch, best first."""
    pools: dict[tuple[int, int], list[Template]] = {}
    for t in templates:
        pools.setdefault((t.row.seed, t.row.epoch), []).append(t)
    order = {seed: i for i, seed in enumerate(dict.fromkeys(seed for seed, _ in pools))}
    out = []
    for (seed, epoch), pool in sorted(pools.items(), key=lambda item: (order[item[0][0]], item[0][1])):
        chosen = sorted((t for t in pool if t.row.selected), key=lambda t: -(t.row.mean_score or 0.0))
        title = f"after epoch {epoch + 1}: {len(chosen)} selected of {len(pool)}"
        out.append({"seed": f"seed {seed}", "title": title, "rows": [_template(t) for t in chosen]})
    return out


def _template(t: Template) -> dict[str, str]:
    facts = {"candidate": t.row.candidate, "parent": t.row.parent, **t.facts}
    details = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in facts.items() if isinstance(v, str | int | float))
    score = "unscored" if t.row.mean_score is None else points(t.row.mean_score)
    return {"template": excerpt(t.row.template), "score": score, "details": excerpt(details)}


def _templates_table(pools: list[dict[str, Any]]) -> Table:
    """A row per selected template, each text on one line."""
    rows: list[tuple[str, ...]] = []
    for pool in pools:
        for i, row in enumerate(pool["rows"]):
            name = f"{pool['seed']} {pool['title']}" if i == 0 else ""
            rows.append((name, row["score"], row["template"] or "(the empty template)"))
    return Table("Templates", ("pool", "score", "selected template"), "lrl", rows)


def _samples(run: Path, suite: str, each: int = 2) -> list[dict[str, Any]]:
    """The first right and the first wrong samples of different problems; reads no further than necessary."""
    out: list[dict[str, Any]] = []
    wanted = {True: each, False: each}
    seen: set[str] = set()
    for row in iter_samples(samples_path(run, suite)):
        right = row.score >= 1.0
        if not wanted[right] or row.problem in seen:
            continue
        wanted[right] -= 1
        seen.add(row.problem)
        texts = {"prompt": row.prompt, "completion": row.completion, "answer": str(row.answer), "gold": row.gold}
        shown = {key: excerpt(text) for key, text in texts.items()}
        out.append({**tree(row), **shown, "verdict": "right" if right else "wrong"})
        if not any(wanted.values()):
            break
    return sorted(out, key=lambda s: s["verdict"])
