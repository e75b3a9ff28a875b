"""The cells of a study: every arm under every condition, resolved and checked before the first one starts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.config import RunSpec, resolve
from harness.core.errors import HarnessError, UsageError, nearest
from harness.core.trees import flatten
from harness.registry import method_of
from harness.runs.result import is_finished
from harness.stats.comparable import SHARED, kind_of
from harness.study.file import Study, as_sets

if TYPE_CHECKING:
    from harness.cost.estimate import Cost
    from harness.data.contamination import Match
    from harness.plan import Plan


@dataclass(frozen=True)
class Cell:
    """One run of a study. `match` names the cell at whose tokens it stops; `plan` is None where it was not prepared."""

    name: str
    condition: str
    arm: str
    spec: RunSpec
    sets: tuple[str, ...]
    match: str | None
    plan: Plan | None
    chosen: bool

    @property
    def units(self) -> int:
        """Rollouts and evaluation samples of all seeds."""
        assert self.plan is not None
        return len(self.spec.seeds) * (self.plan.rollouts + self.plan.eval_samples)

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        spec = self.spec.model_dump(mode="json")
        row = {"name": self.name, "condition": self.condition, "arm": self.arm, "match": self.match}
        return {**row, "hash": self.spec.hash(), "spec": spec, "plan": asdict(self.plan) if self.plan else None}


def prepare_study(
    study: Study,
    data_dir: Path | None,
    seeds: Sequence[int] | None = None,
    only: Sequence[str] | None = None,
    out: Path | None = None,
) -> list[Cell]:
    """All cells, in the order of the tables; those of the arms in `only` (all by default) are checked as a run is.

    A matched cell stops at the tokens of its arm in `out`, or, before that is finished, at the most it may write. Raises
    UsageError or MissingError, with the name of the cell.
    """
    from harness.core.budget import MANY_EPOCHS
    from harness.plan import matched
    from harness.run import prepare

    for arm in only or ():
        if arm not in study.arms:
            raise UsageError(f"--only: no arm {arm!r}{nearest(arm, study.arms)}")
    overlaps: dict[str, dict[str, list[Match]]] = {}  # by training set and suites: they are the same for most cells
    cells: dict[str, Cell] = {}
    needed = {a for a in study.arms if not only or a in only}
    for arm in reversed(list(study.ordered())):  # the plan of an arm is needed for that of one that matches it
        if arm in needed and study.arms[arm].match:
            needed.add(study.arms[arm].match or "")
    for condition, common in (study.conditions or {"": {}}).items():
        for arm in study.ordered():
            own, name = study.arms[arm], cell_name(condition, arm)
            flags: dict[str, Any] = {"eval": {"bench": study.bench}}
            if seeds or study.seeds:
                flags["seeds"] = list(seeds or study.seeds or ())
            match = cell_name(condition, own.match) if own.match else None
            try:
                sets = [item for tree in (study.settings, common, own.settings) for item in as_sets(tree)]
                if match and out and is_finished(cells_dir(out) / match):
                    flags["train"] = matched(cells_dir(out) / match)
                elif match:
                    plan = cells[match].plan
                    most = plan.generated_tokens if plan else None
                    flags["train"] = {"max_sampled_tokens": most, "max_rollouts": None, "epochs": MANY_EPOCHS}
                cell = Cell(
                    name=name,
                    condition=condition,
                    arm=arm,
                    spec=resolve(own.method, study.recipe, sets=sets, flags=flags),
                    sets=tuple(sets),
                    match=match,
                    plan=None,
                    chosen=arm in needed and (not only or arm in only),
                )
                if arm in needed:
                    key = json.dumps([v for k, v in flatten(cell.spec.model_dump(mode="json")).items() if _shared(k)])
                    prepared = prepare(cell.spec, data_dir, False, overlaps.get(key))
                    overlaps[key] = prepared.overlaps
                    cell = replace(cell, plan=prepared.plan)
            except HarnessError as e:
                raise type(e)(f"{name}: {e}") from None
            cells[name] = cell
        _check_condition([cells[cell_name(condition, arm)] for arm in study.arms])
    return [cells[cell_name(condition, arm)] for condition in study.conditions or [""] for arm in study.arms]


def costs_of(cells: Sequence[Cell], throughput: Sequence[str] = ()) -> dict[str, Cost | None]:
    """The cost of every chosen cell by its name; None where nothing is known of the model's speed. A matched cell costs what it
    takes to sample as much as its arm. Raises as `given`."""
    from harness.cost.estimate import estimate
    from harness.cost.throughput import given

    found: dict[str, Cost | None] = {}
    for cell in sorted((c for c in cells if c.plan), key=lambda c: c.match is not None):  # what is matched comes first
        assert cell.plan is not None
        assumed = given(cell.spec, throughput)
        other = found.get(cell.match) if cell.match else None
        tokens = other.sampled_tokens if other else None
        found[cell.name] = None if assumed.lacking else estimate(cell.spec, cell.plan, assumed, tokens)
    return {cell.name: found[cell.name] for cell in cells if cell.chosen}


def cell_name(condition: str, arm: str) -> str:
    return f"{condition}--{arm}" if condition else arm


def cells_dir(out: Path) -> Path:
    return out / "cells"


def parts_dir(out: Path) -> Path:
    """Hidden, so that seeds which are yet to be merged are nobody's runs (`runs_below` in harness/runs/result.py)."""
    return out / ".parts"


def _shared(key: str) -> bool:
    """Whether the arms of a condition must agree in a setting: `harness compare` refuses them otherwise."""
    return kind_of(key) in SHARED


def _check_condition(cells: Sequence[Cell]) -> None:
    """Finds arms that cannot be compared, or are the same, before any of them runs."""
    first: dict[str, str] = {}
    for cell in cells:
        differ = [key for key in cell.spec.changed(cells[0].spec.model_dump(mode="json")) if _shared(key)]
        if differ:
            raise UsageError(f"{cells[0].name} and {cell.name} cannot be compared, they differ in {', '.join(differ)}")
        unnamed = cell.spec.model_copy(update={"method": method_of(cell.spec.method)})
        same = first.setdefault(f"{unnamed.hash()} {cell.match}", cell.name)
        if same != cell.name:
            raise UsageError(f"{same} and {cell.name} are the same run; leave one out")
