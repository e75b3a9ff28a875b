"""What a budget can decide: the seeds that it pays for, and what differences `harness compare` then tells from nothing.

Arms are compared with a baseline on the same questions, unpaired, each with as many seeds as the others: the design whose
chances harness/stats/chances.py has. Differences, margins and standard deviations are percent points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UsageError
from harness.runs.result import load_result, runs_below
from harness.stats.chances import MAX_SEEDS, Noise, of_outcome, seeds_to_see
from harness.stats.power import detectable
from harness.stats.scores import pooled_sd
from harness.stats.verdicts import MARGIN

LEAST = 3
"""Seeds an arm below which neither a claim nor a board judges."""
CLAIMED = 4.7
"""Points by which P2O leads GRPO (Lu et al. 2026), the effect that is asked about by default."""
PUBLISHED_SD = 2.0
"""Between seeds, the larger of the two that claims are planned with (`Claim.seed_sd`)."""


@dataclass(frozen=True)
class SeedSd:
    """The standard deviation between seeds and where it comes from."""

    sd: float
    source: str


@dataclass(frozen=True)
class Design:
    """Some arms with so many `seeds` each, paid by `hours`. With less than two seeds nothing is known of any difference.

    `detectable`: the smallest true difference that is seen as a gain with the wanted chance. `seen`, `wrong`: the chances that
    the effect asked about shows as a gain, and as anything else that is decided. `equal`: that equal arms are told to be so.
    """

    arms: tuple[str, ...]
    hours_per_seed: float
    seeds: int
    detectable: float | None
    seen: float | None
    wrong: float | None
    equal: float | None


@dataclass(frozen=True)
class Affordable:
    """What `budget` hours decide: with all arms, and with fewer of them. `seeds_needed` and `hours_needed`: for the wanted
    chance to see the effect with all arms; None where no number of seeds suffices."""

    budget: float
    effect: float
    margin: float
    alpha: float
    wanted: float
    spread: SeedSd
    baseline: str
    designs: list[Design]
    seeds_needed: int | None
    hours_needed: float | None


def decide(
    budget: float,
    hours: Mapping[str, float],
    baseline: str,
    spread: SeedSd,
    effect: float = CLAIMED,
    margin: float = MARGIN,
    alpha: float = 0.05,
    wanted: float = 0.8,
) -> Affordable:
    """What so many hours decide. `hours`: of one seed of every arm, by its name, the baseline among them.

    Raises UsageError for fewer than two arms, or an effect that is not above the margin.
    """
    if len(hours) < 2 or baseline not in hours:
        raise UsageError("a difference takes two arms at least, the baseline among them")
    if effect <= margin:
        raise UsageError(f"--effect {effect:g} must be above the margin, {margin:g}")
    everything = tuple(hours)
    sets = [everything, *((arm, baseline) for arm in hours if arm != baseline and len(hours) > 2)]
    designs = []
    for arms in sets:
        each = sum(hours[arm] for arm in arms)
        seeds = min(int(budget / each * (1 + 1e-9)), MAX_SEEDS)
        designs.append(_design(arms, each, seeds, spread.sd, effect, margin, alpha, wanted))
    needed = seeds_to_see(effect, margin, spread.sd, alpha, wanted)
    return Affordable(
        budget=budget,
        effect=effect,
        margin=margin,
        alpha=alpha,
        wanted=wanted,
        spread=spread,
        baseline=baseline,
        designs=designs,
        seeds_needed=needed,
        hours_needed=None if needed is None else needed * designs[0].hours_per_seed,
    )


def _design(
    arms: tuple[str, ...], each: float, seeds: int, sd: float, effect: float, margin: float, alpha: float, wanted: float
) -> Design:
    if seeds < 2:
        return Design(arms, each, seeds, None, None, None, None)
    noise = Noise(sd)
    if_true, if_none = (of_outcome(truth, margin, noise, seeds, alpha) for truth in (effect, 0.0))
    return Design(
        arms=arms,
        hours_per_seed=each,
        seeds=seeds,
        detectable=detectable(noise, seeds, alpha, wanted, margin),
        seen=if_true["gain"],
        wrong=if_true["loss"] + if_true["equivalent"],
        equal=if_none["equivalent"],
    )


def spread_of(word: str | None) -> SeedSd:
    """`--sd`: points, or a run, a study or a board whose seeds tell. Raises UsageError for anything else."""
    if word is None:
        return SeedSd(PUBLISHED_SD, "assumed: no training of this size was repeated; claims are planned with 1 and 2 points")
    try:
        sd = float(word)
    except ValueError:
        return _of_runs(Path(word))
    if not 0 < sd <= 100:
        raise UsageError(f"--sd must be above 0 and at most 100 points, not {word}")
    return SeedSd(sd, "given")


def _of_runs(root: Path) -> SeedSd:
    """Pooled over the runs below a folder: of the average out of distribution, or in distribution where there is no other."""
    if not root.is_dir():
        raise UsageError(f"--sd takes points or a folder of runs, and {str(root)!r} is neither")
    scores: dict[str, list[Sequence[float]]] = {"ood": [], "id": []}
    for path in runs_below(root):
        macro = load_result(path).macro
        for role, own in scores.items():
            values = [s.of(role) for s in macro.per_seed.values()]
            if len(values) > 1 and None not in values:
                own.append([100 * v for v in values if v is not None])
    chosen = "ood" if scores["ood"] else "id"
    pooled = pooled_sd(scores[chosen])
    if pooled is None or not pooled.sd:
        raise UsageError(f"--sd: no run below {root} has two seeds whose average scores differ")
    runs = len(scores[chosen])
    place = "out of" if chosen == "ood" else "in"
    return SeedSd(
        pooled.sd, f"{runs} run{'s' * (runs > 1)} in {root.name}, {place} distribution, {pooled.df} degrees of freedom"
    )
