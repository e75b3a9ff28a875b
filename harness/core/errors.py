"""Errors that a user can act on. Each carries the exit code documented in docs/cli.md."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class HarnessError(Exception):
    """A failure with one clear sentence; `exit_code` 1: the run or a check failed or is incomplete."""

    exit_code = 1


class UsageError(HarnessError):
    """Exit code 2: the command line, a recipe or a spec is wrong."""

    exit_code = 2


class MissingError(HarnessError):
    """Exit code 3: data, a model, a licence or a backend is not there."""

    exit_code = 3


UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What code that expects a certain form may raise on a file of any content: wrong types, absent keys, numbers that fit
nowhere, thousands of brackets."""


def reason(e: Exception) -> str:
    """Why a file in an unknown form could not be read (an exception of UNREADABLE or the file system), in one line."""
    if isinstance(e, KeyError):
        return f"no field {e.args[0]!r}"
    return "it has another form" if isinstance(e, TypeError | AttributeError | IndexError) else " ".join(str(e).split())


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names in a sentence; of many only the first."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def dotted(parts: Iterable[object]) -> str:
    """A dotted name for an error; parts that would not stay on its line are escaped."""
    return ".".join(part if part.isprintable() else repr(part) for part in map(str, parts))


def nearest(name: str, known: Iterable[str]) -> str:
    """'; did you mean X?' for the closest known name, or the list of known names when none is close."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"
