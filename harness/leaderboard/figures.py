"""Every figure of a filed run from its samples, the samples' grades, and where two trees of figures differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from harness.core.errors import HarnessError, dotted
from harness.core.text import visible
from harness.evaluation.regrade import grade_again
from harness.evaluation.scores import macro_averages, score_suite
from harness.runs.environment import environment
from harness.runs.filed import MetricsFile
from harness.runs.result import SuiteFacts, SuiteScores
from harness.runs.samples import FiledSample

FAULTS = ("timeout", "error")
"""Statuses that are the grader's failure."""


def derive(
    samples: Mapping[str, Sequence[FiledSample]], suites: Mapping[str, SuiteFacts | SuiteScores], seeds: Sequence[int]
) -> MetricsFile:
    """metrics.json: every figure of every suite, and the macro averages, from canonical samples."""
    found = {name: score_suite(rows, suites[name].k, seeds, suites[name].flagged) for name, rows in samples.items()}
    return MetricsFile(suites=found, macro=macro_averages([(suites[n].role, s) for n, s in found.items()], seeds))


def difference(published: Any, found: Any, where: str = "") -> tuple[str, Any, Any] | None:
    """The first published leaf that is not what was found: (dotted name, published, found). Numbers agree to 1e-9."""
    if isinstance(published, Mapping) and isinstance(found, Mapping):
        for key in published:
            name = f"{where}{dotted([key])}"
            if key not in found:
                return name, published[key], None
            if differ := difference(published[key], found[key], f"{name}."):
                return differ
        return None
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (published, found))
    same = abs(published - found) <= 1e-9 if numbers else type(published) is type(found) and published == found
    return None if same else (where.rstrip("."), published, found)


def confirm_grades(samples: Mapping[str, Sequence[FiledSample]], where: str) -> int:
    """Grade all samples with the present graders; returns on how many a grader had failed when they were stored.

    Raises HarnessError, naming the first sample whose answer, score, status or parity grade is another. Where the stored
    status is a grader's failure the present one may be any, but such a sample must count as wrong and show no other answer.
    """
    grades, faults = grade_again(samples), 0
    for name, rows in samples.items():
        for row, grade in zip(rows, grades[name], strict=True):
            failed = row.status in FAULTS and row.score == 0
            faults += failed
            found = grade if not failed else replace(grade, score=row.score, status=row.status)
            for key in ("score", "status", "parity", "answer"):
                stored, now = getattr(row, key), getattr(found, key)
                if stored != now and not (stored is None and (key == "parity" or failed)):
                    which = f"problem {row.problem}, seed {row.seed}, sample {row.index}"
                    here = f"math-verify {environment().packages['math-verify'] or 'missing'}"
                    raise HarnessError(
                        visible(f"{where}: {name}, {which}: {key} is {stored!r}, the graders here ({here}) give {now!r}")
                    )
    return faults
