"""Evidence levels, derived from what is filed: a run's own samples, and second runs of it.

A second run (harness/leaderboard/reproduce.py makes one) is filed like any other, below `reproductions/`. It counts for a
run of the board whose settings it shares, but for where it ran, which seeds, how many problems and, where it trained a part
alone, how many rollouts. What it did again must have come out the same:

- whole seeds trained again: the same completions, or, where arithmetic differs between machines, every suite's score within
  TOLERANCE standard errors of the paired difference over problems -> retrained
- the first part of the training of seeds again: the same learning curve -> reproduced
- seeds evaluated again from their checkpoints: completions or scores as above -> reproduced
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.config import EvalSpec, RunSpec
from harness.core.errors import HarnessError
from harness.core.kinds import Kind
from harness.core.trees import flatten
from harness.leaderboard.declared import Spec
from harness.runs.filed import Curve, Evidence, Manifest, read_curves, read_manifest, read_packed, samples_name
from harness.runs.samples import FiledSample, decode_filed
from harness.runs.spec import typed_spec
from harness.stats.comparable import kind_of

TOLERANCE = 3.0
DIGITS = 1e-5
"""Relative difference of two points of a curve, which holds six digits."""
BOUNDS = ("train.max_rollouts",)
"""Settings that a part of a training may have lower."""


def original_of(again: Manifest, runs: Mapping[Path, Manifest], folder: Path) -> Path:
    """The run of a board that a second run reproduces. Raises HarnessError where there is none, or it is the run itself."""
    own = typed_spec(again.spec, folder)
    found = [path for path, m in runs.items() if _same_settings(own, again, typed_spec(m.spec, path), m)]
    if len(found) != 1:
        many = f"{len(found)} runs" if found else "no run"
        raise HarnessError(f"{folder}: reproduces {many} of this board, where it should be one")
    first = runs[found[0]]
    if again.started is None or again.started == first.started:
        raise HarnessError(f"{folder}: started at {again.started!r}, as the run that it reproduces: it is no second run")
    for seed, ledger in again.ledgers.items():
        if ledger.wall_seconds and ledger.wall_seconds == first.ledgers[seed].wall_seconds:
            raise HarnessError(
                f"{folder}: took {ledger.wall_seconds} seconds, as the run that it reproduces: it is no second run"
            )
    return found[0]


def _same_settings(one: Spec, again: Manifest, other: Spec, first: Manifest) -> bool:
    if not set(again.seeds) <= set(first.seeds) or again.training_set != first.training_set:
        return False
    if isinstance(one, EvalSpec) and one.run is not None:  # policies of a run: what trained them is not in the settings
        if again.method != first.method:
            return False
        a, b = (_settings(spec, (Kind.POLICY, Kind.PROTOCOL)) for spec in (one, other))
        shared = a.keys() & b.keys()
        return all(a[key] == b[key] for key in shared)
    if type(one) is not type(other):
        return False
    a, b = (_settings(spec, (Kind.POLICY, Kind.PROTOCOL, Kind.ARM)) for spec in (one, other))
    lower = {key for key in BOUNDS if key in a and a[key] is not None and (b[key] is None or a[key] < b[key])}
    return {k: v for k, v in a.items() if k not in lower} == {k: v for k, v in b.items() if k not in lower}


def _settings(spec: Spec, kinds: Sequence[Kind]) -> dict[str, Any]:
    flat = flatten(spec.model_dump(mode="json"))
    method = spec.method if isinstance(spec, RunSpec) else None
    return {key: value for key, value in flat.items() if kind_of(key, method) in kinds and key != "run"}


def outcome(folder: Path, m: Manifest, again_at: Path, again: Manifest) -> tuple[Evidence, str]:
    """The level that a second run gives, and what was done again, in words. Raises HarnessError where it came out otherwise."""
    spec, first = typed_spec(again.spec, again_at), typed_spec(m.spec, folder)
    seeds = "seed " + ", ".join(map(str, again.seeds)) if len(again.seeds) == 1 else f"seeds {', '.join(map(str, again.seeds))}"
    if isinstance(spec, RunSpec) and isinstance(first, RunSpec) and spec.train.max_rollouts != first.train.max_rollouts:
        points, rollouts = _same_curves(read_curves(folder), read_curves(again_at), again.seeds, again_at)
        return (
            "reproduced",
            f"{seeds}: first {rollouts:,.0f} rollouts trained again, all {points} points of the curves the same",
        )
    what = _same_samples(folder, m, again_at, again)
    if isinstance(spec, RunSpec):
        return "retrained", f"{seeds}: trained and evaluated again, {what}"
    return "reproduced", f"{seeds}: evaluated again, {what}"


def _same_samples(folder: Path, m: Manifest, again_at: Path, again: Manifest) -> str:
    """How the samples that both have agree, in words. Raises HarnessError where they do not."""
    same = total = 0
    apart: list[str] = []
    for name in again.suites:
        if name not in m.suites:
            raise HarnessError(f"{again_at}: evaluates {name}, which the run that it reproduces does not")
        mine, theirs = (_rows(at, x, name) for at, x in ((folder, m), (again_at, again)))
        both = [key for key in theirs if key in mine]
        equal = [mine[key].completion == theirs[key].completion for key in both]
        same, total = same + sum(equal), total + len(equal)
        if not all(equal) and (wrong := _scores_apart(mine, theirs, again.seeds)):
            apart.append(f"{name}: {wrong}")
    if apart or not total:
        raise HarnessError(f"{again_at}: does not reproduce {folder.name}: {'; '.join(apart) or 'they share no sample'}")
    if same == total:
        return f"all {total:,} samples the same"
    return f"{same:,} of {total:,} samples the same, scores within {TOLERANCE:g} standard errors"


Key = tuple[int, str, int, bool]


def _rows(folder: Path, m: Manifest, name: str) -> dict[Key, FiledSample]:
    rows = decode_filed(read_packed(folder, m, name), folder / samples_name(name))
    return {(row.seed, row.problem, row.index, row.greedy): row for row in rows}


def _scores_apart(mine: Mapping[Key, FiledSample], theirs: Mapping[Key, FiledSample], seeds: Sequence[int]) -> str | None:
    """The first seed whose scores differ by more than sampling lets them, in words."""
    for seed in seeds:
        problems = dict.fromkeys(key[1] for key in theirs if key[0] == seed)

        def means(rows: Mapping[Key, FiledSample], seed: int = seed) -> dict[str, float]:
            by: dict[str, list[float]] = {}
            for (s, problem, _, greedy), row in rows.items():
                if s == seed and not greedy:
                    by.setdefault(problem, []).append(row.score)
            return {problem: statistics.fmean(scores) for problem, scores in by.items()}

        a, b = means(mine), means(theirs)
        paired = [b[p] - a[p] for p in problems if p in a and p in b]
        if not paired:
            continue
        mean = statistics.fmean(paired)
        error = statistics.stdev(paired) / math.sqrt(len(paired)) if len(paired) > 1 else 0.0
        if abs(mean) > TOLERANCE * error:
            return f"seed {seed} scores {100 * mean:+.1f} points from the filed one, standard error {100 * error:.1f}"
    return None


def _same_curves(
    first: Mapping[str, Sequence[Curve]], again: Mapping[str, Sequence[Curve]], seeds: Sequence[int], where: Path
) -> tuple[int, float]:
    """How many points of the first curves were compared, and how far they go. Raises HarnessError where one differs.

    A point of a filed curve is the mean over consecutive rows (harness/leaderboard/entries.py); rows of the second run are
    taken together until they end where it does.
    """
    points, reach = 0, 0.0
    for name, own in again.items():
        for curve in own:
            if curve.seed not in seeds or curve.kind != "batch":
                continue
            filed = next((c for c in first.get(name, ()) if c.seed == curve.seed and c.kind == "batch"), None)
            at = 0
            for x, y in zip(filed.x, filed.y, strict=True) if filed else ():
                end = next((e for e in range(at + 1, len(curve.x) + 1) if _close(statistics.fmean(curve.x[at:e]), x)), None)
                if end is None:
                    break
                if not _close(statistics.fmean(curve.y[at:end]), y):
                    raise HarnessError(f"{where}: {name} of seed {curve.seed} at {x:g} rollouts is not that of the filed run")
                points, reach, at = points + 1, max(reach, x), end
    if not points:
        raise HarnessError(f"{where}: shares no point of a learning curve with the run that it reproduces")
    return points, reach


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=DIGITS, abs_tol=1e-9)


def levels(runs: Sequence[Path], again: Sequence[Path]) -> dict[Path, tuple[Evidence, str]]:
    """By run of a board, its level and what second runs did again. Raises HarnessError for a second run that shows nothing."""
    manifests = {run: read_manifest(run) for run in runs}
    out: dict[Path, tuple[Evidence, str]] = {
        run: ("recomputed" if m.has_samples else "self-reported", "") for run, m in manifests.items()
    }
    for folder in again:
        m = read_manifest(folder)
        run = original_of(m, manifests, folder)
        level, text = outcome(run, manifests[run], folder, m)
        before, said = out[run]
        best: Evidence = "retrained" if "retrained" in (before, level) else level
        out[run] = best, "; ".join(filter(None, (said, text)))
    return out
