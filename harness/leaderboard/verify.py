"""What is published computed again: every figure of a filed run from its samples, and the samples' grades."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import UNREADABLE, HarnessError, MissingError, reason
from harness.core.text import visible
from harness.data.suites import load_suite
from harness.evaluation.scores import check_complete, macro_averages
from harness.leaderboard.entries import sample_lines
from harness.leaderboard.submit import confirm_grades, derive, difference
from harness.runs import formats
from harness.runs.filed import Manifest, check_files, read_manifest, read_metrics_file, read_packed, samples_name
from harness.runs.samples import FiledSample, canonical, decode_filed


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What was computed again of one filed run. `faults`: samples on which a grader failed when they were filed;
    `golds`: suites whose gold answers were held against the suite's own data."""

    run: str
    evidence: str
    samples: int = 0
    figures: int = 0
    faults: int = 0
    golds: tuple[str, ...] = ()


def verify_run(folder: Path, data_dir: Path | None = None) -> Verified:
    """Check one filed run: files, grades, every figure of metrics.json; gold answers where the suite's data are at hand.

    Raises HarnessError at the first difference, naming file, field, published and found value.
    """
    m = read_manifest(folder)
    try:
        check_files(folder, m)
        return _reported(folder, m) if m.evidence == "reported" else _from_samples(folder, m, data_dir)
    except UNREADABLE as e:  # numbers of any size, text of any form
        raise HarnessError(visible(f"{folder} cannot be read: {reason(e)}")) from None


def _reported(folder: Path, m: Manifest) -> Verified:
    """Numbers alone: the macro averages must be those of the suites."""
    published = read_metrics_file(folder, m)
    found = macro_averages([(s.role, published.suites[name]) for name, s in m.suites.items()], m.seeds)
    _agree(folder / "metrics.json", {"macro": formats.tree(published.macro)}, {"macro": formats.tree(found)})
    return Verified(run=m.run, evidence=m.evidence)


def _from_samples(folder: Path, m: Manifest, data_dir: Path | None) -> Verified:
    samples: dict[str, list[FiledSample]] = {}
    for name, suite in m.suites.items():
        path = folder / samples_name(name)
        data = read_packed(folder, m, name)
        samples[name] = decode_filed(data, path)
        if sample_lines(canonical(samples[name], m.seeds, True)) != data:
            raise HarnessError(f"{path}: holds other rows or fields than a filed suite, or in another order")
        check_complete(samples[name], suite.n, suite.k, m.seeds, path)
    golds = tuple(name for name in m.suites if _golds(folder, name, m, samples[name], data_dir))
    faults = confirm_grades(samples, str(folder / "samples"))
    metrics = folder / "metrics.json"
    published, found = formats.tree(read_metrics_file(folder, m)), formats.tree(derive(samples, m.suites, m.seeds))
    _agree(metrics, published, found)
    if missing := difference(found, published):
        raise HarnessError(f"{metrics}: {missing[0]} is {missing[2]!r}, the samples give {missing[1]!r}")
    return Verified(
        run=m.run,
        evidence=m.evidence,
        samples=sum(map(len, samples.values())),
        figures=_leaves(found) - 1,  # the schema version is none
        faults=faults,
        golds=golds,
    )


def _agree(path: Path, published: Any, found: Any) -> None:
    if differ := difference(published, found):
        raise HarnessError(visible(f"{path}: {differ[0]} is {differ[1]!r}, the samples give {differ[2]!r}"))


def _golds(folder: Path, name: str, m: Manifest, rows: Sequence[FiledSample], data_dir: Path | None) -> bool:
    """Whether the suite's own data were at hand, and are what the run says it used. Raises HarnessError."""
    suite, said = load_suite(name), m.suites[name].data_sha256
    if said is None or (suite.sha256 or said) != said:
        return False
    try:
        if suite.data_sha256(data_dir) != said:
            return False
        golds = {p.id: p.answer for p in suite.problems(data_dir)}
    except MissingError:
        return False
    for row in rows:
        if golds.get(row.problem) != row.gold:
            where = f"{folder / samples_name(name)}, problem {row.problem}"
            raise HarnessError(visible(f"{where}: gold is {row.gold!r}, the suite says {golds.get(row.problem)!r}"))
    return True


def _leaves(tree: Any) -> int:
    return sum(map(_leaves, tree.values())) if isinstance(tree, Mapping) else 1
