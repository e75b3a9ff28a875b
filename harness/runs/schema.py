"""JSON Schema (draft 2020-12) of every file that a run or a leaderboard holds, made from the models that read and write it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from harness.core.errors import UsageError, nearest
from harness.runs.environment import Environment
from harness.runs.filed import BoardIndex, CurvesFile, Manifest, MetricsFile
from harness.runs.logs import MetricRow, TemplateRow
from harness.runs.regraded import Regraded
from harness.runs.result import LedgerFile, ResultFile, SeedResult
from harness.runs.samples import FiledSample, SampleRow
from harness.runs.spec import StoredSpec

DRAFT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True)
class Format:
    """One kind of file. `model` describes the whole file, or with `lines` each of its lines."""

    file: str
    what: str
    model: type[msgspec.Struct]
    lines: bool = False

    @property
    def version(self) -> int | None:
        """None where the file carries none."""
        tag = self.model.__struct_config__.tag
        return tag if isinstance(tag, int) else None

    def schema(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.schema(self.model)
        if self.model is StoredSpec:
            _add_settings(found)
        return {"$schema": DRAFT, "$comment": f"{self.file}: {self.what}", **found}


FORMATS = {
    "result": Format("result.json", "the scores of a finished run", ResultFile),
    "spec": Format("spec.json", "the settings that a run was started with", StoredSpec),
    "environment": Format("env.json", "versions, hardware and commands", Environment),
    "seed": Format("results/s<seed>.json", "what a finished seed reached", SeedResult),
    "ledger": Format("ledger.json", "what training paid", LedgerFile),
    "sample": Format("samples/<suite>.jsonl", "every evaluation sample with its grade", SampleRow, lines=True),
    "metric": Format("metrics.jsonl", "a row per batch and per epoch", MetricRow, lines=True),
    "template": Format("templates/s<seed>.jsonl, templates.jsonl", "every evolved template", TemplateRow, lines=True),
    "regraded": Format("regrade.json", "old and new scores of `harness regrade`", Regraded),
    "manifest": Format("manifest.json", "a filed run: what was run, and its files", Manifest),
    "metrics": Format("metrics.json", "a filed run: the figures that follow from its samples", MetricsFile),
    "filed-sample": Format("samples/<suite>.jsonl.zst", "a filed run: its samples", FiledSample, lines=True),
    "curves": Format("training.json", "a filed run: its learning curves", CurvesFile),
    "index": Format("index.json", "a board: the hashes of its manifests", BoardIndex),
}


def schema_of(name: str) -> dict[str, Any]:
    """The schema of a file, by its name in FORMATS. Raises UsageError for an unknown name."""
    if name not in FORMATS:
        raise UsageError(f"no schema {name!r}{nearest(name, FORMATS)}")
    return FORMATS[name].schema()


def _add_settings(found: dict[str, Any]) -> None:
    """The settings of a run or an evaluation, whose models are pydantic's, in the place of `spec`, any object."""
    from pydantic import TypeAdapter

    from harness.config import EvalSpec, RunSpec

    adapter: TypeAdapter[Any] = TypeAdapter(RunSpec | EvalSpec)
    settings = adapter.json_schema(mode="serialization")
    found["$defs"] |= settings.pop("$defs")
    found["$defs"]["StoredSpec"]["properties"]["spec"] = settings
