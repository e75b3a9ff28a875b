"""`harness run`: one arm, several seeds. Prepare everything that can fail, then train, evaluate and report seed by seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config import RunSpec
from harness.core.errors import UsageError
from harness.core.ledger import Ledger
from harness.core.method import Method
from harness.core.seeds import derive
from harness.core.types import Problem
from harness.data import contamination
from harness.data.suites import Suite, content_sha256
from harness.data.training_sets import TrainingSet, load_training_set, resolve_bench
from harness.evaluation.engines import BackendEngine
from harness.evaluation.evaluate import evaluate
from harness.evaluation.results import Checklist, combine, part, stamp
from harness.plan import Plan, plan
from harness.progress import Progress
from harness.registry import load_method
from harness.runs.files import write_json
from harness.runs.rundir import RunDir
from harness.search.reflect import server_key
from harness.training import Backend, describe, make_backend
from harness.training.seedlog import SeedLog


@dataclass
class Prepared:
    """All inputs of a run, checked: nothing is written before this exists.

    `overlaps`: per suite, its problems to be run that match a training problem. The training problems name
    those suites (`overlapping_suites`).
    """

    spec: RunSpec
    training_set: TrainingSet
    problems: list[Problem]
    suites: list[Suite]
    plan: Plan
    translation: list[str]
    deviation: str | None
    overlaps: dict[str, list[contamination.Match]]
    data_dir: Path | None
    offline: bool

    @property
    def flagged(self) -> dict[str, list[str]]:
        """Per suite, the ids of the problems that match a training problem."""
        return {name: list(contamination.flagged(found)) for name, found in self.overlaps.items()}

    def data(self) -> dict[str, str]:
        """SHA-256 by name of what is read, which must not change under a run."""
        suites = {f"suite {s.name!r}": s.data_sha256(self.data_dir) for s in self.suites}
        return {f"training set {self.training_set.name!r}": content_sha256(self.problems), **suites}

    def method(self, seed: int) -> Method:
        spec = self.spec
        return load_method(spec.method)(spec.typed_method_config(), spec.train, self.problems, seed, self.training_set.pieces())


def prepare(
    spec: RunSpec, data_dir: Path | None, offline: bool, overlaps: dict[str, list[contamination.Match]] | None = None
) -> Prepared:
    """Resolve data and suites. Raises UsageError, or one MissingError that names all that is not there.

    `overlaps`: where they were found already for the same problems and suites, that of an earlier `Prepared`.
    """
    training_set = load_training_set(spec.train.set)
    suites = resolve_bench(spec.eval.bench, training_set)
    check = Checklist([])
    problems = check.get(lambda: training_set.problems(spec, data_dir))
    tests = {suite.name: (check.get(lambda: suite.problems(data_dir)) or [])[: spec.eval.limit] for suite in suites}  # noqa: B023
    if problems is not None and len(problems) < spec.train.prompts_per_batch and spec.train.epochs:
        raise UsageError(
            f"training set {spec.train.set!r} has {len(problems)} problems, fewer than one batch of "
            f"train.prompts_per_batch={spec.train.prompts_per_batch}"
        )
    check.settle()
    assert problems is not None
    cls = load_method(spec.method)
    try:
        cls.check(spec.typed_method_config(), spec.train)
    except ValueError as e:
        raise UsageError(f"{spec.method}: {e}") from None
    if overlaps is None:
        overlaps = contamination.find(problems, tests)
    problems = contamination.marked(problems, overlaps)
    prepared = Prepared(
        spec,
        training_set,
        problems,
        suites,
        None,
        [],
        training_set.deviation(data_dir),
        overlaps,
        data_dir,
        offline,  # type: ignore[arg-type]
    )
    method = prepared.method(spec.seeds[0])
    prepared.plan = plan(spec, method, suites)
    prepared.translation = describe(spec, method)
    return prepared


def execute(prepared: Prepared, run: RunDir, command: list[str]) -> dict[str, Any]:
    """Train and evaluate every seed that is not done yet; returns result.json.

    The policy is loaded before anything is written. KeyboardInterrupt leaves a run that `--resume` continues from its
    last checkpoint.
    """
    spec = prepared.spec
    if any(spec.method_config.get(writer, {}).get("kind") == "openai" for writer in ("reflector", "teacher")):
        server_key()  # found missing now, not after an epoch
    backend = make_backend(spec, prepared.offline)
    total = prepared.plan.rollouts + prepared.plan.eval_samples
    with run, Progress(total * len(spec.seeds), f"{spec.method} {spec.eval.bench}") as progress:
        run.write_spec(spec, prepared.data())
        run.log_command(command)
        for i, seed in enumerate(spec.seeds):
            done = run.path / "results" / f"s{seed}.json"
            if not done.exists():
                backend = backend or make_backend(spec, prepared.offline)
                with backend:
                    row = _one_seed(prepared, run, seed, backend, progress, i * total)
                backend = None
                write_json(done, row)  # the seed is done: its samples are stored, its policy is where it stays
            run.drop_checkpoints(seed)
            progress.update((i + 1) * total, f"seed {seed} done")
        result = summarise(prepared, run)
        write_json(run.path / "ledger.json", {"total": result["ledger"], "seeds": result["ledgers"]})
        write_json(run.path / "result.json", result)
        from harness.report.run import write_report

        write_report(run.path)
    return result


def _one_seed(prepared: Prepared, run: RunDir, seed: int, backend: Backend, progress: Progress, done: int) -> dict[str, Any]:
    """Train and evaluate one seed; its ledger and scores."""
    spec = prepared.spec
    method = prepared.method(seed)

    def tick(rollouts: int, text: str) -> None:
        progress.update(done + min(rollouts, prepared.plan.rollouts), text)

    log = SeedLog(run, seed, spec, prepared.problems, tick, prepared.training_set.world_of(spec))
    backend.train(method, log)
    done += prepared.plan.rollouts
    evaluated = 0

    def finished(samples: int, suite: str) -> None:
        nonlocal evaluated
        evaluated = samples
        progress.update(done + samples, f"seed {seed} {suite} evaluated")

    engine = BackendEngine(backend.generate, backend.identity(), _block_tokens(spec))
    engine.tick = lambda n: progress.update(done + evaluated + n, f"seed {seed} evaluating")
    backend.tick = lambda n: engine.tick(n)
    results = evaluate(
        prepared.suites,
        engine,
        method.eval_prompt,
        derive("eval", seed),
        prepared.data_dir,
        spec.eval,
        run.partial(seed),
        finished,
    )
    run.store_samples(seed, {r.suite: r.samples for r in results})
    return {"ledger": log.ledger.to_dict(), "stopped": log.stopped, **part(results, engine.identity(), prepared.flagged)}


def _block_tokens(spec: RunSpec) -> int | None:
    """New tokens of what an evaluation samples, and keeps, at once. OpenRLHF's engines schedule a whole suite themselves."""
    return spec.local.generation_tokens if spec.backend.name == "local" else None


def summarise(prepared: Prepared, run: RunDir) -> dict[str, Any]:
    """result.json from the seeds' parts: suite scores, macro averages by role, the ledger."""
    spec = prepared.spec
    parts = {seed: run.read(f"results/s{seed}.json") for seed in spec.seeds}
    stopped = {str(seed): part["stopped"] for seed, part in parts.items() if part.get("stopped")}
    ledgers = {str(seed): part["ledger"] for seed, part in parts.items()}
    total, sources = Ledger.total(Ledger(**x) for x in ledgers.values()), _sources(prepared)
    return {
        "run": str(run.path),
        "method": spec.method,
        "model": spec.model.id,
        "recipe": spec.recipe,
        "training_set": spec.train.set,
        "problems_sha256": content_sha256(prepared.problems),
        "spec_hash": spec.hash(),
        "seeds": list(spec.seeds),
        "not_a_result": stamp(
            spec.eval.limit,
            prepared.deviation,
            *(s.deviation(prepared.data_dir) for s in prepared.suites),
            *(f"the training of seed {seed} was stopped: {reason}" for seed, reason in stopped.items()),
        ),
        "stopped": stopped,
        **combine(parts, prepared.suites, prepared.training_set, prepared.flagged, prepared.data_dir),
        **sources,
        "ledger": total.to_dict(),
        "teacher_tokens": total.reflection_tokens if sources["teacher"] else 0,
        "ledgers": ledgers,
    }


def _sources(prepared: Prepared) -> dict[str, Any]:
    """What the method was told about training problems, by whom it was written, and which other model wrote for it."""
    spec, told = prepared.spec, prepared.method(prepared.spec.seeds[0]).reference
    reflector = spec.method_config.get("teacher") or spec.method_config.get("reflector") or {}
    source = (prepared.training_set.solutions if told == "solution" else None) or "none"
    teacher = source if "teacher" in spec.method_config else None
    if reflector.get("kind") == "openai" and reflector["model"] != spec.model.id:  # a server may hold the policy itself
        teacher = reflector["model"]
    if reflector.get("kind") == "replay":
        teacher = "a recording"
    return {"reference": told, "reference_source": source, "teacher": teacher}
