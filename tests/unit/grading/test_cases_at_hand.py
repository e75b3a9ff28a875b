"""Answers that were graded wrong once, from a file beside the data; skipped where it is not there."""

import json

import pytest

from harness.grading.graders import grade_many
from support.paths import DATA

CASES = DATA.parent / "cases"


def cases(name):
    path = CASES / name
    if not path.exists():
        pytest.skip(f"no {path}")
    return [json.loads(line) for line in path.open()]


def test_every_case_comes_out_at_its_value():
    rows = cases("grading.jsonl")
    found = grade_many([(row["input"]["completion"], row["input"]["gold"], "math") for row in rows], workers=2)
    expected = {row["id"]: (row["expected"]["score"], row["expected"]["status"]) for row in rows}
    assert {row["id"]: (g.score, g.status) for row, g in zip(rows, found, strict=True)} == expected


def test_sentences_and_dashes():
    ids = {row["id"] for row in cases("other.jsonl")}
    assert {"choice-sentence", "exact-dash"} <= ids
    items = [("\\boxed{\\text{The answer is B}}", "B", "choice"), ("\\boxed{\u20133}", "-3", "exact")]
    assert [(g.score, g.status) for g in grade_many(items)] == [(1.0, "ok")] * 2
