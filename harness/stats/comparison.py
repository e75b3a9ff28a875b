"""Finished runs side by side, as one object of numbers; harness/report/comparison.py renders it.

Scores are shares in [0, 1]; docs/statistics.md explains every number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import UsageError
from harness.core.hints import Coverage  # not for type checkers alone, as below
from harness.runs.filed import read_rules
from harness.runs.result import Result, is_filed, load_result
from harness.stats import pairing
from harness.stats.arms import check_identity, find_baseline, labels
from harness.stats.budgets import budget_of, mismatched
from harness.stats.contrasts import Contrast, Rule, contrasts_of, ties_of
from harness.stats.looks import in_words, level_at
from harness.stats.robust import Robust, robust_of
from harness.stats.scores import (
    Measure,
    PooledSd,
    Score,
    cells_of,
    measures_of,
    pooled_sd,
    score_of,
    scores_array,
    spread_of_measure,
)
from harness.stats.seeds import Spread  # not for type checkers alone: `from_dict` reads it from the annotation
from harness.stats.verdicts import MARGIN

if TYPE_CHECKING:
    from harness.stats.questions import Questions


@dataclass(frozen=True)
class Arm:
    """One run. `scores` and `contrasts` (none for the baseline) are keyed by measure.

    `budget` is the mean over seeds; `ratio` relates it to the baseline's and is None where that is zero; `unequal` holds
    the entries that should match and do not, as (this arm's, the baseline's). By suite: `truncated`, the share of samples
    that hit the token limit, `disagreement`, the share on which the two graders differ, for suites with two, `unparsed`, the
    share without an answer to be found, and `overlong`, how many have a prompt that the model cannot read. `reflections`
    were asked for in all seeds, and `dropped` of them. Where seeds were to be paired with the baseline's, `pairs` says in how
    many seeds the whole first epoch is the same, or `unpaired` why they are not.
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
    unparsed: dict[str, float]
    overlong: dict[str, int]
    reflections: int
    dropped: int
    robust: dict[str, Robust] = field(default_factory=dict)
    """Views over the suites of a role, keyed by its macro average; none where there is only one arm."""
    pairs: int | None = None
    unpaired: str | None = None
    faults: dict[str, int] = field(default_factory=dict)
    """By suite, samples on which the grader failed."""
    hints: Coverage | None = None
    """Training problems with a hint, of an arm that was told their solutions."""


@dataclass(frozen=True)
class Comparison:
    """What every output is rendered from. `baseline` is an index into `arms`; `seed_sd` is keyed by measure."""

    model: str
    training_set: str
    baseline: int
    measures: list[Measure]
    arms: list[Arm]
    seed_sd: dict[str, PooledSd]
    spreads: dict[str, Spread] = field(default_factory=dict)
    """By measure, what is known of the spread of seeds."""
    margin: float = MARGIN / 100
    """The smallest difference that matters, a share."""
    alpha: float = 0.05
    """The level of the intervals; below .05 where several looks are planned."""
    look: str = ""
    """Which of the planned looks this is, in words."""
    allowed: tuple[str, ...] = ()
    """What differs between arms because the caller allowed it, in words."""
    trained: bool = True
    """Whether any arm was trained; else all are finished policies, which may be of several models."""

    @property
    def stamps(self) -> list[str]:
        """`arm: reason` for every arm that is not a result."""
        return [f"{arm.label}: {arm.not_a_result}" for arm in self.arms if arm.not_a_result]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: shares, tokens and seconds unrounded; "baseline" is a label."""
        return {"stamps": self.stamps, **asdict(self), "baseline": self.arms[self.baseline].label}

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Comparison:
        """What `to_dict` gave, as it comes back from JSON. Raises KeyError, ValueError or msgspec.ValidationError."""
        import msgspec

        baseline = [arm["label"] for arm in tree["arms"]].index(tree["baseline"])
        return msgspec.convert({**tree, "baseline": baseline}, cls, strict=False)


def compare(
    results: Sequence[Result],
    baseline: int | str | None = None,
    solved_at: float | None = None,
    questions: Sequence[Mapping[str, Questions]] = (),
    allow: Sequence[str] = (),
    margin: float = MARGIN,
    looks: Sequence[int] = (),
    paired: bool = False,
) -> Comparison:
    """Compare results from `load_result` (or from a run just finished), in the given order.

    `baseline` is an index, a label, a run or a method; by default the first arm of the baseline method, or else the first
    arm. With `solved_at`, seeds that score at least this share are counted too: a mean says little if outcomes are bimodal
    over seeds. `questions` (`load_questions` of each result) adds the question-level statistics; runs without samples have
    none. `allow` names what arms may differ in nevertheless, see `check_identity`. `margin`: the smallest difference that
    matters, in percent points. `looks`: the numbers of seeds at which the results are looked at, if more than once; the arm
    with the fewest seeds says which look it is. `paired`: seeds are pairs where the runs show it (harness/stats/pairing.py).
    Raises UsageError for no results, an unknown baseline, a look that is not planned, or arms that differ in model, training
    set, protocol or questions.
    """
    if not results:
        raise UsageError("nothing to compare: name at least one run")
    allowed = check_identity(results, allow)
    names = labels(results)
    base = find_baseline(results, names, baseline)
    measures = measures_of(results[0])
    cells = cells_of(results, questions, measures)
    spreads = {m.key: spread_of_measure(results, m, solved_at) for m in measures}
    per_seed = {m.key: {n: scores_array(r, m.key) for n, r in zip(names, results, strict=True)} for m in measures}
    why_not = [pairing.unpaired(r, results[base]) if paired and i != base else None for i, r in enumerate(results)]
    pairs = frozenset(i for i, why in enumerate(why_not) if paired and why is None)
    ties = {m.key: ties_of(per_seed[m.key], spreads[m.key], [names[i] for i in pairs]) for m in measures}
    scores = [
        {m.key: score_of(r, m.key, spreads[m.key], own.get(m.key), ties[m.key].get(name, "")) for m in measures}
        for r, own, name in zip(results, cells, names, strict=True)
    ]
    fewest = min(len(r.seeds) for r in results)
    rule = Rule(margin / 100, level_at(fewest, looks), pairs)
    contrasts = contrasts_of(measures, scores, cells, base, spreads, rule)
    theirs = budget_of(results[base])
    several = [m for m in measures if m.protocol is None] if len(results) > 1 else []
    robust = {m.key: robust_of(results, m.role, base) for m in several}
    arms = [
        _arm(r, names[i], scores[i], contrasts[i], theirs, {key: found[i] for key, found in robust.items()})
        for i, r in enumerate(results)
    ]
    for i in set(range(len(arms))) - {base} if paired else ():
        same = pairing.same_epochs(results[i], results[base]) if i in pairs else None
        arms[i] = replace(arms[i], pairs=same, unpaired=why_not[i])
    pooled = {m.key: sd for m in measures if (sd := pooled_sd([s[m.key].per_seed.values() for s in scores]))}
    return Comparison(
        model=results[0].model,
        training_set=results[0].training_set,
        baseline=base,
        measures=measures,
        arms=arms,
        seed_sd=pooled,
        spreads=spreads,
        margin=rule.margin,
        alpha=rule.alpha,
        look=in_words(fewest, looks) if looks else "",
        allowed=tuple(allowed),
        trained=not all(r.is_evaluation for r in results),
    )


def _arm(
    result: Result,
    label: str,
    scores: dict[str, Score],
    contrasts: dict[str, Contrast],
    baseline: Mapping[str, float],
    robust: dict[str, Robust],
) -> Arm:
    """`baseline` is the baseline's budget."""
    budget = budget_of(result)
    return Arm(
        label=label,
        method=result.method,
        run=result.run,
        seeds=result.seeds,
        not_a_result=result.not_a_result,
        scores=scores,
        contrasts=contrasts,
        robust=robust,
        budget=budget,
        ratio={k: v / baseline[k] if baseline[k] else None for k, v in budget.items()},
        unequal=mismatched(budget, baseline),
        truncated={name: s.truncated for name, s in result.suites.items()},
        unparsed={name: s.unparsed for name, s in result.suites.items()},
        overlong={name: s.overlong for name, s in result.suites.items()},
        faults={name: s.grader_faults for name, s in result.suites.items()},
        reflections=result.ledger.reflection_calls,
        dropped=result.ledger.dropped_reflections,
        hints=result.hints,
        disagreement={name: s.disagreement for name, s in result.suites.items() if s.disagreement is not None},
    )


def compare_runs(
    runs: Sequence[Path],
    baseline: int | str | None = None,
    allow: Sequence[str] = (),
    margin: float | None = None,
    looks: Sequence[int] = (),
    paired: bool = False,
) -> Comparison:
    """Compare run directories, samples included; `margin` as `margin_of` has it, unless given. Raises as `load_result`,
    `load_questions`, `margin_of` and `compare` do."""
    from harness.data.training_sets import solved_at
    from harness.stats.questions import load_questions

    results = [load_result(path) for path in runs]
    threshold = solved_at((r.training_set for r in results), (r.spec for r in results))
    margin = margin_of(runs) if margin is None else margin
    return compare(results, baseline, threshold, [load_questions(r) for r in results], allow, margin, looks, paired)


def margin_of(runs: Sequence[Path]) -> float:
    """The smallest difference that matters between runs, in points: what their board says, where all are filed on one board,
    else MARGIN. Raises HarnessError for rules that cannot be read."""
    folders = {run.resolve().parent for run in runs if is_filed(run)}
    if len(folders) != 1 or not all(map(is_filed, runs)):
        return MARGIN
    return read_rules(folders.pop()).margin or MARGIN
