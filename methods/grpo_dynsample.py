"""Dynamic sampling alone, of DAPO (Yu et al. 2025, arXiv 2503.14476, section 3.2), on plain GRPO.

    harness run --method grpo-dynsample --bench ood

A group whose rewards are all equal carries no gradient: it is dropped and its place refilled with a fresh problem, at most
ten times, so that every group of a batch has one. What is dropped is paid for. Differs from the paper: nothing else of DAPO
is here (no higher clip, no length shaping); a place is refilled by itself, where DAPO samples whole batches three times too
large; a place that stays degenerate for ten problems is trained on as it is, without effect (`degenerate_groups` says how
many). A training set has no end here: a fresh problem is any, so an epoch sees some twice.
"""

from __future__ import annotations

import random

from harness.core.types import Context, Group, Problem, Sample
from harness.methods.grpo import GRPO

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

    def group_budget(self, k: int) -> int:
        return k * PROBLEMS
