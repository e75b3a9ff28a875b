"""What all hinted arms share: the two switches, how a hint is shown with a problem, prefixes of solutions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import model_validator

from harness.core.errors import UsageError
from harness.core.leaks import leaks
from harness.core.method import Method
from harness.core.settings import Correction, LossSpec, MethodConfig
from harness.core.types import Context, Group, Problem, Sample

FRAMES = {"prefix": "The beginning of a solution:", "hint": "Hint:"}
"""What introduces a hint after the question, by kind."""
ANSWER_LINE = "\nAnswer:"
"""How a prompt ends that a policy continues (harness/data/problems.py)."""


class HintedConfig(MethodConfig):
    """The two switches of every hinted arm."""

    gradient_context: Literal["hinted", "original"] = "hinted"
    """The prompt in the loss: the one that was sampled under, or the bare problem (context distillation)."""
    correction: Correction = "none"
    """For tokens sampled with a hint while the gradient is taken without it; bounds in train.loss.ratio_band."""

    @model_validator(mode="before")
    @classmethod
    def _no_ratio(cls, data: Any) -> Any:
        """With the gradient on the sampled prompt there is nothing to correct."""
        if isinstance(data, dict) and data.get("gradient_context") == "hinted":
            return {"correction": "none", **data}
        return data

    @model_validator(mode="after")
    def _switches(self) -> HintedConfig:
        if self.gradient_context == "hinted" and self.correction != "none":
            raise ValueError(f"correction {self.correction} has no effect with gradient_context hinted; leave it out")
        return self

    def loss(self, base: LossSpec) -> LossSpec:
        """The training settings' loss with this arm's correction."""
        return base.model_copy(update={"correction": self.correction})

    def context(self, problem: Problem, rolled: str, hint: str) -> Context:
        """The context of a rollout under the prompt `rolled`, which holds `hint`."""
        return Context(rollout=rolled, train=problem.text if self.gradient_context == "original" else rolled, template=hint)


class HintedMethod(Method):
    """Base of the arms that hint inside a rollout group."""

    config: HintedConfig

    @property
    def loss(self) -> LossSpec:
        return self.config.loss(self.train.loss)

    async def plain(self, problem: Problem, k: int, sample: Sample) -> Group:
        """k rollouts of the bare problem."""
        return Group(problem, await sample([Context.plain(problem.text)] * k))

    async def hinted(self, group: Group, k: int, sample: Sample, hint: str, kind: Literal["prefix", "hint"]) -> Group:
        """The group with its rollouts replaced by k under `hint`; unchanged if the hint is blank or refused."""
        if not hint.strip():
            return group
        if leaks(hint, group.problem.answer):
            group.refused += 1
            return group
        context = self.config.context(group.problem, with_hint(group.problem, hint, kind), hint)
        return group.replaced_by(await sample([context] * k))


@dataclass(frozen=True)
class Coverage:
    """Of a method's training problems, those that have a reference solution, and those of which its own rule makes a hint: that
    are usable."""

    problems: int
    solutions: int
    usable: int

    def __str__(self) -> str:
        tenths = 1000 * self.usable // self.problems  # rounded down: 90% is never said of less
        share = f"{self.usable:,} of {self.problems:,} training problems ({tenths / 10:.1f}%) have a usable solution"
        return share if self.solutions in (self.usable, self.problems) else f"{share}, {self.solutions:,} have one at all"


LEAST_COVERED = 0.9
"""Share of usable training problems below which a method that is told solutions is refused: on the rest it is another one."""


def require_solutions(method: str, problems: Sequence[Problem]) -> None:
    """Raises UsageError if no training problem has a reference solution."""
    if not any(p.solution for p in problems):
        raise UsageError(f"{method} needs reference solutions, and no problem of this training set has one")


def coverage(method: Method) -> Coverage | None:
    """None for a method that is told no solutions."""
    if method.reference != "solution":
        return None
    own = method.problems
    return Coverage(len(own), sum(bool(p.solution) for p in own), sum(map(method.usable, own)))


def check_coverage(name: str, found: Coverage | None, with_solutions: bool) -> None:
    """Raises UsageError for a method of this name, told solutions, with too few usable hints. `with_solutions`: its problems
    were drawn from those that have one already."""
    if found is None or found.usable >= LEAST_COVERED * found.problems:
        return
    help_ = (
        "all of these have solutions, so no setting helps"
        if with_solutions
        else "train.with_solutions=true trains on problems with solutions alone, as every arm should that it is compared with"
    )
    raise UsageError(f"{name} needs reference solutions for {LEAST_COVERED:.0%} of its problems, and {found}; {help_}")


def insert(template: str, prompt: str) -> str:
    """T(x, z) of the P2O release: the template, a blank line, the whole prompt; a blank template inserts nothing."""
    return f"{template.strip()}\n\n{prompt}" if template.strip() else prompt


def with_hint(problem: Problem, hint: str, kind: Literal["prefix", "hint"]) -> str:
    """The user turn of a problem with a hint: the question, a blank line, a line that introduces the hint, the hint.

    Where the problem's set says so (`hint_position`), the hint alone goes before the question, like a template: a policy
    that knows only its own vocabulary takes whatever follows the question for its own completion. Where the prompt ends with
    a line "Answer:" for the policy to continue, the hint alone goes before that line.
    """
    if problem.hint_position == "before":
        return insert(hint, problem.text)
    if problem.text.endswith(ANSWER_LINE):
        return f"{problem.text.removesuffix(ANSWER_LINE)} {hint}{ANSWER_LINE}"
    return f"{problem.text}\n\n{FRAMES[kind]}\n{hint}"


def prefix(solution: str, share: float) -> str:
    """The first `share` of a solution's characters, cut back to the end of a sentence, or failing that of a word.

    It stops before the first place where the answer is stated in a form that graders look for (\\boxed, ####, ans).
    """
    stated = re.search(r"\\boxed|####|\bans\b", solution)
    whole = solution[: stated.start()] if stated else solution
    cut = whole[: round(share * len(solution))]
    if len(cut) < len(whole):
        ends = [m.end() for m in re.finditer(r"[.!?](?=\s)|\n", cut)]
        words = [m.start() for m in re.finditer(r"\s", cut)] if not whole[len(cut)].isspace() else [len(cut)]
        cut = cut[: (ends or words or [0])[-1]]
    return cut.strip()


def usable_prefix(problem: Problem, shares: Sequence[float]) -> bool:
    """Whether the first of these shares of the solution that leaves any text leaves one which does not state the answer."""
    hints = (prefix(problem.solution or "", share) for share in shares)
    first = next((hint for hint in hints if hint), "")
    return bool(first) and not leaks(first, problem.answer)
