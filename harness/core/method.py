"""The interface every method implements: a rollout-group coroutine, an epoch hook and a loss spec.

Methods differ in three places only: what prompt each rollout sees, what prompt the gradient sees, and what happens
between epochs. A method never knows which backend runs it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from harness.core.advantages import group_advantages
from harness.core.ledger import Ledger
from harness.core.settings import LossSpec, MethodConfig, TrainConfig
from harness.core.types import Context, Group, Problem, Rollout, Sample, Sampling


class Finetuned(NamedTuple):
    """What fine-tuning did: mean loss per token, optimiser steps, completion tokens over all passes."""

    loss: float
    steps: int
    tokens: int


class Policy(Protocol):
    """The policy at its current weights, as a method's epoch hook sees it."""

    def rollouts(self, requests: Sequence[tuple[Problem, Context]], sampling: Sampling, seed: int) -> list[Rollout]:
        """One graded rollout per request, batched. Not metered: the caller puts them on the ledger."""
        ...

    def complete(self, prompts: Sequence[str], sampling: Sampling, seed: int, initial: bool = False) -> list[Rollout]:
        """One ungraded completion per prompt, from the current weights or the initial ones (for self-reflection)."""
        ...

    def finetune(self, examples: Sequence[tuple[str, str]], lr: float, epochs: int, batch: int, seed: int) -> Finetuned:
        """Supervised training on (prompt, completion) texts; only for methods that are `supervised`."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of a completion that was not sampled here."""
        ...


@dataclass
class EpochReport:
    """What `begin` or `end_epoch` did, for the log.

    `metrics` go into the epoch's row of metrics.jsonl, `templates` are rows of templates/*.jsonl: text, parent and scores
    of what was evolved.
    """

    metrics: dict[str, Any] = field(default_factory=dict)
    templates: list[dict[str, Any]] = field(default_factory=list)


class Search(NamedTuple):
    """What one prompt search is made of: how long it takes depends on how its rollouts come in turns."""

    rollouts: int  # at most
    dev: int  # problems that score every template that joins
    minibatch: int  # problems on which a parent and its child are compared
    width: int  # parents an iteration, at most


class Costs(NamedTuple):
    """The most rollouts that each hook may sample. Plans and progress bars are made from it.

    `last` is more than a forecast: training ends early enough to leave that many rollouts of the budget.
    """

    group: int  # one call of `rollout_group`
    begin: int = 0
    epoch: int = 0  # a call of `end_epoch` after which training goes on
    last: int = 0  # the last call of `end_epoch`, the only one where the weights are frozen
    search: Search | None = None  # in each of the three that samples
    asked: int = 0  # answers of a writer in a call of `end_epoch`, beside searches, at most
    passes: int = 0  # over these answers, in supervised training


class Method:
    """Base class. A subclass sets `Config`, writes `rollout_group`, and overrides the hooks it needs.

    The hooks are `rollout_group`, `begin`, `end_epoch`, `eval_prompt`, `loss` and the pair `state_dict` and
    `load_state_dict`. Around them: `setup` (attributes of its own), `check` (contradictory settings), `usable` (problems that
    bring a hint), `costs` (what the hooks may sample) and `advantages`.

    Attributes: `config` (the method's settings), `train` (the training settings: epochs, rollouts per problem, ...),
    `problems` (the training set, never a test set), `seed` (derive every random stream from it), `phrases` (pieces of
    text from which templates can be composed without a model that writes; may be empty).
    """

    Config: ClassVar[type[MethodConfig]] = MethodConfig
    supervised: ClassVar[bool] = False
    """It fine-tunes on given texts, which not every backend can do."""
    packages: ClassVar[tuple[str, ...]] = ()
    """What it imports late, by the names of harness/core/extras.py; found missing before anything is written."""
    hard_only: ClassVar[bool] = False
    """It trains on hard problems only, as if `train.problems` were `hard` (harness/core/screening.py)."""
    reference: Literal["none", "answer", "solution"] = "none"
    """What it is told about a training problem besides text and reward. Set it in `setup` if it depends on settings."""

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
        self.setup()

    def setup(self) -> None:
        """Initialise the method's own attributes. Raises UsageError if the training set lacks what it needs."""

    @classmethod
    def check(cls, config: Any, train: TrainConfig) -> None:
        """Reject contradictory settings before anything runs; `config` is a `Config`. Raises ValueError with one sentence."""

    def usable(self, problem: Problem) -> bool:
        """Whether a training problem brings what the method is told (`reference`): a hint by its own rule, a solution."""
        return bool(problem.solution)

    def costs(self) -> Costs:
        """The most rollouts that each hook may sample; screening for hard problems is counted by the harness."""
        return Costs(group=self.train.rollouts_per_prompt)

    # ------------------------------------------------------------------ the hooks

    @property
    def loss(self) -> LossSpec | None:
        """The loss of an optimiser step; None freezes the weights: no rollout groups, one `end_epoch`."""
        return self.train.loss

    async def rollout_group(self, problem: Problem, k: int, sample: Sample, rng: random.Random) -> Group:
        """Choose the contexts of k rollouts of one problem; may look at the rewards and sample again."""
        raise NotImplementedError

    def advantages(self, group: Group) -> list[float]:
        """One advantage per rollout of a group, by default what `loss.advantage` says. Both backends use them as they are.

        A method's own may use anything the group holds: `rewards_K`, `lengths_K`, contexts, what was cut off.
        """
        assert self.loss is not None, "a frozen policy takes no gradient"
        return group_advantages(group.rewards_K, self.loss.advantage)

    def begin(self, policy: Policy, ledger: Ledger) -> EpochReport:
        """Before the first epoch, on the initial policy: search a prompt, drop problems from `self.problems`.

        Meter what is sampled on `ledger`. The list of problems survives a resume; all else goes through `state_dict`.
        """
        return EpochReport()

    def end_epoch(self, epoch: int, groups: Sequence[Group], policy: Policy, ledger: Ledger, last: bool) -> EpochReport:
        """Between epochs: mine hard problems, evolve templates, change levels.

        Called after every epoch (`epoch` counts from 0); `last` says that no training follows. Meter what is sampled on
        `ledger`. Frozen methods (`loss` None) are called once, with no groups and `last` true.
        """
        return EpochReport()

    def eval_prompt(self, problem: Problem) -> str:
        """What the model sees at evaluation: the bare problem, unless the method is about prompts."""
        return problem.text

    def adopt(self, template: str) -> None:
        """Take this as the template of `eval_prompt`, where the method evaluates with the one that its last search selected:
        whoever verifies a run has its templates, and not its state."""

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to resume, as JSON."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
