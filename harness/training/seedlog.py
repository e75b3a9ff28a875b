"""What a backend writes while it trains one seed, and how it finds its way back after a crash."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.config import RunSpec
from harness.core.errors import HarnessError
from harness.core.ledger import Ledger
from harness.core.types import Group, Problem
from harness.core.world import World
from harness.runs.files import append_jsonl, iter_jsonl, read_jsonl, sync, write_json, write_lines
from harness.runs.rundir import RunDir


class SeedLog:
    """What a backend writes while it trains one seed; checkpoints pin the length of every log file."""

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
        self.stopped: str | None = None  # why a guard ended the training
        self._failed: set[str] = set()  # problems without a success one epoch earlier

    @property
    def _files(self) -> dict[str, Path]:
        return {
            "metrics": self.run.path / "metrics.jsonl",
            "rollouts": self.run.path / "rollouts" / f"s{self.seed}.jsonl",
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
    def groups(self) -> list[Group]:
        """Groups of the epoch under way."""
        return self._groups

    def note(self, rendering_sha256: str, model_revision: str | None = None) -> None:
        """Add to env.json what only the backend knows: how it renders a conversation, which commit of a model it loaded."""
        self.run.note(rendering_sha256=rendering_sha256, model_revision=model_revision)

    def step(self, epoch: int, batch: int, groups: list[Group], metrics: dict[str, Any]) -> None:
        """Append one optimisation batch."""
        at = {"seed": self.seed, "epoch": epoch, "batch": batch}
        append_jsonl(self._files["rollouts"], ({**at, **g.to_row()} for g in groups))
        known = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in metrics.items()}  # JSON has no NaN
        append_jsonl(self._files["metrics"], [{**at, "kind": "batch", **known, "rollouts": self.ledger.rollouts}])
        self._groups.extend(groups)
        reward = metrics.get("reward", 0.0)
        self.tick(self.ledger.rollouts, f"seed {self.seed} epoch {epoch + 1} reward {reward:.2f}")

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
        """Save atomically: `write` fills a new folder, then one pointer file moves to it.

        Nothing is done where the last checkpoint is of this very epoch and batch. Raises OSError where the disk is
        full, whatever `write` raised; the last checkpoint is whole then.
        """
        name = f"e{position['epoch']:04d}-b{position['batch']:05d}"
        target, partial = self.folder / name, self.folder / (name + ".tmp")
        if self._pointer() == name:
            return
        for stale in (target, partial):
            shutil.rmtree(stale, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            write(partial)
        except Exception as e:  # torch and safetensors tell of a full disk in errors of their own
            if not isinstance(e, OSError) and shutil.disk_usage(partial).free < 1 << 20:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(partial)) from e
            raise
        for path in self._files.values():  # what the checkpoint counts on must be there when it is
            if path.exists():
                sync(path)
        sizes = {k: p.stat().st_size if p.exists() else 0 for k, p in self._files.items()}
        write_json(partial / "state.json", {**position, "sizes": sizes, "ledger": self.ledger.to_dict()})
        for path in partial.rglob("*"):
            sync(path)
        partial.rename(target)
        write_json(self.folder / "latest.json", name)
        for old in self.folder.iterdir():
            if old.is_dir() and old.name not in (name, "final"):
                shutil.rmtree(old)

    def _pointer(self) -> str | None:
        """Name of the last checkpoint."""
        path = self.folder / "latest.json"
        return json.loads(path.read_text()) if path.exists() else None

    def restore(self) -> tuple[Path, dict[str, Any]] | None:
        """The last checkpoint's folder and position, with logs, ledger and groups rolled back to it."""
        pointer = self._pointer()
        if pointer is None:
            self._truncate({k: 0 for k in ("rollouts", "templates")})
            self._drop_metrics()
            return None
        target = self.folder / pointer
        state = json.loads((target / "state.json").read_text())
        self.ledger = Ledger(**state["ledger"])
        self.stopped = state.get("stopped")
        self._truncate(state["sizes"])
        by_id = {p.id: p for p in self.problems}
        rows = read_jsonl(self._files["rollouts"])
        self._groups = [Group.from_row(r, by_id) for r in rows if r["epoch"] == state["epoch"]]
        before = [Group.from_row(r, by_id) for r in rows if r["epoch"] == state["epoch"] - 1]
        self._failed = {g.problem.id for g in before if not g.successes}
        return target, state

    def _truncate(self, sizes: dict[str, int]) -> None:
        for key, size in sizes.items():
            path = self._files[key]
            found = path.stat().st_size if path.exists() else 0
            if found < size:  # truncate would fill it up with zeros
                raise HarnessError(f"{path} has {found} bytes, fewer than the {size} that its checkpoint counts on: it was cut")
            if path.exists():
                os.truncate(path, size)

    def _drop_metrics(self) -> None:
        """Metrics of a seed that died before its first checkpoint: the rows at the file's end."""
        path = self._files["metrics"]
        if path.exists():
            write_lines(path, (line for line, row in iter_jsonl(path) if row["seed"] != self.seed))
