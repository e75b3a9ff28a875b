"""Regrading: every score of a finished run again from its stored samples, without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness.core.errors import HarnessError
from harness.data.suites import suite_of_run
from harness.evaluation.scores import macro_averages, score_suite
from harness.grading.graders import grade_many
from harness.grading.parity import parity_many
from harness.runs import formats
from harness.runs.regraded import OldNew, Regraded, RegradedMacro, RegradedSuite
from harness.runs.result import Result, SuiteScores, load_result
from harness.runs.samples import OVERLONG, AnySampleRow, SampleRow, read_samples, samples_path
from harness.runs.spec import read_spec


class FreshGrade(msgspec.Struct, frozen=True):
    """What the graders say now of one sample: `answer` as it is shown; `parity` is None where the suite has no second one."""

    answer: str | None
    score: float
    status: str
    parity: float | None


def grade_again(
    samples: Mapping[str, Sequence[AnySampleRow]], cards: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, list[FreshGrade]]:
    """Grade stored samples with the present graders: suite to rows, and suite to grades in the order of its rows.

    `cards` as in `suite_of_run`."""
    kinds = {name: suite_of_run(name, cards or {}).answer_type for name in samples}
    rows = [(name, row) for name, own in samples.items() for row in own]
    grades = grade_many([(row.completion, row.gold, kinds[name]) for name, row in rows])
    second = [i for i, (name, _) in enumerate(rows) if kinds[name] == "math"]
    parity = dict(zip(second, parity_many([(rows[i][1].completion, rows[i][1].gold) for i in second]), strict=True))
    out: dict[str, list[FreshGrade]] = {name: [] for name in samples}
    for i, ((name, _), grade) in enumerate(zip(rows, grades, strict=True)):
        unread = rows[i][1].status == OVERLONG and not rows[i][1].completion  # which no grader can tell
        out[name].append(FreshGrade(grade.answer, grade.score, OVERLONG if unread else grade.status, parity.get(i)))
    return out


def regrade(run: Path) -> Regraded:
    """Grade the samples of `run` with the present graders; writes regrade.json there. The samples stay as they are.

    Raises MissingError where no run is, HarnessError where it is unfinished or samples are missing.
    """
    result = load_result(run)
    samples = {name: _stored(run, name, suite, result) for name, suite in result.suites.items()}
    grades = grade_again(samples, read_spec(run).cards)
    suites = {name: _suite(samples[name], grades[name], suite, result.seeds) for name, suite in result.suites.items()}
    old, new = result.macro, macro_averages([(result.suites[name].role, s.new) for name, s in suites.items()], result.seeds)
    macro = RegradedMacro(id=OldNew(old=old.id, new=new.id), ood=OldNew(old=old.ood, new=new.ood))
    out = Regraded(suites=suites, macro=macro)
    formats.write(run / "regrade.json", out)
    return out


def _stored(run: Path, name: str, suite: SuiteScores, result: Result) -> list[SampleRow]:
    rows = [row for row in read_samples(samples_path(run, name)) if row.seed in result.seeds]
    expected = suite.drawn(len(result.seeds))
    if len(rows) != expected:
        raise HarnessError(f"{run} holds {len(rows)} samples of suite {name!r}, its result was made of {expected}")
    return rows


def _suite(rows: Sequence[SampleRow], grades: Sequence[FreshGrade], suite: SuiteScores, seeds: Sequence[int]) -> RegradedSuite:
    changed = sum((r.score, r.status, r.parity) != (g.score, g.status, g.parity) for r, g in zip(rows, grades, strict=True))
    fresh = [
        msgspec.structs.replace(r, score=g.score, status=g.status, parity=g.parity) for r, g in zip(rows, grades, strict=True)
    ]
    new = score_suite(fresh, suite.k, seeds, suite.flagged)
    return RegradedSuite(samples=len(rows), changed=changed, old=suite.figures, new=new)
