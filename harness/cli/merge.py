"""`harness merge`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from harness.cli import options as o


@click.command()
@click.argument("runs", nargs=-1, type=o.PATH, metavar="RUN...")
@click.option("--out", type=o.PATH, required=True, help="Folder of the one run.")
@click.option(
    "--allow-different",
    "allow",
    multiple=True,
    metavar="NAME",
    help="Merge although the parts differ in this package, or in code, as the refusal names it; repeatable.",
)
@o.full
@o.as_json
def merge(runs: tuple[Path, ...], out: Path, allow: tuple[str, ...], full: bool, as_json: bool) -> None:
    """Make one run of several that hold different seeds of one arm.

    The parts are finished run folders, with the same settings, data and versions; they stay as they are.
    """
    from harness.core.secrets import without_secrets
    from harness.runs.environment import read_environment
    from harness.study.merge import merge as merge_runs

    result = merge_runs(runs, out, without_secrets(shlex.join(["harness", *sys.argv[1:]])), allow)
    o.show_result(result, full, as_json)
    env = read_environment(out)
    for line in env.remarks if env and not as_json else ():
        o.say(line)
