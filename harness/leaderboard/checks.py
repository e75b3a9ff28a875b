"""All that is held against a filed run before it is filed, and again when it is verified (docs/boards.md has the list)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.config import EvalSpec
from harness.core.errors import HarnessError
from harness.core.text import visible
from harness.data.suites import is_own
from harness.data.training_sets import is_own_set
from harness.evaluation.scores import check_complete
from harness.leaderboard.budget import check_ledgers
from harness.leaderboard.declared import check_declared
from harness.leaderboard.independence import check_sampling
from harness.leaderboard.questions import check_questions, prompts_of
from harness.runs.filed import Curve, Manifest, samples_name
from harness.runs.logs import Template
from harness.runs.samples import FiledSample


@dataclass(frozen=True, kw_only=True)
class Content:
    """What is filed beside a manifest. `samples`: canonical rows by suite, none where there are numbers alone."""

    samples: Mapping[str, Sequence[FiledSample]]
    curves: Mapping[str, Sequence[Curve]]
    templates: Sequence[Template]


def check_known(where: Path, training_set: str, suites: Iterable[str]) -> None:
    """Raises HarnessError, which names `where`, for a run with a suite or a training set from outside the harness."""
    own = "has no cards of its own: nobody could verify what was asked"
    for name in suites:
        if not is_own(name):
            raise HarnessError(visible(f"{where}: suite {name!r} is not one of the harness's, and a board {own}"))
    if not is_own_set(training_set):
        raise HarnessError(visible(f"{where}: training set {training_set!r} is not one of the harness's, and a board {own}"))


def check_run(
    folder: Path, m: Manifest, content: Content, data_dir: Path | None = None, again: bool = False
) -> dict[str, tuple[str, ...]]:
    """Hold a run against its settings, its suites and itself; `folder` is what errors name.

    `again`: it reproduces another run, so that it may hold any of that run's seeds. Returns suites by what their questions
    were held against: "data", "list" (the published one), "ids" (those alone) or "nothing". Raises HarnessError, naming file
    and field, and UsageError for what is not known here.
    """
    check_known(folder, m.training_set, m.suites)
    spec, problems = check_declared(folder, m, data_dir, again)
    check_ledgers(folder, m, spec, content.curves, problems)
    prompts = prompts_of(spec, content.templates, m.seeds)
    held: dict[str, tuple[str, ...]] = {}
    for name, rows in content.samples.items():
        facts, where = m.suites[name], folder / samples_name(name)
        check_complete(rows, facts.n, facts.k, m.seeds, where)
        how = check_questions(name, facts.data_sha256, rows, spec, prompts, data_dir, where)
        held[how] = (*held.get(how, ()), name)
    check_sampling(content.samples, m.suites, m.seeds, isinstance(spec, EvalSpec) and spec.run is None, folder)
    return held
