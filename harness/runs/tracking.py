"""A run's curves in the trackers that people know: TensorBoard, Weights & Biases, trackio, each through its own client.

What is tracked is read from metrics.jsonl, row by row in its order, whichever backend wrote it; a point's step is the number
of the row among those of its seed. `track/s<seed>/next.json` has, by tracker, the step that comes next and the name of the
seed's run there, so that an interrupted run goes on with both. TensorBoard's files lie beside it, those of W&B and trackio
where these keep them: in `wandb/` (or WANDB_DIR), in `~/.cache/huggingface/trackio` (or TRACKIO_DIR).

Nothing leaves the machine unless the tracker's own variables say so: WANDB_MODE=online, TRACKIO_SPACE_ID, TRACKIO_SERVER_URL.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from harness.core.errors import UsageError, nearest
from harness.core.extras import require
from harness.core.text import one_line
from harness.runs.files import write_json
from harness.runs.logs import Metrics, metrics_of
from harness.runs.spec import read_spec

PROJECT = "p2o-harness"
"""Under which W&B and trackio file a run, unless WANDB_PROJECT or TRACKIO_PROJECT say otherwise."""


class Tracker(Protocol):
    """Where points go; `close` returns once they are stored."""

    def log(self, values: Mapping[str, float], step: int) -> None: ...

    def close(self) -> None: ...


Opening = Callable[[Path, str, Mapping[str, Any], int], Tracker]
"""From the seed's folder, the name of its run, the settings and the step that comes next."""


class _TensorBoard:
    def __init__(self, folder: Path, name: str, settings: Mapping[str, Any], start: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # What a killed process wrote from this step on is hidden: it is written again.
        self.writer: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=start or None)
        if not start:
            self.writer.add_text("settings", f"```\n{json.dumps(settings, indent=1)}\n```")

    def log(self, values: Mapping[str, float], step: int) -> None:
        for key, value in values.items():
            self.writer.add_scalar(key, value, step)
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class _Wandb:
    def __init__(self, folder: Path, name: str, settings: Mapping[str, Any], start: int) -> None:
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        if mode != "online":
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        own = wandb.Settings(
            symlink=False, silent=True, console="off", disable_git=True, x_disable_stats=True, x_disable_meta=True
        )
        folder.mkdir(parents=True, exist_ok=True)
        self.run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=name,
            name=name,
            mode=mode,
            resume=None if mode == "offline" else "allow",
            config=dict(settings),
            settings=own,
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.run.log(dict(values), step=step)

    def close(self) -> None:
        import wandb

        self.run.finish()
        wandb.teardown()  # returns once its process has written all


class _Trackio:
    def __init__(self, folder: Path, name: str, settings: Mapping[str, Any], start: int) -> None:
        import trackio

        with contextlib.redirect_stdout(sys.stderr):
            self.run: Any = trackio.init(
                project=os.environ.get("TRACKIO_PROJECT", PROJECT),
                name=name,
                resume="allow",
                config=dict(settings),
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.run.log(dict(values), step=step)

    def close(self) -> None:
        with contextlib.redirect_stdout(sys.stderr):
            self.run.finish()


TRACKERS: dict[str, Opening] = {"tensorboard": _TensorBoard, "wandb": _Wandb, "trackio": _Trackio}
"""By the name of the package."""


def check_trackers(names: Sequence[str]) -> None:
    """Raises UsageError for a name that is none, or that stands twice, MissingError for a package that is not installed."""
    for name in names:
        if name not in TRACKERS:
            raise UsageError(f"--track: unknown tracker {name!r}{nearest(name, TRACKERS)}")
        if names.count(name) > 1:
            raise UsageError(f"--track names {name} twice")
    require(*names)


class Tracking:
    """One seed of a run on its way to some trackers. A tracker that fails ends nothing: what it lost is counted and said."""

    def __init__(self, run: Path, seed: int, names: Sequence[str]) -> None:
        """Opens the trackers; `run` has its settings already."""
        self.run, self.seed = run, seed
        self.folder = run / "track" / f"s{seed}"
        self._rows = _Rows(run / "metrics.jsonl", seed)
        self._open: dict[str, Tracker] = {}
        self.lost: dict[str, tuple[int, str]] = {}  # points that were not taken, and why the last was not
        file = self.folder / "next.json"
        self.next: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}
        stored = read_spec(run)
        for name in names:
            label = f"{stored.spec.get('method', run.name)}-s{seed}-{secrets.token_hex(4)}"
            at = self.next.setdefault(name, {"step": 0, "run": label})
            try:
                self._open[name] = TRACKERS[name](self.folder, at["run"], stored.spec, at["step"])
            except Exception as e:
                self._lose(name, e, 0)
        if names:
            self._remember()

    def follow(self) -> None:
        """Send the rows that are new in metrics.jsonl."""
        for step, found in self._rows.new() if self.next else ():
            prefix = "train" if found.row.kind == "batch" else "epoch"
            values = {f"{prefix}/{name}": value for name, value in found.values.items()}
            self._send({**values, f"{prefix}/rollouts": float(found.row.rollouts)}, step)

    def scores(self, values: Mapping[str, float]) -> None:
        """Send what an evaluation reached, one step after the last row."""
        self.follow()
        if self.next:
            self._send({f"eval/{name}": value for name, value in values.items()}, self._rows.count)

    def close(self) -> None:
        """Close the trackers, and say what was lost."""
        for name, tracker in self._open.items():
            try:
                tracker.close()
            except Exception as e:
                self._lose(name, e, 0)
        for name, (points, why) in self.lost.items():
            what = f"{points} points of seed {self.seed} were lost" if points else f"seed {self.seed}"
            print(f"warning: {name}: {what}: {why}", file=sys.stderr)

    def _send(self, values: Mapping[str, float], step: int) -> None:
        """To whoever has not had this step: rows that are trained again after an interruption are the same as before."""
        sent = False
        for name, at in self.next.items():
            if step < at["step"]:
                continue
            if name in self._open:
                try:
                    self._open[name].log(values, step)
                except Exception as e:
                    self._lose(name, e, 1)
                at["step"], sent = step + 1, True
            elif name in self.lost:
                self._lose(name, None, 1)
        if sent:
            self._remember()

    def _remember(self) -> None:
        write_json(self.folder / "next.json", self.next)

    def _lose(self, name: str, e: Exception | None, points: int) -> None:
        before, why = self.lost.get(name, (0, ""))
        self.lost[name] = before + points, one_line(f"{type(e).__name__}: {e}")[:300] if e else why


@contextlib.contextmanager
def tracking(run: Path, seed: int, names: Sequence[str]) -> Iterator[Tracking]:
    """A seed's trackers, closed at the end whatever ends it."""
    found = Tracking(run, seed, names)
    try:
        yield found
    finally:
        found.close()


class _Rows:
    """The rows of a seed in a metrics.jsonl that grows, and that a resumed training cuts back to its checkpoint."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path, self.seed = path, seed
        self.at = self.count = 0

    def new(self) -> Iterator[tuple[int, Metrics]]:
        """(number among the seed's rows, row) of whole rows that are new; from the first one on where the file was cut."""
        if not self.path.exists():
            return
        if self.path.stat().st_size < self.at:
            self.at = self.count = 0
        with self.path.open("rb") as f:
            f.seek(self.at)
            for line in f:
                if not line.endswith(b"\n"):
                    return
                self.at += len(line)
                found = metrics_of(json.loads(line), self.path)
                if found.row.seed == self.seed:
                    self.count += 1
                    yield self.count - 1, found
