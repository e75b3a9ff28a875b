"""The file of a study: arms, conditions and seeds, as YAML."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from harness.config import validated
from harness.core.errors import UsageError, nearest
from harness.core.settings import Strict
from harness.core.trees import flatten, parse_set, read_yaml
from harness.registry import DEFAULT_RECIPE, studies

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+([._-][A-Za-z0-9]+)*$")]
"""Of an arm or a condition: part of a folder's name."""
OWN = ("seeds", "eval.bench")
"""Settings that a study says at its top, not among its settings."""


class StudyArm(Strict):
    """One arm: a method with settings."""

    method: str
    """A name of `harness list methods`."""
    settings: dict[str, Any] = {}
    """On top of the recipe, the study's own and the condition's; nested or with dotted keys."""
    match: str | None = None
    """An arm at whose tokens this one stops, as `--match-budget` does."""


class Study(Strict):
    """A study as its file states it."""

    title: str
    """One line."""
    text: str = ""
    """What it is to show, and how it is to be read."""
    recipe: str = DEFAULT_RECIPE
    """A name of `harness list recipes`."""
    bench: str = "id,ood"
    """Suites, groups, or the roles id, ood, all."""
    seeds: tuple[int, ...] | None = None
    """Training seeds of every cell; null is the recipe's."""
    settings: dict[str, Any] = {}
    """Of all arms."""
    arms: dict[Name, StudyArm] = Field(min_length=1)
    """By name, in the order of the tables."""
    conditions: dict[Name, dict[str, Any]] = {}
    """Settings by name; every arm runs under each."""
    baseline: str | None = None
    """The arm that others are compared with; null is the first grpo arm, else the first."""

    def ordered(self) -> Iterator[str]:
        """The arms, each after the one that it matches. Raises UsageError for an unknown one or a circle."""
        done: list[str] = []

        def visit(name: str, above: tuple[str, ...]) -> Iterator[str]:
            if name in above:
                raise UsageError(f"arms match each other in a circle: {', '.join((*above, name))}")
            target = self.arms[name].match
            if target is not None:
                if target not in self.arms:
                    raise UsageError(f"arms.{name}.match: no arm {target!r}{nearest(target, self.arms)}")
                yield from visit(target, (*above, name))
            if name not in done:
                done.append(name)
                yield name

        for name in self.arms:
            yield from visit(name, ())


LONGEST = 100
"""Bytes of an arm's or a condition's name: a cell's folder and log have both in their names."""


def load_study(word: str) -> Study:
    """A shipped study by its name, or one from a file. Raises UsageError or MissingError."""
    known = studies()
    path = known.get(word, Path(word))
    if word not in known and path.suffix not in (".yaml", ".yml") and not path.exists():
        raise UsageError(f"no study {word!r}, and no such file{nearest(word, known)}")
    tree = read_yaml(path)
    try:
        study = validated(Study, tree, "")
        list(study.ordered())
        if long := [name for name in (*study.arms, *study.conditions) if len(name.encode()) > LONGEST]:
            raise UsageError(f"the name {long[0][:20]!r}... has more than {LONGEST} bytes, too long for a folder's")
        if study.baseline is not None and study.baseline not in study.arms:
            raise UsageError(f"baseline: no arm {study.baseline!r}{nearest(study.baseline, study.arms)}")
    except UsageError as e:
        raise UsageError(f"{path}: {e}") from None
    return study


def as_sets(settings: Mapping[str, Any]) -> list[str]:
    """Settings as `--set` takes them. A key with dots is a path at the top, and a name of its own further down."""

    def walk(prefix: str, tree: Mapping[str, Any]) -> Iterator[str]:
        for key, value in tree.items():
            name = f'{prefix}"{key}"' if prefix and "." in str(key) else f"{prefix}{key}"
            if isinstance(value, Mapping):
                yield from walk(f"{name}.", value)
            else:
                yield f"{name}={json.dumps(value, default=str)}"  # str: of a date

    sets = list(walk("", settings))
    for own in OWN:
        if any(own in flatten(parse_set(item)) for item in sets):
            raise UsageError(f"{own} is the same for all cells: say {own.removeprefix('eval.')} at the top of the study")
    return sets
