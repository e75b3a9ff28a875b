"""`harness eval`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import options as o
from harness.cli.complete import offer

if TYPE_CHECKING:
    from harness.evalrun import PreparedEval


@click.command(name="eval")
@click.argument("model", shell_complete=offer("models"))
@o.bench
@click.option(
    "--engine", type=click.Choice(["transformers", "vllm", "openai"]), help="What generates.  [default: transformers]"
)
@click.option("--base-url", help="Address of an OpenAI-compatible server for MODEL; implies --engine openai.")
@click.option(
    "--train-set", help="Training set that defines id and ood.  [default: the run's or embedded policy's own, else deepscaler]"
)
@click.option(
    "--seeds", type=o.Numbers(), help="Evaluation seeds, or training seeds of a run.  [default: 0, or all of the run's]"
)
@o.out_run
@o.data_dir
@o.include_path
@o.limit
@o.configs
@o.sets
@o.resume
@o.go_on
@o.dry_run
@o.offline
@o.full
@o.as_json
def evaluate(
    model: str,
    bench: str,
    engine: str | None,
    base_url: str | None,
    train_set: str | None,
    seeds: tuple[int, ...] | None,
    out: Path | None,
    data_dir: Path | None,
    limit: int | None,
    configs: tuple[Path, ...],
    sets: tuple[str, ...],
    resume: bool,
    go_on: bool,
    dry_run: bool,
    offline: bool,
    full: bool,
    as_json: bool,
) -> None:
    """Evaluate a model, a run, or what a server holds.

    MODEL is a name from `harness list models`, a Hugging Face id, a model folder, a run folder, or a model of the server
    at --base-url.
    """
    if offline:
        o.go_offline()
    from harness.config import resolve_eval
    from harness.evalrun import describe_model, execute_eval, prepare_eval
    from harness.runs.result import load_result
    from harness.runs.rundir import RunDir

    served = {"name": "openai", "base_url": base_url} if base_url else {}
    flags: dict[str, Any] = {"eval": {"bench": bench}, "engine": {**served, **({"name": engine} if engine else {})}}
    if limit is not None:
        flags["eval"]["limit"] = limit
    if train_set is not None:
        flags["train_set"] = train_set
    if seeds is not None:
        flags["seeds"] = list(seeds)
    base = describe_model(model)
    spec = resolve_eval(configs, sets, base, flags)
    prepared = prepare_eval(spec, data_dir, offline)
    if dry_run:
        _show_cost(prepared, as_json)
        return
    run = RunDir.chosen(spec, out, resume, go_on)
    if run.complete:
        o.show_result(load_result(run.path), full, as_json)
        return
    o.show_result(execute_eval(prepared, run, ["harness", *sys.argv[1:]]), full, as_json)


def _show_cost(prepared: PreparedEval, as_json: bool) -> None:
    spec, cost = prepared.spec, prepared.cost
    if as_json:
        o.echo_json({"spec": spec.model_dump(mode="json"), "hash": spec.hash(), "plan": vars(cost)})
        return
    o.say(f"{spec.model.id}, engine {spec.engine.name}: spec {spec.hash()[:8]}")
    o.say(f"  {cost.problems:,} problems of {', '.join(s.name for s in prepared.suites)}")
    o.say_terms(prepared.suites, spec.eval)
    o.say(f"  {cost.samples:,} completions a seed, at most {cost.tokens:,} tokens; seeds {len(spec.seeds)}")
