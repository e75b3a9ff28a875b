"""Ray: whether it is there, and whether a cluster is that should be, or is that should not."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from harness.config import RunSpec
from harness.doctor.checks import Check

CURRENT = Path("/tmp/ray/ray_current_cluster")
"""Where `ray start` leaves the address of its cluster, and a killed one forgets it."""
PROC = Path("/proc")
SECONDS = 3.0


def check_ray(spec: RunSpec, environ: Mapping[str, str] = os.environ) -> Check:
    """On one node the run starts a cluster of its own and ignores others; on several, one must be up."""
    if find_spec("ray") is None:
        return Check("Ray", "fails", "cannot be imported", "it comes with openrlhf", missing=True)
    if spec.backend.nodes == 1:
        if running := _raylets():
            found = f"{running} raylets of another cluster run here, and may hold the GPUs"
            return Check("Ray", "warning", found, "ray stop, unless somebody works there")
        return Check("Ray", "ok", "the run starts a cluster of its own")
    address = environ.get("RAY_ADDRESS") or "auto"
    source = "RAY_ADDRESS"
    if address == "auto":
        source = str(CURRENT)
        address = CURRENT.read_text().strip() if CURRENT.exists() else ""
    start = "ray start --head on the first node, ray start --address HEAD:6379 on the others (docs/openrlhf.md)"
    if not address:
        return Check("Ray", "fails", f"no cluster, and the run wants one of {spec.backend.nodes} nodes", start, missing=True)
    if _answers(address):
        return Check("Ray", "ok", f"a cluster answers at {address}")
    return Check(
        "Ray", "fails", f"{source} names {address}, where nobody answers", f"unset it, ray stop, then {start}", missing=True
    )


def _raylets() -> int:
    """Of other people too."""
    count = 0
    for comm in PROC.glob("[0-9]*/comm"):
        try:
            count += comm.read_text().strip() == "raylet"
        except OSError:  # it ended meanwhile
            continue
    return count


def _answers(address: str) -> bool:
    try:
        at = urlsplit(address if "//" in address else f"//{address}")
        with socket.create_connection((at.hostname or "", at.port or 6379), SECONDS):
            return True
    except (OSError, ValueError):
        return False
