"""The jobs of a study on other machines: scripts, handed to Slurm or to a Ray cluster.

A command hands over what is neither done nor in the queue, merges what is done seed by seed, and says how things stand; the
same command again goes on. Only the run folders tell what is done, only the queue what is under way, so nothing is kept of
what was handed over. A job is one command that starts, resumes or leaves alone what is finished: a queue may kill it and run
it again. The study's folder, the data and the environment lie where all machines see them under the same paths.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from harness.core.errors import HarnessError, MissingError
from harness.core.extras import require
from harness.core.text import visible
from harness.runs.files import write_text
from harness.study.jobs import Job, jobs_of, study_id
from harness.study.local import threads_of

if TYPE_CHECKING:
    from harness.study.folder import StudyDir


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Of every job. `time` is a limit as Slurm reads it; None is the queue's default."""

    partition: str | None = None
    time: str | None = None
    gpus: int | None = None


class Queue(Protocol):
    """Where jobs wait and run."""

    def states(self) -> Mapping[str, str]:
        """Of this study's jobs that wait or run, by name, in words."""
        ...

    def header(self, job: Job) -> list[str]:
        """Lines of a job's script before its command."""
        ...

    def submit(self, job: Job, script: Path) -> str:
        """Hand a script over; returns what the queue calls it. Raises HarnessError in the queue's own words."""
        ...


class Slurm:
    """sbatch and squeue. A job that is pre-empted, or whose node fails, goes back into the queue."""

    def __init__(self, out: Path, resources: Resources) -> None:
        """Raises MissingError where Slurm's commands are not installed."""
        self.prefix, self.resources = study_id(out), resources
        for command in ("sbatch", "squeue"):
            if shutil.which(command) is None:
                raise MissingError(f"--launcher slurm needs the command {command}, which is not installed here")

    def states(self) -> dict[str, str]:
        found = {}
        for line in _output(["squeue", "--me", "--noheader", "--format=%i|%T|%r|%j"]).splitlines():
            job_id, state, reason, name = line.split("|", 3)
            prefix, _, own = name.partition("/")
            if prefix == self.prefix:
                why = "" if reason in ("None", "") else f" ({reason})"
                found[own] = f"{state.lower()}{why} as {job_id}"
        return found

    def header(self, job: Job) -> list[str]:
        asked = {"partition": self.resources.partition, "time": self.resources.time, "gpus": self.resources.gpus}
        options = {
            "job-name": f"{self.prefix}/{job.name}",
            "output": str(job.log).replace("%", "%%"),
            "open-mode": "append",
            **{name: str(value) for name, value in asked.items() if value is not None},
        }
        return [*(f"#SBATCH --{name}={shlex.quote(value)}" for name, value in options.items()), "#SBATCH --requeue"]

    def submit(self, job: Job, script: Path) -> str:
        return _output(["sbatch", "--parsable", str(script)]).strip().partition(";")[0]


class RayJobs:
    """Ray's jobs, on the cluster that RAY_ADDRESS names or that runs on this machine."""

    def __init__(self, out: Path, resources: Resources) -> None:
        """Raises MissingError without Ray or where no cluster answers."""
        require("ray")
        from ray.job_submission import JobSubmissionClient

        self.study, self.resources = study_id(out), resources
        try:
            self.client = JobSubmissionClient()
        except (ConnectionError, RuntimeError) as e:
            raise MissingError(f"no Ray cluster answers, name one in RAY_ADDRESS: {visible(str(e)).splitlines()[0]}") from None

    def states(self) -> dict[str, str]:
        found = {}
        for info in self.client.list_jobs():
            about = info.metadata or {}
            if about.get("study") == self.study and not info.status.is_terminal():
                found[about["job"]] = f"{info.status.value.lower()} as {info.submission_id}"
        return found

    def header(self, job: Job) -> list[str]:
        return [f"exec >> {shlex.quote(str(job.log))} 2>&1"]

    def submit(self, job: Job, script: Path) -> str:
        try:
            return str(
                self.client.submit_job(
                    entrypoint=shlex.join(["bash", str(script)]),
                    metadata={"study": self.study, "job": job.name},
                    entrypoint_num_cpus=1,  # with none it would run on the head's machine
                    entrypoint_num_gpus=self.resources.gpus,
                )
            )
        except RuntimeError as e:
            raise HarnessError(f"Ray refuses {job.name}: {visible(str(e)).splitlines()[0]}") from None


def _output(command: list[str]) -> str:
    """What a command prints. Raises HarnessError in its own words where it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise HarnessError(f"{command[0]} failed: {' '.join(visible(done.stderr).split()) or f'exit code {done.returncode}'}")
    return done.stdout


def script_of(job: Job, queue: Queue) -> str:
    """The script of a job, for bash."""
    threads = [f"export {name}={value}" for name, value in threads_of(job.cell).items()]
    command = shlex.join([sys.executable, "-m", "harness", *job.words])
    here = f"cd {shlex.quote(os.getcwd())}"  # settings may name files from here
    return "\n".join(["#!/bin/bash", *queue.header(job), here, *threads, f"exec {command}", ""])


def hand_over(folder: StudyDir, queue: Queue) -> tuple[dict[str, str], dict[str, str]]:
    """Submit every job that is neither done nor in the queue, and merge cells whose seeds are all done; returns how every job
    stands, and why, for every cell that could not be merged."""
    chosen = [cell for cell in folder.cells if cell.chosen]
    failed = {cell.name: why for cell in chosen if (why := folder.settle(cell))}
    known, stands = queue.states(), dict[str, str]()
    for cell in chosen:
        for job in jobs_of(folder, cell):
            if folder.job_done(job):
                stands[job.name] = "done"
            elif job.name in known:
                stands[job.name] = known[job.name]
            elif cell.match and not folder.done(cell.match):
                stands[job.name] = f"waits until {cell.match} is done, at whose tokens it stops"
            else:
                again = f"; its log ended with: {last}" if (last := _last_line(job.log)) else ""
                script = folder.out / "jobs" / f"{job.name}.sh"
                job.log.parent.mkdir(parents=True, exist_ok=True)
                write_text(script, script_of(job, queue))
                stands[job.name] = f"submitted as {queue.submit(job, script)}{again}"
    return stands, failed


def _last_line(log: Path, size: int = 2000) -> str:
    """The end of a log that an earlier try has left."""
    if not log.exists():
        return ""
    with log.open("rb") as f:
        f.seek(max(0, f.seek(0, 2) - size))
        lines = f.read().decode(errors="replace").replace("\r", "\n").strip().splitlines()
    return visible(lines[-1].strip())[:200] if lines else ""
