"""A study on disk.

    OUT/
      study.json             what was asked, cell by cell; at the end also what came out
      cells/<cell>/          the run folder of a cell, <condition>--<arm> or <arm>
      .parts/<cell>/s<seed>/ that of one seed, where seeds are jobs of their own, until the cell is merged of all of them
      logs/<job>.log         what a process printed; a job is named after its cell, <cell>@s<seed> where it has one seed
      jobs/<job>.sh          its script, where others run it
      study.md study.html    at the end: all cells in one table, a comparison per condition

Only the run folders tell what is done, so the same command continues after anything.
"""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock, Timeout

from harness.core.errors import HarnessError, UsageError, listed
from harness.core.secrets import without_secrets
from harness.runs.files import LEFTOVER, check_plain
from harness.runs.rundir import RunDir
from harness.runs.spec import has_spec, read_spec
from harness.study.cells import Cell, cell_name, cells_dir, parts_dir
from harness.study.file import Study
from harness.study.jobs import Job
from harness.study.local import Local, default_jobs, start
from harness.study.merge import merge
from harness.study.queues import Queue, hand_over
from harness.study.tables import SummaryRow, summary, summary_table

if TYPE_CHECKING:
    from harness.stats.comparison import Comparison

BEGUN = re.compile(rf"\.lock|{LEFTOVER.pattern}")
"""What a study that was killed at once leaves in its folder."""


class StudyDir:
    """A study on disk: what of it is done, and who does the rest."""

    def __init__(
        self, out: Path, study: Study, cells: Sequence[Cell], data_dir: Path | None, per: Literal["cell", "seed"] = "cell"
    ) -> None:
        """`per`: what a job is, a whole cell or one of its seeds. Writes nothing yet. Raises UsageError, naming the fields,
        where cells were begun under other settings."""
        self.out, self.study, self.cells, self.data_dir, self.per = out, study, list(cells), data_dir, per
        if out.is_dir():
            check_plain(out)
        foreign = out.is_file() or (out.is_dir() and any(not BEGUN.fullmatch(p.name) for p in out.iterdir()))
        if foreign and not (out / "study.json").exists():
            raise UsageError(f"{out} already holds files that are no study's; name another --out")
        changed = {cell.name: fields for cell in cells if (fields := self._changed(cell))}
        if changed:
            what = "; ".join(f"{name}: {listed(fields)}" for name, fields in changed.items())
            raise UsageError(f"{out} was begun under other settings, name another --out or set them back; changed: {what}")

    def path(self, name: str) -> Path:
        return cells_dir(self.out) / name

    def part(self, name: str, seed: int) -> Path:
        """Where a seed of a cell is run that is a job of its own."""
        return parts_dir(self.out) / name / f"s{seed}"

    def log(self, name: str) -> Path:
        return self.out / "logs" / f"{name}.log"

    def done(self, name: str) -> bool:
        """Whether the cell's run is finished, its report written."""
        return RunDir(self.path(name)).complete

    def _changed(self, cell: Cell) -> list[str]:
        path = self.path(cell.name)
        fields = cell.spec.changed(read_spec(path).spec) if has_spec(path) else []
        begun = [p for seed in cell.spec.seeds if has_spec(p := self.part(cell.name, seed))]
        fields += [f for part in begun for f in cell.spec.changed(read_spec(part).spec) if f not in ("seeds", *fields)]
        pending = cell.match is not None and not self.done(cell.match)  # its budget is not known yet
        return [f for f in fields if not (pending and f == "train.max_sampled_tokens")]

    def by_seed(self, cell: Cell) -> bool:
        """Whether its seeds are jobs of their own; one that was begun goes on as it was begun."""
        if len(cell.spec.seeds) == 1 or has_spec(self.path(cell.name)):
            return False
        return self.per == "seed" or (parts_dir(self.out) / cell.name).exists()

    def job_done(self, job: Job) -> bool:
        """Whether the job's run is finished, its report written, or merged into its cell's."""
        return self.done(job.cell.name) or RunDir(job.path).complete

    def settle(self, cell: Cell) -> str | None:
        """Merge the seeds of a cell once all are done, and delete their folders; returns why it could not be done."""
        parts = [self.part(cell.name, seed) for seed in cell.spec.seeds]
        if self.by_seed(cell) and all(RunDir(path).complete for path in parts):
            try:
                self.path(cell.name).parent.mkdir(parents=True, exist_ok=True)
                merge(parts, self.path(cell.name), without_secrets(shlex.join(["harness", *sys.argv[1:]])))
            except HarnessError as e:
                return str(e)
        if self.done(cell.name):
            shutil.rmtree(parts_dir(self.out) / cell.name, ignore_errors=True)
        return None

    def run(self, jobs: int | None = None) -> dict[str, str]:
        """Run what is not done of the chosen arms, `jobs` at once; returns why, for every cell or job that is not done then.

        A KeyboardInterrupt, or SIGTERM, first stops all children at their last checkpoint.
        """
        with self._held():
            return Local(self).run(jobs or default_jobs(self))

    def start(self, job: Job, device: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """A job as a process of this machine, which sees `device`."""
        return start(job, device)

    def hand_over(self, queue: Queue) -> tuple[dict[str, str], dict[str, str]]:
        """Submit what is neither done nor under way, and merge what can be; returns how every job stands, and why, for every
        cell that could not be merged."""
        with self._held():
            return hand_over(self, queue)

    @contextmanager
    def _held(self) -> Iterator[None]:
        """The study is this process's, and what it asks for is written. Raises UsageError and HarnessError."""
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
            yield
        finally:
            signal.signal(signal.SIGTERM, previous)
            lock.release()

    def comparisons(self) -> dict[str, Comparison]:
        """By condition, of its finished cells under the names of their arms; a condition without any is left out."""
        from harness.stats.comparison import compare_runs

        found = {}
        for condition in self.study.conditions or [""]:
            arms = [a for a in self.study.arms if self.done(cell_name(condition, a))]
            if arms:
                baseline = arms.index(self.study.baseline) if self.study.baseline in arms else None
                c = compare_runs([self.path(cell_name(condition, a)) for a in arms], baseline)
                # Below the study's folder: its file is published, and says nothing of the machine.
                runs = [self.path(cell_name(condition, a)).relative_to(self.out).as_posix() for a in arms]
                named = [replace(arm, label=a, run=run) for arm, a, run in zip(c.arms, arms, runs, strict=True)]
                found[condition] = replace(c, arms=named)
        return found

    def write_results(self) -> tuple[dict[str, Any], list[SummaryRow]]:
        """study.md, study.html, and the results in study.json, of all that is finished; returns these, and a row per cell."""
        from harness.report.sentences import study_sentences
        from harness.report.study import write_study

        found = self.comparisons()
        rows = [row for condition, c in found.items() for row in summary(condition, c)]
        results: dict[str, Any] = {
            "sentences": [s.to_dict() for s in study_sentences(found)],
            "summary": [asdict(row) for row in rows],
            "comparisons": {condition: c.to_dict() for condition, c in found.items()},
            "not_done": [cell.name for cell in self.cells if not self.done(cell.name)],
        }
        self._write({"results": results})
        if found:
            note = f"Not done: {', '.join(results['not_done'])}." if results["not_done"] else ""
            write_study(self.out, self.study.title, [self.study.text, note], summary_table(rows), found)
        return results, rows

    def _write(self, more: Mapping[str, Any]) -> None:
        from harness.runs.files import write_json

        cells = [cell.to_dict() for cell in self.cells]
        for row in cells:  # a matched cell's own spec holds the tokens that it stopped at, not the most that they might be
            if has_spec(path := self.path(row["name"])):
                stored = read_spec(path)
                row |= {"hash": stored.hash, "spec": stored.spec, "data": stored.data}
        write_json(self.out / "study.json", {"study": self.study.model_dump(mode="json"), "cells": cells, **more})
