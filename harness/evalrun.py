"""`harness eval`: a policy that is trained already, on suites, seed by seed; in a run directory without training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config import EvalSpec, RunSpec
from harness.core.errors import HarnessError, MissingError, UsageError
from harness.data.suites import Suite
from harness.data.training_sets import load_training_set
from harness.evaluation.engines import Engine, make_engine
from harness.evaluation.results import Checklist, seed_result
from harness.execution import Inputs, Tick, chosen, each_seed, evaluate_seed, result_of_seeds
from harness.models import check_model, locate
from harness.plan import EvalCost, eval_cost
from harness.registry import home_of, worlds
from harness.runs.result import Result, SeedResult, is_finished
from harness.runs.rundir import RunDir
from harness.runs.spec import has_spec, load_spec
from harness.runs.sums import SUMS, check_sums


@dataclass(kw_only=True)
class PreparedEval(Inputs):
    """All inputs of an evaluation, checked. `sources`: the policy of every seed. `method`: what trained it, else its name."""

    spec: EvalSpec
    sources: dict[int, str]
    cost: EvalCost
    method: str


def describe_model(model: str) -> dict[str, Any]:
    """The settings that a MODEL brings along: a run directory its policies, seeds and training set, else its name.

    Raises HarnessError for a run whose policy is not there, UsageError for one that trains no policy.
    """
    path = Path(model)
    if not has_spec(path):
        home = home_of(model)
        return {"model": {"id": model}, **({"train_set": home} if home else {})}
    if not is_finished(path):
        raise HarnessError(f"the run at {path} is unfinished; finish it with --resume")
    trained = _trained(path)
    tree = trained.model_dump(mode="json", include={"model", "local", "seeds", *worlds()})
    return {**tree, "train_set": trained.train.set, "run": str(path)}


def _trained(path: Path) -> RunSpec:
    """The settings of a training run. Raises UsageError for an evaluation, else as `load_spec`."""
    spec = load_spec(path)
    if not isinstance(spec, RunSpec):
        raise UsageError(f"{path} is an evaluation, not a training run; name its model")
    return spec


def prepare_eval(spec: EvalSpec, data_dir: Path | None, offline: bool) -> PreparedEval:
    """Resolve data, suites and policies; one MissingError names all that is not there."""
    if spec.run is None and spec.engine.name != "openai":  # a server has names of its own
        check_model(spec.model.id)
    training_set = load_training_set(spec.train_set)
    suites = chosen(spec.eval.bench, training_set)
    check = Checklist([])
    for suite in suites:
        check.get(lambda: suite.problems(data_dir))  # noqa: B023
    sources: dict[int, str] = {}
    for seed in spec.seeds:
        if spec.run is not None:
            final = RunDir(Path(spec.run)).final(seed)
            if not final.is_dir():
                check.missing.append(f"{spec.run} holds no trained policy of seed {seed} ({final})")
            elif (final / SUMS).exists():  # runs of older versions have none
                check_sums(final)
            sources[seed] = str(final)
        elif spec.engine.name == "openai":
            sources[seed] = spec.model.id
        else:
            sources[seed] = str(check.get(lambda: _available(spec, offline)))
    check.settle()
    cost = eval_cost(spec, suites)
    return PreparedEval(
        spec=spec,
        training_set=training_set,
        suites=suites,
        sources=sources,
        cost=cost,
        units=cost.samples,
        flagged=_flagged(spec, suites, data_dir),
        method=Path(spec.model.id).name if spec.run is None else _trained(Path(spec.run)).method,
        data_dir=data_dir,
        offline=offline,
    )


def _available(spec: EvalSpec, offline: bool) -> str:
    """A folder or hub id. Raises MissingError, without a download, where --offline would fail later."""
    source = str(locate(spec, offline))
    if offline and not Path(source).is_dir():
        from huggingface_hub import try_to_load_from_cache

        try:
            cached = try_to_load_from_cache(source, "config.json", revision=spec.model.revision)
        except ValueError:  # it is no id at all
            raise MissingError(f"no model {source!r}: there is no such folder, and it is no Hugging Face id") from None
        if not isinstance(cached, str):
            raise MissingError(f"model {source!r} is not cached; run once without --offline to fetch it")
    return source


def _flagged(spec: EvalSpec, suites: list[Suite], data_dir: Path | None) -> dict[str, list[str]]:
    """As the run itself had them; another policy's training problems are not known."""
    if spec.run is None:
        return {}
    from harness.data import contamination

    trained = _trained(Path(spec.run))
    problems = load_training_set(trained.train.set).problems(trained, data_dir)
    tests = {suite.name: suite.problems(data_dir)[: spec.eval.limit] for suite in suites}
    return {name: list(contamination.flagged(found)) for name, found in contamination.find(problems, tests).items()}


def execute_eval(prepared: PreparedEval, run: RunDir, command: Sequence[str]) -> Result:
    """Evaluate every seed that is not done yet. An interruption loses only what is being sampled."""
    spec = prepared.spec
    engines = _Engines(prepared)
    if not all(map(run.seed_done, spec.seeds)):
        engines.of(spec.seeds[0])  # what cannot be loaded is found before anything is written

    def work(seed: int, tick: Tick) -> SeedResult:
        engine = engines.of(seed)
        results = evaluate_seed(spec, prepared, run, seed, engine, lambda p: p.text, tick)
        run.remark(engine.remarks())
        return seed_result(results, engine.identity(), prepared.flagged)

    with engines:
        return each_seed(
            spec,
            prepared,
            run,
            command,
            f"eval {spec.eval.bench}",
            work,
            lambda seeds: result_of_seeds(spec, prepared, run.path, seeds, prepared.method, "evaluation"),
        )


class _Engines:
    """One engine at a time, for the policy of a seed; kept while the next seed has the same one."""

    def __init__(self, prepared: PreparedEval) -> None:
        self.prepared = prepared
        self.held: tuple[str, Engine] | None = None

    def of(self, seed: int) -> Engine:
        source = self.prepared.sources[seed]
        if self.held is None or self.held[0] != source:
            self.__exit__()
            self.held = source, make_engine(self.prepared.spec, source, self.prepared.offline)
        return self.held[1]

    def __enter__(self) -> _Engines:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.held is not None:
            self.held[1].close()
            self.held = None
