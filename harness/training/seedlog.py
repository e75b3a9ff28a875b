"""What a backend writes while it trains one seed, and how it finds its way back after a crash."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import resource
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.config import RunSpec
from harness.core.errors import HarnessError
from harness.core.ledger import Ledger
from harness.core.types import Group, Problem
from harness.core.world import World
from harness.runs.files import append_jsonl, iter_jsonl, read_jsonl, sync, write_json, write_lines
from harness.runs.logs import rollouts_path
from harness.runs.rundir import RunDir
from harness.runs.sums import check_sums, write_sums
from harness.training.pace import Pace, line


class SeedLog:
    """What a backend writes while it trains one seed; checkpoints pin the length and the content of every log file."""

    def __init__(
        self,
        run: RunDir,
        seed: int,
        spec: RunSpec,
        problems: list[Problem],
        tick: Callable[[int, str], None],
        world: World | None = None,
    ) -> None:
        """`world`: the training set's, whose metrics are logged along with those of the loop."""
        self.run, self.seed, self.spec, self.problems = run, seed, spec, problems
        self.ledger = Ledger()
        self.tick, self.world = tick, world
        self.folder = run.path / "ckpt" / f"s{seed}"
        self._groups: list[Group] = []
        self._hashed: dict[str, tuple[Any, int]] = {}  # by log, the hash of so many of its bytes
        self.stopped: str | None = None  # why a guard ended the training
        self._failed: set[str] = set()  # problems without a success one epoch earlier
        self._pace = Pace()

    @property
    def _files(self) -> dict[str, Path]:
        return {
            "metrics": self.run.path / "metrics.jsonl",
            "rollouts": rollouts_path(self.run.path, self.seed),
            "templates": self.run.path / "templates" / f"s{self.seed}.jsonl",
        }

    @property
    def answers(self) -> Path:
        """What a server answered to the method (harness/search/answers.py); is kept when the logs are rolled back."""
        return self.run.path / "answers" / f"s{self.seed}.jsonl"

    @property
    def final(self) -> Path:
        """Where the trained policy lies once training is done."""
        return self.folder / "final"

    @property
    def adapter(self) -> Path:
        """Where the adapters of a policy lie that was trained by them, unmerged."""
        return self.folder / "adapter"

    @property
    def groups(self) -> list[Group]:
        """Groups of the epoch under way."""
        return self._groups

    def note(self, rendering_sha256: str, model_revision: str | None = None) -> None:
        """Add to env.json what only the backend knows: how it renders a conversation, which commit of a model it loaded."""
        self.run.note(rendering_sha256=rendering_sha256, model_revision=model_revision)

    def step(self, epoch: int, batch: int, groups: list[Group], metrics: dict[str, Any]) -> None:
        """Append one optimisation batch."""
        at = {"seed": self.seed, "epoch": epoch, "batch": batch}
        metrics = {**metrics, "tokens_per_second": self._pace.lap(self.ledger)}
        append_jsonl(self._files["rollouts"], ({**at, **g.to_row()} for g in groups))
        known = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in metrics.items()}  # JSON has no NaN
        append_jsonl(self._files["metrics"], [{**at, "kind": "batch", **known, "rollouts": self.ledger.rollouts}])
        self._groups.extend(groups)
        self.tick(self.ledger.rollouts, line(self.seed, epoch, metrics))

    def epoch(self, epoch: int, metrics: dict[str, Any], templates: list[dict[str, Any]]) -> None:
        """Append what the epoch hook did; the next epoch starts with no groups."""
        at = {"seed": self.seed, "epoch": epoch}
        again = [g for g in self._groups if g.problem.id in self._failed]
        if again:  # of the problems without a success one epoch earlier, the share with one now
            metrics = {**metrics, "rescued_problems": sum(g.successes > 0 for g in again) / len(again)}
        append_jsonl(self._files["templates"], ({**at, **t} for t in templates))
        append_jsonl(self._files["metrics"], [{**at, "kind": "epoch", **metrics, "rollouts": self.ledger.rollouts}])
        self._failed = {g.problem.id for g in self._groups if not g.successes}
        self._groups = []
        self.tick(self.ledger.rollouts, f"seed {self.seed} epoch {epoch + 1} done")

    def checkpoint(self, position: dict[str, Any], write: Callable[[Path], None]) -> None:
        """Save atomically: `write` fills a new folder, which is there under its name once it is whole. The one before is
        kept, should this one be damaged later.

        Nothing is done where the last checkpoint is of this very epoch and batch. Raises OSError where the disk is
        full, whatever `write` raised; the last checkpoint is whole then.
        """
        name = f"e{position['epoch']:04d}-b{position['batch']:05d}"
        if [p.name for p in self._checkpoints()[:1]] == [name]:
            return
        partial = self.folder / f"{name}.tmp"
        for stale in self.folder.glob("*.tmp"):
            shutil.rmtree(stale)
        partial.mkdir(parents=True)
        writing(partial, write)
        for path in self._files.values():  # what the checkpoint counts on must be there when it is
            if path.exists():
                sync(path)
        sizes = {k: p.stat().st_size if p.exists() else 0 for k, p in self._files.items()}
        logs = {key: self._sha256(key, size) for key, size in sizes.items()}
        write_json(partial / "state.json", {**position, "sizes": sizes, "logs": logs, "ledger": self.ledger.to_dict()})
        write_sums(partial)
        for path in partial.rglob("*"):
            sync(path)
        partial.rename(self.folder / name)
        sync(self.folder)
        for old in self._checkpoints()[2:]:
            shutil.rmtree(old)

    def _checkpoints(self) -> list[Path]:
        """The folders of those that are there, the last one first."""
        return sorted((p for p in self.folder.glob("e*-b*") if p.suffix != ".tmp"), reverse=True)

    def restore(self) -> tuple[Path, dict[str, Any]] | None:
        """The last whole checkpoint's folder and position, with logs, ledger and groups rolled back to it.

        A damaged one, or one whose logs are, is deleted where the one before it is whole: what was trained since then is
        trained again, with a warning. Raises HarnessError, with what to do, where none is whole.
        """
        faults: list[str] = []
        for target in self._checkpoints():
            try:
                state = self._whole(target)
            except HarnessError as e:
                faults.append(str(e))
                continue
            for damaged in self._checkpoints()[: len(faults)]:
                shutil.rmtree(damaged)
            if faults:
                warnings.warn(f"{faults[0]}; going on from the checkpoint before it, {target.name}", stacklevel=2)
            return target, self._rolled_back(state)
        if faults:
            raise HarnessError(
                f"{faults[0]}; no checkpoint of seed {self.seed} is whole: delete {self.folder}, and --resume trains this seed "
                "again from its first epoch"
            )
        self._truncate({k: 0 for k in ("rollouts", "templates")})
        self._drop_metrics()
        return None

    def _whole(self, target: Path) -> dict[str, Any]:
        """The position of a checkpoint. Raises HarnessError where a file of it, or a log up to it, is not as it was."""
        check_sums(target)
        state: dict[str, Any] = json.loads((target / "state.json").read_text())
        for key, size in state["sizes"].items():
            path = self._files[key]
            found = path.stat().st_size if path.exists() else 0
            if found < size:
                raise HarnessError(f"{path} has {found} bytes, fewer than the {size} that its checkpoint counts on: it was cut")
            self._hashed.pop(key, None)
            if self._sha256(key, size) != state["logs"][key]:
                raise HarnessError(f"{path} is damaged: before byte {size} it is not what checkpoint {target.name} saw")
        return state

    def _sha256(self, key: str, size: int) -> str:
        """Of the first `size` bytes of a log; of a growing one, only what is new is read."""
        path = self._files[key]
        digest, at = self._hashed.get(key, (hashlib.sha256(), 0))
        if size > at:
            with path.open("rb") as f:
                f.seek(at)
                while at < size and (part := f.read(min(1 << 20, size - at))):
                    digest.update(part)
                    at += len(part)
        self._hashed[key] = digest, at
        return str(digest.hexdigest())

    def _rolled_back(self, state: dict[str, Any]) -> dict[str, Any]:
        self.ledger = Ledger(**state["ledger"])
        self._pace.begin(self.ledger)
        self.stopped = state.get("stopped")
        self._truncate(state["sizes"])
        by_id = {p.id: p for p in self.problems}
        rows = read_jsonl(self._files["rollouts"])
        self._groups = [Group.from_row(r, by_id) for r in rows if r["epoch"] == state["epoch"]]
        before = [Group.from_row(r, by_id) for r in rows if r["epoch"] == state["epoch"] - 1]
        self._failed = {g.problem.id for g in before if not g.successes}
        return state

    def _truncate(self, sizes: dict[str, int]) -> None:
        for key, size in sizes.items():
            if self._files[key].exists():
                os.truncate(self._files[key], size)

    def _drop_metrics(self) -> None:
        """Metrics of a seed that died before its first checkpoint: the rows at the file's end."""
        path = self._files["metrics"]
        if path.exists():
            write_lines(path, (line for line, row in iter_jsonl(path) if row["seed"] != self.seed))


def writing(folder: Path, write: Callable[[Path], None]) -> None:
    """Let a library write into a folder. Raises OSError where there is no room: torch and safetensors tell of that in
    errors of their own."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        write(folder)
    except Exception as e:
        if isinstance(e, OSError):
            raise
        if shutil.disk_usage(folder.parent).free < 1 << 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from e
        if resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(folder)) from e
        raise
