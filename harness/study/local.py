"""The jobs of a study as processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from harness.runs.files import open_appending
from harness.runs.logs import last_metrics
from harness.runs.result import seed_path
from harness.study.cells import Cell
from harness.study.jobs import Job, jobs_of

if TYPE_CHECKING:
    from harness.study.folder import StudyDir

MAX_JOBS = 4
"""Runs at once, unless told otherwise."""
STOP_S = 60.0
"""Seconds that an interrupted job gets to stop by itself."""
POLL_S = 0.2
"""Seconds between two looks at the children."""
CHILD = """import os, signal, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so would their children
def watch():
    os.read(0, 1)  # returns when the study's end of the pipe is closed: it was killed
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=watch, daemon=True).start()
from harness.cli import main
main()"""
"""What a job runs; it outlives a killed study by one batch at most, and stops at a checkpoint."""


def default_jobs(folder: StudyDir) -> int:
    if any(cell.spec.backend.name == "openrlhf" for cell in folder.cells):
        return 1  # it takes the whole cluster
    return min(os.cpu_count() or 1, MAX_JOBS)


class Local:
    """Jobs under way; `failed` says why, by the name of a job or a cell."""

    def __init__(self, folder: StudyDir) -> None:
        self.folder = folder
        self.waiting = [job for cell in folder.cells if cell.chosen for job in jobs_of(folder, cell)]
        self.running: dict[str, tuple[Job, subprocess.Popen[bytes]]] = {}
        self.failed: dict[str, str] = {}

    def run(self, jobs: int) -> dict[str, str]:
        """Run what is not done of the chosen arms, `jobs` at once, and merge what was done seed by seed; returns why, for
        everything that is not done then. Whatever ends this first stops all children at their last checkpoint."""
        from harness.progress import Progress

        chosen = [cell for cell in self.folder.cells if cell.chosen]
        every = list(self.waiting)
        self.waiting = [job for job in every if not self.folder.job_done(job)]
        with Progress(sum(cell.units for cell in chosen), f"study of {len(chosen)} runs") as progress:
            try:
                while self.waiting or self.running:
                    self._start_ready(jobs)
                    self._collect()
                    complete = sum(self.folder.done(cell.name) for cell in chosen)
                    text = f"{complete} of {len(chosen)} done, running {', '.join(self.running)}"
                    progress.update(sum(self.units_done(job) for job in every), text)
                    if self.running:
                        time.sleep(POLL_S)
            finally:
                _stop({name: process for name, (_, process) in self.running.items()})
        return self.failed

    def _start_ready(self, jobs: int) -> None:
        for job in [j for j in self.waiting if j.cell.match and self._has_failed(j.cell.match)]:
            self.waiting.remove(job)
            self.failed[job.name] = f"not started, it stops at the tokens of {job.cell.match}"
        ready = [j for j in self.waiting if j.cell.match is None or self.folder.done(j.cell.match)]
        for job in ready[: jobs - len(self.running)]:
            self.waiting.remove(job)
            if not _free(job):
                self.failed[job.name] = f"another process is writing to {job.path}"
            elif not self.folder.job_done(job):
                self.running[job.name] = job, self.folder.start(job)

    def _collect(self) -> None:
        for name, (job, process) in list(self.running.items()):
            if process.poll() is not None:
                del self.running[name]
                if process.returncode or not self.folder.job_done(job):
                    self.failed[name] = f"failed with exit code {process.returncode}, see {job.log}"
        for cell in self.folder.cells:
            if cell.chosen and cell.name not in self.failed and (why := self.folder.settle(cell)):
                self.failed[cell.name] = why

    def _has_failed(self, name: str) -> bool:
        return any(name in (own, own.rpartition("@")[0]) for own in self.failed)

    def units_done(self, job: Job) -> int:
        """Of `job.units`, as its run directory tells; a failed job has nothing left to do."""
        if job.name in self.failed or self.folder.job_done(job):
            return job.units
        seeds = {s for s in job.seeds if seed_path(job.path, s).exists()}
        rollouts = 0
        for row in last_metrics(job.path):
            if row.seed not in seeds:
                rollouts = int(row.rollouts)
        assert job.cell.plan is not None
        return len(seeds) * (job.units // len(job.seeds)) + min(rollouts, job.cell.plan.rollouts)


def _free(job: Job) -> bool:
    """Wait until a process that a killed study left behind has stopped; whether nothing writes to the folder then."""
    if not job.path.exists():
        return True
    try:
        with FileLock(job.path / ".lock", timeout=STOP_S):
            return True
    except Timeout:
        return False


def start(job: Job) -> subprocess.Popen[bytes]:
    """The job's process, its output in its log; terminal signals reach it only through `_stop`."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with open_appending(job.log) as file:
        return subprocess.Popen(
            [sys.executable, "-c", CHILD, *job.words],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=file,
            start_new_session=True,
            env={**os.environ, **threads_of(job.cell)},
        )


def threads_of(cell: Cell) -> dict[str, str]:
    """The environment's part in how many threads a cell computes with, where its recipe says how many."""
    threads = cell.spec.local.threads
    return {"OMP_NUM_THREADS": str(threads)} if threads else {}


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
