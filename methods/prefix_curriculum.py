"""Staged solution prefixes for all hard problems (after QuestA, arXiv 2507.13266).

    harness run --method prefix-curriculum --bench ood

Only the problems that the initial policy solves in fewer than 2 of k plain rollouts are trained on. Each of their rollouts
has the first half of the reference solution in its prompt, from the middle of the budget on the first quarter. Differs from
the paper: the stage changes with the budget, where the paper watches entropy; there is no second screening with the prefix in
place; advantages are divided by the group's standard deviation, unless `train.loss.advantage=group_centre`; degenerate groups
stay, without effect; a prefix ends with a sentence, before the answer is stated, and a problem whose prefix states it anyway is
rolled out plainly.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from harness.core.budget import rollouts_left
from harness.core.hints import HintedConfig, HintedMethod, prefix, require_solutions, usable_prefix
from harness.core.ledger import Ledger
from harness.core.method import EpochReport, Policy
from harness.core.types import Group, Problem, Sample

STAGES = (0.5, 0.25)
"""Share of the reference solution in each stage; the stages divide the budget equally."""


class PrefixCurriculumConfig(HintedConfig):
    """Settings of the curriculum: the two switches."""


class PrefixCurriculum(HintedMethod):
    """Hard problems only, always with a prefix, and a shorter one in the second half."""

    Config = PrefixCurriculumConfig
    reference = "solution"
    hard_only = True

    def setup(self) -> None:
        require_solutions("prefix-curriculum", self.problems)
        self.stage = 0

    def usable(self, problem: Problem) -> bool:
        """In one of the stages at least."""
        return any(usable_prefix(problem, [share]) for share in STAGES)

    async def rollout_group(self, problem: Problem, k: int, sample: Sample, rng: random.Random) -> Group:
        hint = prefix(problem.solution or "", STAGES[self.stage])
        group = await self.hinted(Group(problem, []), k, sample, hint, "prefix")
        if group.rollouts:
            return group
        plain = await self.plain(problem, k, sample)
        plain.refused = group.refused
        return plain

    def end_epoch(self, epoch: int, groups: Sequence[Group], policy: Policy, ledger: Ledger, last: bool) -> EpochReport:
        used = self.stage
        progress = max((epoch + 1) / self.train.epochs, ledger.rollouts / (ledger.rollouts + rollouts_left(self.train, ledger)))
        self.stage = min(int(progress * len(STAGES)), len(STAGES) - 1)
        return EpochReport({"stage_share": STAGES[used]})

    def state_dict(self) -> dict[str, Any]:
        return {"stage": self.stage}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.stage = state["stage"]
