"""A run's learning curves: a panel for every metric that has a curve, and a table of those that have none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from harness.report.pages import CURVES, panels
from harness.report.tables import Table, compact
from harness.runs.logs import Metrics

MORE = {
    "rescued_problems": "Problems rescued since the last epoch, share",
    "skills_found": "Families whose way the policy finds unprompted, share",
    "skill_mean": "Probability of the right way, unprompted, mean over families",
    "tokens_per_rollout": "Tokens per rollout",
    "truncated": "Rollouts cut at the token limit, share",
    "entropy": "Entropy, nats per token",
}
"""Metrics of a run's page alone, with their titles."""
BRANCH = {
    r"branch_p_(\d+)": "Probability of the right branch token {}, unprompted",
    r"branch_p_joint": "Probability of all right branch tokens, unprompted",
    r"branch_p_joint_t1": "Probability of all right branch tokens at temperature 1, unprompted",
    r"branch_advantage_(\d+)_(\w+)": "Summed advantage of branch token {}, {} rollouts",
    r"branch_masked_(\d+)": "Branch token {} masked in rollouts with a template, share",
}
"""The stress tests' probes of a policy, as patterns."""


def title_of(key: str) -> str:
    """What a metric is called above its curve."""
    if title := CURVES.get(key) or MORE.get(key):
        return title
    for pattern, title in BRANCH.items():
        if found := re.fullmatch(pattern, key):
            return title.format(*found.groups())
    return key.replace("_", " ")


def has_curve(rows: Sequence[Metrics], key: str) -> bool:
    """Whether there is anything to see: two points of one seed, and not the same value everywhere."""
    seeds = [(m.row.seed, m.row.kind) for m in rows if key in m.values]
    return len(seeds) > len(set(seeds)) and len({m.values[key] for m in rows if key in m.values}) > 1


def training(rows: list[Metrics], seeds: Sequence[int]) -> tuple[list[dict[str, Any]], Table | None]:
    """The panels, a line per seed, and the table of the other metrics, None where all have a curve."""
    logged = {key for m in rows for key in m.values}
    keys = [key for key in (*CURVES, *MORE, *sorted(k for k in logged if k.startswith("branch_"))) if key in logged]
    drawn = [key for key in keys if has_curve(rows, key)]
    found = panels([list(rows)], lambda _, seed: seeds.index(seed), drawn)
    shown = [{**panel, "title": title_of(key)} for key, panel in zip(drawn, found, strict=True)]
    return shown, _table(rows, seeds, [key for key in keys if key not in drawn])


def _table(rows: Sequence[Metrics], seeds: Sequence[int], keys: Sequence[str]) -> Table | None:
    if not keys:
        return None
    last = {(m.row.seed, key): m.values[key] for m in rows for key in keys if key in m.values}
    cells = [(title_of(key), *(compact(last[seed, key]) if (seed, key) in last else "" for seed in seeds)) for key in keys]
    header = ("metric", *(f"seed {seed}" for seed in seeds))
    return Table("Measured once, or the same all along", header, "l" + "r" * len(seeds), cells)
