"""Arms against each other on one measure: differences with intervals, tests, corrections and ties.

The statistics are in harness/stats/intervals.py; docs/statistics.md explains every number.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from harness.runs.result import Result
from harness.stats.scores import Cells, Measure, Score, scores_by_seed

if TYPE_CHECKING:
    from harness.stats.intervals import Array, Estimate
    from harness.stats.questions import Questions


@dataclass(frozen=True)
class Bounds:
    """A 95% interval, its standard error and degrees of freedom."""

    low: float
    high: float
    se: float
    df: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Contrast:
    """Arm minus baseline on one measure. Where there is no interval, `note` says why.

    `fixed` answers "would a re-run agree on these questions?", `new` "and on others like them?". `p` belongs to `fixed`;
    `p_adjusted` is p after `correction`, "Holm" or "BH". `mde` is the effect that had an 80% chance of being detected,
    given where `fixed` includes 0. `question_p`, by `question_test`, says nothing about other training seeds. `solved_p`
    is the exact test of equal shares of solved seeds.
    """

    difference: float
    fixed: Bounds | None
    new: Bounds | None
    p: float | None
    p_adjusted: float | None
    correction: str
    mde: float | None
    question_p: float | None
    question_test: str
    solved_p: float | None
    note: str

    @property
    def mark(self) -> str:
        """`†`: adjusted p below .05; `‡`: the interval for new questions excludes 0 as well."""
        if self.p_adjusted is None or self.p_adjusted >= 0.05:
            return ""
        return "‡" if self.new and self.new.excludes_zero else "†"


def contrasts_of(
    measures: Sequence[Measure], scores: Sequence[dict[str, Score]], cells: Sequence[Cells], base: int
) -> list[dict[str, Contrast]]:
    """The contrasts of every arm by measure, none for the baseline.

    p is adjusted by Holm over the arms within a macro average, and by Benjamini-Hochberg over all arms and suites.
    """
    from harness.stats import intervals

    others = [i for i in range(len(scores)) if i != base]
    out: list[dict[str, Contrast]] = [{} for _ in scores]
    for m in measures:
        question_p = _question_p([cells[i].get(m.key) for i in others], cells[base].get(m.key))
        for i, of_questions in zip(others, question_p, strict=True):
            own, theirs = ((scores[j][m.key], cells[j].get(m.key)) for j in (i, base))
            out[i][m.key] = contrast(own[0], theirs[0], own[1], theirs[1], of_questions)
    families = [(intervals.holm, "Holm", [(i, m.key) for i in others]) for m in measures if m.protocol is None]
    families.append((intervals.benjamini_hochberg, "BH", [(i, m.key) for i in others for m in measures if m.protocol]))
    for adjust, name, family in families:
        known = {(i, key): p for i, key in family if (p := out[i][key].p) is not None}
        for (i, key), adjusted in adjust(known).items():
            out[i][key] = replace(out[i][key], p_adjusted=adjusted, correction=name)
    return out


def contrast(
    arm: Score,
    baseline: Score,
    arm_cells: list[Questions] | None = None,
    baseline_cells: list[Questions] | None = None,
    of_questions: tuple[float | None, str] = (None, ""),
) -> Contrast:
    """The difference of two arms on one measure. Seeds are never paired, even if they share a number (intervals.py)."""
    from harness.stats import intervals

    a_S, b_S = (np.array(list(s.per_seed.values())) for s in (arm, baseline))
    difference, fixed, new, p, note = float(a_S.mean() - b_S.mean()), None, None, None, ""
    mde = None
    if min(len(a_S), len(b_S)) < 2:
        note = "one seed: no interval"
    else:
        found = intervals.seed_difference(a_S, b_S)
        if found.spread:
            fixed, p = _bounds(found), float(found.p())
            mde = None if fixed.excludes_zero else float(found.mde())
        else:
            note = "no spread over seeds: no interval"
        if arm_cells and baseline_cells and min(len(q.ids) for q in arm_cells) > 1:
            found = intervals.question_difference([q.scores_S_Q for q in arm_cells], [q.scores_S_Q for q in baseline_cells])
            new = _bounds(found) if found.spread and fixed else None
    solved_p = None
    if arm.solved and baseline.solved:
        solved_p = intervals.exact_shares(arm.solved.count, len(a_S), baseline.solved.count, len(b_S))
    question_p, question_test = of_questions
    return Contrast(
        difference=difference,
        fixed=fixed,
        new=new,
        p=p,
        p_adjusted=None,
        correction="",
        mde=mde,
        question_p=question_p,
        question_test=question_test,
        solved_p=solved_p,
        note=note,
    )


def _bounds(e: Estimate) -> Bounds:
    low, high = e.interval()
    return Bounds(float(low), float(high), float(e.se), float(e.df))


def _question_p(arms: Sequence[list[Questions] | None], baseline: list[Questions] | None) -> list[tuple[float | None, str]]:
    """p of every arm, and the test: McNemar with one outcome per question and arm, otherwise sign flips of the means."""
    from harness.stats import intervals

    known = [(i, arm) for i, arm in enumerate(arms) if arm and baseline]
    out: list[tuple[float | None, str]] = [(None, "")] * len(arms)
    if not known or baseline is None:
        return out
    base_Q = [q.scores_S_Q.mean(0) for q in baseline]
    differences = [np.stack([arm[b].scores_S_Q.mean(0) - base_Q[b] for _, arm in known]) for b in range(len(base_Q))]
    for (i, _), p in zip(known, intervals.sign_flip(differences), strict=True):
        out[i] = (float(p), "sign-flip")
    for i, arm in known:
        if len(arm) == 1 and all(q.k == 1 and len(q.seeds) == 1 for q in (*arm, *baseline)):
            out[i] = (intervals.mcnemar(arm[0].scores_S_Q[0], base_Q[0]), "McNemar")
    return out


def ties_of(results: Sequence[Result], names: Sequence[str], key: str) -> dict[str, str]:
    """The tie groups of the arms that have two seeds or more; Holm over all pairs."""
    from harness.stats import intervals

    arms = {name: scores_by_seed(r, key) for name, r in zip(names, results, strict=True)}
    several = {name: np.array(list(v.values())) for name, v in arms.items() if len(v) > 1}
    if len(several) < 2:
        return {}
    adjusted = intervals.holm(_pair_p(several))
    different = [pair for pair, p in adjusted.items() if p < 0.05]
    return intervals.tie_letters({name: float(v.mean()) for name, v in several.items()}, different)


def _pair_p(several: Mapping[str, Array]) -> dict[tuple[str, str], float]:
    """p of `seed_difference` of every pair; 1 where neither arm has any spread, which is too little to tell them apart.

    All pairs whose arms have as many seeds as each other are computed at once.
    """
    from harness.stats import intervals

    shapes: dict[tuple[int, int], list[tuple[str, str]]] = {}
    for a, b in itertools.combinations(several, 2):
        shapes.setdefault((len(several[a]), len(several[b])), []).append((a, b))
    out: dict[tuple[str, str], float] = {}
    for pairs in shapes.values():
        first, second = (np.stack([several[arm] for arm in side]) for side in zip(*pairs, strict=True))
        found = intervals.seed_difference(first, second)
        spread = found.spread
        p = np.where(spread, intervals.Estimate(found.value, np.where(spread, found.se, 1.0), found.df).p(), 1.0)
        out.update(zip(pairs, map(float, p), strict=True))
    return out
