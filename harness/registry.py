"""Finds methods and recipes by name. Methods: the dict of methods/__init__.py and installed packages' entry points."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import MissingError, UsageError, nearest

if TYPE_CHECKING:
    from harness.method import Method

GROUP = "harness.methods"


def methods() -> dict[str, str]:
    """Name to `module:Class`. A package adds one by an entry point of the group `harness.methods`."""
    from harness.methods import METHODS

    return {**{e.name: e.value for e in entry_points(group=GROUP)}, **METHODS}


def load_method(name: str) -> type[Method]:
    """The class of a method. Raises UsageError for an unknown name, MissingError if its module cannot be imported."""
    known = methods()
    if name not in known:
        raise UsageError(f"unknown method {name!r}{nearest(name, known)}")
    module, _, cls = known[name].partition(":")
    try:
        return getattr(import_module(module), cls)
    except (ImportError, AttributeError) as e:
        raise MissingError(f"method {name!r} cannot be loaded from {known[name]}: {e}") from None


def recipes() -> dict[str, Path]:
    """Shipped recipes by name."""
    folder = Path(str(files("harness") / "recipes"))
    return {p.stem: p for p in sorted(folder.glob("*.yaml"))}
