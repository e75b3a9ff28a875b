"""Suites that reasoning_gym generates (Stojanovski et al. 2025): nothing to download, and nothing that could have leaked.

A task belongs here if its scorer reads nothing of the entry but the answer, and evaluates no expression: an answer then
cannot hang it, and the gold answer is all that a sample has to keep. Adjacent seeds share nearly all of their questions,
so each problem's seed is a hash of the suite and the position.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from typing import Any

from harness.core.errors import MissingError, UsageError
from harness.core.seeds import derive
from harness.core.types import Problem
from harness.data.problems import content_sha256, render
from harness.data.suites import Suite

PACKAGE = "reasoning_gym"


def installed() -> bool:
    return find_spec(PACKAGE) is not None


def version() -> str:
    """The installed one. Raises MissingError without reasoning_gym."""
    from importlib.metadata import version

    _library()
    return version(PACKAGE)


def suite_problems(suite: Suite, task: str, config: dict[str, Any]) -> list[Problem]:
    """The problems of a suite. Raises MissingError without reasoning_gym, UsageError where it is another version's."""
    pairs = questions(suite.name, task, config, suite.size)
    problems = [
        Problem(f"{suite.name}-{i:03d}", render(question, suite.prompt), gold, suite.answer_type)
        for i, (question, gold) in enumerate(pairs)
    ]
    if content_sha256(problems) != suite.sha256:
        raise UsageError(
            f"reasoning_gym {version()} generates other problems than those that suite {suite.name!r} pins "
            f"by SHA-256: pip install reasoning-gym=={suite.revision}"
        )
    return problems


def questions(name: str, task: str, config: dict[str, Any], count: int) -> list[tuple[str, str]]:
    """`count` pairs of question and gold answer for suite `name`, no two questions equal.

    The gold answer is JSON with `answer` and `task`, which is what `score` needs. Raises MissingError without
    reasoning_gym.
    """
    found: dict[str, str] = {}
    draws = 0
    while len(found) < count:
        seed = derive("procedural", name, draws) % 2**32  # the library's numpy generators take 32 bits
        entry = _library().create_dataset(task, size=1, seed=seed, **config)[0]
        found.setdefault(entry["question"].strip(), json.dumps({"answer": str(entry["answer"]), "task": task}))
        draws += 1
    return list(found.items())


def gold_answer(gold: str) -> str:
    """The answer in a gold answer of `questions`."""
    return str(json.loads(gold)["answer"])


def score(answer: str, gold: str) -> float:
    """What the library's scorer of the task gives, 0 to 1: below 1 is partial credit. Raises what the scorer raises."""
    fields = json.loads(gold)
    return float(_scorer(fields["task"]).score_answer(answer, {"answer": fields["answer"], "metadata": {}}))


@cache
def _scorer(task: str) -> Any:
    return _library().create_dataset(task, size=1, seed=0)


def _library() -> Any:
    if not installed():
        raise MissingError("procedural suites need reasoning_gym: pip install 'p2o-harness[procedural]'")
    import reasoning_gym

    return reasoning_gym
