"""Whether the packages of the OpenRLHF path are there, in the versions that it was built for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib.resources import files

from harness.core.errors import UNREADABLE
from harness.doctor.checks import Check

NEEDED = ("openrlhf", "vllm", "ray", "deepspeed", "flash-attn", "torch", "transformers")
"""Distributions that decide whether OpenRLHF starts; the order in which they are named."""
HOW = "p2o-harness[openrlhf], in the order of docs/openrlhf.md: harness/training/openrlhf/gpu/install.sh VENV"
IMPORTS = ("torch", "flash_attn", "deepspeed", "vllm", "openrlhf")
"""Of these, a build for another torch or CUDA shows only when they are imported."""


def _pins() -> dict[str, str]:
    text = (files("harness.training.openrlhf") / "gpu" / "constraints.txt").read_text()
    rows = dict(line.split("==") for line in text.splitlines() if not line.startswith("#"))
    return {name: rows[name] for name in NEEDED}


PINS = _pins()
"""The versions of gpu/constraints.txt, which are those that OpenRLHF and vLLM ask for themselves."""


def check_packages(packages: Mapping[str, str | None] | None) -> Check:
    """`packages`: installed versions by name; None where nobody said. A build's label (2.13.0+cu130) is no other version."""
    if packages is None:
        return Check("packages", "unchecked", "the description names none", f"it needs {_listed(PINS)}")
    have = {name: packages.get(name) for name in NEEDED}
    absent = [name for name in NEEDED if have[name] is None]
    other = [
        f"{name} {have[name]} in the place of {pin}"
        for name, pin in PINS.items()
        if (found := have[name]) is not None and found.partition("+")[0] != pin
    ]
    if absent or other:
        found = "; ".join([*([f"not installed: {', '.join(absent)}"] if absent else []), *other])
        return Check("packages", "fails", found, HOW, missing=bool(absent))
    if (have["torch"] or "").endswith("+cpu"):
        return Check("packages", "fails", f"torch {have['torch']} is a build without CUDA", HOW, missing=True)
    return Check("packages", "ok", _listed({name: found for name, found in have.items() if found}))


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {found}" for name, found in versions.items())


def check_imports(seconds: float = 300) -> Check:
    """Imports each package in another process: one that was built for another torch is installed and still does not load."""
    script = (
        "import importlib, json\nout = {}\n"
        f"for name in {IMPORTS!r}:\n"
        "    try:\n        importlib.import_module(name)\n"
        "    except Exception as e:\n        out[name] = f'{type(e).__name__}: {e}'\n"
        "print('\\n' + json.dumps(out))"
    )
    try:
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=seconds)
        errors = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return Check("imports", "warning", f"{', '.join(IMPORTS)} took more than {seconds:.0f} s to import")
    except UNREADABLE:  # the process died, a crash of native code perhaps
        return Check("imports", "fails", f"importing {', '.join(IMPORTS)} ended with exit code {done.returncode}", HOW)
    if errors:
        found = "; ".join(f"{name} does not load ({' '.join(error.split())[:200]})" for name, error in errors.items())
        return Check("imports", "fails", found, HOW)
    return Check("imports", "ok", f"{', '.join(IMPORTS)} load")
