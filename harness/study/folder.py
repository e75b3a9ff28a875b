"""A study on disk, and the processes that fill it.

    OUT/
      study.json             what was asked, cell by cell; at the end also what came out
      cells/<cell>/          the run folder of a cell, <condition>--<arm> or <arm>
      logs/<cell>.log        what its process printed
      study.md study.html    at the end: all cells in one table, a comparison per condition

Only the run folders tell what is done, so the same command continues after anything.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from harness.core.errors import HarnessError, UsageError, listed
from harness.runs.environment import ENV_FILE
from harness.runs.files import LEFTOVER, check_plain, open_appending
from harness.runs.logs import last_metrics
from harness.runs.result import is_finished, seed_path
from harness.runs.spec import has_spec, read_spec
from harness.study.cells import Cell, cell_name, cells_dir
from harness.study.file import Study
from harness.study.tables import SummaryRow, summary, summary_table

if TYPE_CHECKING:
    from harness.stats.comparison import Comparison

MAX_JOBS = 4
"""Runs at once, unless told otherwise."""
STOP_S = 60.0
"""Seconds that an interrupted cell gets to stop by itself."""
POLL_S = 0.2
"""Seconds between two looks at the children."""
BEGUN = re.compile(rf"\.lock|{LEFTOVER.pattern}")
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


class StudyDir:
    """A study on disk, and the processes that fill it."""

    def __init__(self, out: Path, study: Study, cells: Sequence[Cell], data_dir: Path | None) -> None:
        """Writes nothing yet. Raises UsageError, naming the fields, where cells were begun under other settings."""
        self.out, self.study, self.cells, self.data_dir = out, study, list(cells), data_dir
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
        with open_appending(log) as file:
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
                # Below the study's folder: its file is published, and says nothing of the machine.
                runs = [self.path(cell_name(condition, a)).relative_to(self.out).as_posix() for a in arms]
                named = [replace(arm, label=a, run=run) for arm, a, run in zip(c.arms, arms, runs, strict=True)]
                found[condition] = replace(c, arms=named)
        return found

    def write_results(self) -> tuple[dict[str, Any], list[SummaryRow]]:
        """study.md, study.html, and the results in study.json, of all that is finished; returns these, and a row per cell."""
        from harness.report.study import write_study

        found = self.comparisons()
        rows = [row for condition, c in found.items() for row in summary(condition, c)]
        results: dict[str, Any] = {
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
