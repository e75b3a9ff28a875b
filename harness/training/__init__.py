"""Backends: who samples, who takes the gradient. A backend knows methods only through harness/core/method.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from harness.core.method import Method
from harness.core.types import Rollout, Sampling

if TYPE_CHECKING:
    from harness.config import RunSpec
    from harness.training.seedlog import SeedLog

BACKENDS = {
    "local": "one process on a CPU or one GPU: torch and transformers",
    "openrlhf": "OpenRLHF 0.11.2 on Ray, vLLM and DeepSpeed: one GPU to a cluster, or a rehearsal without any",
}


class Backend(Protocol):
    """A policy that can be trained and then sampled from; a context manager that ends whatever it started.

    `tick`, which the caller may set, is told how many completions of the sampling call under way are done.
    """

    tick: Callable[[int], None]

    def train(self, method: Method, log: SeedLog) -> None:
        """All epochs of one seed, resuming from the log's last checkpoint.

        The trained policy lies in the log's `final` folder, a Hugging Face one, once the context is left.
        """
        ...

    def generate(self, prompts: Sequence[str], sampling: Sampling, seed: int) -> list[Rollout]:
        """One ungraded completion per user turn, at the current weights (for evaluation)."""
        ...

    def identity(self) -> dict[str, Any]:
        """Of what `generate` samples with: `engine`, its `version`, `dtype` and `rendering_sha256` (of prompts)."""
        ...

    def __enter__(self) -> Backend: ...

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: Any) -> None: ...


def make_backend(spec: RunSpec, offline: bool) -> Backend:
    """The backend of a spec, ready to train. Raises MissingError where something that it needs is not there."""
    if spec.backend.name == "openrlhf":
        from harness.training.openrlhf.backend import OpenRLHFBackend

        return OpenRLHFBackend(spec, offline)
    from harness.training.local.backend import LocalBackend

    return LocalBackend(spec, offline)


def describe(spec: RunSpec, method: Method) -> list[str]:
    """How the backend understands the recipe, in lines. Raises UsageError for a recipe that it cannot run."""
    if spec.backend.name == "openrlhf":
        from harness.training.openrlhf.flags import describe

        return describe(spec, method)
    return []
