"""What a run logs while it trains: metrics.jsonl and templates/s<seed>.jsonl, whose rows have a few fields that are always
there and facts of their own, and rollouts/s<seed>.jsonl."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from harness.core.errors import UNREADABLE, HarnessError, dotted
from harness.core.text import visible
from harness.runs.files import iter_jsonl, read_jsonl
from harness.runs.result import FirstRollouts

T = TypeVar("T", bound=msgspec.Struct)


class MetricRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of metrics.jsonl: of an optimisation batch or of an epoch's end. All its other fields are metrics."""

    seed: int
    kind: Literal["batch", "epoch"]
    epoch: int
    rollouts: float
    batch: int | None = None


class TemplateRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of templates/s<seed>.jsonl: a template of the pool after an epoch (-1: before training), and whether it was
    selected for training. `candidate` numbers the templates of a pool, `parent` is the number of the one it came from.
    `mean_score` is on the dev problems, None where it has none. A method adds facts of its own."""

    seed: int
    epoch: int
    template: str
    selected: bool
    mean_score: float | None = None
    candidate: int | None = None
    parent: int | None = None


class Metrics(msgspec.Struct, frozen=True):
    """A row of metrics.jsonl with its numbers by name; those that are not there, or not finite, are left out."""

    row: MetricRow
    values: dict[str, float]


class Template(msgspec.Struct, frozen=True):
    """A row of templates/s<seed>.jsonl with the facts that its method added."""

    row: TemplateRow
    facts: dict[str, Any]


def read_metrics(run: Path) -> list[Metrics]:
    """All rows of a run's metrics.jsonl; none where nothing was trained. Raises HarnessError for a row that does not fit."""
    path = run / "metrics.jsonl"
    return [metrics_of(tree, path) for tree in read_jsonl(path)]


def metrics_of(tree: Mapping[str, Any], path: Path) -> Metrics:
    """A row of metrics.jsonl; `path` is what an error names. Raises HarnessError for a row that does not fit."""
    row, rest = _split(tree, MetricRow, path)
    return Metrics(row, {k: v for k, v in rest.items() if isinstance(v, int | float) and not isinstance(v, bool)})


def last_metrics(run: Path, size: int = 20_000) -> list[MetricRow]:
    """The last whole rows, in `size` bytes, of a metrics.jsonl that may be written to right now.

    What is no row is left out: it is for the run itself to refuse.
    """
    path = run / "metrics.jsonl"
    if not path.is_file():
        return []
    with path.open("rb") as file:
        start = max(file.seek(0, os.SEEK_END) - size, 0)
        file.seek(start)
        lines = file.read().split(b"\n")
    rows = []
    for line in lines[bool(start) : -1]:
        with contextlib.suppress(msgspec.MsgspecError, *UNREADABLE):
            rows.append(msgspec.json.decode(line, type=MetricRow))
    return rows


def template_rows(run: Path, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The rows of these seeds as they are, to be filed."""
    return [row for seed in seeds for row in read_jsonl(run / "templates" / f"s{seed}.jsonl")]


def read_templates(run: Path, seeds: Sequence[int]) -> list[Template]:
    """All templates of these seeds. Raises HarnessError for a row that does not fit."""
    return templates_of(template_rows(run, seeds), run / "templates")


def templates_of(rows: Iterable[Mapping[str, Any]], path: Path) -> list[Template]:
    """Rows in their model; `path` is what an error names."""
    return [Template(*_split(row, TemplateRow, path)) for row in rows]


def rollouts_path(run: Path, seed: int) -> Path:
    """All rollouts of a seed's training, a group a row (`Group.to_row` in harness/core/types.py)."""
    return run / "rollouts" / f"s{seed}.jsonl"


def first_rollouts(run: Path, seed: int) -> FirstRollouts | None:
    """What a seed's training began with; None where it sampled no rollouts.

    Of every group, in the order of the batch: the problem, then what was asked and answered, sorted, since an engine may
    return the completions of one problem in any order. No more of the file is read than the first epoch.
    """
    of_batch, of_epoch, batch = hashlib.sha256(), hashlib.sha256(), None
    for _, row in iter_jsonl(rollouts_path(run, seed)):
        if row["epoch"] != 0:
            break
        batch = row["batch"] if batch is None else batch
        drawn = [r for key in ("rollouts", "discarded", "requests") for r in row[key]]
        said = [row["problem"], sorted([r["context"]["rollout"], r["text"]] for r in drawn)]
        line = (json.dumps(said) + "\n").encode()
        of_epoch.update(line)
        if row["batch"] == batch:
            of_batch.update(line)
    return None if batch is None else FirstRollouts(batch=of_batch.hexdigest(), epoch=of_epoch.hexdigest())


def _split(tree: Mapping[str, Any], model: type[T], path: Path) -> tuple[T, dict[str, Any]]:
    """The fields that `model` has, and the others."""
    try:
        row = msgspec.convert(tree, model)
    except (msgspec.MsgspecError, *UNREADABLE) as e:
        raise HarnessError(visible(f"{path} cannot be read: {dotted([e])}")) from None
    known = model.__struct_fields__
    return row, {key: value for key, value in tree.items() if key not in known}
