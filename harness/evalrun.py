"""`harness eval`: a policy that is trained already, on suites, seed by seed; in a run directory without training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config import EvalSpec
from harness.core.errors import HarnessError, MissingError, UsageError
from harness.core.ledger import Ledger
from harness.core.seeds import derive
from harness.data.suites import Suite
from harness.data.training_sets import TrainingSet, load_training_set, resolve_bench
from harness.evaluation.engines import Engine, make_engine
from harness.evaluation.evaluate import evaluate
from harness.evaluation.results import Checklist, combine, part, stamp
from harness.models import locate
from harness.plan import EvalCost, eval_cost
from harness.progress import Progress
from harness.registry import home_of, worlds
from harness.runs.files import write_json
from harness.runs.rundir import RunDir


@dataclass
class Prepared:
    """All inputs of an evaluation, checked. `sources`: the policy of every seed; `flagged` as in harness/run.py."""

    spec: EvalSpec
    training_set: TrainingSet
    suites: list[Suite]
    sources: dict[int, str]
    cost: EvalCost
    flagged: dict[str, list[str]]
    data_dir: Path | None
    offline: bool


def describe_model(model: str) -> dict[str, Any]:
    """The settings that a MODEL brings along: a run directory its policies, seeds and training set, else its name.

    Raises HarnessError for a run whose policy is not there, UsageError for one that trains no policy.
    """
    path = Path(model)
    if not (path / "spec.json").exists():
        home = home_of(model)
        return {"model": {"id": model}, **({"train_set": home} if home else {})}
    run = RunDir(path)
    if not run.finished:
        raise HarnessError(f"the run at {path} is unfinished; finish it with --resume")
    spec = run.read("spec.json")["spec"]
    if "train" not in spec:
        raise UsageError(f"{path} is an evaluation, not a training run; name its model")
    keys = ("model", "local", "seeds", *worlds())
    return {**{k: spec[k] for k in keys if k in spec}, "train_set": spec["train"]["set"], "run": str(path)}


def prepare_eval(spec: EvalSpec, data_dir: Path | None, offline: bool) -> Prepared:
    """Resolve data, suites and policies; one MissingError names all that is not there."""
    training_set = load_training_set(spec.train_set)
    suites = resolve_bench(spec.eval.bench, training_set)
    check = Checklist([])
    for suite in suites:
        check.get(lambda: suite.problems(data_dir))  # noqa: B023
    sources: dict[int, str] = {}
    for seed in spec.seeds:
        if spec.run is not None:
            final = Path(spec.run) / "ckpt" / f"s{seed}" / "final"
            if not final.is_dir():
                check.missing.append(f"{spec.run} holds no trained policy of seed {seed} ({final})")
            sources[seed] = str(final)
        elif spec.engine.name == "openai":
            sources[seed] = spec.model.id
        else:
            sources[seed] = str(check.get(lambda: _available(spec, offline)))
    check.settle()
    flagged = _flagged(spec, suites, data_dir)
    return Prepared(spec, training_set, suites, sources, eval_cost(spec, suites), flagged, data_dir, offline)


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

    trained = RunDir(Path(spec.run)).spec
    problems = load_training_set(trained.train.set).problems(trained, data_dir)
    tests = {suite.name: suite.problems(data_dir)[: spec.eval.limit] for suite in suites}
    return {name: list(contamination.flagged(found)) for name, found in contamination.find(problems, tests).items()}


def execute_eval(prepared: Prepared, run: RunDir, command: list[str]) -> dict[str, Any]:
    """Evaluate every seed that is not done yet; returns result.json. An interruption loses what is being sampled only."""
    spec, total = prepared.spec, prepared.cost.samples
    engines = _Engines(prepared)
    if any(not (run.path / "results" / f"s{seed}.json").exists() for seed in spec.seeds):
        engines.of(spec.seeds[0])  # what cannot be loaded is found before anything is written
    with engines, run, Progress(total * len(spec.seeds), f"eval {spec.eval.bench}") as progress:
        run.write_spec(spec, {f"suite {s.name!r}": s.data_sha256(prepared.data_dir) for s in prepared.suites})
        run.log_command(command)
        for i, seed in enumerate(spec.seeds):
            path = run.path / "results" / f"s{seed}.json"
            if not path.exists():
                engine, before = engines.of(seed), i * total

                def finished(done: int, suite: str) -> None:
                    nonlocal before
                    before = i * total + done  # noqa: B023
                    progress.update(before, f"seed {seed} {suite} evaluated")  # noqa: B023

                engine.tick = lambda n: progress.update(before + n, f"seed {seed} evaluating")  # noqa: B023
                results = evaluate(
                    prepared.suites,
                    engine,
                    lambda p: p.text,
                    derive("eval", seed),
                    prepared.data_dir,
                    spec.eval,
                    run.partial(seed),
                    finished,
                )
                run.store_samples(seed, {r.suite: r.samples for r in results})
                write_json(path, part(results, engine.identity(), prepared.flagged))
            run.drop_checkpoints(seed)
            progress.update((i + 1) * total, f"seed {seed} done")
        result = _summarise(prepared, run)
        write_json(run.path / "result.json", result)
        from harness.report.run import write_report

        write_report(run.path)
    return result


class _Engines:
    """One engine at a time, for the policy of a seed; kept while the next seed has the same one."""

    def __init__(self, prepared: Prepared) -> None:
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


def _summarise(prepared: Prepared, run: RunDir) -> dict[str, Any]:
    spec = prepared.spec
    parts = {seed: run.read(f"results/s{seed}.json") for seed in spec.seeds}
    method = RunDir(Path(spec.run)).spec.method if spec.run else Path(spec.model.id).name
    return {
        "run": str(run.path),
        "method": method,
        "model": spec.model.id,
        "recipe": "evaluation",
        "training_set": spec.train_set,
        "spec_hash": spec.hash(),
        "seeds": list(spec.seeds),
        "not_a_result": stamp(spec.eval.limit, *(s.deviation(prepared.data_dir) for s in prepared.suites)),
        **combine(parts, prepared.suites, prepared.training_set, prepared.flagged, prepared.data_dir),
        "ledger": Ledger().to_dict(),
        "ledgers": {str(seed): Ledger().to_dict() for seed in spec.seeds},
    }
