"""Leaderboards: finished runs filed with what their figures are made of.

    leaderboards/<training set>/<model>/
      <run>/manifest.json            what was run, where, what it paid; SHA-256 of every file
            samples/<suite>.jsonl.zst   every evaluation sample, graded
            metrics.json             figures derived from the samples, and nothing else
            training.json            the curves that a page draws, thinned
            templates.jsonl          every evolved template with its parents
      reproductions/<run>/...        second runs, filed like all others, of what is on the board
      rules.json                     what the board asks of a run (optional, written by hand)
      README.md scores*.csv scores*.tex scores*.svg index.html index.json   built (harness/leaderboard/build.py)

What is checked here, to file a run, is checked again in harness/leaderboard/verify.py.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from harness.core.errors import HarnessError, UsageError
from harness.data.suites import load_suite
from harness.evaluation.scores import check_complete
from harness.leaderboard.checks import Content, check_known, check_run
from harness.leaderboard.entries import curves_of, sample_lines
from harness.leaderboard.figures import confirm_grades, derive, difference
from harness.runs import formats
from harness.runs.environment import read_environment
from harness.runs.filed import (
    REPRODUCTIONS,
    CurvesFile,
    FiledFile,
    Manifest,
    MetricsFile,
    read_manifest,
    read_rules,
    run_id,
    samples_name,
    spec_sha256,
)
from harness.runs.files import sync
from harness.runs.logs import read_metrics, template_rows, templates_of
from harness.runs.packing import compress, sha256, slug
from harness.runs.result import Result, RunFacts, load_result
from harness.runs.samples import FiledSample, canonical, read_samples, samples_path
from harness.runs.spec import PLANTED


def add(
    run: Path,
    board: Path,
    *,
    numbers_only: bool = False,
    allow_stamped: bool = False,
    pilot: bool = False,
    data_dir: Path | None = None,
    beside: Path | None = None,
) -> tuple[Path, bool]:
    """File a finished run below `board`; returns its folder, and whether it is new.

    Grades every sample again, recomputes every score and holds the run against its settings and suites first
    (harness/leaderboard/checks.py); writes nothing unless all agree. `numbers_only` files no samples. `pilot` files a run of
    fewer seeds than the board asks for. `beside`: the run reproduces one of this board, and is filed as that.

    Raises UsageError for a run that is no result (unless allowed), has too few seeds (unless a pilot), or where other content
    has its place; HarnessError where anything disagrees, or samples are missing.
    """
    result = load_result(run)
    if PLANTED in result.spec:
        raise UsageError(f"{run} is planted, its answers are other runs'; it is never filed")
    check_known(run, result.training_set, result.suites)
    if result.not_a_result and not allow_stamped:
        raise UsageError(f"{run} is not a result: {result.not_a_result}. --allow-not-a-result files it with that stamp")
    parent = beside / REPRODUCTIONS if beside else board / slug(result.training_set) / slug(Path(result.model).name)
    least = read_rules(parent).least_seeds
    if len(result.seeds) < least and not pilot and not beside:
        raise UsageError(
            f"{run} has {len(result.seeds)} of the {least} seeds that this board asks for; --pilot files it apart from all "
            "comparisons"
        )
    files: dict[str, bytes] = {}
    packed: dict[str, FiledFile] = {}
    metrics = MetricsFile(suites={n: s.figures for n, s in result.suites.items()}, macro=result.macro)
    samples = {} if numbers_only else _samples(run, result)
    if not numbers_only:
        metrics = _file_samples(run, result, samples, files, packed)
    files["metrics.json"] = _json(formats.tree(metrics))
    curves, templates = curves_of(read_metrics(run)), template_rows(run, result.seeds)
    files["training.json"] = (json.dumps(formats.tree(CurvesFile(curves=curves))) + "\n").encode()
    files["templates.jsonl"] = "".join(json.dumps(row) + "\n" for row in templates).encode()
    described = {n: packed.get(n) or FiledFile(size=len(data), sha256=sha256(data)) for n, data in sorted(files.items())}
    manifest = _manifest(run, result, described)
    folder = parent / manifest.run
    content = Content(samples=samples, curves=curves, templates=templates_of(templates, run / "templates"))
    check_run(folder, manifest, content, data_dir, again=beside is not None)
    files["manifest.json"] = _json(formats.tree(manifest))
    return folder, _place(folder, files, manifest)


def _samples(run: Path, result: Result) -> dict[str, list[FiledSample]]:
    """Canonical rows by suite, complete. Raises HarnessError."""
    samples = {}
    for name, suite in result.suites.items():
        path = samples_path(run, name)
        if not path.exists():
            raise HarnessError(f"{path} is missing; without samples a run can only be filed with --numbers-only")
        samples[name] = canonical(read_samples(path), result.seeds, load_suite(name).file is None)
        check_complete(samples[name], suite.n, suite.k, result.seeds, path)
    return samples


def _file_samples(
    run: Path,
    result: Result,
    samples: Mapping[str, Sequence[FiledSample]],
    files: dict[str, bytes],
    packed: dict[str, FiledFile],
) -> MetricsFile:
    """Fills `files`, and `packed` with what is said of them; returns the metrics. Raises HarnessError where they disagree."""
    confirm_grades(samples, str(run))
    metrics = derive(samples, result.suites, result.seeds)
    said = MetricsFile(suites={n: s.figures for n, s in result.suites.items()}, macro=result.macro)
    differ = difference(formats.tree(said.suites), formats.tree(metrics.suites)) or difference(
        formats.tree(said.macro), formats.tree(metrics.macro)
    )
    if differ:
        raise HarnessError(f"{run / 'result.json'}: {differ[0]} is {differ[1]!r}, its samples give {differ[2]!r}")
    for name, rows in samples.items():
        content = sample_lines(rows)
        data = compress(content)
        files[samples_name(name)] = data
        packed[samples_name(name)] = FiledFile(
            size=len(data),
            sha256=sha256(data),
            rows=len(rows),
            content_bytes=len(content),
            content_sha256=sha256(content),
        )
    return metrics


def _manifest(run: Path, result: Result, files: dict[str, FiledFile]) -> Manifest:
    env = read_environment(run)
    spec_hash = spec_sha256(result.spec)
    return Manifest(
        **{name: getattr(result, name) for name in RunFacts.__struct_fields__},
        run=run_id(result.method, spec_hash, result.seeds, files),
        stopped=result.stopped,
        spec=result.spec,
        spec_sha256=spec_hash,
        code=env.code if env else None,
        packages=env.packages if env else {},
        started=env.started if env else None,
        hardware=env.hardware if env else {},
        suites={name: suite.facts for name, suite in result.suites.items()},
        files=files,
    )


def _place(folder: Path, files: Mapping[str, bytes], manifest: Manifest) -> bool:
    """Write all files or none; False where they are there already."""
    if folder.exists():
        if _same(folder, manifest):
            return False
        raise UsageError(f"{folder} holds this run with other content; remove it first if this is to take its place")
    temporary = folder.with_name(f".adding-{folder.name}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if temporary.exists():  # of an `add` that was killed
            shutil.rmtree(temporary)
        temporary.mkdir()
        for name, data in files.items():
            path = temporary / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
            sync(path)
        os.rename(temporary, folder)
        sync(folder.parent)
    except OSError as e:
        shutil.rmtree(temporary, ignore_errors=True)
        raise HarnessError(f"cannot write {folder}: {e.strerror}") from None
    return True


def _same(folder: Path, manifest: Manifest) -> bool:
    """Whether the folder's manifest says the same; another version of zstd packs the same content into other bytes."""

    def content(m: Manifest) -> Manifest:
        files = {name: f if f.content_sha256 is None else replace(f, size=0, sha256="") for name, f in m.files.items()}
        return replace(m, files=files)

    try:
        return content(read_manifest(folder)) == content(manifest)
    except HarnessError:
        return False


def _json(value: Any) -> bytes:
    """In ASCII: nothing in it steers a terminal or a diff."""
    return (json.dumps(value, indent=1) + "\n").encode()
