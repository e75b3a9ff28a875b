"""What a filed run says of itself, held against its settings: everything that follows from them is derived again.

What stands in the settings themselves is believed: nobody can see from the outside with which learning rate a policy was
trained. Running it again can (`harness leaderboard reproduce`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from harness.config import EvalSpec, RunSpec
from harness.core.errors import HarnessError, MissingError
from harness.core.hints import coverage
from harness.core.method import Method
from harness.core.text import visible
from harness.core.types import Problem
from harness.data import contamination
from harness.data.problems import content_sha256
from harness.data.published import read_training_list
from harness.data.suites import Suite, load_suite
from harness.data.training_sets import TrainingSet, load_training_set, resolve_bench
from harness.evaluation.results import not_a_result_reason, reasons_by_settings, what_was_told
from harness.registry import load_method, load_world
from harness.runs.filed import Manifest
from harness.runs.spec import typed_spec

_STAND_IN = Problem("x", "x", "1", "math", solution="1")
"""What a method is made with where only its settings count."""

Spec = RunSpec | EvalSpec


def method_of(spec: RunSpec, seed: int = 0, problems: int = 1) -> Method:
    """The method as its settings make it, with that many problems of no content."""
    training_set = load_training_set(spec.train.set)
    own = [replace(_STAND_IN, hints=("1",) if training_set.hinted else ())] * problems
    return _made_of(spec, training_set, own, seed)


def _made_of(spec: RunSpec, training_set: TrainingSet, problems: list[Problem], seed: int = 0) -> Method:
    return load_method(spec.method)(
        config=spec.typed_method_config(),
        train=spec.train,
        problems=problems,
        seed=seed,
        phrases=training_set.pieces(spec),
    )


def check_declared(folder: Path, m: Manifest, data_dir: Path | None = None, again: bool = False) -> tuple[Spec, int | None]:
    """The settings of a filed run whose manifest says what they imply, and how many problems it was trained on, where these
    are at hand. `folder` is what an error names; `again` as in `check_run`.

    Raises HarnessError, with the field, what it says and what it should say; UsageError where a suite, a method or a
    training set is not known here.
    """
    spec = typed_spec(m.spec, folder)
    training_set = load_training_set(spec.trained_on)
    suites = resolve_bench(spec.eval.bench, training_set)
    checks = [
        ("seeds", list(m.seeds), list(spec.seeds)),
        ("model", m.model, spec.model.id),
        ("training_set", m.training_set, spec.trained_on),
        ("suites", sorted(m.suites), sorted(suite.name for suite in suites)),
    ]
    if not again:  # whoever leaves seeds out cannot choose which
        checks.append(("seeds", list(m.seeds), list(range(len(m.seeds)))))
    checks += _of_training(m, spec, training_set) if isinstance(spec, RunSpec) else _of_evaluation(m, spec)
    for suite in suites if set(m.suites) == {s.name for s in suites} else ():
        checks += [*_of_suite(m, spec, suite, training_set), *_of_families(m, suite, data_dir)]
    for key, said, found in checks:
        if said != found:
            raise HarnessError(visible(f"{folder / 'manifest.json'}: {key} is {said!r}, its settings give {found!r}"))
    problems = _training_problems(spec, training_set, data_dir)
    _check_hints(folder, m, spec, training_set, problems)
    _check_flagged(folder, m, spec, suites, problems, data_dir)
    _check_stamp(folder, m, spec, [_other_problems(m, spec, training_set, problems), *map(_unpinned, suites)])
    return spec, None if problems is None else len(problems)


def _of_training(m: Manifest, spec: RunSpec, training_set: TrainingSet) -> list[tuple[str, Any, Any]]:
    told = what_was_told(spec, training_set, method_of(spec))
    return [
        ("method", m.method, spec.method),
        ("recipe", m.recipe, spec.recipe),
        ("reference", m.reference, told.reference),
        ("reference_source", m.reference_source, told.source),
        ("teacher", m.teacher, told.teacher),
        ("teacher_tokens", m.teacher_tokens, m.ledger.reflection_tokens if told.teacher else 0),
    ]


def _of_evaluation(m: Manifest, spec: EvalSpec) -> list[tuple[str, Any, Any]]:
    """What trained the policies of a run is not in the settings of their evaluation; that of a model is its own name."""
    name = m.method if spec.run is not None else Path(spec.model.id).name
    engine = m.identity.get("engine")
    said = [("identity.engine", engine, spec.engine.name)] if engine is not None else []
    return [*said, ("method", m.method, name), ("recipe", m.recipe, "evaluation"), ("teacher", m.teacher, None)]


def _of_suite(m: Manifest, spec: Spec, suite: Suite, training_set: TrainingSet) -> list[tuple[str, Any, Any]]:
    said, (k, sampling) = m.suites[suite.name], suite.passes(spec.eval)[0]
    out: list[tuple[str, Any, Any]] = [
        ("role", said.role, training_set.role_of(suite.name) or "other"),
        ("title", said.title, suite.title),
        ("n", said.n, suite.planned(spec.eval.limit)),
        ("k", said.k, k),
        ("temperature", said.temperature, sampling.temperature),
        ("max_new_tokens", said.max_new_tokens, sampling.max_new_tokens),
        ("data_sha256", said.data_sha256, suite.sha256 or said.data_sha256),
        ("data_sha256", said.data_sha256 is None, False),
    ]
    return [(f"suites.{suite.name}.{key}", a, b) for key, a, b in out]


def _of_families(m: Manifest, suite: Suite, data_dir: Path | None) -> list[tuple[str, Any, Any]]:
    """The families of a suite's questions, where its data are at hand."""
    with suppress(MissingError):
        return [(f"suites.{suite.name}.clusters", m.suites[suite.name].clusters, suite.clusters(data_dir))]
    return []


def _training_problems(spec: Spec, training_set: TrainingSet, data_dir: Path | None) -> list[Problem] | None:
    """None where the data are not at hand, and for an evaluation."""
    if not isinstance(spec, RunSpec):
        return None
    cls = load_world(training_set.name)
    settings = [
        training_set.name,
        spec.train.limit,
        spec.train.with_solutions,
        spec.world_config(cls).model_dump(mode="json") if cls else None,
    ]
    key = json.dumps(settings, sort_keys=True)
    if key in _MADE:
        return _MADE[key]
    try:
        found = training_set.problems(spec, data_dir)
    except MissingError:
        return None
    if training_set.file is None:
        _MADE[key] = found
    return found


_MADE: dict[str, list[Problem]] = {}
"""Problems of worlds by their settings: the runs of a board share them."""


def problems_of(suite: Suite, data_dir: Path | None) -> list[Problem]:
    """As `Suite.problems`; what is generated is made once."""
    return _generated(suite.name) if suite.file is None else suite.problems(data_dir)


@cache
def _generated(name: str) -> list[Problem]:
    return load_suite(name).problems(None)


def _other_problems(m: Manifest, spec: Spec, training_set: TrainingSet, problems: list[Problem] | None) -> str | None:
    """Why the training problems are not those of the set; None where they are, or where nothing is known of them."""
    if not isinstance(spec, RunSpec):
        return None if m.problems_sha256 is None else "an evaluation has no training problems"
    if problems is not None:
        found = content_sha256(problems)
    else:
        whole = (
            read_training_list().get(training_set.name) if spec.train.limit is None and not spec.train.with_solutions else None
        )
        found = whole or m.problems_sha256 or ""
    return None if found == m.problems_sha256 else f"its training problems are not those of the set {training_set.name!r}"


def _check_flagged(
    folder: Path, m: Manifest, spec: Spec, suites: Sequence[Suite], problems: list[Problem] | None, data_dir: Path | None
) -> None:
    """The problems that match training problems, where both are at hand; an evaluation of a model knows of none."""
    if isinstance(spec, EvalSpec):
        found: dict[str, list[str]] = {s.name: [] for s in suites} if spec.run is None else {}
    else:
        tests = {}
        for suite in suites if problems is not None else ():
            with suppress(MissingError):
                tests[suite.name] = problems_of(suite, data_dir)[: spec.eval.limit]
        found = {name: list(contamination.flagged(x)) for name, x in contamination.find(problems or [], tests).items()}
    for name, own in found.items():
        if m.suites[name].flagged != own:
            said = f"suites.{name}.flagged is {m.suites[name].flagged!r}, the training problems give {own!r}"
            raise HarnessError(visible(f"{folder / 'manifest.json'}: {said}"))


def _check_hints(folder: Path, m: Manifest, spec: Spec, training_set: TrainingSet, problems: list[Problem] | None) -> None:
    """How many training problems had a hint, where these are at hand and the run says so."""
    if m.hints is None or (problems is None and isinstance(spec, RunSpec)):
        return
    found = coverage(_made_of(spec, training_set, problems)) if isinstance(spec, RunSpec) and problems else None
    if m.hints != found:
        raise HarnessError(visible(f"{folder / 'manifest.json'}: hints is {m.hints}, its settings give {found}"))


def _unpinned(suite: Suite) -> str | None:
    return None if suite.sha256 is not None else f"suite {suite.name!r} pins no file"


def _check_stamp(folder: Path, m: Manifest, spec: Spec, deviations: Sequence[str | None]) -> None:
    """Every reason against a result that can be derived must have left its stamp. Raises HarnessError."""
    stopped = [f"the training of seed {seed} was stopped" for seed in m.stopped]
    if m.not_a_result is None and (why := not_a_result_reason(spec, *deviations, *stopped)):
        raise HarnessError(visible(f"{folder / 'manifest.json'}: not_a_result is None, but {why}"))
    for why in reasons_by_settings(spec):
        if why not in (m.not_a_result or ""):
            raise HarnessError(visible(f"{folder / 'manifest.json'}: not_a_result is {m.not_a_result!r}, without: {why}"))
