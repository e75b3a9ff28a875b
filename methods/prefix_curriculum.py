"""Staged solution prefixes for all hard problems (after QuestA, arXiv 2507.13266).

    harness run --method prefix-curriculum --bench ood

Before training, the problems that the initial policy solves in fewer than 2 of k plain tries are kept, the others left out.
Every rollout of these has the first half of the reference solution in its prompt, and from the middle of the budget on the
first quarter. Differs from the paper: the stage changes with the budget, where the paper watches entropy; the second
screening, with the prefix in place, is left out; degenerate groups stay, without effect; a prefix ends with a sentence,
before the answer is stated, and a problem whose prefix states it all the same is rolled out plainly.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from harness.core.budget import rollouts_left
from harness.core.hints import HintedConfig, HintedMethod, prefix, require_solutions
from harness.core.ledger import Ledger
from harness.core.method import Policy
from harness.core.types import Group, Problem, Sample

STAGES = (0.5, 0.25)
"""Share of the reference solution in each stage; all stages have equal parts of the budget."""


class PrefixCurriculumConfig(HintedConfig):
    """Settings of the curriculum: the two switches."""


class PrefixCurriculum(HintedMethod):
    """Hard problems only, always with a prefix, a shorter one in the second half."""

    Config = PrefixCurriculumConfig
    reference = "solution"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        require_solutions("prefix-curriculum", self.problems)
        self.stage = 0

    def begin(self, policy: Policy, ledger: Ledger) -> dict[str, Any]:
        return self.screen(policy, ledger)

    def opening_budget(self) -> int:
        return len(self.problems) * self.train.rollouts_per_prompt

    async def rollout_group(self, problem: Problem, k: int, sample: Sample, rng: random.Random) -> Group:
        hint = prefix(problem.solution or "", STAGES[self.stage])
        group = await self.hinted(Group(problem, []), k, sample, hint, "prefix")
        if group.rollouts:
            return group
        plain = await self.plain(problem, k, sample)
        plain.refused = group.refused
        return plain

    def end_epoch(self, epoch: int, groups: Sequence[Group], policy: Policy, ledger: Ledger, last: bool) -> dict[str, Any]:
        used = self.stage
        progress = max((epoch + 1) / self.train.epochs, ledger.rollouts / (ledger.rollouts + rollouts_left(self.train, ledger)))
        self.stage = min(int(progress * len(STAGES)), len(STAGES) - 1)
        return {"stage_share": STAGES[used]}

    def state_dict(self) -> dict[str, Any]:
        return {"stage": self.stage}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.stage = state["stage"]
