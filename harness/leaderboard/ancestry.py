"""The templates of a board's arms, for its page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.leaderboard.entries import Entry
from harness.report.ancestry import pools_of
from harness.stats.comparison import Comparison

TEMPLATES = 400
"""Maximum number of templates on a page."""


def template_pools(c: Comparison, entries: Sequence[Entry], arms: int) -> list[dict[str, Any]]:
    """For each arm the pools of its first seeds, as far as they fit: selected templates below their ancestors."""
    out = []
    for arm, entry in zip(c.arms, entries, strict=True):
        pools, left = pools_of([t.row for t in entry.templates], TEMPLATES // arms)
        if entry.templates:
            out.append({"arm": arm.label, "pools": pools, "left": f"templates.jsonl has {left} more pools." if left else ""})
    return out
