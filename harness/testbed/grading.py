"""How completions of the testbed are graded."""

from __future__ import annotations

from collections.abc import Sequence

from harness.grading.answers import Pair
from harness.grading.graders import Grade
from harness.testbed.world import grade


def grade_pairs(pairs: Sequence[Pair], workers: int, timeout_s: float) -> list[Grade]:
    """The words after the last `ans`, compared exactly. Needs no child process, so `workers` and `timeout_s` do nothing."""
    grades = []
    for text, gold in pairs:
        _, found, tail = f" {' '.join(text.split())} ".rpartition(" ans ")
        score = grade(text, gold)
        grades.append(Grade(score, "ok", tail.strip()) if found else Grade(score, "unparsed", None))
    return grades
