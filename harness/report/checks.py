"""Output of the checks of data and graders: overlaps with training sets, golds, regraded samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.core.text import visible
from harness.data.contamination import KINDS
from harness.report.sentences import Sentence
from harness.report.tables import Table, points
from harness.runs.regraded import Regraded


def contamination_table(rows: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> Table:
    """A table of `summary` rows; rows of the same training set must be adjacent."""
    header = ("training set", "suite", "role", "problems", *KINDS, "same answer", "flagged %")
    cells, last = [], None
    for row in rows:
        counts = (str(row[key]) for key in ("problems", *KINDS, "same_answer"))
        name = "" if row["training_set"] == last else row["training_set"]
        cells.append((name, row["suite"], row["role"], *counts, points(row["share"])))
        last = row["training_set"]
    more = "Same answer: flagged questions that share their answer with a matching training question."
    return Table(title="Contamination", header=header, align="lll" + "r" * (len(header) - 3), rows=cells, notes=(*notes, more))


def regrade_sentence(found: Regraded) -> Sentence:
    """How many samples are graded otherwise now, and what that does to the averages."""
    changed, samples = (sum(getattr(s, key) for s in found.suites.values()) for key in ("changed", "samples"))
    moved = [
        f"the {role} macro average was {points(m.old)} and is {points(m.new)}"
        for role, m in (("OOD", found.macro.ood), ("ID", found.macro.id))
        if m.old is not None and m.new is not None
    ]
    text = "; ".join([f"{changed} of {samples} samples are graded otherwise now", *moved])
    return Sentence(text=f"{text}.", about="regraded")


def regrade_table(found: Regraded) -> Table:
    """A row per suite and figure, before and after; rates of all samples in percent, and faults counted."""

    def row(what: str, old: float | None, new: float | None) -> list[tuple[str, ...]]:
        before, after = ("" if value is None else points(value) for value in (old, new))
        return [("", what, before, after)] if before or after else []

    rows: list[tuple[str, ...]] = []
    for name, s in found.suites.items():
        own = [
            *row("score", s.old.avg, s.new.avg),
            *row("parity", s.old.parity_avg, s.new.parity_avg),
            *row("disagree", s.old.disagreement, s.new.disagreement),
            *row("unparsed", s.old.unparsed, s.new.unparsed),
            ("", "faults", str(s.old.grader_faults), str(s.new.grader_faults)),
            ("", "graded otherwise", "", str(s.changed)),
        ]
        rows += [(name, *own[0][1:]), *own[1:]]
    for role, m in (("OOD", found.macro.ood), ("ID", found.macro.id)):
        rows += [(f"{role} macro average", *cells[1:]) for cells in row("score", m.old, m.new)]
    return Table(
        title="Regraded",
        header=("suite", "figure", "old", "new"),
        align="llrr",
        rows=rows,
        notes=("Percent points, means over seeds; faults and samples graded otherwise are counted.",),
    )


def golds_lines(found: Mapping[str, Mapping[str, Any]], left_out: Sequence[str]) -> list[str]:
    """The findings of `check_golds` by suite, and the suites that were `left_out`, in lines."""
    lines = []
    for name, s in found.items():
        words = f", {s['words']} of them words" if s["words"] else ""
        lines.append(f"{name:<18} {s['accepted']} of {s['n']} gold answers accepted{words}")
        for row in s["rejected"]:
            lines.append(f"  {row['id']}: {row['status']}, {row['reason'] or 'no reason given'}: {visible(row['gold'])}")
        for row in s["doubtful"]:
            card = f"; the card: {row['card']}" if row["card"] else ""
            lines.append(f"  {row['id']}: {row['kind']}, {row['reason']}{card}: {visible(row['gold'])}")
    if left_out:
        lines.append(f"skipped, no data (--data-dir) or no reasoning_gym: {', '.join(left_out)}")
    return lines


def golds_failed(found: Mapping[str, Mapping[str, Any]]) -> str:
    """What of the findings is a failure, as a sentence; empty where nothing is."""
    rejected = sum(not row["reason"] for s in found.values() for row in s["rejected"])
    malformed = sum(row["kind"] == "malformed" and not row["card"] for s in found.values() for row in s["doubtful"])
    counted = ((rejected, "rejected by their own grader"), (malformed, "raw rows or unbalanced"))
    said = " and ".join(f"{n} are {what}" for n, what in counted if n)
    return f"of the gold answers {said}, without a reason in a card" if said else ""
