"""Training sets and suites from the hub, as files of the data directory: `harness fetch deepmath --data-dir DATA`.

Deterministic: rows without a problem or an answer are left out, repeated problems kept once, ids are hashes of the
problem, rows are sorted by id. Where the columns hold the right and the wrong answers, they become options in an order
drawn from the id, and the answer is a letter. A record next to the file says which revision it came from.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from harness.core.errors import HarnessError, MissingError, UsageError, nearest
from harness.core.seeds import stream
from harness.data.suites import Suite, benchmarks_dir, list_suites
from harness.data.training_sets import TrainingSet, list_training_sets
from harness.runs.files import write_bytes, write_json


def find(name: str) -> TrainingSet | Suite:
    """The training set or suite of that name which has a hub dataset.

    Raises UsageError for a name of neither, with the nearest one that can be fetched, and for one without a dataset.
    """
    every: list[TrainingSet | Suite] = [*list_training_sets(), *list_suites()]
    for target in every:
        if target.name == name and target.hub is not None:
            return target
    fetchable = [target.name for target in every if target.hub is not None]
    if any(target.name == name for target in every):
        whole = f"; all of its source is {name}-full" if f"{name}-full" in fetchable else ""
        raise UsageError(f"{name!r} names no hub dataset; it is generated, or read from --data-dir{whole}")
    raise UsageError(f"no training set or suite {name!r} can be fetched{nearest(name, fetchable)}")


def fetch(
    target: TrainingSet | Suite, data_dir: Path, source: str | None = None, revision: str | None = None
) -> dict[str, Any]:
    """Write the file of `target` from its hub dataset, or from `source` (another id, or a folder); returns the record.

    Raises UsageError for a target without a hub dataset, an existing file or missing columns, MissingError when the
    dataset cannot be had, HarnessError where a hash is pinned and the file would have another: then it is not written.
    """
    hub = target.hub
    if hub is None or target.file is None:
        raise UsageError(f"{target.name!r} names no hub dataset; it is generated, or read from --data-dir")
    path = data_dir / target.file
    if path.exists():
        raise UsageError(f"{path} is already there; move it away to fetch another")
    id_, revision = source or hub["id"], revision or (None if source else hub.get("revision"))
    config = None if source and Path(source).is_dir() else hub.get("config")
    try:
        from datasets import load_dataset
        from huggingface_hub import HfApi

        if not Path(id_).is_dir():
            revision = HfApi().dataset_info(id_, revision=revision).sha
        rows = load_dataset(id_, config, revision=None if Path(id_).is_dir() else revision, split=hub["split"])
    except ModuleNotFoundError:
        raise
    except Exception as e:  # many kinds: no network, no such id, no such revision, no access, unreadable files
        reason = (str(e).strip() or type(e).__name__).splitlines()[0]
        if hub.get("gated") and not source:
            reason += "; the dataset is gated: accept its terms on the hub and log in (hf auth login)"
        raise MissingError(f"cannot fetch {id_}: {reason}") from None
    missing = {hub[key] for key in ("problem", "answer", "level") if hub.get(key)} - set(rows.column_names)
    missing |= set(hub.get("wrong", ())) - set(rows.column_names)
    if missing:
        raise UsageError(f"{id_} has no column {sorted(missing)[0]!r}; it has {', '.join(rows.column_names)}")
    kept: dict[str, dict[str, Any]] = {}
    for row in rows:
        problem, answer, *wrong = (
            str(row[column] or "").strip() for column in (hub["problem"], hub["answer"], *hub.get("wrong", ()))
        )
        if not all((problem, answer, *wrong)) or (hub.get("level") and float(row[hub["level"]]) < hub["minimum"]):
            continue
        key = f"{target.name}-{hashlib.sha256(problem.encode()).hexdigest()[:10]}"
        if wrong:
            problem, answer = _with_options(problem, answer, wrong, key)
        solution = row.get(hub.get("solution") or "")
        kept.setdefault(key, {"id": key, "problem": problem, "answer": answer, "solution": solution or None})
    text = "".join(json.dumps(kept[key], ensure_ascii=False) + "\n" for key in sorted(kept)).encode()
    data = gzip.compress(text, mtime=0) if path.suffix == ".gz" else text
    record = {
        "suite" if isinstance(target, Suite) else "training_set": target.name,
        "source": id_,
        "revision": revision,
        "rows": len(kept),
        "of": len(rows),
        "file": target.file,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    if target.sha256 not in (None, record["sha256"]):
        raise HarnessError(
            f"what {id_} gives, revision {revision}, has the SHA-256 {record['sha256']}, and {target.name!r} pins "
            f"{target.sha256}: nothing was written"
        )
    write_json(path.with_name(path.name + ".source.json"), record)
    write_bytes(path, data)  # last: where the file is, all of it is
    return record


def card_of(target: TrainingSet | Suite) -> Path:
    """The file in which a hash is pinned."""
    here = benchmarks_dir()
    return here / target.name / "card.yaml" if isinstance(target, Suite) else here / "training_sets.yaml"


def pin_lines(target: TrainingSet | Suite, record: Mapping[str, Any]) -> list[str]:
    """What to write into the card, so that what was fetched is the data of `target`; empty where it says so already.

    The revision, where there is one, goes with the hash: the same command then gives the same file.
    """
    if target.sha256 is not None or target.hub is None:
        return []
    lines = [f"sha256: {record['sha256']}"]
    if record["revision"] is not None and target.hub.get("revision") != record["revision"]:
        lines.append(f"hub: {{{', '.join(f'{k}: {v}' for k, v in {**target.hub, 'revision': record['revision']}.items())}}}")
    return [*lines, f"size: {record['rows']}"] if isinstance(target, Suite) and target.size != record["rows"] else lines


def _with_options(problem: str, answer: str, wrong: list[str], key: str) -> tuple[str, str]:
    """The problem with its options, `(A) ...` a line, and the letter of the right one."""
    options = [answer, *wrong]
    stream("options", key).shuffle(options)
    lines = [f"({letter}) {option}" for letter, option in zip(ascii_uppercase, options, strict=False)]
    return "\n\n".join([problem, "\n".join(lines)]), ascii_uppercase[options.index(answer)]
