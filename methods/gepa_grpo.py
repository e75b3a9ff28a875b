"""GEPA first, then GRPO with the evolved prompt (after BetterTogether, arXiv 2407.10930, and mmGRPO, arXiv 2508.04660).

    harness run --method gepa-grpo --bench ood
    harness run --method gepa-grpo-dropped --bench ood

One template is evolved on the initial policy and inserted before every training prompt; the gradient sees it. At evaluation
it is kept, or dropped, as in the second command: both train the same policy. Differs from the sources: one prompt, one
module, one round, prompt before weights; the search may take `evolve.metric_calls`, and training gets the rest of the budget.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from harness.core.hints import HintedConfig
from harness.core.ledger import Ledger
from harness.core.method import Costs, EpochReport, Method, Policy
from harness.core.settings import LossSpec
from harness.core.types import Group, Problem, Sample
from harness.search.asking import ReflectorConfig
from harness.search.prompt_search import EvolveConfig, PromptSearch


class GepaGRPOConfig(HintedConfig):
    """Settings of the two stages."""

    keep_prompt: bool = True
    """Evaluate with the template."""
    evolve: EvolveConfig = EvolveConfig()
    """The search before training."""
    reflector: ReflectorConfig = ReflectorConfig()
    """Who writes templates."""


class GepaGRPO(Method):
    """Evolve one template, then train every problem with it."""

    Config = GepaGRPOConfig
    config: GepaGRPOConfig
    packages = ("gepa",)

    def setup(self) -> None:
        c = self.config
        self.search = PromptSearch(c.evolve, c.reflector, self.phrases, self.train.max_new_tokens)
        self.search.check(self.problems)
        self.reference = self.search.reference

    def costs(self) -> Costs:
        search = self.search.shape(len(self.problems))
        return super().costs()._replace(begin=search.rollouts, search=search)

    @property
    def loss(self) -> LossSpec:
        return self.config.loss(self.train.loss)

    def begin(self, policy: Policy, ledger: Ledger) -> EpochReport:
        return self.search.run_for_best(self.problems, policy, ledger, self.seed)

    async def rollout_group(self, problem: Problem, k: int, sample: Sample, rng: random.Random) -> Group:
        context = self.config.context(problem, self.search.prompt(problem), self.search.best)
        return Group(problem, await sample([context] * k))

    def eval_prompt(self, problem: Problem) -> str:
        return self.search.prompt(problem) if self.config.keep_prompt else problem.text

    def adopt(self, template: str) -> None:
        self.search.adopt(template)

    def state_dict(self) -> dict[str, Any]:
        return self.search.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.search.load_state_dict(state)
