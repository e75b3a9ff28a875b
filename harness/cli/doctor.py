"""`harness doctor`: whether a machine has what a run takes, before anything is paid for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import options as o
from harness.core.errors import HarnessError

if TYPE_CHECKING:
    from harness.doctor.examine import Report
    from harness.doctor.memory import Needs


@click.command()
@click.option("--method", help="A name from `harness list methods`.  [default: the baseline]")
@click.option(
    "--bench", default="ood", show_default=True, help="Suites, groups, paths of suites, or id, ood, all; comma-separated."
)
@click.option("--recipe", help="A name from `harness list recipes`, or a YAML file.  [default: skills]")
@click.option("--seeds", type=o.Numbers(), help="Training seeds, e.g. 0,1,2.  [default: the recipe's]")
@click.option("--out", type=o.PATH, default=Path("runs"), show_default=True, help="The run folder, or where it will lie.")
@o.data_dir
@o.include_path
@o.configs
@o.sets
@click.option("--machine", type=o.PATH, metavar="FILE", help="Check a machine that this file describes instead of this one.")
@o.offline
@o.as_json
def doctor(
    method: str | None,
    bench: str,
    recipe: str | None,
    seeds: tuple[int, ...] | None,
    out: Path,
    data_dir: Path | None,
    configs: tuple[Path, ...],
    sets: tuple[str, ...],
    machine: Path | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Check what a run takes: packages, GPUs, memory, disk, Ray, servers, data, loss.

    The exit code is 1 if a check fails. The file of a machine (YAML or JSON) may say nodes, gpus, gpu_memory_gb,
    host_memory_gb, disk_gb and packages.
    """
    from harness.config import resolve
    from harness.registry import DEFAULT_RECIPE, baseline_method

    flags = {"eval": {"bench": bench}} | ({} if seeds is None else {"seeds": list(seeds)})
    spec = resolve(method or baseline_method(), recipe or DEFAULT_RECIPE, configs, sets, flags)
    if offline:
        o.go_offline()
    from harness.doctor.checks import failed
    from harness.doctor.examine import examine
    from harness.doctor.machine import read_machine, this_machine

    report = examine(spec, read_machine(machine) if machine else this_machine(out), data_dir, offline, out)
    _show(report, as_json)
    if found := failed(report.checks):
        raise HarnessError(f"{len(found)} of {len(report.checks)} checks fail: {', '.join(check.what for check in found)}")


def _show(report: Report, as_json: bool) -> None:
    if as_json:
        checks = [vars(check) for check in report.checks]
        o.echo_json({"checks": checks, "memory": [vars(p) for p in report.needs.parts] if report.needs else None})
        return
    rows = [(c.what, c.status, f"{c.found}: {c.todo}" if c.todo else c.found) for c in report.checks]
    o.say_table(("check", "status", "found, and what to do"), "lll", rows)
    if report.needs:
        o.say("")
        _show_memory(report.needs)


def _show_memory(needs: Needs) -> None:
    """GB, part by part."""
    from harness.doctor.memory import GB

    def gb(*values: float) -> list[str]:
        return [f"{value / GB:.1f}" if value else "" for value in values]

    names = ("GPU trains", "GPU samples", "host", "disk") if needs.gpu else ("trains", "samples", "", "disk")
    rows = [(p.name, *gb(p.training, p.sampling, p.host, p.disk), p.how) for p in needs.parts]
    rows.append(("all", *gb(needs.training, needs.sampling, needs.host, needs.disk), ""))
    o.say_table(("GB of 10^9 bytes", *names, "how it is reckoned"), "lrrrrl", rows)
