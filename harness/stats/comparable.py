"""What makes two runs comparable: a function of the kinds that the fields of the settings declare (harness/core/kinds.py)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any

from pydantic import BaseModel, ValidationError

from harness.config import EvalSpec, RunSpec
from harness.core.errors import HarnessError
from harness.core.kinds import Kind, kind_in
from harness.core.trees import flatten
from harness.registry import load_method, load_world, methods, worlds

SHARED = frozenset({Kind.POLICY, Kind.PROTOCOL, Kind.COVERAGE})
"""In these the arms of a study's condition agree, before any result says so."""
CLAIMED = frozenset({Kind.POLICY, Kind.PROTOCOL, Kind.ARM})
"""In these a run is as a claim has it."""

Tree = Mapping[str, Any]
"""A spec as it is stored."""


def kind_of(key: str, method: str | None = None) -> Kind:
    """The kind of a setting by its dotted name, in a spec (`method_config.reflector.model`, of the method given) or in a
    recipe (`p2o.reflector.model`). A setting that is unknown, or a plug-in's that is not installed, makes the arm."""
    head, *rest = key.split(".")
    if head == "method_config" or head in methods():
        with suppress(HarnessError):
            if name := method if head == "method_config" else head:
                return kind_in(load_method(name).Config, rest, Kind.ARM)
        return Kind.ARM
    for spec in (RunSpec, EvalSpec):
        if head in spec.model_fields:
            return kind_in(spec, [head, *rest], Kind.ARM)
    world = worlds().get(head)
    return kind_in(world.Config, rest, Kind.POLICY) if world else Kind.ARM


def settings_of(tree: Tree) -> dict[str, Any]:
    """A stored spec with dotted names. What a section lacks, because it was stored before there was such a setting, is the
    setting's default."""
    defaults: dict[str, Any] = {}
    for head, cls in _sections(tree):
        with suppress(ValidationError):  # a class some of whose settings have no default
            defaults |= flatten({head: cls().model_dump(mode="json")})
    return {**defaults, **flatten(tree)}


def _sections(tree: Tree) -> Iterator[tuple[str, type[BaseModel]]]:
    """The sections of a stored spec whose classes are known."""
    fields = {**EvalSpec.model_fields, **RunSpec.model_fields}
    for head in tree:
        cls: Any = fields[head].annotation if head in fields else None
        if head == "method_config":
            with suppress(HarnessError):
                cls = load_method(str(tree.get("method"))).Config
        elif head in worlds():
            cls = worlds()[head].Config
        if isinstance(cls, type) and issubclass(cls, BaseModel):
            yield head, cls


def differing(one: Tree, other: Tree, kinds: Collection[Kind]) -> list[str]:
    """The settings of these kinds in which two stored specs differ, sorted; one that stands on one side only is different.

    Null is as good as not there. A section that one of the specs does not have at all says nothing.
    """
    mine, theirs = settings_of(one), settings_of(other)
    keys = [key for key in sorted(mine.keys() | theirs.keys()) if key.split(".")[0] in one.keys() & other.keys()]
    return [k for k in keys if mine.get(k) != theirs.get(k) and kind_of(k, one.get("method")) in kinds]


def of_policy(tree: Tree, training_set: str) -> dict[str, Any]:
    """The settings that say which policy is trained on which problems. Those of a world count on its training sets only."""
    try:
        own = load_world(training_set)
    except HarnessError:
        own = None
    idle = {section for section, world in worlds().items() if world is not own}
    found = settings_of(tree).items()
    return {k: v for k, v in found if k.split(".")[0] not in idle and kind_of(k, tree.get("method")) is Kind.POLICY}
