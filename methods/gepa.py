"""GEPA alone: prompt evolution with frozen weights (Agrawal et al. 2025, arXiv 2507.19457), the prompt-only arm.

    harness run --method gepa --bench ood

Half of the training problems (at most `dev_size`) score candidates, the rest feed reflection; the template with the best
mean dev score is inserted before every evaluation prompt. Differs from the paper: each iteration has a beam of parents, and
the budget is that of the run (`train.max_rollouts`; a bound in tokens is converted at completions of full length) unless
`evolve.metric_calls` says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.core.budget import rollouts_left
from harness.core.ledger import Ledger
from harness.core.method import Costs, EpochReport, Method, Policy
from harness.core.screening import screening_cost
from harness.core.settings import MethodConfig
from harness.core.types import Group, Problem
from harness.search.asking import ReflectorConfig
from harness.search.prompt_search import EvolveConfig, PromptSearch


class PromptOnlyConfig(MethodConfig):
    """Settings of prompt-only GEPA."""

    evolve: EvolveConfig = EvolveConfig()
    """The search; `metric_calls: released` means the run's whole rollout budget, if it has one."""
    reflector: ReflectorConfig = ReflectorConfig()
    """Who writes templates."""


class PromptOnly(Method):
    """Evolve one template, train nothing, evaluate with the template."""

    Config = PromptOnlyConfig
    config: PromptOnlyConfig
    packages = ("gepa",)

    def setup(self) -> None:
        config, left = self.config.evolve, rollouts_left(self.train, Ledger()) - screening_cost(self)
        if config.metric_calls == "released" and left < math.inf:
            config = config.model_copy(update={"metric_calls": int(left)})
        self.search = PromptSearch(config, self.config.reflector, self.phrases, self.train.max_new_tokens)
        self.search.check(self.problems)
        self.reference = self.search.reference

    def costs(self) -> Costs:
        search = self.search.shape(len(self.problems))
        return super().costs()._replace(last=search.rollouts, search=search)

    @property
    def loss(self) -> None:
        return None

    def end_epoch(self, epoch: int, groups: Sequence[Group], policy: Policy, ledger: Ledger, last: bool) -> EpochReport:
        return self.search.run_for_best(self.problems, policy, ledger, self.seed)

    def eval_prompt(self, problem: Problem) -> str:
        return self.search.prompt(problem)

    def adopt(self, template: str) -> None:
        self.search.adopt(template)

    def state_dict(self) -> dict[str, Any]:
        return self.search.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.search.load_state_dict(state)
