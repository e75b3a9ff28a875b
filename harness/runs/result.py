"""Finished runs read back: run directories, and runs as a leaderboard files them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError, MissingError, reason
from harness.runs import filed


def load_result(path: Path) -> dict[str, Any]:
    """result.json of a run directory, with its spec added as "spec" and "run" set to `path`; the same of a filed run.

    Raises MissingError where no run is, HarnessError where it is unfinished or its files cannot be read.
    """
    if is_filed(path):
        return {**filed.result_of(path, filed.read_manifest(path)), "run": str(path)}
    if not (path / "spec.json").exists():
        raise MissingError(f"no run at {path}: it holds no spec.json")
    if not (path / "result.json").exists():
        raise HarnessError(f"the run at {path} is unfinished; finish it with --resume")
    try:
        spec = json.loads((path / "spec.json").read_text())["spec"]
        result = {**json.loads((path / "result.json").read_text()), "spec": spec, "run": str(path)}
        if strange := [name for name in result.get("suites", {}) if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name)]:
            raise ValueError(f"{strange[0]!r} is no name of a suite")  # files are found by it
        return result
    except (ValueError, KeyError, TypeError) as e:
        raise HarnessError(f"the run at {path} cannot be read: {reason(e)}") from None


def is_filed(path: Path) -> bool:
    """Whether a folder is a run as a leaderboard files it, not a run directory."""
    return (path / "manifest.json").exists() and not (path / "spec.json").exists()


def runs_below(root: Path) -> list[Path]:
    """Finished runs at or below a folder, in order: run directories, and filed ones."""
    if is_filed(root) or (root / "spec.json").exists():
        return [root]
    found = {p.parent for name in ("result.json", "manifest.json") for p in root.glob(f"**/{name}")}
    return sorted(p for p in found if not p.name.startswith(".") and (is_filed(p) or (p / "spec.json").exists()))
