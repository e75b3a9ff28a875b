"""`harness run`: one arm, several seeds. Prepare everything that can fail, then train, evaluate and report seed by seed."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import contamination
from harness.backends import Backend, describe, make_backend
from harness.config import RunSpec
from harness.errors import UsageError
from harness.estimators import mean_or_none
from harness.evaluation import SuiteResult, evaluate
from harness.ledger import Ledger
from harness.method import Method
from harness.plan import Plan, plan
from harness.progress import Progress
from harness.reflect import server_key
from harness.registry import load_method
from harness.rundir import RunDir, SeedLog, append_jsonl, read_jsonl, write_json
from harness.seeds import derive
from harness.suites import Suite, TrainingSet, content_sha256, load_training_set, resolve_bench
from harness.types import Problem


@dataclass
class Prepared:
    """All inputs of a run, checked: nothing is written before this exists.

    `flagged`: per suite, the ids of the problems to be run that match a training problem (harness/contamination.py).
    """

    spec: RunSpec
    training_set: TrainingSet
    problems: list[Problem]
    suites: list[Suite]
    plan: Plan
    translation: list[str]
    deviation: str | None
    flagged: dict[str, list[str]]
    data_dir: Path | None
    offline: bool

    def method(self, seed: int) -> Method:
        spec = self.spec
        return load_method(spec.method)(
            spec.typed_method_config(), spec.train, self.problems, seed, self.training_set.phrases()
        )


def prepare(spec: RunSpec, data_dir: Path | None, offline: bool) -> Prepared:
    """Resolve data and suites. Raises UsageError or MissingError, each one sentence that says what to do."""
    training_set = load_training_set(spec.train.set)
    suites = resolve_bench(spec.eval.bench, training_set)
    problems = training_set.problems(spec, data_dir)
    if len(problems) < spec.train.prompts_per_batch and spec.train.epochs:
        raise UsageError(
            f"training set {spec.train.set!r} has {len(problems)} problems, fewer than one batch of "
            f"train.prompts_per_batch={spec.train.prompts_per_batch}"
        )
    tests = {suite.name: suite.problems(data_dir)[: spec.eval.limit] for suite in suites}
    cls = load_method(spec.method)
    try:
        cls.check(spec.typed_method_config(), spec.train)
    except ValueError as e:
        raise UsageError(f"{spec.method}: {e}") from None
    flagged = {name: list(contamination.flagged(found)) for name, found in contamination.find(problems, tests).items()}
    prepared = Prepared(
        spec, training_set, problems, suites, None, [], training_set.deviation(data_dir), flagged, data_dir, offline  # type: ignore[arg-type]
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
    run.write_spec(spec)
    with run, Progress(total * len(spec.seeds), f"{spec.method} {spec.eval.bench}") as progress:
        env = run.read("env.json")
        write_json(run.path / "env.json", {**env, "commands": [*env.get("commands", []), shlex.join(command)]})
        for i, seed in enumerate(spec.seeds):
            part = run.path / "results" / f"s{seed}.json"
            if not part.exists():
                backend = backend or make_backend(spec, prepared.offline)
                with backend:
                    ledger, results = _one_seed(prepared, run, seed, backend, progress, i * total)
                _store(prepared, run, seed, ledger, results)
                backend = None
            progress.update((i + 1) * total, f"seed {seed} done")
        result = summarise(prepared, run)
        write_json(run.path / "ledger.json", {"total": result["ledger"], "seeds": result["ledgers"]})
        write_json(run.path / "result.json", result)
        from harness.report import write_report

        write_report(run.path)
    return result


def _one_seed(
    prepared: Prepared, run: RunDir, seed: int, backend: Backend, progress: Progress, done: int
) -> tuple[Ledger, list[SuiteResult]]:
    """Train and evaluate one seed."""
    spec = prepared.spec
    method = prepared.method(seed)

    def tick(rollouts: int, text: str) -> None:
        progress.update(done + min(rollouts, prepared.plan.rollouts), text)

    observe, probe = _observers(spec)
    log = SeedLog(run, seed, spec, prepared.problems, tick, observe, probe)
    backend.train(method, log)
    done += prepared.plan.rollouts
    for suite in prepared.suites:  # an evaluation that was cut short is done again from its start
        path = run.path / "samples" / f"{suite.name}.jsonl"
        rows = read_jsonl(path)
        if any(r["seed"] == seed for r in rows):
            path.unlink()
            append_jsonl(path, [r for r in rows if r["seed"] != seed])
    evaluated = 0

    def finished(samples: int, suite: str) -> None:
        nonlocal evaluated
        evaluated = samples
        progress.update(done + samples, f"seed {seed} {suite} evaluated")

    backend.tick = lambda n: progress.update(done + evaluated + n, f"seed {seed} evaluating")
    results = evaluate(
        prepared.suites, backend.generate, method.eval_prompt, derive("eval", seed), prepared.data_dir,
        spec.eval.limit, spec.eval.k, spec.eval.temperature, spec.eval.max_new_tokens, progress=finished,
    )
    for r in results:
        rows = ({**row, "eval_seed": row["seed"], "seed": seed} for row in r.samples)
        append_jsonl(run.path / "samples" / f"{r.suite}.jsonl", rows)
    return log.ledger, results


def _store(prepared: Prepared, run: RunDir, seed: int, ledger: Ledger, results: list[SuiteResult]) -> None:
    """What makes a seed done: its scores. Its checkpoints go, the trained policy stays."""
    write_json(
        run.path / "results" / f"s{seed}.json",
        {"ledger": ledger.to_dict(), "suites": {r.suite: _scores(r, prepared.flagged[r.suite]) for r in results}},
    )
    run.drop_checkpoints(seed)


def _observers(spec: RunSpec) -> tuple[Any, Any]:
    """The testbed logs its branch tokens, per batch and per epoch; no other training set has any."""
    if spec.train.set != "testbed":
        return None, None
    from harness.testbed.probe import observe, probe

    steps = spec.testbed.branch_tokens
    return (lambda rows: observe(rows, steps)), (lambda policy: probe(policy, steps, spec.train.temperature))


def _scores(r: SuiteResult, flagged: Collection[str]) -> dict[str, Any]:
    """`avg_clean` is avg@k without the flagged problems; None where none or all are flagged."""
    clean = [row["score"] for row in r.samples if row["problem"] not in flagged]
    return {
        "avg": r.avg, "avg_clean": statistics.fmean(clean) if flagged and clean else None,
        "n": r.n, "k": r.k, "pass_at": {str(k): v for k, v in r.pass_at.items()},
        "truncated": r.truncated, "unparsed": r.unparsed, "grader_faults": r.grader_faults,
        "parity_avg": r.parity_avg, "disagreement": r.disagreement,
        "prompt_tokens": r.prompt_tokens, "generated_tokens": r.generated_tokens,
        "temperature": r.temperature, "max_new_tokens": r.max_new_tokens,
    }


def summarise(prepared: Prepared, run: RunDir) -> dict[str, Any]:
    """result.json from the seeds' parts: suite scores, macro averages by role, the ledger."""
    spec = prepared.spec
    parts = {seed: run.read(f"results/s{seed}.json") for seed in spec.seeds}
    suites: dict[str, Any] = {}
    for suite in prepared.suites:
        rows = [parts[seed]["suites"][suite.name] for seed in spec.seeds]
        clean = {str(s): r["avg_clean"] for s, r in zip(spec.seeds, rows) if r["avg_clean"] is not None}
        mean = lambda key: statistics.fmean(r[key] for r in rows)  # noqa: E731
        suites[suite.name] = {
            "role": prepared.training_set.role_of(suite.name) or "other", "title": suite.title,
            **{key: rows[0][key] for key in ("n", "k", "temperature", "max_new_tokens")},
            "avg": mean("avg"), "per_seed": {str(s): r["avg"] for s, r in zip(spec.seeds, rows)},
            "flagged": prepared.flagged[suite.name],
            "avg_clean": statistics.fmean(clean.values()) if clean else None, "per_seed_clean": clean,
            "pass_at": {k: statistics.fmean(r["pass_at"][k] for r in rows) for k in rows[0]["pass_at"]},
            "truncated": mean("truncated"), "unparsed": mean("unparsed"),
            "grader_faults": sum(r["grader_faults"] for r in rows),
            **{key: mean_or_none(r.get(key) for r in rows) for key in ("parity_avg", "disagreement")},
        }

    def macro(role: str, seed: int | None = None) -> float | None:
        values = [s["avg"] if seed is None else s["per_seed"][str(seed)] for s in suites.values() if s["role"] == role]
        return statistics.fmean(values) if values else None

    ledgers = {str(seed): part["ledger"] for seed, part in parts.items()}
    total, sources = Ledger.total(Ledger(**x) for x in ledgers.values()), _sources(prepared)
    limit = spec.eval.limit
    reasons = [f"only the first {limit} problems of each suite were evaluated (--limit)"] if limit else []
    reasons += [prepared.deviation] if prepared.deviation else []
    return {
        "run": str(run.path), "method": spec.method, "model": spec.model.id, "recipe": spec.recipe,
        "training_set": spec.train.set, "problems_sha256": content_sha256(prepared.problems),
        "spec_hash": spec.hash(), "seeds": list(spec.seeds),
        "not_a_result": "; ".join(reasons) or None,
        **sources,
        "suites": suites,
        "macro": {
            "id": macro("id"), "ood": macro("ood"),
            "per_seed": {str(s): {"id": macro("id", s), "ood": macro("ood", s)} for s in spec.seeds},
        },
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
