"""A comparison in sentences: who is ahead by how much, at which cost, and what would decide what is undecided."""

from __future__ import annotations

import math

from harness.report.tables import interval, points
from harness.stats.comparison import Arm, Comparison
from harness.stats.contrasts import Contrast
from harness.stats.scores import Measure

PLACES = {"macro:ood": "out of distribution", "macro:id": "in distribution"}


def main_measure(c: Comparison) -> Measure:
    """What the sentences are about: the average out of distribution, failing that another average, failing that a suite."""
    averages = [m for m in c.measures if m.protocol is None]
    return next((m for m in averages if m.key == "macro:ood"), (averages or c.measures)[0])


def place(m: Measure) -> str:
    """Where something holds: out of distribution, or on a suite."""
    return PLACES.get(m.key, f"on {m.title}")


def sentences(c: Comparison) -> list[str]:
    """One sentence for every arm against the baseline; of a comparison of one arm, its score."""
    m = main_measure(c)
    place = PLACES.get(m.key, f"on {m.title}")
    if len(c.arms) == 1:
        return [_score(c.arms[0], m, place)]
    base = c.arms[c.baseline]
    return [_difference(c, arm, base, m, place) for arm in c.arms if arm is not base]


def sentence_of(c: Comparison, arm: Arm, m: Measure) -> str:
    """How an arm stands to the baseline on a measure; of the baseline, its score."""
    base = c.arms[c.baseline]
    return _score(arm, m, place(m)) if arm is base else _difference(c, arm, base, m, place(m))


def _score(arm: Arm, m: Measure, place: str) -> str:
    s = arm.scores[m.key]
    seeds = f"{len(s.per_seed)} seed{'s' * (len(s.per_seed) > 1)}"
    ends = "" if s.low is None or s.high is None else f"; 95%: {interval(s.low, s.high)}"
    return f"{arm.label} scores {points(s.mean)} {place} ({seeds}{ends})."


def _difference(c: Comparison, arm: Arm, base: Arm, m: Measure, place: str) -> str:
    x = arm.contrasts[m.key]
    ratio = arm.ratio["sampled_tokens"]
    cost = "" if ratio is None else f", at {ratio:.2f} times its sampled tokens"
    if x.fixed is None:
        return f"{arm.label} - {base.label} {place}: {points(x.difference, sign=True)} points{cost}; {x.note}."
    sure = f"{100 * (1 - c.alpha):.3g}%"
    if x.verdict in ("gain", "loss"):
        way = "ahead of" if x.verdict == "gain" else "behind"
        ends = (x.fixed.low, x.fixed.high) if x.verdict == "gain" else (-x.fixed.high, -x.fixed.low)
        by = f"by {points(abs(x.difference))} points ({sure}: {interval(*ends)})"
        return f"{arm.label} is {way} {base.label} {place} {by}{cost}."
    found = f"{points(x.difference, sign=True)} points ({sure}: {interval(x.fixed.low, x.fixed.high, sign=True)})"
    if x.verdict == "equivalent":
        return f"{arm.label} and {base.label} are equal {place} to within {points(c.margin)}: {found}{cost}."
    return f"Whether {arm.label} is ahead of {base.label} {place} is undecided: {found}{cost}. {_decider(c, arm, base, x)}"


def _decider(c: Comparison, arm: Arm, base: Arm, x: Contrast) -> str:
    """How many seeds would decide an undecided difference."""
    from harness.stats.chances import MAX_SEEDS, seeds_to_decide

    assert x.fixed is not None
    sizes = len(arm.seeds), len(base.seeds)
    n = seeds_to_decide(x.difference, c.margin, x.fixed.se / math.sqrt(sum(1 / size for size in sizes)), c.alpha)
    if n is None:
        return f"Were that the true difference, {MAX_SEEDS} seeds an arm would not decide it."
    return f"Were that the true difference, {max(n, *sizes)} seeds an arm would decide it in four of five tries."
