"""The report of a study: study.md and study.html."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.report import plots
from harness.report.answers import answers
from harness.report.comparison import to_markdown
from harness.report.pages import render
from harness.report.sentences import comparison_sentences
from harness.report.tables import Table, markdown_cell
from harness.runs.files import write_text
from harness.stats.comparison import Comparison


def write_study(out: Path, title: str, texts: Sequence[str], table: Table, comparisons: Mapping[str, Comparison]) -> None:
    """Write study.md and study.html: `table`, which has all cells, then a comparison per condition."""
    named = {condition or "Comparison": c for condition, c in comparisons.items()}
    parts = [f"# {markdown_cell(title)}\n", *(f"{markdown_cell(text)}\n" for text in texts if text), table.to_markdown()]
    write_text(out / "study.md", "\n".join([*parts, *(to_markdown(c, name) for name, c in named.items())]))
    sections = [
        {
            "title": name,
            "sentences": comparison_sentences(c),
            **answers(c),
            "baseline": c.arms[c.baseline].label,
            "arms": [{"label": arm.label, "colour": plots.colour(i)} for i, arm in enumerate(c.arms)],
        }
        for name, c in named.items()
    ]
    page = render("study.html.j2", title=title, texts=[t for t in texts if t], table_=table, sections=sections)
    write_text(out / "study.html", page)
