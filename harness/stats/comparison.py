"""Finished runs beside each other, as one object of numbers. harness/report/comparison.py renders it.

Scores are shares in [0, 1]; docs/statistics.md says which number is what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import UsageError
from harness.runs.result import Result, load_result
from harness.stats.arms import check_identity, find_baseline, labels
from harness.stats.budgets import budget_of, mismatched
from harness.stats.contrasts import Contrast, contrasts_of, ties_of
from harness.stats.scores import Measure, PooledSd, Score, cells_of, measures_of, pooled_sd, score_of

if TYPE_CHECKING:
    from harness.stats.questions import Questions


@dataclass(frozen=True)
class Arm:
    """One run. `scores` and `contrasts` (none for the baseline) are keyed by measure.

    `budget` is the mean over seeds; `ratio` is to the baseline's, None where that is zero; `unequal` holds the sampled
    budgets that differ, ours and the baseline's. By suite: `truncated`, the share of samples that were cut off, and
    `disagreement`, that on which the two graders differ, for suites with two.
    """

    label: str
    method: str
    run: str
    seeds: tuple[int, ...]
    not_a_result: str | None
    scores: dict[str, Score]
    contrasts: dict[str, Contrast]
    budget: dict[str, float]
    ratio: dict[str, float | None]
    unequal: dict[str, tuple[float, float]]
    truncated: dict[str, float]
    disagreement: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """Every output is rendered from this one object; `baseline` is a position in `arms`, `seed_sd` is by measure."""

    model: str
    training_set: str
    baseline: int
    measures: list[Measure]
    arms: list[Arm]
    seed_sd: dict[str, PooledSd]

    @property
    def stamps(self) -> list[str]:
        """`arm: reason` for every arm that is not a result."""
        return [f"{arm.label}: {arm.not_a_result}" for arm in self.arms if arm.not_a_result]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; shares, tokens and seconds as they are, "baseline" by label."""
        return {"stamps": self.stamps, **asdict(self), "baseline": self.arms[self.baseline].label}


def compare(
    results: Sequence[Result],
    baseline: int | str | None = None,
    solved_at: float | None = None,
    questions: Sequence[Mapping[str, Questions]] = (),
) -> Comparison:
    """Compare results of `load_result` (or of a run just made), in the order given.

    `baseline` is an index, a label, a run or a method; by default the first grpo arm, else the first arm. `solved_at`
    also counts the seeds that score at least this share: a mean says little where outcomes are bimodal over seeds.
    `questions` (`load_questions` of each result) gives what rests on questions; without, or where a run has no samples,
    that is left out. Raises UsageError for no results, an unknown baseline, or arms that differ in model, training set,
    protocol or questions.
    """
    if not results:
        raise UsageError("nothing to compare: name at least one run")
    check_identity(results)
    names = labels(results)
    base = find_baseline(results, names, baseline)
    measures = measures_of(results[0])
    cells = cells_of(results, questions, measures)
    ties = {m.key: ties_of(results, names, m.key) for m in measures}
    scores = [
        {m.key: score_of(r, m.key, solved_at, own.get(m.key), ties[m.key].get(name, "")) for m in measures}
        for r, own, name in zip(results, cells, names, strict=True)
    ]
    budgets = [budget_of(r) for r in results]
    contrasts = contrasts_of(measures, scores, cells, base)
    arms = [
        Arm(
            label=names[i],
            method=r.method,
            run=r.run,
            seeds=r.seeds,
            not_a_result=r.not_a_result,
            scores=scores[i],
            contrasts=contrasts[i],
            budget=budgets[i],
            ratio={k: v / budgets[base][k] if budgets[base][k] else None for k, v in budgets[i].items()},
            unequal=mismatched(budgets[i], budgets[base]),
            truncated={n: s.truncated for n, s in r.suites.items()},
            disagreement={n: s.disagreement for n, s in r.suites.items() if s.disagreement is not None},
        )
        for i, r in enumerate(results)
    ]
    pooled = {m.key: sd for m in measures if (sd := pooled_sd([s[m.key].per_seed.values() for s in scores]))}
    return Comparison(
        model=results[0].model,
        training_set=results[0].training_set,
        baseline=base,
        measures=measures,
        arms=arms,
        seed_sd=pooled,
    )


def compare_runs(runs: Sequence[Path], baseline: int | str | None = None) -> Comparison:
    """Compare run directories, with all that their samples say. Raises as `load_result`, `load_questions` and `compare`."""
    from harness.data.training_sets import solved_at
    from harness.stats.questions import load_questions

    results = [load_result(path) for path in runs]
    threshold = solved_at(r.training_set for r in results)
    return compare(results, baseline, threshold, [load_questions(r) for r in results])
