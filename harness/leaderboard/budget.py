"""That a ledger can be true: nothing below zero, and no less than the steps, the samples and the settings imply."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from harness.config import RunSpec
from harness.core.budget import rollouts_left
from harness.core.errors import HarnessError
from harness.core.ledger import Ledger
from harness.core.method import Method
from harness.core.text import visible
from harness.leaderboard.declared import Spec, method_of
from harness.runs.filed import Curve, Manifest

MANY = 10_000
"""Problems of a training set whose size is not known: more make no search cheaper."""


def check_ledgers(folder: Path, m: Manifest, spec: Spec, curves: Mapping[str, Sequence[Curve]], problems: int | None) -> None:
    """`problems`: how many the run was trained on, None where that is not known.

    Raises HarnessError, naming seed and entry, for a ledger that contradicts itself, the settings or the curves.
    """
    for seed, ledger in m.ledgers.items():
        for wrong in _contradictions(ledger, spec, seed in m.stopped, problems):
            raise HarnessError(visible(f"{folder / 'manifest.json'}: ledger of seed {seed}: {wrong}"))
    for name, own in curves.items():
        for curve in own:
            most = max(curve.x, default=0.0)
            if curve.seed not in m.ledgers or most > m.ledgers[curve.seed].rollouts + 0.5 + 1e-5 * most:
                what = f"{name} of seed {curve.seed} goes on to {most:g} rollouts"
                raise HarnessError(visible(f"{folder / 'training.json'}: {what}, which its ledger does not have"))


def _contradictions(x: Ledger, spec: Spec, stopped: bool, problems: int | None) -> Iterator[str]:
    for name, value in asdict(x).items():
        if not (math.isfinite(value) and value >= 0):
            yield f"{name} is {value}"
    if not isinstance(spec, RunSpec):
        yield from (f"{name} is {value} of an evaluation" for name, value in asdict(x).items() if value)
        return
    at_least = [
        ("rollouts", x.rollouts, x.search_rollouts, "its search_rollouts"),
        ("rollouts", x.rollouts, x.discarded_rollouts, "its discarded_rollouts"),
        ("discarded_rollouts", x.discarded_rollouts, x.discarded_groups, "its discarded_groups"),
        ("prompt_tokens", x.prompt_tokens, x.rollouts, "one a rollout"),
        ("generated_tokens", x.generated_tokens, x.rollouts, "one a rollout"),
        ("rollouts", x.rollouts * spec.train.max_new_tokens, x.generated_tokens, "its generated_tokens at full length"),
        ("trained_tokens", x.trained_tokens, x.optimiser_steps, "one a step"),
        ("reflection_tokens", x.reflection_tokens, x.reflection_calls, "one a call"),
    ]
    for name, value, least, why in at_least:
        if value < least:
            yield f"{name} is {getattr(x, name):,}, less than {why}"
    if (x.rollouts or x.optimiser_steps) and not x.wall_seconds:
        yield "wall_seconds is 0"
    yield from _by_method(x, spec, stopped, problems)


def _by_method(x: Ledger, spec: RunSpec, stopped: bool, problems: int | None) -> Iterator[str]:
    """What the method's own costs imply."""
    method, cfg = method_of(spec, problems=MANY), spec.train
    costs, screens = method.costs(), method.hard_only or cfg.problems == "hard"
    if x.search_rollouts and not (costs.begin or costs.epoch or costs.last or screens):
        yield f"search_rollouts is {x.search_rollouts:,}, and {spec.method} does not search"
    if method.supervised:
        return
    if method.loss is None:
        if x.optimiser_steps or x.trained_tokens:
            yield f"optimiser_steps is {x.optimiser_steps:,}, and {spec.method} trains nothing"
        if not stopped and cfg.epochs and x.rollouts == 0:
            yield f"rollouts is 0, and {spec.method} searches"
        return
    trained = x.rollouts - x.search_rollouts
    least = math.ceil(x.optimiser_steps / cfg.updates_per_batch) * cfg.prompts_per_batch * cfg.rollouts_per_prompt
    if trained < least:
        yield f"rollouts is {x.rollouts:,}, {x.optimiser_steps:,} optimiser steps imply {least + x.search_rollouts:,} or more"
    if x.trained_tokens > x.generated_tokens * cfg.updates_per_batch:
        yield f"generated_tokens is {x.generated_tokens:,}, less than its trained_tokens imply"
    if stopped or problems is None or screens or type(method).begin is not Method.begin:
        return  # how many batches an epoch had is not known
    whole = cfg.epochs * (problems // cfg.prompts_per_batch) * cfg.prompts_per_batch * cfg.rollouts_per_prompt
    left = rollouts_left(cfg, Ledger(**{**asdict(x), "rollouts": trained if costs.last else x.rollouts}))
    if trained < whole and left > costs.last:
        yield f"rollouts is {x.rollouts:,}, and its settings go on to {whole:,}, or to a bound that is not reached"
