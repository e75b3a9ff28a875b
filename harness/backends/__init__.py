"""Backends: who samples, who takes the gradient. A backend knows methods only through harness/method.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from harness.errors import MissingError
from harness.method import Method, Policy
from harness.types import Rollout, Sampling

if TYPE_CHECKING:
    from harness.config import RunSpec
    from harness.rundir import SeedLog

BACKENDS = {
    "local": "one process on a CPU or one GPU: torch and transformers",
}


class Backend(Policy, Protocol):
    """A policy that can be trained, saved and sampled from.

    `tick`, which the caller may set, is told how many completions of the sampling call under way are done.
    """

    tick: Callable[[int], None]

    def train(self, method: Method, log: SeedLog) -> None:
        """All epochs of one seed, resuming from the log's last checkpoint; ends with a saved policy."""
        ...

    def generate(self, prompts: Sequence[str], sampling: Sampling, seed: int) -> list[Rollout]:
        """One ungraded completion per user turn, at the current weights (for evaluation)."""
        ...

    def save(self, folder: Path) -> None:
        """Write the policy as a Hugging Face folder (safetensors, tokenizer included)."""
        ...


def make_backend(spec: RunSpec, offline: bool) -> Backend:
    """The backend of a spec with its policy loaded. Raises MissingError for one that this version does not have."""
    if spec.backend not in BACKENDS:
        raise MissingError(f"backend {spec.backend!r} is not part of this version; available: {', '.join(BACKENDS)}")
    from harness.backends.local import LocalBackend

    return LocalBackend(spec, offline)
