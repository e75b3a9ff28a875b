"""Templates that cost no metric calls: P2O's single-turn ablation (Lu et al. 2026, section 5) and the controls of a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from harness.core.leaks import leaks
from harness.core.ledger import Ledger
from harness.core.method import Policy
from harness.core.seeds import stream
from harness.core.types import Group, Problem
from harness.search.beam import feedback
from harness.search.prompt_search import PromptSearch
from harness.search.reflect import ReflectionRequest

GENERIC = "think step by step"
"""The one hint of the source `generic` (Kojima et al. 2022, zero-shot chain of thought)."""

Source = Literal["reflection", "random", "generic", "none"]


def unsearched(
    source: Source,
    hard: Sequence[Problem],
    groups: Sequence[Group],
    search: PromptSearch,
    policy: Policy,
    ledger: Ledger,
    seed: int,
    pieces: Sequence[str],
    count: int,
) -> tuple[dict[str, list[str]], list[dict[str, Any]]]:
    """Templates per hard problem, and rows for templates/*.jsonl.

    `reflection` and `generic` give one template to a problem, `random` gives `count`, and `none` gives no problem any.
    A random template is one to four of `pieces`. `search` lends its reflector and its minibatch size.
    """
    if source == "generic":
        return {p.id: [GENERIC] for p in hard}, []
    if source == "random":
        rng = stream(seed, "templates")
        return {p.id: [" ".join(rng.choices(pieces, k=rng.randint(1, 4))) for _ in range(count)] for p in hard}, []
    if source == "reflection":
        return _reflections(hard, groups, search, policy, ledger, seed)
    return {}, []


def _reflections(
    hard: Sequence[Problem], groups: Sequence[Group], search: PromptSearch, policy: Policy, ledger: Ledger, seed: int
) -> tuple[dict[str, list[str]], list[dict[str, Any]]]:
    """One template per problem, written from a minibatch of its failed rollouts; one that states the answer is refused."""
    failed = {g.problem.id: [r for r in g.rollouts if r.reward < 1.0] for g in groups}
    requests = [
        ReflectionRequest(
            "",
            [
                {"Inputs": p.text, "Generated Outputs": r.text, "Feedback": feedback(p, r)}
                for r in failed[p.id][: search.config.minibatch]
            ],
        )
        for p in hard
    ]
    written = search.proposer(policy, seed, ledger).propose(requests)
    refused = {p.id for p, z in zip(hard, written, strict=True) if leaks(z, p.answer)}
    ledger.refused_hints += len(refused)
    rows = [
        {"candidate": i, "template": z, "parent": None, "mean_score": None, "selected": p.id not in refused}
        for i, (p, z) in enumerate(zip(hard, written, strict=True))
    ]
    return {p.id: [z] for p, z in zip(hard, written, strict=True) if z and p.id not in refused}, rows
