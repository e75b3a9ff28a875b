"""Finds methods, presets and recipes by name.

Methods: the dict of methods/__init__.py and installed packages' entry points. Presets: methods/presets.yaml.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from harness.core.errors import MissingError, UsageError, nearest

if TYPE_CHECKING:
    from harness.core.method import Method

GROUP = "harness.methods"


def methods() -> dict[str, str]:
    """Name to `module:Class`. A package adds one by an entry point of the group `harness.methods`."""
    from harness.methods import METHODS

    return {**_of_packages(), **METHODS}


@cache
def _of_packages() -> dict[str, str]:
    """Looked up once: it reads the metadata of every installed package."""
    return {e.name: e.value for e in entry_points(group=GROUP)}


@dataclass(frozen=True)
class Preset:
    """A method with settings, under a name of its own. `set` is a settings tree, `times` dotted names to factors."""

    method: str
    summary: str
    set: dict[str, Any] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)


@cache
def presets() -> dict[str, Preset]:
    """The presets by name."""
    text = (Path(str(files("harness.methods"))) / "presets.yaml").read_text()
    return {name: Preset(**row) for name, row in yaml.safe_load(text).items()}


def method_of(name: str) -> str:
    """The method that a preset sets; any other name is its own."""
    return presets()[name].method if name in presets() else name


def load_method(name: str) -> type[Method]:
    """The class of a method or preset.

    Raises UsageError for an unknown name, MissingError if the method's module cannot be imported.
    """
    known = methods()
    name, asked = method_of(name), name
    if name not in known:
        raise UsageError(f"unknown method {asked!r}{nearest(asked, [*known, *presets()])}")
    module, _, cls = known[name].partition(":")
    try:
        found: type[Method] = getattr(import_module(module), cls)
        return found
    except (ImportError, AttributeError) as e:
        raise MissingError(f"method {name!r} cannot be loaded from {known[name]}: {e}") from None


def recipes() -> dict[str, Path]:
    """Shipped recipes by name."""
    return _shipped("recipes")


def studies() -> dict[str, Path]:
    """Shipped studies by name."""
    return _shipped("studies")


def _shipped(folder: str) -> dict[str, Path]:
    return {p.stem: p for p in sorted(Path(str(files("harness") / folder)).glob("*.yaml"))}
