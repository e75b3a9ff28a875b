"""GEPA first, then GRPO with the evolved prompt (after BetterTogether, arXiv 2407.10930, and mmGRPO, arXiv 2508.04660).

    harness run --method gepa-grpo --bench ood
    harness run --method gepa-grpo-dropped --bench ood

One template is evolved on the initial policy and stands before every training prompt; the gradient sees it. At evaluation
it is kept, or dropped, which the second command does: both train the same policy. Differs from the sources: one prompt, one
module, one round, prompt before weights; the search has `evolve.metric_calls` and the training the rest of the budget.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from harness.core.hints import HintedConfig, insert
from harness.core.ledger import Ledger
from harness.core.method import Policy
from harness.core.settings import LossSpec
from harness.core.types import Group, Problem, Sample
from harness.methods.gepa import PromptOnly
from harness.search.prompt_search import EvolveConfig
from harness.search.reflect import ReflectorConfig


class GepaGRPOConfig(HintedConfig):
    """Settings of the two stages."""

    keep_prompt: bool = True
    """Evaluate with the template."""
    evolve: EvolveConfig = EvolveConfig()
    """The search before training."""
    reflector: ReflectorConfig = ReflectorConfig()
    """Who writes templates."""


class GepaGRPO(PromptOnly):
    """Evolve one template, then train every problem with it."""

    Config = GepaGRPOConfig
    config: GepaGRPOConfig

    @property
    def loss(self) -> LossSpec:
        return self.config.loss(self.train.loss)

    def _evolve_config(self) -> EvolveConfig:
        return self.config.evolve

    def begin(self, policy: Policy, ledger: Ledger) -> dict[str, Any]:
        screened = super().begin(policy, ledger)
        found = self.search(policy, ledger)
        return {**screened, **found, "search_rollouts": screened.get("search_rollouts", 0) + found["search_rollouts"]}

    def opening_budget(self) -> int:
        return super().opening_budget() + PromptOnly.search_budget(self)

    def search_budget(self) -> int:
        return 0

    async def rollout_group(self, problem: Problem, k: int, sample: Sample, rng: random.Random) -> Group:
        context = self.config.context(problem, insert(self.best, problem.text), self.best)
        return Group(problem, await sample([context] * k))

    def end_epoch(self, epoch: int, groups: Sequence[Group], policy: Policy, ledger: Ledger, last: bool) -> dict[str, Any]:
        self._rows = []
        return {}

    def eval_prompt(self, problem: Problem) -> str:
        return super().eval_prompt(problem) if self.config.keep_prompt else problem.text
