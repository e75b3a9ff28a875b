"""What an answer can be: the types that are compared, each whole."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from harness.grading.units import Unit


@dataclass(frozen=True)
class Text:
    """Words, in lower case, without signs."""

    words: str


@dataclass(frozen=True)
class Quantity:
    """An expression, with or without a unit; `decimal`: the value and the digits after the point of a lone decimal.

    `measured`: the same text as a number with a unit, where it may also be a product with symbols: `5 m`.
    """

    expr: Any
    unit: Unit | None = None
    decimal: tuple[Fraction, int] | None = None
    measured: Quantity | None = None


@dataclass(frozen=True)
class Based:
    """Digits in a stated base."""

    digits: str
    base: int


@dataclass(frozen=True)
class Clock:
    """A time of day; `half` is a, p or empty."""

    hour: int
    minute: int
    second: int
    half: str


@dataclass(frozen=True)
class Ratio:
    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Residue:
    name: str
    value: Any
    modulus: Any


@dataclass(frozen=True)
class Ordered:
    """A pair, a tuple, a vector; with two items and these brackets perhaps an interval."""

    items: tuple[Any, ...]
    brackets: str = "()"


@dataclass(frozen=True)
class Bag:
    """Values without an order: a list (`braces` False), in which their number counts, or a set."""

    items: tuple[Any, ...]
    braces: bool = False


@dataclass(frozen=True)
class Grid:
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Piece:
    """An interval with its ends as expressions."""

    low: Any
    high: Any
    low_open: bool
    high_open: bool


@dataclass(frozen=True)
class Region:
    """A set of real numbers, as its pieces in order; `name`: the symbol that it is said of, or empty."""

    pieces: tuple[Piece, ...]
    name: str = ""


@dataclass(frozen=True)
class Relation:
    """A chain of sides and the signs between them: of `=`, `<`, `\\le`, `\\ne`. A side that names something is a string."""

    sides: tuple[Any, ...]
    signs: tuple[str, ...]


Value = Text | Quantity | Based | Clock | Ratio | Residue | Ordered | Bag | Grid | Region | Relation
