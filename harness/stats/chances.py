"""The chance of every verdict before there are runs: what plans rest on, for the very rules of harness/stats/verdicts.py.

Both arms have the same number of seeds. Scores that scatter are normal with one standard deviation: the chances are integrals
over what the arms' variances may turn out to be. Outcomes of two kinds are counted out. Several looks are simulated. Effects,
margins, standard deviations and standard errors share one unit; only outcomes of two kinds are in shares.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from harness.stats import seeds as of_seeds
from harness.stats.intervals import Array, Estimate
from harness.stats.seeds import Spread
from harness.stats.verdicts import SAVING, outcome, prediction

MAX_SEEDS = 200
"""The search for a number of seeds stops here."""
REPS = 20_000
"""Simulated experiments where a plan has several looks: a chance is good to half a point."""
Chances = dict[str, float]
"""The chance of every verdict by its name."""


@dataclass(frozen=True)
class Noise:
    """What makes a difference vary: the seed standard deviation, decoding included; the standard error that comes from the
    choice of questions (0: these questions only); and the floor that the score's resolution gives to a seed's sd."""

    seed_sd: float
    question_se: float = 0.0
    floor: float = 0.0
    question_df: float = math.inf


def estimates(noise: Noise, seeds: int) -> tuple[Estimate, Estimate]:
    """The differences that two arms of at least 2 seeds may show, on these questions and on new ones, without their values:
    standard errors and degrees of freedom (200, 20), all equally likely.

    The sum of the sample variances is a chi-square, independent of their ratio, which is a beta.
    """
    nu = seeds - 1
    total, ratio = _variances(nu)
    total = total * noise.seed_sd**2
    if noise.floor**2 > (ratio * total).min():
        parts = [np.maximum(share * total, noise.floor**2) / seeds for share in (ratio, 1 - ratio)]
        v = parts[0] + parts[1]
        df = nu * v**2 / (parts[0] ** 2 + parts[1] ** 2)
    else:
        v = np.broadcast_to(total / seeds, (len(total), ratio.shape[-1]))
        df = nu / (ratio**2 + (1 - ratio) ** 2)  # (1, 20): whatever the sum
    these = Estimate(0.0, np.sqrt(v), df, "Welch")
    if not noise.question_se:
        return these, these
    v_new, q = v + noise.question_se**2, noise.question_se**2
    df_new = v_new**2 / (v**2 / df + q**2 / noise.question_df)
    return these, Estimate(0.0, np.sqrt(v_new), df_new, "Welch", least=these)


@lru_cache(MAX_SEEDS)
def _variances(nu: int) -> tuple[Array, Array]:
    """The sum of two variances of `nu` degrees of freedom each, (200, 1), whose mean is 2, and the share of either, (1, 20)."""
    from scipy.stats import beta, chi2

    grid_200, grid_20 = ((np.arange(n) + 0.5) / n for n in (200, 20))
    total: Array = chi2.ppf(grid_200, 2 * nu)[:, None] / nu
    share: Array = beta.ppf(grid_20 / 2, nu / 2, nu / 2)[None, :]  # half of it: symmetric
    return total, share


def within(regions: dict[str, tuple[Any, Any]], effect: float, se: float) -> Chances:
    """The chance that a value, normal around `effect`, lies in each of the regions, (low, high) by standard error; the rest is
    "undecided"."""
    from scipy.stats import norm

    out = {}
    for name, (low, high) in regions.items():
        inside = norm.cdf((high - effect) / se) - norm.cdf((low - effect) / se)
        out[name] = float(np.maximum(inside, 0.0).mean())
    return {**out, "undecided": max(0.0, 1.0 - sum(out.values()))}


def outcome_regions(e: Estimate, margin: float, alpha: float) -> dict[str, tuple[Any, Any]]:
    """The values with which an estimate like `e` would be a gain, a loss, equivalent (harness/stats/verdicts.py)."""
    half, narrow = e.half(alpha), e.half(2 * alpha)
    within = (narrow - margin, margin - narrow)
    return {"gain": (margin + half, np.inf), "loss": (-np.inf, -margin - half), "equivalent": within}


def claim_regions(
    e: Estimate, claimed: float, margin: float, seeds: int, published_seeds: int, alpha: float
) -> dict[str, tuple[Any, Any]]:
    """The same for the verdicts on a claimed gain, as `on_claim` gives them."""
    half, narrow = e.half(alpha), e.half(2 * alpha)
    met = np.maximum(margin + half, claimed - prediction(e, (seeds, seeds), published_seeds).half(alpha))
    return {
        "reproduced": (met, np.inf),
        "gain, below the claim": (margin + half, met),
        "no gain": (-margin - half, margin - narrow),
        "contradicted": (-np.inf, -margin - half),
    }


def of_outcome(effect: float, margin: float, noise: Noise, seeds: int, alpha: float = 0.05) -> Chances:
    """The chance of each outcome on these questions, were `effect` true. At least 2 seeds."""
    these, _ = estimates(noise, seeds)
    return within(outcome_regions(these, margin, alpha), effect, noise.seed_sd * math.sqrt(2 / seeds))


def of_claim(
    effect: float, claimed: float, margin: float, noise: Noise, seeds: int, published_seeds: int = 1, alpha: float = 0.05
) -> Chances:
    """The chance of each verdict on a claimed gain, were `effect` true. At least 2 seeds."""
    these, _ = estimates(noise, seeds)
    regions = claim_regions(these, claimed, margin, seeds, published_seeds, alpha)
    return within(regions, effect, noise.seed_sd * math.sqrt(2 / seeds))


def of_tokens(
    share: float, claimed: float, effect: float, margin: float, noise: Noise, tokens: Noise, seeds: int, alpha: float = 0.05
) -> Chances:
    """The chance of each verdict on "the same score with `claimed` of the tokens", were `share` of them spent and `effect` the
    difference of scores. `tokens` is the noise of their logarithm, which is taken to be independent of scores."""
    score, _ = estimates(noise, seeds)
    spent, _ = estimates(tokens, seeds)
    half, half_t = score.half(alpha), spent.half(alpha)
    least = math.log(SAVING)
    met = np.minimum(least - half_t, math.log(claimed) + half_t)
    kept = {"contradicted": (-np.inf, -margin - half), "kept": (half - margin, np.inf)}
    scores = within(kept, effect, noise.seed_sd * math.sqrt(2 / seeds))
    saved = {"met": (-np.inf, met), "some": (met, least - half_t), "none": (least + half_t, np.inf)}
    both = within(saved, math.log(share), tokens.seed_sd * math.sqrt(2 / seeds))
    out = {
        "reproduced": scores["kept"] * both["met"],
        "gain, below the claim": scores["kept"] * both["some"],
        "no gain": (1 - scores["contradicted"]) * both["none"],
        "contradicted": scores["contradicted"],
    }
    return {**out, "undecided": max(0.0, 1.0 - sum(out.values()))}


def gain_seen(effect: float, margin: float, noise: Noise, seeds: int, alpha: float = 0.05) -> float:
    """The chance that the interval's lower end lies above the margin, for new questions if `noise` has a question SE."""
    _, new = estimates(noise, seeds)
    se = math.sqrt(2 * noise.seed_sd**2 / seeds + noise.question_se**2)
    return within({"gain": (margin + new.half(alpha), np.inf)}, effect, se)["gain"]


@dataclass(frozen=True)
class Kinds:
    """Seeds of two kinds: the mean score of those that do not solve the suites and of those that do, and the standard deviation
    within either kind, shares."""

    low: float = 0.0
    high: float = 1.0
    within: float = 0.02


Rule = Callable[[Estimate, int, float], Any]
"""From an estimate, seeds an arm and a level to the name of the verdict, for arrays too."""


def of_shares(solving: tuple[float, float], kinds: Kinds, seeds: int, rule: Rule, alpha: float = 0.05) -> Chances:
    """The chance of each verdict where seeds solve the suites with the probabilities `solving` in the arm and the baseline,
    by the rule on all tables of solved seeds, each weighted with its probability, and within the kinds on SHIFTS equally likely
    differences of means. At least 2 seeds."""
    from scipy.stats import binom, norm

    counts, weights = [], []
    for p in solving:
        chance = binom.pmf(np.arange(seeds + 1), seeds, p)
        counts.append(np.flatnonzero(chance > 1e-8))
        weights.append(chance[counts[-1]])
    solved = counts[0][:, None, None], counts[1][None, :, None]
    e = of_seeds.counted(solved, seeds, kinds.low, kinds.high, kinds.within**2)
    shift = norm.ppf((np.arange(SHIFTS) + 0.5) / SHIFTS) * kinds.within * math.sqrt(2 * seeds) / (seeds + 2)
    moved = replace(e, value=e.value + shift, centre=e.centre + shift)
    found = np.asarray(rule(moved, seeds, alpha))
    return _tally(found, np.broadcast_to(np.outer(*weights)[..., None], found.shape))


SHIFTS = 9


def _tally(found: Array, weights: Array) -> Chances:
    return {str(name): float(weights[found == name].sum() / weights.sum()) for name in np.unique(found)}


Draw = Callable[[np.random.Generator, int, int], tuple[Array, Array]]
"""Scores of the arm and the baseline, (R, S) each, from R and S."""


def scattering(effect: float, seed_sd: float) -> Draw:
    return lambda rng, reps, n: (rng.normal(effect, seed_sd, (reps, n)), rng.normal(0.0, seed_sd, (reps, n)))


def solving_with(solving: tuple[float, float], kinds: Kinds) -> Draw:
    def draw(rng: np.random.Generator, reps: int, n: int) -> tuple[Array, Array]:
        solves = [rng.random((reps, n)) < p for p in solving]
        a, b = (np.where(x, kinds.high, kinds.low) + kinds.within * rng.standard_normal((reps, n)) for x in solves)
        return a, b

    return draw


def at_looks(
    draw: Draw, looks: Sequence[int], levels: Sequence[float], rule: Rule, floor: float = 0.0, kinds: Kinds | None = None
) -> list[Chances]:
    """The chance to have ended with each verdict by every look, if seeds are added while the verdict is undecided: REPS
    experiments, seed 0, through the rules that decide."""
    a, b = draw(np.random.default_rng(0), REPS, max(looks))
    found = np.full(REPS, "undecided", dtype="<U21")
    out = []
    for n, level in zip(looks, levels, strict=True):
        own = [a[:, :n], b[:, :n]]
        spread = of_seeds.spread_of(own, floor, (kinds.low + kinds.high) / 2) if kinds else Spread(floor=floor)
        e = of_seeds.difference(own[0], own[1], spread)
        found = np.where(found == "undecided", rule(e, n, level), found)
        out.append(_tally(found, np.ones(REPS)))
    return out


def decided(effect: float, margin: float, seed_sd: float, seeds: int, alpha: float = 0.05) -> float:
    """The chance that `outcome` is not undecided."""
    return 1.0 - of_outcome(effect, margin, Noise(seed_sd), seeds, alpha)["undecided"]


def seeds_to_decide(effect: float, margin: float, seed_sd: float, alpha: float = 0.05, wanted: float = 0.8) -> int | None:
    """The fewest seeds an arm (at least 3) with which `outcome` is decided in `wanted` of cases, were `effect` true; None
    if MAX_SEEDS do not suffice, as for an effect at the margin."""
    return fewest(lambda n: decided(effect, margin, seed_sd, n, alpha) >= wanted, 3)


def shares_to_decide(
    solving: tuple[float, float], kinds: Kinds, margin: float, alpha: float = 0.05, wanted: float = 0.8
) -> int | None:
    """The same as `seeds_to_decide` where seeds are of two kinds, from the shares that solve; the margin is a share, too."""

    def enough(n: int) -> bool:
        found = of_shares(solving, kinds, n, lambda e, _, level: outcome(e, margin, level), alpha)
        return 1 - found.get("undecided", 0.0) >= wanted

    return fewest(enough, 3, WOBBLE)


def seeds_to_see(effect: float, margin: float, seed_sd: float, alpha: float = 0.05, wanted: float = 0.8) -> int | None:
    """The fewest seeds an arm (at least 3) with which a true `effect` is a gain in `wanted` of cases."""
    return fewest(lambda n: gain_seen(effect, margin, Noise(seed_sd), n, alpha) >= wanted, 3)


def seeds_to_exclude(margin: float, seed_sd: float, alpha: float = 0.05, wanted: float = 0.8) -> int | None:
    """The same for arms that are equal: a gain of the margin or more is rejected ("no gain")."""
    return fewest(lambda n: gain_seen(margin, 0.0, Noise(seed_sd), n, 2 * alpha) >= wanted, 3)


WOBBLE = 10
"""Over so many numbers of seeds a chance that is counted out may fall before it rises again."""


def fewest(enough: Callable[[int], bool], least: int = 2, wobble: int = 0) -> int | None:
    """The smallest number of seeds, from `least` to MAX_SEEDS, that is enough, as are all larger ones; None if there is none.

    What is enough must stay so, but for dips over `wobble` numbers, which are tried one by one.
    """
    low, high = least - 1, least
    while not enough(high):
        if high == MAX_SEEDS:
            return None
        low, high = high, min(2 * high, MAX_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    around = range(max(least, high - wobble), min(MAX_SEEDS, high + wobble) + 1)
    return next((n + 1 for n in reversed(around) if not enough(n)), around[0])
