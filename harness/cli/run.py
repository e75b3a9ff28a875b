"""`harness run`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import options as o
from harness.cli.apart import check_jobs, seeds_apart, without
from harness.cli.complete import offer
from harness.core.errors import UsageError

if TYPE_CHECKING:
    from harness.config import RunSpec
    from harness.run import PreparedRun

REHEARSAL = {"rehearse": True, "nodes": 1, "gpus_per_node": 1, "tensor_parallel": 1}
"""The same path on one pretended GPU."""


@click.command()
@click.option("--method", required=True, shell_complete=offer("methods"), help="A name from `harness list methods`.")
@o.bench
@o.recipe
@click.option(
    "--model", shell_complete=offer("models"), help="A name from `harness list models`, a Hugging Face id, or a folder."
)
@click.option("--backend", type=click.Choice(["local", "openrlhf"]), help="Where it trains.  [default: the recipe's]")
@click.option("--seeds", type=o.Numbers(), help="Training seeds, e.g. 0,1,2.  [default: the recipe's]")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Seeds at a time, each in a process.")
@o.out_run
@o.data_dir
@o.include_path
@o.limit
@o.configs
@o.sets
@click.option(
    "--match-budget",
    type=o.PATH,
    shell_complete=offer("runs"),
    metavar="RUN",
    help="Stop at RUN's average number of tokens per seed.",
)
@click.option(
    "--track",
    type=o.Names(),
    metavar="TRACKER,...",
    help="Curves to tensorboard, wandb, trackio as well; nothing leaves this machine unless their variables say so.",
)
@o.resume
@o.go_on
@o.dry_run
@o.throughput
@click.option("--no-doctor", is_flag=True, help="With --backend openrlhf or --jobs: do not check the machine first.")
@click.option("--rehearse", is_flag=True, help="With --backend openrlhf: the same path without a GPU, tiny and slow.")
@o.offline
@o.as_json
def run(
    method: str,
    bench: str,
    recipe: str | None,
    model: str | None,
    backend: str | None,
    seeds: tuple[int, ...] | None,
    jobs: int,
    out: Path | None,
    data_dir: Path | None,
    limit: int | None,
    configs: tuple[Path, ...],
    sets: tuple[str, ...],
    match_budget: Path | None,
    track: tuple[str, ...] | None,
    resume: bool,
    go_on: bool,
    dry_run: bool,
    throughput: tuple[str, ...],
    no_doctor: bool,
    rehearse: bool,
    offline: bool,
    as_json: bool,
) -> None:
    """Train a method and evaluate it."""
    from harness.config import resolve
    from harness.registry import DEFAULT_RECIPE

    recipe = DEFAULT_RECIPE if recipe is None else recipe
    spec = resolve(method, recipe, configs, sets, _flags(bench, limit, model, backend, rehearse, seeds, match_budget))
    if offline:
        o.go_offline()
    if throughput and not dry_run:
        raise UsageError("--throughput is for estimates: it goes with --dry-run")
    check_jobs(spec, jobs)
    from harness.run import execute, prepare
    from harness.runs.result import load_result
    from harness.runs.rundir import RunDir
    from harness.runs.tracking import check_trackers

    check_trackers(track or ())
    prepared = replace(prepare(spec, data_dir, offline), track=track or ())
    if dry_run:
        _show_plan(prepared, throughput, as_json)
        return
    folder = RunDir.chosen(spec, out, resume, go_on)
    if folder.complete:
        o.show_result(load_result(folder.path), as_json)
        return
    if spec.backend.name == "openrlhf" and not (spec.backend.rehearse or no_doctor):
        _check_machine(prepared, out, offline)
    apart = seeds_apart(prepared, folder, jobs, not no_doctor)
    o.show_result(execute(prepared, folder, ["harness", *sys.argv[1:]], apart), as_json)
    if not as_json:
        _say_what_it_needs(spec, folder.path)


def _check_machine(prepared: PreparedRun, out: Path | None, offline: bool) -> None:
    """The checks of `harness doctor` that take seconds; warnings are shown. The local backend reckons its memory itself."""
    from harness.doctor.examine import before_run

    for check in before_run(prepared, out, offline):
        o.say(f"warning: {check.what}: {check.found}" + (f"; {check.todo}" if check.todo else ""), err=True)


def _say_what_it_needs(spec: RunSpec, folder: Path) -> None:
    """A run alone says little about its method: what to compare it with, and the commands."""
    from harness.registry import baseline_method, method_of

    base = baseline_method()
    if method_of(spec.method) == base:
        o.say_sentences(["A baseline by itself decides nothing: run another method in the same way, then compare the two:"])
        _say_command(["harness", "compare", "RUN", str(folder)])
        return
    other = folder.with_name(f"{folder.name}-{base}")
    o.say_sentences([f"Whether that is {spec.method}'s doing needs a baseline, and then a comparison:"])
    _say_command(["harness", "run", *_instead(sys.argv[2:], base, other)])
    _say_command(["harness", "compare", str(folder), str(other)])


def _say_command(words: Sequence[str]) -> None:
    """A command for a shell, on as many lines of at most 80 columns as it takes; a longer word has one of its own."""
    lines = [" "]
    for word in map(shlex.quote, words):
        if len(lines[-1]) + len(word) > 77 and lines[-1].strip():  # with a space before it, and a backslash after
            lines.append("     ")
        lines[-1] += f" {word}"
    for i, line in enumerate(lines, 1):
        o.say(line if i == len(lines) else f"{line} \\")


def _instead(words: Sequence[str], method: str, out: Path) -> list[str]:
    """The same command line for another method and folder."""
    return ["--method", method, *without(words, ("--method", "--out"), ("--resume", "--json")), "--out", str(out)]


def _flags(
    bench: str,
    limit: int | None,
    model: str | None,
    backend: str | None,
    rehearse: bool,
    seeds: tuple[int, ...] | None,
    match_budget: Path | None,
) -> dict[str, Any]:
    """The settings that have an option of their own."""
    flags: dict[str, Any] = {"eval": {"bench": bench}}
    if limit is not None:
        flags["eval"]["limit"] = limit
    if model is not None:
        flags["model"] = {"id": model}
    if backend is not None:
        flags["backend"] = {"name": backend}
    if rehearse:
        flags["backend"] = {**flags.get("backend", {}), **REHEARSAL}
    if seeds is not None:
        flags["seeds"] = list(seeds)
    if match_budget is not None:
        from harness.plan import matched

        flags["train"] = matched(match_budget)
    return flags


def _show_plan(prepared: PreparedRun, throughput: tuple[str, ...], as_json: bool) -> None:
    from harness.cost.estimate import estimate
    from harness.cost.throughput import given
    from harness.report import cost as render
    from harness.report.tables import print_to_terminal

    spec, plan, translation = prepared.spec, prepared.plan, prepared.translation
    assumed = given(spec, throughput)
    cost = None if assumed.lacking else estimate(spec, plan, assumed)
    if as_json:
        row = {"spec": spec.model_dump(mode="json"), "hash": spec.hash(), "plan": asdict(plan)}
        o.echo_json({**row, "cost": cost and render.cost_dict(cost, assumed), "translation": list(translation)})
        return
    what = f"{spec.method}, recipe {spec.recipe}, model {spec.model.id}, backend {spec.backend.name}"
    o.say(f"{what}: spec {spec.hash()[:8]}")
    costs = render.cost_lines(cost) if cost else [render.unknown_line(spec.model.id, assumed.lacking)]
    for line in [*plan.lines(), *costs, *translation]:
        o.say(f"  {line}")
    o.say_terms(prepared.suites, spec.eval)
    if cost:
        print_to_terminal(render.assumption_table(assumed, [cost]).to_rich(), width=80)
