"""The compute ledger: what a run paid, in units that do not depend on the machine, and the seconds it took.

A comparison is fair only at equal ledger entries, so everything sampled is metered, also what is thrown away.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields

from harness.core.leaks import leaks
from harness.core.replies import reply_of
from harness.core.types import Group, Rollout


@dataclass
class Ledger:
    """Counts of one seed of one arm. Tokens are model tokens; seconds are wall seconds of training, without evaluation."""

    rollouts: int = 0  # all completions sampled for training: groups, discarded groups and prompt search
    search_rollouts: int = 0  # of these: metric calls of prompt search
    saved_rollouts: int = 0  # no part of these: metric calls that a search left out, their outcome being decided
    discarded_rollouts: int = 0  # of these: replaced or dropped before the loss
    discarded_groups: int = 0
    prompt_tokens: int = 0  # of all rollouts, as sampled (template included)
    generated_tokens: int = 0  # of all rollouts
    trained_tokens: int = 0  # completion tokens in the loss, masked ones included, once per pass over them
    reflection_calls: int = 0
    reflection_prompt_tokens: int = 0
    reflection_tokens: int = 0  # written by whoever reflects
    dropped_reflections: int = 0  # of the calls: the answer was cut, or is reasoning without a reply, or the prompt too long
    optimiser_steps: int = 0
    refused_hints: int = 0  # kept out by the answer-leak guard
    leaking_rollouts: int = 0  # trained on although their template states the answer
    wall_seconds: float = 0.0

    @property
    def sampled_tokens(self) -> int:
        """All tokens that a model wrote for training: completions and reflections."""
        return self.generated_tokens + self.reflection_tokens

    def add_rollouts(self, rollouts: Iterable[Rollout], search: bool = False) -> None:
        """Meter sampled completions; `search` marks metric calls of prompt search."""
        for r in rollouts:
            self.rollouts += 1
            self.search_rollouts += search
            self.prompt_tokens += r.prompt_tokens
            self.generated_tokens += len(r.tokens_T)

    def add_update(self, groups: Iterable[Group], steps: int) -> None:
        """Meter the optimiser steps on a batch of groups and what they discarded; all of it was metered as rollouts before."""
        self.optimiser_steps += steps
        for group in groups:
            self.trained_tokens += sum(len(r.tokens_T) for r in group.rollouts)
            unused = group.discarded + group.requests
            self.discarded_rollouts += len(unused)
            self.discarded_groups += bool(unused)
            self.refused_hints += group.refused
            self.dropped_reflections += sum(reply_of(r.text, r.truncated) is None for r in group.requests)
            self.leaking_rollouts += sum(leaks(r.context.template, group.problem.answer) for r in group.rollouts)

    def add_reflection(self, prompt_tokens: int, tokens: int) -> None:
        self.reflection_calls += 1
        self.reflection_prompt_tokens += prompt_tokens
        self.reflection_tokens += tokens

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Add the seconds spent inside to `wall_seconds`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.wall_seconds += time.perf_counter() - start

    def to_dict(self) -> dict[str, float]:
        return asdict(self)

    def add(self, other: Ledger) -> None:
        """Add another ledger's entries."""
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name) + getattr(other, f.name))

    @classmethod
    def total(cls, ledgers: Iterable[Ledger]) -> Ledger:
        """The sum over seeds."""
        out = cls()
        for ledger in ledgers:
            out.add(ledger)
        return out
