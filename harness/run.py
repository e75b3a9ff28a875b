"""`harness run`: one arm, several seeds. Prepare everything that can fail, then train, evaluate and report seed by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from harness.config import RunSpec
from harness.core.errors import UsageError
from harness.core.extras import require
from harness.core.hints import check_coverage, coverage
from harness.core.method import Method
from harness.core.types import Problem
from harness.data import contamination
from harness.data.problems import content_sha256
from harness.data.training_sets import TrainingSet, load_training_set
from harness.evaluation.engines import BackendEngine
from harness.evaluation.results import Checklist, not_a_result_reason, seed_result, what_was_told
from harness.execution import Apart, Inputs, Tick, chosen, each_seed, evaluate_seed, result_of_seeds
from harness.models import check_model
from harness.plan import Plan, plan
from harness.registry import load_method
from harness.runs.logs import first_rollouts
from harness.runs.result import Result, ResultFile, SeedResult
from harness.runs.rundir import RunDir
from harness.runs.tracking import tracking
from harness.search.asking import ReflectorConfig, open_server
from harness.training import Backend, describe, make_backend
from harness.training.seedlog import SeedLog


@dataclass(kw_only=True)
class PreparedRun(Inputs):
    """All inputs of a run, checked.

    `overlaps`: per suite, its problems to be run that match a training problem. The training problems name those suites
    (`overlapping_suites`). `translation`: what the backend makes of the settings, in words. `deviation`: how the training
    problems differ from the pinned ones. `track`: names of trackers that are told the curves.
    """

    spec: RunSpec
    problems: list[Problem]
    plan: Plan
    translation: list[str]
    deviation: str | None
    track: Sequence[str] = ()
    overlaps: dict[str, list[contamination.Match]]

    def data(self) -> dict[str, str]:
        return {f"training set {self.training_set.name!r}": content_sha256(self.problems), **super().data()}

    def method(self, seed: int) -> Method:
        return _method(self.spec, self.training_set, self.problems, seed)


def _method(spec: RunSpec, training_set: TrainingSet, problems: list[Problem], seed: int) -> Method:
    return load_method(spec.method)(
        config=spec.typed_method_config(), train=spec.train, problems=problems, seed=seed, phrases=training_set.pieces(spec)
    )


def prepare(
    spec: RunSpec, data_dir: Path | None, offline: bool, overlaps: dict[str, list[contamination.Match]] | None = None
) -> PreparedRun:
    """Resolve data and suites. Raises UsageError, or one MissingError that names all that is not there.

    `overlaps`: that of an earlier PreparedRun of the same problems and suites, so as not to look for them again.
    """
    check_model(spec.model.id)
    training_set = load_training_set(spec.train.set)
    suites = chosen(spec.eval.bench, training_set)
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
    method = _method(spec, training_set, problems, spec.seeds[0])
    check_coverage(spec.method, coverage(method), spec.train.with_solutions)
    deviation = training_set.deviation(data_dir)
    costs = plan(spec, method, suites, not_a_result_reason(spec, deviation, *(suite.deviation(data_dir) for suite in suites)))
    return PreparedRun(
        spec=spec,
        training_set=training_set,
        problems=problems,
        suites=suites,
        plan=costs,
        units=costs.rollouts + costs.eval_samples,
        translation=describe(spec, method),
        deviation=deviation,
        overlaps=overlaps,
        flagged={name: list(contamination.flagged(found)) for name, found in overlaps.items()},
        data_dir=data_dir,
        offline=offline,
    )


def execute(prepared: PreparedRun, run: RunDir, command: Sequence[str], apart: Apart | None = None) -> Result:
    """Train and evaluate every seed that is not done yet, in this process or `apart`.

    The policy is loaded before anything is written, but for the seeds that others load it for. KeyboardInterrupt leaves a run
    that `--resume` continues from its last checkpoint.
    """
    spec = prepared.spec
    for writer in ("reflector", "teacher"):
        config = spec.method_config.get(writer, {})
        if config.get("kind") == "openai":  # what is missing is found now, not after an epoch
            open_server(ReflectorConfig(**config)).close()
    backends = [] if apart else [make_backend(spec, prepared.offline)]
    require("lm_eval", *load_method(spec.method).packages)

    def work(seed: int, tick: Tick) -> SeedResult:
        with backends.pop() if backends else make_backend(spec, prepared.offline) as backend:
            return _one_seed(prepared, run, seed, backend, tick)

    title = f"{spec.method} {spec.eval.bench}"
    return each_seed(spec, prepared, run, command, title, work, lambda seeds: summarise(prepared, run.path, seeds), apart)


def _one_seed(prepared: PreparedRun, run: RunDir, seed: int, backend: Backend, tick: Tick) -> SeedResult:
    """Train and evaluate one seed."""
    spec, trained = prepared.spec, prepared.plan.rollouts
    method = prepared.method(seed)
    world = prepared.training_set.world_of(spec)
    with tracking(run.path, seed, prepared.track) as tracked:

        def told(n: int, text: str) -> None:
            tick(min(n, trained), text)
            tracked.follow()

        log = SeedLog(run=run, seed=seed, spec=spec, problems=prepared.problems, tick=told, world=world)
        backend.train(method, log)
        engine = BackendEngine(backend.generate, backend.identity(), _block_tokens(spec))
        backend.tick = lambda n: engine.tick(n)
        results = evaluate_seed(spec, prepared, run, seed, engine, method.eval_prompt, lambda n, text: tick(trained + n, text))
        found = seed_result(results, engine.identity(), prepared.flagged, log.ledger, log.stopped)
        tracked.scores({name: suite.avg for name, suite in found.suites.items()})
    return replace(found, first_rollouts=first_rollouts(run.path, seed))


def _block_tokens(spec: RunSpec) -> int | None:
    """New tokens of what an evaluation samples, and keeps, at once. OpenRLHF's engines schedule a whole suite themselves."""
    return spec.local.generation_tokens if spec.backend.name == "local" else None


def summarise(prepared: PreparedRun, run: Path, seeds: Mapping[int, SeedResult]) -> ResultFile:
    """result.json from the results of the seeds."""
    spec = prepared.spec
    result = result_of_seeds(spec, prepared, run, seeds, spec.method, spec.recipe, prepared.deviation)
    told = what_was_told(spec, prepared.training_set, prepared.method(spec.seeds[0]))
    return replace(
        result,
        problems_sha256=content_sha256(prepared.problems),
        reference=told.reference,
        reference_source=told.source,
        hints=prepared.plan.hints,
        teacher=told.teacher,
        teacher_tokens=result.ledger.reflection_tokens if told.teacher else 0,
        first_rollouts={seed: found.first_rollouts for seed, found in seeds.items() if found.first_rollouts},
    )
