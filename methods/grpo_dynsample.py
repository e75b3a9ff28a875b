"""Dynamic sampling alone, of DAPO (Yu et al. 2025, arXiv 2503.14476, section 3.2), on plain GRPO.

    harness run --method grpo-dynsample --bench ood

A group whose rewards are all equal carries no gradient: it is dropped and another problem takes its place, until one has a
gradient or ten have been tried. What is dropped still counts in the budget. Differs from the paper: nothing else of DAPO is
here (no higher clip, no length shaping); each place is refilled on its own, where DAPO samples batches three times as large
as it needs; a place that is still degenerate after ten problems is trained on as it is, without effect (`degenerate_groups`
counts them). The other problem is any of the training set, so an epoch sees some problems twice.
"""

from __future__ import annotations

import random

from harness.core.method import Costs
from harness.core.types import Context, Group, Problem, Sample

from .grpo import GRPO  # relative, so that mypy finds it in this folder as well

PROBLEMS = 10
"""Most problems tried for one place of a batch (DAPO's recipe: 10 generation batches)."""


class DynamicSampling(GRPO):
    """Drop degenerate groups and refill their places."""

    async def rollout_group(self, problem: Problem, k: int, sample: Sample, rng: random.Random) -> Group:
        group = await super().rollout_group(problem, k, sample, rng)
        for _ in range(PROBLEMS - 1):
            if not group.degenerate:
                break
            fresh = rng.choice(self.problems)
            rollouts = await sample([Context.plain(fresh.text)] * k, fresh)
            group = Group(fresh, rollouts, group.discarded + group.rollouts)
        return group

    def costs(self) -> Costs:
        return Costs(group=PROBLEMS * self.train.rollouts_per_prompt)
