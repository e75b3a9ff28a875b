"""GEPA alone: prompt evolution with frozen weights (Agrawal et al. 2025, arXiv 2507.19457), the prompt-only arm.

    harness run --method gepa --bench ood

Half of the training problems (at most `dev_size`) score candidates, the others feed reflection; the template with the
best mean dev score is inserted before every evaluation prompt. Differs from the paper: a beam of parents per
iteration, and the budget is the run's own (`train.max_rollouts`; a bound in tokens is counted in completions of full
length) unless `evolve.metric_calls` says otherwise.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from harness.core.budget import rollouts_left
from harness.core.errors import UsageError
from harness.core.hints import insert
from harness.core.ledger import Ledger
from harness.core.method import Method, MethodConfig, Policy
from harness.core.types import Group, Problem, Sample, Sampling
from harness.methods.p2o import pool_rows
from harness.search.prompt_search import EvolveConfig, evolve, split
from harness.search.reflect import ReflectorConfig, make_proposer


class PromptOnlyConfig(MethodConfig):
    """Settings of prompt-only GEPA."""

    evolve: EvolveConfig = EvolveConfig()
    """The search; `metric_calls: released` means the run's whole rollout budget where it has one."""
    reflector: ReflectorConfig = ReflectorConfig()
    """Who writes templates."""


class PromptOnly(Method):
    """Evolve one template, train nothing, evaluate with the template."""

    Config = PromptOnlyConfig
    config: PromptOnlyConfig

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.best = ""
        self._rows: list[dict[str, Any]] = []

    @property
    def loss(self) -> None:
        return None

    @property
    def reference(self) -> str:
        """A model that reflects is told the answers."""
        return "none" if self.config.reflector.kind == "offline" else "answer"

    async def rollout_group(self, problem: Problem, k: int, sample: Sample, rng: random.Random) -> Group:
        raise NotImplementedError("prompt-only GEPA takes no gradient, so it has no groups")

    def _evolve_config(self) -> EvolveConfig:
        config = self.config.evolve
        left = rollouts_left(self.train, Ledger())
        if config.metric_calls == "released" and left < math.inf:
            config = config.model_copy(update={"metric_calls": int(left) - self.opening_budget()})
        return config

    def search_budget(self) -> int:
        """Metric calls of the one search."""
        dev = min(self.config.evolve.dev_size, len(self.problems) // 2)
        return self._evolve_config().budget(dev)

    def end_epoch(self, epoch: int, groups: Sequence[Group], policy: Policy, ledger: Ledger, last: bool) -> dict[str, Any]:
        return self.search(policy, ledger)

    def search(self, policy: Policy, ledger: Ledger) -> dict[str, Any]:
        """Evolve templates on the policy as it is and keep the best one; what to log."""
        dev, minibatch = split(self.problems, self.config.evolve.dev_size, self.seed)
        if not dev:
            raise UsageError("suites of this run ask every training problem, so no template can be selected; leave them out")
        proposer = make_proposer(self.config.reflector, policy, self.phrases, self.seed, ledger)
        greedy = Sampling(0.0, self.train.max_new_tokens)
        pool = evolve(dev, minibatch, policy, proposer, self._evolve_config(), greedy, self.seed, ledger)
        best = max(range(len(pool.templates_C)), key=lambda c: pool.mean_C[c])
        self.best = pool.templates_C[best]
        self._rows = pool_rows(pool, [best])
        return {
            "search_rollouts": pool.metric_calls,
            "candidates": len(pool.templates_C),
            "proposals": pool.proposals,
            "accepted": pool.accepted,
            "dev_score": pool.mean_C[best],
            "dev_score_empty": pool.mean_C[0],
        }

    def eval_prompt(self, problem: Problem) -> str:
        return insert(self.best, problem.text)

    def templates(self) -> list[dict[str, Any]]:
        return self._rows

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best = state["best"]
