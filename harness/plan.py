"""What a run will do before it does it: problems, rollouts, tokens, optimiser steps. What it costs: harness/cost."""

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
from harness.core.method import Method, Search
from harness.core.screening import screening_cost
from harness.core.types import Problem
from harness.data.suites import Suite
from harness.data.training_sets import load_training_set, resolve_bench
from harness.registry import load_method
from harness.runs.result import load_result


@dataclass
class Plan:
    """Of one seed. Rollouts and tokens are upper bounds: prompt search may be skipped, completions may end early.

    `by_tokens`: a bound in tokens stops the run, and completions are taken to be of full length; there are more of them
    where they end early. `asked`: answers of a writer beside searches; `passes` over them in supervised training.
    `turns` of a batch's sampling, one after another, where groups sample again.
    """

    problems: int
    epochs: int
    batches: int
    turns: int
    rollouts: int
    search_rollouts: int
    searches: int
    search: Search | None
    asked: int
    passes: int
    optimiser_steps: int
    generated_tokens: int
    eval_problems: int
    eval_samples: int
    eval_tokens: int
    eval_passes: int
    seeds: int
    by_tokens: bool
    hints: Coverage | None  # None for a method that is told no solutions
    not_a_result: str | None  # why scores of such a run must not be quoted, as far as settings and data tell

    def lines(self) -> list[str]:
        """The plan in words."""
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
            *stamp,
        ]


@dataclass(frozen=True)
class EvalCost:
    """Of one seed: problems, completions, the tokens that these may have at most, and how many times a suite is asked."""

    problems: int
    samples: int
    tokens: int
    passes: int


def eval_cost(spec: PolicySpec, suites: Sequence[Suite]) -> EvalCost:
    """What an evaluation on `suites` takes."""
    sizes = [
        (suite.planned(spec.eval.limit) * k, sampling.max_new_tokens)
        for suite in suites
        for k, sampling in suite.passes(spec.eval)
    ]
    problems = sum(suite.planned(spec.eval.limit) for suite in suites)
    return EvalCost(problems, sum(n for n, _ in sizes), sum(n * t for n, t in sizes), len(sizes))


def plan(spec: RunSpec, method: Method, suites: Sequence[Suite], not_a_result: str | None = None) -> Plan:
    """Walk the training loop without sampling; every epoch hook is assumed to search as much as it may.

    `not_a_result`: what is known against the result before it is made.
    """
    cfg = spec.train
    costs = method.costs()
    closing = costs.last if cfg.epochs else 0
    bound = rollouts_left(cfg, Ledger()) - closing
    batches = epoch = searches = hooks = 0
    rollouts = search = screening_cost(method) + costs.begin if cfg.epochs else 0
    if method.loss is None and cfg.epochs:
        rollouts = search = int(min(rollouts, bound))  # the one search is the closing one
        epoch = hooks = 1
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
                    searches, hooks = searches + bool(paid), hooks + 1
    worst = cfg.prompts_per_batch * costs.group
    if batches:  # groups may cost more than k each, which ends the run after fewer batches
        extra = batches * (worst - cfg.prompts_per_batch * cfg.rollouts_per_prompt)
        rollouts = int(max(rollouts, min(rollouts + extra, bound - 1 + worst)))
    rollouts, search = rollouts + closing, search + closing
    searches += bool(costs.begin and cfg.epochs) + bool(closing)
    evaluation = eval_cost(spec, suites)
    by_tokens = False
    tokens = rollouts * cfg.max_new_tokens
    if cfg.max_sampled_tokens is not None and cfg.max_rollouts is None:  # the last batch may begin just below the bound
        by_tokens, tokens = True, cfg.max_sampled_tokens + worst * cfg.max_new_tokens
    return Plan(
        problems=len(method.problems),
        epochs=epoch,
        batches=batches,
        turns=-(-costs.group // cfg.rollouts_per_prompt),
        rollouts=rollouts,
        search_rollouts=search,
        searches=searches,
        search=costs.search,
        asked=hooks * costs.asked,
        passes=costs.passes,
        optimiser_steps=batches * cfg.updates_per_batch,
        generated_tokens=tokens,
        eval_problems=evaluation.problems,
        eval_samples=evaluation.samples,
        eval_tokens=evaluation.tokens,
        eval_passes=evaluation.passes,
        seeds=len(spec.seeds),
        by_tokens=by_tokens,
        hints=coverage(method),
        not_a_result=not_a_result,
    )


def without_data(spec: RunSpec, bench: str | None = None) -> Plan | None:
    """The plan of a run whose training problems are not at hand, as if each had a solution: only their number matters. None
    where that depends on the data. `bench`: the suites, in place of the spec's. Raises as `resolve_bench`."""
    training_set = load_training_set(spec.train.set)
    suites = resolve_bench(bench or spec.eval.bench, training_set)
    if training_set.file is None:
        problems = training_set.problems(spec, None)
    elif spec.train.limit:
        problems = [Problem(id=str(i), text="", answer="", solution="1 2 3 4") for i in range(spec.train.limit)]
    else:
        return None
    method = load_method(spec.method)(
        spec.typed_method_config(), spec.train, problems, spec.seeds[0], training_set.pieces(spec)
    )
    return plan(spec, method, suites)


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
