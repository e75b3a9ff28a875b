"""Refinement of the policy's own failed attempts (after Critique-GRPO, arXiv 2506.03106, with its simplest critiques).

    harness run --method critique-refine --bench ood

When all k rollouts of a problem fail, the policy is shown each of them with its verdict and tries again. A refinement that
succeeds replaces the last attempt; the group then has k - 1 attempts and one refinement, with one baseline over both and
no division by the standard deviation (the contexts in a group are mixed). The gradient is on the bare problem, with policy
shaping, p / (p + 0.1), for the refinement's tokens. The critique is the verdict alone (`tell_answer=false`) or the verdict and
the right answer, which is the source's default; such refinements may justify an answer instead of finding it, and the ledger
counts them as `leaking_rollouts`. Differs from the source: only failed groups are refined, as in the paper (its code always
refines); attempts keep the PPO clip.
"""

from __future__ import annotations

import random
from typing import Literal

from harness.core.hints import HintedConfig, HintedMethod, insert
from harness.core.method import Costs
from harness.core.settings import Correction, LossSpec
from harness.core.types import Context, Group, Problem, Rollout, Sample
from harness.search.reflect import cut_middle

ATTEMPT_CHARS = 8000
"""Longer attempts are cut in the middle."""


class CritiqueRefineConfig(HintedConfig):
    """Settings of refinement."""

    gradient_context: Literal["hinted", "original"] = "original"
    """The prompt in the loss: the bare problem, or attempt and verdict too."""
    correction: Correction = "shaping"
    """For a refinement's tokens."""
    tell_answer: bool = True
    """The verdict includes the right answer."""


class CritiqueRefine(HintedMethod):
    """Plain groups first; if one fails, a refined attempt that succeeds joins it."""

    Config = CritiqueRefineConfig
    config: CritiqueRefineConfig

    def setup(self) -> None:
        self.reference = "answer" if self.config.tell_answer else "none"

    def costs(self) -> Costs:
        return Costs(group=2 * self.train.rollouts_per_prompt)

    @property
    def loss(self) -> LossSpec:
        return super().loss.model_copy(update={"advantage": "group_centre"})

    async def rollout_group(self, problem: Problem, k: int, sample: Sample, rng: random.Random) -> Group:
        group = await self.plain(problem, k, sample)
        if group.successes:
            return group
        refined = await sample([self.refinement(problem, r) for r in group.rollouts])
        best = next((z for z in refined if z.reward >= 1.0), None)
        if best is None:
            group.discarded = refined
            return group
        others = [z for z in refined if z is not best]
        return Group(problem, [*group.rollouts[:-1], best], [group.rollouts[-1], *others])

    def refinement(self, problem: Problem, attempt: Rollout) -> Context:
        """The prompt of a second try after a failed one."""
        text = cut_middle(attempt.text, ATTEMPT_CHARS)
        if problem.hint_position == "before":  # its policy knows only its own vocabulary
            hint = f"{text} {problem.stated(problem.answer)}" if self.config.tell_answer else text
            return self.config.context(problem, insert(hint, problem.text), hint)
        right = f" The right answer is {problem.answer}." if self.config.tell_answer else ""
        hint = f"A previous attempt:\n{text}\n\nIt is wrong.{right} Solve the problem again, from the start."
        return self.config.context(problem, f"{problem.text}\n\n{hint}", hint)
