"""The interface every method implements: a rollout-group coroutine, an epoch hook and a loss spec.

A method never knows which backend runs it. Methods differ in three places only: what prompt each rollout sees, what
prompt the gradient sees, and what happens between epochs.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from harness.ledger import Ledger
from harness.types import Context, Group, Problem, Rollout, Sample, Sampling

if TYPE_CHECKING:
    from harness.config import TrainConfig


class Strict(BaseModel):
    """Base of every configuration class: unknown keys are errors, values are fixed once resolved."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class MethodConfig(Strict):
    """Base of a method's own settings."""


class LossSpec(Strict):
    """The policy-gradient loss, in terms both backends can say (Schulman et al. 2017; Shao et al. 2024, section 4.1)."""

    clip_low: float = Field(0.2, gt=0, lt=1)
    """PPO clip below 1."""
    clip_high: float = Field(0.2, gt=0)
    """PPO clip above 1."""
    dual_clip: float | None = Field(3.0, gt=1)
    """Bound of the ratio times a negative advantage (Ye et al. 2020); null is off."""
    advantage: Literal["group_norm", "group_centre"] = "group_norm"
    """(r - mean) / (std + 1e-6) with the sample std, or r - mean (Dr. GRPO)."""
    aggregation: Literal["token_mean", "sequence_mean"] = "token_mean"
    """Mean over all completion tokens of an update (masked ones stay in the denominator), or mean of per-rollout means."""
    ratio_band: tuple[float, float] | None = None
    """0/1 mask on pi_old(y|train prompt) / pi_old(y|rollout prompt), templated rollouts only; null is off."""


class Policy(Protocol):
    """The policy at its current weights, as a method's epoch hook sees it."""

    def rollouts(
        self, requests: Sequence[tuple[Problem, Context]], sampling: Sampling, seed: int
    ) -> list[Rollout]:
        """One graded rollout per request, batched. Not metered: the caller says what they were for."""
        ...

    def complete(
        self, prompts: Sequence[str], sampling: Sampling, seed: int, initial: bool = False
    ) -> list[Rollout]:
        """One ungraded completion per prompt, from the current weights or the initial ones (for self-reflection)."""
        ...


class Method:
    """Base class. Subclasses set `Config`, write `rollout_group`, and override the hooks they need.

    Attributes: `config` (their own settings), `train` (the training settings: epochs, rollouts per problem, ...),
    `problems` (the training set, never a test set), `seed` (derive every random stream from it), `phrases` (pieces of
    text from which templates can be composed without a model that writes; may be empty).
    """

    Config: ClassVar[type[MethodConfig]] = MethodConfig

    def __init__(
        self,
        config: MethodConfig,
        train: TrainConfig,
        problems: Sequence[Problem],
        seed: int,
        phrases: Sequence[str] = (),
    ) -> None:
        self.config, self.train, self.problems, self.seed = config, train, list(problems), seed
        self.phrases = list(phrases)

    @classmethod
    def check(cls, config: MethodConfig, train: TrainConfig) -> None:
        """Refuse contradictory settings before anything runs. Raises ValueError with one sentence."""

    @property
    def loss(self) -> LossSpec | None:
        """The loss of an optimiser step; None leaves the weights frozen and skips the rollouts of an epoch."""
        return self.train.loss

    async def rollout_group(self, problem: Problem, k: int, sample: Sample, rng: random.Random) -> Group:
        """Decide the contexts of k rollouts of one problem; may look at rewards and sample again."""
        raise NotImplementedError

    def end_epoch(
        self, epoch: int, groups: Sequence[Group], policy: Policy, ledger: Ledger, last: bool
    ) -> dict[str, Any]:
        """Between epochs: mine hard problems, evolve templates, change levels. Returns what is worth logging.

        Called after every epoch (0-based `epoch`); `last` says that no training follows. What it pays goes on the
        ledger. Frozen methods (`loss` None) are called once, with no groups and `last` true.
        """
        return {}

    def eval_prompt(self, problem: Problem) -> str:
        """What the model sees at evaluation: the bare problem for all but prompt-only methods."""
        return problem.text

    def search_budget(self) -> int:
        """Most rollouts that one call of `end_epoch` may spend; for plans and progress only."""
        return 0

    def templates(self) -> list[dict[str, Any]]:
        """Rows for templates/*.jsonl after an epoch hook: text, parents and scores of what was evolved."""
        return []

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to resume, as JSON."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
