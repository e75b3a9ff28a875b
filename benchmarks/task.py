"""The lm-eval task of a suite, made from its card: where the problems come from, how they are sampled and graded.

A task file holds the suite's name and this class; k, temperature and token limit stand in the card alone.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets
from lm_eval.api.task import ConfigurableTask

from harness.data.suites import Suite, is_own, load_suite
from harness.grading.graders import grade_many
from harness.grading.parity import parity_many
from harness.registry import include


class CardTask(ConfigurableTask):  # type: ignore[misc]
    """The task of a suite. `config` is what a task file says (`task`, `metadata`), or what `of` passes.

    A task file from outside lies beside its card, which is read even where nothing else names it.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        own = {key: value for key, value in config.items() if key != "class"}
        source = Path(own.get("metadata", {}).get("config_source", "inline"))
        if not is_own(own["task"]) and source.with_name("card.yaml").exists():
            include(source.parent)
        super().__init__(config={**settings(load_suite(own["task"])), **own})

    @classmethod
    def of(cls, suite: Suite, data_dir: Path | None) -> CardTask:
        """The same without a task file."""
        return cls({"task": suite.name, "metadata": {"data_dir": str(data_dir)} if data_dir else {}})


def settings(suite: Suite) -> dict[str, Any]:
    """What a card says, and what all suites share, in lm-eval's words.

    One user turn per problem, no few-shot examples; the metric `avg` is avg@k. do_sample must go with the temperature: lm-eval
    decodes greedily where it is false. top_p and top_k are spelt out because engines otherwise take the model's own. An empty
    `until` ends at the model's end tokens, not at a blank line.
    """
    sampling = {"do_sample": suite.temperature > 0, "temperature": suite.temperature, "top_p": 1.0, "top_k": 0}
    return {
        "custom_dataset": load,
        "dataset_kwargs": {"suite": suite.name},
        "test_split": "test",
        "output_type": "generate_until",
        "num_fewshot": 0,
        "repeats": suite.k,
        "generation_kwargs": {**sampling, "until": [], "max_gen_toks": suite.max_new_tokens},
        "doc_to_text": "text",
        "doc_to_target": "answer",
        "filter_list": [{"name": "all", "filter": [{"function": "custom", "filter_fn": keep_all}]}],
        "process_results": score,
        "metric_list": [
            {"metric": "avg", "aggregation": "mean", "higher_is_better": True},
            {"metric": "graded", "aggregation": share_graded, "higher_is_better": True},
        ],
    }


def load(suite: str, data_dir: str | None = None, **_: Any) -> dict[str, datasets.Dataset]:
    """The split "test" of a suite: columns id, text (the user turn), answer, answer_type.

    `data_dir` comes from lm-eval's `--metadata`, else from the variable HARNESS_DATA_DIR; procedural suites need none.
    Raises MissingError or UsageError as `Suite.problems` does.
    """
    folder = data_dir or os.environ.get("HARNESS_DATA_DIR")
    return {"test": rows_of(load_suite(suite), Path(folder) if folder else None)}


def rows_of(suite: Suite, data_dir: Path | None) -> datasets.Dataset:
    """A row per problem. Raises as `Suite.problems`."""
    problems = suite.problems(data_dir)
    rows = [{"id": p.id, "text": p.text, "answer": p.answer, "answer_type": p.answer_type} for p in problems]
    return datasets.Dataset.from_list(rows)


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
