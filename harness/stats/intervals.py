"""The statistics of a comparison: plain functions over arrays of scores. docs/statistics.md explains every number.

Cells `y_S_Q` hold the mean score of training seed s on question q, over its k samples. Questions are paired between
arms: both saw the same ones. Seeds are not: the same number does not make the same run, and where two runs do share
randomness (the first epoch of two methods), treating them as independent can widen an interval but never narrows it.
Most functions take leading batch axes, so that simulations call the same code as comparisons. scipy is imported lazily.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

Array = np.ndarray[Any, Any]
Key = TypeVar("Key", bound=Hashable)
RESAMPLES = 9999
"""Sign flips of a permutation test: p is a multiple of 1/10,000."""


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error and the degrees of freedom of the t distribution that describes it."""

    value: Any
    se: Any
    df: Any

    @property
    def spread(self) -> Any:
        """Whether the values vary at all; a difference in the last binary digit does not count."""
        return self.se > 1e-9

    def interval(self, alpha: float = 0.05) -> tuple[Any, Any]:
        """Two-sided interval at confidence 1 - alpha."""
        from scipy.stats import t

        half = t.ppf(1 - alpha / 2, self.df) * self.se
        return self.value - half, self.value + half

    def p(self) -> Any:
        """Two-sided p of the hypothesis that the true value is 0."""
        from scipy.stats import t

        return 2 * t.sf(np.abs(self.value) / self.se, self.df)

    def mde(self, alpha: float = 0.05, power: float = 0.8) -> Any:
        """Minimal detectable effect: (t(1 - alpha/2) + t(power)) SE, which is 2.8 SE for many degrees of freedom."""
        from scipy.stats import t

        return (t.ppf(1 - alpha / 2, self.df) + t.ppf(power, self.df)) * self.se


def seed_difference(a_S: Array, b_S: Array) -> Estimate:
    """Mean of `a` minus mean of `b` over seeds, (..., S_a) and (..., S_b), after Welch (1947).

    Its standard error is how much a re-run on the same questions would vary. Both arms need two seeds.
    """
    va, vb = _mean_variance(a_S), _mean_variance(b_S)
    v, df = _satterthwaite([(va, a_S.shape[-1] - 1), (vb, b_S.shape[-1] - 1)])
    return Estimate(a_S.mean(-1) - b_S.mean(-1), np.sqrt(v), df)


def question_difference(a: Sequence[Array], b: Sequence[Array]) -> Estimate:
    """The same difference with both seeds and questions drawn anew; `a` and `b` hold the cells (..., S, Q) of each suite.

    Variance of the paired differences over questions, plus that over seeds beyond what the residual of seed and question
    (decoding noise among it) explains: two-way clustering (Cameron, Gelbach and Miller 2011), never below the questions'
    own. Plainly adding the variances over seeds and questions counts that residual twice. Degrees of freedom after
    Satterthwaite (1946). All suites have equal weight. Both arms need two seeds, as in `seed_difference`.
    """
    weight = 1 / len(a) ** 2
    seeds = [(_mean_variance(_per_seed(x)), x[0].shape[-2] - 1) for x in (a, b)]
    questions = [(weight * _mean_variance(x.mean(-2) - y.mean(-2)), x.shape[-1] - 1) for x, y in zip(a, b, strict=True)]
    shared = sum(weight * (residual_variance(x) + residual_variance(y)) for x, y in zip(a, b, strict=True))
    return _two_way(_per_seed(a).mean(-1) - _per_seed(b).mean(-1), seeds, questions, shared)


def question_variance(a: Sequence[Array], b: Sequence[Array]) -> float:
    """The variance of the same difference from questions alone, without the noise of seeds and decoding; at least 0."""
    weight = 1 / len(a) ** 2
    parts = [
        _mean_variance(x.mean(-2) - y.mean(-2)) - sum(residual_variance(z) if z.shape[-2] > 1 else 0.0 for z in (x, y))
        for x, y in zip(a, b, strict=True)
    ]
    return max(0.0, float(weight * sum(parts)))


def score(y: Sequence[Array]) -> Estimate:
    """The mean of one arm over suites with cells (..., S, Q), seeds and questions drawn anew as in `question_difference`.

    With a single seed, only questions are drawn anew.
    """
    weight = 1 / len(y) ** 2
    value = _per_seed(y).mean(-1)
    questions = [(weight * _mean_variance(x.mean(-2)), x.shape[-1] - 1) for x in y]
    if y[0].shape[-2] < 2:
        v, df = _satterthwaite(questions)
        return Estimate(value, np.sqrt(v), df)
    seeds = [(_mean_variance(_per_seed(y)), y[0].shape[-2] - 1)]
    return _two_way(value, seeds, questions, sum(weight * residual_variance(x) for x in y))


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


def _two_way(value: Any, seeds: Parts, questions: Parts, shared: Any) -> Estimate:
    """The variance from questions plus that from seeds in excess of `shared`; without an excess, the questions' df.

    Never below the variance from seeds: a claim about new questions cannot be more certain than one about these.
    """
    v_seeds, _ = _satterthwaite(seeds)
    v_questions, df_questions = _satterthwaite(questions)
    v = np.maximum(v_questions + np.maximum(v_seeds - shared, 0.0), v_seeds)
    spread = np.asarray(sum(part**2 / df for part, df in [*seeds, *questions]))
    df = np.where((v_seeds > shared) & (spread > 0), v**2 / np.where(spread > 0, spread, 1.0), df_questions)
    return Estimate(value, np.sqrt(v), df)


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


@lru_cache(1024)
def exact_shares(solved_a: int, n_a: int, solved_b: int, n_b: int) -> float:
    """Two-sided exact p that two shares of seeds are equal, after Boschloo (1970), who does not condition on the margins."""
    from scipy.stats import boschloo_exact

    if {solved_a + solved_b} <= {0} or solved_a + solved_b == n_a + n_b:
        return 1.0
    table = [[solved_a, solved_b], [n_a - solved_a, n_b - solved_b]]
    return min(1.0, float(boschloo_exact(table, alternative="two-sided").pvalue))


def holm(p: Mapping[Key, float]) -> dict[Key, float]:
    """Adjusted p values that control the chance of any false rejection (Holm 1979)."""
    out: dict[Key, float] = {}
    highest = 0.0
    for i, (key, value) in enumerate(sorted(p.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, (len(p) - i) * value))
        out[key] = highest
    return out


def holm_levels(p: Mapping[Key, float], alpha: float = 0.05) -> dict[Key, float]:
    """The level at which Holm's procedure tests each: an interval at 1 - level includes 0 exactly if it does not reject.

    alpha / m for the smallest p, alpha / (m - 1) for the next, and so on; all after the first that is not rejected get
    the level of that one.
    """
    out: dict[Key, float] = {}
    level, rejecting = alpha, True
    for i, (key, value) in enumerate(sorted(p.items(), key=lambda item: item[1])):
        if rejecting:
            level = alpha / (len(p) - i)
            rejecting = value < level
        out[key] = level
    return out


def benjamini_hochberg(p: Mapping[Key, float]) -> dict[Key, float]:
    """Adjusted p values that control the share of false rejections (Benjamini and Hochberg 1995)."""
    from scipy.stats import false_discovery_control

    return dict(zip(p, map(float, false_discovery_control(list(p.values()))), strict=True)) if p else {}


def tie_letters(means: Mapping[str, float], different: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Compact letter display: two arms share a letter exactly if they are not `different` (Piepho 2004).

    Every letter stands for a maximal set of arms no two of which differ; `a` is a set with the best arm. All such sets
    have a letter where there are at most MOST_LETTERS, otherwise as many as it takes to show every tie. `letters_of` takes
    an arm's text apart.
    """
    order = sorted(means, key=lambda arm: (-means[arm], arm))
    rank = {arm: i for i, arm in enumerate(order)}
    near = [(1 << len(order)) - 1 & ~(1 << i) for i in range(len(order))]  # bit j: not different from arm j
    for a, b in different:
        near[rank[a]] &= ~(1 << rank[b])
        near[rank[b]] &= ~(1 << rank[a])
    sets = _all_tied(near)
    groups = sorted(list(_bits(group)) for group in (_enough_tied(near) if sets is None else sets))
    letters: list[list[str]] = [[] for _ in order]
    for i, group in enumerate(groups):
        for arm in group:
            letters[arm].append(_letter(i))
    return {arm: "".join(own) for arm, own in zip(order, letters, strict=True)}


MOST_LETTERS = 500
"""The number of maximal sets of tied arms can be exponential in that of the arms: 200 noisy ones easily have 10,000."""


def letters_of(ties: str) -> set[str]:
    """The letters in one arm's text, e.g. `a`, `b` and `c1` in "abc1"."""
    return set(re.findall(r"[a-z][0-9]*", ties))


def _all_tied(near: Sequence[int]) -> list[int] | None:
    """The maximal sets of arms no two of which differ, as bits; None where there are more than MOST_LETTERS.

    Insert and absorb (Piepho 2004), arm by arm. The arms so far have no more maximal sets than all of them have, so that
    there are never more than MOST_LETTERS at hand.
    """
    groups = [0]
    for new, friends in enumerate(near):
        before = friends & (1 << new) - 1
        grown = {group & before for group in groups}
        whole = {part for part in grown if not _common(near, part, before)}
        groups = [group for group in groups if group & ~before] + [part | 1 << new for part in whole]
        if len(groups) > MOST_LETTERS:
            return None
    return groups


def _enough_tied(near: Sequence[int]) -> list[int]:
    """Maximal sets that hold every tied pair between them, as bits; at most one per pair, found in the order of the arms."""
    open_ = list(near)
    groups: list[int] = []
    for first in range(len(near)):
        while open_[first] or not near[first] and not any(group >> first & 1 for group in groups):
            group, candidates = 1 << first, near[first]
            while candidates:  # whoever shows the most ties that no set shows yet
                best = max(_bits(candidates), key=lambda arm: ((open_[arm] & group).bit_count(), -arm))
                group, candidates = group | 1 << best, candidates & near[best]
            groups.append(group)
            for arm in _bits(group):
                open_[arm] &= ~group
    return groups


def _common(near: Sequence[int], group: int, among: int) -> int:
    """The arms `among` those given, outside of the group, that differ from none of it."""
    among &= ~group
    for arm in _bits(group):
        among &= near[arm]
        if not among:
            break
    return among


def _bits(number: int) -> Iterator[int]:
    """The places of its ones, from the lowest."""
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low


def _letter(i: int) -> str:
    return chr(ord("a") + i % 26) + (str(i // 26) if i >= 26 else "")
