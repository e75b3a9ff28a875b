"""Levels for looking at the results more than once while seeds are added: a sequential design with alpha spending.

Lan and DeMets (1983), with the spending function that comes near Pocock's (1977): what the first n of N seeds may spend is
alpha log(1 + (e - 1) n / N). It does not depend on the looks still to come: one that is added to the plan before it is made,
and before the last, changes nothing about those made already, and pays for itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from harness.core.errors import UsageError


def spent(share: float, alpha: float) -> float:
    """The error that may have been spent when `share` of the seeds are in."""
    return alpha * math.log(1 + (math.e - 1) * min(1.0, share))


@lru_cache(256)
def levels(looks: tuple[int, ...], most: int, alpha: float = 0.05) -> tuple[float, ...]:
    """The two-sided level of every look, at these numbers of seeds, when `most` seeds are the end of it.

    The scores at the looks are a random walk in the number of seeds; the chance to have crossed no bound before is
    integrated over a grid (Armitage, McPherson and Rowe 1969). Raises UsageError unless 2 <= looks rise to at most `most`.
    """
    from scipy.stats import norm

    if not looks or looks[0] < 2 or any(b <= a for a, b in zip(looks, looks[1:], strict=False)) or looks[-1] > most:
        raise UsageError(f"looks are rising numbers of seeds from 2 to {most}, not {', '.join(map(str, looks)) or 'none'}")
    out: list[float] = []
    before = 0.0
    walk: Any = None  # the points of a grid, and the density there of walks that crossed nothing
    for i, n in enumerate(looks):
        budget = spent(n / most, alpha) - before
        before += budget
        if walk is None:
            bound = norm.isf(budget / 2) * math.sqrt(n)
        else:
            points, density, last = walk
            sd = math.sqrt(n - last)
            step = points[1] - points[0]

            def crossing(x: float, points: Any = points, density: Any = density, sd: float = sd, step: float = step) -> float:
                return float((density * (norm.sf((x - points) / sd) + norm.cdf((-x - points) / sd))).sum() * step)

            bound = _solve(crossing, budget, points[-1] + 10 * sd)
        out.append(float(2 * norm.sf(bound / math.sqrt(n))))
        if i + 1 < len(looks):
            grid = np.linspace(-bound, bound, 801)
            if walk is None:
                density_now = norm.pdf(grid, scale=math.sqrt(n))
            else:
                density_now = (norm.pdf((grid[:, None] - points[None]) / sd) / sd) @ density * step
            density_now[[0, -1]] /= 2  # the trapezoid rule
            walk = (grid, density_now, n)
    return tuple(out)


def _solve(decreasing: Any, wanted: float, high: float) -> float:
    from scipy.optimize import brentq

    return float(brentq(lambda x: decreasing(x) - wanted, 0.0, high, xtol=1e-6))


def level_at(seeds: int, looks: Sequence[int], alpha: float = 0.05) -> float:
    """The level at `seeds` seeds when looks at the numbers in `looks` are planned; without a plan it is `alpha`.

    Which looks were made is not recorded: the plan says it, so that a look which it does not name has no level. Raises
    UsageError for that, with what to do instead, and for a plan that does not rise.
    """
    if not looks:
        return alpha
    planned = levels(tuple(looks), looks[-1], alpha)
    if reason := unplanned(seeds, looks):
        raise UsageError(reason)
    return planned[list(looks).index(seeds)]


def unplanned(seeds: int, looks: Sequence[int]) -> str | None:
    """Why there is no verdict at so many seeds, and when there will be; None for a planned look, or without a plan."""
    if not looks or seeds in looks:
        return None
    plan = f"{seeds} seeds an arm are none of the planned looks ({', '.join(map(str, looks))})"
    if seeds > looks[-1]:
        return f"{plan}: the plan ends at {looks[-1]}, where all of the level is spent"
    before = [n for n in looks if n < seeds]
    stands = f"what {before[-1]} said stands until then" if before else "there is no verdict before"
    return f"{plan}: the next is at {min(n for n in looks if n > seeds)}, {stands}; a look between is added to the plan first"


def in_words(seeds: int, looks: Sequence[int], alpha: float = 0.05) -> str:
    """The look at `seeds` seeds, which must be planned: the how manieth, its level, and what has been spent with it."""
    at = list(looks).index(seeds)
    here, gone = level_at(seeds, looks, alpha), spent(seeds / looks[-1], alpha)
    return (
        f"look {at + 1} of {len(looks)} (at {', '.join(map(str, looks))} seeds): decided at {100 * here:.2g}%, "
        f"{100 * gone:.2g}% of the {100 * alpha:.2g}% spent"
    )
