"""The templates of a prompt search as trees of descent, for a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.leaderboard.entries import Entry
from harness.report.pages import excerpt
from harness.report.tables import points
from harness.runs.logs import TemplateRow
from harness.stats.comparison import Comparison

TEMPLATES = 400
"""Maximum number of templates on a page, each cut to TEMPLATE_CHARS."""
TEMPLATE_CHARS = 800
DEPTH = 24
"""Generations of templates with an indentation of their own."""


def template_pools(c: Comparison, entries: Sequence[Entry], arms: int) -> list[dict[str, Any]]:
    """For each arm the pools of its first seeds, as far as they fit: selected templates below their ancestors."""
    out = []
    for arm, entry in zip(c.arms, entries, strict=True):
        by_pool: dict[tuple[int, int], list[TemplateRow]] = {}
        for t in entry.templates:
            by_pool.setdefault((t.row.seed, t.row.epoch), []).append(t.row)
        pools, room = [], TEMPLATES // arms
        for (seed, epoch), rows in sorted(by_pool.items()):
            family = ancestry(rows)
            if len(family) > room:
                break
            room -= len(family)
            chosen = sum(row.selected for row in rows)
            name = f"seed {seed}, " + (f"after epoch {epoch + 1}" if epoch >= 0 else "before training")
            pools.append({"title": f"{name}: {chosen} selected of {len(rows)}", "roots": trees(family)})
        if by_pool:
            left = len(by_pool) - len(pools)
            out.append({"arm": arm.label, "pools": pools, "left": f"templates.jsonl has {left} more pools." if left else ""})
    return out


def ancestry(rows: Sequence[TemplateRow]) -> list[tuple[TemplateRow, int | None]]:
    """The selected templates of a pool and all their ancestors, parents first: (row, index of its parent).

    The index is None if the parent is not in the pool, or would be its own descendant.
    """
    by = {row.candidate: row for row in rows if row.candidate is not None}
    out: list[tuple[TemplateRow, int | None]] = []
    place: dict[int, int] = {}
    for row in rows:
        if not row.selected or row.candidate in place:
            continue
        line, at, seen = [row], row.parent, {row.candidate}
        while at in by and at not in place and at not in seen:
            seen.add(at)
            line.append(by[at])
            at = by[at].parent
        for one in reversed(line):
            out.append((one, None if one.parent is None else place.get(one.parent)))
            if one.candidate is not None:
                place[one.candidate] = len(out) - 1
    return out


def trees(family: Sequence[tuple[TemplateRow, int | None]]) -> list[dict[str, Any]]:
    """Nested nodes; from generation DEPTH on, all are siblings."""
    nodes = [_node(row) for row, _ in family]
    roots: list[dict[str, Any]] = []
    above: list[list[int]] = []
    for node, (_, parent) in zip(nodes, family, strict=True):
        while parent is not None and len(above[parent]) >= DEPTH:
            parent = above[parent][-1]
        above.append([] if parent is None else [*above[parent], parent])
        (roots if parent is None else nodes[parent]["children"]).append(node)
    return roots


def _node(row: TemplateRow) -> dict[str, Any]:
    return {
        "text": excerpt(row.template, TEMPLATE_CHARS) or "(the empty template)",
        "score": "unscored" if row.mean_score is None else points(row.mean_score),
        "selected": row.selected,
        "children": [],
    }
