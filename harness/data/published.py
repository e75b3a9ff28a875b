"""Published lists of what a suite asks: a hash per problem, so that a filed run can be checked where the data are not at hand.

    benchmarks/<suite>/problems.tsv    id, and 16 digits of the SHA-256 over the JSON of (id, hash of the user turn, gold)
    benchmarks/training_problems.json  of every training set with a file, the SHA-256 of its problems

A hash holds question and answer together, so that it gives no short answer away. Suites whose problems are generated need
no list. `harness leaderboard problems --data-dir DATA` writes them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from harness.core.errors import HarnessError
from harness.core.types import Problem
from harness.data.problems import content_sha256
from harness.data.suites import Suite, benchmarks_dir, is_own, list_suites
from harness.data.training_sets import list_training_sets

TRAINING_LIST = "training_problems.json"


def prompt_sha256(text: str) -> str:
    """Of a user turn, as samples have it."""
    return hashlib.sha256(text.encode()).hexdigest()


def digest(problem: str, prompt: str, gold: str) -> str:
    """Of a problem's id, the hash of its user turn and its gold answer."""
    return hashlib.sha256(json.dumps([problem, prompt, gold]).encode()).hexdigest()[:16]


def list_path(suite: Suite) -> Path:
    return benchmarks_dir() / suite.name / "problems.tsv"


def read_list(suite: Suite) -> dict[str, str] | None:
    """Digests by id, in the suite's order; None where the suite has no list. Raises HarnessError for a damaged one."""
    path = list_path(suite)
    if not path.exists():
        return None
    lines = path.read_text(encoding="utf-8").splitlines()
    found = dict(line.rsplit("\t", 1) for line in lines if line.count("\t"))
    if len(found) != suite.size or len(lines) != suite.size:
        raise HarnessError(f"{path} does not hold the {suite.size:,} problems of the suite")
    return found


def list_text(problems: list[Problem]) -> str:
    """The text of a list."""
    return "".join(f"{p.id}\t{digest(p.id, prompt_sha256(p.text), p.answer)}\n" for p in problems)


def read_training_list() -> dict[str, str]:
    """Training set to the SHA-256 of its problems, where that is published."""
    path = benchmarks_dir() / TRAINING_LIST
    found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return found


def lists(data_dir: Path) -> Mapping[Path, str]:
    """Path and text of every list that these data give; whose data are not there are left as they are.

    Raises UsageError for a file that is not the pinned one.
    """
    out = {}
    for suite in list_suites():
        if is_own(suite.name) and suite.file is not None and suite.sha256 is not None and (data_dir / suite.file).exists():
            out[list_path(suite)] = list_text(suite.problems(data_dir))
    known = read_training_list()
    for training_set in list_training_sets():
        if training_set.file is not None and (data_dir / training_set.file).exists():
            if training_set.deviation(data_dir) is None:
                known[training_set.name] = content_sha256(training_set.whole(None, data_dir))
    out[benchmarks_dir() / TRAINING_LIST] = json.dumps(dict(sorted(known.items())), indent=1) + "\n"
    return out
