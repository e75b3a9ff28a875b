"""That a filed run was asked what its suite asks: ids, prompts and gold answers, from the data or from the published list."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from harness.config import RunSpec
from harness.core.errors import HarnessError, MissingError
from harness.core.method import Method
from harness.core.text import visible
from harness.core.types import Problem
from harness.data.published import digest, prompt_sha256, read_list
from harness.data.suites import Suite, load_suite
from harness.leaderboard.declared import Spec, method_of, problems_of
from harness.registry import load_method
from harness.runs.logs import Template
from harness.runs.samples import FiledSample

Prompts = Mapping[int, Callable[[Problem], str]]
"""By seed, what the model saw of a problem."""


def prompts_of(spec: Spec, templates: Sequence[Template], seeds: Sequence[int]) -> Prompts:
    """How every seed was asked: the bare problem, or, for a method that evaluates with a template, with the one that the
    seed's last search selected."""
    if not isinstance(spec, RunSpec) or load_method(spec.method).eval_prompt is Method.eval_prompt:
        return {seed: lambda problem: problem.text for seed in seeds}
    out = {}
    for seed in seeds:
        method, own = method_of(spec, seed), [t.row for t in templates if t.row.seed == seed and t.row.selected]
        last = [row.template for row in own if row.epoch == max(r.epoch for r in own)]
        if len(last) == 1:
            method.adopt(last[0])
        out[seed] = method.eval_prompt
    return out


def check_questions(
    name: str, said: str | None, rows: Sequence[FiledSample], spec: Spec, prompts: Prompts, data_dir: Path | None, where: Path
) -> str:
    """Raises HarnessError, naming `where` and the first sample that was asked something else, or graded by another answer.

    `said` is the hash of the data that the run says it used. Returns what the samples were held against: "data", "list"
    or "nothing".
    """
    suite = load_suite(name)
    _check_form(suite, rows, where)
    if (problems := _at_hand(suite, said, data_dir)) is not None:
        _check_data({p.id: p for p in problems[: spec.eval.limit]}, rows, prompts, where)
        return "data"
    if (listed := read_list(suite)) is None:
        return "nothing"
    known = dict(list(listed.items())[: spec.eval.limit])
    plain = not isinstance(spec, RunSpec) or load_method(spec.method).eval_prompt is Method.eval_prompt
    for row in rows:
        if row.problem not in known:
            raise _error(where, row, "the suite has no such problem")
        if plain and digest(row.problem, row.prompt_sha256, row.gold) != known[row.problem]:
            raise _error(where, row, "prompt and gold answer are not those of the suite's published list")
    return "list" if plain else "ids"


def _at_hand(suite: Suite, said: str | None, data_dir: Path | None) -> list[Problem] | None:
    """The suite's problems, where those that the run used can be had."""
    try:
        return problems_of(suite, data_dir) if suite.data_sha256(data_dir) == said else None
    except MissingError:
        return None


def _check_form(suite: Suite, rows: Sequence[FiledSample], where: Path) -> None:
    """What holds without the problems: a prompt for generated problems alone, one prompt and gold for each."""
    seen: dict[str, tuple[str, int]] = {}
    for row in rows:
        shown = row.prompt is not msgspec.UNSET
        if shown != (suite.file is None):
            raise _error(where, row, "its prompt is missing" if suite.file is None else "prompts of this suite are not filed")
        if isinstance(row.prompt, str) and prompt_sha256(row.prompt) != row.prompt_sha256:
            raise _error(where, row, f"prompt_sha256 is {row.prompt_sha256!r}, its prompt gives {prompt_sha256(row.prompt)!r}")
        if not re.fullmatch("[0-9a-f]{64}", row.prompt_sha256):
            raise _error(where, row, f"prompt_sha256 {row.prompt_sha256!r} is none")
        found = seen.setdefault(row.prompt_sha256, (row.problem, row.prompt_tokens))
        if found[1] != row.prompt_tokens:
            raise _error(where, row, f"prompt_tokens is {row.prompt_tokens}, for the same prompt elsewhere {found[1]}")


def _check_data(problems: Mapping[str, Problem], rows: Sequence[FiledSample], prompts: Prompts, where: Path) -> None:
    asked: dict[tuple[int, str], str] = {}
    for row in rows:
        problem = problems.get(row.problem)
        if problem is None:
            raise _error(where, row, "the suite has no such problem")
        if problem.answer != row.gold:
            raise _error(where, row, f"gold is {row.gold!r}, the suite says {problem.answer!r}")
        key = row.seed, row.problem
        if key not in asked:
            asked[key] = prompt_sha256(prompts[row.seed](problem))
        if asked[key] != row.prompt_sha256:
            raise _error(where, row, "its prompt is not what the suite and the run's settings give")


def _error(where: Path, row: FiledSample, what: str) -> HarnessError:
    return HarnessError(visible(f"{where}, problem {row.problem}, seed {row.seed}, sample {row.index}: {what}"))
