"""What flows between a method and a backend. Standard library only: everything else depends on this file.

Array names carry shape suffixes: K = rollouts of one problem, T = tokens of one completion.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

HintPosition = Literal["before", "after"]
"""Where a hint goes: before the question, as a template does, or after it."""
Overlap = Literal["near", "exact"]
"""How training and test problems are compared: also by n-grams and similarity, or word for word alone."""
BOXED = "\\boxed{{answer}}"
"""How a completion states its answer unless its set says otherwise; `{answer}` stands for the answer."""


@dataclass(frozen=True)
class Problem:
    """One verifiable question. `answer_type` names the grader (see harness/grading/graders.py).

    `overlapping_suites`: of a training problem, the run's suites that ask it too; nothing may be selected by its rewards.
    `hints`, each more specific than the one before, come with the training set where it has any.
    `hint_position`, `answer_form` and `overlap` are those of its training set or suite (harness/data). `cluster_id` names the
    family of questions that it belongs to, where there are families: variations of one template, questions about one text.
    """

    id: str
    text: str
    answer: str
    answer_type: str = "math"
    solution: str | None = None
    meta: dict[str, Any] = field(default_factory=dict, hash=False, compare=False)
    overlapping_suites: list[str] = field(default_factory=list, hash=False, compare=False)
    hint_position: HintPosition = field(default="after", hash=False, compare=False)
    answer_form: str = field(default=BOXED, hash=False, compare=False)
    overlap: Overlap = field(default="near", hash=False, compare=False)
    hints: tuple[str, ...] = field(default=(), hash=False, compare=False)
    cluster_id: str | None = field(default=None, hash=False, compare=False)

    def stated(self, answer: str) -> str:
        """`answer` as a completion states it, in the form that the grader looks for."""
        return self.answer_form.replace("{answer}", answer)


@dataclass(frozen=True)
class Context:
    """The two prompts of a rollout: what the policy sees while sampling and what the gradient sees.

    They differ exactly when there is context distillation (Lu et al. 2026, section 3.3). Both are the text of the
    user turn; the backend renders the chat template. `template` is what was inserted ("" when nothing was).
    """

    rollout: str
    train: str
    template: str = ""

    @classmethod
    def plain(cls, prompt: str) -> Context:
        return cls(rollout=prompt, train=prompt)


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn. `temperature` 0 is greedy."""

    temperature: float
    max_new_tokens: int

    def __post_init__(self) -> None:
        if self.temperature < 0 or self.max_new_tokens < 1:
            raise ValueError(f"temperature must be >= 0 and max_new_tokens >= 1, got {self}")


@dataclass
class Rollout:
    """One sampled completion, graded.

    `tokens_T` includes the end token where one was drawn; `logps_T` are its log-probabilities under the *rollout*
    prompt at the sampling temperature. `status` is "ok", "unparsed", "timeout" or "error" (grading), or "overlong": the
    model cannot read so long a prompt, and there is no completion.
    """

    context: Context
    text: str
    tokens_T: list[int]
    logps_T: list[float]
    prompt_tokens: int
    truncated: bool = False
    reward: float = 0.0
    status: str = "ok"


@dataclass
class Group:
    """The rollouts of one problem that share an advantage baseline.

    `discarded` are attempts that were sampled and metered but excluded from the loss, in sampling order. `requests` are
    completions that are no attempts at all, such as hints that the policy wrote; metered too. `refused` counts the hints
    that the answer-leak guard rejected (harness/core/leaks.py).
    """

    problem: Problem
    rollouts: list[Rollout]
    discarded: list[Rollout] = field(default_factory=list)
    refused: int = 0
    requests: list[Rollout] = field(default_factory=list)

    @property
    def rewards_K(self) -> list[float]:
        return [r.reward for r in self.rollouts]

    @property
    def lengths_K(self) -> list[int]:
        """Completion tokens of each rollout, the end token included."""
        return [len(r.tokens_T) for r in self.rollouts]

    @property
    def successes(self) -> int:
        return sum(r.reward >= 1.0 for r in self.rollouts)

    @property
    def degenerate(self) -> bool:
        """True when all rewards are equal: comparing them gives no gradient."""
        return len(set(self.rewards_K)) <= 1

    def replaced_by(self, rollouts: Sequence[Rollout]) -> Group:
        """The same problem with new rollouts; the old ones stay on the ledger as discarded."""
        return Group(
            problem=self.problem,
            rollouts=list(rollouts),
            discarded=self.discarded + self.rollouts,
            refused=self.refused,
            requests=self.requests,
        )

    def to_row(self) -> dict[str, Any]:
        """JSON form for rollouts/*.jsonl: texts and rewards; of the tokens only how many."""

        def row(r: Rollout) -> dict[str, Any]:
            out = asdict(r)
            del out["logps_T"]
            return {**out, "tokens_T": len(r.tokens_T)}

        return {
            "problem": self.problem.id,
            "rollouts": [row(r) for r in self.rollouts],
            "discarded": [row(r) for r in self.discarded],
            "requests": [row(r) for r in self.requests],
            "refused": self.refused,
        }

    @classmethod
    def from_row(cls, row: dict[str, Any], problems: dict[str, Problem]) -> Group:
        """Inverse of `to_row`, without token ids and log-probabilities: an epoch hook must not need them."""

        def restore(r: dict[str, Any]) -> Rollout:
            return Rollout(**{**r, "context": Context(**r["context"]), "tokens_T": [], "logps_T": []})

        rollouts, discarded = ([restore(r) for r in row[key]] for key in ("rollouts", "discarded"))
        requests = [restore(r) for r in row.get("requests", [])]
        return cls(
            problem=problems[row["problem"]],
            rollouts=rollouts,
            discarded=discarded,
            refused=row.get("refused", 0),
            requests=requests,
        )


class Sample(Protocol):
    """`await sample(contexts)`: one graded rollout per context, of the problem whose group is being made or another."""

    def __call__(self, contexts: Sequence[Context], problem: Problem | None = None) -> Awaitable[list[Rollout]]: ...
