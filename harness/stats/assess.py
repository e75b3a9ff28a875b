"""Whether runs bear published claims out: claims and runs in, verdicts out (docs/statistics.md has the rule).

A run is an arm of a claim if its spec is that recipe's in everything but seeds and the place where it ran.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs

from harness.config import RunSpec, flatten
from harness.core.errors import HarnessError, UsageError
from harness.runs.result import Result, load_result, runs_below
from harness.stats.arms import check_identity
from harness.stats.claims import MIN_SEEDS, Claim, Verdict
from harness.stats.needs import needs, seeds_line

if TYPE_CHECKING:
    from harness.stats.contrasts import Bounds
    from harness.stats.intervals import Array
    from harness.stats.questions import Questions

IGNORED_FIELDS = ("seeds", "recipe", "backend.", "local.", "eval.bench", "eval.limit")
"""Settings that do not make another arm: what ran, where. Problems left out by a limit are found by counting them."""
SERVER = ("base_url", "timeout_s", "max_retries", "concurrency")
"""Of a reflector: how it is reached, not what it is."""


def verdict(low: float, high: float, effect: float) -> Verdict:
    """The rule: from the fixed-suite interval of the measured gain and the claimed one, which is above 0."""
    if high < 0:
        return "contradicted"
    if low > 0:
        return "reproduced, smaller" if high < effect else "reproduced, larger" if low > effect else "reproduced"
    return "not reproduced" if high < effect else "underpowered"


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """A claim and what the runs say; differences and intervals are percent points.

    `fixed` (these questions) and `new` (new ones) are at confidence 1 - `level`, which is below .95 where several claims
    are assessed at once. `modifiers` maps each one's name to why. `reasons` say why nothing is assessed, `needs` what
    would change an open verdict. `missing`: no run of one of its arms was given.
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
        """None where nothing is expected, or no run was given of a claim that nobody `named`."""
        if self.expected is None or (self.missing and not named):
            return None
        return self.verdict == self.expected


@dataclass(frozen=True)
class _Evidence:
    """Cells of both arms, each suite, under the claim's grader and the other one (None where there is none)."""

    claim: Claim
    results: tuple[Result, Result]
    questions: tuple[list[Questions], list[Questions]]

    def cells(self, grader: str, without: Mapping[str, set[str]] | None = None) -> tuple[list[Array], list[Array]] | None:
        out: list[list[Array]] = []
        for arm in self.questions:
            kept = [q.without(without[name]) if without else q for name, q in zip(self.claim.suites, arm, strict=True)]
            arrays = [q.scores_S_Q if grader == "primary" else q.parity_S_Q for q in kept]
            if any(x is None for x in arrays):
                return None
            out.append([x for x in arrays if x is not None and x.shape[-1]])
        return (out[0], out[1]) if out[0] else None

    @property
    def flagged(self) -> dict[str, set[str]]:
        """By suite, the problems that match training problems."""
        found: dict[str, set[str]] = {}
        for name in self.claim.suites:
            found[name] = {p for r in self.results for p in r.suites[name].flagged}
        return found


def check(claims: Sequence[Claim], runs: Sequence[Path], alpha: float = 0.05) -> list[Assessment]:
    """Assess claims on runs, or all runs below folders, Holm-adjusted over those that can be assessed.

    `alpha` is for a planned second look (docs/statistics.md). Raises as `load_result`: a run that cannot be read is no
    evidence for anything.
    """
    from harness.stats import intervals

    results = [load_result(run) for path in runs for run in runs_below(path) or [path]]
    found = {claim.name: _gather(claim, results) for claim in claims}
    measured = {name: _measure(x) for name, x in found.items() if isinstance(x, _Evidence)}
    levels = intervals.holm_levels({name: float(fixed.p()) for name, (fixed, _) in measured.items()}, alpha)
    out = []
    for claim in claims:
        evidence = found[claim.name]
        if isinstance(evidence, _Evidence):
            out.append(_assess(evidence, *measured[claim.name], levels[claim.name]))
        else:
            out.append(evidence)
    return out


def _gather(claim: Claim, results: Sequence[Result]) -> _Evidence | Assessment:
    """The evidence on a claim, or its assessment where there is none to speak of."""
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
            reasons.append(f"{len(exact)} runs are its {side}; name one: {', '.join(r.run for r in exact)}")
        else:
            same = [x for x in near if results[x[1]].method == arm.method and not _elsewhere(spec, results[x[1]])]
            hint = f"; {results[same[0][1]].run} differs in {', '.join(same[0][0][:3])}" if same else ""
            reasons.append(f"no run is its {side}, {arm.method}{hint}")
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
    if not _measure(evidence)[0].spread:
        return _not_assessable(claim, chosen, ("the seeds do not scatter at all, so there is no interval",), missing)
    return evidence


def _differences(spec: RunSpec, result: Result) -> list[str]:
    """Settings in which a run is not this arm, in words."""
    wanted = flatten(spec.model_dump(mode="json"))
    own = flatten(result.spec)
    differ = [
        k for k, v in wanted.items() if k in own and own[k] != v and not k.startswith(IGNORED_FIELDS) and not k.endswith(SERVER)
    ]
    return [f"{k} ({own[k]!r}, claimed {wanted[k]!r})" for k in sorted(differ)]


def _elsewhere(spec: RunSpec, result: Result) -> bool:
    """Whether a run is of another model or training set, and its other settings of no interest."""
    return (result.model, result.training_set) != (spec.model.id, spec.train.set)


def _ineligible(claim: Claim, chosen: Mapping[str, Result]) -> list[str]:
    """Why these two runs cannot be held against the claim."""
    from harness.data.suites import load_suite
    from harness.stats.budgets import budget_of, mismatched

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
            reasons.append(f"{result.run} has {len(result.seeds)} seeds; {MIN_SEEDS} are the least")
    if reasons:
        return reasons
    arm, baseline = chosen["arm"], chosen["baseline"]
    try:
        check_identity([_only(claim, r) for r in (arm, baseline)])
    except UsageError as e:
        reasons.append(str(e))
    needed = {"tokens": ("rollouts", "sampled tokens"), "rollouts": ("rollouts",), "any": ()}[claim.budget]
    for key, (a, b) in mismatched(budget_of(arm), budget_of(baseline)).items():
        if key in needed:
            reasons.append(f"unequal budget: {key} {a:,.0f} against {b:,.0f} a seed")
    return reasons


def _only(claim: Claim, result: Result) -> Result:
    """A run as if it had been evaluated on the claim's suites alone."""
    return structs.replace(result, suites={name: result.suites[name] for name in claim.suites})


def _question_mismatches(claim: Claim, questions: Sequence[list[Questions]]) -> list[str]:
    pairs = list(zip(claim.suites, *questions, strict=True))
    differ = [name for name, a, b in pairs if a.ids != b.ids]
    ungraded = [n for n, a, b in pairs if claim.grader == "parity" and (a.parity_S_Q is None or b.parity_S_Q is None)]
    return [
        *([f"the runs differ in the questions of {', '.join(differ)}"] if differ else []),
        *([f"no grades of the claim's grader on {', '.join(ungraded)}"] if ungraded else []),
    ]


def _measure(x: _Evidence, grader: str | None = None, without: Mapping[str, set[str]] | None = None) -> Any:
    """Both estimates of the gain, shares; None where that grader or those questions are not there."""
    from harness.stats import intervals

    cells = x.cells(grader or x.claim.grader, without)
    if cells is None:
        return None
    per_seed = [sum(y.mean(-1) for y in arm) / len(arm) for arm in cells]
    return intervals.seed_difference(*per_seed), intervals.question_difference(*cells)


def _points(estimate: Any, level: float) -> Bounds:
    from harness.stats.contrasts import Bounds

    low, high = estimate.interval(level)
    return Bounds(100 * float(low), 100 * float(high), 100 * float(estimate.se), float(estimate.df))


def _assess(x: _Evidence, fixed: Any, new: Any, level: float) -> Assessment:
    from harness.stats.budgets import budget_of, mismatched

    claim = x.claim
    bounds, wide = _points(fixed, level), _points(new, level)
    found = verdict(bounds.low, bounds.high, claim.effect)
    modifiers: dict[str, str] = {}
    if wide.low > 0 or wide.high < 0:
        modifiers["generalises"] = "the interval for new questions excludes 0 as well"
    other = "parity" if claim.grader == "primary" else "primary"
    for name, again in (("grader-sensitive", _measure(x, other)), ("contaminated", None)):
        if name == "contaminated" and any(x.flagged.values()):
            again = _measure(x, without=x.flagged)
        if again is None:
            continue
        b = _points(again[0], level)
        would = verdict(b.low, b.high, claim.effect)
        if name == "contaminated":
            count = sum(map(len, x.flagged.values()))
            modifiers[name] = f"{count} problems match training problems; without them: {would}"
        elif would != found:
            modifiers[name] = f"under the {other} grader: {would}"
    off = mismatched(*(budget_of(r) for r in x.results))
    if off:
        modifiers["budget-mismatch"] = "; ".join(f"{k} {a:,.0f} against {b:,.0f} a seed" for k, (a, b) in off.items())
    if claim.checkpoint == "selected":
        modifiers["checkpoint-selected"] = "the published scores are of a selected checkpoint, these of the last"
    cells = x.cells(claim.grader)
    assert cells is not None
    sides = ("arm", "baseline")
    scores = {side: 100 * float(sum(y.mean() for y in own)) / len(own) for side, own in zip(sides, cells, strict=True)}
    if claim.scores and claim.tolerance and abs(scores["baseline"] - claim.scores.baseline) > claim.tolerance:
        modifiers["baseline-differs"] = f"it scores {scores['baseline']:.1f}, published are {claim.scores.baseline:.1f}"
    seeds = {side: len(r.seeds) for side, r in zip(sides, x.results, strict=True)}
    out = Assessment(
        claim=claim.name,
        text=claim.text,
        effect=claim.effect,
        verdict=found,
        runs={s: r.run for s, r in zip(seeds, x.results, strict=True)},
        seeds=seeds,
        scores=scores,
        difference=100 * float(fixed.value),
        fixed=bounds,
        new=wide,
        level=level,
        p=float(fixed.p()),
        modifiers=modifiers,
        expected=claim.expected,
    )
    if found == "underpowered":
        sd = bounds.se / math.sqrt(sum(1 / n for n in seeds.values()))
        out = replace(out, needs=(seeds_line(claim.effect, [sd], "the runs given"),))
    return out


def _not_assessable(claim: Claim, chosen: Mapping[str, Result], reasons: tuple[str, ...], missing: bool) -> Assessment:
    """Not assessable, and what it would take."""
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
