"""How many seeds and questions a comparison needs: the power of the tests in harness/stats.py, by quadrature.

Both arms have as many seeds, of one standard deviation. Effects, standard deviations and standard errors are in one
unit, whichever. `question_se` is the standard error of the difference from questions (0: these questions only).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MOST_SEEDS = 200
"""Beyond these "never" is said."""


def power(
    effect: float, seed_sd: float, seeds: int, question_se: float = 0.0, alpha: float = 0.05, question_df: float = math.inf
) -> float:
    """Chance that the two-sided test of `seed_difference` (or, with a question SE, `question_difference`) rejects.

    With two normal arms of equal variance the sum of their sample variances is a chi-square and independent of their
    ratio, a beta; the Welch degrees of freedom depend on both. The chance given both is a normal one, so the power is an
    integral over two quantiles. `question_se` counts as known where `question_df` is infinite. At least 2 seeds.
    """
    import numpy as np
    from scipy.stats import beta, chi2, norm, t

    nu = seeds - 1
    grid = lambda n: (np.arange(n) + 0.5) / n  # noqa: E731
    total = chi2.ppf(grid(400), 2 * nu)[:, None] * seed_sd**2 / nu / seeds  # sum of the arms' s^2 / S
    ratio = beta.ppf(grid(50) / 2, nu / 2, nu / 2)[None, :]  # half of it: symmetric
    questions = question_se**2 / total if question_se else np.zeros((1, 1))  # relative to the seeds' variance
    df = (1 + questions) ** 2 / ((ratio**2 + (1 - ratio) ** 2) / nu + questions**2 / question_df)
    reach = t.ppf(1 - alpha / 2, df) * np.sqrt(total + question_se**2)
    sd = math.sqrt(2 * seed_sd**2 / seeds + question_se**2)
    return float((norm.sf((reach - effect) / sd) + norm.cdf((-reach - effect) / sd)).mean())


def ceiling(effect: float, question_se: float, alpha: float = 0.05) -> float:
    """Power with infinitely many seeds."""
    from scipy.stats import norm

    if not question_se:
        return 1.0
    z = effect / question_se
    return float(norm.sf(norm.isf(alpha / 2) - z) + norm.cdf(-norm.isf(alpha / 2) - z))


def seeds_needed(
    effect: float, seed_sd: float, question_se: float = 0.0, alpha: float = 0.05, wanted: float = 0.8,
    question_df: float = math.inf,
) -> int | None:  # fmt: skip
    """Fewest seeds per arm (at least 2) with that power; None where MOST_SEEDS do not suffice."""
    enough = lambda seeds: power(effect, seed_sd, seeds, question_se, alpha, question_df) >= wanted  # noqa: E731
    if ceiling(effect, question_se, alpha) < wanted or not enough(MOST_SEEDS):
        return None
    low, high = 1, 2
    while not enough(high):
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def questions_needed(
    effect: float, seed_sd: float, question_se: float, seeds: int, alpha: float = 0.05, wanted: float = 0.8
) -> float | None:
    """Factor by which the questions of every suite must grow for that power at `seeds` seeds; 1 where they suffice.

    The question SE falls with the root of the factor. None where no number of questions is enough.
    """
    if power(effect, seed_sd, seeds, 0.0, alpha) < wanted:
        return None
    enough = lambda factor: power(effect, seed_sd, seeds, question_se / math.sqrt(factor), alpha) >= wanted  # noqa: E731
    low, high = 0.0, 1.0
    while not enough(high):
        low, high = high, 2 * high
    while low and high / low > 1.005:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def detectable(seed_sd: float, seeds: int, question_se: float = 0.0, alpha: float = 0.05, wanted: float = 0.8) -> float:
    """Smallest effect with that power at `seeds` seeds."""
    from scipy.optimize import brentq

    scale = math.sqrt(2 * seed_sd**2 / seeds + question_se**2)
    if not scale:
        return 0.0
    return float(brentq(lambda x: power(x, seed_sd, seeds, question_se, alpha) - wanted, 0.0, 100 * scale, xtol=1e-4 * scale))


@dataclass(frozen=True)
class SuiteModel:
    """A suite of `n` questions on which the arms' mean accuracies are `a` and `b`, shares; `k` samples, 1 is greedy."""

    n: int
    k: int
    a: float
    b: float


def question_se(suites: Sequence[SuiteModel], correlation: float, spread: float = 3.0) -> tuple[float, float, list[float]]:
    """Standard error of a macro difference from questions: without and with the noise of k samples, and of every suite.

    Per question the arms solve with probability logistic(mean + spread * z), z standard normal and correlated between
    them. A greedy outcome is drawn once and belongs to the question. Shares; by Gauss-Hermite quadrature.
    """
    import numpy as np
    from scipy.optimize import brentq
    from scipy.special import expit

    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    both = weights[:, None] * weights[None, :]
    second = correlation * nodes[:, None] + math.sqrt(1 - correlation**2) * nodes[None, :]

    def mean_of(accuracy: float) -> float:
        return float(brentq(lambda m: weights @ expit(m + spread * nodes) - accuracy, -40, 40))

    plain, noise, each = 0.0, 0.0, []
    for suite in suites:
        p = expit(mean_of(suite.a) + spread * nodes)[:, None]
        q = expit(mean_of(suite.b) + spread * second)
        difference = float((both * (p - q) ** 2).sum() - (both * (p - q)).sum() ** 2)
        within = float((both * (p * (1 - p) + q * (1 - q))).sum())
        if suite.k == 1:
            difference += within
        else:
            noise += within / suite.k / suite.n
        plain += difference / suite.n
        each.append(math.sqrt(difference / suite.n))
    return math.sqrt(plain) / len(suites), math.sqrt(plain + noise) / len(suites), each
