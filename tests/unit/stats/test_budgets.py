"""Budgets: means over seeds of what the ledgers say, sampled tokens from both kinds."""

from msgspec import structs

from harness.core.ledger import Ledger
from harness.stats.budgets import BUDGET, budget_of, mismatched
from support.results import result


def test_budgets_are_means_over_seeds_and_sampled_tokens_include_reflection():
    ledgers = [Ledger(rollouts=10, generated_tokens=100, reflection_tokens=20, wall_seconds=3.0), Ledger(rollouts=30)]
    budget = budget_of(structs.replace(result(scores={0: 0.4, 1: 0.5}), ledgers=dict(enumerate(ledgers))))
    assert list(budget) == list(BUDGET)
    assert (budget["rollouts"], budget["generated_tokens"], budget["wall_seconds"]) == (20, 50, 1.5)
    assert (budget["reflection_tokens"], budget["sampled_tokens"]) == (10, 60)


def test_only_rollouts_and_sampled_tokens_must_match_to_five_percent():
    base = {**dict.fromkeys(BUDGET, 100.0), "wall_seconds": 1.0}
    assert mismatched({**base, "wall_seconds": 9.0, "trained_tokens": 500.0, "rollouts": 105.0}, base) == {}
    assert mismatched({**base, "sampled_tokens": 94.0, "rollouts": 106.0}, base) == {
        "rollouts": (106.0, 100.0),
        "sampled_tokens": (94.0, 100.0),
    }
    assert mismatched(dict.fromkeys(BUDGET, 0.0), dict.fromkeys(BUDGET, 0.0)) == {}
