"""Supervised fine-tuning on a teacher's right solutions: the reference point with no reinforcement learning in it.

    harness run --method sft-teacher --bench ood
    harness run --method sft-teacher --set sft-teacher.teacher.kind=openai --set sft-teacher.teacher.model=TEACHER

A teacher answers every training problem `samples` times. The distinct answers that earn a reward are kept (rejection
sampling: Yuan et al. 2023, arXiv 2308.01825), but for those that were cut, and TRL's `SFTTrainer` fine-tunes the policy on
them. The teacher is a model on a server or, with kind `offline`, whoever wrote the reference solutions of the training set
(on the testbed the world itself). Everything the teacher wrote is metered, rejected answers too. Local backend only.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from harness.core.hints import require_solutions
from harness.core.ledger import Ledger
from harness.core.method import Costs, EpochReport, Method, Policy
from harness.core.seeds import derive
from harness.core.settings import MethodConfig, TrainConfig
from harness.core.types import Group, Problem
from harness.grading.strict import reward_many
from harness.search.asking import Answer, ReflectorConfig, check_reflector, make_asker


class SFTTeacherConfig(MethodConfig):
    """Settings of the teacher and of the fine-tuning."""

    teacher: ReflectorConfig = ReflectorConfig(kind="offline")
    """Who solves the problems: openai is a server, offline the training set's own solutions."""
    samples: int = Field(4, ge=1)
    """Answers per problem; a reference solution is one."""
    lr: float = Field(1e-5, gt=0)
    """Peak learning rate."""
    epochs: int = Field(3, ge=1)
    """Passes over the accepted answers."""
    batch: int = Field(32, ge=1)
    """Answers per optimiser step."""


class SFTTeacher(Method):
    """Ask a teacher, keep the right answers, fine-tune once."""

    Config = SFTTeacherConfig
    config: SFTTeacherConfig
    supervised = True
    packages = ("trl",)

    def setup(self) -> None:
        if self.config.teacher.kind == "offline":
            self.reference = "solution"
            require_solutions("sft-teacher (teacher.kind=offline)", self.problems)
        else:
            check_reflector(self.config.teacher, self.phrases)

    @classmethod
    def check(cls, config: SFTTeacherConfig, train: TrainConfig) -> None:
        if config.teacher.kind in ("policy", "initial", "book", "placebo"):
            raise ValueError(
                "neither the policy nor a book of phrases teaches the policy; teacher.kind is openai, replay or offline"
            )

    def costs(self) -> Costs:
        """No rollouts: every problem's answers, of which all may be right."""
        c = self.config
        written = (
            sum(bool(p.solution) for p in self.problems) if c.teacher.kind == "offline" else len(self.problems) * c.samples
        )
        return super().costs()._replace(asked=written, passes=c.epochs)

    @property
    def loss(self) -> None:
        return None

    def end_epoch(self, epoch: int, groups: Sequence[Group], policy: Policy, ledger: Ledger, last: bool) -> EpochReport:
        answered = list(zip(*self.answers(policy), strict=True))
        for _, answer in answered:
            ledger.add_reflection(answer.prompt_tokens, answer.tokens)
            ledger.dropped_reflections += answer.fault is not None
        whole = [(p, a) for p, a in answered if a.fault is None]
        grades = reward_many([(a.text, p.answer, p.answer_type) for p, a in whole], self.train.reward)
        right = {(p.text, a.text): None for (p, a), g in zip(whole, grades, strict=True) if g.score >= 1.0}
        metrics = {"teacher_answers": len(answered), "accepted": len(right), "solved_problems": len({x for x, _ in right})}
        if not right:
            return EpochReport(metrics)
        c = self.config
        done = policy.finetune(list(right), c.lr, c.epochs, c.batch, derive(self.seed, "sft"))
        ledger.optimiser_steps += done.steps
        ledger.trained_tokens += done.tokens
        return EpochReport({**metrics, "loss": done.loss})

    def answers(self, policy: Policy) -> tuple[list[Problem], list[Answer]]:
        """The answers, and for each the problem that it answers."""
        if self.config.teacher.kind == "offline":
            solved = [(p, p.solution) for p in self.problems if p.solution]
            return [p for p, _ in solved], [Answer(y, 0, policy.count_tokens(y)) for _, y in solved]
        asked = [p for p in self.problems for _ in range(self.config.samples)]
        ask = make_asker(self.config.teacher, policy, derive(self.seed, "teacher"))
        return asked, ask([p.text for p in asked])
