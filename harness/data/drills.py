"""Drills: one-line questions about short lists of numbers, for a small real model on a CPU. Nothing to download.

Four kinds ask for one number of a list: the largest, the smallest, the first, the last. The answer is one integer, so a rollout
takes a handful of tokens. A question belongs to the training set or to the suites by its own hash, whoever asks it: no suite
can ask a question that was trained on.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.core.errors import UsageError
from harness.core.seeds import derive, stream
from harness.core.types import Problem
from harness.data.problems import render
from harness.data.suites import Suite

if TYPE_CHECKING:
    from harness.data.training_sets import TrainingSet

TEST_SHARE = 4
"""One question in so many is for suites, the others are for training."""
TRIES = 1000
"""Draws for one question before there are taken to be too few of its kind."""

Range = Sequence[int]
"""Lower and upper end, both included."""


def _of_list(question: str, pick: Callable[[list[int]], int]) -> Callable[[random.Random, int, Range], tuple[str, int]]:
    """A kind that asks for one of several distinct numbers in random order."""

    def draw(rng: random.Random, items: int, numbers: Range) -> tuple[str, int]:
        listed = rng.sample(range(numbers[0], numbers[1] + 1), items)
        return f"{question}: {', '.join(map(str, listed))}?", pick(listed)

    return draw


KINDS: dict[str, Callable[[random.Random, int, Range], tuple[str, int]]] = {
    "largest": _of_list("Which number is the largest", max),
    "smallest": _of_list("Which number is the smallest", min),
    "first": _of_list("Which number is the first in the list", lambda listed: listed[0]),
    "last": _of_list("Which number is the last in the list", lambda listed: listed[-1]),
}


def suite_problems(suite: Suite, kinds: Sequence[str], items: Range, numbers: Range) -> list[Problem]:
    """The problems of a suite. Raises as `questions`."""
    return _problems(suite, questions(suite.name, suite.size, kinds, items, numbers, test=True))


def train_problems(training_set: TrainingSet, size: int, kinds: Sequence[str], items: Range, numbers: Range) -> list[Problem]:
    """The problems of a training set, each with a solution. Raises as `questions`."""
    drawn = questions(training_set.name, size, kinds, items, numbers, test=False)
    return [replace(p, solution=solution(q, a)) for p, (_, q, a) in zip(_problems(training_set, drawn), drawn, strict=True)]


def solution(question: str, answer: str) -> str:
    """By elimination, the numbers in their order: "Not 4. Not 1. So \\boxed{7}." No part before the box states the answer."""
    others = [number for number in re.findall(r"\d+", question) if number != answer]
    return " ".join([*(f"Not {number}." for number in others), f"So \\boxed{{{answer}}}."])


def questions(
    name: str, count: int, kinds: Sequence[str], items: Range, numbers: Range, test: bool
) -> list[tuple[str, str, str]]:
    """`count` triples of kind, question and answer on the stream of `name`, the kinds in turn, no two questions equal.

    `items`: how many numbers a question shows; `numbers`: their range. `test`: those
    that are for suites. Raises UsageError where a kind has too few, ValueError for a kind that is unknown.
    """
    if unknown := set(kinds) - KINDS.keys():
        raise ValueError(f"unknown kinds of drills: {', '.join(sorted(unknown))}")
    rng = stream("drills", name)
    found: dict[str, tuple[str, str]] = {}
    while len(found) < count:
        kind = kinds[len(found) % len(kinds)]
        for _ in range(TRIES):
            question, answer = KINDS[kind](rng, rng.randint(*items), numbers)
            if for_test(question) == test and question not in found:
                found[question] = kind, str(answer)
                break
        else:
            raise UsageError(f"{name}: there are too few different drills of kind {kind!r} for {count} problems")
    return [(kind, question, answer) for question, (kind, answer) in found.items()]


def for_test(question: str) -> bool:
    """Whether a question is for suites; otherwise it is for training."""
    return derive("drills", "split", question) % TEST_SHARE == 0


def _problems(source: Suite | TrainingSet, drawn: Sequence[tuple[str, str, str]]) -> list[Problem]:
    return [
        Problem(f"{source.name}-{i:03d}", render(question, source.prompt), answer, source.answer_type, meta={"kind": kind})
        for i, (kind, question, answer) in enumerate(drawn)
    ]
