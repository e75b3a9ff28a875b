"""A ladder of solution prefixes for problems that fail as a group (after GHPO, arXiv 2507.10628).

    harness run --method prefix-ladder --bench ood

When all k rollouts of a problem fail, the group is sampled again with the first 25 % of the reference solution in the
prompt, then 50 %, then 75 %, until one succeeds; the last group is kept. Differs from the paper: a prefix ends with a
sentence, before the answer is stated, and is refused where it states it all the same (nothing longer is tried then); no
format reward. The paper's gradient sees the prefix (`gradient_context=hinted`, the default).
"""

from __future__ import annotations

import random
from typing import Any

from harness.core.hints import HintedConfig, HintedMethod, prefix, require_solutions
from harness.core.types import Group, Problem, Sample

LADDER = (0.25, 0.5, 0.75)
"""Shares of the reference solution, in turn."""


class PrefixLadderConfig(HintedConfig):
    """Settings of the ladder: the two switches."""


class PrefixLadder(HintedMethod):
    """Plain groups first; more and more of the solution where they fail."""

    Config = PrefixLadderConfig
    reference = "solution"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        require_solutions("prefix-ladder", self.problems)

    async def rollout_group(self, problem: Problem, k: int, sample: Sample, rng: random.Random) -> Group:
        group = await self.plain(problem, k, sample)
        for share in LADDER:
            if group.successes or group.refused or not problem.solution:
                break
            group = await self.hinted(group, k, sample, prefix(problem.solution, share), "prefix")
        return group

    def group_budget(self, k: int) -> int:
        return k * (1 + len(LADDER))
