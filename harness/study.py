"""Studies: many runs as one. A YAML file says arms x conditions x seeds; every cell of the product is one `harness run`.

    OUT/
      study.json             what was asked, cell by cell; at the end also what came out
      cells/<cell>/          the run directory of a cell, <condition>--<arm> or <arm>
      logs/<cell>.log        what its process printed
      study.md study.html    at the end: all cells in one table, a comparison per condition

What is done is told by the run directories alone, so the same command goes on after anything.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from filelock import FileLock, Timeout
from pydantic import Field, StringConstraints

from harness.config import RunSpec, flatten, parse_set, read_yaml, resolve, validated
from harness.core.errors import HarnessError, UsageError, nearest
from harness.core.settings import Strict
from harness.registry import method_of, studies
from harness.report.tables import Table, compact, interval, points, seconds
from harness.runs.environment import ENV_FILE
from harness.runs.logs import last_metrics
from harness.runs.result import is_finished, seed_path
from harness.runs.spec import has_spec, read_spec

if TYPE_CHECKING:
    from harness.data.contamination import Match
    from harness.plan import Plan
    from harness.stats.comparison import Comparison

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+([._-][A-Za-z0-9]+)*$")]
"""Of an arm or a condition: part of a folder's name."""
MAX_JOBS = 4
"""Runs at once, unless told otherwise."""
OWN = ("seeds", "eval.bench")
"""Settings that a study says at its top, not among its settings."""
SHARED = ("model.", "testbed.", "eval.", "backend.name", "train.set", "train.limit")
"""Settings in which the arms of a condition must agree: `harness compare` refuses them otherwise."""
STOP_S = 60.0
"""Seconds that an interrupted cell gets to stop by itself."""
POLL_S = 0.2
"""Seconds between two looks at the children."""
BEGUN = (".lock", "study.json.tmp")
"""What a study that was killed at once leaves in its folder."""
CHILD = """import os, signal, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so would their children
def watch():
    os.read(0, 1)  # returns when the study's end of the pipe is closed: it was killed
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=watch, daemon=True).start()
from harness.cli import main
main()"""
"""What a cell runs; it outlives a killed study by one batch at most, and stops at a checkpoint."""


class StudyArm(Strict):
    """One arm: a method with settings."""

    method: str
    """A name of `harness list methods`."""
    settings: dict[str, Any] = {}
    """On top of the recipe, the study's own and the condition's; nested or with dotted keys."""
    match: str | None = None
    """An arm at whose tokens this one stops, as `--match-budget` does."""


class Study(Strict):
    """A study as its file states it."""

    title: str
    """One line."""
    text: str = ""
    """What it is to show, and how it is to be read."""
    recipe: str = "testbed"
    """A name of `harness list recipes`."""
    bench: str = "id,ood"
    """Suites, groups, or the roles id, ood, all."""
    seeds: tuple[int, ...] | None = None
    """Training seeds of every cell; null is the recipe's."""
    settings: dict[str, Any] = {}
    """Of all arms."""
    arms: dict[Name, StudyArm] = Field(min_length=1)
    """By name, in the order of the tables."""
    conditions: dict[Name, dict[str, Any]] = {}
    """Settings by name; every arm runs under each."""
    baseline: str | None = None
    """The arm that others are compared with; null is the first grpo arm, else the first."""

    def ordered(self) -> Iterator[str]:
        """The arms, each after the one that it matches. Raises UsageError for an unknown one or a circle."""
        done: list[str] = []

        def visit(name: str, above: tuple[str, ...]) -> Iterator[str]:
            if name in above:
                raise UsageError(f"arms match each other in a circle: {', '.join((*above, name))}")
            target = self.arms[name].match
            if target is not None:
                if target not in self.arms:
                    raise UsageError(f"arms.{name}.match: no arm {target!r}{nearest(target, self.arms)}")
                yield from visit(target, (*above, name))
            if name not in done:
                done.append(name)
                yield name

        for name in self.arms:
            yield from visit(name, ())


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
        spec = self.spec.model_dump(mode="json")
        row = {"name": self.name, "condition": self.condition, "arm": self.arm, "match": self.match}
        return {**row, "hash": self.spec.hash(), "spec": spec, "plan": vars(self.plan) if self.plan else None}


def load_study(word: str) -> Study:
    """A shipped study by its name, or one from a file. Raises UsageError or MissingError."""
    known = studies()
    path = known.get(word, Path(word))
    if word not in known and path.suffix not in (".yaml", ".yml") and not path.exists():
        raise UsageError(f"no study {word!r}, and no such file{nearest(word, known)}")
    tree = read_yaml(path)
    try:
        study = validated(Study, tree, "")
        list(study.ordered())
        if study.baseline is not None and study.baseline not in study.arms:
            raise UsageError(f"baseline: no arm {study.baseline!r}{nearest(study.baseline, study.arms)}")
    except UsageError as e:
        raise UsageError(f"{path}: {e}") from None
    return study


def as_sets(settings: Mapping[str, Any]) -> list[str]:
    """Settings as `--set` takes them. A key with dots is a path at the top, and a name of its own further down."""

    def walk(prefix: str, tree: Mapping[str, Any]) -> Iterator[str]:
        for key, value in tree.items():
            name = f'{prefix}"{key}"' if prefix and "." in str(key) else f"{prefix}{key}"
            if isinstance(value, Mapping):
                yield from walk(f"{name}.", value)
            else:
                yield f"{name}={json.dumps(value, default=str)}"  # str: of a date

    sets = list(walk("", settings))
    for own in OWN:
        if any(own in flatten(parse_set(item)) for item in sets):
            raise UsageError(f"{own} is the same for all cells: say {own.removeprefix('eval.')} at the top of the study")
    return sets


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
                    name,
                    condition,
                    arm,
                    resolve(own.method, study.recipe, sets=sets, flags=flags),
                    tuple(sets),
                    match,
                    None,
                    arm in needed and (not only or arm in only),
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


def cell_name(condition: str, arm: str) -> str:
    return f"{condition}--{arm}" if condition else arm


def cells_dir(out: Path) -> Path:
    return out / "cells"


def _shared(key: str) -> bool:
    return key.startswith(SHARED)


def _check_condition(cells: Sequence[Cell]) -> None:
    """Arms that cannot be compared, or are one and the same, are found before they are paid for."""
    first: dict[str, str] = {}
    for cell in cells:
        differ = [key for key in cell.spec.changed(cells[0].spec.model_dump(mode="json")) if _shared(key)]
        if differ:
            raise UsageError(f"{cells[0].name} and {cell.name} cannot be compared, they differ in {', '.join(differ)}")
        unnamed = cell.spec.model_copy(update={"method": method_of(cell.spec.method)})
        same = first.setdefault(f"{unnamed.hash()} {cell.match}", cell.name)
        if same != cell.name:
            raise UsageError(f"{same} and {cell.name} are the same run; leave one out")


def plan_table(study: Study, cells: Sequence[Cell]) -> Table:
    """What the chosen cells take, all seeds together, and the sum. Bounds as in harness/plan.py."""
    rows, sums, unknown = [], [0, 0, 0, 0.0], False
    for cell in (c for c in cells if c.chosen):
        assert cell.plan is not None
        n, p = len(cell.spec.seeds), cell.plan
        own = [n * p.rollouts, n * (p.generated_tokens + p.eval_tokens), n * p.optimiser_steps, p.seconds]
        unknown |= p.seconds is None
        sums = [a + (b or 0) for a, b in zip(sums, own, strict=True)]
        rows.append((cell.name, cell.spec.method, str(n), *_costs(own), f"tokens of {cell.match}" if cell.match else ""))
    rows.append(("total", "", "", *_costs([*sums[:3], None if unknown else sums[3]]), ""))
    notes = (
        "All seeds together, evaluation tokens included; rollouts and tokens are upper bounds, and a cell with a budget in "
        "tokens is planned at the most that its arm may write. Time: of one run after the other, on two cores.",
    )
    header = ("cell", "method", "seeds", "rollouts", "tokens", "optimiser steps", "time", "budget")
    return Table(study.title, header, "llrrrrrl", rows, notes)


def _costs(values: Sequence[float | None]) -> tuple[str, ...]:
    *counts, time_s = values
    return (*(compact(x or 0) for x in counts), "unknown" if time_s is None else seconds(time_s))


class StudyDir:
    """A study on disk, and the processes that fill it."""

    def __init__(self, out: Path, study: Study, cells: Sequence[Cell], data_dir: Path | None) -> None:
        """Writes nothing yet. Raises UsageError, naming the fields, where cells were begun under other settings."""
        self.out, self.study, self.cells, self.data_dir = out, study, list(cells), data_dir
        foreign = out.is_file() or (out.is_dir() and any(p.name not in BEGUN for p in out.iterdir()))
        if foreign and not (out / "study.json").exists():
            raise UsageError(f"{out} already holds files that are no study's; name another --out")
        changed = {cell.name: fields for cell in cells if (fields := self._changed(cell))}
        if changed:
            what = "; ".join(f"{name}: {', '.join(fields)}" for name, fields in changed.items())
            raise UsageError(f"{out} was begun under other settings, name another --out or set them back; changed: {what}")

    def path(self, name: str) -> Path:
        return cells_dir(self.out) / name

    def log(self, name: str) -> Path:
        return self.out / "logs" / f"{name}.log"

    def done(self, name: str) -> bool:
        """Whether the cell's run is finished, its report written."""
        return is_finished(self.path(name)) and (self.path(name) / "report.html").exists()

    def _changed(self, cell: Cell) -> list[str]:
        path = self.path(cell.name)
        fields = cell.spec.changed(read_spec(path).spec) if has_spec(path) else []
        pending = cell.match is not None and not self.done(cell.match)  # its budget is not known yet
        return [f for f in fields if not (pending and f == "train.max_sampled_tokens")]

    def run(self, jobs: int | None = None) -> dict[str, str]:
        """Run what is not done of the chosen arms, `jobs` at once; returns why, for every cell that is not done then.

        A KeyboardInterrupt, or SIGTERM, first stops all children at their last checkpoint.
        """
        for cell in self.cells:
            target = next((c for c in self.cells if c.name == cell.match), None)
            if cell.chosen and target and not target.chosen and not self.done(target.name):
                raise UsageError(f"{cell.arm} stops at the tokens of {target.arm}: run that too, with --only or before")
        self.out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.out / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise HarnessError(f"another process is running the study in {self.out}") from None
        previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            self._write({})
            return self._run_all(jobs or self._default_jobs())
        finally:
            signal.signal(signal.SIGTERM, previous)
            lock.release()

    def _default_jobs(self) -> int:
        if any(cell.spec.backend.name == "openrlhf" for cell in self.cells):
            return 1  # it takes the whole cluster
        return min(os.cpu_count() or 1, MAX_JOBS)

    def _run_all(self, jobs: int) -> dict[str, str]:
        from harness.progress import Progress

        chosen = [cell for cell in self.cells if cell.chosen]
        waiting = [cell for cell in chosen if not self.done(cell.name)]
        running: dict[str, subprocess.Popen[bytes]] = {}
        failed: dict[str, str] = {}
        with Progress(sum(cell.units for cell in chosen), f"study of {len(chosen)} runs") as progress:
            try:
                while waiting or running:
                    for cell in [c for c in waiting if c.match in failed]:
                        waiting.remove(cell)
                        failed[cell.name] = f"not started, it stops at the tokens of {cell.match}"
                    ready = [c for c in waiting if c.match is None or self.done(c.match)]
                    for cell in ready[: jobs - len(running)]:
                        waiting.remove(cell)
                        if not self._free(cell.name):
                            failed[cell.name] = f"another process is writing to {self.path(cell.name)}"
                        elif not self.done(cell.name):
                            running[cell.name] = self._start(cell)
                    for name, process in list(running.items()):
                        if process.poll() is not None:
                            del running[name]
                            if process.returncode or not self.done(name):
                                failed[name] = f"failed with exit code {process.returncode}, see {self.log(name)}"
                    complete = sum(self.done(cell.name) for cell in chosen)
                    text = f"{complete} of {len(chosen)} done, running {', '.join(running)}"
                    progress.update(sum(self._units_done(cell, cell.name in failed) for cell in chosen), text)
                    if running:
                        time.sleep(POLL_S)
            finally:
                _stop(running)
        return failed

    def _units_done(self, cell: Cell, failed: bool) -> int:
        """Of `cell.units`, as its run directory tells; a failed cell has nothing left to do."""
        if failed or self.done(cell.name):
            return cell.units
        path, each = self.path(cell.name), cell.units // len(cell.spec.seeds)
        seeds = {s for s in cell.spec.seeds if seed_path(path, s).exists()}
        rollouts = 0
        for row in last_metrics(path):
            if row.seed not in seeds:
                rollouts = int(row.rollouts)
        assert cell.plan is not None
        return len(seeds) * each + min(rollouts, cell.plan.rollouts)

    def _free(self, name: str) -> bool:
        """Wait until a process that a killed study left behind has stopped; whether nothing writes to the cell then."""
        if not self.path(name).exists():
            return True
        try:
            with FileLock(self.path(name) / ".lock", timeout=STOP_S):
                return True
        except Timeout:
            return False

    def _start(self, cell: Cell) -> subprocess.Popen[bytes]:
        """The cell's `harness run`, its output in its log; terminal signals reach it only through `_stop`."""
        path, log = self.path(cell.name), self.log(cell.name)
        begun = has_spec(path)
        if not begun:
            for left in (".lock", ENV_FILE):  # of a process that was killed before it wrote its spec
                (path / left).unlink(missing_ok=True)
        spec, threads = cell.spec, cell.spec.local.threads
        words = ["run", "--method", spec.method, "--recipe", self.study.recipe, "--bench", spec.eval.bench]
        words += ["--seeds", ",".join(map(str, spec.seeds)), "--out", str(path)]
        words += [w for item in cell.sets for w in ("--set", item)]
        words += ["--match-budget", str(self.path(cell.match))] if cell.match else []
        words += ["--data-dir", str(self.data_dir)] if self.data_dir else []
        words += ["--resume"] if begun else []
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            return subprocess.Popen(
                [sys.executable, "-c", CHILD, *words],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                start_new_session=True,
                env={**os.environ, **({"OMP_NUM_THREADS": str(threads)} if threads else {})},
            )

    def comparisons(self) -> dict[str, Comparison]:
        """By condition, of its finished cells under the names of their arms; a condition without any is left out."""
        from harness.stats.comparison import compare_runs

        found = {}
        for condition in self.study.conditions or [""]:
            arms = [a for a in self.study.arms if self.done(cell_name(condition, a))]
            if arms:
                baseline = arms.index(self.study.baseline) if self.study.baseline in arms else None
                c = compare_runs([self.path(cell_name(condition, a)) for a in arms], baseline)
                named = [replace(arm, label=name) for arm, name in zip(c.arms, arms, strict=True)]
                found[condition] = replace(c, arms=named)
        return found

    def write_results(self) -> dict[str, Any]:
        """study.md, study.html, and the results in study.json, of all that is finished; returns these results."""
        from harness.report.study import write_study

        found = self.comparisons()
        results = {
            "summary": [row for condition, c in found.items() for row in summary(condition, c)],
            "comparisons": {condition: c.to_dict() for condition, c in found.items()},
            "not_done": [cell.name for cell in self.cells if not self.done(cell.name)],
        }
        self._write({"results": results})
        if found:
            note = f"Not done: {', '.join(results['not_done'])}." if results["not_done"] else ""
            write_study(self.out, self.study.title, [self.study.text, note], summary_table(results["summary"]), found)
        return results

    def _write(self, more: Mapping[str, Any]) -> None:
        from harness.runs.files import write_json

        cells = [cell.to_dict() for cell in self.cells]
        for row in cells:  # a matched cell's own spec holds the tokens that it stopped at, not the most that they might be
            if has_spec(path := self.path(row["name"])):
                stored = read_spec(path)
                row |= {"hash": stored.hash, "spec": stored.spec, "data": stored.data}
        write_json(self.out / "study.json", {"study": self.study.model_dump(mode="json"), "cells": cells, **more})


def _stop(running: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """Interrupt the children, wait for them, and kill what has not stopped by then, or at a second interrupt."""
    for process in running.values():
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    try:
        until = time.monotonic() + STOP_S
        for process in running.values():
            process.wait(max(until - time.monotonic(), 0.1))
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        for process in running.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def summary(condition: str, comparison: Comparison) -> list[dict[str, Any]]:
    """A row per arm: its macro averages (or suites, where it has none), solved seeds, and what a seed paid; shares."""
    measures = [m for m in comparison.measures if m.protocol is None] or comparison.measures
    rows = []
    for arm in comparison.arms:
        scores = {}
        for m in measures:
            s = arm.scores[m.key]
            scores[m.title] = {"mean": s.mean, "sd": s.sd, "solved": vars(s.solved) if s.solved else None}
        rows.append(
            {
                "condition": condition,
                "arm": arm.label,
                "method": arm.method,
                "run": arm.run,
                "seeds": list(arm.seeds),
                "scores": scores,
                "budget": arm.budget,
                "not_a_result": arm.not_a_result,
            }
        )
    return rows


def summary_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """All finished cells of `summary`; grouped by condition, where there are several."""
    measures = list(dict.fromkeys(title for row in rows for title in row["scores"]))
    solving = [t for t in measures if any(row["scores"].get(t, {}).get("solved") for row in rows)]
    header = ["condition", "arm", "method", "seeds"]
    for title in measures:
        header += [title.removesuffix(" macro average"), "sd", *(["solved", "95% exact"] if title in solving else [])]
    header += ["rollouts", "tokens", "steps", "time"]
    out = []
    for i, row in enumerate(rows):
        first = i == 0 or rows[i - 1]["condition"] != row["condition"]
        cells = [row["condition"] if first else "", row["arm"], row["method"], str(len(row["seeds"]))]
        for title in measures:
            s = row["scores"].get(title)
            cells += [points(s["mean"]), "" if s["sd"] is None else points(s["sd"])] if s else ["", ""]
            if title in solving:
                x = s and s["solved"]
                cells += [f"{x['count']}/{len(row['seeds'])}", interval(x["low"], x["high"])] if x else ["", ""]
        b = row["budget"]
        cells += [compact(b["rollouts"]), compact(b["generated_tokens"] + b["reflection_tokens"])]
        out.append((*cells, compact(b["optimiser_steps"]), seconds(b["wall_seconds"])))
    start = int(not any(row["condition"] for row in rows))
    notes = ["Percent points, mean over seeds; sd: sample standard deviation. Budgets: of training, a seed on average."]
    if solving:
        notes.append("Solved: seeds that score at least 50.0, with the Clopper-Pearson interval.")
    for reason in dict.fromkeys(row["not_a_result"] for row in rows if row["not_a_result"]):
        names = [cell_name(row["condition"], row["arm"]) for row in rows if row["not_a_result"] == reason]
        notes.insert(0, f"Not a result: {'all' if len(names) == len(rows) else ', '.join(names)}; {reason}.")
    align = "lll" + "r" * (len(header) - 3)
    return Table("All cells", tuple(header[start:]), align[start:], [r[start:] for r in out], tuple(notes))
