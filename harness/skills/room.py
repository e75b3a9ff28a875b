"""The world of skills as the harness sees it: its settings, training problems, suites and observers. Light: no torch.

benchmarks/training_sets.yaml and the cards of the suites sk-* refer to what is here, and nothing else does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from harness.core.kinds import Kind
from harness.core.types import Problem
from harness.core.world import Scorer, TrainedRow, World, WorldConfig
from harness.skills import probe, world

if TYPE_CHECKING:
    from harness.data.suites import Suite


class SkillsConfig(WorldConfig):
    """Settings of the world of skills (docs/skills.md); without effect on any other model or training set."""

    floor: float = Field(world.FLOOR, gt=0, le=0.25)
    """The lowest unprompted rate; .001: sampling finds little, .02: everything. Another than the shipped is built."""
    policy_seed: int = Field(0, ge=0)
    """Seed of the warm-started policy."""
    lift: Annotated[float, Kind.ARM] = 0.6
    """0, .3, .6 or .9: how far the phrases that a search knows lift a rate; 0: it knows neutral ones only, the placebo."""
    instructions: Annotated[Literal[1, 2, 8], Kind.ARM] = 2
    """How many phrases are needed to lift all families."""
    problems: int = Field(640, ge=1, le=100_000)
    """Training problems."""

    @field_validator("lift")
    @classmethod
    def _known(cls, lift: float) -> float:
        if lift not in (0, *world.VERBS):
            raise ValueError(f"lift is 0 or a level that has a verb ({', '.join(map(str, world.VERBS))}), got {lift}")
        return lift


class Skills(World):
    """The world of the training set `skills`."""

    section = "skills"
    Config = SkillsConfig

    config: SkillsConfig

    def problems(self) -> list[Problem]:
        return world.train_problems(self.config.problems, self.config.lift, self.config.instructions)

    def phrases(self) -> list[str]:
        return world.phrases(self.config.lift, self.config.instructions)

    def observe(self, rows: Sequence[TrainedRow]) -> dict[str, float]:
        return probe.observe(rows)

    def probe(self, policy: Scorer, temperature: float) -> dict[str, float]:
        return probe.probe(policy, temperature)


def suite_problems(suite: Suite) -> list[Problem]:
    """The problems of one of the suites sk-*."""
    return world.suite_problems(suite.name, suite.size)
