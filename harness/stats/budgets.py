"""What an arm of a comparison spent per seed, and whether two arms spent the same."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from harness.runs.result import RunFacts

BUDGET = {
    "rollouts": "rollouts",
    "sampled_tokens": "sampled tokens",
    "generated_tokens": "generated tokens",
    "reflection_tokens": "reflection tokens",
    "trained_tokens": "trained tokens",
    "optimiser_steps": "optimiser steps",
    "wall_seconds": "wall time",
}
"""Ledger fields shown in a comparison, and their labels; sampled tokens are generated plus reflection tokens."""
MATCHED = ("rollouts", "sampled_tokens")
"""The fields by which budgets count as equal; seconds depend on the machine."""
SPENT = ("rollouts", "sampled_tokens", "optimiser_steps")
"""The fields that a claim may say something about: what it is published that an arm spent."""
EQUAL = (0.95, 1.05)
"""Two budgets are equal if their ratio lies in this range."""


def budget_of(result: RunFacts) -> dict[str, float]:
    """The fields of BUDGET, averaged over seeds."""
    ledgers = list(result.ledgers.values())
    return {key: statistics.fmean(getattr(ledger, key) for ledger in ledgers) for key in BUDGET}


def equal(ours: float, theirs: float) -> bool:
    """Whether two budgets are equal."""
    return EQUAL[0] * theirs <= ours <= EQUAL[1] * theirs


def mismatched(arm: Mapping[str, float], baseline: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """The fields of MATCHED in which two budgets differ by more than EQUAL allows: the arm's value, the baseline's."""
    pairs = {key: (arm[key], baseline[key]) for key in MATCHED}
    return {key: pair for key, pair in pairs.items() if not equal(*pair)}
