"""Runs grouped into sets that can be compared."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.errors import UsageError
from harness.data.training_sets import solved_at
from harness.leaderboard.entries import Entry
from harness.runs.result import Result
from harness.stats.arms import check_identity, distinguishing_settings
from harness.stats.comparison import Comparison, compare
from harness.stats.verdicts import MARGIN

ComparableRuns = tuple[Comparison, list[Entry]]
"""A comparison, and its runs, best first."""


def group(entries: Sequence[Entry], margin: float = MARGIN) -> list[ComparableRuns]:
    """One comparison for each set of entries that share policy, problems, protocol and engine; the largest set first. `margin`:
    the smallest difference that matters, in percent points."""
    sets: list[list[Entry]] = []
    for entry in entries:
        for members in sets:
            try:
                check_identity([members[0].result, entry.result])
            except UsageError:
                continue
            members.append(entry)
            break
        else:
            sets.append([entry])
    out = []
    for members in sorted(sets, key=lambda s: -len(s)):
        ranked = sorted(members, key=lambda e: (-_rank(e.result), e.result.run))
        results = [e.result for e in ranked]
        threshold = solved_at((r.training_set for r in results), (r.spec for r in results))
        out.append((compare(results, None, threshold, [e.questions for e in ranked], margin=margin), ranked))
    return out


def _rank(result: Result) -> float:
    means = (result.macro.ood, result.macro.id)
    return next((mean for mean in means if mean is not None), 0.0)


def titles(groups: Sequence[ComparableRuns]) -> list[str]:
    """A title per set: what its runs have in common, and what distinguishes it from the other sets."""
    return [_what(c) + (f"; {own}" if own else "") for (c, _), own in zip(groups, apart_by(groups), strict=True)]


def apart_by(groups: Sequence[ComparableRuns]) -> list[str]:
    """The settings by which each set can be told from the others, as text."""
    return distinguishing_settings([entries[0].result for _, entries in groups])


def _what(c: Comparison) -> str:
    suites = ", ".join(m.key for m in c.measures if m.protocol)
    return f"{len(c.arms)} run{'s' if len(c.arms) > 1 else ''} of model {c.model}, trained on {c.training_set}; suites {suites}"
