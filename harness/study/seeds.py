"""The seeds of one run side by side: each in a process and a run directory of its own, adopted by the run once it is done.

What a seed leaves does not depend on where it is trained, and seeds are adopted in the order of the settings: the run is the
one that a single process would have written.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from harness.config import RunSpec
from harness.core.errors import HarnessError, MissingError, UsageError, listed
from harness.core.text import visible
from harness.execution import Tick
from harness.runs.merging import adopt
from harness.runs.rundir import RunDir
from harness.study.children import POLL_S, Devices, Watch, is_free, spawn, stop, threads

NO_OPTIONS = dict.fromkeys(("HARNESS_RUN_RESUME", "HARNESS_RUN_AS_JSON", "HARNESS_RUN_DRY_RUN"), "")
"""Options of the command that are none of its children's, where they are given as environment variables."""


class Apart:
    """What `each_seed` in harness/execution.py lets do the seeds, `jobs` at once.

    `words`: the words of `harness` that fill a run directory with a seed, or go on with one. `units` are rollouts and
    evaluation samples of a seed, `planned` the rollouts among them.
    """

    def __init__(self, spec: RunSpec, jobs: int, words: Callable[[int, Path], list[str]], units: int, planned: int) -> None:
        self.spec, self.jobs, self.words, self.units, self.planned = spec, jobs, words, units, planned
        self.devices, self.watch = Devices(), Watch()
        self.waiting: list[int] = []
        self.running: dict[int, tuple[subprocess.Popen[bytes], dict[str, str]]] = {}
        self.failed: dict[int, tuple[int, str]] = {}  # exit code, and why

    def __call__(self, run: RunDir, tick: Tick) -> None:
        """Do what is not done. Whatever ends this first stops all children at their last checkpoint.

        Raises HarnessError (of the kind that the children ended with) with the reasons once all seeds are done or failed; what
        is done is kept, and `--resume` does the others again.
        """
        self.waiting = [seed for seed in self.spec.seeds if not run.seed_done(seed)]
        self.failed = {}
        try:
            while self.waiting or self.running:
                self._start(run)
                self._collect(run)
                self._adopt(run)
                tick(*self._progress(run))
                if self.running:
                    time.sleep(POLL_S)
        finally:
            stop([process for process, _ in self.running.values()])
        if self.failed:
            raise self._error()
        shutil.rmtree(run.seed_apart(0).parent, ignore_errors=True)

    def _start(self, run: RunDir) -> None:
        for seed in self.waiting[: self.jobs - len(self.running)]:
            self.waiting.remove(seed)
            path = run.seed_apart(seed)
            if not is_free(path):
                self.failed[seed] = 1, f"another process is writing to {path}"
            elif not RunDir(path).complete:
                device = self.devices.take()
                env = {**NO_OPTIONS, **threads(self.spec), **device}
                self.running[seed] = spawn(self.words(seed, path), _log(run, seed), env), device

    def _collect(self, run: RunDir) -> None:
        for seed, (process, device) in list(self.running.items()):
            if process.poll() is not None:
                del self.running[seed]
                self.devices.give_back(device)
                if process.returncode or not RunDir(run.seed_apart(seed)).complete:
                    self.failed[seed] = process.returncode, _why(process.returncode, _log(run, seed))

    def _adopt(self, run: RunDir) -> None:
        """What is done, up to the first seed that is not; what its process warned of is shown."""
        for seed in self.spec.seeds:
            if run.seed_done(seed):
                continue
            path, log = run.seed_apart(seed), _log(run, seed)
            if seed in self.running or not RunDir(path).complete:  # a process that ends may still hold its folder
                return
            adopt(run, path, seed)
            run.drop_checkpoints(seed)
            shutil.rmtree(path)
            for line in dict.fromkeys(x for x in _lines(log) if re.search(r"\b(warning|\w*Warning): ", x)):
                print(f"seed {seed}: {line}", file=sys.stderr)
            log.unlink(missing_ok=True)

    def _progress(self, run: RunDir) -> tuple[int, str]:
        """Units done, and the share of every seed that is neither done nor waiting."""
        done, shares = 0, []
        for seed in self.spec.seeds:
            path = run.seed_apart(seed)
            own = self.units if run.seed_done(seed) or RunDir(path).complete else self.watch.units(path, (), self.planned)
            done += own
            if seed in self.running:
                shares.append(f"s{seed} {100 * min(own, self.units) // max(self.units, 1)}%")
        return done, " ".join([*shares, *([f"{len(self.failed)} failed"] if self.failed else [])])

    def _error(self) -> HarnessError:
        """One sentence about all that failed, seeds of one reason together."""
        reasons: dict[str, list[str]] = {}
        for seed, (_, why) in sorted(self.failed.items()):
            reasons.setdefault(why, []).append(str(seed))
        text = "; ".join(f"seed{'s' * (len(seeds) > 1)} {listed(seeds)}: {why}" for why, seeds in reasons.items())
        codes = {code for code, _ in self.failed.values()}
        kind = {2: UsageError, 3: MissingError}.get(codes.pop() if len(codes) == 1 else 1, HarnessError)
        return kind(f"{text}; the other seeds are kept, and --resume goes on")


def _log(run: RunDir, seed: int) -> Path:
    """The output of a seed's process, until it is adopted."""
    path = run.seed_apart(seed)
    return path.with_name(f"{path.name}.log")


def _lines(log: Path) -> list[str]:
    return visible(log.read_text(errors="replace").replace("\r", "\n")).splitlines() if log.exists() else []


def _why(code: int, log: Path) -> str:
    """Why a process ended: its own sentence, or the signal that ended it."""
    if code < 0:
        out = ", as the system does where memory runs out: fewer --jobs take less" if code == -9 else ""
        return f"its process was killed by signal {-code}{out}, see {log}"
    told = [line for line in _lines(log) if line.startswith("error: ")]
    return told[-1].removeprefix("error: ") if told and code else f"its process ended with exit code {code}, see {log}"
