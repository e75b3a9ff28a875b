"""The report of one run, report.md and report.html: pure functions of its directory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from harness.core.ledger import Ledger
from harness.report import plots
from harness.report.ancestry import pools_of
from harness.report.browser import Packed, packed_samples
from harness.report.comparison import fault_notes, overlap_notes, protocol_table
from harness.report.curves import training
from harness.report.pages import excerpt, render, script
from harness.report.sentences import comparison_sentences, markdown_lines
from harness.report.tables import Table, compact, markdown_cell, points, seconds
from harness.runs.environment import read_environment
from harness.runs.files import write_text
from harness.runs.formats import tree
from harness.runs.logs import Template, TemplateRow, read_metrics, read_templates
from harness.runs.result import Result, load_result
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
    drawn, flat = training(read_metrics(run), result.seeds)
    templates = read_templates(run, result.seeds)
    pools, pool_notes = _ancestry(templates)
    samples = packed_samples(run, list(result.suites), result.seeds)
    scores, details = _scores(result, comparison), [_ledger(result), protocol_table(comparison)]
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
        scores=scores,
        details=details,
        keys=[{"label": f"seed {s}", "colour": plots.colour(i)} for i, s in enumerate(result.seeds)],
        panels=drawn,
        flat=flat,
        pools=pools,
        pool_notes=pool_notes,
        samples=samples,
        sample_note=_sample_note(samples),
        commands=commands,
        spec_hash=result.spec_hash[:12],
        spec=_pretty(result.spec),
        environment=_pretty(tree(env) if env else {}),
        **script("run.js"),
    )
    lines = [f"# {markdown_cell(title)}\n", f"{markdown_cell(subtitle)}.\n"]
    if result.not_a_result:
        lines.append(f"> **Not a result.** {markdown_cell(result.not_a_result)}\n")
    lines += [markdown_lines(said), *(table.to_markdown() for table in (scores, *details))]
    if templates:
        lines.append(_templates_table(templates).to_markdown())
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
        notes=(note, *fault_notes(comparison), *overlap_notes(comparison)),
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


TEMPLATES = 600
"""Maximum number of templates on a page."""


def _ancestry(templates: Sequence[Template]) -> tuple[list[dict[str, Any]], list[str]]:
    """The pools of templates as trees, and what is left out of them: where all are too many, those that were not selected and
    are nobody's ancestors; where these are too many, the last pools."""
    rows = [t.row for t in templates]
    if len(rows) <= TEMPLATES:
        return pools_of(rows, TEMPLATES, every=True)[0], []
    pools, left = pools_of(rows, TEMPLATES)
    notes = [f"Of {len(rows):,} templates, the selected ones and their ancestors are shown."]
    return pools, [*notes, *([f"The folder templates/ has {left} more pools."] if left else [])]


def _templates_table(templates: Sequence[Template]) -> Table:
    """A row per selected template, the best of a pool first, each text on one line."""
    pools: dict[tuple[int, int], list[TemplateRow]] = {}
    for t in templates:
        pools.setdefault((t.row.seed, t.row.epoch), []).append(t.row)
    rows: list[tuple[str, ...]] = []
    for (seed, epoch), pool in pools.items():
        chosen = sorted((row for row in pool if row.selected), key=lambda row: -(row.mean_score or 0.0))
        for i, row in enumerate(chosen):
            name = f"seed {seed} after epoch {epoch + 1}: {len(chosen)} selected of {len(pool)}" if i == 0 else ""
            score = "unscored" if row.mean_score is None else points(row.mean_score)
            rows.append((name, score, excerpt(row.template) or "(the empty template)"))
    return Table("Templates", ("pool", "score", "selected template"), "lrl", rows)


def _sample_note(samples: Packed) -> str:
    """What the browser holds, and what it leaves out."""
    what = (
        f"All {samples.total:,} samples"
        if samples.shown == samples.total
        else (f"The first samples of every suite, {samples.shown:,} of {samples.total:,}")
    )
    note = f"{what}, in the order of samples/*.jsonl. Keys: j and k for the next and the previous one, arrows in the list."
    if samples.cut:
        note += f" Of texts longer than {samples.cut:,} characters, the beginning and the end are shown, and searched."
    return note
