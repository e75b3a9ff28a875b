"""Refinement of the policy's own failed attempts (after Critique-GRPO, arXiv 2506.03106, with its simplest critiques).

    harness run --method critique-refine --bench ood

When all k rollouts of a problem fail, each is shown to the policy with the verdict on it, and the policy tries again. A
refinement that succeeds takes the place of the last attempt; the group is then k - 1 attempts and one refinement, with one
baseline over both and no division by the standard deviation (contexts are mixed in a group). The gradient is on the bare
problem, the refinement's tokens under policy shaping, p / (p + 0.1). The critique is the verdict alone (`tell_answer=false`)
or the verdict and the right answer, the source's default; such refinements can justify an answer instead of finding it, and
are counted in the ledger as `leaking_rollouts`. Differs from the source: refinements for failed groups only, as in the
paper (its code refines always); attempts keep the PPO clip.
"""

from __future__ import annotations

import random
from typing import Literal

from harness.core.hints import HintedConfig, HintedMethod, insert
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
    """Of a refinement's tokens."""
    tell_answer: bool = True
    """The verdict gives the right answer."""


class CritiqueRefine(HintedMethod):
    """Plain groups first; where they fail, one refined attempt that succeeds."""

    Config = CritiqueRefineConfig
    config: CritiqueRefineConfig

    @property
    def reference(self) -> str:
        return "answer" if self.config.tell_answer else "none"

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
        if problem.hint_position == "before":  # its policy knows no words but its own
            hint = f"{text} {problem.stated(problem.answer)}" if self.config.tell_answer else text
            return self.config.context(problem, insert(hint, problem.text), hint)
        right = f" The right answer is {problem.answer}." if self.config.tell_answer else ""
        hint = f"A previous attempt:\n{text}\n\nIt is wrong.{right} Solve the problem again, from the start."
        return self.config.context(problem, f"{problem.text}\n\n{hint}", hint)

    def group_budget(self, k: int) -> int:
        return 2 * k
