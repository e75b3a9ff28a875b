"""What an arm of a comparison paid, a seed on average, and whether two arms paid the same."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from harness.runs.result import RunFacts

BUDGET = {
    "rollouts": "rollouts",
    "generated_tokens": "generated tokens",
    "trained_tokens": "trained tokens",
    "reflection_tokens": "reflection tokens",
    "optimiser_steps": "optimiser steps",
    "wall_seconds": "wall time",
}
"""Ledger fields of a comparison, and what they are called."""
EQUAL = (0.95, 1.05)
"""A budget whose ratio to the baseline's lies in here counts as equal."""


def budget_of(result: RunFacts) -> dict[str, float]:
    ledgers = list(result.ledgers.values())
    return {key: statistics.fmean(getattr(ledger, key) for ledger in ledgers) for key in BUDGET}


def sampled(budget: Mapping[str, float]) -> dict[str, float]:
    """What a budget is compared by: rollouts, and tokens with those of reflection; seconds depend on the machine."""
    tokens = budget["generated_tokens"] + budget["reflection_tokens"]
    return {"rollouts": budget["rollouts"], "sampled tokens": tokens}


def mismatched(arm: Mapping[str, float], baseline: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """The sampled budgets that differ by more than EQUAL allows, ours and theirs."""
    ours, theirs = sampled(arm), sampled(baseline)
    return {k: (ours[k], theirs[k]) for k in ours if not EQUAL[0] * theirs[k] <= ours[k] <= EQUAL[1] * theirs[k]}
