"""Do the runs support a published claim? Claims and runs in, verdicts out (docs/statistics.md has the rule).

A run is an arm of a claim if its spec equals the claim's in everything but the seeds and where it ran.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs

from harness.config import RunSpec
from harness.core.errors import HarnessError, UsageError
from harness.runs.result import Result, load_result, runs_below
from harness.runs.spec import PLANTED
from harness.stats.arms import check_identity
from harness.stats.budgets import BUDGET, budget_of, equal, mismatched
from harness.stats.claims import MIN_SEEDS, Claim
from harness.stats.comparable import CLAIMED, differing, settings_of
from harness.stats.evidence import Evidence
from harness.stats.judge import Assessment, budget_lines, judge
from harness.stats.looks import unplanned
from harness.stats.needs import needs
from harness.stats.protocol import done, in_words

if TYPE_CHECKING:
    from harness.stats.questions import Questions


def check(claims: Sequence[Claim], runs: Sequence[Path], alpha: float = 0.05, planted: bool = False) -> list[Assessment]:
    """Assess claims on runs, or on all runs below folders, each claim by itself: others do not change its verdict.

    p after Holm's correction over the claims assessed stands beside it. `alpha` is the level of all looks at a claim together.
    `planted`: planted runs (harness/leaderboard/planted.py) count, although they are no results. Raises as `load_result`
    does: a run that cannot be read stops the check.
    """
    from harness.stats import multiple

    results = [load_result(run) for path in runs for run in runs_below(path) or [path]]
    found = [_gather(claim, results, planted) for claim in claims]
    judged = [judge(x, alpha) if isinstance(x, Evidence) else x for x in found]
    adjusted = multiple.holm({i: a.p for i, a in enumerate(judged) if a.p is not None})
    return [_with_correction(a, adjusted[i], len(adjusted)) if i in adjusted else a for i, a in enumerate(judged)]


def _with_correction(a: Assessment, p: float, claims: int) -> Assessment:
    modifiers = dict(a.modifiers)
    if claims > 1 and a.p is not None and a.level is not None and a.p < a.level <= p:
        modifiers["one-of-many"] = f"p {a.p:.3f} is {p:.3f} after Holm's correction over {claims} claims"
    return replace(a, p_adjusted=p, modifiers=modifiers)


def _gather(claim: Claim, results: Sequence[Result], planted: bool) -> Evidence | Assessment:
    """The evidence on a claim, or "not assessable" if there is not enough of it."""
    from harness.stats.questions import load_questions

    chosen: dict[str, Result] = {}
    reasons: list[str] = []
    for side, arm in claim.sides.items():
        spec = claim.specs[side]
        here = [(i, r) for i, r in enumerate(results) if not _elsewhere(spec, r)]
        near = sorted(((_differences(spec, r), i) for i, r in here), key=lambda x: (len(x[0]), x[1]))
        exact = [results[i] for differ, i in near if not differ]
        if len(exact) == 1:
            chosen[side] = exact[0]
        elif exact:
            reasons.append(f"{len(exact)} runs match its {side}; name one: {', '.join(r.run for r in exact)}")
        else:
            same = [x for x in near if results[x[1]].method == arm.method]
            hint = f"; {results[same[0][1]].run} differs in {', '.join(same[0][0][:3])}" if same else ""
            reasons.append(f"no run matches its {side}, {arm.method}{hint}")
    missing = len(chosen) < 2
    if not missing:
        reasons += _ineligible(claim, chosen, planted)
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
    return Evidence(claim, (chosen["arm"], chosen["baseline"]), (questions[0], questions[1]))


def _differences(spec: RunSpec, result: Result) -> list[str]:
    """The settings in which a run differs from this arm, as text. A limit shows in the number of problems instead."""
    claimed = spec.model_dump(mode="json")
    differ = differing(claimed, result.spec, CLAIMED)
    if not differ:
        return []
    wanted, own = settings_of(claimed), settings_of(result.spec)

    def said(settings: Mapping[str, Any], key: str) -> str:
        return repr(settings[key]) if key in settings else "unset"

    return [f"{k} ({said(own, k)}, claimed {said(wanted, k)})" for k in differ]


def _elsewhere(spec: RunSpec, result: Result) -> bool:
    """Whether a run has another model or training set, so that its other settings do not matter."""
    return (result.model, result.training_set) != (spec.model.id, spec.train.set)


def _ineligible(claim: Claim, chosen: Mapping[str, Result], planted: bool) -> list[str]:
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
        if result.not_a_result and not (planted and PLANTED in result.spec):
            reasons.append(f"{result.run} is not a result: {result.not_a_result}")
        if len(result.seeds) < MIN_SEEDS:
            reasons.append(f"{result.run} has {len(result.seeds)} seeds; at least {MIN_SEEDS} are needed")
        reasons += _other_protocol(claim, result)
    reasons += _other_spending(claim, chosen)
    if not reasons and (reason := unplanned(min(len(r.seeds) for r in chosen.values()), claim.looks)):
        reasons.append(reason)
    if reasons:
        return reasons
    arm, baseline = chosen["arm"], chosen["baseline"]
    try:
        check_identity([_only(claim, r) for r in (arm, baseline)])
    except UsageError as e:
        reasons.append(str(e))
    needed = {"tokens": ("rollouts", "sampled_tokens"), "rollouts": ("rollouts",), "any": ()}[claim.budget]
    off = {key: pair for key, pair in mismatched(budget_of(arm), budget_of(baseline)).items() if key in needed}
    return [*reasons, *(f"unequal budget: {line}" for line in budget_lines(off))]


def _other_protocol(claim: Claim, result: Result) -> list[str]:
    """The suites that a run has not answered in the way that the claim's score is taken."""
    suites = [(name, wanted, done(result.suites[name])) for name, wanted in claim.passes.items() if name in result.suites]
    return [
        f"{result.run} has {in_words(answered)} on {name}, the claim is about {wanted}"
        for name, wanted, answered in suites
        if wanted.among(answered) is None
    ]


def _other_spending(claim: Claim, chosen: Mapping[str, Result]) -> list[str]:
    """Where a run has not spent what its side is published to spend."""
    reasons = []
    for side, arm in claim.sides.items():
        spent = budget_of(chosen[side])
        off = {key: amount for key, amount in arm.spends.items() if not equal(spent[key], amount)}
        reasons += [
            f"{chosen[side].run} has {spent[key]:,.0f} {BUDGET[key]} per seed, the claim's {side} {amount:,.0f}"
            for key, amount in off.items()
        ]
    return reasons


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


def _not_assessable(claim: Claim, chosen: Mapping[str, Result], reasons: tuple[str, ...], missing: bool) -> Assessment:
    """The verdict "not assessable", with what it would take to assess the claim."""
    return Assessment(
        claim=claim.name,
        text=claim.text,
        effect=claim.effect,
        claimed=claim.claimed,
        verdict="not assessable",
        runs={side: r.run for side, r in chosen.items()},
        seeds={side: len(r.seeds) for side, r in chosen.items()},
        reasons=reasons,
        needs=tuple(needs(claim, list(chosen.values()))),
        expected=claim.expected,
        missing=missing,
    )
