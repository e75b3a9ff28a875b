"""regrade.json: the scores of a run next to those that the present graders give its samples."""

from __future__ import annotations

import msgspec

from harness.runs.result import SuiteFigures


class RegradedSuite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One suite. `changed`: how many of its samples have another score, status or parity grade than the stored one."""

    samples: int
    changed: int
    old: SuiteFigures
    new: SuiteFigures


class OldNew(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A macro average, None where the role has no suite."""

    old: float | None
    new: float | None


class RegradedMacro(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Macro averages by role."""

    id: OldNew
    ood: OldNew


class Regraded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="schema", tag=1):
    """regrade.json: what result.json says, and what the present graders give."""

    suites: dict[str, RegradedSuite]
    macro: RegradedMacro
