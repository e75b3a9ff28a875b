"""How the scores of a claim's arms may come about, for its plan: seeds that scatter, of two kinds, or with fewer tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from harness.stats import chances
from harness.stats.chances import Chances, Kinds, Noise
from harness.stats.claims import Claim
from harness.stats.needs import scores_on
from harness.stats.noise import Known, Sources
from harness.stats.scores import pooled_sd
from harness.stats.verdicts import on_claim, prediction

if TYPE_CHECKING:
    from harness.runs.result import Result
    from harness.stats.intervals import Estimate

KINDS = "two kinds of seeds"
"""The name of the scenario in which seeds solve the suites or do not."""


@dataclass(frozen=True)
class Basis:
    """What a plan rests on, and remarks about it."""

    known: list[Known] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Scenario:
    """How the scores of a claim's arms come about: the chances of its verdicts from the truth, seeds and a level, and by looks.

    `sd` is that of a seed, decoding included, in points.
    """

    name: str
    sd: float
    at: Callable[[float, int, float], Chances]
    by_looks: Callable[[float, Sequence[int], Sequence[float]], list[Chances]]


def scenarios_of(
    claim: Claim, runs: Sequence[Result], baselines: Sequence[Result], noise: Sources, basis: Basis
) -> list[Scenario]:
    """One for each seed standard deviation, or the one of two kinds of seeds; what they rest on goes to `basis`."""
    from harness.data.training_sets import solved_at
    from harness.stats.seeds import split_of

    scores = [np.array(scores_on(claim, r)) / 100 for r in runs]
    declared = None if claim.kinds is False else solved_at([claim.training_set])
    split = split_of(scores, declared) if scores else None
    if claim.tokens is not None:
        return [_tokens(claim, sd, runs, noise, basis) for sd in _seed_sds(claim, runs, noise, basis)]
    if split is None and declared is None and claim.kinds is not True:
        return [_scattering(claim, sd, noise) for sd in _seed_sds(claim, runs, noise, basis)]
    kinds, share = Kinds(*(x / 100 for x in claim.kind_scores)), None
    origin = "the claim's kind_scores"
    if split is not None and any((x >= split.at).any() for x in scores) and any((x < split.at).any() for x in scores):
        sides = [[y for y in x if (y >= split.at) == upper] for x in scores for upper in (False, True)]
        within = pooled_sd(side for side in sides if side)
        kinds = Kinds(float(split.low), float(split.high), within.sd if within else Kinds.within)
        origin = "the given runs"
    what = f"of two kinds, scoring {100 * kinds.low:.1f} or {100 * kinds.high:.1f}, each with an sd of {100 * kinds.within:.1f}"
    basis.known.append(Known("seeds", what, origin))
    at = (kinds.low + kinds.high) / 2
    theirs = [x for r in baselines for x in scores_on(claim, r)]
    if theirs:
        solved = sum(x >= 100 * at for x in theirs)
        share, origin = (solved + 1) / (len(theirs) + 2), f"{solved} of {len(theirs)} in the given runs, and one of each kind"
    elif claim.scores:
        share, origin = (claim.scores.baseline / 100 - kinds.low) / (kinds.high - kinds.low), "the published score"
    else:
        share, origin = 0.5 - claim.effect / 200 / (kinds.high - kinds.low), "assumed, both arms about one half: the most seeds"
    share = min(max(share, 0.0), 1.0)
    basis.known.append(Known("baseline seeds that solve the suites", f"{100 * share:.0f}%", origin))
    most = 100 * (1 - share) * (kinds.high - kinds.low)
    if claim.effect > most + 0.05:
        basis.notes.append(f"The claimed gain is out of reach: with every seed solving, the arm would gain {most:.1f} points.")
    return [_of_kinds(claim, kinds, share)]


def _seed_sds(claim: Claim, runs: Sequence[Result], noise: Sources, basis: Basis) -> list[float]:
    """In points; no smaller than decoding alone makes them."""
    pooled = pooled_sd([scores_on(claim, r) for r in runs])
    sds, origin = list(claim.seed_sd), "the claim's seed_sd"
    if pooled is not None and pooled.sd > 0:
        sds, origin = [pooled.sd], f"the given runs, {pooled.df} degrees of freedom"
    raised = sorted({max(sd, noise.decoding()) for sd in sds})
    if raised != sorted(sds):
        origin += ", raised to what decoding alone makes it"
    basis.known.append(Known("seed sd", ", ".join(f"{sd:.2f}" for sd in raised), origin))
    return raised


def _rule(claim: Claim, unit: float) -> chances.Rule:
    """The verdict on a claimed gain from estimates in points (unit 1) or shares (0.01)."""

    def rule(e: Estimate, n: int, level: float) -> object:
        published = prediction(e, (n, n), claim.published_seeds)
        return on_claim(e, claim.effect * unit, claim.margin * unit, published, level)

    return rule


def _scattering(claim: Claim, sd: float, noise: Sources) -> Scenario:
    floor = noise.floor()

    def at(truth: float, n: int, level: float) -> Chances:
        return chances.of_claim(truth, claim.effect, claim.margin, Noise(sd, floor=floor), n, claim.published_seeds, level)

    def by_looks(truth: float, looks: Sequence[int], levels: Sequence[float]) -> list[Chances]:
        return chances.at_looks(chances.scattering(truth, sd), looks, levels, _rule(claim, 1.0), floor)

    return Scenario(f"seed sd {sd:.2f}", sd, at, by_looks)


def _of_kinds(claim: Claim, kinds: Kinds, share: float) -> Scenario:
    rule = _rule(claim, 0.01)

    def solving(truth: float) -> tuple[float, float]:
        return min(max(share + truth / 100 / (kinds.high - kinds.low), 0.0), 1.0), share

    def at(truth: float, n: int, level: float) -> Chances:
        return chances.of_shares(solving(truth), kinds, n, rule, level)

    def by_looks(truth: float, looks: Sequence[int], levels: Sequence[float]) -> list[Chances]:
        return chances.at_looks(chances.solving_with(solving(truth), kinds), looks, levels, rule, kinds=kinds)

    middle = sum(solving(claim.effect)) / 2
    sd = 100 * (kinds.high - kinds.low) * math.sqrt(middle * (1 - middle))
    return Scenario(KINDS, sd, at, by_looks)


def _tokens(claim: Claim, sd: float, runs: Sequence[Result], noise: Sources, basis: Basis) -> Scenario:
    """Equal scores; tokens vary over seeds as in the runs, and not at all without any, which is said."""
    assert claim.tokens is not None
    logs = [[math.log(max(1, ledger.sampled_tokens)) for ledger in r.ledgers.values()] for r in runs]
    pooled = pooled_sd(logs)
    spread = pooled.sd if pooled else 0.0
    basis.known.append(
        Known("tokens", f"vary by {100 * spread:.1f}% over seeds", "the given runs")
        if pooled
        else Known("tokens", "taken not to vary over seeds: the chances are the most there can be", "no runs")
    )
    if claim.looks:
        basis.notes.append("Each look by itself: what several together add up to is not planned for claims about tokens.")
    scores, tokens = Noise(sd, floor=noise.floor()), Noise(max(spread, 1e-6), floor=0.001)

    def at(truth: float, n: int, level: float) -> Chances:
        assert claim.tokens is not None
        return chances.of_tokens(truth, claim.tokens, 0.0, claim.margin, scores, tokens, n, level)

    def by_looks(truth: float, looks: Sequence[int], levels: Sequence[float]) -> list[Chances]:
        return [at(truth, n, level) for n, level in zip(looks, levels, strict=True)]

    return Scenario(f"seed sd {sd:.2f}", sd, at, by_looks)
