"""Graders: how a completion is compared with the gold answer. One visible dict, `GRADERS`, by answer type.

Mathematics is read and compared in child processes only (harness/grading/pool.py): arithmetic may run into what no alarm
interrupts. The second opinion on mathematics is harness/grading/parity.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.core.errors import MissingError, UsageError
from harness.grading.answers import (
    BRACKETS,
    MAX_CHARS,
    Pair,
    bare,
    boxed_answer,
    boxed_brackets,
    brackets,
    integer,
    letter,
    whole_box,
    words,
)
from harness.grading.equivalence import Judgement, at_sight, verify_many
from harness.grading.pool import default_workers
from harness.registry import load_object

Status = Literal["ok", "unparsed", "timeout", "error"]


@dataclass(frozen=True)
class Grade:
    """`score` is 0.0 or 1.0; `answer` is what was extracted from the completion, None where nothing was.

    Status: ok; unparsed (no answer to be found or read); timeout and error (the grader failed, not the completion).
    """

    score: float
    status: Status
    answer: str | None


Grader = Callable[[Sequence[Pair], int, float], list[Grade]]
"""(completion, gold) pairs, workers, CPU seconds per item -> grades."""


def grade_many(items: Sequence[tuple[str, str, str]], workers: int | None = None, timeout_s: float = 4.0) -> list[Grade]:
    """Grade (completion, gold, answer type) items, in order; from any thread.

    `workers` child processes at most (default: the cores, up to 4), `timeout_s` CPU seconds per item in its child, two
    tries together.
    Raises ValueError for an unknown answer type, MissingError without math-verify where it is needed, or for a grader by
    reference that cannot be imported.
    """
    by_type: dict[str, list[int]] = {}
    for i, (_, _, answer_type) in enumerate(items):
        by_type.setdefault(answer_type, []).append(i)
    grades: dict[int, Grade] = {}
    for answer_type, indices in by_type.items():
        graded = grader_of(answer_type)([items[i][:2] for i in indices], workers or default_workers(), timeout_s)
        grades |= zip(indices, graded, strict=True)
    return [grades[i] for i in range(len(items))]


def check_answer_type(answer_type: str, whose: str) -> None:
    """Raises UsageError, naming `whose`, for an answer type that no grader has; MissingError as `grader_of`."""
    try:
        grader_of(answer_type)
    except ValueError as e:
        raise UsageError(f"{whose}: {e}") from None


def grader_of(answer_type: str) -> Grader:
    """The grader of an answer type: of GRADERS, or by reference. Raises as `grade_many`."""
    found = GRADERS.get(answer_type, answer_type)
    if not isinstance(found, str):
        return found
    if ":" not in found:
        raise ValueError(f"no grader for answer type {answer_type!r}; known: {', '.join(GRADERS)}")
    grader: Grader = load_object(found, f"the grader of answer type {answer_type!r}")
    return grader


def grade_math(pairs: Sequence[Pair], workers: int, timeout_s: float) -> list[Grade]:
    """The last `\\boxed{}`, or list of boxes, against the gold answer (docs/grading.md); what `at_sight` decides needs no
    child."""
    answers = [boxed_answer(text) for text, _ in pairs]
    asked = [(a, gold.strip()) for a, (_, gold) in zip(answers, pairs, strict=True) if a]
    verdicts: dict[Pair, Judgement | None] = {pair: at_sight(*pair) for pair in asked}
    verdicts |= verify_many(sorted(pair for pair, verdict in verdicts.items() if verdict is None), workers, timeout_s)
    grades = []
    for answer, (_, gold) in zip(answers, pairs, strict=True):
        if not answer:
            grades.append(Grade(0.0, "unparsed", None))
            continue
        verdict = verdicts[answer, gold.strip()]
        assert verdict is not None, "what is not decided at sight is verified above"
        status: Status = "ok" if verdict == "right" or verdict == "wrong" else verdict
        grades.append(Grade(float(verdict == "right"), status, answer))
    return grades


def grade_choice(pairs: Sequence[Pair], workers: int, timeout_s: float) -> list[Grade]:
    """The letter in the last `\\boxed{}`: `B`, `b.`, `(B)`, `\\text{(B)}`, `(B) and its option`. Needs no child."""
    return [_grade_text(boxed_answer(text), gold, letter) for text, gold in pairs]


def grade_exact(pairs: Sequence[Pair], workers: int, timeout_s: float) -> list[Grade]:
    """The text in the last `\\boxed{}`, read in the way of the gold answer. Needs no child.

    `(B)`: a choice. An integer: digits, with or without separators, a plus sign or `.0`. Brackets alone: whatever the
    spacing, and a brace need not be escaped. Any other text: equal words in this order, but for case, commas, quotes,
    text commands, `$` and a full stop.
    """
    grades = []
    for text, gold in pairs:
        if re.fullmatch(r"\([A-Za-z]\)", gold):
            grades.append(_grade_text(boxed_answer(text), gold, letter))
        elif re.fullmatch(r"-?[0-9]+", gold):
            grades.append(_grade_text(boxed_answer(text), gold, integer))
        elif BRACKETS.fullmatch(gold):
            grades.append(_grade_text(boxed_brackets(text) or whole_box(text), gold, brackets))
        else:
            grades.append(_grade_text(boxed_answer(text), gold, words))
    return grades


def grade_reasoning_gym(pairs: Sequence[Pair], workers: int, timeout_s: float) -> list[Grade]:
    """The text in the last `\\boxed{}` by the scorer of the gold's task: right at full score only. Needs no child.

    Text commands, a leading `x =` and a full stop are dropped first. Raises MissingError without reasoning_gym.
    """
    from harness.data import procedural

    grades = []
    for text, gold in pairs:
        answer = whole_box(text)
        if not answer or len(answer) > MAX_CHARS:
            grades.append(Grade(0.0, "unparsed", None))
            continue
        try:
            right = procedural.score(re.sub(r"^[A-Za-z]\s*=", "", bare(answer)).strip(), gold) >= 1.0
        except MissingError:
            raise
        except Exception:
            grades.append(Grade(0.0, "error", answer))
        else:
            grades.append(Grade(float(right), "ok", answer))
    return grades


def _grade_text(answer: str | None, gold: str, read: Callable[[str], str]) -> Grade:
    if not answer or len(answer) > MAX_CHARS or not read(answer):
        return Grade(0.0, "unparsed", None)
    return Grade(float(read(answer) == read(gold)), "ok", answer)


GRADERS: dict[str, Grader | str] = {
    "math": grade_math,
    "choice": grade_choice,
    "exact": grade_exact,
    "reasoning_gym": grade_reasoning_gym,
    "testbed": "harness.testbed.grading:grade_pairs",
    "skills": "harness.skills.grading:grade_pairs",
}
"""By answer type; the grader itself, or where it is (`module:function`). An answer type may be such a reference, too."""
