"""What the harness's process, the trainer and the rollout executors share about one seed: a folder.

    job.json prompts.jsonl     the spec, the seed, the problems (written once, before the driver starts)
    state/e<epoch>.json        the method's state, for the executors (levels, templates)
    progress.json              how far the trainer is
    ask/*.json answer/*.json   completions that the harness wants of the engines, for evaluation
    stop                       nothing more will be asked
    failed.json                why the trainer ended before it was done, where it knows
    checkpoints/               DeepSpeed's
    driver.log                 everything that the driver prints

On a cluster the folder must be on a file system that all nodes share.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.config import RunSpec
from harness.core.errors import HarnessError, MissingError, UsageError
from harness.core.method import Method
from harness.core.types import Context, Problem, Rollout, Sampling
from harness.registry import load_method
from harness.runs.files import append_jsonl, read_jsonl, write_json


@dataclass
class SeedJob:
    """One seed of a run on OpenRLHF."""

    work: Path
    spec: RunSpec
    seed: int
    problems: list[Problem]
    phrases: list[str]

    def write(self) -> None:
        (self.work / "prompts.jsonl").unlink(missing_ok=True)
        append_jsonl(self.work / "prompts.jsonl", ({"input": p.text, **asdict(p)} for p in self.problems))
        spec = self.spec.model_dump(mode="json")
        write_json(self.work / "job.json", {"spec": spec, "seed": self.seed, "phrases": self.phrases})

    @classmethod
    def read(cls, work: Path) -> SeedJob:
        job = json.loads((work / "job.json").read_text())
        rows = read_jsonl(work / "prompts.jsonl")
        problems = [Problem(**{k: v for k, v in row.items() if k != "input"}) for row in rows]
        return cls(work=work, spec=RunSpec(**job["spec"]), seed=job["seed"], problems=problems, phrases=job["phrases"])

    def method(self) -> Method:
        spec = self.spec
        cls = load_method(spec.method)
        return cls(
            config=spec.typed_method_config(), train=spec.train, problems=self.problems, seed=self.seed, phrases=self.phrases
        )

    def state(self, epoch: int) -> Path:
        return self.work / "state" / f"e{epoch:04d}.json"


@dataclass
class Ask:
    """A request for completions, and its answer, each one file."""

    prompts: list[str]
    sampling: Sampling
    seed: int

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Ask:
        row = json.loads(path.read_text())
        return cls(row["prompts"], Sampling(**row["sampling"]), row["seed"])


KINDS = {cls.__name__: cls for cls in (HarnessError, UsageError, MissingError)}


@dataclass
class Failure:
    """An error that a user can act on, from the trainer's process to the harness's: its kind decides the exit code."""

    kind: str
    text: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        kind = next((c.__name__ for c in type(error).__mro__ if c.__name__ in KINDS), HarnessError.__name__)
        return cls(kind, str(error))

    def write(self, work: Path) -> None:
        write_json(work / "failed.json", asdict(self))

    @classmethod
    def read(cls, work: Path) -> HarnessError | None:
        """The error, if one was told."""
        path = work / "failed.json"
        if not path.exists():
            return None
        row = cls(**json.loads(path.read_text()))
        return KINDS[row.kind](row.text)


def rollout_row(rollout: Rollout) -> dict[str, Any]:
    """JSON form of a rollout, tokens and log-probabilities included."""
    return asdict(rollout)


def rollout_from(row: dict[str, Any]) -> Rollout:
    """Inverse of `rollout_row`."""
    return Rollout(**{**row, "context": Context(**row["context"])})
