"""What a run will do before it does it: problems, rollouts, tokens, optimiser steps, and a guess of the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.config import PolicySpec, RunSpec
from harness.method import Method
from harness.models import MODELS
from harness.suites import Suite


@dataclass
class Plan:
    """Of one seed. Rollouts and tokens are upper bounds: prompt search may be skipped, completions may end early."""

    problems: int
    epochs: int
    batches: int
    rollouts: int
    search_rollouts: int
    optimiser_steps: int
    generated_tokens: int
    eval_problems: int
    eval_samples: int
    eval_tokens: int
    seeds: int
    seconds: float | None  # all seeds; None where the model's speed is unknown

    def lines(self) -> list[str]:
        """The plan in words."""
        time = "unknown for this model" if self.seconds is None else f"about {self.seconds / 60:.1f} minutes on 2 cores"
        return [
            f"training problems       {self.problems:,}",
            f"epochs                  at most {self.epochs:,} ({self.batches:,} batches)",
            f"rollouts                at most {self.rollouts:,} a seed, {self.search_rollouts:,} of them prompt search",
            f"generated tokens        at most {self.generated_tokens:,} a seed",
            f"optimiser steps         {self.optimiser_steps:,} a seed",
            f"evaluation              {self.eval_problems:,} problems, {self.eval_samples:,} samples a seed, "
            f"at most {self.eval_tokens:,} tokens",
            f"seeds                   {self.seeds}",
            f"estimated time          {time}",
        ]


@dataclass(frozen=True)
class EvalCost:
    """Of one seed: problems, completions, and the tokens that these may have at most."""

    problems: int
    samples: int
    tokens: int


def eval_cost(spec: PolicySpec, suites: Sequence[Suite]) -> EvalCost:
    """What an evaluation on `suites` takes."""
    sizes = [
        (suite.planned(spec.eval.limit) * k, sampling.max_new_tokens)
        for suite in suites
        for k, sampling in suite.passes(spec.eval)
    ]
    problems = sum(suite.planned(spec.eval.limit) for suite in suites)
    return EvalCost(problems, sum(n for n, _ in sizes), sum(n * t for n, t in sizes))


def plan(spec: RunSpec, method: Method, suites: Sequence[Suite]) -> Plan:
    """Walk the training loop without sampling; every epoch hook is assumed to search as much as it may."""
    cfg = spec.train
    bound = cfg.max_rollouts if cfg.max_rollouts else float("inf")
    rollouts = search = batches = epoch = 0
    if method.loss is None and cfg.epochs:
        rollouts = search = int(min(method.search_budget(), bound))
        epoch = 1
    else:
        while epoch < cfg.epochs and rollouts < bound:
            for _ in range(len(method.problems) // cfg.prompts_per_batch):
                if rollouts < bound:
                    rollouts += cfg.prompts_per_batch * cfg.rollouts_per_prompt
                    batches += 1
            epoch += 1
            if epoch < cfg.epochs and rollouts < bound:
                paid = method.search_budget()
                if paid < bound - rollouts:  # a search after which no rollout is left is not begun
                    rollouts, search = rollouts + paid, search + paid
    evaluation = eval_cost(spec, suites)
    tokens = rollouts * cfg.max_new_tokens
    named = MODELS.get(spec.model.id)
    seconds = len(spec.seeds) * (tokens + evaluation.tokens) / named.cpu_tokens_per_second if named else None
    return Plan(
        len(method.problems), epoch, batches, rollouts, search, batches * cfg.updates_per_batch, tokens,
        evaluation.problems, evaluation.samples, evaluation.tokens, len(spec.seeds), seconds,
    )
