"""`harness study`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import options as o
from harness.cli.complete import offer
from harness.core.errors import HarnessError


@click.group()
def study() -> None:
    """Run arms x conditions x seeds from one YAML file."""


_what = o.options(
    click.argument("file", metavar="FILE", shell_complete=offer("studies")),
    click.option("--seeds", type=o.Numbers(), help="Training seeds, e.g. 0,1,2.  [default: the study's]"),
    click.option("--only", type=o.Names(), metavar="ARM,...", help="Only these arms.  [default: all]"),
    o.data_dir,
    o.as_json,
)


@study.command()
@_what
def plan(file: str, seeds: tuple[int, ...] | None, only: tuple[str, ...] | None, data_dir: Path | None, as_json: bool) -> None:
    """Show what a study would cost.

    FILE is a name from `harness list studies` or a path.
    """
    from harness.report.tables import print_to_terminal
    from harness.study import load_study, plan_table, prepare_study

    loaded = load_study(file)
    cells = prepare_study(loaded, data_dir, seeds, only)
    if as_json:
        o.echo_json({"title": loaded.title, "cells": [cell.to_dict() for cell in cells]})
        return
    print_to_terminal(plan_table(loaded, cells).to_rich(), width=150)


@study.command()
@_what
@click.option("--out", type=o.PATH, required=True, help="Folder of the study; if it holds one, that is continued.")
@click.option("--jobs", type=click.IntRange(min=1), help="Runs at a time.  [default: one per core, at most 4; openrlhf 1]")
def run(
    file: str,
    seeds: tuple[int, ...] | None,
    only: tuple[str, ...] | None,
    data_dir: Path | None,
    as_json: bool,
    out: Path,
    jobs: int | None,
) -> None:
    """Run whatever a study has not finished yet.

    FILE is a name from `harness list studies` or a path. Repeat the same command to continue an interrupted study. The
    exit code is 1 if a run failed, after all others are done.
    """
    from harness.report.sentences import sentences
    from harness.report.tables import print_to_terminal
    from harness.study import StudyDir, load_study, prepare_study, summary_table

    loaded = load_study(file)
    folder = StudyDir(out, loaded, prepare_study(loaded, data_dir, seeds, only, out), data_dir)
    failed = folder.run(jobs)
    results, rows = folder.write_results()
    if as_json:
        o.echo_json({"study": str(out), **results})
    elif rows:
        print_to_terminal(summary_table(rows, ("sampled_tokens", "wall_seconds")).to_rich(), width=80)
        for condition, comparison in folder.comparisons().items():
            o.say_sentences([f"{condition}:"] if condition else [])
            o.say_sentences(sentences(comparison))
        o.say(f"report: {out}/study.html")
    if failed:
        raise HarnessError("; ".join(f"{name}: {why}" for name, why in failed.items()))
