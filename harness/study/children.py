"""Processes of this machine that each run `harness run`: how they are started, looked after and stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from harness.config import RunSpec
from harness.runs.files import open_appending
from harness.runs.logs import last_metrics

STOP_S = 60.0
"""Seconds that an interrupted process gets to stop by itself."""
POLL_S = 0.2
"""Seconds between two looks at the children."""
CHILD = """import os, signal, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so would their children
def watch():
    os.read(0, 1)  # returns when the parent's end of the pipe is closed: it was killed
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=watch, daemon=True).start()
from harness.cli import main
main()"""
"""What a child runs; it outlives a killed parent by one batch at most, and stops at a checkpoint."""
VISIBLE = "CUDA_VISIBLE_DEVICES"


def spawn(words: Sequence[str], log: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """`harness` with these words, its output added to `log`, `env` added to the environment; terminal signals reach it only
    through `stop`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open_appending(log) as file:
        return subprocess.Popen(
            [sys.executable, "-c", CHILD, *words],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=file,
            start_new_session=True,
            env={**os.environ, **env},
        )


def stop(running: Sequence[subprocess.Popen[bytes]]) -> None:
    """Interrupt the children, wait for them, and kill what has not stopped by then, or at a second interrupt."""
    for process in running:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    try:
        until = time.monotonic() + STOP_S
        for process in running:
            process.wait(max(until - time.monotonic(), 0.1))
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        for process in running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def is_free(folder: Path) -> bool:
    """Wait until a process that a killed parent left behind has stopped; whether nothing writes to the run folder then."""
    if not folder.exists():
        return True
    try:
        with FileLock(folder / ".lock", timeout=STOP_S):
            return True
    except Timeout:
        return False


def threads(spec: RunSpec) -> dict[str, str]:
    """The environment's part in how many threads a run computes with, where its settings say how many."""
    return {"OMP_NUM_THREADS": str(spec.local.threads)} if spec.local.threads else {}


class Watch:
    """How far run directories are that other processes write to."""

    def __init__(self) -> None:
        self._lines: dict[Path, tuple[int, int]] = {}  # by file: bytes that were looked at, and the lines in them

    def units(self, run: Path, done: Collection[int], planned: int) -> int:
        """Rollouts and evaluation samples of the seed under way. `done`: seeds that are finished; `planned`: rollouts that a
        seed's training is planned with, which may end with fewer."""
        if evaluated := sum(map(self._count, run.glob("partial/s*/*.jsonl"))):
            return planned + evaluated
        rollouts = 0
        for row in last_metrics(run):
            if row.seed not in done:
                rollouts = int(row.rollouts)
        return min(rollouts, planned)

    def _count(self, path: Path) -> int:
        """Lines of a growing file; only what is new is read."""
        at, lines = self._lines.get(path, (0, 0))
        with contextlib.suppress(FileNotFoundError), path.open("rb") as f:  # the seed has just been finished
            f.seek(at)
            while part := f.read(1 << 20):
                at, lines = at + len(part), lines + part.count(b"\n")
            self._lines[path] = at, lines
        return lines


class Devices:
    """The GPUs that CUDA_VISIBLE_DEVICES lists, shared out: a child sees one of them, whichever has the fewest children."""

    def __init__(self, listed: str | None = None) -> None:
        """`listed`: as in the variable; by default what it says here."""
        found = os.environ.get(VISIBLE, "") if listed is None else listed
        self.names = [name for name in (word.strip() for word in found.split(",")) if name]
        self._users: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self.names)

    def take(self) -> dict[str, str]:
        """The environment's part of a new child; nothing where there is no choice."""
        if len(self.names) < 2:
            return {}
        name = min(self.names, key=lambda name: self._users[name])
        self._users[name] += 1
        return {VISIBLE: name}

    def give_back(self, taken: Mapping[str, str]) -> None:
        """The child that had this has ended."""
        self._users.subtract(taken.values())
