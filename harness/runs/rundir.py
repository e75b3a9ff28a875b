"""The run directory is the truth: append-only JSONL, atomic everything else, one writer at a time.

runs/<method>--<model>--<bench>/<utc>-<hash8>/
  spec.json env.json        what was asked, where it ran (written first)
  metrics.jsonl             a row per optimisation batch and per epoch hook
  rollouts/s<seed>.jsonl    every training group
  templates/s<seed>.jsonl   every evolved template, with parents and scores
  answers/s<seed>.jsonl     what a reflection server answered, as it came
  samples/<suite>.jsonl     every evaluation sample, with its grade
  partial/s<seed>/          completions of an evaluation under way; goes when the seed is done
  openrlhf/s<seed>/         that backend's files: flags, log, progress (see harness/training/openrlhf/job.py)
  ckpt/s<seed>/             last checkpoint; once the seed is done only final/, the policy as a Hugging Face folder
  ledger.json result.json   totals and scores, per seed too
  report.md report.html
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from harness.config import PolicySpec, RunSpec
from harness.core.errors import HarnessError, UsageError, listed
from harness.runs.environment import environment
from harness.runs.files import iter_jsonl, write_json, write_lines

SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
"""Names of environment variables that hold what must not be written anywhere."""


class RunDir:
    """One run on disk. Make it with `new` or `resume`; use as a context manager to hold the writer's lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path / ".lock")

    @classmethod
    def default_parent(cls, spec: PolicySpec, root: Path) -> Path:
        model = Path(spec.model.id).name
        return root / f"{spec.label}--{model}--{spec.eval.bench.replace(',', '+')}"

    @classmethod
    def new(cls, spec: PolicySpec, out: Path | None, root: Path = Path("runs")) -> RunDir:
        """Where a new run goes; nothing is written yet. Raises UsageError where files already are."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        path = out or cls.default_parent(spec, root) / f"{stamp}-{spec.hash()[:8]}"
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            raise UsageError(f"{path} already holds files; add --resume to go on with that run, or name another --out")
        return cls(path)

    def write_spec(self, spec: PolicySpec, data: Mapping[str, str] | None = None) -> None:
        """spec.json and env.json of a new run; a resumed one keeps its own.

        `data`: SHA-256 of what the run reads, by name. Raises UsageError where a resumed run began with other data.
        """
        if not (self.path / "spec.json").exists():
            write_json(self.path / "env.json", environment())
            row = {"hash": spec.hash(), "spec": spec.model_dump(mode="json"), "data": dict(data or {})}
            write_json(self.path / "spec.json", row)
            return
        stored = self.read("spec.json")
        if stored["hash"] != spec.hash():
            raise HarnessError(f"{self.path} holds a run of another spec, begun meanwhile; name another --out")
        before = stored.get("data", {})
        if changed := [name for name, sha256 in (data or {}).items() if before.get(name, sha256) != sha256]:
            raise UsageError(
                f"cannot resume {self.path}: {', '.join(changed)} changed since it began; put the old file back, or start anew"
            )

    @classmethod
    def resume(cls, spec: PolicySpec, out: Path | None, root: Path = Path("runs")) -> RunDir:
        """The run to go on with: `out`, or the newest one of the same spec.

        Raises UsageError if the spec changed, or if the run is finished.
        """
        if out is None:
            found = sorted(cls.default_parent(spec, root).glob(f"*-{spec.hash()[:8]}/spec.json"))
            if not found:
                raise UsageError("nothing to resume: no run of this very spec; start it without --resume, or name --out")
            return cls(found[-1].parent)._unfinished()
        if not (out / "spec.json").exists():
            raise UsageError(f"nothing to resume: {out} holds no spec.json")
        stored = json.loads((out / "spec.json").read_text())["spec"]
        if changed := spec.changed(stored):
            raise UsageError(f"cannot resume {out} under another spec; changed: {listed(changed)}")
        return cls(out)._unfinished()

    def _unfinished(self) -> RunDir:
        if self.finished and (self.path / "report.html").exists():
            raise UsageError(f"nothing to resume: the run at {self.path} is finished")
        return self

    def __enter__(self) -> RunDir:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise HarnessError(f"another process is writing to {self.path}") from None
        except OSError as e:
            raise UsageError(f"cannot write the run directory {self.path}: {e.strerror}") from None
        return self

    def __exit__(self, *exc: object) -> None:
        self._lock.release()

    def log_command(self, command: Sequence[str]) -> None:
        """Add a command line to env.json, without the values of the environment's secrets."""
        line = shlex.join(command)
        for name, value in os.environ.items():
            if SECRET.search(name) and len(value) >= 8:
                line = line.replace(value, f"${name}")
        env = self.read("env.json")
        write_json(self.path / "env.json", {**env, "commands": [*env.get("commands", []), line]})

    def partial(self, seed: int) -> Path:
        """Where an evaluation under way keeps its completions."""
        return self.path / "partial" / f"s{seed}"

    def store_samples(self, seed: int, samples: Mapping[str, Sequence[dict[str, Any]]]) -> None:
        """Add the samples of a seed's evaluation, by suite, in place of any that an earlier attempt stored."""
        for suite, fresh in samples.items():
            path = self.path / "samples" / f"{suite}.jsonl"
            rows = ({**row, "eval_seed": row["seed"], "seed": seed} for row in fresh)
            new = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            write_lines(path, chain((line for line, row in iter_jsonl(path) if row["seed"] != seed), new))

    def drop_checkpoints(self, seed: int) -> None:
        """Of a seed that is trained and evaluated: only the final policy stays."""
        shutil.rmtree(self.partial(seed), ignore_errors=True)
        with contextlib.suppress(OSError):  # another seed's are there still, or none ever were
            self.partial(seed).parent.rmdir()
        folder = self.path / "ckpt" / f"s{seed}"
        for path in folder.glob("e*-b*"):
            shutil.rmtree(path)
        (folder / "latest.json").unlink(missing_ok=True)
        shutil.rmtree(self.path / "openrlhf" / f"s{seed}" / "checkpoints", ignore_errors=True)

    def read(self, name: str) -> Any:
        return json.loads((self.path / name).read_text())

    @property
    def finished(self) -> bool:
        return (self.path / "result.json").exists()

    @property
    def spec(self) -> RunSpec:
        """Raises HarnessError for the settings of another version."""
        try:
            return RunSpec(**self.read("spec.json")["spec"])
        except ValidationError as e:
            where = ".".join(map(str, e.errors()[0]["loc"]))
            raise HarnessError(f"the run at {self.path} was made by another version of the harness: {where}") from None
