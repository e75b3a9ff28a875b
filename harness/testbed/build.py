"""`python -m harness.testbed.build --world latent --seed 0 --out DIR`: builds a policy and prints its truth table."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import torch
from pydantic import ValidationError

from harness.testbed.policy import PolicyConfig, build
from harness.testbed.truth import markdown, measure


@click.command()
@click.option("--world", default="latent", help="latent, absent or open")
@click.option("--seed", default=0, help="Seed of the weights and of the warm start's data.")
@click.option("--style-probability", nargs=2, type=float, default=None, help="P(trace), then P(style) of S and of L.")
@click.option("--branch-tokens", type=int, default=2, help="2: a shared header and the style; 1: the style alone.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="A new or empty folder.")
@click.option("--threads", type=int, default=1, help="CPU threads. The weights may differ between thread counts.")
def main(
    world: str, seed: int, style_probability: tuple[float, float] | None, branch_tokens: int, out: Path, threads: int
) -> None:
    """Build a testbed policy by its warm start and print what is true of it."""
    torch.set_num_threads(threads)

    def progress(line: str) -> None:
        # One line that overwrites itself on a terminal, plain lines in a log.
        click.echo(f"\r{line}   " if sys.stderr.isatty() else line, err=True, nl=not sys.stderr.isatty())

    try:
        knobs = {"style_probability": style_probability} if style_probability else {}
        config = PolicyConfig(world=world, seed=seed, branch_tokens=branch_tokens, **knobs)
        build(config, out, progress)
    except (ValidationError, FileExistsError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"\nwrote {out}; measuring", err=True)
    click.echo(markdown(measure(out, config.branch_tokens)))


if __name__ == "__main__":
    command: click.Command = main
    command()
