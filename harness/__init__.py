"""A referee for reinforcement learning with verifiable rewards: methods on equal terms, judged in and out of distribution.

What the author of a method needs can be imported from here; it is loaded when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.core.method import Costs, EpochReport, Method, Policy
    from harness.core.settings import LossSpec, MethodConfig
    from harness.core.types import Context, Group, Problem, Rollout, Sample, Sampling

__all__ = [
    "Context",
    "Costs",
    "EpochReport",
    "Group",
    "LossSpec",
    "Method",
    "MethodConfig",
    "Policy",
    "Problem",
    "Rollout",
    "Sample",
    "Sampling",
]

_MODULES = {
    "harness.core.method": ("Costs", "EpochReport", "Method", "Policy"),
    "harness.core.settings": ("LossSpec", "MethodConfig"),
    "harness.core.types": ("Context", "Group", "Problem", "Rollout", "Sample", "Sampling"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'harness' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
