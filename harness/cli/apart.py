"""`--jobs` of `harness run`: its seeds side by side."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli import options as o
from harness.core.errors import HarnessError, UsageError

if TYPE_CHECKING:
    from harness.config import RunSpec
    from harness.run import PreparedRun
    from harness.runs.rundir import RunDir
    from harness.study import Apart


def check_jobs(spec: RunSpec, jobs: int) -> None:
    """Raises UsageError where seeds cannot stand side by side."""
    if jobs > 1 and spec.backend.name == "openrlhf":
        raise UsageError("--jobs is for the local backend; openrlhf takes the whole cluster for one seed, leave it out")


def seeds_apart(prepared: PreparedRun, run: RunDir, jobs: int, look: bool) -> Apart | None:
    """What trains the seeds in processes of their own; None where this one does. What was begun in that way goes on so.

    `look`: whether memory is checked first. Raises HarnessError where it will not do.
    """
    from harness.runs.rundir import APART

    spec = prepared.spec
    jobs = min(jobs, len(spec.seeds))
    if jobs == 1 and not (run.path / APART).exists():
        return None
    from harness.models import locate
    from harness.study import Apart

    locate(spec, prepared.offline)  # fetched once, not by every process
    apart = Apart(spec, jobs, _words, prepared.units, prepared.plan.rollouts)
    if look and jobs > 1:
        from harness.doctor.machine import this_machine
        from harness.doctor.room import check_jobs_memory

        check = check_jobs_memory(spec, jobs, this_machine(run.path), prepared.offline, max(len(apart.devices), 1))
        if check.status == "fails":
            raise HarnessError(f"{check.what}: {check.found}; {check.todo}, or --no-doctor to try all the same")
    if jobs > 1 and spec.local.threads is None and not apart.devices:
        o.say(f"every one of the {jobs} processes computes with all cores; --set local.threads=N shares them", err=True)
    return apart


def _words(seed: int, path: Path) -> list[str]:
    """This command for one seed, into a folder of its own."""
    given = without(sys.argv[2:], ("--seeds", "--out", "--jobs"), ("--resume", "--continue", "--json"))
    return ["run", *given, "--seeds", str(seed), "--out", str(path), "--jobs", "1", "--continue"]


def without(words: Sequence[str], valued: Collection[str], flags: Collection[str]) -> list[str]:
    """A command line without some options, those of `valued` with their values."""
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, _ = word.partition("=")
        if name in valued:
            if not equals:
                next(rest, None)
        elif word not in flags:
            kept.append(word)
    return kept
