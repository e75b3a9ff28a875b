"""How completions of the world of skills are graded."""

from __future__ import annotations

from collections.abc import Sequence

from harness.grading.answers import Pair
from harness.grading.graders import Grade
from harness.skills.world import answer_of, grade


def grade_pairs(pairs: Sequence[Pair], workers: int, timeout_s: float) -> list[Grade]:
    """The symbols up to the first end symbol, compared exactly. Needs no child process, so the last two do nothing."""
    grades = []
    for text, gold in pairs:
        found = answer_of(text)
        grades.append(Grade(0.0, "unparsed", None) if found is None else Grade(grade(text, gold), "ok", " ".join(found)))
    return grades
