"""The testbed as the harness sees it: its settings, training problems, suites and observers. Light: no torch.

benchmarks/training_sets.yaml and the cards of the suites tb-* refer to what is here, and nothing else does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from harness.core.types import Problem
from harness.core.world import Scorer, TrainedRow, World, WorldConfig
from harness.testbed import probe, world

if TYPE_CHECKING:
    from harness.data.suites import Suite


class TestbedConfig(WorldConfig):
    """Settings of the testbed (docs/testbed.md); without effect on any other model or training set."""

    world: Literal["latent", "absent", "open"] = "latent"
    """latent: the right instruction solves what fails without it; absent: none helps; open: sampling finds the way."""
    policy_seed: int = Field(0, ge=0)
    """Seed of the warm-started policy."""
    style_probability: tuple[float, float] | None = None
    """Unprompted share of `let` and, given `let`, of each right style in the warm start; null is the world's own."""
    branch_tokens: Literal[1, 2] = 2
    """Tokens on which the way of working is chosen."""
    easy_share: float = Field(0.4, ge=0, le=1)
    """Share of training problems with at most two operations."""
    problems: int = Field(320, ge=1, le=100_000)
    """Training problems."""

    @model_validator(mode="after")
    def _probabilities(self) -> TestbedConfig:
        if self.style_probability and not all(0 < p < 1 for p in self.style_probability):
            raise ValueError("style_probability holds two probabilities between 0 and 1")
        return self


class Testbed(World):
    """The world of the training set `testbed`."""

    section = "testbed"
    Config = TestbedConfig
    in_every_spec = True  # specs have always held the section, whatever they train on, and their hashes must not change

    config: TestbedConfig

    def problems(self) -> list[Problem]:
        return list(_problems(self.config.problems, self.config.easy_share, self.config.branch_tokens))

    def phrases(self) -> list[str]:
        return world.pieces()

    def observe(self, rows: Sequence[TrainedRow]) -> dict[str, float]:
        return probe.observe(rows, self.config.branch_tokens)

    def probe(self, policy: Scorer, temperature: float) -> dict[str, float]:
        return probe.probe(policy, self.config.branch_tokens, temperature)


@lru_cache(4)  # claims ask for the same ones again and again
def _problems(count: int, easy_share: float, branch_tokens: int) -> tuple[Problem, ...]:
    return tuple(world.train_problems(count, easy_share, 0, branch_tokens))


def suite_problems(suite: Suite) -> list[Problem]:
    """The problems of one of the suites tb-*."""
    return world.suite_problems(suite.name, suite.size)
