"""The plan of a claim: the chance of each verdict under its own rule, the seeds that make the right one likely, and what seeds,
questions and samples per question contribute (`harness power --claim`). Scores are percent points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from harness.core.errors import UsageError
from harness.stats import chances
from harness.stats.chances import Chances, Noise
from harness.stats.claims import MIN_SEEDS, Claim
from harness.stats.comparable import CLAIMED, differing
from harness.stats.looks import level_at
from harness.stats.noise import Known, Sources, scores_by_suite, sources
from harness.stats.power import ceiling, questions_needed
from harness.stats.scenarios import KINDS, Basis, Scenario, scenarios_of

if TYPE_CHECKING:
    from pathlib import Path

    from harness.runs.result import Result

GAINS = ("reproduced", "gain, below the claim")
SAMPLES = (1, 4, 16, 64)
"""Samples per question for which a plan says what decoding costs."""
AT = 5
"""Seeds an arm at which the variance of a difference is split into its parts."""


@dataclass(frozen=True)
class Chance:
    """The chance of each verdict at a number of seeds an arm, were `truth` true: a difference, or a share of tokens. With
    planned looks, the chance to have ended with the verdict by then."""

    scenario: str
    truth: float
    seeds: int
    level: float
    verdicts: Chances


@dataclass(frozen=True)
class Need:
    """The fewest seeds an arm with which the `right` verdict is likely enough; `right` is "" where there is none, as for an
    effect at the margin, and `seeds` None where no number suffices."""

    scenario: str
    truth: float
    right: str
    seeds: int | None


@dataclass(frozen=True)
class Part:
    """What a seed's score varies by with `k` samples per question (None: as many as the claim counts).

    `training` and `decoding` are standard deviations, `shares` the shares of the variance of a difference at AT seeds that are
    training's, decoding's and the questions'. `seeds`: with which the claimed effect is seen. `samples` of a seed's evaluation.
    """

    scenario: str
    k: int | None
    samples: int
    training: float
    decoding: float
    shares: tuple[float, float, float]
    seeds: int | None


@dataclass(frozen=True)
class Plan:
    """The plan of a claim at the level `alpha` of all its looks; `wanted` is how likely a verdict should be."""

    claim: Claim
    alpha: float
    wanted: float
    known: list[Known] = field(default_factory=list)
    chances: list[Chance] = field(default_factory=list)
    needs: list[Need] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def plan(
    claim: Claim,
    runs: Sequence[Result] = (),
    truths: Sequence[float] = (),
    seeds: Sequence[int] = (3, 5, 8, 16),
    alpha: float = 0.05,
    wanted: float = 0.8,
    accuracies: Mapping[str, float] | None = None,
    agreement: float = 0.8,
) -> Plan:
    """The plan of a claim. What is known of seeds, questions and decoding comes from `runs`, of its arms if some are; else from
    the claim and, for how hard suites are, from `accuracies` (shares by suite).

    `truths`: true effects, or shares of tokens, instead of the claimed one, half of it and none. Raises UsageError for fewer
    than MIN_SEEDS seeds, or runs that lack the claim's suites.
    """
    shown = tuple(claim.looks) or tuple(seeds)
    if min(shown, default=0) < MIN_SEEDS:
        raise UsageError(f"a claim needs at least {MIN_SEEDS} seeds an arm")
    own = [r for r in runs if all(name in r.suites for name in claim.suites)]
    if runs and not own:
        raise UsageError(f"none of the given runs was evaluated on {', '.join(claim.suites)}")
    sides, exact = sides_of(claim, own)
    noise = sources(claim, sides["arm"], sides["baseline"], accuracies or {}, agreement)
    basis = Basis()
    pilots = [*sides["arm"], *sides["baseline"]] if exact else own
    scenarios = scenarios_of(claim, pilots, sides["baseline"], noise, basis)
    found = Plan(claim, alpha, wanted, [*basis.known, *noise.known], notes=basis.notes)
    for scenario in scenarios:
        for truth in truths or _truths(claim):
            rows = _rows(claim, scenario, truth, shown, alpha)
            found.chances.extend(rows)
            found.needs.append(_need(claim, scenario, truth, rows, alpha, wanted))
        found.parts.extend(_parts(claim, scenario, noise, alpha, wanted))
    if claim.paired:
        found.notes.append("Planned as if seeds were not paired; paired ones that go up and down together need fewer.")
    found.notes.extend(_advice(found, scenarios, noise))
    return found


def plan_runs(
    word: str,
    pilots: Sequence[Path],
    truths: Sequence[float],
    seeds: Sequence[int],
    alpha: float,
    wanted: float,
    scores: str | None,
    agreement: float,
) -> Plan:
    """The plan of a claim by its name or file, with runs from folders; `scores` as `parse_scores` takes them. Raises as
    `find_claim`, `load_result` and `plan` do."""
    from harness.runs.result import load_result, runs_below
    from harness.stats.claims import find_claim

    claim = find_claim(word)
    accuracies = scores_by_suite(scores) if scores else {}
    if unknown := sorted(accuracies.keys() - set(claim.suites)):
        raise UsageError(f"--scores names {', '.join(unknown)}, which the claim is not about")
    runs = [load_result(run) for path in pilots for run in runs_below(path) or [path]]
    return plan(claim, runs, truths, seeds, alpha, wanted, accuracies, agreement)


def sides_of(claim: Claim, runs: Sequence[Result]) -> tuple[dict[str, list[Result]], bool]:
    """The runs of both arms: those with the claim's settings, which is said, or else those of the same methods."""
    specs = {side: claim.specs[side].model_dump(mode="json") for side in claim.sides}
    exact = {side: [r for r in runs if not differing(spec, r.spec, CLAIMED)] for side, spec in specs.items()}
    if any(exact.values()):
        return exact, True
    return {side: [r for r in runs if r.method == arm.method] for side, arm in claim.sides.items()}, False


def _truths(claim: Claim) -> list[float]:
    if claim.tokens is not None:
        return [claim.tokens, (1 + claim.tokens) / 2, 1.0]
    return [claim.effect, claim.effect / 2, 0.0]


def _rows(claim: Claim, scenario: Scenario, truth: float, shown: Sequence[int], alpha: float) -> list[Chance]:
    levels = [level_at(n, claim.looks, alpha) for n in shown]
    if claim.looks:
        found = scenario.by_looks(truth, shown, levels)
    else:
        found = [scenario.at(truth, n, level) for n, level in zip(shown, levels, strict=True)]
    return [Chance(scenario.name, truth, n, level, own) for n, level, own in zip(shown, levels, found, strict=True)]


def right_verdicts(claim: Claim, truth: float) -> tuple[str, tuple[str, ...]]:
    """What a claim's check should find, in words and as verdicts; nothing where the truth is at the margin."""
    if claim.tokens is not None:
        return ("a saving", GAINS) if truth < 0.9 else ("no gain", ("no gain",)) if truth >= 1 else ("", ())
    if truth > claim.margin:
        return "a gain", GAINS
    return ("no gain", ("no gain", "contradicted")) if truth < claim.margin else ("", ())


def _need(claim: Claim, scenario: Scenario, truth: float, rows: Sequence[Chance], alpha: float, wanted: float) -> Need:
    words, right = right_verdicts(claim, truth)
    if not right:
        return Need(scenario.name, truth, "", None)

    def chance(found: Chances) -> float:
        return sum(found.get(name, 0.0) for name in right)

    if claim.looks:
        seeds = next((row.seeds for row in rows if chance(row.verdicts) >= wanted), None)
    else:
        wobble = chances.WOBBLE if scenario.name == KINDS else 0
        seeds = chances.fewest(lambda n: chance(scenario.at(truth, n, alpha)) >= wanted, MIN_SEEDS, wobble)
    return Need(scenario.name, truth, words, seeds)


def _parts(claim: Claim, scenario: Scenario, noise: Sources, alpha: float, wanted: float) -> list[Part]:
    training = math.sqrt(max(0.0, scenario.sd**2 - noise.decoding() ** 2))

    def seen(k: int | None) -> int | None:
        if not claim.effect or scenario.name == KINDS:
            return None
        own = Noise(math.hypot(training, noise.decoding(k)), floor=noise.floor(k))
        enough = partial(chances.gain_seen, claim.effect, claim.margin, own, alpha=alpha)
        return chances.fewest(lambda n: enough(n) >= wanted, MIN_SEEDS)

    out = []
    for k in (None, *(SAMPLES if any(sampled for _, _, sampled in noise.sizes) else ())):
        decoding = noise.decoding(k)
        parts = (2 * training**2 / AT, 2 * decoding**2 / AT, noise.question_se**2)
        a, b, c = (part / sum(parts) if sum(parts) else 0.0 for part in parts)
        out.append(Part(scenario.name, k, noise.samples(k), training, decoding, (a, b, c), seen(k)))
    return out


MUCH = 1 / 3
"""Of a seed's variance: where more samples would take away more, they come before more seeds."""


def _advice(found: Plan, scenarios: Sequence[Scenario], noise: Sources) -> list[str]:
    """Raise k or add seeds, and whether more questions are needed; a sentence each for every scenario."""
    out = []
    for scenario in scenarios:
        own, *others = [part for part in found.parts if part.scenario == scenario.name]
        whole = own.training**2 + own.decoding**2
        more = next((part for part in reversed(others) if part.samples > own.samples), own)
        share = (own.decoding**2 - more.decoding**2) / whole if whole else 0.0
        what = f"{more.k} samples per question would take away {100 * share:.0f}% of a seed's variance"
        if more is own:
            out.append(f"{scenario.name}: add seeds, there are no more samples to be had.")
        elif share >= MUCH:
            fewer = f", and {more.seeds} seeds do what takes {_many(own.seeds)} now" if more.seeds != own.seeds else ""
            out.append(f"{scenario.name}: raise k, {what}{fewer}.")
        else:
            out.append(f"{scenario.name}: add seeds, {what} only.")
        if own.seeds:
            out.append(_generalises(found, scenario, noise, own.seeds))
    return out


def _generalises(found: Plan, scenario: Scenario, noise: Sources, seeds: int) -> str:
    new = Noise(scenario.sd, noise.question_se, noise.floor())
    effect, alpha = found.claim.effect, found.alpha
    chance = chances.gain_seen(effect, 0.0, new, seeds, alpha)
    most = ceiling(effect, noise.question_se, alpha)
    words = (
        f"{scenario.name}: {100 * chance:.0f}% at {seeds} seeds that it generalises to new questions, {100 * most:.0f}% at most"
    )
    factor = questions_needed(effect, new, seeds, alpha, found.wanted)
    if chance < found.wanted and factor is not None:
        words += f"; suites {factor:.2g} times as large would make it {100 * found.wanted:.0f}%"
    return f"{words}."


def _many(seeds: int | None) -> str:
    return f"more than {chances.MAX_SEEDS}" if seeds is None else str(seeds)
