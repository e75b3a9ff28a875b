"""A world: what generates a training set and knows more of it than its texts. Everything that is not general is in there.

A training set names its world by reference (benchmarks/training_sets.yaml: `world: module:Class`); nothing else in the
harness knows which worlds there are. The testbed (harness/testbed/room.py) is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from harness.core.settings import Strict
from harness.core.types import Problem, Rollout


class WorldConfig(Strict):
    """Base of a world's own settings."""


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


@runtime_checkable
class Scorer(Protocol):
    """The policy at the end of an epoch, where the backend gives log-probabilities of any text (local)."""

    def score(self, prompts: Sequence[str], completions: Sequence[str], temperature: float) -> list[list[float]]:
        """Log-probability of every token of a completion given a user turn, at `temperature`; no end token."""
        ...


class World:
    """Base class. Subclasses set `section` and `Config`, write `problems`, and override what they have.

    Attributes: `config`, the world's own settings, as checked by `Config`.
    """

    section: ClassVar[str]
    """Its section of a recipe and of a spec, e.g. `testbed` for `--set testbed.problems=64`."""
    Config: ClassVar[type[WorldConfig]] = WorldConfig
    in_every_spec: ClassVar[bool] = False
    """Whether the section is part of specs that train on something else, too; otherwise it is checked and dropped."""

    def __init__(self, config: WorldConfig) -> None:
        self.config = config

    def problems(self) -> list[Problem]:
        """The training problems."""
        raise NotImplementedError

    def phrases(self) -> list[str]:
        """Pieces of instructions, from which templates can be composed without a model that writes."""
        return []

    def observe(self, rows: Sequence[TrainedRow]) -> dict[str, float]:
        """Metrics of one batch, in addition to those that every training set has."""
        return {}

    def probe(self, policy: Scorer, temperature: float) -> dict[str, float]:
        """Metrics of the policy at the end of an epoch; `temperature` is that of the rollouts. Not on every backend."""
        return {}
