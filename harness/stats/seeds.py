"""The difference of two arms over training seeds: one interval that holds for scores that are normal, bounded, bimodal or
without spread. docs/statistics.md has the rule and its measured error rates.

Scores are shares in [0, 1], one per seed; leading axes are batches, so that simulations call the code that decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.stats.intervals import PAIRED, Array, Estimate, two_sided_df

GAP = 0.10
"""Seeds split in two where neighbouring scores are at least this far apart ..."""
GAP_SDS = 5.0
"""... and this many standard deviations of the seeds on either side of the gap."""


@dataclass(frozen=True)
class Split:
    """Seeds that end in one of two ways: `at` or above ("solved"), or below. `low` and `high` are the mean scores of the two
    kinds over all arms; 0 and 1 for a kind that no seed shows. `declared` by the training set, or else seen in the scores.
    """

    at: Any
    low: Any
    high: Any
    declared: bool = False


@dataclass(frozen=True)
class Spread:
    """What is known of the spread of seeds on one measure before two of its arms are compared.

    `floor`: the standard deviation that the score's own resolution implies (`resolution`); no seed is taken to vary less.
    """

    floor: float = 0.0
    split: Split | None = None


def resolution(sizes: Sequence[tuple[int, int]]) -> float:
    """The standard deviation of a macro average in which one sample of each suite comes out either way; `sizes` holds
    (problems, samples per problem) of every suite."""
    return float(np.sqrt(sum((1 / (n * k)) ** 2 for n, k in sizes)) / len(sizes))


def spread_of(arms: Sequence[Array], floor: float = 0.0, solved_at: float | None = None) -> Spread:
    """The spread from the per-seed scores of all arms of a measure, (..., S) each."""
    return Spread(floor=floor, split=split_of(arms, solved_at))


def as_numbers(s: Spread) -> Spread:
    """A spread without batch axes in plain numbers, as it can be written to a file."""
    return replace(s, split=replace(s.split, low=float(s.split.low), high=float(s.split.high)) if s.split else None)


def split_of(arms: Sequence[Array], solved_at: float | None = None) -> Split | None:
    """The two kinds of outcome, at the threshold `solved_at` or, without one, at a gap that the scores show.

    The gap is the widest between neighbouring scores of all arms that some arm has seeds on both sides of; it counts if it is
    at least GAP wide and GAP_SDS times the standard deviation within arms and sides. For single comparisons, without batch
    axes, where a threshold is not given.
    """
    declared = solved_at is not None
    if solved_at is None and (solved_at := _gap(arms)) is None:
        return None
    every = np.concatenate(arms, -1)
    solved = every >= solved_at
    return Split(at=solved_at, low=_mean(every, ~solved, 0.0), high=_mean(every, solved, 1.0), declared=declared)


def _mean(scores: Array, chosen: Array, otherwise: float) -> Any:
    count = chosen.sum(-1)
    return np.where(count > 0, (scores * chosen).sum(-1) / np.maximum(count, 1), otherwise)


def _gap(arms: Sequence[Array]) -> float | None:
    """The middle of a gap between two kinds of seeds; None where the scores show none."""
    every = np.sort(np.concatenate(arms))
    widths = np.diff(every)
    for i in np.argsort(-widths):
        at = float(every[i] + every[i + 1]) / 2
        if widths[i] < GAP:
            return None
        if any((arm < at).any() and (arm >= at).any() for arm in arms):
            sides = [side for arm in arms for side in (arm[arm < at], arm[arm >= at]) if len(side) > 1]
            df = sum(len(side) - 1 for side in sides)
            within = np.sqrt(sum(side.var() * len(side) for side in sides) / df) if df > 1 else np.inf
            return at if widths[i] >= GAP_SDS * within else None
    return None


def difference(a_S: Array, b_S: Array, spread: Spread = Spread(), paired: bool = False) -> Estimate:  # noqa: B008  (frozen)
    """Mean of `a` minus mean of `b`, with the interval that fits what is known of the spread; `Estimate.rule` names it.

    shares: outcomes of two kinds (Agresti and Caffo 2000): every arm gets one seed of each kind on top. Not for pairs: what
    makes their interval hold (one pair on top of each of four kinds, after Agresti and Min 2005) costs more than pairs bring.
    paired: seed i of both arms share their randomness, which the caller has checked; the t interval of their differences.
    otherwise Welch (1947), or Cochran and Cox (1950) for unequal numbers of seeds, where Welch's interval is too short.
    All but shares are at least as wide as the floor makes them. Both arms need two seeds, paired ones as many as each other, in
    one order.
    """
    value = a_S.mean(-1) - b_S.mean(-1)
    if spread.split is not None:
        return replace(_shares(a_S, b_S, spread.split, spread.floor), value=value)
    if paired:
        n = a_S.shape[-1]
        v = np.maximum((a_S - b_S).var(-1, ddof=1), 2 * spread.floor**2) / n
        return Estimate(value, np.sqrt(v), n - 1, PAIRED)
    va, vb = (np.maximum(x.var(-1, ddof=1), spread.floor**2) / x.shape[-1] for x in (a_S, b_S))
    da, db = a_S.shape[-1] - 1, b_S.shape[-1] - 1
    v = va + vb
    with np.errstate(invalid="ignore", divide="ignore"):
        if da == db:
            df = np.where(v > 0, v**2 / (va**2 / da + vb**2 / db), da)
            return Estimate(value, np.sqrt(v), df, "Welch")
        share = np.where(v > 0, va / v, 0.5)
    return Estimate(value, np.sqrt(v), two_sided_df([(share, da), (1 - share, db)]), "Cochran and Cox")


def _shares(a_S: Array, b_S: Array, split: Split, floor: float) -> Estimate:
    moments = []
    for x in (a_S, b_S):
        ends = [np.broadcast_to(np.asarray(end)[..., None], (*x.shape[:-1], 1)) for end in (split.low, split.high)]
        more = np.concatenate([x, *ends], -1)
        moments.append((more.mean(-1), more.var(-1)))
    return _of_moments(moments, (a_S.shape[-1], b_S.shape[-1]), floor)


def counted(solved: tuple[Any, Any], n: int, low: float, high: float, within: float = 0.0) -> Estimate:
    """What `difference` makes of arms of `n` seeds, of which so many score `high` and the others `low`, on average and with a
    variance of `within` in either kind."""
    seen = sum(solved)
    end_low, end_high = np.where(seen < 2 * n, low, 0.0), np.where(seen > 0, high, 1.0)
    moments = []
    for count in solved:
        mean = (count * high + (n - count) * low + end_low + end_high) / (n + 2)
        square = (count * high**2 + (n - count) * low**2 + end_low**2 + end_high**2) / (n + 2)
        moments.append((mean, np.maximum(square - mean**2, 0.0) + within * n / (n + 2)))
    return replace(_of_moments(moments, (n, n), 0.0), value=(solved[0] - solved[1]) * (high - low) / n)


def _of_moments(moments: Sequence[tuple[Any, Any]], sizes: tuple[int, int], floor: float) -> Estimate:
    """From the mean and variance of each arm's seeds with one of each kind on top."""
    (a, va), (b, vb) = moments
    parts = [np.maximum(v, floor**2) / (n + 2) for v, n in zip((va, vb), sizes, strict=True)]
    return Estimate(a - b, np.sqrt(parts[0] + parts[1]), sum(sizes) + 2, "shares", centre=a - b)
