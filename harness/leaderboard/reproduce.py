"""`harness leaderboard reproduce`: a stated part of a filed run again, and the second run filed beside it where it agrees."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config import EvalSpec, RunSpec, resolve_eval
from harness.core.errors import UsageError
from harness.core.trees import merge
from harness.leaderboard.entries import boards
from harness.leaderboard.evidence import original_of, outcome
from harness.leaderboard.submit import add
from harness.runs.filed import REPRODUCTIONS, Evidence, Manifest, read_manifest
from harness.runs.rundir import RunDir
from harness.runs.spec import typed_spec


@dataclass(frozen=True)
class Reproduced:
    """`run`: the second run's directory; `folder`: where it is filed; `text`: what was done again, in words."""

    run: Path
    folder: Path
    level: Evidence
    text: str


def reproduce(
    filed: Path,
    seeds: Sequence[int] | None,
    share: float,
    checkpoints: Path | None,
    out: Path | None,
    data_dir: Path | None,
    offline: bool,
    command: Sequence[str],
) -> Reproduced:
    """Run a part of a filed run again: `seeds` (None: its first), and of each a `share`.

    A training with share 1 is done and evaluated as a whole; with a smaller one its first rollouts are, and the learning
    curve is compared. With `checkpoints`, the directory of the run itself or of one of the same settings, its policies are
    evaluated instead, on the first problems of every suite. An evaluation is done again on these problems.

    Raises UsageError for a part that there is not, MissingError for what the run needs, HarnessError where it comes out
    otherwise; nothing is filed then, and the second run's directory stays.
    """
    m = read_manifest(filed)
    spec = _spec(filed, m, seeds if seeds is not None else m.seeds[:1], share, checkpoints)
    run = RunDir.new(spec, out)
    if isinstance(spec, RunSpec):
        from harness.run import execute, prepare

        execute(prepare(spec, data_dir, offline), run, command)
    else:
        from harness.evalrun import execute_eval, prepare_eval

        execute_eval(prepare_eval(spec, data_dir, offline), run, command)
    board = filed.resolve().parent
    runs = {path: read_manifest(path) for path in boards(board)[board]}
    with tempfile.TemporaryDirectory() as temporary:
        again, _ = add(run.path, board, allow_stamped=True, data_dir=data_dir, beside=Path(temporary))
        second = read_manifest(again)
        first = original_of(second, runs, again)
        level, text = outcome(first, runs[first], again, second)
        folder = filed.parent / REPRODUCTIONS / again.name
        folder.parent.mkdir(exist_ok=True)
        if folder.exists():
            raise UsageError(f"{folder} is there already")
        shutil.copytree(again, folder)
    return Reproduced(run.path, folder, level, text)


def _spec(filed: Path, m: Manifest, seeds: Sequence[int], share: float, checkpoints: Path | None) -> RunSpec | EvalSpec:
    """The settings of the second run."""
    if not 0 < share <= 1:
        raise UsageError(f"--share is above 0 and at most 1, got {share:g}")
    if not seeds or not set(seeds) <= set(m.seeds):
        raise UsageError(f"{filed} has seeds {', '.join(map(str, m.seeds))}")
    first = typed_spec(m.spec, filed)
    problems = None if share == 1 else math.ceil(share * max(suite.n for suite in m.suites.values()))
    change: dict[str, Any] = {"seeds": list(seeds)}
    if checkpoints is not None:
        from harness.evalrun import describe_model

        flags = {**change, "eval": {**m.spec["eval"], "limit": problems}}
        return resolve_eval([], [], describe_model(str(checkpoints)), flags)
    if isinstance(first, EvalSpec):
        return EvalSpec(**merge(m.spec, {**change, "eval": {"limit": problems}}))
    if share < 1:
        rollouts = min(m.ledgers[seed].rollouts - m.ledgers[seed].search_rollouts for seed in seeds)
        if not rollouts:
            raise UsageError(f"{m.method} has no learning curve by rollouts, so it is trained again as a whole: --share 1")
        change |= {"train": {"max_rollouts": math.ceil(share * rollouts)}, "eval": {"limit": 1}}
    return RunSpec(**merge(m.spec, change))
