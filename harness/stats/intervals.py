"""The statistics of a comparison: plain functions over arrays of scores. docs/statistics.md explains every number.

Cells `y_S_Q` hold the mean score of training seed s on question q, over its k samples. Questions are paired between
arms: both saw the same ones. How seeds are compared is in harness/stats/seeds.py.
Most functions take leading batch axes, so that simulations call the same code as comparisons. scipy is imported lazily.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
RESAMPLES = 9999
"""Sign flips of a permutation test: p is a multiple of 1/10,000."""

PAIRED = "paired"
"""The rule of an estimate from pairs of seeds (harness/stats/seeds.py)."""


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error and the degrees of freedom of the t distribution that describes it.

    `rule` names how they came about. `centre`: the middle of the interval where it is not the value. `least`: an estimate
    whose interval is never wider than this one's.
    """

    value: Any
    se: Any
    df: Any
    rule: str = ""
    centre: Any = None
    least: Estimate | None = None

    @property
    def spread(self) -> Any:
        """Whether the values vary at all; a difference in the last binary digit does not count."""
        return self.se > 1e-9

    @property
    def middle(self) -> Any:
        """The middle of the interval."""
        return self.value if self.centre is None else self.centre

    def half(self, alpha: float = 0.05) -> Any:
        """Half the width of the two-sided interval at confidence 1 - alpha."""
        from scipy.stats import t

        own = t.ppf(1 - alpha / 2, self.df) * self.se
        return own if self.least is None else np.maximum(own, self.least.half(alpha))

    def interval(self, alpha: float = 0.05) -> tuple[Any, Any]:
        """Two-sided interval at confidence 1 - alpha."""
        half = self.half(alpha)
        return self.middle - half, self.middle + half

    def p(self, value: float = 0.0) -> Any:
        """Two-sided p of the hypothesis that the true value is `value`; 1 where nothing varies and it is met."""
        from scipy.stats import t

        distance = np.abs(self.middle - value)
        with np.errstate(invalid="ignore", divide="ignore"):
            own = np.where(distance > 0, 2 * t.sf(distance / self.se, self.df), 1.0)
        return own if self.least is None else np.maximum(own, self.least.p(value))

    def mde(self, alpha: float = 0.05, power: float = 0.8) -> Any:
        """Minimal detectable effect: (t(1 - alpha/2) + t(power)) SE, which is 2.8 SE for many degrees of freedom."""
        from scipy.stats import t

        return (t.ppf(1 - alpha / 2, self.df) + t.ppf(power, self.df)) * self.se


def two_sided_df(parts: Sequence[tuple[Any, Any]], alpha: float = 0.05) -> Any:
    """The degrees of freedom at which t has the critical value of Cochran and Cox (1950): the mean of those of the parts,
    (share of the variance, degrees of freedom) each, by share. Exact at `alpha`."""
    from scipy.stats import t

    grid = np.concatenate([np.geomspace(1, 1000, 600), [1e9]])
    critical = t.ppf(1 - alpha / 2, grid)
    wanted = np.asarray(sum(share * t.ppf(1 - alpha / 2, df) for share, df in parts))
    return np.exp(np.interp(-wanted, -critical, np.log(grid)))


def seed_difference(a_S: Array, b_S: Array) -> Estimate:
    """Mean of `a` minus mean of `b` over seeds, (..., S_a) and (..., S_b), after Welch (1947).

    Its standard error is how much a re-run on the same questions would vary. Both arms need two seeds.
    """
    va, vb = _mean_variance(a_S), _mean_variance(b_S)
    v, df = _satterthwaite([(va, a_S.shape[-1] - 1), (vb, b_S.shape[-1] - 1)])
    return Estimate(a_S.mean(-1) - b_S.mean(-1), np.sqrt(v), df)


def question_difference(
    a: Sequence[Array], b: Sequence[Array], these: Estimate | None = None, clusters: Sequence[Array | None] | None = None
) -> Estimate:
    """The same difference with both seeds and questions drawn anew; `a` and `b` hold the cells (..., S, Q) of each suite.

    Variance of the paired differences over questions, plus that over seeds beyond what the residual of seed and question
    (decoding noise among it) explains: two-way clustering (Cameron, Gelbach and Miller 2011). Plainly adding the variances
    over seeds and questions counts that residual twice. Degrees of freedom after Satterthwaite (1946). All suites have equal
    weight. Both arms need two seeds. `these`: the estimate on these questions (by default `seed_difference`), which gives
    the part of the seeds; the interval is never narrower than its own: what holds for new questions holds for these.
    `clusters` holds, for each suite, the family of every question (Q,), or None; families are then drawn anew.
    """
    these = these or seed_difference(_per_seed(a), _per_seed(b))
    families = clusters or [None] * len(a)
    parts: list[tuple[Any, int]] = []
    shared: Any = 0.0
    for x, y, family in zip(a, b, families, strict=True):
        parts.append(_question_part(x.mean(-2) - y.mean(-2), family))
        shared = shared + (residual_variance(x - y) if these.rule == PAIRED else residual_variance(x) + residual_variance(y))
    return _two_way(these, parts, shared / len(a) ** 2)


def _question_part(d_Q: Array, family: Array | None) -> tuple[Any, int]:
    """The variance of the mean of (..., Q) over questions, or over families of them, and its degrees of freedom."""
    if family is None:
        return _mean_variance(d_Q), d_Q.shape[-1] - 1
    sums = by_family(d_Q - d_Q.mean(-1, keepdims=True), family)  # Liang and Zeger (1986)
    G = sums.shape[-1]
    return (sums**2).sum(-1) / max(1, G - 1) / G, max(1, G - 1)


def by_family(d_Q: Array, family: Array | None) -> Array:
    """(..., Q) summed over families and scaled, so that the mean is as it was."""
    if family is None:
        return d_Q
    order = np.argsort(family, kind="stable")
    first = np.unique(family[order], return_index=True)[1]  # where each family begins
    sums: Array = np.add.reduceat(d_Q[..., order], first, axis=-1) * (len(first) / d_Q.shape[-1])
    return sums


def question_variance(a: Sequence[Array], b: Sequence[Array]) -> float:
    """The variance of the same difference from questions alone, without the noise of seeds and decoding; at least 0."""
    weight = 1 / len(a) ** 2
    parts = [
        _mean_variance(x.mean(-2) - y.mean(-2)) - sum(residual_variance(z) if z.shape[-2] > 1 else 0.0 for z in (x, y))
        for x, y in zip(a, b, strict=True)
    ]
    return max(0.0, float(weight * sum(parts)))


def score(y: Sequence[Array], clusters: Sequence[Array | None] | None = None) -> Estimate:
    """The mean of one arm over suites with cells (..., S, Q), seeds and questions drawn anew as in `question_difference`.

    With a single seed, only questions are drawn anew.
    """
    value = _per_seed(y).mean(-1)
    questions = [_question_part(x.mean(-2), family) for x, family in zip(y, clusters or [None] * len(y), strict=True)]
    if y[0].shape[-2] < 2:
        v, df = _satterthwaite([(part / len(y) ** 2, df) for part, df in questions])
        return Estimate(value, np.sqrt(v), df)
    seeds = Estimate(value, np.sqrt(_mean_variance(_per_seed(y))), y[0].shape[-2] - 1)
    return _two_way(seeds, questions, sum(map(residual_variance, y)) / len(y) ** 2)


def residual_variance(y_S_Q: Array) -> Array:
    """The variance of the grand mean of (..., S, Q) that neither seed nor question explains, decoding noise included."""
    S, Q = y_S_Q.shape[-2:]
    rest = y_S_Q - y_S_Q.mean(-1, keepdims=True) - y_S_Q.mean(-2, keepdims=True) + y_S_Q.mean((-2, -1), keepdims=True)
    variance: Array = (rest**2).sum((-2, -1)) / ((S - 1) * (Q - 1)) / (S * Q)
    return variance


def _per_seed(y: Sequence[Array]) -> Array:
    """Macro average of every seed, (..., S)."""
    return np.asarray(sum(x.mean(-1) for x in y)) / len(y)


def _mean_variance(x_N: Array) -> Array:
    variance: Array = x_N.var(-1, ddof=1) / x_N.shape[-1]
    return variance


Parts = Sequence[tuple[Any, int]]
"""The variance components of a mean, each with its degrees of freedom."""


def _satterthwaite(parts: Parts) -> tuple[Any, Any]:
    """The sum of the components and its degrees of freedom: the smallest of theirs if all components are 0."""
    v = np.asarray(sum(part for part, _ in parts))
    spread = np.asarray(sum(part**2 / df for part, df in parts))
    least = min(df for _, df in parts)
    return v, np.where(spread > 0, v**2 / np.where(spread > 0, spread, 1.0), least)


def _two_way(seeds: Estimate, questions: Parts, shared: Any) -> Estimate:
    """Over seeds and questions: the questions' variance, that of the suites' mean from a part for each suite, plus the
    seeds' in excess of `shared`; without an excess, the questions' degrees of freedom."""
    v_seeds = np.asarray(seeds.se) ** 2
    v_questions, df_questions = _satterthwaite([(part / len(questions) ** 2, df) for part, df in questions])
    v = v_questions + np.maximum(v_seeds - shared, 0.0)
    spread = np.asarray(v_seeds**2 / seeds.df + v_questions**2 / df_questions)
    df = np.where((v_seeds > shared) & (spread > 0), v**2 / np.where(spread > 0, spread, 1.0), df_questions)
    return Estimate(seeds.value, np.sqrt(v), df, seeds.rule, seeds.centre, least=seeds)


def sign_flip(d: Sequence[Array], seed: int = 0) -> Array:
    """Two-sided p that question differences are symmetric about 0 (Fisher's randomisation test), per contrast.

    `d` holds (contrasts, Q) for each suite; the statistic is the mean over suites of the mean over questions. Signs are
    flipped RESAMPLES times at random, the same for all contrasts. It says nothing about other training seeds.
    """
    weighted = np.concatenate([x / (x.shape[-1] * len(d)) for x in d], axis=-1)
    observed = np.abs(weighted.sum(-1))
    rng = np.random.default_rng(seed)
    above = np.zeros(len(weighted), int)
    for start in range(0, RESAMPLES, 1000):
        rows = min(1000, RESAMPLES - start)
        bits = np.unpackbits(rng.integers(0, 256, (rows, -(-weighted.shape[-1] // 8)), np.uint8), axis=1)
        # the sum under flipped signs is the sum of all less twice that of the flipped
        sums = weighted.sum(-1) - 2 * (bits[:, : weighted.shape[-1]].astype(np.float32) @ weighted.T.astype(np.float32))
        above += (np.abs(sums) >= observed - 1e-6).sum(0)
    return (1 + above) / (1 + RESAMPLES)


def mcnemar(a_Q: Array, b_Q: Array) -> float:
    """Exact two-sided p of McNemar (1947) for single outcomes of one question each: a sign test of those that differ."""
    from scipy.stats import binomtest

    won, lost = int((a_Q > b_Q).sum()), int((a_Q < b_Q).sum())
    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0


def wilson(successes: float, n: int) -> tuple[float, float]:
    """95% interval of a share after Wilson (1927); `successes` is rounded."""
    from scipy.stats import binomtest

    ci = binomtest(round(successes), n).proportion_ci(0.95, method="wilson")
    return float(ci.low), float(ci.high)


def clopper_pearson(successes: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval of a share (Clopper and Pearson 1934), also for numbers that are not whole."""
    from scipy.stats import beta

    tail = (1 - confidence) / 2
    low = beta.ppf(tail, successes, n - successes + 1) if successes > 0 else 0.0
    high = beta.isf(tail, successes + 1, n - successes) if successes < n else 1.0
    return float(low), float(high)


def korn_graubard(e: Estimate) -> tuple[float, float]:
    """95% interval of a share from its standard error: `clopper_pearson` at the number of outcomes that would have this
    error, corrected for its degrees of freedom (Korn and Graubard 1998)."""
    from scipy.stats import norm, t

    share = float(e.value)
    n = share * (1 - share) / float(e.se) ** 2 * float(norm.ppf(0.975) / t.ppf(0.975, e.df)) ** 2
    return clopper_pearson(share * n, n)


@lru_cache(1024)
def exact_shares(solved_a: int, n_a: int, solved_b: int, n_b: int) -> float:
    """Two-sided exact p that two shares of seeds are equal, after Boschloo (1970), who does not condition on the margins."""
    from scipy.stats import boschloo_exact

    if {solved_a + solved_b} <= {0} or solved_a + solved_b == n_a + n_b:
        return 1.0
    table = [[solved_a, solved_b], [n_a - solved_a, n_b - solved_b]]
    return min(1.0, float(boschloo_exact(table, alternative="two-sided").pvalue))
