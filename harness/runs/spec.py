"""spec.json: the settings that a run or an evaluation was started with, as they were then."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from harness.config import EvalSpec, RunSpec
from harness.core.errors import HarnessError, MissingError, dotted
from harness.core.text import visible
from harness.runs import formats
from harness.runs.files import check_plain

SPEC_FILE = "spec.json"
PLANTED = "planted"
"""The section that the settings of a planted run have and no others: which weights its answers were mixed with, and its true
scores (harness/leaderboard/planted.py)."""


class StoredSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="schema", tag=1):
    """spec.json. `spec` is the tree of settings whose canonical JSON `hash` is the SHA-256 of; `data` has the SHA-256 of
    what the run reads, by name, and `cards` the cards of its suites from outside, so that it can be read without them."""

    hash: str
    spec: dict[str, Any]
    data: dict[str, str] = {}
    cards: dict[str, dict[str, Any]] = {}


def has_spec(folder: Path) -> bool:
    """Whether a folder is a run directory, finished or not."""
    return (folder / SPEC_FILE).exists()


def read_spec(folder: Path) -> StoredSpec:
    """Raises MissingError where no run is, HarnessError for a file that cannot be read, and for links in the folder."""
    if not has_spec(folder):
        raise MissingError(f"no run at {folder}: it holds no {SPEC_FILE}")
    check_plain(folder)
    return formats.read(folder / SPEC_FILE, StoredSpec)


def typed_spec(tree: Mapping[str, Any], folder: Path) -> RunSpec | EvalSpec:
    """The settings of a run, or those of an evaluation, which has an engine.

    Raises HarnessError for the settings of another version of the harness; `folder` is what it names.
    """
    try:
        return EvalSpec(**tree) if "engine" in tree else RunSpec(**tree)
    except ValidationError as e:
        where = visible(dotted(e.errors()[0]["loc"]))
        raise HarnessError(f"the run at {folder} was made by another version of the harness: {where}") from None
    except TypeError as e:
        raise HarnessError(visible(f"{folder / SPEC_FILE} cannot be read: {e}")) from None


def load_spec(folder: Path) -> RunSpec | EvalSpec:
    """The settings of the run or evaluation in a folder. Raises as `read_spec` and `typed_spec`."""
    return typed_spec(read_spec(folder).spec, folder)
