"""`python -m harness.skills.build --floor 0.001 --seed 0 --out DIR`: builds a policy and prints its truth table."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import torch
from pydantic import ValidationError

from harness.skills.policy import PolicyConfig, build
from harness.skills.truth import markdown, measure
from harness.skills.world import FLOOR


@click.command()
@click.option("--floor", default=FLOOR, help="The lowest unprompted rate.")
@click.option("--seed", default=0, help="Seed of the weights and of the warm start's data.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="A new or empty folder.")
@click.option("--threads", type=int, default=1, help="CPU threads. The weights may differ between thread counts.")
def main(floor: float, seed: int, out: Path, threads: int) -> None:
    """Build a policy of the world of skills by its warm start and print what is true of it."""
    torch.set_num_threads(threads)

    def progress(line: str) -> None:
        # One line that overwrites itself on a terminal, plain lines in a log.
        click.echo(f"\r{line}   " if sys.stderr.isatty() else line, err=True, nl=not sys.stderr.isatty())

    try:
        config = PolicyConfig(floor=floor, seed=seed)
        build(config, out, progress)
    except (ValidationError, FileExistsError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"\nwrote {out}; measuring", err=True)
    click.echo(markdown(measure(out, floor)))


if __name__ == "__main__":
    command: click.Command = main
    command()
