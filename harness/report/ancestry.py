"""The templates of a prompt search as trees of descent, for a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.report.pages import excerpt
from harness.report.tables import points
from harness.runs.logs import TemplateRow

CHARACTERS = 800
"""A template on a page is cut to this many."""
DEPTH = 24
"""Generations of templates with an indentation of their own."""


def pools_of(rows: Sequence[TemplateRow], room: int, every: bool = False) -> tuple[list[dict[str, Any]], int]:
    """The pools of all seeds and epochs as trees, and how many are left out because the templates are more than `room`.

    A tree holds the selected templates and their ancestors, with `every` all others, too.
    """
    by_pool: dict[tuple[int, int], list[TemplateRow]] = {}
    for row in rows:
        by_pool.setdefault((row.seed, row.epoch), []).append(row)
    pools: list[dict[str, Any]] = []
    for (seed, epoch), own in sorted(by_pool.items()):
        family = ancestry(own, every)
        if len(family) > room:
            break
        room -= len(family)
        chosen = sum(row.selected for row in own)
        name = f"seed {seed}, " + (f"after epoch {epoch + 1}" if epoch >= 0 else "before training")
        pools.append({"title": f"{name}: {chosen} selected of {len(own)}", "roots": trees(family)})
    return pools, len(by_pool) - len(pools)


def ancestry(rows: Sequence[TemplateRow], every: bool = False) -> list[tuple[TemplateRow, int | None]]:
    """The selected templates of a pool, or `every` one, and all their ancestors, parents first: (row, index of its parent).

    The index is None if the parent is not in the pool, or would be its own descendant.
    """
    by = {row.candidate: row for row in rows if row.candidate is not None}
    out: list[tuple[TemplateRow, int | None]] = []
    place: dict[int, int] = {}
    for row in rows:
        if not (row.selected or every) or row.candidate in place:
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
    nodes = [_node(row, None if parent is None else family[parent][0]) for row, parent in family]
    roots: list[dict[str, Any]] = []
    above: list[list[int]] = []
    for node, (_, parent) in zip(nodes, family, strict=True):
        while parent is not None and len(above[parent]) >= DEPTH:
            parent = above[parent][-1]
        above.append([] if parent is None else [*above[parent], parent])
        (roots if parent is None else nodes[parent]["children"]).append(node)
    return roots


def _node(row: TemplateRow, parent: TemplateRow | None) -> dict[str, Any]:
    gain = None
    if parent is not None and row.mean_score is not None and parent.mean_score is not None:
        gain = row.mean_score - parent.mean_score
    return {
        "text": excerpt(row.template, CHARACTERS) or "(the empty template)",
        "number": row.candidate,
        "score": "unscored" if row.mean_score is None else points(row.mean_score),
        "gain": "" if gain is None else f"{points(gain, sign=True)} on its parent",
        "selected": row.selected,
        "children": [],
    }
