"""What the task files of this folder name with `!function`: where the problems come from and how samples are graded."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets

from harness.data.suites import load_suite
from harness.grading.graders import grade_many
from harness.grading.parity import parity_many


def load(suite: str, data_dir: str | None = None, **_: Any) -> dict[str, datasets.Dataset]:
    """The split "test" of a suite: columns id, text (the user turn), answer, answer_type.

    `data_dir` comes from lm-eval's `--metadata`, else from the variable HARNESS_DATA_DIR; procedural suites need none.
    Raises MissingError or UsageError as `Suite.problems` does.
    """
    folder = data_dir or os.environ.get("HARNESS_DATA_DIR")
    problems = load_suite(suite).problems(Path(folder) if folder else None)
    rows = [{"id": p.id, "text": p.text, "answer": p.answer, "answer_type": p.answer_type} for p in problems]
    return {"test": datasets.Dataset.from_list(rows)}


def keep_all(resps: Iterable[list[str]], docs: Any) -> list[list[str]]:
    """The filter that keeps every repeat; lm-eval's default keeps the first one only."""
    return list(resps)


def score(doc: dict[str, Any], results: Sequence[list[str]]) -> dict[str, Any]:
    """Per problem: `avg`, the mean score of its k samples, and `graded`, the k grades, of mathematics with `parity`."""
    grades = grade_many([(text, doc["answer"], doc["answer_type"]) for text in results[0]])
    graded = [asdict(g) for g in grades]
    if doc["answer_type"] == "math":
        parity = parity_many([(text, doc["answer"]) for text in results[0]])
        graded = [{**row, "parity": other} for row, other in zip(graded, parity, strict=True)]
    return {"avg": statistics.fmean(g.score for g in grades), "graded": graded}


def share_graded(grades_N_K: Sequence[Sequence[dict[str, Any]]]) -> float:
    """Share of the samples whose grading ended normally (status "ok")."""
    return statistics.fmean(g["status"] == "ok" for grades_K in grades_N_K for g in grades_K)
