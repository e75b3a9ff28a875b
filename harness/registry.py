"""Finds methods, presets, recipes and worlds by name, and anything by reference.

Methods: the dict of methods/__init__.py and installed packages' entry points. Presets: methods/presets.yaml. Worlds: what
benchmarks/training_sets.yaml refers to.
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
    from harness.core.world import World

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
    found: type[Method] = load_object(known[name], f"method {name!r}")
    return found


def load_object(reference: str, what: str) -> Any:
    """The object that `module:name` refers to. Raises MissingError, which says `what` it was to be, if it is not there."""
    module, _, name = reference.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as e:
        raise MissingError(f"{what} cannot be loaded from {reference}: {e}") from None


@cache
def training_set_fields() -> dict[str, dict[str, Any]]:
    """The entries of benchmarks/training_sets.yaml; harness/data/training_sets.py makes training sets of them."""
    text = (Path(str(files("harness.benchmarks"))) / "training_sets.yaml").read_text()
    tree: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return tree


def load_world(training_set: str) -> type[World] | None:
    """The class of a training set's world; None where it has none, or there is no such set. Raises MissingError."""
    reference = training_set_fields().get(training_set, {}).get("world")
    return load_object(reference, f"the world of training set {training_set!r}") if reference else None


def worlds() -> dict[str, type[World]]:
    """The worlds of all training sets, by their section of a spec."""
    found = (load_world(name) for name in training_set_fields())
    return {world.section: world for world in found if world}


def home_of(model: str) -> str | None:
    """The training set to whose words a model is confined (its `policy`); None for any other model."""
    return next((name for name, fields in training_set_fields().items() if fields.get("policy") == model), None)


def recipes() -> dict[str, Path]:
    """Shipped recipes by name."""
    return _shipped("recipes")


def studies() -> dict[str, Path]:
    """Shipped studies by name."""
    return _shipped("studies")


def _shipped(folder: str) -> dict[str, Path]:
    return {p.stem: p for p in sorted(Path(str(files("harness") / folder)).glob("*.yaml"))}
