"""GRPO: group relative policy optimization (Shao et al. 2024, DeepSeekMath, section 4.1).

    harness run --method grpo --bench ood

k rollouts of one problem form a group; the advantage of a rollout is its reward, centred and scaled within the group.
Differs from the paper: no KL term and no reference model; several clipped updates per batch; token-mean aggregation; dual
clip. All but the first two are settings of `train` and `train.loss`.
"""

from __future__ import annotations

import random

from harness.core.method import Method
from harness.core.types import Context, Group, Problem, Sample


class GRPO(Method):
    """Plain rollouts, plain gradient."""

    async def rollout_group(self, problem: Problem, k: int, sample: Sample, rng: random.Random) -> Group:
        return Group(problem, await sample([Context.plain(problem.text)] * k))
