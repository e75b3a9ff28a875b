"""The scores of one run on one measure (a suite or a macro average): spread over seeds, and intervals.

All scores are shares in [0, 1]. docs/statistics.md explains every number.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.core.errors import UsageError
from harness.runs.result import ROLES, Result
from harness.stats.arms import PROTOCOL

if TYPE_CHECKING:
    from harness.stats.intervals import Array
    from harness.stats.questions import Questions
    from harness.stats.seeds import Spread


@dataclass(frozen=True)
class Measure:
    """What is scored: a suite, or the macro average of a role, which is the unweighted mean of its suites.

    `protocol` holds a suite's n, k, temperature and max_new_tokens; None for a macro average. `flagged` counts the
    suite's problems that match training problems (harness/data/contamination.py), `families` the families that they come in,
    0 where they come in none.
    """

    key: str
    title: str
    role: str
    protocol: dict[str, Any] | None
    flagged: int = 0
    families: int = 0


@dataclass(frozen=True)
class Solved:
    """How many seeds scored at least `at`, and the exact 95% interval of that share (Clopper and Pearson 1934)."""

    at: float
    count: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Score:
    """One arm on one measure. `sd` is the sample standard deviation over seeds; None for a single seed.

    `clean` is the mean without the problems that match training problems; None if no problem matches, or all do.
    `low` and `high` bound the score on new questions and `kind` names the method; None without samples. `ties` holds the
    letters of the arm's tie groups; "" with a single seed or arm.
    """

    per_seed: dict[int, float]
    mean: float
    sd: float | None
    solved: Solved | None
    clean: float | None = None
    low: float | None = None
    high: float | None = None
    kind: str = ""
    ties: str = ""


@dataclass(frozen=True)
class PooledSd:
    """Standard deviation over seeds, pooled over all arms, with its degrees of freedom."""

    sd: float
    df: int


def measures_of(result: Result) -> list[Measure]:
    """Role by role, the macro average and then its suites; a role without suites has no macro average."""
    out: list[Measure] = []
    for role in ROLES:
        if result.macro.of(role) is not None:
            out.append(Measure(f"macro:{role}", f"{role.upper()} macro average", role, None))
        out += [
            Measure(
                key=name,
                title=suite.title,
                role=role,
                protocol={key: getattr(suite, key) for key in PROTOCOL},
                flagged=len(suite.flagged),
                families=len(set(suite.clusters.values())),
            )
            for name, suite in result.suites.items()
            if suite.role == role
        ]
    return out


Cells = dict[str, "list[Questions]"]
"""The suites of every measure, by its key; measures without samples are left out."""


def cells_of(
    results: Sequence[Result], questions: Sequence[Mapping[str, Questions]], measures: Sequence[Measure]
) -> list[Cells]:
    """The cells of every run. Raises UsageError for runs that differ in the questions of a suite. The families of questions
    are those of the first run that says them: older ones do not."""
    out: list[Cells] = []
    families: dict[str, Array] = {}
    for own in questions:
        families |= {s: q.clusters_Q for s, q in own.items() if q.clusters_Q is not None and s not in families}
    first: dict[str, tuple[str, tuple[str, ...]]] = {}  # suite: the run that was read first, and its questions
    for result, own in zip(results, questions or [{}] * len(results), strict=True):
        for suite, found in own.items():
            run, ids = first.setdefault(suite, (result.run, found.ids))
            if found.ids != ids:
                raise UsageError(f"{run} and {result.run} cannot be compared, they differ in the questions of {suite}")
        suites = result.suites
        named = {m.key: [m.key] if m.protocol else [n for n in suites if suites[n].role == m.role] for m in measures}
        own = {suite: replace(q, clusters_Q=families.get(suite)) for suite, q in own.items()}
        out.append({key: [own[n] for n in names] for key, names in named.items() if all(n in own for n in names)})
    return out


def scores_by_seed(result: Result, key: str) -> dict[int, float]:
    """The scores of a run on the measure `key`, which it must have, in the order of its seeds."""
    if not key.startswith("macro:"):
        return {seed: result.suites[key].per_seed[seed] for seed in result.seeds}
    means = {seed: result.macro.per_seed[seed].of(key.removeprefix("macro:")) for seed in result.seeds}
    return {seed: mean for seed, mean in means.items() if mean is not None}


def scores_array(result: Result, key: str) -> Array:
    """The same as an array, in the order of the seeds."""
    import numpy as np

    return np.array(list(scores_by_seed(result, key).values()))


def spread_of_measure(results: Sequence[Result], measure: Measure, solved_at: float | None) -> Spread:
    """What all runs show of the spread of seeds on a measure; `solved_at` as the training set declares it."""
    from harness.stats import seeds

    suites = results[0].suites
    names = [measure.key] if measure.protocol else [n for n in suites if suites[n].role == measure.role]
    floor = seeds.resolution([(suites[n].n, suites[n].k) for n in names])
    return seeds.as_numbers(seeds.spread_of([scores_array(r, measure.key) for r in results], floor, solved_at))


def score_of(result: Result, key: str, spread: Spread, cells: list[Questions] | None, ties: str) -> Score:
    """A run on the measure `key`; where seeds end in one of two ways, the solved ones are counted."""
    per_seed = scores_by_seed(result, key)
    values = list(per_seed.values())
    sd = statistics.stdev(values) if len(values) > 1 else None
    share = None if spread.split is None else solved(values, spread.split.at)
    clean = result.suites[key].avg_clean if key in result.suites else None
    low, high, kind = score_interval(cells) if cells else (None, None, "")
    return Score(
        per_seed=per_seed,
        mean=statistics.fmean(values),
        sd=sd,
        solved=share,
        clean=clean,
        low=low,
        high=high,
        kind=kind,
        ties=ties,
    )


RARE = 5
"""Near 0 and 100 percent, with fewer right (or wrong) answers than this many questions' worth, every question counts once."""


def score_interval(cells: list[Questions]) -> tuple[float | None, float | None, str]:
    """95% interval of one arm's score on new questions, and the method it was computed by.

    Wilson's for one outcome a question. Otherwise that of Clopper and Pearson at the number of independent outcomes which
    has the standard error found (Korn and Graubard 1998, with their correction for degrees of freedom). Fewer than RARE
    questions' worth of right or of wrong answers show too little of how questions differ; there and where nothing varies,
    every question counts as one outcome, which is safe; of questions that come in families, every family.
    """
    from harness.stats import intervals

    mean = statistics.fmean(float(q.scores_S_Q.mean()) for q in cells)
    n = sum(q.drawn for q in cells)
    families = any(q.clusters_Q is not None for q in cells)
    if not n:
        return None, None, ""
    rare = min(mean, 1 - mean) * n < RARE
    if not rare and not families and len(cells) == 1 and cells[0].k == 1 and len(cells[0].seeds) == 1:
        return (*intervals.wilson(mean * n, n), "Wilson")
    what = "families" if families else "questions"
    found = None
    if not rare and min(q.drawn for q in cells) > 1:
        found = intervals.score([q.scores_S_Q for q in cells], [q.clusters_Q for q in cells])
    if found is None or not found.spread:
        return (*intervals.clopper_pearson(mean * n, n), f"Clopper-Pearson, {what}")
    kind = f"Korn-Graubard, seeds and {what}" if len(cells[0].seeds) > 1 else f"Korn-Graubard, {what}"
    return (*intervals.korn_graubard(found), kind)


def solved(values_S: Sequence[float], at: float) -> Solved:
    """The number of values >= `at`, with the exact binomial 95% interval of their share."""
    from scipy.stats import binomtest

    count = sum(v >= at for v in values_S)
    ci = binomtest(count, len(values_S)).proportion_ci(0.95, method="exact")
    return Solved(at=at, count=count, share=count / len(values_S), low=float(ci.low), high=float(ci.high))


def pooled_sd(arms: Iterable[Iterable[float]]) -> PooledSd | None:
    """The seed standard deviation, pooled over the arms' scores per seed; None if no arm has two seeds."""
    several = [list(values) for values in arms]
    df = sum(len(values) - 1 for values in several)
    squares = sum(statistics.variance(values) * (len(values) - 1) for values in several if len(values) > 1)
    return PooledSd(math.sqrt(squares / df), df) if df else None
