"""Arms against each other on one measure: differences with intervals, tests, corrections and ties.

The statistics are in harness/stats/intervals.py; docs/statistics.md explains every number.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from harness.stats.scores import Cells, Measure, Score
from harness.stats.seeds import Spread
from harness.stats.verdicts import MARGIN, Outcome, outcome

if TYPE_CHECKING:
    from harness.stats.intervals import Array, Estimate
    from harness.stats.questions import Questions


@dataclass(frozen=True)
class Rule:
    """What makes a difference count: `margin`, the smallest that matters, a share; `alpha`, the level of this look; `paired`,
    the indices of arms any two of which have pairs of seeds (harness/stats/pairing.py)."""

    margin: float = MARGIN / 100
    alpha: float = 0.05
    paired: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Bounds:
    """An interval, 95% unless the look at hand has another level, its standard error and degrees of freedom. It is cut where
    no difference of scores can lie."""

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

    `fixed` answers "would a re-run agree on these questions?", `new` "and on others like them?"; `rule` names what both rest
    on (harness/stats/seeds.py). `verdict` is what `fixed` decides, given the margin; None without an interval. `p` belongs to
    `fixed`; `p_adjusted` is p after `correction`, "Holm" or "BH". `mde` is the effect that had an 80% chance of being
    detected, given where `fixed` includes 0; None where no possible difference had that. `question_p`, by `question_test`,
    says nothing about other training seeds. `solved_p` is the exact test of equal shares of solved seeds, after the same
    correction.
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
    rule: str = ""
    verdict: Outcome | None = None

    @property
    def mark(self) -> str:
        """`†`: adjusted p below .05; `‡`: the interval for new questions excludes 0 as well."""
        if self.p_adjusted is None or self.p_adjusted >= 0.05:
            return ""
        return "‡" if self.new and self.new.excludes_zero else "†"


def contrasts_of(
    measures: Sequence[Measure],
    scores: Sequence[dict[str, Score]],
    cells: Sequence[Cells],
    base: int,
    spreads: Mapping[str, Spread],
    rule: Rule = Rule(),  # noqa: B008  (frozen)
) -> list[dict[str, Contrast]]:
    """The contrasts of every arm by measure, none for the baseline; `spreads` by measure.

    p is adjusted by Holm over the arms within a macro average, and by Benjamini-Hochberg over all arms and suites; so is p of
    the solved shares.
    """
    from harness.stats import multiple

    others = [i for i in range(len(scores)) if i != base]
    out: list[dict[str, Contrast]] = [{} for _ in scores]
    for m in measures:
        question_p = _question_p([cells[i].get(m.key) for i in others], cells[base].get(m.key))
        for i, of_questions in zip(others, question_p, strict=True):
            own, theirs = ((scores[j][m.key], cells[j].get(m.key)) for j in (i, base))
            pairs = {i, base} <= rule.paired
            out[i][m.key] = contrast(own[0], theirs[0], own[1], theirs[1], of_questions, spreads[m.key], rule, pairs)
    families = [(multiple.holm, "Holm", [(i, m.key) for i in others]) for m in measures if m.protocol is None]
    families.append((multiple.benjamini_hochberg, "BH", [(i, m.key) for i in others for m in measures if m.protocol]))
    for adjust, name, family in families:
        known = {(i, key): p for i, key in family if (p := out[i][key].p) is not None}
        for (i, key), adjusted in adjust(known).items():
            out[i][key] = replace(out[i][key], p_adjusted=adjusted, correction=name)
        shares = {(i, key): p for i, key in family if (p := out[i][key].solved_p) is not None}
        for (i, key), adjusted in adjust(shares).items():
            out[i][key] = replace(out[i][key], solved_p=adjusted)
    return out


def contrast(
    arm: Score,
    baseline: Score,
    arm_cells: list[Questions] | None = None,
    baseline_cells: list[Questions] | None = None,
    of_questions: tuple[float | None, str] = (None, ""),
    spread: Spread = Spread(),  # noqa: B008  (frozen)
    rule: Rule = Rule(),  # noqa: B008
    paired: bool = False,
) -> Contrast:
    """The difference of two arms on one measure; `paired` if their seeds are pairs."""
    from harness.stats import intervals, seeds

    a_S, b_S = (np.array(list(s.per_seed.values())) for s in (arm, baseline))
    found, fixed, new, p, note, mde, verdict = None, None, None, None, "", None, None
    if min(len(a_S), len(b_S)) < 2:
        note = "one seed: no interval"
    else:
        found = seeds.difference(a_S, b_S, spread, paired)
        if found.spread:
            fixed, p = bounds(found, rule.alpha), float(found.p())
            mde = None if fixed.excludes_zero else _possible(float(found.mde(rule.alpha)))
            verdict = outcome(found, rule.margin, rule.alpha)
        else:
            note = "no spread over seeds: no interval"
        if fixed and arm_cells and baseline_cells and min(q.drawn for q in arm_cells) > 1:
            both = ([q.scores_S_Q for q in arm_cells], [q.scores_S_Q for q in baseline_cells])
            families = [q.clusters_Q for q in arm_cells]
            new = bounds(intervals.question_difference(*both, these=found, clusters=families), rule.alpha)
    solved_p = None
    if arm.solved and baseline.solved:
        solved_p = intervals.exact_shares(arm.solved.count, len(a_S), baseline.solved.count, len(b_S))
    question_p, question_test = of_questions
    return Contrast(
        difference=float(a_S.mean() - b_S.mean()),
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
        rule=found.rule if found and fixed else "",
        verdict=verdict,
    )


def bounds(e: Estimate, alpha: float, most: float = 1.0) -> Bounds:
    """The interval of a difference between scores from 0 to `most`, so that it ends at -`most` and `most` at the latest."""
    low, high = (min(most, max(-most, most * float(end))) for end in e.interval(alpha))
    return Bounds(low, high, most * float(e.se), float(e.df))


def _possible(effect: float) -> float | None:
    """None for an effect that no two scores can have."""
    return effect if effect <= 1 else None


def _question_p(arms: Sequence[list[Questions] | None], baseline: list[Questions] | None) -> list[tuple[float | None, str]]:
    """p of every arm, and the test: McNemar with one outcome per question and arm, otherwise sign flips of the means, of
    families where there are some."""
    from harness.stats import intervals

    known = [(i, arm) for i, arm in enumerate(arms) if arm and baseline]
    out: list[tuple[float | None, str]] = [(None, "")] * len(arms)
    if not known or baseline is None:
        return out
    base_Q = [q.scores_S_Q.mean(0) for q in baseline]
    families = [q.clusters_Q for q in baseline]
    differences = [np.stack([arm[b].scores_S_Q.mean(0) - base_Q[b] for _, arm in known]) for b in range(len(base_Q))]
    differences = [intervals.by_family(d, family) for d, family in zip(differences, families, strict=True)]
    for (i, _), p in zip(known, intervals.sign_flip(differences), strict=True):
        out[i] = (float(p), "sign-flip")
    for i, arm in known:
        if len(arm) == 1 and families[0] is None and all(q.k == 1 and len(q.seeds) == 1 for q in (*arm, *baseline)):
            out[i] = (intervals.mcnemar(arm[0].scores_S_Q[0], base_Q[0]), "McNemar")
    return out


def ties_of(arms: Mapping[str, Array], spread: Spread, paired: Collection[str] = ()) -> dict[str, str]:
    """The tie groups of the arms, by their scores per seed, that have two seeds or more; Holm over all pairs. `paired` arms
    have pairs of seeds with each other."""
    from harness.stats import multiple

    several = {name: scores_S for name, scores_S in arms.items() if len(scores_S) > 1}
    if len(several) < 2:
        return {}
    adjusted = multiple.holm(_pair_p(several, spread, frozenset(paired)))
    different = [pair for pair, p in adjusted.items() if p < 0.05]
    return multiple.tie_letters({name: float(v.mean()) for name, v in several.items()}, different)


def _pair_p(several: Mapping[str, Array], spread: Spread, paired: frozenset[str]) -> dict[tuple[str, str], float]:
    """p of the difference of every two arms. All whose arms have as many seeds as each other are computed at once."""
    from harness.stats import seeds

    alike: dict[tuple[int, int, bool], list[tuple[str, str]]] = {}
    for a, b in itertools.combinations(several, 2):
        alike.setdefault((len(several[a]), len(several[b]), {a, b} <= paired), []).append((a, b))
    out: dict[tuple[str, str], float] = {}
    for (_, _, pairs), arms in alike.items():
        first, second = (np.stack([several[arm] for arm in side]) for side in zip(*arms, strict=True))
        out.update(zip(arms, map(float, seeds.difference(first, second, spread, pairs).p()), strict=True))
    return out
