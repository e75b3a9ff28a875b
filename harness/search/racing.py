"""Fewer calls for the same search: a child's minibatch ends where it is decided whether the child joins.

A child joins if its rewards on its minibatch, 0 or 1 each, sum to more than its parent's. That may be known before the
last problem: the child is ahead already, or could no longer get ahead. What is left out counts as spent, so that the search
ends where it would have ended: same parents, same children, same pool, fewer calls.

On dev problems no exact rule saves a call: a template is in the front unless it solves none of them and others solve each,
which the last call tells, and its weight as a parent counts every score (`tests/checks/racing.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.core.types import Context, Problem, Rollout
from harness.search.beam import COMPONENT, Adapter, MeteredPolicy
from harness.search.reflect import Record

if TYPE_CHECKING:
    from gepa.core.adapter import EvaluationBatch


class Racer(Adapter):
    """The adapter of a search that races."""

    def __init__(self, meter: MeteredPolicy) -> None:
        super().__init__(meter)
        self._parents: list[float] = []
        self._goals: list[float] = []

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: EvaluationBatch[Record, Rollout], components_to_update: list[str]
    ) -> dict[str, list[Record]]:
        self._parents.append(sum(eval_batch.scores))
        return super().make_reflective_dataset(candidate, eval_batch, components_to_update)

    def children(self, written: Sequence[bool]) -> None:
        self._goals = [goal for goal, one in zip(self._parents, written, strict=True) if one]
        self._parents = []

    def batch_evaluate(self, items: list[tuple[dict[str, str], list[Problem]]]) -> list[EvaluationBatch[Record, Rollout]]:
        goals, self._goals = self._goals, []
        return self._race(items, goals) if goals else super().batch_evaluate(items)

    def _race(
        self, items: list[tuple[dict[str, str], list[Problem]]], goals: Sequence[float]
    ) -> list[EvaluationBatch[Record, Rollout]]:
        """Problem by problem, all undecided children in one call of the policy. What is not asked scores 0."""
        from gepa.core.adapter import EvaluationBatch

        asked: list[list[Rollout]] = [[] for _ in items]
        undecided = [i for i, goal in enumerate(goals) if goal < len(items[i][1])]
        assert len(goals) == len(items), "one child for every parent whose reflection wrote one"
        while undecided:
            turn = [(items[i][1][len(asked[i])], items[i][0][COMPONENT]) for i in undecided]
            for i, rollout in zip(undecided, self.meter.sample(turn), strict=True):
                asked[i].append(rollout)
            undecided = [i for i in undecided if not _decided(asked[i], len(items[i][1]), goals[i])]
        out = []
        for (_, batch), own in zip(items, asked, strict=True):
            skipped = [Rollout(Context.plain(p.text), "", [], [], 0, status="skipped") for p in batch[len(own) :]]
            self.meter.saved += len(skipped)
            rows = [*own, *skipped]
            out.append(EvaluationBatch(rows, [r.reward for r in rows], None))
        return out


def _decided(asked: Sequence[Rollout], size: int, goal: float) -> bool:
    """Whether a child of these rollouts is ahead of `goal`, its parent's sum, or cannot be after all `size` problems."""
    have, left = sum(r.reward for r in asked), size - len(asked)
    return have > goal or have + left <= goal
