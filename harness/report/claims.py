"""Assessments of claims as a table, JSON and JUnit XML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from harness.core.text import visible
from harness.report.sentences import claim_sentences, with_sentences
from harness.report.tables import Table, interval, points
from harness.stats.budgets import BUDGET
from harness.stats.claims import Claim
from harness.stats.judge import Assessment


def claims_table(found: Sequence[Assessment]) -> Table:
    """A row per claim; the notes explain each verdict."""
    header = ("claim", "verdict", "claimed", "measured", "these questions", "new questions", "seeds", "modifiers")
    rows, notes = [], []
    for a in found:
        ends = ["" if b is None else interval(b.low / 100, b.high / 100, sign=True) for b in (a.fixed, a.new)]
        measured = "" if a.difference is None else points(a.difference / 100, sign=True)
        seeds = f"{a.seeds['arm']}, {a.seeds['baseline']}" if len(a.seeds) == 2 else ""
        rows.append((a.claim, a.verdict, a.claimed, measured, *ends, seeds, ", ".join(a.modifiers)))
        lines = [*a.reasons, *_facts(a), *(f"{name}: {why}" for name, why in a.modifiers.items())]
        if a.expected and a.verdict != a.expected and not a.missing:
            lines.append(f"expected: {a.expected}")
        lines += ["it would take:", *(f"  {line}" for line in a.needs)] if a.needs else []
        notes += [f"\n{a.claim}: {a.text}", *(f"  {line}" for line in lines)] if lines else []
    levels = sorted({a.level for a in found if a.level is not None})
    if levels:
        shown = ", ".join(f"{100 * (1 - level):.3g}%" for level in levels)
        notes.insert(0, f"Percent points; {shown} intervals, each claim by itself.")
    return Table(title="Claims", header=header, align="llrrrrll", rows=rows, notes=tuple(notes))


_EQUAL = {
    "tokens": "equal rollouts and sampled tokens, to 5%",
    "rollouts": "equal rollouts, to 5%; tokens may differ",
    "any": "need not be equal",
}


def claim_lines(claim: Claim, needs: Sequence[str]) -> list[str]:
    """What a claim says, a line a fact, and what it would take to check it."""
    passes: dict[str, list[str]] = {}
    for suite, how in claim.passes.items():
        passes.setdefault(str(how), []).append(suite)
    budgets = [_EQUAL[claim.budget]]
    for side, arm in claim.sides.items():
        spends = [f"{amount:,.0f} {BUDGET[key]}" for key, amount in arm.spends.items()]
        budgets += [f"the {side} spends {' and '.join(spends)} per seed, to 5%"] if spends else []
    scores = claim.scores
    published = "" if scores is None else f": {scores.arm:g} against {scores.baseline:g}"
    within = "" if claim.tolerance is None else f", the baseline known to {_points(claim.tolerance)}"
    rows = [
        ("claim", claim.text),
        ("source", claim.source),
        ("claimed", f"{claim.claimed}{published}, from {_seeds(claim.published_seeds)} an arm{within}"),
        ("matters", f"a difference of {_points(claim.margin)} or more"),
        ("score", "; ".join(f"{how}: {', '.join(suites)}" for how, suites in passes.items())),
        ("grader", claim.grader),
        ("budget", "; ".join(budgets)),
        *([("looks", f"at {', '.join(map(str, claim.looks))} seeds an arm")] if claim.looks else []),
        *([("expected", claim.expected)] if claim.expected else []),
    ]
    lines = [f"{name:<10}{' '.join(visible(text).split())}" for name, text in rows]
    return [*lines, "to check it:", *(f"  {visible(line)}" for line in needs)]


def _points(x: float) -> str:
    return "a point" if x == 1 else f"{x:g} points"


def _seeds(n: int) -> str:
    return "one seed" if n == 1 else f"{n} seeds"


def _facts(a: Assessment) -> list[str]:
    """What the verdict rests on beside the intervals: the budgets spent, the tokens saved, the look."""
    spent = [f"{BUDGET[key]} {ours:,.0f} and {theirs:,.0f}" for key, (ours, theirs) in a.spent.items()]
    facts = [f"per seed, arm and baseline: {', '.join(spent)}"] if spent else []
    if a.tokens is not None:
        low, high = (100 * x for x in a.tokens)
        facts.append(f"of the baseline's tokens the arm spent {low:.0f} to {high:.0f}%")
    return [*facts, *([a.look] if a.look else [])]


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
    claims = [{**asdict(a), "as_expected": a.as_expected(named)} for a in found]
    return with_sentences({"claims": claims}, claim_sentences(found))
