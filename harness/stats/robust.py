"""Robust views of several arms over the suites of a role, after Agarwal et al. (2021), "Deep RL at the edge of the statistical
precipice": interquartile mean, performance profile, probability of improvement over the baseline.

They are views: verdicts come from the contrasts. docs/statistics.md says how often their intervals hold the truth. Scores are
shares in [0, 1], (S, M) for an arm: every seed has every suite, since runs that differ in suites are not compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.runs.result import Result

if TYPE_CHECKING:
    from harness.stats.intervals import Array

REPLICATIONS = 4999
"""Resamples of a bootstrap interval."""
SEED = 0
"""Of every bootstrap's random stream."""
LEAST = 3
"""Seeds below which an arm has no interval."""
THRESHOLDS = 41
"""Points of a performance profile, from the lowest score of all arms to the highest."""


@dataclass(frozen=True)
class View:
    """A number and two 95% bootstrap intervals, None where an arm has fewer than LEAST seeds.

    `low` to `high` is from whole seeds with all their suites: one training answers all of them. `stratified` is that of the
    paper, where every suite's seeds are drawn by themselves, as if they were trainings of their own.
    """

    value: float
    low: float | None = None
    high: float | None = None
    stratified: tuple[float, float] | None = None


@dataclass(frozen=True)
class Profile:
    """The share of scores, over seeds and suites, above each of the thresholds `at`; pointwise intervals from whole seeds."""

    at: tuple[float, ...]
    share: tuple[float, ...]
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Robust:
    """One arm on the suites of a role. `iqm`: the mean of the middle half of its scores over seeds and suites. `improvement`:
    the chance that a seed of the arm beats one of the baseline, ties half, mean over suites; None for the baseline."""

    iqm: View
    profile: Profile
    improvement: View | None


def robust_of(results: Sequence[Result], role: str, base: int) -> list[Robust]:
    """The views of every result on the suites of a role, which all have; `base` is the index of the baseline."""
    names = [name for name, suite in results[0].suites.items() if suite.role == role]
    arms = [np.array([[r.suites[name].per_seed[s] for name in names] for s in r.seeds]) for r in results]
    return views(arms, base)


def views(arms: Sequence[Array], base: int, replications: int = REPLICATIONS) -> list[Robust]:
    """The same from scores (S, M), one array an arm; numbers of seeds may differ."""
    every = np.concatenate([x.ravel() for x in arms])
    at = np.linspace(every.min(), every.max(), THRESHOLDS)
    out = []
    for i, x_S_M in enumerate(arms):
        better = None if i == base else _improvement(x_S_M, arms[base], replications)
        out.append(Robust(_iqm(x_S_M, replications), _profile(x_S_M, at, replications), better))
    return out


def _iqm(x_S_M: Array, replications: int) -> View:
    def middle(*columns: Array, axis: int = -1) -> Array:
        from scipy.stats import trim_mean

        pooled = np.concatenate(columns, axis)
        return np.asarray(trim_mean(pooled, 0.25, axis))

    value = float(middle(*x_S_M.T))
    if len(x_S_M) < LEAST:
        return View(value)
    low, high = _bootstrap([*x_S_M.T], middle, replications, expanded(len(x_S_M)), paired=True)
    strata = _bootstrap([*x_S_M.T], middle, replications, 0.95)
    return View(value, float(low), float(high), (float(strata[0]), float(strata[1])))


def _improvement(x_S_M: Array, base_S_M: Array, replications: int) -> View:
    sizes = len(x_S_M), len(base_S_M)
    wins = [0.5 + 0.5 * np.sign(x_S[:, None] - b_S) for x_S, b_S in zip(x_S_M.T, base_S_M.T, strict=True)]

    def over(tables: Sequence[Array]) -> tuple[Sequence[Array], Callable[..., Array]]:
        """Indices of seeds to draw, and the mean of the tables of wins at them."""

        def chance(*drawn: Array, axis: int = -1) -> Array:
            mine, theirs = (np.stack(side).astype(int) for side in (drawn[: len(tables)], drawn[len(tables) :]))
            won = [t[m[..., :, None], b[..., None, :]].mean((-2, -1)) for t, m, b in zip(tables, mine, theirs, strict=True)]
            return np.asarray(np.mean(won, 0))

        return [np.arange(n) for n in sizes for _ in tables], chance

    whole = np.mean(wins, 0)
    value = float(whole.mean())
    if min(sizes) < LEAST:
        return View(value)
    low, high = _bootstrap(*over([whole]), replications, expanded(min(sizes)))
    strata = _bootstrap(*over(wins), replications, 0.95)
    return View(value, float(low), float(high), (float(strata[0]), float(strata[1])))


def _profile(x_S_M: Array, at: Array, replications: int) -> Profile:
    above_S_T = (x_S_M[:, :, None] > at).mean(1)

    def mean(drawn: Array, axis: int = -1) -> Array:
        return np.moveaxis(above_S_T[drawn.astype(int)].mean(-2), -1, 0)

    ends = None
    if len(x_S_M) >= LEAST:
        ends = _bootstrap([np.arange(len(x_S_M))], mean, replications, expanded(len(x_S_M)))
    low, high = (None, None) if ends is None else (tuple(map(float, end)) for end in ends)
    return Profile(tuple(map(float, at)), tuple(map(float, above_S_T.mean(0))), low, high)


def expanded(seeds: int) -> float:
    """The level at which a percentile interval of the mean of that many normal seeds is as wide as t's (Hesterberg 2015)."""
    from scipy.stats import norm, t

    return float(1 - 2 * norm.sf(math.sqrt(seeds / (seeds - 1)) * t.ppf(0.975, seeds - 1)))


def _bootstrap(
    samples: Sequence[Array], statistic: Callable[..., Array], replications: int, level: float, paired: bool = False
) -> tuple[Any, Any]:
    """Percentile interval of a statistic of independently drawn samples, or of samples drawn together (`paired`)."""
    from scipy.stats import bootstrap

    found = bootstrap(
        tuple(samples),
        statistic,
        n_resamples=replications,
        batch=1000,
        vectorized=True,
        paired=paired,
        confidence_level=level,
        method="percentile",
        random_state=np.random.default_rng(SEED),
    )
    return found.confidence_interval.low, found.confidence_interval.high
