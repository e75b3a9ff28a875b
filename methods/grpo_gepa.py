"""GRPO, then a prompt evolved for the trained policy: GEPA's gain at inference on top of plain training.

    harness run --method grpo-gepa --bench ood

The control for P2O that shows what an evolved prompt adds to a GRPO policy at evaluation when nothing is learned from it.
Training is plain GRPO on what the budget leaves after the one search at its end (`evolve.metric_calls`); the best template
(Agrawal et al. 2025, arXiv 2507.19457) is inserted before every evaluation prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.core.ledger import Ledger
from harness.core.method import Costs, EpochReport, Policy
from harness.core.settings import MethodConfig
from harness.core.types import Group, Problem
from harness.search.asking import ReflectorConfig
from harness.search.prompt_search import EvolveConfig, PromptSearch

from .grpo import GRPO  # relative, so that mypy finds it in this folder as well


class GRPOGepaConfig(MethodConfig):
    """Settings of the search."""

    evolve: EvolveConfig = EvolveConfig()
    """The search after training."""
    reflector: ReflectorConfig = ReflectorConfig()
    """Who writes templates."""


class GRPOGepa(GRPO):
    """Train plainly, then evolve one template for evaluation."""

    Config = GRPOGepaConfig
    config: GRPOGepaConfig
    packages = ("gepa",)

    def setup(self) -> None:
        c = self.config
        self.search = PromptSearch(c.evolve, c.reflector, self.phrases, self.train.max_new_tokens)
        self.search.check(self.problems)
        self.reference = self.search.reference

    def costs(self) -> Costs:
        search = self.search.shape(len(self.problems))
        return super().costs()._replace(last=search.rollouts, search=search)

    def end_epoch(self, epoch: int, groups: Sequence[Group], policy: Policy, ledger: Ledger, last: bool) -> EpochReport:
        return self.search.run_for_best(self.problems, policy, ledger, self.seed) if last else EpochReport()

    def eval_prompt(self, problem: Problem) -> str:
        return self.search.prompt(problem)

    def adopt(self, template: str) -> None:
        self.search.adopt(template)

    def state_dict(self) -> dict[str, Any]:
        return self.search.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.search.load_state_dict(state)
