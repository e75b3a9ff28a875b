"""Assessments of claims as a table, JSON and JUnit XML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from harness.core.text import visible
from harness.report.tables import Table, interval, points
from harness.stats.judge import Assessment


def claims_table(found: Sequence[Assessment]) -> Table:
    """A row per claim; the notes explain each verdict."""
    header = ("claim", "verdict", "claimed", "measured", "these questions", "new questions", "seeds", "modifiers")
    rows, notes = [], []
    for a in found:
        ends = ["" if b is None else interval(b.low / 100, b.high / 100, sign=True) for b in (a.fixed, a.new)]
        measured = "" if a.difference is None else points(a.difference / 100, sign=True)
        seeds = f"{a.seeds['arm']}, {a.seeds['baseline']}" if len(a.seeds) == 2 else ""
        claimed = f"+{a.effect:.1f}" if a.effect else "equal"
        rows.append((a.claim, a.verdict, claimed, measured, *ends, seeds, ", ".join(a.modifiers)))
        lines = [*a.reasons, *(f"{name}: {why}" for name, why in a.modifiers.items())]
        if a.expected and a.verdict != a.expected and not a.missing:
            lines.append(f"expected: {a.expected}")
        lines += ["it would take:", *(f"  {line}" for line in a.needs)] if a.needs else []
        notes += [f"\n{a.claim}: {a.text}", *(f"  {line}" for line in lines)] if lines else []
    levels = sorted({a.level for a in found if a.level is not None})
    if levels:
        shown = ", ".join(f"{100 * (1 - level):.3g}%" for level in levels)
        notes.insert(0, f"Percent points; {shown} intervals, each claim by itself.")
    return Table(title="Claims", header=header, align="llrrrrll", rows=rows, notes=tuple(notes))


def junit(found: Sequence[Assessment], named: bool) -> str:
    """JUnit XML for CI, a case per claim: failed if another verdict was expected, skipped if it could not be assessed."""
    from xml.etree import ElementTree as ET

    suite = ET.Element("testsuite", name="harness claim check", tests=str(len(found)))
    counts = {"failures": 0, "skipped": 0}
    for a in found:
        case = ET.SubElement(suite, "testcase", classname="claims", name=visible(a.claim))
        detail = visible("; ".join([*a.reasons, *(f"{k}: {v}" for k, v in a.modifiers.items())]))
        if a.as_expected(named) is False:
            counts["failures"] += 1
            ET.SubElement(case, "failure", message=f"{a.verdict}, expected {a.expected}").text = detail
        elif a.verdict == "not assessable":
            counts["skipped"] += 1
            ET.SubElement(case, "skipped", message=detail or a.verdict)
        measured = "" if a.difference is None else f"; measured {a.difference:+.1f} of {a.effect:+.1f} points"
        ET.SubElement(case, "system-out").text = f"{a.verdict}{measured}; {detail}"
    for key, count in counts.items():
        suite.set(key, str(count))
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def to_dict(found: Sequence[Assessment], named: bool) -> dict[str, Any]:
    """For JSON."""
    return {"claims": [{**asdict(a), "as_expected": a.as_expected(named)} for a in found]}
