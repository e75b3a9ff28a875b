"""A run's scores in two formats of the Hugging Face hub: `.eval_results/*.yaml` entries and a model card.

Neither has fields for intervals, seeds or samples, so `notes` holds them, and the link leads to a page with all of them.
What is not known is omitted, with a sentence that says so; nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from harness.core.errors import UsageError, nearest
from harness.data.suites import Suite, suite_of_run
from harness.report.comparison import budget_table, protocol_table, scores_table
from harness.report.tables import interval, markdown_cell, points
from harness.runs.environment import read_environment
from harness.runs.result import Result, load_result
from harness.runs.spec import read_spec
from harness.stats.comparison import Comparison, compare
from harness.stats.questions import load_questions

_DATASET = re.compile(r"([a-z0-9-]+)=([\w.-]+/[\w.-]+)(?::([\w.-]+))?")


def export(form: str, run: Path, url: str | None = None, datasets: Sequence[str] = ()) -> str:
    """A finished run or evaluation in the format `form`, "hf-eval-results" or "model-card".

    `url` is a page with the intervals and samples. `datasets` are `SUITE=ID[:TASK]` for suites whose cards do not name
    their dataset on the hub. Raises UsageError for a run that is not a result, or an invalid dataset.
    """
    result = publishable(run)
    ids = _datasets(datasets, result)
    comparison = compare([result], questions=[load_questions(result)])
    makers = {"hf-eval-results": _eval_results, "model-card": _model_card}
    return makers[form](result, comparison, ids, url, _date(run), None)


def export_seed(run: Path, seed: int, url: str | None = None, datasets: Sequence[str] = ()) -> tuple[str, str]:
    """Model card and evaluation results for the policy of one seed: the scores are that seed's own, and the text has the means
    over all. Raises as `export`."""
    result = publishable(run)
    ids = _datasets(datasets, result)
    comparison = compare([result], questions=[load_questions(result)])
    of = (result, comparison, ids, url, _date(run), seed)
    return _model_card(*of), _eval_results(*of)


def publishable(run: Path) -> Result:
    """The result of a run. Raises UsageError where it is none that may be quoted."""
    result = load_result(run)
    if result.not_a_result:
        raise UsageError(f"{run} is not a result and cannot be exported: {result.not_a_result}")
    return result


def _datasets(given: Sequence[str], result: Result) -> dict[str, dict[str, str]]:
    """Dataset, task and revision by suite, as far as known: as given, or from the suite's card."""
    out: dict[str, dict[str, str]] = {}
    for name in result.suites:
        if hub := _suite(result, name).hub:
            task = {"task_id": hub["config"]} if "config" in hub else {}
            out[name] = {"id": hub["id"], **task, "revision": hub["revision"]}
    for text in given:
        found = _DATASET.fullmatch(text)
        if not found:
            raise UsageError(f"--dataset {text!r} is not SUITE=ID[:TASK], e.g. gsm8k=openai/gsm8k:main")
        suite, dataset, config = found.groups()
        if suite not in result.suites:
            raise UsageError(f"the run has no suite {suite!r}{nearest(suite, result.suites)}")
        out[suite] = {"id": dataset, **({"task_id": config} if config else {})}
    return out


def _suite(result: Result, name: str) -> Suite:
    return suite_of_run(name, read_spec(Path(result.run)).cards)


def _date(run: Path) -> str | None:
    """The day the run started, if env.json has it."""
    env = read_environment(run)
    return env.day if env else None


def _notes(result: Result, c: Comparison, name: str, seed: int | None) -> str:
    """How a score was measured, and how certain it is, on one line."""
    suite, score = result.suites[name], c.arms[0].scores[name]
    seeds = len(score.per_seed)
    parts = [f"avg@{suite.k} at temperature {suite.temperature:g}, {suite.n} problems"]
    if seed is not None:
        parts.append(
            f"the policy of training seed {seed}" + (f"; over {seeds} seeds {points(score.mean)}" if seeds > 1 else "")
        )
    parts.append("1 seed, spread unknown" if score.sd is None else f"{seeds} seeds, sd {points(score.sd)}")
    if score.low is not None and score.high is not None:
        parts.append(f"95% {interval(score.low, score.high)} on new questions")
    flagged = len(suite.flagged)
    parts += [f"{flagged} problems match training problems"] if flagged else []
    if _suite(result, name).answer_type == "math" and (verifier := result.graders.get("math-verify")):
        parts.append(f"math-verify {verifier}")
    trained = "evaluated as is" if result.is_evaluation else f"{result.method} on {result.training_set}"
    return "; ".join([*parts, trained, f"spec {result.spec_hash[:12]}"])


def _value(result: Result, name: str, seed: int | None) -> float:
    """Percent, of one seed or over all."""
    suite = result.suites[name]
    return round(100 * (suite.avg if seed is None else suite.per_seed[seed]), 2)


def _eval_results(
    result: Result, c: Comparison, ids: Mapping[str, dict[str, str]], url: str | None, date: str | None, seed: int | None
) -> str:
    rows, unknown = [], []
    for name in result.suites:
        if name not in ids:
            unknown.append(name)
            continue
        rows.append(
            {
                "dataset": ids[name],
                "value": _value(result, name, seed),
                **({"date": date} if date else {}),
                **({"source": {"url": url, "name": "p2o-harness"}} if url else {}),
                "evaluation_framework": f"p2o-harness {version('p2o-harness')}",
                "notes": _notes(result, c, name, seed),
            }
        )
    comments = []
    if unknown:
        comments.append(f"# Omitted, their datasets on the hub are not known (--dataset SUITE=ID): {', '.join(unknown)}.")
    if not url:
        comments.append("# There is no link to samples and intervals; --url adds one.")
    if not date:
        comments.append("# The date of the run is not known.")
    return "\n".join([*comments, _yaml(rows) if rows else "[]\n"])


def _model_card(
    result: Result, c: Comparison, ids: Mapping[str, dict[str, str]], url: str | None, date: str | None, seed: int | None
) -> str:
    trained = not result.is_evaluation
    title = f"{result.model}, {result.method} on {result.training_set}" if trained else result.model
    metrics = []
    for name, suite in result.suites.items():
        dataset = {"name": suite.title, "type": ids.get(name, {}).get("id", name)}
        value = {"type": "accuracy", "name": f"avg@{suite.k}", "value": _value(result, name, seed)}
        source = {"source": {"name": "p2o-harness", "url": url}} if url else {}
        metrics.append({"task": {"type": "text-generation"}, "dataset": dataset, "metrics": [value], **source})
    base = {"base_model": result.model} if re.fullmatch(r"[\w.-]+/[\w.-]+", result.model) and trained else {}
    head = {
        **base,
        "library_name": "transformers",
        "tags": ["rlvr", *([result.method] if trained else [])],
        "model-index": [{"name": title, "results": metrics}],
    }
    lines = [
        f"---\n{_yaml(head)}---\n",
        f"# {markdown_cell(title)}\n",
        f"Recipe {markdown_cell(result.recipe)}, spec {result.spec_hash[:12]}"
        + (f", started {date}" if date else "")
        + (f"; [samples and intervals]({url})" if url else "")
        + ".\n",
        f"These weights are those of training seed {seed}, one of {len(result.seeds)}, and so are the figures in the header "
        "of this page; the tables have the means over all seeds.\n"
        if seed is not None
        else "",
        f"Another model contributed to its training: {markdown_cell(result.teacher)}.\n" if result.teacher else "",
        *(t.to_markdown() for t in (scores_table(c), *([budget_table(c)] if trained else []), protocol_table(c))),
        "## Not known\n",
        "The licence of these weights, what they may be used for, and how they behave outside of these suites.",
        *([] if url else ["There is no link to the samples."]),
        *(
            ["There is one training seed, so the spread between seeds is not known."]
            if trained and len(result.seeds) == 1
            else []
        ),
    ]
    return "\n".join(line for line in lines if line) + "\n"


def _yaml(value: Any) -> str:
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=False, width=1000))
