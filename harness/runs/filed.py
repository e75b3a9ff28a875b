"""A run as a leaderboard files it: manifest.json, samples, metrics.json, training.json, templates.jsonl.

What a filed run holds may come from anybody: names, paths, sizes and types are checked before anything rests on them.
harness/leaderboard files runs, verifies them and builds boards; what compares runs reads them from here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import msgspec

from harness.core.errors import UNREADABLE, HarnessError, dotted, reason
from harness.core.ledger import Ledger
from harness.core.limits import MAX_BYTES
from harness.core.text import visible
from harness.runs import formats
from harness.runs.environment import Code
from harness.runs.logs import Template, templates_of
from harness.runs.packing import decompress, read_bytes, sha256, slug
from harness.runs.result import Macro, Result, RunFacts, SuiteFacts, SuiteFigures, join

T = TypeVar("T", bound=msgspec.Struct)

Evidence = Literal["self-reported", "recomputed", "reproduced", "retrained"]
EVIDENCE: tuple[str, ...] = get_args(Evidence)
"""What a score rests on: numbers alone; samples graded again; a part run again with the same outcome; a seed trained again.
No file states it: it follows from what is filed."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")


class FiledFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One file of a filed run. What is packed has, unpacked, `rows` lines, and `content_bytes` of hash `content_sha256`."""

    size: int = msgspec.field(name="bytes")
    sha256: str
    rows: int | None = None
    content_bytes: int | None = None
    content_sha256: str | None = None


class Manifest(RunFacts, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="schema", tag=3):
    """manifest.json: what was run, where, what it paid, and every file. `run` is its id (`run_id`), `spec` its settings;
    `stopped`: by seed, why its training ended early."""

    run: str
    stopped: dict[int, str]
    spec: dict[str, Any]
    spec_sha256: str
    code: Code | None
    packages: dict[str, str | None]
    started: str | None
    hardware: dict[str, Any]
    suites: dict[str, SuiteFacts]
    files: dict[str, FiledFile]

    @property
    def has_samples(self) -> bool:
        """Whether its figures can be computed again; else it holds numbers alone."""
        return any(name.startswith("samples/") for name in self.files)


class MetricsFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="schema", tag=1):
    """metrics.json: what follows from the samples, and nothing else."""

    suites: dict[str, SuiteFigures]
    macro: Macro


class Curve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One metric of one seed over rollouts, of batches or of epochs."""

    seed: int
    kind: Literal["batch", "epoch"]
    x: list[float]
    y: list[float]

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise ValueError(f"{len(self.x)} points have {len(self.y)} values")


class CurvesFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="schema", tag=1):
    """training.json: the curves that a page draws, by metric."""

    curves: dict[str, list[Curve]]


class BoardIndex(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="schema", tag=3):
    """index.json of a board: the SHA-256 of every manifest, those of reproductions apart, and which matplotlib drew the
    pictures."""

    matplotlib: str
    manifests: dict[str, str]
    reproductions: dict[str, str]


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="schema", tag=1):
    """rules.json of a board, which its maintainers write: a run of fewer than `least_seeds` is a pilot; differences are judged
    by a `margin`, in percent points, for which there is a reason: `why`, a sentence. Both or neither are given."""

    least_seeds: int = 3
    margin: float | None = None
    why: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if self.margin is not None and not 0 < self.margin <= 100:
            raise ValueError(f"margin is {self.margin}; it is above 0 and at most 100 points")
        if (self.margin is None) != (not self.why.strip()):
            raise ValueError("a margin needs its reason, and a reason a margin: give both, `margin` and `why`")


RULES = "rules.json"
REPRODUCTIONS = "reproductions"
"""The folder of a board that holds second runs, filed like all others, of what is on it."""


def samples_name(suite: str) -> str:
    """The file of a suite's samples below a filed run."""
    return f"samples/{suite}.jsonl.zst"


def read_manifest(folder: Path) -> Manifest:
    """manifest.json of a filed run, with every name, path and number in it checked. Raises HarnessError."""
    path = folder / "manifest.json"
    m = formats.decode(read_bytes(path), Manifest, path)
    for name, f in m.files.items():
        parts = name.split("/")
        if len(parts) > 2 or not all(_NAME.fullmatch(p) for p in parts) or (len(parts) == 2 and parts[0] != "samples"):
            raise HarnessError(visible(f"{path}: {name!r} is no name for a filed file"))
        if not 0 <= (f.content_bytes or 0) <= MAX_BYTES:
            raise HarnessError(
                visible(f"{path}: {name} has {f.content_bytes:,} bytes unpacked, more than the {MAX_BYTES:,} that are read")
            )
    try:
        for key, said, found in [*_checks(folder, m), *_suite_checks(m)]:
            if said != found:
                text = f"{key} is wrong" if found is True else f"{key} is {said!r}, its content gives {found!r}"
                raise HarnessError(visible(f"{path}: {text}"))
    except UNREADABLE as e:  # settings of any form, numbers of any size
        raise HarnessError(visible(f"{path} cannot be read: {reason(e)}")) from None
    return m


def _checks(folder: Path, m: Manifest) -> list[tuple[str, Any, Any]]:
    """(key, what the manifest says, what its content gives)."""
    suites = sorted(map(samples_name, m.suites)) if m.has_samples else []
    out: list[tuple[str, Any, Any]] = [
        ("files", sorted(p for p in m.files if p.startswith("samples/")), suites),
        ("run", m.run, run_id(m.method, m.spec_sha256, m.seeds, m.files)),
        ("spec_sha256", m.spec_sha256, spec_sha256(m.spec)),
        ("folder", folder.name, m.run),
        ("stopped", sorted(set(m.stopped) - set(m.seeds)), []),
    ]
    for f in fields(Ledger):
        total, own = getattr(m.ledger, f.name), sum(getattr(x, f.name) for x in m.ledgers.values())
        out.append((f"ledger.{f.name}", math.isclose(total, own, rel_tol=1e-9), True))
    return out


def _suite_checks(m: Manifest) -> list[tuple[str, Any, Any]]:
    out: list[tuple[str, Any, Any]] = []
    for name, s in m.suites.items():
        fine = bool(_NAME.fullmatch(name)) and 0 < s.n * s.k <= MAX_BYTES
        if f := m.files.get(samples_name(name)):  # no array is larger than the file it is read from
            rows, size = f.rows or 0, f.content_bytes or 0
            fine = fine and 0 < s.n and s.n * s.k * len(m.seeds) <= rows <= size and f.content_sha256 is not None
        out.append((f"suites.{name}", fine, True))
    return out


def check_files(folder: Path, manifest: Manifest) -> None:
    """Every file is there, is a plain one, has its size and hash, and there are no others. Raises HarnessError."""
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()}
    for name in sorted(found - set(manifest.files) - {"manifest.json"}):
        raise HarnessError(visible(f"{folder / name}: is not in the manifest"))
    for name, said in manifest.files.items():
        data = read_bytes(folder / name)
        for key, claimed, value in (("bytes", said.size, len(data)), ("sha256", said.sha256, sha256(data))):
            if claimed != value:
                raise HarnessError(f"{folder / name}: {key} is {value!r}, the manifest says {claimed!r}")


def read_packed(folder: Path, manifest: Manifest, suite: str) -> bytes:
    """The JSON lines of a suite's samples, unpacked to no more than the manifest says. Raises HarnessError."""
    path = folder / samples_name(suite)
    said = manifest.files[samples_name(suite)]
    data = decompress(read_bytes(path), said.content_bytes or 0, path, said.rows)
    if sha256(data) != said.content_sha256:
        raise HarnessError(f"{path}: content_sha256 is {sha256(data)!r}, the manifest says {said.content_sha256!r}")
    return data


def read_metrics_file(folder: Path, manifest: Manifest) -> MetricsFile:
    """metrics.json, which has the manifest's suites. Raises HarnessError."""
    path = folder / "metrics.json"
    metrics = _read(path, MetricsFile)
    if set(metrics.suites) != set(manifest.suites):
        suites = f"has suites {sorted(metrics.suites)}, the manifest {sorted(manifest.suites)}"
        raise HarnessError(visible(f"{path} cannot be read: it {suites}"))
    return metrics


def read_curves(folder: Path) -> dict[str, list[Curve]]:
    """training.json. Raises HarnessError."""
    return _read(folder / "training.json", CurvesFile).curves


def read_filed_templates(folder: Path) -> list[Template]:
    """templates.jsonl. Raises HarnessError."""
    path = folder / "templates.jsonl"
    try:
        rows = msgspec.json.Decoder(dict[str, Any]).decode_lines(read_bytes(path))
    except (msgspec.MsgspecError, *UNREADABLE) as e:
        raise HarnessError(visible(f"{path} cannot be read: {dotted([e])}")) from None
    return templates_of(rows, path)


def read_index(board: Path) -> BoardIndex:
    """index.json of a board. Raises HarnessError."""
    return _read(board / "index.json", BoardIndex)


def read_rules(board: Path) -> Rules:
    """rules.json of a board, the defaults where it has none. Raises HarnessError."""
    path = board / RULES
    return _read(path, Rules) if path.exists() or path.is_symlink() else Rules()


def _read(path: Path, model: type[T]) -> T:
    return formats.decode(read_bytes(path), model, path)


def result_of(folder: Path, manifest: Manifest) -> Result:
    """The result of a filed run, as `load_result` gives it but for `run`, its id. Raises HarnessError."""
    metrics = read_metrics_file(folder, manifest)
    facts = {name: getattr(manifest, name) for name in RunFacts.__struct_fields__}
    try:
        return Result(
            **facts,
            run=manifest.run,
            spec=manifest.spec,
            spec_hash=manifest.spec_sha256,
            suites={name: join(s, metrics.suites[name]) for name, s in manifest.suites.items()},
            macro=metrics.macro,
            stopped=manifest.stopped,
        )
    except ValueError as e:  # metrics of other seeds than the manifest's
        raise HarnessError(visible(f"{folder / 'metrics.json'} cannot be read: {dotted([e])}")) from None


def run_id(method: str, spec_hash: str, seeds: Sequence[int], files: Mapping[str, FiledFile]) -> str:
    """`<method>-<spec>-<content>`: its name, eight digits of the spec's hash, eight of seeds and samples (or metrics)."""
    of = {path: f.content_sha256 or f.sha256 for path, f in files.items()}
    kept = {p: h for p, h in of.items() if p.startswith("samples/")} or of["metrics.json"]
    content = sha256(json.dumps([list(seeds), kept], sort_keys=True).encode())
    return f"{slug(method)}-{spec_hash[:8]}-{content[:8]}"


def spec_sha256(spec: Mapping[str, Any]) -> str:
    """As harness.config has it: the SHA-256 of a spec's canonical JSON."""
    return sha256(json.dumps(spec, sort_keys=True).encode())
