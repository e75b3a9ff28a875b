"""How many seeds and questions a comparison needs: the power of the tests in harness/stats/intervals.py, by quadrature.

Both arms have the same number of seeds and the same seed standard deviation. Effects, standard deviations and standard
errors share one unit, whichever it is. `question_se` is the standard error of the difference that comes from questions
(0: these questions only).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import UsageError

MAX_SEEDS = 200
"""The search for a number of seeds stops here."""


def power(
    effect: float, seed_sd: float, seeds: int, question_se: float = 0.0, alpha: float = 0.05, question_df: float = math.inf
) -> float:
    """The probability that the two-sided test of `seed_difference` (`question_difference` with a question SE) rejects.

    For two normal arms of equal variance, the sum of the sample variances is a chi-square, independent of their ratio,
    which is a beta; the Welch degrees of freedom depend on both. Given both, the probability is a normal one, so the power
    is an integral over two quantiles, accurate to .0005. With an infinite `question_df`, `question_se` counts as known.
    Needs at least 2 seeds.
    """
    import numpy as np
    from scipy.stats import beta, chi2, norm, t

    nu = seeds - 1
    grid_100, grid_20 = ((np.arange(n) + 0.5) / n for n in (100, 20))
    total = chi2.ppf(grid_100, 2 * nu)[:, None] * seed_sd**2 / nu / seeds  # sum of the arms' s^2 / S
    ratio = beta.ppf(grid_20 / 2, nu / 2, nu / 2)[None, :]  # half of it: symmetric
    questions = question_se**2 / total if question_se else np.zeros((1, 1))  # relative to the seeds' variance
    df = (1 + questions) ** 2 / ((ratio**2 + (1 - ratio) ** 2) / nu + questions**2 / question_df)
    reach = t.ppf(1 - alpha / 2, df) * np.sqrt(total + question_se**2)
    sd = math.sqrt(2 * seed_sd**2 / seeds + question_se**2)
    return float((norm.sf((reach - effect) / sd) + norm.cdf((-reach - effect) / sd)).mean())


def ceiling(effect: float, question_se: float, alpha: float = 0.05) -> float:
    """The power with infinitely many seeds."""
    from scipy.stats import norm

    if not question_se:
        return 1.0
    z = effect / question_se
    return float(norm.sf(norm.isf(alpha / 2) - z) + norm.cdf(-norm.isf(alpha / 2) - z))


def seeds_needed(
    effect: float,
    seed_sd: float,
    question_se: float = 0.0,
    alpha: float = 0.05,
    wanted: float = 0.8,
    question_df: float = math.inf,
) -> int | None:
    """The fewest seeds per arm (at least 2) with that power; None if MAX_SEEDS are not enough."""

    def enough(seeds: int) -> bool:
        return power(effect, seed_sd, seeds, question_se, alpha, question_df) >= wanted

    if ceiling(effect, question_se, alpha) < wanted or not enough(MAX_SEEDS):
        return None
    low, high = 1, 2
    while not enough(high):
        low, high = high, min(2 * high, MAX_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def questions_needed(
    effect: float, seed_sd: float, question_se: float, seeds: int, alpha: float = 0.05, wanted: float = 0.8
) -> float | None:
    """The factor by which every suite must grow for that power at `seeds` seeds; 1 if the present questions suffice.

    The question SE falls with the square root of the factor. None if no number of questions is enough.
    """
    if power(effect, seed_sd, seeds, 0.0, alpha) < wanted:
        return None

    def enough(factor: float) -> bool:
        return power(effect, seed_sd, seeds, question_se / math.sqrt(factor), alpha) >= wanted

    low, high = 0.0, 1.0
    while not enough(high):
        low, high = high, 2 * high
    while low and high / low > 1.005:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def detectable(seed_sd: float, seeds: int, question_se: float = 0.0, alpha: float = 0.05, wanted: float = 0.8) -> float:
    """The smallest effect with that power at `seeds` seeds."""
    from scipy.optimize import brentq

    scale = math.sqrt(2 * seed_sd**2 / seeds + question_se**2)
    if not scale:
        return 0.0
    return float(brentq(lambda x: power(x, seed_sd, seeds, question_se, alpha) - wanted, 0.0, 100 * scale, xtol=1e-4 * scale))


@dataclass(frozen=True)
class SuiteModel:
    """A suite of `n` questions with `k` samples each (1 is greedy); the arms' mean accuracies on it are the shares `a`, `b`."""

    n: int
    k: int
    a: float
    b: float


def question_se(suites: Sequence[SuiteModel], correlation: float, spread: float = 3.0) -> tuple[float, float, list[float]]:
    """The question SE of a macro difference: without and with the noise of k samples, then that of every suite; shares.

    An arm solves a question with probability logistic(mean + spread * z), where z is standard normal and correlated
    between the arms. A greedy outcome is drawn once and counts as part of the question. By Gauss-Hermite quadrature.
    """
    import numpy as np
    from scipy.optimize import brentq
    from scipy.special import expit

    gauss: Any = np.polynomial.hermite_e.hermegauss  # without types in the oldest numpy
    nodes, weights = gauss(80)
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


@dataclass(frozen=True)
class Design:
    """What is known of a future comparison, in percent points: the seed standard deviation (estimated with `seed_df` degrees
    of freedom; None if it was given) and the question SE (0: these questions only)."""

    name: str
    seed_sd: float
    seed_df: int | None
    question_se: float


def designs(
    pilots: Sequence[Path], seed_sds: Sequence[float], given_se: float | None, scores: str | None, correlation: float
) -> list[Design]:
    """One design per measure of the pilot runs, or per given seed sd. Raises UsageError for neither or both."""
    if bool(pilots) == bool(seed_sds):
        raise UsageError("give the spread between seeds by either --pilot RUN (at least two seeds) or --seed-sd POINTS")
    if scores and given_se is not None:
        raise UsageError("--scores and --question-se exclude each other: the scores are a model of the question SE")
    if any(sd <= 0 for sd in seed_sds) or (given_se is not None and given_se < 0):
        raise UsageError("--seed-sd must be above 0 and --question-se at least 0")
    se = 100 * question_se(parse_scores(scores), correlation)[0] if scores else given_se
    if seed_sds:
        return [Design(f"seed sd {sd:g}", sd, None, se or 0.0) for sd in seed_sds]
    return [d if se is None else Design(d.name, d.seed_sd, d.seed_df, se) for d in _of_pilots(pilots)]


def parse_scores(text: str) -> list[SuiteModel]:
    """`aime24=50,math500=90`: both arms score these percentages; size and k come from the suites' cards."""
    from harness.data.suites import load_suite

    out = []
    for item in text.split(","):
        name, _, percent = item.partition("=")
        suite = load_suite(name.strip())
        try:
            share = float(percent) / 100
        except ValueError:
            share = -1.0
        if not 0 < share < 1:
            raise UsageError(f"--scores takes SUITE=PERCENT with a percentage between 0 and 100, not {item!r}")
        out.append(SuiteModel(suite.size, suite.k if suite.temperature else 1, share, share))
    return out


def _of_pilots(pilots: Sequence[Path]) -> list[Design]:
    """The pooled seed sd of every measure; with two or more runs also the question SE, a mean over pairs with the baseline."""
    from harness.runs.result import load_result
    from harness.stats import intervals
    from harness.stats.comparison import compare
    from harness.stats.questions import load_questions

    results = [load_result(path) for path in pilots]
    questions = [load_questions(r) for r in results]
    c = compare(results, questions=questions)
    out = []
    for m in c.measures:
        if m.key not in c.seed_sd:
            raise UsageError("a pilot needs two seeds in at least one run")
        suites = [m.key] if m.protocol else [o.key for o in c.measures if o.protocol and o.role == m.role]
        variances = []
        for i, own in enumerate(questions):
            if i != c.baseline and all(s in own and s in questions[c.baseline] for s in suites):
                pair = [[q[s].scores_S_Q for s in suites] for q in (own, questions[c.baseline])]
                variances.append(intervals.question_variance(*pair))
        se = 100 * math.sqrt(sum(variances) / len(variances)) if variances else 0.0
        pooled = c.seed_sd[m.key]
        if pooled.sd > 0:
            out.append(Design(m.title, 100 * pooled.sd, pooled.df, se))
    return out


def answer(
    found: Sequence[Design], effects: Sequence[float], seeds: Sequence[int], alpha: float, wanted: float
) -> list[dict[str, Any]]:
    """A row per design and effect: seeds needed, and for each number in `seeds` the power, the detectable effect and the
    questions needed. Raises UsageError unless effects are above 0 and seeds at least 2.
    """
    if any(e <= 0 for e in effects) or any(s < 2 for s in seeds):
        raise UsageError("--effect must be above 0 and --seeds at least 2")
    rows = []
    for d in found:
        detect = {s: detectable(d.seed_sd, s, d.question_se, alpha, wanted) for s in seeds}
        for effect in effects:
            rows.append(
                {
                    **asdict(d),
                    "effect": effect,
                    "seeds_these_questions": seeds_needed(effect, d.seed_sd, 0.0, alpha, wanted),
                    "seeds_new_questions": seeds_needed(effect, d.seed_sd, d.question_se, alpha, wanted)
                    if d.question_se
                    else None,
                    "ceiling": ceiling(effect, d.question_se, alpha),
                    "power": {s: power(effect, d.seed_sd, s, d.question_se, alpha) for s in seeds},
                    "detectable": detect,
                    "questions": {
                        s: questions_needed(effect, d.seed_sd, d.question_se, s, alpha, wanted) if d.question_se else None
                        for s in seeds
                    },
                }
            )
    return rows
