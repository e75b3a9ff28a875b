"""What a setting means for a comparison: declared once, on the setting's field; harness/stats/comparable.py reads it.

A field says `Annotated[int, Kind.PLACE]`. One that says nothing is of its section's kind; a method's own settings make the
arm unless they say otherwise, a world's belong to the policy and its problems.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo


class Kind(Enum):
    """Kinds of settings."""

    POLICY = "policy"
    """Which policy is trained, on which problems: the same in all arms of a comparison."""
    PROTOCOL = "protocol"
    """How the evaluation samples: the same in all arms. The results say what was really done, and that is compared."""
    COVERAGE = "coverage"
    """What was evaluated, how much of it, by which engine. The results say it; a claim asks for its suites only."""
    ARM = "arm"
    """The method and how it trains: what arms differ in."""
    PLACE = "place"
    """Where and how often it ran: seeds, devices, memory, the recipe's name."""
    ACCESS = "access"
    """How a server is reached: its address, retries, concurrency. As PLACE, and a resumed run may change it."""


def kind_in(model: type[BaseModel], path: Sequence[str], default: Kind) -> Kind:
    """The kind of the setting at `path` below a settings class; `default` where no field on the way says one.

    A path may lead into a mapping (its field's kind counts), and past what the class knows.
    """
    found, classes = default, [model]
    for part in path:
        fields = [cls.model_fields[part] for cls in classes if part in cls.model_fields]
        if not fields:
            break
        found = _said(fields[0]) or found
        classes = [cls for field in fields for cls in _classes(field.annotation)]
    return found


def leaves(model: type[BaseModel], default: Kind | None = None) -> Iterator[tuple[str, Kind | None]]:
    """Dotted names and kinds of all settings of a class, nested ones too; None where none is said."""
    for name, field in model.model_fields.items():
        kind = _said(field) or default
        inner = _classes(field.annotation)
        if not inner:
            yield name, kind
        for cls in inner:
            yield from ((f"{name}.{below}", found) for below, found in leaves(cls, kind))


def _said(field: FieldInfo) -> Kind | None:
    return next((item for item in field.metadata if isinstance(item, Kind)), None)


def _classes(annotation: Any) -> list[type[BaseModel]]:
    """Settings classes in an annotation: of a nested section, or of a union of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [cls for part in get_args(annotation) for cls in _classes(part)]
