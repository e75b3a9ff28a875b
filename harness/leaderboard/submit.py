"""Leaderboards: finished runs filed with what their figures are made of.

    leaderboards/<training set>/<model>/
      <run>/manifest.json            what was run, where, what it paid; SHA-256 of every file
            samples/<suite>.jsonl.zst   every evaluation sample, graded
            metrics.json             figures derived from the samples, and nothing else
            training.json            the curves that a page draws, thinned
            templates.jsonl          every evolved template with its parents
      README.md scores*.csv scores*.tex scores*.svg index.html index.json   built (harness/leaderboard/build.py)

Figures are derived and compared here, to file a run, and again in harness/leaderboard/verify.py.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from harness.core.errors import HarnessError, UsageError, dotted
from harness.core.text import visible
from harness.data.suites import load_suite
from harness.evaluation.regrade import grade_again
from harness.evaluation.scores import check_complete, macro_averages, score_suite
from harness.leaderboard.entries import curves_of, sample_lines
from harness.runs import formats
from harness.runs.environment import environment, read_environment
from harness.runs.filed import (
    EVIDENCE,
    CurvesFile,
    FiledFile,
    Manifest,
    MetricsFile,
    read_manifest,
    run_id,
    samples_name,
    spec_sha256,
)
from harness.runs.files import sync
from harness.runs.logs import read_metrics, template_rows
from harness.runs.packing import compress, sha256, slug
from harness.runs.result import Result, RunFacts, SuiteFacts, SuiteScores, load_result
from harness.runs.samples import FiledSample, canonical, read_samples, samples_path

FAULTS = ("timeout", "error")
"""Statuses that are the grader's failure."""


def add(run: Path, board: Path, evidence: str = "recomputed", allow_stamped: bool = False) -> tuple[Path, bool]:
    """File a finished run below `board`; returns its folder, and whether it is new.

    Grades every sample again and recomputes every score first; writes nothing unless all agree with result.json.
    Raises UsageError for a run that is no result (unless allowed), or where other content has its place; HarnessError
    where samples and scores disagree, or samples are missing (only evidence "reported" does without).
    """
    result = load_result(run)
    if evidence not in EVIDENCE:
        raise UsageError(f"no evidence level {evidence!r}; there are {', '.join(EVIDENCE)}")
    if result.not_a_result and not allow_stamped:
        raise UsageError(f"{run} is not a result: {result.not_a_result}. --allow-not-a-result files it with that stamp")
    files: dict[str, bytes] = {}
    packed: dict[str, FiledFile] = {}
    if evidence == "reported":
        metrics = MetricsFile(suites={n: s.figures for n, s in result.suites.items()}, macro=result.macro)
    else:
        metrics = _file_samples(run, result, files, packed)
    files["metrics.json"] = _json(formats.tree(metrics))
    curves = formats.tree(CurvesFile(curves=curves_of(read_metrics(run))))
    files["training.json"] = (json.dumps(curves) + "\n").encode()
    templates = template_rows(run, result.seeds)
    files["templates.jsonl"] = "".join(json.dumps(row) + "\n" for row in templates).encode()
    described = {n: packed.get(n) or FiledFile(size=len(data), sha256=sha256(data)) for n, data in sorted(files.items())}
    manifest = _manifest(run, result, evidence, described)
    folder = board / slug(result.training_set) / slug(Path(result.model).name) / manifest.run
    files["manifest.json"] = _json(formats.tree(manifest))
    return folder, _place(folder, files, manifest)


def _file_samples(run: Path, result: Result, files: dict[str, bytes], packed: dict[str, FiledFile]) -> MetricsFile:
    """Fills `files`, and `packed` with what is said of them; returns the metrics."""
    samples = {}
    for name, suite in result.suites.items():
        path = samples_path(run, name)
        if not path.exists():
            raise HarnessError(f"{path} is missing; without samples a run can only be filed as --evidence reported")
        samples[name] = canonical(read_samples(path), result.seeds, load_suite(name).file is None)
        check_complete(samples[name], suite.n, suite.k, result.seeds, path)
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


def _manifest(run: Path, result: Result, evidence: str, files: dict[str, FiledFile]) -> Manifest:
    env = read_environment(run)
    spec_hash = spec_sha256(result.spec)
    return Manifest(
        **{name: getattr(result, name) for name in RunFacts.__struct_fields__},
        run=run_id(result.method, spec_hash, result.seeds, files),
        evidence=evidence,  # type: ignore[arg-type]
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


# ---------------------------------------------------------------------- figures from samples


def derive(
    samples: Mapping[str, Sequence[FiledSample]], suites: Mapping[str, SuiteFacts | SuiteScores], seeds: Sequence[int]
) -> MetricsFile:
    """metrics.json: every figure of every suite, and the macro averages, from canonical samples."""
    found = {name: score_suite(rows, suites[name].k, seeds, suites[name].flagged) for name, rows in samples.items()}
    return MetricsFile(suites=found, macro=macro_averages([(suites[n].role, s) for n, s in found.items()], seeds))


def difference(published: Any, found: Any, where: str = "") -> tuple[str, Any, Any] | None:
    """The first published leaf that is not what was found: (dotted name, published, found). Numbers agree to 1e-9."""
    if isinstance(published, Mapping) and isinstance(found, Mapping):
        for key in published:
            name = f"{where}{dotted([key])}"
            if key not in found:
                return name, published[key], None
            if differ := difference(published[key], found[key], f"{name}."):
                return differ
        return None
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (published, found))
    same = abs(published - found) <= 1e-9 if numbers else type(published) is type(found) and published == found
    return None if same else (where.rstrip("."), published, found)


def confirm_grades(samples: Mapping[str, Sequence[FiledSample]], where: str) -> int:
    """Grade all samples with the present graders; returns on how many a grader had failed when they were stored.

    Raises HarnessError, naming the first sample whose score, status or parity grade is another. Where the stored
    status is a grader's failure the present one may be any, but such a sample must count as wrong.
    """
    grades, faults = grade_again(samples), 0
    for name, rows in samples.items():
        for row, grade in zip(rows, grades[name], strict=True):
            failed = row.status in FAULTS and row.score == 0
            faults += failed
            found = grade if not failed else replace(grade, score=row.score, status=row.status)
            for key in ("score", "status", "parity"):
                stored, now = getattr(row, key), getattr(found, key)
                if stored != now and not (key == "parity" and stored is None):
                    which = f"problem {row.problem}, seed {row.seed}, sample {row.index}"
                    here = f"math-verify {environment().packages['math-verify'] or 'missing'}"
                    raise HarnessError(
                        visible(f"{where}: {name}, {which}: {key} is {stored!r}, the graders here ({here}) give {now!r}")
                    )
    return faults
