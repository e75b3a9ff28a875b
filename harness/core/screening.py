"""Keeping only the problems that are hard for the initial policy (`train.problems: hard`)."""

from __future__ import annotations

from typing import Any

from harness.core.ledger import Ledger
from harness.core.method import Method, Policy
from harness.core.seeds import derive
from harness.core.types import Context

HARD_BELOW = 2
"""Successes in k plain rollouts below which a problem is hard: P2O's threshold."""


def screening_cost(method: Method) -> int:
    """Rollouts that `keep_hard` takes; 0 if the method trains on all problems."""
    wanted = method.hard_only or method.train.problems == "hard"
    return len(method.problems) * method.train.rollouts_per_prompt if wanted else 0


def keep_hard(method: Method, policy: Policy, ledger: Ledger) -> dict[str, Any]:
    """Reduce `method.problems` to the hard ones and meter the rollouts it took; what to log, nothing without screening."""
    if not screening_cost(method):
        return {}
    k, seen = method.train.rollouts_per_prompt, len(method.problems)
    requests = [(p, Context.plain(p.text)) for p in method.problems for _ in range(k)]
    rollouts = policy.rollouts(requests, method.train.sampling, derive(method.seed, "screen"))
    ledger.add_rollouts(rollouts, search=True)
    solved = [sum(r.reward >= 1.0 for r in rollouts[i : i + k]) for i in range(0, len(rollouts), k)]
    method.problems = [p for p, n in zip(method.problems, solved, strict=True) if n < HARD_BELOW]
    return {"seen_problems": seen, "hard_problems": len(method.problems), "search_rollouts": len(requests)}
