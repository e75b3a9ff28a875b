"""Regrading: every score of a finished run again from its stored samples, without a model."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError
from harness.data.suites import load_suite
from harness.evaluation.estimators import mean_or_none
from harness.evaluation.evaluate import sample_metrics
from harness.grading.graders import grade_many
from harness.grading.parity import parity_many
from harness.runs.files import read_jsonl, write_json
from harness.runs.result import load_result

METRICS = ("avg", "truncated", "unparsed", "grader_faults", "parity_avg", "disagreement", "greedy", "greedy_parity")


def regrade(run: Path) -> dict[str, Any]:
    """Grade the samples of `run` with the present graders; writes regrade.json there and returns it.

    Per suite `old` (what result.json says) and `new` metrics, `samples`, and `changed`: how many samples have another
    score, status or parity grade than the stored one; `macro` by role, old and new. The samples stay as they are.
    Raises MissingError where no run is, HarnessError where it is unfinished or samples are missing.
    """
    result = load_result(run)
    suites = {name: _suite(run, name, old, result["seeds"]) for name, old in result["suites"].items()}

    def macro(role: str) -> dict[str, float | None]:
        new = (s["new"]["avg"] for name, s in suites.items() if result["suites"][name]["role"] == role)
        return {"old": result["macro"][role], "new": mean_or_none(new)}

    out = {"run": str(run), "suites": suites, "macro": {role: macro(role) for role in ("id", "ood")}}
    write_json(run / "regrade.json", {key: value for key, value in out.items() if key != "run"})
    return out


def _suite(run: Path, name: str, old: dict[str, Any], seeds: Sequence[int]) -> dict[str, Any]:
    rows = [row for row in read_jsonl(run / "samples" / f"{name}.jsonl") if row["seed"] in seeds]
    expected = old["n"] * (old["k"] + (old.get("greedy") is not None)) * len(seeds)
    if len(rows) != expected:
        raise HarnessError(f"{run} holds {len(rows)} samples of suite {name!r}, its result was made of {expected}")
    answer_type = load_suite(name).answer_type
    grades = grade_many([(r["completion"], r["gold"], answer_type) for r in rows])
    parity: Sequence[float | None] = [None] * len(rows)
    if answer_type == "math":
        parity = parity_many([(r["completion"], r["gold"]) for r in rows])
    fresh = [{**r, "score": g.score, "status": g.status, "parity": p} for r, g, p in zip(rows, grades, parity, strict=True)]
    keys = ("score", "status", "parity")
    return {
        "samples": len(rows),
        "changed": sum(any(key in r and r[key] != f[key] for key in keys) for r, f in zip(rows, fresh, strict=True)),
        "old": {**{key: old.get(key) for key in METRICS}, "pass_at": old["pass_at"]},
        "new": _over_seeds(fresh, old["k"], seeds),
    }


def _over_seeds(rows: Sequence[dict[str, Any]], k: int, seeds: Sequence[int]) -> dict[str, Any]:
    """As result.json has it: means over seeds, the sum of faults."""
    parts = [sample_metrics([row for row in rows if row["seed"] == seed], k) for seed in seeds]
    out = {key: mean_or_none(part[key] for part in parts) for key in METRICS}
    out["grader_faults"] = sum(part["grader_faults"] for part in parts)
    out["pass_at"] = {str(m): statistics.fmean(part["pass_at"][m] for part in parts) for m in parts[0]["pass_at"]}
    return out
