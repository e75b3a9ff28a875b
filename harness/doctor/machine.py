"""A machine as far as a run cares: this one, or another from a file that describes it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from pydantic import Field

from harness.config import validated
from harness.core.settings import Strict
from harness.core.trees import read_yaml
from harness.doctor.packages import PINS

CGROUP = Path("/sys/fs/cgroup/memory.max")
"""The limit of a container or of a Slurm job (cgroup v2)."""
MEMINFO = Path("/proc/meminfo")


class Machine(Strict):
    """What `--machine FILE` may say; null is unknown. GB are 10^9 bytes; all but `nodes` is of one node."""

    nodes: int | None = Field(None, ge=1)
    """Machines of this kind; null for this one: who else is in a cluster is not seen from here."""
    gpus: int | None = Field(None, ge=0)
    """GPUs of a node."""
    gpu_memory_gb: float | None = Field(None, gt=0)
    """Memory of the smallest of them."""
    host_memory_gb: float | None = Field(None, gt=0)
    """Main memory."""
    disk_gb: float | None = Field(None, ge=0)
    """Free where the run directory lies."""
    packages: dict[str, str | None] | None = None
    """Installed versions by the name of the distribution; null is not installed."""
    described: bool = True
    """Whether a file says all this; false for the machine that the command runs on."""


def read_machine(path: Path) -> Machine:
    """The machine that a YAML or JSON file describes. Raises MissingError without the file, UsageError for what is none."""
    return validated(Machine, {**read_yaml(path), "described": True}, "machine")


def this_machine(out: Path, packages: Mapping[str, str] = PINS) -> Machine:
    """What is here; `out` is where the run directory will lie."""
    gpus, memory = _gpus()
    return Machine(
        gpus=gpus,
        gpu_memory_gb=memory,
        host_memory_gb=_host_memory(),
        disk_gb=shutil.disk_usage(next(p for p in (out, *out.absolute().parents) if p.exists())).free / 1e9,
        packages={name: _installed(name) for name in packages},
        described=False,
    )


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _gpus() -> tuple[int, float | None]:
    """How many, and the memory of the smallest in GB."""
    if find_spec("torch") is None:
        return 0, None
    import torch

    count = torch.cuda.device_count()
    sizes = [torch.cuda.get_device_properties(i).total_memory / 1e9 for i in range(count)]
    return count, min(sizes, default=None)


def _host_memory() -> float | None:
    """GB of main memory that processes here may have; None where the system does not say."""
    sizes = []
    try:
        sizes += [1024 * int(x.split()[1]) for x in MEMINFO.read_text().splitlines() if x.startswith("MemTotal:")]
        limit = CGROUP.read_text().strip()
        sizes += [int(limit)] if limit.isdigit() else []
    except OSError:  # not Linux, or no cgroups of version 2
        pass
    return min(sizes) / 1e9 if sizes else None
