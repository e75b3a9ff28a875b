"""Runs of one arm, each with some of its seeds, as one run: what it would be had one command trained all of them.

What follows from a seed alone is taken as it is, what follows from all is made again by the code that makes it for any run.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from msgspec.structs import replace

from harness.config import RunSpec
from harness.core.errors import UsageError, listed, nearest
from harness.core.kinds import Kind
from harness.core.ledger import Ledger
from harness.evaluation.results import combined, reasons_by_seeds
from harness.report.run import write_report
from harness.runs.merging import MUST_AGREE, Part, by_seed, disagreements, merged_spec, read_part, write_merged
from harness.runs.result import Result, RunFacts, load_result, write_result
from harness.runs.spec import typed_spec
from harness.stats.comparable import differing

OF_SEEDS = {"seeds", "not_a_result", "identity", "ledger", "ledgers", "teacher_tokens", "first_rollouts"}
"""Facts of a result that follow from its seeds; all others are facts of the arm."""


def merge(runs: Sequence[Path], out: Path, command: str, allow: Sequence[str] = ()) -> Result:
    """One run in `out` of the seeds of several finished runs, in ascending order; the parts stay as they are.

    Everything is checked before anything is written, and `out` appears whole or not at all. `allow` names what of the
    environments may differ though results are computed with it. `command`: what is added to env.json.

    Raises UsageError for fewer than two runs, a seed twice, runs of different arms, data or versions, and where files are
    in the way; MissingError and HarnessError as `read_part` does.
    """
    if len(runs) < 2:
        raise UsageError("nothing to merge: name at least two runs")
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UsageError(f"{out} already holds files; name another --out")
    parts = [read_part(path) for path in runs]
    _check_seeds(parts)
    for other in parts[1:]:
        _check_arm(parts[0], other)
    _check_environments(parts, allow)
    parts.sort(key=lambda part: min(part.found))
    result = _result(parts, out)
    outer = out.absolute().with_name(f".merging-{out.name}")
    shutil.rmtree(outer, ignore_errors=True)  # of a merge that was killed
    folder = outer / out.name
    try:
        write_merged(folder, parts, result.seeds, command)
        write_result(folder, result)
        write_report(folder)
        os.rename(folder, out)
    finally:
        shutil.rmtree(outer, ignore_errors=True)
    return load_result(out)


def _check_seeds(parts: Sequence[Part]) -> None:
    for one, other in combinations(parts, 2):
        if twice := sorted(one.found.keys() & other.found.keys()):
            raise UsageError(f"{one.path} and {other.path} both hold seed {', '.join(map(str, twice))}")


def _check_arm(one: Part, other: Part) -> None:
    """Raises UsageError unless two parts are of one arm, on the same data."""
    kinds = set(Kind) - {Kind.ACCESS}
    fields = [key for key in differing(one.stored.spec, other.stored.spec, kinds) if key != "seeds"]
    if ("engine" in one.stored.spec) != ("engine" in other.stored.spec):
        fields = ["one is an evaluation"]
    data = [name for name, sha256 in one.stored.data.items() if other.stored.data.get(name, sha256) != sha256]
    facts = [name for name in RunFacts.__struct_fields__ if name not in OF_SEEDS]
    said = [name for name in facts if getattr(one.result, name) != getattr(other.result, name)]
    suites = [
        f"suite {name!r}"
        for name in sorted(one.result.suites.keys() | other.result.suites.keys())
        if _facts(one, name) != _facts(other, name)
    ]
    stamps = ["why they are no results"] if _stamp(one.result) != _stamp(other.result) else []
    if differ := list(dict.fromkeys([*fields, *data, *said, *suites])) or stamps:
        raise UsageError(f"{one.path} and {other.path} are no parts of one run, they differ in {listed(differ)}")


def _facts(part: Part, suite: str) -> object:
    found = part.result.suites.get(suite)
    return found and found.facts


def _stamp(result: Result) -> str:
    """Why a run is no result, but for seeds that were stopped."""
    return (result.not_a_result or "").removesuffix("; ".join(reasons_by_seeds(result.stopped))).removesuffix("; ")


def _check_environments(parts: Sequence[Part], allow: Sequence[str]) -> None:
    environments = by_seed(parts)
    known = {*MUST_AGREE, *(name for env in environments.values() for name in env.packages)}
    if unknown := [name for name in allow if name not in known]:
        raise UsageError(f"{unknown[0]!r} cannot be allowed to differ{nearest(unknown[0], known)}")
    spec = typed_spec(parts[0].stored.spec, parts[0].path)
    found = disagreements(environments.values(), spec.backend.name if isinstance(spec, RunSpec) else "local")
    if refused := [f"{name}: {values}" for name, values in found.items() if name not in allow]:
        raise UsageError(
            f"the parts were not computed with the same code, they differ in {'; '.join(refused)}; --allow-different NAME "
            "merges them all the same"
        )


def _result(parts: Sequence[Part], out: Path) -> Result:
    """result.json of all seeds, as harness/run.py has it of a run. Raises HarnessError as `combined`."""
    found = dict(sorted((seed, own) for part in parts for seed, own in part.found.items()))
    stored, first = merged_spec(parts, list(found)), parts[0].result
    stopped = {seed: own.stopped for seed, own in found.items() if own.stopped}
    ledgers = {seed: own.ledger or Ledger() for seed, own in found.items()}
    made = combined(found, {name: suite.facts for name, suite in first.suites.items()})
    total = Ledger.total(ledgers.values())
    return replace(
        first,
        run=str(out),
        spec=stored.spec,
        spec_hash=stored.hash,
        seeds=tuple(found),
        not_a_result="; ".join([*filter(None, [_stamp(first)]), *reasons_by_seeds(stopped)]) or None,
        stopped=stopped,
        identity=made.identity,
        suites=made.suites,
        macro=made.macro,
        ledger=total,
        ledgers=ledgers,
        teacher_tokens=total.reflection_tokens if first.teacher else 0,
        first_rollouts={seed: own.first_rollouts for seed, own in found.items() if own.first_rollouts},
    )
