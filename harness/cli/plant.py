"""`harness plant`: runs whose true difference is known, to hold the referee to."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import options as o


@click.command()
@click.argument("run_a", type=o.PATH)
@click.argument("run_b", type=o.PATH)
@click.option("--effect", type=float, required=True, help="The true difference of the two planted runs, in points; 0 for none.")
@click.option("--seeds", type=click.IntRange(min=2), default=8, show_default=True, help="Seeds of each planted run.")
@click.option(
    "--seed-sd",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Standard deviation of a seed's true score, in points; the noise of its samples comes on top.",
)
@click.option("--random", type=int, default=0, show_default=True, help="The seed of all that is drawn.")
@click.option("--out", type=o.PATH, required=True, help="A new folder, which gets the runs `arm` and `baseline`.")
@o.as_json
def plant(run_a: Path, run_b: Path, effect: float, seeds: int, seed_sd: float, random: int, out: Path, as_json: bool) -> None:
    """Make two runs of a known difference from the answers of RUN_A and RUN_B.

    Both runs need samples, and must be further apart than the effect. What is planted is no result, and never filed;
    `harness compare` and `harness claim check --planted` judge it.
    """
    from harness.leaderboard.planted import plant as make

    found = make(run_a, run_b, effect, seeds, seed_sd, random, out)
    if as_json:
        o.echo_json({"runs": list(map(str, found.runs)), "measure": found.measure, "truth": found.truth, "random": random})
        return
    for path, name in zip(found.runs, found.names, strict=True):
        o.say(f"planted: {path}, with the settings of {name}")
    for key, points in found.truth.items():
        o.say(f"true difference of {key}: {points:+.3f} points")
    o.say(f"drawn with --random {random}")
    o.say(f"next: harness compare {found.runs[0]} {found.runs[1]} --baseline {found.runs[1]}")
