"""The robust views of a comparison: a table, and pictures for its page. harness/stats/robust.py computes them."""

from __future__ import annotations

from typing import Any

from harness.report import plots
from harness.report.tables import Table, interval, points
from harness.stats.comparison import Comparison
from harness.stats.robust import LEAST, REPLICATIONS, SEED, View
from harness.stats.scores import Measure

COVERAGE = (
    "In simulation these 95% intervals of an IQM hold the truth in 72 to 78% with 3 seeds and in 90 to 95% with 5 to 16; the "
    "stratified ones in 35 to 94%, less the more the suites of a seed go together. Verdicts rest on the differences above."
)
"""What tests/checks/robust_coverage.py measures; docs/statistics.md has the table."""


def robust_table(c: Comparison) -> Table:
    """A row per role and arm: interquartile mean, and the chance that a seed beats one of the baseline."""
    header = ["measure", "arm", "IQM", "IQM 95%", "IQM stratified", "improvement", "improvement 95%", "improvement stratified"]
    rows: list[tuple[str, ...]] = []
    grey = set()
    for m in c.measures:
        for i, arm in enumerate(a for a in c.arms if m.key in a.robust):
            view = arm.robust[m.key]
            if view.iqm.low is None:
                grey.add(len(rows))
            better = ("baseline", "", "") if view.improvement is None else _cells(view.improvement)
            rows.append((suites(m) if i == 0 else "", arm.label, *_cells(view.iqm), *better))
    name = c.arms[c.baseline].label
    notes = (
        "IQM: mean of the middle half of all scores over seeds and suites. improvement: the chance that a seed beats one of "
        f"{name} on a suite, ties half. Both after Agarwal et al. (2021); percent.",
        f"Bootstrap intervals, {REPLICATIONS:,} replications, seed {SEED}, from {LEAST} seeds on: 95%, whole seeds drawn with "
        "all their suites; stratified, as in the paper, the seeds of every suite by themselves.",
        COVERAGE,
    )
    return Table("Robust views", tuple(header), "ll" + "r" * 6, rows, notes, grey=frozenset(grey))


def suites(m: Measure) -> str:
    """What a role's views are over."""
    return f"{m.role.upper()} suites"


def _cells(view: View) -> tuple[str, str, str]:
    ends = [(view.low, view.high), view.stratified or (None, None)]
    whole, stratified = ("" if low is None or high is None else interval(low, high) for low, high in ends)
    return points(view.value), whole, stratified


def robust_panels(c: Comparison, most: int) -> list[dict[str, Any]]:
    """Plots of the views of the first `most` arms: a row per arm for each of the two numbers, and a profile per role."""
    from markupsafe import Markup

    iqm, better, out = [], [], []
    for m in c.measures:
        views = [(i, arm.label, arm.robust[m.key]) for i, arm in enumerate(c.arms[:most]) if m.key in arm.robust]
        if not views:
            continue
        rows = [(label, plots.series_of(i, len(c.arms), c.baseline), v) for i, label, v in views]
        iqm.append((suites(m), [_mark(label, series, v.iqm) for label, series, v in rows]))
        better.append(
            (suites(m), [_mark(label, series, v.improvement) for label, series, v in rows if v.improvement is not None])
        )
        bands = [
            plots.Band([100 * x for x in v.profile.at], list(v.profile.share), i, _ends(v.profile.low), _ends(v.profile.high))
            for i, _, v in views
        ]
        svg = Markup(plots.profiles(bands, "score, percent points", "share of scores above"))
        out.append({"title": f"Performance profile over seeds, {suites(m)}", "svg": svg})
    if out:
        shown = [
            ("Interquartile mean; bar: 95% interval from whole seeds", iqm, "score, percent points", None),
            (f"Chance of a seed to beat one of {c.arms[c.baseline].label}; upright bar: none", better, "percent", 50.0),
        ]
        out = [{"title": title, "svg": Markup(plots.dots(groups, x, line))} for title, groups, x, line in shown] + out
    return out


def _ends(ends: tuple[float, ...] | None) -> list[float] | None:
    return None if ends is None else list(ends)


def _mark(label: str, series: int, view: View) -> plots.Mark:
    low, high = (None, None) if view.low is None or view.high is None else (100 * view.low, 100 * view.high)
    return plots.Mark(label=label, points=[], series=series, mean=100 * view.value, low=low, high=high)
