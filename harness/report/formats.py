"""A comparison in every format, its page included."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.core.errors import UsageError
from harness.report import plots
from harness.report.answers import answers
from harness.report.brief import in_text
from harness.report.comparison import to_latex, to_markdown
from harness.report.pages import panels, render
from harness.report.sentences import comparison_sentences, subject, with_sentences
from harness.report.spreadsheet import to_csv
from harness.runs.files import write_text
from harness.runs.logs import read_metrics
from harness.runs.result import load_result
from harness.stats.comparison import Comparison

WIDTH = 150
"""Columns of a text file, all tables in full."""
OUTPUT_FORMATS = {"terminal": ".txt", "markdown": ".md", "csv": ".csv", "latex": ".tex", "json": ".json", "html": ".html"}
"""The formats of a comparison, with their file suffixes."""


def comparison_page(runs: Sequence[Path], comparison: Comparison) -> str:
    """The page of a comparison. `runs` are the directories of its arms, in order, for the learning curves."""
    hashes = [load_result(run).spec_hash for run in runs]
    names = zip(comparison.arms, runs, hashes, strict=True)
    return render(
        "comparison.html.j2",
        title="Comparison",
        sentences=comparison_sentences(comparison),
        keys=[{"label": arm.label, "colour": plots.colour(i)} for i, arm in enumerate(comparison.arms)],
        subtitle=f"{subject(comparison)}; baseline {comparison.arms[comparison.baseline].label}",
        panels=panels([read_metrics(run) for run in runs], lambda arm, _: arm, ["reward"]),
        runs=[{"label": a.label, "name": run.resolve().name, "spec_hash": spec_hash[:12]} for a, run, spec_hash in names],
        **answers(comparison),
    )


def to_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as one object, its sentences first."""
    return with_sentences(comparison.to_dict(), comparison_sentences(comparison))


def render_comparison(runs: Sequence[Path], comparison: Comparison, name: str) -> str:
    """The comparison in one of OUTPUT_FORMATS, always with the same tables. `runs` as for `comparison_page`."""
    renderers: dict[str, Callable[[], str]] = {
        "terminal": lambda: in_text(comparison, WIDTH),
        "markdown": lambda: to_markdown(comparison),
        "csv": lambda: to_csv(comparison),
        "latex": lambda: to_latex(comparison),
        "json": lambda: json.dumps(to_json(comparison), indent=1) + "\n",
        "html": lambda: comparison_page(runs, comparison),
    }
    return renderers[name]()


def write_comparison(runs: Sequence[Path], comparison: Comparison, out: Path, name: str | None = None) -> Path:
    """Write `out` in one of OUTPUT_FORMATS, by default the one of its suffix. Raises UsageError for an unknown suffix."""
    found = name or next((f for f, suffix in OUTPUT_FORMATS.items() if suffix == out.suffix), None)
    if found is None:
        known = ", ".join(OUTPUT_FORMATS.values())
        raise UsageError(f"{out}: unknown format; use one of the suffixes {known}, or --format")
    out.parent.mkdir(parents=True, exist_ok=True)
    return write_text(out, render_comparison(runs, comparison, found))
