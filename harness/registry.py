"""Finds methods, presets, recipes and worlds by name, and anything by reference; says where suites from outside lie.

Methods: the dict of methods/__init__.py, and entry points of installed packages. Presets: methods/presets.yaml, and the
presets.yaml of installed packages. Worlds: what benchmarks/training_sets.yaml refers to. Suites and training sets that are
not part of the harness: the include path, and folders of installed packages.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from harness.core.errors import UNREADABLE, MissingError, UsageError, nearest
from harness.core.extras import how_to_install

if TYPE_CHECKING:
    from harness.core.method import Method
    from harness.core.world import World

GROUP = "harness.methods"
"""Entry points `name = "package.module:Class"`: a method."""
PRESETS_GROUP = "harness.presets"
"""Entry points `name = "package"`: a package with a presets.yaml in its folder. The name says where presets come from."""
SUITES_GROUP = "harness.suites"
"""Entry points `name = "package"`: a package whose folder holds suites, each in a folder of its own, and training sets."""
INCLUDE = "HARNESS_INCLUDE_PATH"
"""Variable that lists, as PATH does, folders and files with suites and training sets from outside. `--include-path`, and a path
in place of a name, add to it, so that processes which this one starts know them too."""
DEFAULT_RECIPE = "skills"
"""What a run or a study takes that names no recipe."""


def methods() -> dict[str, str]:
    """Method names to `module:Class`. Our own win over those of installed packages."""
    from harness.methods import METHODS

    return {**{e.name: e.value for e in _installed(GROUP)}, **METHODS}


def baseline_method() -> str:
    """The method that others are compared with by default."""
    from harness.methods import BASELINE

    name: str = BASELINE
    return name


@cache
def _installed(group: str) -> tuple[EntryPoint, ...]:
    """Looked up once: it reads the metadata of every installed package."""
    return tuple(entry_points(group=group))


@dataclass(frozen=True)
class Preset:
    """A method with settings, under a name of its own. `set` is a settings tree, `times` dotted names to factors."""

    method: str
    summary: str
    set: dict[str, Any] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)


def presets() -> dict[str, Preset]:
    """The presets by name. Our own win over those of installed packages, and methods over both."""
    found = {name: preset for part, _ in _presets_of_packages().values() for name, preset in part.items()}
    return {name: preset for name, preset in {**found, **_own_presets()}.items() if name not in methods()}


def broken_presets() -> dict[str, str]:
    """Entry points whose presets cannot be read, with the reason."""
    return {name: error for name, (_, error) in _presets_of_packages().items() if error is not None}


@cache
def _own_presets() -> dict[str, Preset]:
    return _read_presets("harness.methods")


@cache
def _presets_of_packages() -> dict[str, tuple[dict[str, Preset], str | None]]:
    """Per entry point its presets, or why there are none: a broken package must not stop every command."""
    out: dict[str, tuple[dict[str, Preset], str | None]] = {}
    for entry in _installed(PRESETS_GROUP):
        try:
            out[entry.name] = _read_presets(entry.value), None
        except (ImportError, OSError, yaml.YAMLError, *UNREADABLE) as e:
            out[entry.name] = {}, f"presets cannot be read from {entry.value}: {' '.join(str(e).split())}"
    return out


def _read_presets(package: str) -> dict[str, Preset]:
    """The presets.yaml in the folder of a package. Raises ImportError, OSError, YAMLError or one of UNREADABLE."""
    tree = yaml.safe_load((files(package) / "presets.yaml").read_text())
    for name, row in tree.items():
        if not isinstance(row, Mapping) or not {"method", "summary"} <= row.keys() <= {"method", "summary", "set", "times"}:
            raise ValueError(f"preset {name!r} needs method and summary, and may have set and times")
    return {name: Preset(**row) for name, row in tree.items()}


def method_of(name: str) -> str:
    """The method of a preset; any other name is its own."""
    preset = presets().get(name)
    return preset.method if preset else name


def load_method(name: str) -> type[Method]:
    """The class of a method, or of the method of a preset.

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
        advice = how_to_install(e)
        raise MissingError(f"{what} cannot be loaded from {reference}: {e}{f'; {advice}' if advice else ''}") from None


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


def include(path: Path) -> None:
    """Put a folder or a file on the include path. Raises MissingError where there is none."""
    if not path.exists():
        raise MissingError(f"no file or folder {path}")
    place = str(path.resolve())
    if os.pathsep in place:
        raise UsageError(f"{path}: a path with {os.pathsep!r} in it cannot be on the include path")
    known = os.environ.get(INCLUDE, "").split(os.pathsep)
    if place not in known:
        os.environ[INCLUDE] = os.pathsep.join([*filter(None, known), place])


def included() -> list[Path]:
    """The folders and files of the include path."""
    return [Path(place) for place in os.environ.get(INCLUDE, "").split(os.pathsep) if place]


@cache
def included_by_packages() -> tuple[tuple[Path, ...], dict[str, str]]:
    """The folders of installed packages with suites, and what is wrong with those that are not there, by entry point."""
    found, broken = [], {}
    for entry in _installed(SUITES_GROUP):
        try:
            found.append(Path(str(files(entry.value))))
        except (ImportError, *UNREADABLE) as e:
            broken[entry.name] = f"suites cannot be read from {entry.value}: {' '.join(str(e).split())}"
    return tuple(found), broken


DATA_ENDINGS = (".jsonl", ".json", ".jsonl.gz", ".json.gz", ".parquet")
CARD_ENDINGS = (".yaml", ".yml")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def place_name(path: Path) -> str:
    """The name of the suite or training set in a place: of a card.yaml its folder's, else the file's without the ending."""
    if path.name == "card.yaml":
        path = path.parent
    ending = (
        "" if path.is_dir() else max((e for e in DATA_ENDINGS + CARD_ENDINGS if path.name.endswith(e)), key=len, default="")
    )
    return path.name.removesuffix(ending)


def name_fault(name: str) -> str | None:
    """Why a suite or training set cannot have that name; None where it can."""
    if _NAME.fullmatch(name) and name not in ("id", "ood", "all"):
        return None
    return (
        f"{name!r} cannot be a name: it takes letters, digits, '.', '_' and '-', a letter or digit first, and not id, ood, all"
    )


def named(item: str, training_set: bool = False) -> str:
    """The name of a suite, or of a training set, that may be given as a path, which is then put on the include path.

    A suite's path is that of its folder, its card or a data file, a training set's that of a data file. Raises MissingError
    where nothing is there, and UsageError for anything else that is.
    """
    if not ("/" in item or item in (".", "..") or item.endswith(DATA_ENDINGS + CARD_ENDINGS)):
        if "." in item and os.path.isfile(item):
            raise UsageError(f"{item} is read as a name; the name of a data file ends in {', '.join(DATA_ENDINGS)}")
        return item
    path = Path(item).expanduser()
    if path.is_dir() and not training_set and not (path / "card.yaml").exists():
        raise UsageError(f"{item} holds no card.yaml; a folder of suites goes with --include-path, and its suites by name")
    if training_set and (path.is_dir() or item.endswith(CARD_ENDINGS)):
        raise UsageError(
            f"{item} is no data file; a training set is one, or a name in the training_sets.yaml of a folder of --include-path"
        )
    if Path(str(files("harness.benchmarks"))).resolve() not in path.resolve().parents:
        include(path)
    if fault := name_fault(name := place_name(path.resolve())):
        raise UsageError(f"{item}: {fault}")
    return name


def named_bench(bench: str) -> str:
    """A comma list of suites, groups and roles, with names in place of paths. Raises as `named`."""
    return ",".join(named(item.strip()) for item in bench.split(","))
