"""The jobs of a study as processes of this machine."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.runs.result import seed_path
from harness.study.cells import Cell
from harness.study.children import POLL_S, Devices, Watch, is_free, spawn, stop, threads
from harness.study.jobs import Job, jobs_of

if TYPE_CHECKING:
    from harness.study.folder import StudyDir

MAX_JOBS = 4
"""Runs at once, unless told otherwise."""


def default_jobs(folder: StudyDir) -> int:
    if any(cell.spec.backend.name == "openrlhf" for cell in folder.cells):
        return 1  # it takes the whole cluster
    return min(os.cpu_count() or 1, MAX_JOBS)


class Local:
    """Jobs under way; `failed` says why, by the name of a job or a cell."""

    def __init__(self, folder: StudyDir) -> None:
        self.folder = folder
        self.waiting = [job for cell in folder.cells if cell.chosen for job in jobs_of(folder, cell)]
        self.running: dict[str, tuple[Job, subprocess.Popen[bytes], dict[str, str]]] = {}
        self.failed: dict[str, str] = {}
        self.devices, self.watch = Devices(), Watch()

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
                stop([process for _, process, _ in self.running.values()])
        return self.failed

    def _start_ready(self, jobs: int) -> None:
        for job in [j for j in self.waiting if j.cell.match and self._has_failed(j.cell.match)]:
            self.waiting.remove(job)
            self.failed[job.name] = f"not started, it stops at the tokens of {job.cell.match}"
        ready = [j for j in self.waiting if j.cell.match is None or self.folder.done(j.cell.match)]
        for job in ready[: jobs - len(self.running)]:
            self.waiting.remove(job)
            if not is_free(job.path):
                self.failed[job.name] = f"another process is writing to {job.path}"
            elif not self.folder.job_done(job):
                device = {} if job.cell.spec.backend.name == "openrlhf" else self.devices.take()  # Ray shares them out itself
                self.running[job.name] = job, self.folder.start(job, device), device

    def _collect(self) -> None:
        for name, (job, process, device) in list(self.running.items()):
            if process.poll() is not None:
                del self.running[name]
                self.devices.give_back(device)
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
        assert job.cell.plan is not None
        under_way = self.watch.units(job.path, seeds, job.cell.plan.rollouts)
        return len(seeds) * (job.units // len(job.seeds)) + under_way


def start(job: Job, device: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """The job's process, its output in its log; it sees `device`, as Devices gave it."""
    return spawn(job.words, job.log, {**threads_of(job.cell), **device})


def threads_of(cell: Cell) -> dict[str, str]:
    """The environment's part in how many threads a cell computes with, where its recipe says how many."""
    return threads(cell.spec)
