"""The interface every method implements: a rollout-group coroutine, an epoch hook and a loss spec.

A method never knows which backend runs it. Methods differ in three places only: what prompt each rollout sees, what
prompt the gradient sees, and what happens between epochs.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

from harness.core.ledger import Ledger
from harness.core.seeds import derive
from harness.core.settings import LossSpec, MethodConfig, TrainConfig
from harness.core.types import Context, Group, Problem, Rollout, Sample, Sampling


class Finetuned(NamedTuple):
    """What a fine-tuning did: mean loss per token, optimiser steps, completion tokens over all passes."""

    loss: float
    steps: int
    tokens: int


class Policy(Protocol):
    """The policy at its current weights, as a method's epoch hook sees it."""

    def rollouts(self, requests: Sequence[tuple[Problem, Context]], sampling: Sampling, seed: int) -> list[Rollout]:
        """One graded rollout per request, batched. Not metered: the caller says what they were for."""
        ...

    def complete(self, prompts: Sequence[str], sampling: Sampling, seed: int, initial: bool = False) -> list[Rollout]:
        """One ungraded completion per prompt, from the current weights or the initial ones (for self-reflection)."""
        ...

    def finetune(self, examples: Sequence[tuple[str, str]], lr: float, epochs: int, batch: int, seed: int) -> Finetuned:
        """Supervised training on (prompt, completion) texts; only for methods that are `supervised`."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of a completion, for texts that no model sampled here."""
        ...


class Method:
    """Base class. Subclasses set `Config`, write `rollout_group`, and override the hooks they need.

    Attributes: `config` (their own settings), `train` (the training settings: epochs, rollouts per problem, ...),
    `problems` (the training set, never a test set), `seed` (derive every random stream from it), `phrases` (pieces of
    text from which templates can be composed without a model that writes; may be empty).
    """

    Config: ClassVar[type[MethodConfig]] = MethodConfig
    reference: str = "none"
    """What it is told about a training problem besides its text and reward: "none", "answer" or "solution"."""
    supervised: ClassVar[bool] = False
    """Whether it fine-tunes on given texts, which not every backend does."""

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

    def begin(self, policy: Policy, ledger: Ledger) -> dict[str, Any]:
        """Before the first epoch, on the initial policy: narrow `self.problems`, search a prompt. Returns what to log.

        What it pays goes on the ledger. The problems kept survive a resume, all else goes through `state_dict`.
        """
        return self.screen(policy, ledger) if self.train.problems == "hard" else {}

    def screen(self, policy: Policy, ledger: Ledger) -> dict[str, Any]:
        """Keep the problems with fewer than 2 successes in k plain rollouts (P2O's threshold of a hard problem)."""
        k, seen = self.train.rollouts_per_prompt, len(self.problems)
        requests = [(p, Context.plain(p.text)) for p in self.problems for _ in range(k)]
        rollouts = policy.rollouts(requests, self.train.sampling, derive(self.seed, "screen"))
        ledger.add_rollouts(rollouts, search=True)
        solved = [sum(r.reward >= 1.0 for r in rollouts[i : i + k]) for i in range(0, len(rollouts), k)]
        self.problems = [p for p, n in zip(self.problems, solved, strict=True) if n < 2]
        return {"seen_problems": seen, "hard_problems": len(self.problems), "search_rollouts": len(requests)}

    def end_epoch(self, epoch: int, groups: Sequence[Group], policy: Policy, ledger: Ledger, last: bool) -> dict[str, Any]:
        """Between epochs: mine hard problems, evolve templates, change levels. Returns what is worth logging.

        Called after every epoch (0-based `epoch`); `last` says that no training follows. What it pays goes on the
        ledger. Frozen methods (`loss` None) are called once, with no groups and `last` true.
        """
        return {}

    def eval_prompt(self, problem: Problem) -> str:
        """What the model sees at evaluation: the bare problem for all but prompt-only methods."""
        return problem.text

    def opening_budget(self) -> int:
        """Most rollouts that `begin` may spend; for plans and progress only."""
        return len(self.problems) * self.train.rollouts_per_prompt if self.train.problems == "hard" else 0

    def group_budget(self, k: int) -> int:
        """Most rollouts that one call of `rollout_group` may spend; for plans and progress only."""
        return k

    def search_budget(self) -> int:
        """Most rollouts that one call of `end_epoch` may spend; for plans and progress only."""
        return 0

    def closing_budget(self) -> int:
        """Rollouts to leave for the last call of `end_epoch`: training stops that much earlier."""
        return 0

    def templates(self) -> list[dict[str, Any]]:
        """Rows for templates/*.jsonl after an epoch hook: text, parents and scores of what was evolved."""
        return []

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to resume, as JSON."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
