"""What is published computed again: every figure of a filed run from its samples, and the samples' grades."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import UNREADABLE, HarnessError, MissingError, reason
from harness.core.text import visible
from harness.evaluation.scores import macro_averages
from harness.leaderboard.checks import Content, check_run
from harness.leaderboard.entries import sample_lines
from harness.leaderboard.figures import confirm_grades, derive, difference
from harness.runs import formats
from harness.runs.filed import (
    Manifest,
    check_files,
    read_curves,
    read_filed_templates,
    read_manifest,
    read_metrics_file,
    read_packed,
    samples_name,
)
from harness.runs.samples import FiledSample, canonical, decode_filed


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What was computed again of one filed run. `faults`: samples on which a grader failed when they were filed; `golds`:
    suites whose prompts and gold answers were held against the suite's own data, `listed` against its published list."""

    run: str
    samples: int = 0
    figures: int = 0
    faults: int = 0
    golds: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()


def verify_run(folder: Path, data_dir: Path | None = None, again: bool = False) -> Verified:
    """Check one filed run: files, settings, ledgers, questions, sampling, grades, every figure of metrics.json.

    Prompts and gold answers are held against the suite's data where these are at hand, else against its published list.
    `again` as in `check_run`. Raises HarnessError at the first difference, naming file, field, published and found value.
    """
    m = read_manifest(folder)
    try:
        check_files(folder, m)
        return _from_samples(folder, m, data_dir, again) if m.has_samples else _reported(folder, m, data_dir, again)
    except MissingError:
        raise
    except HarnessError as e:  # what its settings name may be unknown here
        raise e if str(folder) in str(e) else HarnessError(visible(f"{folder}: {e}")) from None
    except UNREADABLE as e:  # numbers of any size, text of any form
        raise HarnessError(visible(f"{folder} cannot be read: {reason(e)}")) from None


def _check(folder: Path, m: Manifest, samples: Mapping[str, Sequence[FiledSample]], data_dir: Path | None, again: bool) -> Any:
    content = Content(samples=samples, curves=read_curves(folder), templates=read_filed_templates(folder))
    return check_run(folder, m, content, data_dir, again)


def _reported(folder: Path, m: Manifest, data_dir: Path | None, again: bool) -> Verified:
    """Numbers alone: the macro averages must be those of the suites."""
    _check(folder, m, {}, data_dir, again)
    published = read_metrics_file(folder, m)
    found = macro_averages([(s.role, published.suites[name]) for name, s in m.suites.items()], m.seeds)
    _agree(folder / "metrics.json", {"macro": formats.tree(published.macro)}, {"macro": formats.tree(found)})
    return Verified(run=m.run)


def _from_samples(folder: Path, m: Manifest, data_dir: Path | None, again: bool) -> Verified:
    samples: dict[str, list[FiledSample]] = {}
    for name in m.suites:
        path = folder / samples_name(name)
        data = read_packed(folder, m, name)
        samples[name] = decode_filed(data, path)
        if sample_lines(canonical(samples[name], m.seeds, True)) != data:
            raise HarnessError(f"{path}: holds other rows or fields than a filed suite, or in another order")
    held = _check(folder, m, samples, data_dir, again)
    faults = confirm_grades(samples, str(folder / "samples"))
    metrics = folder / "metrics.json"
    published, found = formats.tree(read_metrics_file(folder, m)), formats.tree(derive(samples, m.suites, m.seeds))
    _agree(metrics, published, found)
    if missing := difference(found, published):
        raise HarnessError(f"{metrics}: {missing[0]} is {missing[2]!r}, the samples give {missing[1]!r}")
    return Verified(
        run=m.run,
        samples=sum(map(len, samples.values())),
        figures=_leaves(found) - 1,  # the schema version is none
        faults=faults,
        golds=held.get("data", ()),
        listed=held.get("list", ()),
    )


def _agree(path: Path, published: Any, found: Any) -> None:
    if differ := difference(published, found):
        raise HarnessError(visible(f"{path}: {differ[0]} is {differ[1]!r}, the samples give {differ[2]!r}"))


def _leaves(tree: Any) -> int:
    return sum(map(_leaves, tree.values())) if isinstance(tree, Mapping) else 1
