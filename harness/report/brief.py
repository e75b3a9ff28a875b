"""A comparison on the terminal: what came out in sentences, then a table that fits 80 columns, or, in full, all tables."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace

from harness.core.text import visible
from harness.report import terminal
from harness.report.comparison import arm_notes, best, contrast_cells, interval_cell, tables
from harness.report.sentences import comparison_sentences, faults_of
from harness.report.tables import Table, points
from harness.stats.comparison import Comparison
from harness.stats.scores import Measure

MOST_ROWS = 48
"""Rows that a terminal shows; of more, those of the averages alone."""
WIDEST = 100
"""Columns of prose, however wide the terminal is."""


def print_comparison(c: Comparison, full: bool = False) -> None:
    """Print what came out, and the tables: one, or all of them with all their columns."""
    from rich.console import Console
    from rich.text import Text

    console = Console(width=terminal.width())
    for stamp in c.stamps:
        console.print(Text(f"not a result: {visible(stamp)}", style="bold red"))
    for line in filled(comparison_sentences(c), console.width):
        console.print(Text(line), soft_wrap=True)
    console.print()
    terminal.show(*(tables(c) if full else [brief_table(c)]))


def in_text(c: Comparison, columns: int) -> str:
    """All of it as plain text."""
    stamps = [f"not a result: {visible(stamp)}" for stamp in c.stamps]
    lines = [*stamps, *filled(comparison_sentences(c), columns)]
    return "\n".join([*lines, "", terminal.in_text(tables(c), columns)])


def filled(found: Sequence[object], columns: int) -> list[str]:
    """Sentences, each in lines of its own."""
    most = min(columns, WIDEST)
    return [textwrap.fill(visible(str(x)), most, subsequent_indent=terminal.INDENT, break_on_hyphens=False) for x in found]


def brief_table(c: Comparison, title: str = "") -> Table:
    """A row per measure and arm: score, interval, difference from the baseline, verdict; the rest is in the other tables."""
    shown = c.measures
    notes = []
    if len(c.measures) * len(c.arms) > MOST_ROWS and (few := [m for m in c.measures if m.protocol is None]):
        shown = few
        notes.append(f"Averages alone; {len(c.measures) - len(few)} suites with --full.")
    table = _of_one(c, shown) if len(c.arms) == 1 else _of_several(c, shown)
    notes += [*arm_notes(c), "All columns, tests, budgets and protocols: --full."]
    return replace(table, title=title or table.title, notes=(*table.notes, *notes))


def _of_one(c: Comparison, measures: Sequence[Measure]) -> Table:
    [arm] = c.arms
    rows: list[tuple[str, ...]] = []
    for m in measures:
        s = arm.scores[m.key]
        sd = "" if s.sd is None else points(s.sd)
        rows.append((m.title, points(s.mean), interval_cell(s.low, s.high), sd, str(len(s.per_seed))))
    return Table(
        title=arm.label,
        header=("measure", "score", "95% interval", "sd", "seeds"),
        align="lrrrr",
        rows=rows,
        notes=("Percent points. 95% interval: for new questions and new seeds. sd: over seeds.",),
        bold=frozenset((i, j) for i, m in enumerate(measures) for j in (0, 1) if m.protocol is None),
        remarks=_remarks([faults_of(c, arm, m) for m in measures]),
    )


def _of_several(c: Comparison, measures: Sequence[Measure]) -> Table:
    rows: list[tuple[str, ...]] = []
    faults, bold, grey = [], set(), set()
    for m in measures:
        for i, arm in enumerate(c.arms):
            s = arm.scores[m.key]
            if len(s.per_seed) == 1:
                grey.add(len(rows))
            if best(c, m.key) is arm:
                bold.add((len(rows), 2))
            difference, these, _, verdict, *_ = contrast_cells(arm, m.key)
            difference = difference.rstrip("†‡")
            name = m.title if i == 0 else ""
            rows.append((name, arm.label, points(s.mean), interval_cell(s.low, s.high), difference, these, verdict))
            faults.append(faults_of(c, arm, m))
    base, margin = c.arms[c.baseline].label, points(c.margin)
    sure = f"{100 * (1 - c.alpha):.3g}%"
    return Table(
        title="Scores",
        header=("measure", "arm", "score", "95% interval", "difference", "these questions", "verdict"),
        align="llrrrrr",
        rows=rows,
        notes=(
            f"Percent points. Difference from {base}, with its {sure} interval on these questions; gain or loss: beyond "
            f"{margin} points; equivalent: within.",
        ),
        bold=frozenset(bold),
        grey=frozenset(grey),
        remarks=_remarks(faults),
    )


def _remarks(faults: Sequence[Sequence[str]]) -> dict[int, str]:
    return {i: "; ".join(own) for i, own in enumerate(faults) if own}
