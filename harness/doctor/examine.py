"""All checks of a run in their order: `harness doctor` makes all of them, `harness run` those that take seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.config import RunSpec
from harness.core.errors import HarnessError, MissingError
from harness.doctor.checks import Check, refusal
from harness.doctor.machine import Machine, this_machine
from harness.doctor.packages import check_imports, check_packages
from harness.doctor.ray import check_ray
from harness.doctor.talk import check_servers
from harness.run import PreparedRun, prepare

if TYPE_CHECKING:
    from harness.doctor.memory import Needs


@dataclass
class Report:
    """What was found; `parts` is the table of memory, where it could be reckoned."""

    checks: list[Check] = field(default_factory=list)
    needs: Needs | None = None

    def add(self, *found: Check) -> None:
        self.checks += found


def examine(spec: RunSpec, machine: Machine, data_dir: Path | None, offline: bool, out: Path) -> Report:
    """Every check; of a described machine those that a description allows. `out`: the run directory, or where it will lie.
    Raises UsageError for settings that contradict each other."""
    report = Report()
    here = not machine.described
    if machine.described and data_dir is None:
        prepared = None
        report.add(Check("data", "unchecked", "no --data-dir is given", "harness doctor --data-dir DATA"))
    else:
        prepared = _prepared(report, spec, data_dir, offline)
    if spec.backend.name == "openrlhf":
        report.add(check_packages(machine.packages))
        if here and report.checks[-1].status == "ok":
            report.add(check_imports())
    _room(report, spec, machine, offline, _held(out) if here else 0.0)
    if spec.backend.name == "openrlhf":
        report.add(check_ray(spec) if here else Check("Ray", "unchecked", "only the machine itself can say"))
    report.add(*check_servers(spec, here))
    _model(report, spec, offline, prepared, here)
    return report


def before_run(prepared: PreparedRun, out: Path | None, offline: bool) -> list[Check]:
    """What `harness run` looks at before it writes anything: warnings. Raises HarnessError, or MissingError, where the run
    cannot succeed. What lies in the run directory `out` already, of a run that is resumed, needs no disk again."""
    spec, report, machine = prepared.spec, Report(), this_machine(out or Path("runs"))
    report.add(check_packages(machine.packages))
    _settle(report)
    _room(report, spec, machine, offline, _held(out) if out else 0.0)
    report.add(check_ray(spec))
    _settle(report)
    report.add(*check_servers(spec, True))  # last: it asks somebody
    _settle(report)
    return [check for check in report.checks if check.status == "warning"]


def _held(out: Path) -> float:
    """Bytes of a run directory that is there already; 0 for any other folder."""
    return sum(f.stat().st_size for f in out.rglob("*") if f.is_file()) if (out / "spec.json").exists() else 0.0


def _settle(report: Report) -> None:
    if error := refusal(report.checks):
        raise error


def _prepared(report: Report, spec: RunSpec, data_dir: Path | None, offline: bool) -> PreparedRun | None:
    """Settings and data. Data lie where the command runs; without any, a described machine's are not known."""
    try:
        prepared = prepare(spec, data_dir, offline)
    except MissingError as e:
        report.add(Check("data", "fails", str(e), missing=True))
        return None
    report.add(Check("settings", "ok", f"{spec.method}, recipe {spec.recipe}, backend {spec.backend.name}"))
    off = [d for d in (prepared.deviation, *(s.deviation(data_dir) for s in prepared.suites)) if d]
    if off:
        report.add(Check("data", "warning", "; ".join(off), 'a run on these files is "not a result"'))
    else:
        names = ", ".join([prepared.training_set.name, *(s.name for s in prepared.suites)])
        report.add(Check("data", "ok", f"{names}: all as pinned"))
    return prepared


def _room(report: Report, spec: RunSpec, machine: Machine, offline: bool, held: float) -> None:
    """GPUs, memory, disk."""
    from harness.doctor.room import check_disk, check_gpus, check_memory, needs_of
    from harness.doctor.shapes import config_of, shape

    report.add(check_gpus(spec, machine))
    try:
        model = shape(config_of(spec, offline), spec.model.dtype)
    except MissingError as e:
        report.add(Check("GPU memory", "unchecked", str(e)))
        return
    report.needs = needs_of(spec, machine, model)
    report.add(*check_memory(spec, machine, model, report.needs))
    report.add(check_disk(report.needs, machine, held))


def _model(report: Report, spec: RunSpec, offline: bool, prepared: PreparedRun | None, here: bool) -> None:
    """The tokenizer's template, and a batch through the loss."""
    from harness.doctor.batch import check_batch, check_template
    from harness.doctor.shapes import config_of

    try:
        report.add(check_template(spec, offline, prepared.problems if prepared else [], here))
    except HarnessError as e:  # a template that refuses a turn, a folder that is none
        report.add(Check("chat template", "fails", str(e), missing=isinstance(e, MissingError)))
    try:
        config = config_of(spec, offline)
    except MissingError as e:
        report.add(Check("a batch through the loss", "unchecked", str(e)))
        return
    report.add(check_batch(spec, config, prepared.method(spec.seeds[0]) if prepared else None))
