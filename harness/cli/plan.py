"""`harness plan`: what arms cost, and what a budget decides, before any of it is spent."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import options as o
from harness.cli.complete import offer
from harness.core.errors import UsageError, nearest

if TYPE_CHECKING:
    from harness.config import RunSpec
    from harness.cost.assumptions import Assumptions
    from harness.cost.estimate import Cost
    from harness.plan import Plan

RECIPE = "qwen3-4b-deepscaler-5k"


@click.command()
@click.option("--gpu-hours", type=float, help="The budget; without it, only what a seed of each arm costs.")
@click.option("--recipe", default=RECIPE, show_default=True, shell_complete=offer("recipes"), help="As in `harness run`.")
@click.option("--arms", type=o.Names(), default="p2o,grpo", show_default=True, metavar="METHOD,...", help="What is compared.")
@o.bench
@click.option("--effect", type=float, help="The lead that is asked about, in points.  [default: 4.7, P2O's as published]")
@click.option("--margin", type=float, help="The smallest difference that matters, in points.  [default: 1]")
@click.option("--sd", metavar="POINTS|RUN", help="Standard deviation between seeds, or runs that tell.  [default: 2]")
@o.throughput
@o.data_dir
@o.include_path
@o.configs
@o.sets
@o.as_json
def plan(
    gpu_hours: float | None,
    recipe: str,
    arms: tuple[str, ...],
    bench: str,
    effect: float | None,
    margin: float | None,
    sd: str | None,
    throughput: tuple[str, ...],
    data_dir: Path | None,
    configs: tuple[Path, ...],
    sets: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show what arms of a recipe cost, and what a budget can decide.

    A recipe that trains on a CPU counts in hours of two cores.
    """
    from harness.report import cost as render
    from harness.report.tables import print_to_terminal
    from harness.stats.affordable import CLAIMED, decide, spread_of
    from harness.stats.verdicts import MARGIN

    _check(gpu_hours, effect, margin)
    if gpu_hours is None and (given := {"--effect": effect, "--margin": margin, "--sd": sd}):
        for name, value in given.items():
            if value is not None:
                raise UsageError(f"{name} is about what a budget decides; give one, --gpu-hours N")
    costs, assumed = _costs(recipe, arms, bench, throughput, data_dir, configs, sets)
    first = costs[arms[0]]
    tree: dict[str, Any] = {"recipe": recipe, "arms": {n: render.cost_dict(c, assumed[n]) for n, c in costs.items()}}
    found = None
    if gpu_hours is not None:
        found = decide(
            gpu_hours,
            {name: c.device_hours for name, c in costs.items()},
            _baseline(arms),
            spread_of(sd),
            CLAIMED if effect is None else effect,
            MARGIN if margin is None else margin,
        )
        tree["budget"] = asdict(found)
    if as_json:
        o.echo_json(tree)
        return
    if found is not None:
        o.say_sentences(render.affordable_sentences(found, first.unit))
        print_to_terminal(render.affordable_table(found, first.unit).to_rich(), width=80)
    print_to_terminal(render.cost_table(f"A seed of each arm, {recipe}, {first.device}", costs).to_rich(), width=80)
    print_to_terminal(render.assumption_table(assumed[arms[0]], [*costs.values()]).to_rich(), width=80)


def _check(gpu_hours: float | None, effect: float | None, margin: float | None) -> None:
    """Raises UsageError for what is no number of hours or points."""
    for name, value, least in (("--gpu-hours", gpu_hours, 0.0), ("--effect", effect, 0.0), ("--margin", margin, None)):
        if value is None:
            continue
        if not math.isfinite(value) or value < 0 or value == least:
            raise UsageError(f"{name} must be a number {'of at least 0' if least is None else 'above 0'}, not {value:g}")


def _costs(
    recipe: str,
    arms: tuple[str, ...],
    bench: str,
    throughput: tuple[str, ...],
    data_dir: Path | None,
    configs: tuple[Path, ...],
    sets: tuple[str, ...],
) -> tuple[dict[str, Cost], dict[str, Assumptions]]:
    """The cost of one seed of every arm, and what it is reckoned by."""
    from harness.config import resolve
    from harness.cost.estimate import estimate
    from harness.cost.throughput import given

    if len(set(arms)) != len(arms) or not all(arms):
        raise UsageError(f"--arms takes methods, each once, e.g. p2o,grpo, not {','.join(arms)!r}")
    costs, assumed = {}, {}
    for arm in arms:
        spec = resolve(arm, recipe, configs, sets, {"eval": {"bench": bench}})
        assumed[arm] = given(spec, throughput)
        if lacking := assumed[arm].lacking:
            wanted = ",".join(f"{name}=VALUE" for name in lacking)
            raise UsageError(f"nothing is known of the speed of {spec.model.id}; give --throughput {wanted}")
        costs[arm] = estimate(spec, _plan(spec, data_dir), assumed[arm])
    return costs, assumed


def _plan(spec: RunSpec, data_dir: Path | None) -> Plan:
    """Of the data where they are, as for a run, else of as many problems as the recipe draws."""
    if data_dir is not None:
        from harness.run import prepare

        return prepare(spec, data_dir, True).plan
    from harness.plan import without_data

    found = without_data(spec)
    if found is None:
        raise UsageError(f"what {spec.recipe} costs depends on its data: give --data-dir, or --set train.limit=PROBLEMS")
    return found


def _baseline(arms: tuple[str, ...]) -> str:
    """The arm that the others are compared with, as `harness compare` chooses it."""
    from harness.registry import baseline_method

    base = baseline_method()
    if base not in arms:
        raise UsageError(f"--arms {','.join(arms)}: a lead is over {base}, which is not among them{nearest(base, [*arms])}")
    return base
