"""Do the runs support a published claim? Claims and runs in, verdicts out (docs/statistics.md has the rule).

A run is an arm of a claim if its spec equals the claim's in everything but the seeds and where it ran.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import structs

from harness.config import RunSpec
from harness.core.errors import HarnessError, UsageError
from harness.runs.result import Result, load_result, runs_below
from harness.stats.arms import check_identity
from harness.stats.budgets import BUDGET, budget_of, mismatched
from harness.stats.claims import MIN_SEEDS, Claim, Verdict
from harness.stats.comparable import CLAIMED, differing, settings_of
from harness.stats.needs import needs, seeds_line

if TYPE_CHECKING:
    from harness.stats.contrasts import Bounds
    from harness.stats.intervals import Array, Estimate
    from harness.stats.questions import Questions


def verdict(low: float, high: float, effect: float) -> Verdict:
    """The rule: from the interval of the measured gain on these questions, and the claimed gain, which is positive."""
    if high < 0:
        return "contradicted"
    if low > 0:
        return "reproduced, smaller" if high < effect else "reproduced, larger" if low > effect else "reproduced"
    return "not reproduced" if high < effect else "underpowered"


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """A claim and what the runs say about it; scores, differences and intervals are percent points.

    The intervals `fixed` (these questions) and `new` (new questions) have confidence 1 - `level`; `level` is `alpha`
    divided by Holm's procedure when several claims are assessed at once. `modifiers` maps each modifier to its reason.
    `reasons` say why a claim was not assessed, `needs` what it would take. `missing`: an arm has no run.
    """

    claim: str
    text: str
    effect: float
    verdict: Verdict
    runs: dict[str, str]
    seeds: dict[str, int]
    scores: dict[str, float] = field(default_factory=dict)
    difference: float | None = None
    fixed: Bounds | None = None
    new: Bounds | None = None
    level: float | None = None
    p: float | None = None
    modifiers: dict[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    expected: Verdict | None = None
    missing: bool = False

    def as_expected(self, named: bool) -> bool | None:
        """None if the claim expects no verdict, or if it was not `named` on the command line and has no run."""
        if self.expected is None or (self.missing and not named):
            return None
        return self.verdict == self.expected


ArmCells = tuple[list["Array"], list["Array"]]
"""For the arm and the baseline the cells y_S_Q of every suite."""


@dataclass(frozen=True)
class _Evidence:
    """The runs of both arms, and their questions suite by suite."""

    claim: Claim
    results: tuple[Result, Result]
    questions: tuple[list[Questions], list[Questions]]

    def cells(self, grader: str, without: Mapping[str, set[str]] | None = None) -> ArmCells | None:
        """The cells of both arms, leaving out the problems in `without`; None if a grade is missing or no problem left."""
        out: list[list[Array]] = []
        for arm in self.questions:
            kept = [q.without(without[name]) if without else q for name, q in zip(self.claim.suites, arm, strict=True)]
            arrays = [q.scores_S_Q if grader == "primary" else q.parity_S_Q for q in kept]
            if any(x is None for x in arrays):
                return None
            out.append([x for x in arrays if x is not None and x.shape[-1]])
        return (out[0], out[1]) if out[0] else None

    @property
    def own_cells(self) -> ArmCells:
        """The cells under the claim's grader, which `_gather` has found complete."""
        cells = self.cells(self.claim.grader)
        assert cells is not None
        return cells

    @property
    def flagged(self) -> dict[str, set[str]]:
        """The problems that match training problems, by suite."""
        found: dict[str, set[str]] = {}
        for name in self.claim.suites:
            found[name] = {p for r in self.results for p in r.suites[name].flagged}
        return found


def check(claims: Sequence[Claim], runs: Sequence[Path], alpha: float = 0.05) -> list[Assessment]:
    """Assess claims on runs, or on all runs below folders; Holm-adjusted over the claims that can be assessed.

    `alpha` serves planned interim looks (docs/statistics.md). Raises as `load_result` does: a run that cannot be read
    stops the check.
    """
    from harness.stats import intervals

    results = [load_result(run) for path in runs for run in runs_below(path) or [path]]
    found = {claim.name: _gather(claim, results) for claim in claims}
    gains = {name: _gain(x.own_cells) for name, x in found.items() if isinstance(x, _Evidence)}
    levels = intervals.holm_levels({name: float(fixed.p()) for name, (fixed, _) in gains.items()}, alpha)
    out = []
    for claim in claims:
        evidence = found[claim.name]
        if isinstance(evidence, _Evidence):
            out.append(_assess(evidence, *gains[claim.name], levels[claim.name]))
        else:
            out.append(evidence)
    return out


def _gather(claim: Claim, results: Sequence[Result]) -> _Evidence | Assessment:
    """The evidence on a claim, or "not assessable" if there is not enough of it."""
    from harness.stats.questions import load_questions

    chosen: dict[str, Result] = {}
    reasons: list[str] = []
    for side, arm in claim.sides.items():
        spec = claim.specs[side]
        near = sorted(((_differences(spec, r), i) for i, r in enumerate(results)), key=lambda x: (len(x[0]), x[1]))
        exact = [results[i] for differ, i in near if not differ]
        if len(exact) == 1:
            chosen[side] = exact[0]
        elif exact:
            reasons.append(f"{len(exact)} runs match its {side}; name one: {', '.join(r.run for r in exact)}")
        else:
            same = [x for x in near if results[x[1]].method == arm.method and not _elsewhere(spec, results[x[1]])]
            hint = f"; {results[same[0][1]].run} differs in {', '.join(same[0][0][:3])}" if same else ""
            reasons.append(f"no run matches its {side}, {arm.method}{hint}")
    missing = len(chosen) < 2
    if not missing:
        reasons += _ineligible(claim, chosen)
    questions: list[list[Questions]] = []
    if not reasons:
        for result in chosen.values():
            try:
                own = load_questions(_only(claim, result))
            except HarnessError as e:
                reasons.append(str(e))
                continue
            if not own:
                reasons.append(f"{result.run} has no samples")
            else:
                questions.append([own[name] for name in claim.suites])
    if not reasons:
        reasons += _question_mismatches(claim, questions)
    if reasons:
        return _not_assessable(claim, chosen, tuple(reasons), missing)
    evidence = _Evidence(claim, (chosen["arm"], chosen["baseline"]), (questions[0], questions[1]))
    if not _gain(evidence.own_cells)[0].spread:
        return _not_assessable(claim, chosen, ("the seeds do not vary at all, so there is no interval",), missing)
    return evidence


def _differences(spec: RunSpec, result: Result) -> list[str]:
    """The settings in which a run differs from this arm, as text. A limit shows in the number of problems instead."""
    claimed = spec.model_dump(mode="json")
    wanted, own = settings_of(claimed), settings_of(result.spec)
    differ = differing(claimed, result.spec, CLAIMED)

    def said(settings: Mapping[str, Any], key: str) -> str:
        return repr(settings[key]) if key in settings else "unset"

    return [f"{k} ({said(own, k)}, claimed {said(wanted, k)})" for k in differ]


def _elsewhere(spec: RunSpec, result: Result) -> bool:
    """Whether a run has another model or training set, so that its other settings do not matter."""
    return (result.model, result.training_set) != (spec.model.id, spec.train.set)


def _ineligible(claim: Claim, chosen: Mapping[str, Result]) -> list[str]:
    """Why the claim cannot be assessed on these two runs."""
    from harness.data.suites import load_suite

    reasons = []
    for result in chosen.values():
        absent = [name for name in claim.suites if name not in result.suites]
        if absent:
            reasons.append(f"{result.run} was not evaluated on {', '.join(absent)}")
        for name in claim.suites:
            n, size = result.suites[name].n if name in result.suites else None, load_suite(name).size
            if n is not None and n != size:
                reasons.append(f"{result.run} has {n} of the {size} problems of {name}")
        if result.not_a_result:
            reasons.append(f"{result.run} is not a result: {result.not_a_result}")
        if len(result.seeds) < MIN_SEEDS:
            reasons.append(f"{result.run} has {len(result.seeds)} seeds; at least {MIN_SEEDS} are needed")
    if reasons:
        return reasons
    arm, baseline = chosen["arm"], chosen["baseline"]
    try:
        check_identity([_only(claim, r) for r in (arm, baseline)])
    except UsageError as e:
        reasons.append(str(e))
    needed = {"tokens": ("rollouts", "sampled_tokens"), "rollouts": ("rollouts",), "any": ()}[claim.budget]
    off = {key: pair for key, pair in mismatched(budget_of(arm), budget_of(baseline)).items() if key in needed}
    return [*reasons, *(f"unequal budget: {line}" for line in _budget_lines(off))]


def _budget_lines(off: Mapping[str, tuple[float, float]]) -> list[str]:
    return [f"{BUDGET[key]} {a:,.0f} against {b:,.0f} per seed" for key, (a, b) in off.items()]


def _only(claim: Claim, result: Result) -> Result:
    """A run as if it had been evaluated on the claim's suites alone."""
    suites = {name: result.suites[name] for name in claim.suites}
    absent: dict[str, None] = {role: None for role in ("id", "ood") if all(s.role != role for s in suites.values())}
    per_seed = {seed: structs.replace(means, **absent) for seed, means in result.macro.per_seed.items()}
    return structs.replace(result, suites=suites, macro=structs.replace(result.macro, per_seed=per_seed, **absent))


def _question_mismatches(claim: Claim, questions: Sequence[list[Questions]]) -> list[str]:
    pairs = list(zip(claim.suites, *questions, strict=True))
    differ = [name for name, a, b in pairs if a.ids != b.ids]
    ungraded = [n for n, a, b in pairs if claim.grader == "parity" and (a.parity_S_Q is None or b.parity_S_Q is None)]
    return [
        *([f"the runs differ in the questions of {', '.join(differ)}"] if differ else []),
        *([f"no grades by the claim's grader on {', '.join(ungraded)}"] if ungraded else []),
    ]


def _gain(cells: ArmCells) -> tuple[Estimate, Estimate]:
    """The gain as a share, with its standard error on these questions and on new ones."""
    from harness.stats import intervals

    a_S, b_S = (np.asarray(sum(y_S_Q.mean(-1) for y_S_Q in arm)) / len(arm) for arm in cells)
    return intervals.seed_difference(a_S, b_S), intervals.question_difference(*cells)


def _points(estimate: Estimate, level: float) -> Bounds:
    """The interval at confidence 1 - level, in percent points."""
    from harness.stats.contrasts import Bounds

    low, high = estimate.interval(level)
    return Bounds(100 * float(low), 100 * float(high), 100 * float(estimate.se), float(estimate.df))


def _assess(x: _Evidence, fixed: Estimate, new: Estimate, level: float) -> Assessment:
    claim, sides = x.claim, ("arm", "baseline")
    bounds, wide = _points(fixed, level), _points(new, level)
    found = verdict(bounds.low, bounds.high, claim.effect)
    scores = {side: 100 * float(sum(y.mean() for y in own)) / len(own) for side, own in zip(sides, x.own_cells, strict=True)}
    modifiers = _modifiers(x, found, level)
    if wide.excludes_zero:
        modifiers = {"generalises": "the interval for new questions excludes 0, too", **modifiers}
    if claim.scores and claim.tolerance and abs(scores["baseline"] - claim.scores.baseline) > claim.tolerance:
        modifiers["baseline-differs"] = f"it scores {scores['baseline']:.1f}, published: {claim.scores.baseline:.1f}"
    seeds = {side: len(r.seeds) for side, r in zip(sides, x.results, strict=True)}
    sd = bounds.se / math.sqrt(sum(1 / n for n in seeds.values()))
    return Assessment(
        claim=claim.name,
        text=claim.text,
        effect=claim.effect,
        verdict=found,
        runs={side: r.run for side, r in zip(sides, x.results, strict=True)},
        seeds=seeds,
        scores=scores,
        difference=100 * float(fixed.value),
        fixed=bounds,
        new=wide,
        level=level,
        p=float(fixed.p()),
        modifiers=modifiers,
        needs=(seeds_line(claim.effect, [sd], "the given runs"),) if found == "underpowered" else (),
        expected=claim.expected,
    )


def _modifiers(x: _Evidence, found: Verdict, level: float) -> dict[str, str]:
    """What qualifies the verdict `found`: the other grader, flagged problems, budgets, checkpoints."""
    claim = x.claim

    def verdict_on(cells: ArmCells) -> Verdict:
        bounds = _points(_gain(cells)[0], level)
        return verdict(bounds.low, bounds.high, claim.effect)

    modifiers: dict[str, str] = {}
    other = "parity" if claim.grader == "primary" else "primary"
    if (cells := x.cells(other)) and (would := verdict_on(cells)) != found:
        modifiers["grader-sensitive"] = f"under the {other} grader: {would}"
    if count := sum(map(len, x.flagged.values())):
        if cells := x.cells(claim.grader, without=x.flagged):
            would = verdict_on(cells)
            modifiers["contaminated"] = f"{count} problems match training problems; without them: {would}"
    if off := mismatched(*(budget_of(r) for r in x.results)):
        modifiers["budget-mismatch"] = "; ".join(_budget_lines(off))
    if claim.checkpoint == "selected":
        modifiers["checkpoint-selected"] = "the published scores come from a selected checkpoint, these from the last"
    return modifiers


def _not_assessable(claim: Claim, chosen: Mapping[str, Result], reasons: tuple[str, ...], missing: bool) -> Assessment:
    """The verdict "not assessable", with what it would take to assess the claim."""
    return Assessment(
        claim=claim.name,
        text=claim.text,
        effect=claim.effect,
        verdict="not assessable",
        runs={side: r.run for side, r in chosen.items()},
        seeds={side: len(r.seeds) for side, r in chosen.items()},
        reasons=reasons,
        needs=tuple(needs(claim, list(chosen.values()))),
        expected=claim.expected,
        missing=missing,
    )
