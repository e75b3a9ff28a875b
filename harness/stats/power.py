"""How many seeds and questions a comparison needs (`harness power`), from the chances of harness/stats/chances.py.

Effects, margins, standard deviations and standard errors are percent points. A question SE is the standard error of the
difference that comes from questions (0: these questions only).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from harness.core.errors import UsageError
from harness.stats.chances import Kinds, Noise, Rule, fewest, gain_seen, of_shares, shares_to_decide
from harness.stats.noise import parse_scores, question_se
from harness.stats.verdicts import MARGIN, outcome


def ceiling(effect: float, question_se: float, alpha: float = 0.05, margin: float = 0.0) -> float:
    """The chance to see the gain with infinitely many seeds."""
    from scipy.stats import norm

    if not question_se:
        return 1.0 if effect > margin else 0.0
    return float(norm.sf(norm.isf(alpha / 2) - (effect - margin) / question_se))


def seeds_needed(effect: float, noise: Noise, alpha: float = 0.05, wanted: float = 0.8, margin: float = 0.0) -> int | None:
    """The fewest seeds per arm (at least 2) with which the gain is seen with that chance; None if MAX_SEEDS are not enough."""
    if ceiling(effect, noise.question_se, alpha, margin) < wanted:
        return None
    return fewest(lambda seeds: gain_seen(effect, margin, noise, seeds, alpha) >= wanted)


def questions_needed(
    effect: float, noise: Noise, seeds: int, alpha: float = 0.05, wanted: float = 0.8, margin: float = 0.0
) -> float | None:
    """The factor by which every suite must grow for that chance at `seeds` seeds; 1 if the present questions suffice.

    The question SE falls with the square root of the factor. None if no number of questions is enough.
    """
    if gain_seen(effect, margin, replace(noise, question_se=0.0), seeds, alpha) < wanted:
        return None

    def enough(factor: float) -> bool:
        more = replace(noise, question_se=noise.question_se / math.sqrt(factor))
        return gain_seen(effect, margin, more, seeds, alpha) >= wanted

    low, high = 0.0, 1.0
    while not enough(high):
        low, high = high, 2 * high
        if high > MOST_QUESTIONS:
            return None
    while low and high / low > 1.005:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


MOST_QUESTIONS = 2**20
"""A factor beyond which no suite grows."""


def detectable(noise: Noise, seeds: int, alpha: float = 0.05, wanted: float = 0.8, margin: float = 0.0) -> float:
    """The smallest effect that is seen as a gain with that chance at `seeds` seeds."""
    from scipy.optimize import brentq

    scale = math.sqrt(2 * noise.seed_sd**2 / seeds + noise.question_se**2)
    if not scale:
        return margin

    def short(x: float) -> float:
        return gain_seen(margin + x, margin, noise, seeds, alpha) - wanted

    return margin + float(brentq(short, 0.0, 100 * scale, xtol=1e-4 * scale))


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
    found: Sequence[Design], effects: Sequence[float], seeds: Sequence[int], alpha: float, wanted: float, margin: float = MARGIN
) -> list[dict[str, Any]]:
    """A row per design and effect: seeds needed, and for each number in `seeds` the chance to see a gain, the detectable effect
    and the questions needed. Raises UsageError unless effects are above the margin and seeds at least 2.
    """
    if any(e <= margin for e in effects) or any(s < 2 for s in seeds):
        raise UsageError(f"--effect must be above the margin, {margin:g}, and --seeds at least 2")
    rows = []
    for d in found:
        noise = Noise(d.seed_sd, d.question_se)
        detect = {s: detectable(noise, s, alpha, wanted, margin) for s in seeds}
        for effect in effects:
            on_new = d.question_se > 0
            rows.append(
                {
                    **asdict(d),
                    "effect": effect,
                    "margin": margin,
                    "seeds_these_questions": seeds_needed(effect, Noise(d.seed_sd), alpha, wanted, margin),
                    "seeds_new_questions": seeds_needed(effect, noise, alpha, wanted, margin) if on_new else None,
                    "ceiling": ceiling(effect, d.question_se, alpha, margin),
                    "power": {s: gain_seen(effect, margin, noise, s, alpha) for s in seeds},
                    "detectable": detect,
                    "questions": {
                        s: questions_needed(effect, noise, s, alpha, wanted, margin) if on_new else None for s in seeds
                    },
                }
            )
    return rows


def parse_solved(text: str) -> tuple[float, float]:
    """`1/8,3/8`: the shares of seeds that solve the suites, the baseline's and the arm's."""
    try:
        baseline, arm = (float(Fraction(part.strip())) for part in text.split(","))
    except (ValueError, ZeroDivisionError):
        baseline = arm = -1.0
    if not (0 <= baseline <= 1 and 0 <= arm <= 1):
        raise UsageError(f"--solved takes two shares of seeds, the baseline's and the arm's, e.g. 1/8,3/8, not {text!r}")
    return baseline, arm


def of_solved(pairs: Sequence[str], seeds: Sequence[int], alpha: float, wanted: float, margin: float) -> list[dict[str, Any]]:
    """A row per pair of shares (`parse_solved`), where seeds score 0 or 100: the seeds with which the difference is decided
    with that chance, and the chance of each outcome at each number in `seeds`."""
    if any(s < 2 for s in seeds):
        raise UsageError("--seeds must be at least 2")
    rows = []
    for baseline, arm in map(parse_solved, pairs):
        rule: Rule = lambda e, _, level: outcome(e, margin / 100, level)  # noqa: E731
        rows.append(
            {
                "baseline": baseline,
                "arm": arm,
                "margin": margin,
                "seeds_needed": shares_to_decide((arm, baseline), Kinds(), margin / 100, alpha, wanted),
                "chances": {n: of_shares((arm, baseline), Kinds(), n, rule, alpha) for n in seeds},
            }
        )
    return rows
