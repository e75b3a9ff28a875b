"""`harness launch`: a run as a file for Slurm or a Ray cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from harness.cli import options as o


@click.command()
@click.argument("kind", type=click.Choice(["slurm", "ray"]))
@click.option("--method", required=True, help="A name from `harness list methods`.")
@click.option(
    "--bench", default="ood", show_default=True, help="Suites, groups, paths of suites, or id, ood, all; comma-separated."
)
@click.option("--recipe", required=True, help="A recipe with backend openrlhf.")
@click.option("--seeds", type=o.Numbers(), help="Training seeds, e.g. 0,1,2.  [default: the recipe's]")
@click.option("--out", type=o.PATH, help="Run folder, which all nodes share.  [default: runs/METHOD-RECIPE]")
@o.data_dir
@o.configs
@o.sets
def launch(
    kind: Literal["slurm", "ray"],
    method: str,
    bench: str,
    recipe: str,
    seeds: tuple[int, ...] | None,
    out: Path | None,
    data_dir: Path | None,
    configs: tuple[Path, ...],
    sets: tuple[str, ...],
) -> None:
    """Print a file that starts one run on a cluster.

    slurm: a batch script for sbatch, which serves the reflector and starts Ray where the recipe needs them. ray: a script that
    submits the run to a Ray cluster that is up.
    """
    from harness.config import resolve
    from harness.training.openrlhf.launch import launch_file

    flags = {"eval": {"bench": bench}} | ({} if seeds is None else {"seeds": list(seeds)})
    spec = resolve(method, recipe, configs, sets, flags)
    words = ["--method", method, "--recipe", recipe, "--bench", bench]
    words += [] if seeds is None else ["--seeds", ",".join(map(str, seeds))]
    words += [] if data_dir is None else ["--data-dir", str(data_dir)]
    words += [word for path in configs for word in ("--config", str(path))]
    words += [word for item in sets for word in ("--set", item)]
    o.say(launch_file(kind, spec, words, str(out or Path("runs") / f"{method}-{Path(recipe).stem}")), nl=False)
