"""What a run will do before it does it: problems, rollouts, tokens, optimiser steps, and a guess of the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config import PolicySpec, RunSpec
from harness.core.budget import MANY_EPOCHS, rollouts_left
from harness.core.errors import UsageError
from harness.core.hints import Coverage, coverage
from harness.core.ledger import Ledger
from harness.core.method import Method
from harness.core.screening import screening_cost
from harness.data.suites import Suite
from harness.models import MODELS
from harness.runs.result import load_result


@dataclass
class Plan:
    """Of one seed. Rollouts and tokens are upper bounds: prompt search may be skipped, completions may end early.

    `by_tokens`: a bound in tokens stops the run, and completions are taken to be of full length; there are more of them
    where they end early.
    """

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
    by_tokens: bool
    seconds: float | None  # all seeds; None where the model's speed is unknown
    hints: Coverage | None  # None for a method that is told no solutions
    not_a_result: str | None  # why scores of such a run must not be quoted, as far as settings and data tell

    def lines(self) -> list[str]:
        """The plan in words."""
        time = "unknown for this model" if self.seconds is None else f"about {self.seconds / 60:.1f} minutes on 2 cores"
        most = "at least" if self.by_tokens else "at most"
        told = [f"hints                   {self.hints}"] if self.hints else []
        stamp = [f"not a result            {self.not_a_result}"] if self.not_a_result else []
        return [
            f"training problems       {self.problems:,}",
            *told,
            f"epochs                  {most} {self.epochs:,} ({self.batches:,} batches)",
            f"rollouts                {most} {self.rollouts:,} a seed, {self.search_rollouts:,} of them prompt search",
            f"generated tokens        at most {self.generated_tokens:,} a seed",
            f"optimiser steps         {most} {self.optimiser_steps:,} a seed",
            f"evaluation              {self.eval_problems:,} problems, {self.eval_samples:,} samples a seed, "
            f"at most {self.eval_tokens:,} tokens",
            f"seeds                   {self.seeds}",
            f"estimated time          {time}",
            *stamp,
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


def plan(spec: RunSpec, method: Method, suites: Sequence[Suite], not_a_result: str | None = None) -> Plan:
    """Walk the training loop without sampling; every epoch hook is assumed to search as much as it may.

    `not_a_result`: what is known against the result before it is made.
    """
    cfg = spec.train
    costs = method.costs()
    closing = costs.last if cfg.epochs else 0
    bound = rollouts_left(cfg, Ledger()) - closing
    batches = epoch = 0
    rollouts = search = screening_cost(method) + costs.begin if cfg.epochs else 0
    if method.loss is None and cfg.epochs:
        rollouts = search = int(min(rollouts, bound))  # the one search is the closing one
        epoch = 1
    else:
        while epoch < cfg.epochs and rollouts < bound:
            for _ in range(len(method.problems) // cfg.prompts_per_batch):
                if rollouts < bound:
                    rollouts += cfg.prompts_per_batch * cfg.rollouts_per_prompt
                    batches += 1
            epoch += 1
            if epoch < cfg.epochs and rollouts < bound:
                paid = costs.epoch
                if paid < bound - rollouts:  # a search after which no rollout is left is not begun
                    rollouts, search = rollouts + paid, search + paid
    worst = cfg.prompts_per_batch * costs.group
    if batches:  # groups may cost more than k each, which ends the run after fewer batches
        extra = batches * (worst - cfg.prompts_per_batch * cfg.rollouts_per_prompt)
        rollouts = int(max(rollouts, min(rollouts + extra, bound - 1 + worst)))
    rollouts, search = rollouts + closing, search + closing
    evaluation = eval_cost(spec, suites)
    by_tokens = False
    tokens = rollouts * cfg.max_new_tokens
    if cfg.max_sampled_tokens is not None and cfg.max_rollouts is None:  # the last batch may begin just below the bound
        by_tokens, tokens = True, cfg.max_sampled_tokens + worst * cfg.max_new_tokens
    named = MODELS.get(spec.model.id)
    seconds = len(spec.seeds) * (tokens + evaluation.tokens) / named.cpu_tokens_per_second if named else None
    return Plan(
        problems=len(method.problems),
        epochs=epoch,
        batches=batches,
        rollouts=rollouts,
        search_rollouts=search,
        optimiser_steps=batches * cfg.updates_per_batch,
        generated_tokens=tokens,
        eval_problems=evaluation.problems,
        eval_samples=evaluation.samples,
        eval_tokens=evaluation.tokens,
        seeds=len(spec.seeds),
        by_tokens=by_tokens,
        seconds=seconds,
        hints=coverage(method),
        not_a_result=not_a_result,
    )


def matched(run: Path) -> dict[str, Any]:
    """Training settings that stop a seed at the tokens which the seeds of a finished run wrote on average.

    Tokens are the only bound then: neither rollouts nor epochs end the run earlier. Raises as `load_result`, and
    UsageError for a run that wrote none.
    """
    ledgers = load_result(run).ledgers.values()
    tokens = round(sum(ledger.sampled_tokens for ledger in ledgers) / len(ledgers))
    if not tokens:
        raise UsageError(f"{run} wrote no token in training, so there is no budget to match")
    return {"max_sampled_tokens": tokens, "max_rollouts": None, "max_seconds": None, "epochs": MANY_EPOCHS}
