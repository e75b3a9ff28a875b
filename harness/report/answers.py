"""The one table that a page about several arms opens with, and what it folds away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.report.comparison import scores_table, tables
from harness.report.pages import overview
from harness.report.tables import Table, points
from harness.stats.comparison import Comparison

FIRST = ("measure", "arm", "score", "95% interval", "difference", "these questions", "verdict", "sampled tokens")
"""The columns of it; all others stand in the table of all scores."""


def answer_table(c: Comparison) -> Table:
    """A row per measure and arm: score, difference from the baseline with its interval, verdict, cost."""
    every = scores_table(c)
    kept = [i for i, name in enumerate(every.header) if name in FIRST]
    notes = ["Percent points. 95% interval: for new questions and, if there are several seeds, new seeds."]
    if len(c.arms) > 1:
        base, sure = c.arms[c.baseline].label, f"{100 * (1 - c.alpha):.3g}%"
        notes = [
            f"Percent points. Difference from {base}, with its {sure} interval on these questions; gain or loss: the interval "
            f"lies beyond {points(c.margin)} points; equivalent: within them. Sampled tokens: relative to {base}."
        ]
    return Table(
        title="Scores",
        header=tuple(every.header[i] for i in kept),
        align="".join(every.align[i] for i in kept),
        rows=[tuple(row[i] for i in kept) for row in every.rows],
        notes=tuple(notes),
        bold=frozenset((row, kept.index(i)) for row, i in every.bold if i in kept),
        grey=every.grey,
    )


def answers(c: Comparison) -> dict[str, Any]:
    """What a template shows of a comparison: the picture and the table first, the other ones folded."""
    [picture, *pictures] = overview(c)
    every, *others = tables(c)
    return {
        "stamps": c.stamps,
        "picture": picture,
        "first": answer_table(c),
        "pictures": pictures,
        "tables": [replace(every, title="All scores, with notes"), *others],
    }
