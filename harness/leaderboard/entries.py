"""A run as a page needs it, whether it is filed or still a run directory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.core.errors import HarnessError, MissingError, UsageError
from harness.report.pages import CURVES
from harness.report.plots import thin
from harness.runs import formats
from harness.runs.environment import Code, read_environment
from harness.runs.filed import (
    REPRODUCTIONS,
    Curve,
    Evidence,
    read_curves,
    read_filed_templates,
    read_manifest,
    read_packed,
    result_of,
    samples_name,
)
from harness.runs.logs import Metrics, Template, read_metrics, read_templates
from harness.runs.packing import sha256
from harness.runs.result import Result, load_result
from harness.runs.samples import FiledSample, canonical, decode_filed, read_samples, samples_path
from harness.stats.questions import Questions, read_questions

POINTS = 60
"""Of a curve, at most."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A run with what a page shows of it. `evidence` is None where it is not filed; on a board its reproductions raise it
    (harness/leaderboard/evidence.py), and `again` says what they ran.

    `picks` are the samples to be shown: suite to rows, with their prompt where that is at hand. `code` and `started` say
    which checkout ran it, and when, where that is known.
    """

    folder: Path
    result: Result
    questions: dict[str, Questions]
    curves: dict[str, list[Curve]]
    templates: list[Template]
    code: Code | None
    started: str | None
    evidence: Evidence | None = None
    again: str = ""
    picks: dict[str, list[FiledSample]] = field(default_factory=dict)


def boards(root: Path) -> dict[Path, list[Path]]:
    """Filed runs by board: the folders `<training set>/<model>` below `root`, or `root` itself where it is one.

    Raises MissingError where there is none, UsageError for the folder of a training set, HarnessError for a link.
    """
    found: dict[Path, list[Path]] = {}
    for path in sorted(root.glob("*/manifest.json")) or sorted(root.glob("*/*/*/manifest.json")):
        folder = path.parent
        if folder.name.startswith(".") or folder.parent.name == REPRODUCTIONS:
            continue
        if link := next((p for p in (folder, *folder.parents) if p != root and root in p.parents and p.is_symlink()), None):
            raise HarnessError(f"{link}: is a link; a board holds its own files")
        found.setdefault(folder.parent, []).append(folder)
    if not found:
        if own := sorted({str(p.parent.parent) for p in root.glob("*/*/manifest.json")}):
            names, above = ", ".join(own), os.path.normpath(root / "..")  # whose parent `.` would be itself
            raise UsageError(f"{root} holds the boards of one training set; name one of them ({names}), or all: {above}")
        raise MissingError(f"no filed run below {root}: `harness leaderboard add RUN --board {root}` files one")
    return found


def second_runs(board: Path) -> list[Path]:
    """The reproductions on a board. Raises HarnessError for a link."""
    folder = board / REPRODUCTIONS
    found = sorted(p for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []
    if link := next((p for p in (folder, *found) if p.is_symlink() or (p.exists() and not p.is_dir())), None):
        raise HarnessError(f"{link}: is a link or no folder; a board holds its own files")
    return found


def load_filed(folder: Path, picks: int = 0) -> Entry:
    """A filed run, with the samples of `picks` problems a suite to show. Raises HarnessError."""
    m = read_manifest(folder)
    result = result_of(folder, m)
    questions, shown = {}, {}
    for name, suite in result.suites.items() if m.has_samples else ():
        data, path = read_packed(folder, m, name), folder / samples_name(name)
        questions[name] = read_questions(data, path, suite, result.seeds)
        shown[name] = _pick(data, questions[name], picks, path)
    return Entry(
        folder=folder,
        result=result,
        questions=questions,
        curves=read_curves(folder),
        templates=read_filed_templates(folder),
        code=m.code,
        started=m.started,
        evidence="recomputed" if m.has_samples else "self-reported",
        picks=shown,
    )


def load_run(run: Path, picks: int = 0) -> Entry:
    """The same of a run directory, with prompts. Raises what `load_result` and `load_questions` raise."""
    result = load_result(run)
    questions, shown = {}, {}
    for name, suite in result.suites.items() if (run / "samples").is_dir() else ():
        path = samples_path(run, name)
        data = sample_lines(canonical(read_samples(path), result.seeds, True))
        questions[name] = read_questions(data, path, suite, result.seeds)
        shown[name] = _pick(data, questions[name], picks, path)
    env = read_environment(run)
    return Entry(
        folder=run,
        result=result,
        questions=questions,
        curves=curves_of(read_metrics(run)),
        templates=read_templates(run, result.seeds),
        code=env.code if env else None,
        started=env.started if env else None,
        picks=shown,
    )


def sample_lines(rows: Sequence[FiledSample]) -> bytes:
    """JSON lines in ASCII: nothing in them steers a terminal or a diff."""
    return "".join(formats.json_line(row, ascii_only=True) for row in rows).encode()


def _pick(data: bytes, q: Questions, most: int, path: Path) -> list[FiledSample]:
    """SampleRow 0 of the first seed on `most` problems: the same ones of every run, chosen by the hash of their id."""
    chosen = sorted(sorted(range(len(q.ids)), key=lambda i: sha256(q.ids[i].encode()))[:most])
    lines = data.split(b"\n", len(q.ids) * q.k) if chosen else []
    return [row for i in chosen for row in decode_filed(lines[i * q.k], path)]


def curves_of(rows: Sequence[Metrics]) -> dict[str, list[Curve]]:
    """The metrics that a page draws, of every seed: means of consecutive rows, at most POINTS of them, six digits."""
    by: dict[str, dict[tuple[int, str], list[Metrics]]] = {}
    for m in rows:
        for key in m.values:
            if key in CURVES or key.startswith("branch_"):
                by.setdefault(key, {}).setdefault((m.row.seed, m.row.kind), []).append(m)

    def short(values: list[float]) -> list[float]:
        return [float(f"{v:.6g}") for v in thin(values, POINTS)]

    return {
        key: [
            Curve(seed, own[0].row.kind, short([m.row.rollouts for m in own]), short([m.values[key] for m in own]))
            for (seed, _), own in sorted(found.items())
        ]
        for key, found in sorted(by.items())
    }
