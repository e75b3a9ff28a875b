"""The epochs of one seed, the same for every backend: batches, checkpoints, the epoch hook, the stop rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from harness.core.budget import spent
from harness.core.errors import UsageError
from harness.core.guards import Guard
from harness.core.method import EpochReport, Method, Policy
from harness.core.screening import keep_hard
from harness.core.seeds import stream
from harness.core.types import Group, Problem
from harness.core.world import Scorer
from harness.search.answers import keep_answers
from harness.training.seedlog import SeedLog


class Trainee(Policy, Protocol):
    """What the loop asks of a backend. While a search samples, `tick` is called with the number of completions done."""

    tick: Callable[[int], None]

    def batch(
        self, method: Method, problems: list[Problem], log: SeedLog, epoch: int, batch: int
    ) -> tuple[list[Group], dict[str, Any]]:
        """Sample and meter one group per problem and take the optimiser steps; the groups, and what to log."""
        ...

    def begin_epoch(self, method: Method, epoch: int) -> None:
        """The method's state for this epoch is final."""
        ...

    def write_checkpoint(self, folder: Path) -> None:
        """Weights and optimiser into an empty folder (or elsewhere, named after it)."""
        ...

    def read_checkpoint(self, folder: Path) -> None:
        """Inverse of `write_checkpoint`."""
        ...


def train_epochs(trainee: Trainee, method: Method, log: SeedLog) -> None:
    """Train one seed to its end, from its last checkpoint if there is one.

    A guard (harness/core/guards.py) may end it early, with the reason in `log.stopped` and without the last epoch hook.

    Checkpoints are written every `checkpoint_steps` batches, after the last batch of an epoch and after the epoch hook; none
    where it is None.
    Raises UsageError if the method keeps fewer problems than a batch takes.
    """
    cfg = log.spec.train
    epoch, batch, done = 0, 0, cfg.epochs == 0
    guard = Guard(cfg.guards)
    if restored := log.restore():
        folder, at = restored
        trainee.read_checkpoint(folder)
        method.load_state_dict(at["method"])
        epoch, batch, done = at["epoch"], at["batch"], at["done"]
        guard.low = at.get("low_entropy", 0)
        kept = set(at.get("problems", [p.id for p in method.problems]))
        method.problems = [p for p in method.problems if p.id in kept]

    def checkpoint() -> None:
        if cfg.checkpoint_steps is None:
            return
        position = {"epoch": epoch, "batch": batch, "done": done, "method": method.state_dict()}
        position |= {"stopped": log.stopped, "low_entropy": guard.low}
        if len(method.problems) < len(log.problems):
            position["problems"] = [p.id for p in method.problems]
        log.checkpoint(position, trainee.write_checkpoint)

    if not done and not restored:
        trainee.tick = _searching(log, "before epoch 1")
        with log.ledger.clock(), keep_answers(log.answers, -1, log.ledger):
            opened = _open(method, trainee, log)
        trainee.tick = lambda n: None
        if opened != EpochReport():
            log.epoch(-1, opened.metrics, opened.templates)
            checkpoint()
    if method.loss is not None and not done and len(method.problems) < cfg.prompts_per_batch:
        raise UsageError(
            f"{len(method.problems)} of {len(log.problems)} problems are left to train on, fewer than one batch of "
            f"train.prompts_per_batch={cfg.prompts_per_batch}"
        )
    reserve = method.costs().last if method.loss is not None else 0
    while not done:
        if method.loss is not None and not log.stopped:
            trainee.begin_epoch(method, epoch)
            for done_batches in _batches(trainee, method, log, epoch, batch, guard, reserve):
                batch = done_batches
                if cfg.checkpoint_steps is not None and batch % cfg.checkpoint_steps == 0:
                    checkpoint()
            checkpoint()
        if log.stopped:
            log.epoch(epoch, {"stopped": log.stopped}, [])
            epoch, batch, done = epoch + 1, 0, True
            checkpoint()
            break
        done = method.loss is None or epoch + 1 >= cfg.epochs or spent(cfg, log.ledger, reserve)
        trainee.tick = _searching(log, f"after epoch {epoch + 1}")
        with log.ledger.clock(), keep_answers(log.answers, epoch, log.ledger):
            report = method.end_epoch(epoch, log.groups, trainee, log.ledger, last=done)
            probed: dict[str, float] = {}
            if log.world and isinstance(trainee, Scorer):
                probed = log.world.probe(trainee, cfg.temperature)
        trainee.tick = lambda n: None
        log.epoch(epoch, {**report.metrics, **probed}, report.templates)
        epoch, batch = epoch + 1, 0
        checkpoint()


def _open(method: Method, trainee: Trainee, log: SeedLog) -> EpochReport:
    """Screen for hard problems if asked to, then let the method begin; one report of both."""
    screened = keep_hard(method, trainee, log.ledger)
    report = method.begin(trainee, log.ledger)
    metrics = {**screened, **report.metrics}
    if paid := [m["search_rollouts"] for m in (screened, report.metrics) if "search_rollouts" in m]:
        metrics["search_rollouts"] = sum(paid)
    return EpochReport(metrics, report.templates)


def _searching(log: SeedLog, when: str) -> Callable[[int], None]:
    """A callback that shows the progress of a search, in completions."""
    return lambda done: log.tick(log.ledger.rollouts + done, f"seed {log.seed} {when}: searching")


def _batches(
    trainee: Trainee, method: Method, log: SeedLog, epoch: int, start: int, guard: Guard, reserve: int
) -> Iterator[int]:
    """Train the batches of one epoch from number `start`; yields after each how many are done.

    Ends early when `guard` stops the training or `reserve` rollouts of the budget are left.
    """
    size = log.spec.train.prompts_per_batch
    order = sorted(method.problems, key=lambda p: p.id)
    stream(log.seed, "order", epoch).shuffle(order)
    for batch in range(start, len(order) // size):
        if spent(log.spec.train, log.ledger, reserve):
            return
        problems = order[batch * size : (batch + 1) * size]
        with log.ledger.clock():
            groups, metrics = trainee.batch(method, problems, log, epoch, batch)
            log.step(epoch, batch, groups, metrics)
        log.stopped = guard.check(metrics)
        yield batch + 1
        if log.stopped:
            return
