"""The run directory is the truth: append-only JSON lines, everything else replaced atomically, one writer at a time.

runs/<method>--<model>--<bench>/<utc>-<hash8>/
  spec.json env.json        what was asked, where it ran (written first)
  results/s<seed>.json      what a finished seed reached; s<seed>.sha256 its checksum
  metrics.jsonl             a row per optimisation batch and per epoch hook
  rollouts/s<seed>.jsonl    every training group
  templates/s<seed>.jsonl   every evolved template, with parents and scores
  answers/s<seed>.jsonl     what a reflection server answered, as it came
  samples/<suite>.jsonl     every evaluation sample, with its grade
  .seeds/s<seed>/           run directories of seeds that are trained side by side (`--jobs`), until they are done
  partial/s<seed>/          completions of an evaluation under way; goes when the seed is done
  openrlhf/s<seed>/         that backend's files: flags, log, progress (see harness/training/openrlhf/job.py)
  track/s<seed>/            files of trackers (see harness/runs/tracking.py)
  ckpt/s<seed>/             the last two checkpoints; once the seed is done only final/, the policy as a Hugging Face
                            folder, and with train.lora adapter/, what was trained of it
  ledger.json result.json   totals and scores, per seed too
  report.md report.html

`harness schema` prints the JSON Schema of these files.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from msgspec.structs import replace

from harness.config import PolicySpec
from harness.core.errors import HarnessError, UsageError, listed
from harness.core.secrets import planted_in, without_secrets
from harness.core.trees import flatten
from harness.runs import formats
from harness.runs.environment import ENV_FILE, Environment, environment, write_environment
from harness.runs.files import LEFTOVER, iter_jsonl, sweep, write_lines, write_text
from harness.runs.packing import sha256
from harness.runs.result import SeedResult, is_finished, seed_path
from harness.runs.samples import SampleRow, samples_path
from harness.runs.spec import SPEC_FILE, StoredSpec, has_spec, read_spec
from harness.runs.sums import file_sha256, write_sums

BEGUN = re.compile(rf"\.lock|{re.escape(ENV_FILE)}|{LEFTOVER.pattern}")
"""What a process that was killed before it wrote spec.json leaves in a folder."""

APART = ".seeds"
"""Hidden, so that the seeds of a run that are trained apart are nobody's runs (`runs_below` in harness/runs/result.py)."""


class RunDir:
    """One run on disk. Make it with `new` or `resume`; use as a context manager to hold the writer's lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path / ".lock")

    @classmethod
    def default_parent(cls, spec: PolicySpec, root: Path) -> Path:
        model = Path(spec.model.id).name
        return root / f"{spec.label}--{model[:80]}--{spec.eval.bench.replace(',', '+')[:80]}"  # no name has over 255 bytes

    @classmethod
    def new(cls, spec: PolicySpec, out: Path | None, root: Path = Path("runs")) -> RunDir:
        """Where a new run goes; nothing is written yet. Raises UsageError where files already are."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        path = out or cls.default_parent(spec, root) / f"{stamp}-{spec.hash()[:8]}"
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            raise UsageError(f"{path} already holds files; add --resume to resume that run, or name another --out")
        return cls(path)

    def write_spec(
        self, spec: PolicySpec, data: Mapping[str, str] | None = None, cards: Mapping[str, dict[str, Any]] | None = None
    ) -> None:
        """spec.json and env.json of a new run; a resumed one keeps its own.

        `data`: SHA-256 of what the run reads, by name; `cards`: of suites from outside. Raises UsageError where a resumed run
        began with others, and for a setting that holds a secret of the environment.
        """
        if not has_spec(self.path):
            for key, value in flatten(spec.model_dump(mode="json")).items():
                if name := planted_in(str(value)):
                    raise UsageError(f"{key} holds the value of {name}, which would be written into the run")
            write_environment(self.path, environment())
            stored = StoredSpec(
                hash=spec.hash(), spec=spec.model_dump(mode="json"), data=dict(data or {}), cards=dict(cards or {})
            )
            formats.write(self.path / SPEC_FILE, stored)
            return
        stored = read_spec(self.path)
        if spec.changed(stored.spec):
            raise HarnessError(f"{self.path} holds a run of another spec, begun meanwhile; name another --out")
        changed = [name for name, sha256 in (data or {}).items() if stored.data.get(name, sha256) != sha256]
        changed += [f"the card of suite {name!r}" for name, card in (cards or {}).items() if stored.cards.get(name) != card]
        if changed:
            raise UsageError(
                f"cannot resume {self.path}: {', '.join(changed)} changed since it began; put the old file back, or start anew"
            )

    @classmethod
    def resume(cls, spec: PolicySpec, out: Path | None, root: Path = Path("runs")) -> RunDir:
        """The run to continue: `out`, or the newest one of the same spec.

        Raises UsageError if the spec changed, or if the run is finished.
        """
        if out is None:
            paths = sorted(cls.default_parent(spec, root).glob("*/spec.json"), reverse=True)
            same = next((path.parent for path in paths if cls._is_of(spec, path.parent)), None)
            if same is None:
                raise UsageError("nothing to resume: no run of this very spec; start it without --resume, or name --out")
            return cls(same)._unfinished()
        if not has_spec(out):
            raise UsageError(f"nothing to resume: {out} holds no spec.json")
        if changed := spec.changed(read_spec(out).spec):
            raise UsageError(f"cannot resume {out} under another spec; changed: {listed(changed)}")
        return cls(out)._unfinished()

    @classmethod
    def begin_or_resume(cls, spec: PolicySpec, out: Path | None) -> RunDir:
        """The run in `out`, whether there is nothing of it yet, a part or all (`complete`): what a batch system starts again
        and again is one command.

        A process that was killed before it wrote its settings has left nothing. Raises UsageError where `out` is not given, if
        the spec changed, and where other files are.
        """
        if out is None:
            raise UsageError("--continue needs --out, the folder of the run")
        if not has_spec(out):
            left = [p for p in out.iterdir() if not BEGUN.fullmatch(p.name)] if out.is_dir() else []
            return cls.new(spec, out) if left or out.is_file() else cls(out)
        found = cls(out)
        return found if found.complete and not spec.changed(read_spec(out).spec) else cls.resume(spec, out)

    @classmethod
    def chosen(cls, spec: PolicySpec, out: Path | None, resume: bool, go_on: bool) -> RunDir:
        """A new run, or the one to `resume`, or with `go_on` whichever of the two. Raises UsageError, also for both."""
        if resume and go_on:
            raise UsageError("--continue resumes what there is; leave --resume out")
        if go_on:
            return cls.begin_or_resume(spec, out)
        return cls.resume(spec, out) if resume else cls.new(spec, out)

    @staticmethod
    def _is_of(spec: PolicySpec, run: Path) -> bool:
        """Whether a run was begun with these settings. Raises HarnessError if its name says so and its spec.json is damaged."""
        try:
            return not spec.changed(read_spec(run).spec)
        except HarnessError:
            if run.name.endswith(f"-{spec.hash()[:8]}"):
                raise
            return False

    def _unfinished(self) -> RunDir:
        if self.complete:
            raise UsageError(f"nothing to resume: the run at {self.path} is finished")
        return self

    def __enter__(self) -> RunDir:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise HarnessError(f"another process is writing to {self.path}") from None
        except OSError as e:
            raise UsageError(f"cannot write the run directory {self.path}: {e.strerror}") from None
        sweep(self.path)
        return self

    def __exit__(self, *exc: object) -> None:
        self._lock.release()

    def environment(self) -> Environment:
        """env.json as it is now. Raises HarnessError where it cannot be read."""
        return formats.read(self.path / ENV_FILE, Environment)

    def note(self, *, rendering_sha256: str, model_revision: str | None = None) -> None:
        """Add to env.json what only the backend knows."""
        env = replace(self.environment(), rendering_sha256=rendering_sha256, model_revision=model_revision)
        write_environment(self.path, env)

    def remark(self, remarks: Sequence[str]) -> None:
        """Add to env.json what differs from the settings, because something outside wanted it so."""
        env = self.environment()
        if new := [text for text in remarks if text not in env.remarks]:
            write_environment(self.path, replace(env, remarks=[*env.remarks, *new]))

    def log_command(self, command: Sequence[str]) -> None:
        """Add a command line to env.json, without the values of the environment's secrets."""
        line = without_secrets(shlex.join(command))
        env = self.environment()
        write_environment(self.path, replace(env, commands=[*env.commands, line]))

    def partial(self, seed: int) -> Path:
        """Where an evaluation under way keeps its completions."""
        return self.path / "partial" / f"s{seed}"

    def final(self, seed: int) -> Path:
        """Where the trained policy of a seed stays."""
        return self.path / "ckpt" / f"s{seed}" / "final"

    def store_samples(self, seed: int, samples: Mapping[str, Sequence[SampleRow]]) -> None:
        """Add the samples of a seed's evaluation, by suite, in place of any that an earlier attempt stored."""
        for suite, fresh in samples.items():
            path = samples_path(self.path, suite)
            new = (formats.json_line(replace(row, seed=seed)) for row in fresh)
            write_lines(path, chain((line for line, row in iter_jsonl(path) if row["seed"] != seed), new))

    def write_seed(self, seed: int, result: SeedResult) -> None:
        """The seed is done: its samples are stored, its policy is where it stays."""
        if (final := self.final(seed)).is_dir():
            write_sums(final)
        path, text = seed_path(self.path, seed), formats.text(result)
        write_text(path.with_suffix(".sha256"), f"{sha256(text.encode())}  {path.name}\n")  # first: the other one ends the seed
        write_text(path, text)

    def seed_done(self, seed: int) -> bool:
        return seed_path(self.path, seed).exists()

    def seed_begun(self, seed: int) -> bool:
        """Whether there is a checkpoint of a seed that is not done."""
        return not self.seed_done(seed) and any((self.path / "ckpt" / f"s{seed}").glob("e*-b*"))

    def seed_apart(self, seed: int) -> Path:
        """The run directory of a seed that another process trains, until it is done and adopted."""
        return self.path / APART / f"s{seed}"

    def read_seed(self, seed: int) -> SeedResult:
        """Raises HarnessError where it cannot be read, or is not as it was written."""
        path = seed_path(self.path, seed)
        result = formats.read(path, SeedResult)
        said = path.with_suffix(".sha256")
        if said.exists() and said.read_bytes().split()[:1] != [file_sha256(path).encode()]:
            again = f"delete it, and --resume does seed {seed} again"
            raise HarnessError(f"{path} is damaged, as {said.name} beside it says; {again}")
        return result

    def drop_checkpoints(self, seed: int) -> None:
        """Of a seed that is trained and evaluated: only the final policy stays."""
        shutil.rmtree(self.partial(seed), ignore_errors=True)
        with contextlib.suppress(OSError):  # another seed's are there still, or none ever were
            self.partial(seed).parent.rmdir()
        folder = self.path / "ckpt" / f"s{seed}"
        for path in folder.glob("e*-b*"):
            shutil.rmtree(path)
        shutil.rmtree(self.path / "openrlhf" / f"s{seed}" / "checkpoints", ignore_errors=True)

    @property
    def complete(self) -> bool:
        """Whether the run is finished, its report written."""
        return is_finished(self.path) and (self.path / "report.html").exists()

    @property
    def finished(self) -> bool:
        return is_finished(self.path)
