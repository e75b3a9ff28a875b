"""The tables of a study: what its cells would take, and what came out of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from harness.report.cost import short, size
from harness.report.tables import Table, compact, interval, points, seconds
from harness.stats.budgets import BUDGET
from harness.study.cells import Cell, cell_name
from harness.study.file import Study

if TYPE_CHECKING:
    from harness.cost.estimate import Cost
    from harness.stats.comparison import Comparison
    from harness.stats.scores import Solved


def plan_table(study: Study, cells: Sequence[Cell], costs: Mapping[str, Cost | None]) -> Table:
    """What the chosen cells take, all seeds together, and the sum. Bounds as in harness/plan.py, costs as in harness/cost."""
    rows, sums, unknown, known = [], [0, 0, 0, 0.0, 0.0, 0.0], False, [c for c in costs.values() if c]
    for cell in (c for c in cells if c.chosen):
        assert cell.plan is not None
        n, p, c = len(cell.spec.seeds), cell.plan, costs[cell.name]
        own = [n * p.rollouts, n * (p.generated_tokens + p.eval_tokens), n * p.optimiser_steps]
        paid: list[float | None] = [None, None, None]
        if c is not None:
            paid = [n * c.reflection_calls, c.disk, n * c.device_hours]
        unknown |= c is None
        sums = [a + (b or 0) for a, b in zip(sums, [*own, *paid], strict=True)]
        rows.append(
            (cell.name, cell.spec.method, str(n), *_costs([*own, *paid]), f"tokens of {cell.match}" if cell.match else "")
        )
    rows.append(("total", "", "", *_costs([*sums[:3], *([None] * 3 if unknown else sums[3:])]), ""))
    unit = known[0].unit if known else "hours"
    notes = (
        "All seeds together, evaluation tokens included; rollouts and tokens are upper bounds, and a cell with a budget in "
        f"tokens is planned at the most that its arm may write. Hours: {unit}"
        + (f", {known[0].device}" if known and known[0].gpus else "")
        + ", of completions of average length; what they rest on: `harness run --dry-run` of an arm.",
        *_prices(costs),
        *(f"{cell.name}: {cell.plan.hints}." for cell in cells if cell.chosen and cell.plan and cell.plan.hints),
        *_stamps([(cell.name, cell.plan.not_a_result) for cell in cells if cell.chosen and cell.plan]),
    )
    header = ("cell", "method", "seeds", "rollouts", "tokens", "optimiser steps", "reflections", "disk", "hours", "budget")
    return Table(title=study.title, header=header, align="llrrrrrrrl", rows=rows, notes=notes)


def _prices(costs: Mapping[str, Cost | None]) -> list[str]:
    """A line on what servers take for reflections, where they are asked."""
    paid = {name: None if c.dollars is None else c.seeds * c.dollars for name, c in costs.items() if c and c.dollars != 0}
    if not paid:
        return []
    words = [f"{name} {'of unknown price' if x is None else f'${x:,.2f}'}" for name, x in paid.items()]
    hint = "; --throughput price-in=$,price-out=$ says it, of a million tokens" if None in paid.values() else ""
    return [f"Reflections on servers: {', '.join(words)}{hint}."]


def _stamps(cells: Sequence[tuple[str, str | None]]) -> list[str]:
    """A line per reason why cells are no result, from their names and reasons."""
    lines = []
    for reason in dict.fromkeys(reason for _, reason in cells if reason):
        names = [name for name, own in cells if own == reason]
        lines.append(f"Not a result: {'all' if len(names) == len(cells) else ', '.join(names)}; {reason}.")
    return lines


def _costs(values: Sequence[float | None]) -> tuple[str, ...]:
    *counts, disk, hours = values
    known = "unknown" if disk is None else size(disk), "unknown" if hours is None else short(hours)
    return (*("unknown" if x is None else compact(x) for x in counts), *known)


@dataclass(frozen=True)
class CellScore:
    """One measure of a finished cell: shares, over its seeds. `solved` where the training set says what solving is."""

    mean: float
    sd: float | None
    solved: Solved | None


@dataclass(frozen=True)
class SummaryRow:
    """A finished cell: its scores by the measure's title, and what a seed paid on average, by ledger entry."""

    condition: str
    arm: str
    method: str
    run: str
    seeds: list[int]
    scores: dict[str, CellScore]
    budget: dict[str, float]
    not_a_result: str | None


PAID: dict[str, Callable[[float], str]] = {
    "rollouts": compact,
    "sampled_tokens": compact,
    "optimiser_steps": compact,
    "wall_seconds": seconds,
}
"""What of a budget the table shows, and how."""


def summary(condition: str, comparison: Comparison) -> list[SummaryRow]:
    """A row per arm: its macro averages, or its suites where it has none."""
    measures = [m for m in comparison.measures if m.protocol is None] or comparison.measures
    return [
        SummaryRow(
            condition=condition,
            arm=arm.label,
            method=arm.method,
            run=arm.run,
            seeds=list(arm.seeds),
            scores={m.title: CellScore(*(getattr(arm.scores[m.key], f.name) for f in fields(CellScore))) for m in measures},
            budget=arm.budget,
            not_a_result=arm.not_a_result,
        )
        for arm in comparison.arms
    ]


def summary_table(rows: Sequence[SummaryRow], paid: Sequence[str] = tuple(PAID)) -> Table:
    """All finished cells of `summary`; grouped by condition, where there are several. `paid`: which budgets are shown."""
    measures = list(dict.fromkeys(title for row in rows for title in row.scores))
    solving = [t for t in measures if any(t in row.scores and row.scores[t].solved for row in rows)]
    header = ["condition", "arm", "method", "seeds"]
    for title in measures:
        header += [title.removesuffix(" macro average"), "sd", *(["solved", "95% exact"] if title in solving else [])]
    header += [BUDGET[key] for key in paid]
    out = []
    for i, row in enumerate(rows):
        first = i == 0 or rows[i - 1].condition != row.condition
        cells = [row.condition if first else "", row.arm, row.method, str(len(row.seeds))]
        for title in measures:
            s = row.scores.get(title)
            cells += [points(s.mean), "" if s.sd is None else points(s.sd)] if s else ["", ""]
            if title in solving:
                x = s.solved if s else None
                cells += [f"{x.count}/{len(row.seeds)}", interval(x.low, x.high)] if x else ["", ""]
        out.append((*cells, *(PAID[key](row.budget[key]) for key in paid)))
    start = int(not any(row.condition for row in rows))
    notes = ["Percent points, mean over seeds; sd: sample standard deviation. Budgets: of training, a seed on average."]
    if threshold := next((s.solved.at for row in rows for s in row.scores.values() if s.solved), None):
        notes.append(f"Solved: seeds that score at least {points(threshold)}, with the Clopper-Pearson interval.")
    stamps = _stamps([(cell_name(row.condition, row.arm), row.not_a_result) for row in rows])
    notes = [*reversed(stamps), *notes]
    align = "lll" + "r" * (len(header) - 3)
    return Table(
        title="All cells", header=tuple(header[start:]), align=align[start:], rows=[r[start:] for r in out], notes=tuple(notes)
    )
