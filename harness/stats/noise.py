"""Where the variance of a difference comes from besides training: questions and decoding, from samples, or by a model of how
hard questions are."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.core.errors import UsageError
from harness.stats.seeds import resolution

if TYPE_CHECKING:
    from harness.data.suites import Suite
    from harness.runs.result import Result
    from harness.stats.claims import Claim
    from harness.stats.protocol import Pass
    from harness.stats.questions import Questions


@dataclass(frozen=True)
class SuiteModel:
    """A suite of `n` questions with `k` samples each (1 is greedy); the arms' mean accuracies on it are the shares `a`, `b`."""

    n: int
    k: int
    a: float
    b: float


SPREAD = 3.0
"""Of how hard questions are, in logits (docs/statistics.md)."""


def of_question(a: float, b: float, correlation: float, spread: float = SPREAD) -> tuple[float, float]:
    """The variance over questions of the difference of two arms of these accuracies, and the variance of one sample of each arm
    together, mean over questions.

    An arm solves a question with probability logistic(mean + spread * z), where z is standard normal and correlated
    between the arms. By Gauss-Hermite quadrature.
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

    p = expit(mean_of(a) + spread * nodes)[:, None]
    q = expit(mean_of(b) + spread * second)
    difference = float((both * (p - q) ** 2).sum() - (both * (p - q)).sum() ** 2)
    return difference, float((both * (p * (1 - p) + q * (1 - q))).sum())


def question_se(suites: Sequence[SuiteModel], correlation: float, spread: float = SPREAD) -> tuple[float, float, list[float]]:
    """The question SE of a macro difference: without and with the noise of k samples, then that of every suite; shares.

    A greedy outcome is drawn once and counts as part of the question. `of_question` has the model.
    """
    plain, noise, each = 0.0, 0.0, []
    for suite in suites:
        difference, within = of_question(suite.a, suite.b, correlation, spread)
        if suite.k == 1:
            difference += within
        else:
            noise += within / suite.k / suite.n
        plain += difference / suite.n
        each.append(math.sqrt(difference / suite.n))
    return math.sqrt(plain) / len(suites), math.sqrt(plain + noise) / len(suites), each


def scores_by_suite(text: str) -> dict[str, float]:
    """`aime24=50,math500=90`: shares by suite. Raises UsageError for anything else."""
    from harness.data.suites import load_suite

    out: dict[str, float] = {}
    for item in text.split(","):
        name, _, percent = item.partition("=")
        suite = load_suite(name.strip())
        try:
            share = float(percent) / 100
        except ValueError:
            share = -1.0
        if not 0 < share < 1:
            raise UsageError(f"--scores takes SUITE=PERCENT with a percentage between 0 and 100, not {item!r}")
        out[suite.name] = share
    return out


def parse_scores(text: str) -> list[SuiteModel]:
    """Models of suites on which both arms score as `scores_by_suite` says; size and k come from the suites' cards."""
    from harness.data.suites import load_suite

    cards = [(load_suite(name), share) for name, share in scores_by_suite(text).items()]
    return [SuiteModel(card.size, card.k if card.temperature else 1, share, share) for card, share in cards]


@dataclass(frozen=True)
class Known:
    """Something that a plan rests on, in words, and where it comes from."""

    what: str
    value: str
    source: str


@dataclass(frozen=True)
class Sources:
    """What the scores of a claim's arms vary by, apart from training.

    `sizes`: problems and samples per problem of every suite, and whether more samples can be drawn (not where it is greedy).
    `single`: by suite, the variance of one sample of a question, mean over questions and arms. `questions`: the variance of the
    difference that comes from the choice of questions. Both of shares.
    """

    sizes: tuple[tuple[int, int, bool], ...]
    single: tuple[float, ...]
    questions: float
    known: tuple[Known, ...]

    def _at(self, k: int | None) -> list[tuple[int, int]]:
        return [(n, k if k and sampled else own) for n, own, sampled in self.sizes]

    def decoding(self, k: int | None = None) -> float:
        """The standard deviation of a seed's score from decoding, in points, at `k` samples per question instead of its own."""
        parts = [v / (n * own) for v, (n, own) in zip(self.single, self._at(k), strict=True)]
        return 100 * math.sqrt(sum(parts)) / len(parts)

    def floor(self, k: int | None = None) -> float:
        """The standard deviation that no seed's score is taken to fall below, in points."""
        return 100 * resolution(self._at(k))

    def samples(self, k: int | None = None) -> int:
        """Evaluation samples of a seed."""
        return sum(n * own for n, own in self._at(k))

    @property
    def question_se(self) -> float:
        """In points."""
        return 100 * math.sqrt(self.questions)


EDGE = 0.002
"""The model takes no suite to be solved by less, nor failed by less."""


def sources(
    claim: Claim, arms: Sequence[Result], baselines: Sequence[Result], given: Mapping[str, float], rho: float
) -> Sources:
    """From the samples of runs of the claim's arms where there are any; the rest by the model, from how hard the suites are: as
    the runs score on them, as `given` (shares by suite), as published, or half right. `rho`: how far the model's arms agree."""
    from harness.data.suites import load_suite
    from harness.stats import intervals
    from harness.stats.questions import load_questions

    cards = [load_suite(name) for name in claim.suites]
    cells = [[q for r in side if (q := load_questions(r)).keys() >= set(claim.suites)] for side in (arms, baselines)]
    accuracies = [_accuracies(claim, card.name, (arms, baselines), given) for card in cards]
    modelled = [of_question(a, b, rho) for a, b in accuracies]
    seen = [_single([q[card.name] for side in cells for q in side], claim.passes[card.name].greedy) for card in cards]
    single = tuple(both / 2 if own is None else own for own, (_, both) in zip(seen, modelled, strict=True))
    questions = sum(d / card.size for card, (d, _) in zip(cards, modelled, strict=True)) / len(cards) ** 2
    pairs = [(a, b) for a in cells[0] for b in cells[1] if all(a[name].ids == b[name].ids for name in claim.suites)]
    if pairs:
        taken = claim.passes.items()
        arrays = [[[q[name].answered(how.greedy).scores_S_Q for name, how in taken] for q in pair] for pair in pairs]
        questions = statistics.fmean(intervals.question_variance(*pair) for pair in arrays)
    sizes = tuple(_size(card, claim.passes[card.name]) for card in cards)
    found = Sources(sizes, single, questions, ())
    ran, model = bool(arms or baselines), f"a model of suites that hard, agreement {rho:g}"
    shown = ", ".join(f"{card.name} {50 * (a + b):.0f}" for card, (a, b) in zip(cards, accuracies, strict=True))
    origin = "the given runs" if ran else "--scores" if given else "as published" if claim.scores else "assumed, half right"
    decoding = f"{found.decoding():.2f} points of a seed's score"
    known = (
        Known("accuracy", shown, origin),
        Known("decoding", decoding, model if None in seen else "the samples of the given runs"),
        Known("questions", f"{found.question_se:.2f} points of a difference", "the given runs" if pairs else model),
    )
    return replace(found, known=known)


def _size(card: Suite, how: Pass) -> tuple[int, int, bool]:
    """As in `Sources`. A greedy answer is taken to scatter over trainings as one sample does."""
    sampled = card.temperature > 0 and not how.greedy
    return card.size, (how.k or card.k) if sampled else 1, sampled


def _accuracies(
    claim: Claim, suite: str, sides: tuple[Sequence[Result], Sequence[Result]], given: Mapping[str, float]
) -> tuple[float, float]:
    """The shares of a suite that the arm and the baseline get right."""
    published = (claim.scores.arm / 100, claim.scores.baseline / 100) if claim.scores else (0.5, 0.5)
    assumed = (given[suite], given[suite]) if suite in given else published
    greedy = claim.passes[suite].greedy
    found = [[r.suites[suite] for r in side if suite in r.suites] for side in sides]
    own = [[s.greedy if greedy and s.greedy is not None else s.avg for s in side] for side in found]
    a, b = (statistics.fmean(x) if x else y for x, y in zip(own, assumed, strict=True))
    return min(max(a, EDGE), 1 - EDGE), min(max(b, EDGE), 1 - EDGE)


def _single(runs: Sequence[Questions], greedy: bool) -> float | None:
    """The variance of one sample of a question, unbiased, from runs with several; None if there are none, or if one greedy
    answer counts, whose luck is that of its training."""
    several = [float((q.scores_S_Q * (1 - q.scores_S_Q)).mean()) * q.k / (q.k - 1) for q in runs if q.k > 1 and not greedy]
    return statistics.fmean(several) if several else None
