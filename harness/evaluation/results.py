"""result.json: what a run and an evaluation of a finished policy have in common, from the parts of their seeds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from harness.core.errors import HarnessError, MissingError
from harness.data.suites import Suite
from harness.data.training_sets import TrainingSet
from harness.evaluation.estimators import mean_or_none
from harness.evaluation.evaluate import SuiteResult

T = TypeVar("T")

GRADERS = ("math-verify", "latex2sympy2-extended", "lm-eval")
"""Packages whose version can change a score."""


def part(results: Sequence[SuiteResult], identity: Mapping[str, Any], flagged: Mapping[str, Collection[str]]) -> dict[str, Any]:
    """What a seed reached: scores by suite, and the identity of what answered. `flagged`: ids by suite."""
    return {
        "identity": {**identity, "graders": {name: version(name) for name in GRADERS}},
        "suites": {r.suite: _scores(r, flagged.get(r.suite, ())) for r in results},
    }


def _scores(r: SuiteResult, flagged: Collection[str]) -> dict[str, Any]:
    """`avg_clean` is avg@k without the flagged problems; None where none or all are flagged."""
    clean = [row["score"] for row in r.samples if row["problem"] not in flagged and not row["greedy"]]
    own = {k: v for k, v in vars(r).items() if k not in ("suite", "samples", "seed", "limit", "pass_at")}
    return {
        **own,
        "pass_at": {str(k): v for k, v in r.pass_at.items()},
        "avg_clean": statistics.fmean(clean) if flagged and clean else None,
    }


def combine(
    parts: Mapping[int, Mapping[str, Any]],
    suites: Sequence[Suite],
    training_set: TrainingSet,
    flagged: Mapping[str, Sequence[str]],
    data_dir: Path | None = None,
) -> dict[str, Any]:
    """`identity`, `suites` and `macro` of result.json: means over the seeds of `parts`, macro averages by role.

    Raises HarnessError where seeds were answered by different engines, as after an upgrade in mid-run.
    """
    seeds = list(parts)
    first = parts[seeds[0]]["identity"]
    for seed in seeds:
        if parts[seed]["identity"] != first:
            differ = [k for k in first if parts[seed]["identity"].get(k) != first[k]]
            raise HarnessError(f"seeds {seeds[0]} and {seed} were evaluated under different conditions: {', '.join(differ)}")
    out: dict[str, Any] = {}
    for suite in suites:
        rows = {seed: parts[seed]["suites"][suite.name] for seed in seeds}
        out[suite.name] = {
            "role": training_set.role_of(suite.name) or "other",
            "title": suite.title,
            "data_sha256": suite.data_sha256(data_dir),
            **{key: rows[seeds[0]][key] for key in ("n", "k", "temperature", "max_new_tokens")},
            "flagged": list(flagged.get(suite.name, ())),
            **over_seeds(rows),
        }
    return {"identity": first, "suites": out, "macro": macro_averages(out, seeds)}


def over_seeds(rows: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of one suite from those of its seeds: means, but for sums of faults and tokens."""
    own = list(rows.values())
    mean: Callable[[str], float] = lambda key: statistics.fmean(r[key] for r in own)
    clean = {str(s): r["avg_clean"] for s, r in rows.items() if r["avg_clean"] is not None}
    return {
        "avg": mean("avg"),
        "per_seed": {str(s): r["avg"] for s, r in rows.items()},
        "avg_clean": statistics.fmean(clean.values()) if clean else None,
        "per_seed_clean": clean,
        "pass_at": {k: statistics.fmean(r["pass_at"][k] for r in own) for k in own[0]["pass_at"]},
        "truncated": mean("truncated"),
        "unparsed": mean("unparsed"),
        "grader_faults": sum(r["grader_faults"] for r in own),
        **{key: mean_or_none(r[key] for r in own) for key in ("parity_avg", "disagreement", "greedy", "greedy_parity")},
        **{key: sum(r[key] for r in own) for key in ("prompt_tokens", "generated_tokens")},
    }


def macro_averages(suites: Mapping[str, Mapping[str, Any]], seeds: Sequence[int]) -> dict[str, Any]:
    """`macro` of result.json: unweighted means over the suites of a role, None where it has none."""

    def macro(role: str, seed: int | None = None) -> float | None:
        return mean_or_none(
            s["avg"] if seed is None else s["per_seed"][str(seed)] for s in suites.values() if s["role"] == role
        )

    per_seed = {str(s): {role: macro(role, s) for role in ("id", "ood")} for s in seeds}
    return {"id": macro("id"), "ood": macro("ood"), "per_seed": per_seed}


def stamp(limit: int | None, *deviations: str | None) -> str | None:
    """Why numbers are no result, or None."""
    reasons = [f"only the first {limit} problems of each suite were evaluated (--limit)"] if limit else []
    return "; ".join([*reasons, *(d for d in deviations if d)]) or None


@dataclass
class Checklist:
    """Collects what is missing, so that one error names all of it."""

    missing: list[str]

    def get(self, check: Callable[[], T]) -> T | None:
        """The value of `check`; None, and a note, where it raises MissingError."""
        try:
            return check()
        except MissingError as e:
            self.missing.append(str(e))
            return None

    def settle(self) -> None:
        """Raises MissingError with everything that is missing."""
        if self.missing:
            raise MissingError("; ".join(dict.fromkeys(self.missing)))
