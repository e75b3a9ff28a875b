"""What runs cost, in words and as tables, and what a budget decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.cost.assumptions import INCLUDED, NAMES, Assumptions
from harness.cost.estimate import Cost
from harness.report.tables import Table, compact
from harness.stats.affordable import LEAST, Affordable, Design
from harness.stats.chances import MAX_SEEDS

SHORT = {"sampling": "sampling", "search": "searches", "reflection": "reflections", "training": "training"}
SHORT |= {"other": "start and sync", "evaluation": "evaluation"}
"""The parts of the time."""


def hours(value: float) -> str:
    """Three digits: 0.021 h, 4.2 h, 1,240 h."""
    if value < 0.01:
        return f"{3600 * value:.0f} s"
    return f"{value:,.0f} h" if value >= 99.5 else f"{float(f'{value:.3g}'):g} h"


def size(value: float) -> str:
    """Bytes of disk."""
    return (
        f"{value / 1e9:,.0f} GB" if value >= 9.95e9 else f"{value / 1e9:.1f} GB" if value >= 0.95e9 else f"{value / 1e6:.0f} MB"
    )


def cost_lines(c: Cost) -> list[str]:
    """A cost in words, of one seed unless it says otherwise."""
    many = f"{c.gpus} GPU{'s' * (c.gpus > 1)} ({c.device})" if c.gpus else "two cores"
    parts = ", ".join(f"{SHORT[name]} {hours(h)}" for name, h in c.hours.items() if h > 0.005 * c.wall_hours)
    total = (
        f"; {hours(c.device_hours * c.seeds).removesuffix(' h')} {c.unit} for {c.seeds} seeds" if c.wall_hours >= 0.01 else ""
    )
    return [
        f"a seed takes            {hours(c.wall_hours)} on {many}{total}",
        f"                        {parts}",
        f"of tokens               {compact(c.generated_tokens)} sampled, {compact(c.trained_tokens)} trained on, "
        f"{compact(c.eval_tokens)} to evaluate",
        f"reflections             {_reflections(c)}",
        f"disk                    {size(c.disk)}: {c.files.kept} checkpoints of {size(c.files.checkpoint)}, "
        f"{c.seeds} policies of {size(c.files.policy)}",
    ]


def _reflections(c: Cost) -> str:
    if not c.reflection_calls:
        return "none by a model"
    price = "of unknown price" if c.dollars is None else f"${c.dollars:,.2f}" if c.dollars else "unpaid"
    return (
        f"{c.reflection_calls:,.0f}, {compact(c.reflection_prompt_tokens)} tokens read, "
        f"{compact(c.reflection_tokens)} written, {price}"
    )


def assumption_table(a: Assumptions, costs: Sequence[Cost]) -> Table:
    """What these costs rest on; what matters for none of them is left out."""
    unused = {name for name, row in a.rows.items() if row.source == INCLUDED}
    if not any(c.search_rollouts for c in costs):
        unused |= {"searched", "accepted", "parents"}
    if not any(c.writer for c in costs):
        unused |= {"read", "written"}
    if not any(c.writer == "openai" for c in costs):
        unused |= {"latency"}
    rows: list[tuple[str, ...]] = [
        (name, number(row.value), NAMES[name], row.source) for name, row in a.rows.items() if name not in unused
    ]
    notes = ["Others by --throughput: sample=43000,train=63000, a finished run, or a GPU such as A100."]
    if any(c.dollars is None for c in costs):
        notes.append("The server's price is not known: --throughput price-in=$,price-out=$, of a million tokens.")
    return Table(f"Assumed of a {a.device}", ("name", "value", "unit", "from"), "lrll", rows, tuple(notes))


def unknown_line(model: str, lacking: Sequence[str]) -> str:
    """In the place of a cost."""
    return f"time and disk           unknown for {model}: --throughput {','.join(f'{name}=VALUE' for name in lacking)}"


def number(value: float) -> str:
    return compact(value) if value >= 1e4 else f"{float(f'{value:.3g}'):g}"


def cost_dict(c: Cost, a: Assumptions | None = None) -> dict[str, Any]:
    """For `--json`, with the assumptions if they are given."""
    sums = {"wall_hours": c.wall_hours, "device_hours": c.device_hours, "unit": c.unit}
    return {**asdict(c), "files": c.files._asdict(), **sums, **({"assumptions": a.to_dict()} if a else {})}


def cost_table(title: str, costs: Mapping[str, Cost], notes: Sequence[str] = ()) -> Table:
    """A row an arm, of one seed."""
    first = next(iter(costs.values()))
    header = ["arm", f"{'GPU' if first.gpus else 'CPU'} hours", "wall", "searches", "sampled", "trained", "reflections", "disk"]
    rows: list[tuple[str, ...]] = []
    for name, c in costs.items():
        shares = c.hours["search"] / c.wall_hours
        cells = (short(c.device_hours), hours(c.wall_hours), f"{100 * shares:.0f}%", compact(c.generated_tokens))
        written = compact(c.reflection_calls) if c.reflection_calls else ""
        rows.append(
            (name, *cells, compact(c.trained_tokens), written, size(c.files.kept * c.files.checkpoint + c.files.policy))
        )
    return Table(title=title, header=tuple(header), align="lrrrrrrr", rows=rows, notes=tuple(notes))


def short(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.5 else f"{float(f'{value:.2g}'):g}"


# ---------------------------------------------------------------------- what a budget decides


def affordable_sentences(found: Affordable, unit: str) -> list[str]:
    """What all arms together decide, what would decide the effect, and what the standard deviation rests on."""
    d, sure = found.designs[0], found.wanted
    n = f"{d.seeds} seed{'s' * (d.seeds != 1)}" if d.seeds else "not one seed"
    more = f"more than {MAX_SEEDS - 1} seeds" if d.seeds == MAX_SEEDS else n
    begin = f"With {found.budget:,g} {unit} you get {more} of each of {len(d.arms)} arms ({', '.join(d.arms)})"
    if d.detectable is None:
        out = [f"{begin}; no difference is decided by fewer than two."]
    else:
        out = [f"{begin}; a true lead of {d.detectable:.1f} points and more shows as a gain in {tries(sure)}."]
        out.append(_claimed(found, d))
        if d.seeds < LEAST:
            out.append(f"No claim or board judges fewer than {LEAST} seeds.")
    if found.seeds_needed is None:
        out.append(f"No {MAX_SEEDS} seeds an arm would show {found.effect:+g} in {tries(sure)}.")
    elif found.seeds_needed > d.seeds:
        out.append(
            f"To see {found.effect:+g} in {tries(sure)} takes {found.seeds_needed} seeds an arm: "
            f"{found.hours_needed:,.0f} {unit} for all arms."
        )
    return [
        *out,
        f"All of this rests on a standard deviation between seeds of {found.spread.sd:.2g} points ({found.spread.source}).",
    ]


def _claimed(found: Affordable, d: Design) -> str:
    assert d.seen is not None and d.equal is not None
    return (
        f"If an arm leads by {found.effect:g} points, that shows in {100 * d.seen:.0f}% of tries; arms that are equal are told "
        f"to be so, within {found.margin:g}, in {100 * d.equal:.0f}%."
    )


def tries(wanted: float) -> str:
    return "four of five tries" if wanted == 0.8 else f"{100 * wanted:g}% of tries"


def affordable_table(found: Affordable, unit: str) -> Table:
    """A row per set of arms."""
    rows: list[tuple[str, ...]] = []
    for d in found.designs:
        known = d.detectable is not None
        cells = (
            (f"{d.detectable:.1f}", f"{100 * (d.seen or 0):.0f}%", f"{100 * (d.equal or 0):.0f}%") if known else ("", "", "")
        )
        rows.append((", ".join(d.arms), short(d.hours_per_seed), str(d.seeds), *cells))
    rule = (
        f"Against {found.baseline}, margin {found.margin:g} points, level {found.alpha:g}; hours: a seed of each arm, {unit}."
    )
    header = ("arms", "hours", "seeds", "decided from", f"sees {found.effect:+g}", "tells equal")
    return Table("What the budget decides", header, "lrrrrr", rows, (rule,))
