"""What `harness run` and `harness eval` share: the inputs they check, the loop over seeds, and the result they write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config import PolicySpec
from harness.core.ledger import Ledger
from harness.core.seeds import derive
from harness.core.types import Problem
from harness.data.suites import Suite
from harness.data.training_sets import TrainingSet, resolve_bench
from harness.evaluation.engines import Engine
from harness.evaluation.evaluate import SuiteResult, evaluate
from harness.evaluation.results import combine, not_a_result_reason, reasons_by_seeds
from harness.grading.graders import check_answer_type
from harness.progress import Progress
from harness.runs.result import Result, ResultFile, SeedResult, with_spec, write_result
from harness.runs.rundir import RunDir
from harness.runs.spec import read_spec

Tick = Callable[[int, str], None]
"""Told the units of a seed that are done, and what is under way."""

Apart = Callable[[RunDir, Tick], None]
"""Does the seeds of a run that are not done, in other processes (harness/study/seeds.py)."""


def chosen(bench: str, training_set: TrainingSet) -> list[Suite]:
    """The suites of `bench`. Raises as `resolve_bench`, and UsageError where what is from outside has no known answer type."""
    suites = resolve_bench(bench, training_set)
    for s in suites:
        if s.home is not None:
            check_answer_type(s.answer_type, f"suite {s.name!r}")
    if training_set.home is not None:
        check_answer_type(training_set.answer_type, f"training set {training_set.name!r}")
    return suites


@dataclass(kw_only=True)
class Inputs:
    """What is read, checked: nothing is written before this exists.

    `flagged`: per suite, the ids of its problems that match a training problem. A unit of work is a completion, of which a
    seed has `units`.
    """

    training_set: TrainingSet
    suites: list[Suite]
    flagged: dict[str, list[str]]
    data_dir: Path | None
    offline: bool
    units: int

    def data(self) -> dict[str, str]:
        """SHA-256 by name of what is read, which must not change under a run."""
        return {f"suite {s.name!r}": s.data_sha256(self.data_dir) for s in self.suites}

    def cards(self) -> dict[str, dict[str, Any]]:
        """Of suites from outside, by name: who reads the run may not have them."""
        return {s.name: s.card() for s in self.suites if s.home is not None}


def each_seed(
    spec: PolicySpec,
    inputs: Inputs,
    run: RunDir,
    command: Sequence[str],
    title: str,
    work: Callable[[int, Tick], SeedResult],
    summarise: Callable[[Mapping[int, SeedResult]], ResultFile],
    apart: Apart | None = None,
) -> Result:
    """Do every seed that is not done yet, then write the result and the report.

    `apart` does them in other processes; a seed that was begun here is done here, before it.
    """
    with run, Progress(inputs.units * len(spec.seeds), title) as progress:
        run.write_spec(spec, inputs.data(), inputs.cards())
        run.log_command(command)

        def here(seed: int) -> None:
            before = inputs.units * sum(run.seed_done(s) for s in spec.seeds if s != seed)
            if not run.seed_done(seed):
                run.write_seed(seed, work(seed, _after(before, progress.update)))
            run.drop_checkpoints(seed)
            progress.update(before + inputs.units, f"seed {seed} done")

        if apart is not None:
            for seed in filter(run.seed_begun, spec.seeds):
                here(seed)
            apart(run, progress.update)
        for seed in spec.seeds:
            here(seed)
        result = summarise({seed: run.read_seed(seed) for seed in spec.seeds})
        write_result(run.path, result)
        from harness.report.run import write_report

        write_report(run.path)
    return with_spec(result, spec.model_dump(mode="json"), str(run.path))


def _after(before: int, tick: Tick) -> Tick:
    return lambda done, text: tick(before + done, text)


def evaluate_seed(
    spec: PolicySpec,
    inputs: Inputs,
    run: RunDir,
    seed: int,
    engine: Engine,
    eval_prompt: Callable[[Problem], str],
    tick: Tick,
) -> list[SuiteResult]:
    """Evaluate the policy of a seed and store its samples. An interruption loses only what is being sampled."""
    evaluated = 0

    def finished(samples: int, suite: str) -> None:
        nonlocal evaluated
        evaluated = samples
        tick(samples, f"seed {seed} {suite} evaluated")

    engine.tick = lambda n: tick(evaluated + n, f"seed {seed} evaluating")
    results = evaluate(
        inputs.suites,
        engine,
        eval_prompt,
        derive("eval", seed),
        inputs.data_dir,
        spec.eval,
        run.partial(seed),
        finished,
    )
    run.store_samples(seed, {r.suite: r.samples for r in results})
    return results


def result_of_seeds(
    spec: PolicySpec,
    inputs: Inputs,
    run: Path,
    seeds: Mapping[int, SeedResult],
    method: str,
    recipe: str,
    deviation: str | None = None,
) -> ResultFile:
    """result.json of a run or an evaluation. `deviation`: how the training problems differ from the pinned ones."""
    stopped = {seed: found.stopped for seed, found in seeds.items() if found.stopped}
    ledgers = {seed: found.ledger or Ledger() for seed, found in seeds.items()}
    combined = combine(seeds, inputs.suites, inputs.training_set, inputs.flagged, inputs.data_dir)
    return ResultFile(
        run=str(run),
        method=method,
        model=spec.model.id,
        recipe=recipe,
        training_set=inputs.training_set.name,
        spec_hash=read_spec(run).hash,  # of the settings that it began with
        seeds=spec.seeds,
        not_a_result=not_a_result_reason(
            spec,
            deviation,
            *(s.deviation(inputs.data_dir) for s in inputs.suites),
            *reasons_by_seeds(stopped),
        ),
        stopped=stopped,
        identity=combined.identity,
        suites=combined.suites,
        macro=combined.macro,
        ledger=Ledger.total(ledgers.values()),
        ledgers=ledgers,
    )
