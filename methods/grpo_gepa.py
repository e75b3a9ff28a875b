"""GRPO, then prompts evolved for the trained policy: GEPA's gain at inference on top of plain training.

    harness run --method grpo-gepa --bench ood

The control that P2O's reviewers miss: what an evolved prompt adds to a GRPO policy at evaluation, with nothing learned from
it. Training is plain GRPO on what the budget leaves after the one search at its end (`evolve.metric_calls`); the best template
(Agrawal et al. 2025, arXiv 2507.19457) stands before every evaluation prompt.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from harness.core.ledger import Ledger
from harness.core.method import Policy
from harness.core.settings import LossSpec
from harness.core.types import Context, Group, Problem, Sample
from harness.methods.gepa import PromptOnly
from harness.search.prompt_search import EvolveConfig


class GRPOGepa(PromptOnly):
    """Train plainly, then evolve one template for evaluation."""

    @property
    def loss(self) -> LossSpec:
        return self.train.loss

    def _evolve_config(self) -> EvolveConfig:
        return self.config.evolve

    def search_budget(self) -> int:
        return 0

    def closing_budget(self) -> int:
        return PromptOnly.search_budget(self)

    async def rollout_group(self, problem: Problem, k: int, sample: Sample, rng: random.Random) -> Group:
        return Group(problem, await sample([Context.plain(problem.text)] * k))

    def end_epoch(self, epoch: int, groups: Sequence[Group], policy: Policy, ledger: Ledger, last: bool) -> dict[str, Any]:
        return self.search(policy, ledger) if last else {}
