"""Training sets from the hub, as files of the data directory: `harness fetch deepmath --data-dir DATA`.

Deterministic: rows without a problem or an answer are left out, repeated problems kept once, ids are hashes of the
problem, rows are sorted by id. A record beside the file says which revision it came from.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

from harness.errors import MissingError, UsageError
from harness.rundir import write_json
from harness.suites import TrainingSet


def fetch(training_set: TrainingSet, data_dir: Path, source: str | None = None, revision: str | None = None) -> dict[str, Any]:
    """Write the set's file from its hub dataset, or from `source` (another id, or a folder); returns the record.

    Raises UsageError for a set without a hub dataset, an existing file or missing columns, MissingError when the
    dataset cannot be had.
    """
    hub = training_set.hub
    if hub is None or training_set.file is None:
        raise UsageError(f"training set {training_set.name!r} names no hub dataset; it is read from --data-dir")
    path = data_dir / training_set.file
    if path.exists():
        raise UsageError(f"{path} is already there; move it away to fetch another")
    id_ = source or hub["id"]
    try:
        from datasets import load_dataset
        from huggingface_hub import HfApi

        if not Path(id_).is_dir():
            revision = HfApi().dataset_info(id_, revision=revision).sha
        rows = load_dataset(id_, revision=None if Path(id_).is_dir() else revision, split=hub["split"])
    except Exception as e:  # many kinds: no network, no such id, no such revision, unreadable files
        raise MissingError(f"cannot fetch {id_}: {(str(e).strip() or type(e).__name__).splitlines()[0]}") from None
    missing = {hub[key] for key in ("problem", "answer", "level") if hub.get(key)} - set(rows.column_names)
    if missing:
        raise UsageError(f"{id_} has no column {sorted(missing)[0]!r}; it has {', '.join(rows.column_names)}")
    kept: dict[str, dict[str, Any]] = {}
    for row in rows:
        problem, answer = (str(row[hub[key]] or "").strip() for key in ("problem", "answer"))
        if not problem or not answer or (hub.get("level") and float(row[hub["level"]]) < hub["minimum"]):
            continue
        key = f"{training_set.name}-{hashlib.sha256(problem.encode()).hexdigest()[:10]}"
        solution = row.get(hub.get("solution") or "")
        kept.setdefault(key, {"id": key, "problem": problem, "answer": answer, "solution": solution or None})
    text = "".join(json.dumps(kept[key], ensure_ascii=False) + "\n" for key in sorted(kept)).encode()
    data = gzip.compress(text, mtime=0) if path.suffix == ".gz" else text
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    record = {
        "training_set": training_set.name, "source": id_, "revision": revision, "rows": len(kept), "of": len(rows),
        "file": training_set.file, "sha256": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip
    write_json(path.with_name(path.name + ".source.json"), record)
    return record
