"""`harness study`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from harness.cli import options as o
from harness.cli.complete import offer
from harness.core.errors import HarnessError, UsageError

if TYPE_CHECKING:
    from harness.study import StudyDir


@click.group()
def study() -> None:
    """Run arms x conditions x seeds from one YAML file."""


_what = o.options(
    click.argument("file", metavar="FILE", shell_complete=offer("studies")),
    click.option("--seeds", type=o.Numbers(), help="Training seeds, e.g. 0,1,2.  [default: the study's]"),
    click.option("--only", type=o.Names(), metavar="ARM,...", help="Only these arms.  [default: all]"),
    o.data_dir,
    o.include_path,
    o.as_json,
)


@study.command()
@_what
@o.throughput
def plan(
    file: str,
    seeds: tuple[int, ...] | None,
    only: tuple[str, ...] | None,
    data_dir: Path | None,
    as_json: bool,
    throughput: tuple[str, ...],
) -> None:
    """Show what a study would cost.

    FILE is a name from `harness list studies` or a path.
    """
    from harness.report import terminal
    from harness.report.cost import cost_dict
    from harness.study import costs_of, load_study, plan_table, prepare_study

    loaded = load_study(file)
    cells = prepare_study(loaded, data_dir, seeds, only)
    costs = costs_of(cells, throughput)
    if as_json:
        rows = [cell.to_dict() | {"cost": cost_dict(c) if (c := costs.get(cell.name)) else None} for cell in cells]
        o.echo_json({"title": loaded.title, "cells": rows})
        return
    terminal.show(plan_table(loaded, cells, costs))


@study.command()
@_what
@click.option("--out", type=o.PATH, required=True, help="Folder of the study; if it holds one, that is continued.")
@click.option("--per", type=click.Choice(["cell", "seed"]), default="cell", show_default=True, help="What one job trains.")
@click.option(
    "--launcher",
    type=click.Choice(["local", "slurm", "ray"]),
    default="local",
    show_default=True,
    help="Who runs the jobs; slurm and ray are handed them, and the same command looks after them.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="local: at a time.  [default: one per core, at most 4; openrlhf 1]")
@click.option("--partition", help="slurm: the partition of every job.  [default: Slurm's]")
@click.option("--time", "time_limit", help="slurm: the time limit of every job, e.g. 24:00:00.  [default: Slurm's]")
@click.option("--gpus", type=click.IntRange(min=0), help="slurm, ray: GPUs of every job.  [default: none are asked for]")
@o.full
def run(
    file: str,
    seeds: tuple[int, ...] | None,
    only: tuple[str, ...] | None,
    data_dir: Path | None,
    as_json: bool,
    out: Path,
    per: Literal["cell", "seed"],
    launcher: str,
    jobs: int | None,
    partition: str | None,
    time_limit: str | None,
    gpus: int | None,
    full: bool,
) -> None:
    """Run whatever a study has not finished yet.

    FILE is a name from `harness list studies` or a path. Repeat the same command to continue an interrupted study. The
    exit code is 1 if a run failed, after all others are done.
    """
    from harness.study import RayJobs, Resources, Slurm, StudyDir, load_study, prepare_study

    _check_launcher(launcher, {"--jobs": jobs, "--partition": partition, "--time": time_limit, "--gpus": gpus})
    if launcher != "local":  # for machines that stand elsewhere
        out, data_dir = out.absolute(), data_dir and data_dir.absolute()
    loaded = load_study(file)
    folder = StudyDir(out, loaded, prepare_study(loaded, data_dir, seeds, only, out), data_dir, per)
    stands: dict[str, str] = {}
    if launcher == "local":
        failed = folder.run(jobs)
    else:
        resources = Resources(partition=partition, time=time_limit, gpus=gpus)
        stands, failed = folder.hand_over(Slurm(out, resources) if launcher == "slurm" else RayJobs(out, resources))
    _show(folder, stands, full, as_json)
    if failed:
        raise HarnessError("; ".join(f"{name}: {why}" for name, why in failed.items()))


USES = {"local": ("--jobs",), "slurm": ("--partition", "--time", "--gpus"), "ray": ("--gpus",)}
"""Options that a launcher heeds."""


def _check_launcher(launcher: str, given: Mapping[str, object]) -> None:
    """Raises UsageError for an option that would change nothing."""
    for name, value in given.items():
        if value is not None and name not in USES[launcher]:
            raise UsageError(f"{name} means nothing to --launcher {launcher}; leave it out")


def _show(folder: StudyDir, stands: Mapping[str, str], full: bool, as_json: bool) -> None:
    """Write and print what is finished, and how jobs that others run stand."""
    from harness.report import terminal
    from harness.report.brief import brief_table
    from harness.report.comparison import tables
    from harness.report.sentences import study_sentences
    from harness.study import summary_table

    results, rows = folder.write_results()
    if as_json:
        o.echo_json({"study": str(folder.out), **results, **({"jobs": dict(stands)} if stands else {})})
        return
    for name, state in stands.items():
        o.say(f"{name}: {state}")
    if rows:
        found = folder.comparisons()
        o.say_sentences(study_sentences(found))
        o.say("")
        if full:
            terminal.show(summary_table(rows))
        for condition, c in found.items():
            if full and condition:
                o.say(condition)
            terminal.show(*(tables(c) if full else [brief_table(c, condition)]))
        o.say(f"report: {folder.out}/study.html")
    if stands and results["not_done"]:
        o.say(f"not done: {', '.join(results['not_done'])}; the same command again says how they stand and goes on")
