"""What a world, which knows more of its problems than their texts, may look at."""

from __future__ import annotations

from typing import Any, Protocol

from harness.core.types import Problem, Rollout


class TrainedRow(Protocol):
    """A rollout as the loss sees it.

    `weights_T`: a tensor of shape [T], the weight of every token in the loss (0 drops it); None is weight 1 throughout.
    `distilled`: sampled under another prompt than the gradient's.
    """

    problem: Problem
    rollout: Rollout
    advantage: float
    weights_T: Any

    @property
    def distilled(self) -> bool: ...
