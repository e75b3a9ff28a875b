"""What a check of the doctor says: what was looked at, how it went, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.core.errors import HarnessError, MissingError

Status = Literal["ok", "warning", "fails", "unchecked"]


@dataclass(frozen=True)
class Check:
    """`found` in words; `todo` mends a warning or a failure. `missing`: something that has to be got first."""

    what: str
    status: Status
    found: str
    todo: str = ""
    missing: bool = False


def failed(checks: Sequence[Check]) -> list[Check]:
    return [check for check in checks if check.status == "fails"]


def refusal(checks: Sequence[Check]) -> HarnessError | None:
    """Why a run cannot succeed, in one sentence; None where nothing fails. It is a MissingError where something has only to be
    got."""
    found = failed(checks)
    if not found:
        return None
    text = "; ".join(f"{c.what}: {c.found}" + (f" ({c.todo})" if c.todo else "") for c in found)
    kind = MissingError if all(c.missing for c in found) else HarnessError
    return kind(f"{text}; `harness doctor` checks all of it, --no-doctor tries all the same")
