"""The page of a leaderboard or of several runs: a pure function of the runs, the same bytes for the same runs.

A single page has everything: tables that a script sorts and filters, plots, templates with their ancestry, a sample
browser. Without the script only the samples are missing. Whatever a model wrote counts as hostile: it enters the page as
escaped text, or as JSON in a data block whose `<`, `>` and `&` are escaped, and the script shows it as text only.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from harness.core.errors import MissingError, UsageError
from harness.core.text import visible
from harness.leaderboard.ancestry import template_pools
from harness.leaderboard.arms import NOWHERE, Links, arm_details
from harness.leaderboard.entries import Entry, load_filed, load_run
from harness.leaderboard.groups import ComparableRuns, apart_by, group, titles
from harness.report import plots
from harness.report.comparison import budget_table, protocol_table, scores_table, several_tables
from harness.report.pages import CURVES, excerpt, overview, render
from harness.report.run import render_report
from harness.report.standings import answer, cost_picture, picture, standings
from harness.report.tables import Table, compact, points
from harness.runs.files import write_text
from harness.runs.result import is_filed, load_result, runs_below
from harness.stats.comparison import Comparison, margin_of

SAMPLES = 400
"""Maximum number of samples on a page, SAMPLE_BYTES in all."""
SAMPLE_BYTES = 1_200_000
PANELS = 4
"""Maximum number of learning curves on a page, in the order of CURVES."""


def per_suite(entries: int, suites: int) -> int:
    """The number of problems per suite whose samples a page shows."""
    return max(1, min(8, SAMPLES // max(1, entries * suites)))


def write_page(paths: Sequence[Path], out: Path | None) -> Path:
    """Write the page of one run, or of several runs and all runs below folders; returns its path.

    Raises MissingError if there is no finished run, UsageError if `out` has no default: with several folders, or within a
    board, which holds nothing but filed runs and what was built from them.
    """
    below = {path: runs_below(path) for path in paths}
    if empty := [path for path, found in below.items() if not found]:
        raise MissingError(f"no finished run in {', '.join(map(str, empty))}")
    runs = list(dict.fromkeys(run for found in below.values() for run in found))
    if out is None:
        if len(paths) > 1 or any(map(is_filed, runs)):
            why = "there are several runs" if len(paths) > 1 else "filed runs stay as they are"
            raise UsageError(f"{why}: name the page with --out")
        out = paths[0] / "report.html"
    out.parent.mkdir(parents=True, exist_ok=True)
    if len(runs) == 1 and not is_filed(runs[0]):
        return write_text(out, render_report(runs[0])[0])
    suites = max(len(load_result(run).suites) for run in runs)
    picks = per_suite(len(runs), suites)
    entries = [load_filed(run, picks) if is_filed(run) else load_run(run, picks) for run in runs]
    return write_text(
        out, page(paths[0].resolve().name if len(paths) == 1 else "Runs", "Study", group(entries, margin_of(runs)))
    )


def runs_table(c: Comparison, entries: Sequence[Entry]) -> Table:
    """A row per arm: which run it is, and what its scores rest on."""
    rows: list[tuple[str, ...]] = []
    for arm, entry in zip(c.arms, entries, strict=True):
        code = entry.code
        commit = code.commit[:12] + (" and local changes" if code.dirty else "") if code else "unknown"
        teacher, started = entry.result.teacher or "", (entry.started or "")[:10]
        seeds = ", ".join(map(str, arm.seeds))
        evidence, spec = entry.evidence or "not filed", entry.result.spec_hash[:12]
        run, recipe = entry.folder.name, entry.result.recipe
        rows.append((arm.label, evidence, entry.again, run, recipe, seeds, teacher, commit, started, spec))
    header = ("arm", "evidence", "run again", "run", "recipe", "seeds", "teacher", "code", "started", "spec")
    return Table("Runs", header, "l" * len(header), rows)


def suite_table(c: Comparison, entries: Sequence[Entry], key: str) -> Table:
    """A row per arm: every seed's score on a suite, and what could make the score misleading."""
    suites = [e.result.suites[key] for e in entries]
    ks = sorted({k for s in suites for k in s.pass_at if k != 1})
    also = [("parity_avg", "parity score"), ("disagreement", "graders differ"), ("greedy", "greedy")]
    also = [(x, name) for x, name in also if any(getattr(s, x) is not None for s in suites)]
    header = ["arm", "score", *(f"pass@{k}" for k in ks), "tokens per sample", "truncated", "unparsed", "grader faults"]
    header += [*(name for _, name in also), "seeds"]
    rows = []
    for arm, s in zip(c.arms, suites, strict=True):
        tokens = compact(s.generated_tokens / s.drawn(len(arm.seeds)))
        cells = [points(s.avg), *(_points(s.pass_at.get(k)) for k in ks), tokens]
        cells += [points(s.truncated), points(s.unparsed), str(s.grader_faults)]
        cells += [_points(getattr(s, x)) for x, _ in also]
        seeds = ", ".join(f"{seed}: {points(v)}" for seed, v in s.per_seed.items())
        rows.append((arm.label, *cells, seeds))
    return Table(key, tuple(header), "l" + "r" * (len(header) - 2) + "l", rows)


def _points(share: float | None) -> str:
    return "" if share is None else points(share)


def pilots_table(pilots: Sequence[Entry], least: int) -> Table:
    """A row per run of fewer seeds than the board asks for, with its scores alone: it is compared with nothing."""
    rows: list[tuple[str, ...]] = []
    for e in sorted(pilots, key=lambda e: e.folder.name):
        means = [_points(e.result.macro.id), _points(e.result.macro.ood)]
        seeds = ", ".join(map(str, e.result.seeds))
        rows.append((e.result.method, e.evidence or "", e.folder.name, seeds, *means, e.result.not_a_result or ""))
    header = ("arm", "evidence", "run", "seeds", "ID", "OOD", "not a result")
    note = f"Runs of fewer than the {least} seeds that this board asks for; they enter no comparison, tie or interval."
    return Table("Pilots", header, "llllrrl", rows, (note,))


def page(
    title: str,
    kind: str,
    groups: Sequence[ComparableRuns],
    pilots: Table | None = None,
    notes: Sequence[str] = (),
    ask: str = "",
    links: Links = NOWHERE,
) -> str:
    """One self-contained page: `ask` is the question that it answers, `links` where it leads; a board's pilots and `notes`
    stand at its end.

    The content security policy names its script by hash, so no other script runs.
    """
    from markupsafe import Markup

    script = (files("harness.report") / "templates" / "board.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    total = sum(len(rows) for _, entries in groups for e in entries for rows in e.picks.values())
    sections, data = [], []
    for what, apart, (comparison, entries) in zip(titles(groups), apart_by(groups), groups, strict=True):
        samples = _samples(comparison, entries, SAMPLE_BYTES // max(1, total))
        data.append(samples)
        several = sum(len(e) for _, e in groups)
        sections.append(
            _section(comparison, entries, links, several) | {"title": what, "apart": apart, "samples": len(samples)}
        )
    return render(
        "board.html.j2",
        title=title,
        kind=kind,
        question=ask,
        home=links.home,
        sections=sections,
        pilots=pilots,
        notes=notes,
        digest=digest,
        script=Markup(script),
        data=data_block(data),
    )


def _section(c: Comparison, entries: Sequence[Entry], links: Links, several: int) -> dict[str, Any]:
    """What the template shows of one set of comparable runs; `several` is the number of runs on the page."""
    first = c.arms[: len(plots.PALETTE)]
    return {
        "stamps": c.stamps,
        "answer": answer(c),
        "pictures": [picture(c), *cost_picture(c)],
        "standings": standings(c, [e.evidence or "not filed" for e in entries]),
        "arms": [arm_details(c, entries, i, links) for i in range(len(c.arms))],
        "overview": overview(c),
        "keys": [{"label": a.label, "colour": plots.colour(i)} for i, a in enumerate(first)],
        "curves": _curves(entries[: len(first)]),
        "left": len(c.arms) - len(first),
        "suites": [{"title": m.title, "table": suite_table(c, entries, m.key)} for m in c.measures if m.protocol],
        "templates": template_pools(c, entries, several),
        "tables": [scores_table(c), *several_tables(c), budget_table(c), protocol_table(c), runs_table(c, entries)],
    }


def data_block(value: Any) -> Any:
    """JSON for a `<script type="application/json">`: no text in it can end the element or open a comment."""
    from markupsafe import Markup

    return Markup(_escaped(value))


def _escaped(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    for c in "<>&\u2028\u2029":
        text = text.replace(c, f"\\u{ord(c):04x}")
    return text


def _samples(c: Comparison, entries: Sequence[Entry], most: int) -> list[dict[str, Any]]:
    """Rows of the sample browser, each of about `most` bytes at most, with control characters spelled out."""
    out = []
    for arm, entry in zip(c.arms, entries, strict=True):
        for suite, rows in entry.picks.items():
            for row in rows:
                long, short = most // 2, most // 8
                texts = {"problem": _fit(row.problem, short), "completion": _fit(row.completion, long)}
                texts |= {"prompt": _fit(row.prompt, long)} if isinstance(row.prompt, str) else {}
                texts |= {"answer": _fit(row.answer, short)} if row.answer is not None else {}
                texts["gold"] = _fit(row.gold, short)
                verdict = "right" if row.score >= 1.0 else "wrong"
                facts = [verdict, f"{row.tokens} tokens", *(["truncated"] if row.truncated else [])]
                facts += [f"grading {row.status}"] if row.status != "ok" else []
                facts += ["the graders differ"] if row.parity not in (None, row.score) else []
                facts += [f"seed {row.seed}"]
                out.append(
                    {
                        "arm": visible(arm.label),
                        "suite": suite,
                        "verdict": verdict,
                        "facts": visible(", ".join(map(str, facts))),
                        **texts,
                    }
                )
    return sorted(out, key=lambda s: (s["suite"], s["problem"]))


def _fit(text: str, most: int) -> str:
    """Control characters spelled out, and cut to about `most` bytes in the page."""
    text = visible(text)
    size = len(_escaped(text).encode())
    return text if size <= most else excerpt(text, int(len(text) * most / size))


def _curves(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    from markupsafe import Markup

    out: list[dict[str, Any]] = []
    for key, title in CURVES.items():
        lines = [plots.Line(x.x, x.y, i) for i, e in enumerate(entries) for x in e.curves.get(key, ()) if x.x]
        if lines and len(out) < PANELS:
            out.append({"title": title, "svg": Markup(plots.curves(lines, unit=key == "reward"))})
    return out
