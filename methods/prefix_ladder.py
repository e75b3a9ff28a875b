"""A ladder of solution prefixes for problems that fail as a group (after GHPO, arXiv 2507.10628).

    harness run --method prefix-ladder --bench ood

When all k rollouts of a problem fail, the group is sampled again with the first 25 % of the reference solution in the
prompt, then 50 %, then 75 %, until one succeeds; the last group is kept. Differs from the paper: a prefix ends with a
sentence, before the answer is stated, and is refused if it states the answer anyway (nothing longer is tried then); no
format reward. As in the paper, the gradient sees the prefix (`gradient_context=hinted`, the default).
"""

from __future__ import annotations

import random

from harness.core.hints import HintedConfig, HintedMethod, prefix, require_solutions, usable_prefix
from harness.core.method import Costs
from harness.core.types import Group, Problem, Sample

LADDER = (0.25, 0.5, 0.75)
"""Shares of the reference solution, in turn."""


class PrefixLadderConfig(HintedConfig):
    """Settings of the ladder: the two switches."""


class PrefixLadder(HintedMethod):
    """Plain groups first; if one fails, more and more of the solution."""

    Config = PrefixLadderConfig
    reference = "solution"

    def setup(self) -> None:
        require_solutions("prefix-ladder", self.problems)

    def usable(self, problem: Problem) -> bool:
        return usable_prefix(problem, LADDER)

    def costs(self) -> Costs:
        return Costs(group=self.train.rollouts_per_prompt * (1 + len(LADDER)))

    async def rollout_group(self, problem: Problem, k: int, sample: Sample, rng: random.Random) -> Group:
        group = await self.plain(problem, k, sample)
        for share in LADDER:
            if group.successes or group.refused or not problem.solution:
                break
            group = await self.hinted(group, k, sample, prefix(problem.solution, share), "prefix")
        return group
