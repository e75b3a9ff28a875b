"""What tests of studies share."""

from types import SimpleNamespace

import pytest

from harness.plan import Plan


@pytest.fixture
def quick(monkeypatch):
    """Cells are resolved, but neither their data nor their overlaps are looked at."""
    counts = {"rollouts": 10, "eval_samples": 5, "generated_tokens": 77, "eval_tokens": 3, "optimiser_steps": 2}
    others = ("problems", "epochs", "batches", "search_rollouts", "eval_problems", "seeds")
    nothing = {"by_tokens": False, "hints": None, "not_a_result": None}
    plan = Plan(**counts, **dict.fromkeys(others, 1), **nothing, seconds=1.0)
    monkeypatch.setattr("harness.run.prepare", lambda spec, *a: SimpleNamespace(plan=plan, overlaps={}))
    monkeypatch.setattr("harness.study.local.POLL_S", 0.01)
