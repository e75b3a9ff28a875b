"""Sets of real numbers: intervals, inequalities, set-builder forms and what is made of them, as pieces in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy

from harness.grading.equal import real_number, same_value
from harness.grading.values import Bag, Ordered, Piece, Quantity, Region, Relation

Reals = Piece(-sympy.oo, sympy.oo, True, True)
_TURNED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le", r"\ne": r"\ne", "=": "="}


def as_region(value: Any) -> Region | None:
    """The set of real numbers that a value stands for; None where it stands for none."""
    if isinstance(value, Region):
        return value
    if isinstance(value, Ordered):
        return _interval(value)
    if isinstance(value, Bag) and value.braces:
        numbers = [_number(item) for item in value.items]
        if any(number is None for number in numbers):
            return None
        return _merged([Piece(x, x, False, False) for x in numbers], "")
    return _solved(value) if isinstance(value, Relation) else None


def of_one_symbol(values: Sequence[Any]) -> list[Region] | None:
    """The sets that values stand for, where each stands for one and all that are said of a symbol are said of the same."""
    regions = [region for value in values if (region := as_region(value)) is not None]
    return regions if len(regions) == len(values) and len({r.name for r in regions if r.name}) < 2 else None


def _number(item: Any) -> Any:
    """The expression of a real number without unit; None for anything else."""
    if not isinstance(item, Quantity) or item.unit is not None or real_number(item.expr) is None:
        return None
    return item.expr


def _interval(value: Ordered) -> Region | None:
    if len(value.items) != 2:
        return None
    low, high = map(_number, value.items)
    if low is None or high is None or not real_number(low) < real_number(high):
        return None
    return Region((Piece(low, high, value.brackets[0] == "(", value.brackets[1] == ")"),))


def _solved(relation: Relation) -> Region | None:
    """The solutions of an inequality in one symbol that stands in one side alone, or in a linear side."""
    if "=" in relation.signs or not set(relation.signs) <= set(_TURNED):
        return None
    plain = [isinstance(side, Quantity) and side.unit is None for side in relation.sides]
    expressions: list[Any] = [side.expr if known else None for side, known in zip(relation.sides, plain, strict=True)]
    places = [i for i, side in enumerate(expressions) if side is not None and side.free_symbols]
    if None in expressions or len(places) != 1 or len(expressions[places[0]].free_symbols) != 1:
        return None
    at = places[0]
    side = expressions[at]
    [symbol] = side.free_symbols
    if isinstance(side, sympy.Abs) and len(relation.signs) == 1:
        return _within(side.args[0], relation.signs[0] if at == 0 else _TURNED[relation.signs[0]], expressions[1 - at])
    slope, shift = sympy.Integer(1), sympy.Integer(0)
    if side != symbol:
        if not side.is_polynomial(symbol) or any(p.has(symbol) and p.exp not in (1, 2) for p in side.atoms(sympy.Pow)):
            return None
        poly = sympy.Poly(side.doit(), symbol)
        if poly.degree() == 2 and len(relation.signs) == 1:
            return _quadratic(poly, relation.signs[0] if at == 0 else _TURNED[relation.signs[0]], expressions[1 - at])
        if poly.degree() != 1:
            return None
        slope, shift = poly.all_coeffs()
    found = Region((Reals,), str(symbol))
    for i, sign in enumerate(relation.signs):
        if at not in (i, i + 1):
            a, b = map(real_number, (expressions[i], expressions[i + 1]))
            if a is None or b is None or not {"<": a < b, ">": a > b, r"\le": a <= b, r"\ge": a >= b, r"\ne": a != b}[sign]:
                return None
            continue
        bound = expressions[i + 1] if at == i else expressions[i]
        turned = sign if at == i else _TURNED[sign]
        if side != symbol:
            bound = (bound - shift) / slope
            turned = turned if slope > 0 else _TURNED[turned]
        if real_number(bound) is None:
            return None
        found = Region(intersection([found, _half(turned, bound)]).pieces, str(symbol))
    return found


def _within(inner: Any, sign: str, bound: Any) -> Region | None:
    r"""`|x| < b` is `x < b` and `x > -b`; `|x| > b` either of `x > b` and `x < -b`."""
    sides = (Quantity(inner), Quantity(bound)), (Quantity(inner), Quantity(-bound))
    found = [_solved(Relation(pair, (turned,))) for pair, turned in zip(sides, (sign, _TURNED[sign]), strict=True)]
    if None in found or (real_number(bound) or 0) <= 0:
        return None
    regions = [region for region in found if region is not None]
    return intersection(regions) if sign in ("<", r"\le", r"\ne") else union(regions)


def _quadratic(poly: Any, sign: str, bound: Any) -> Region | None:
    """Between or outside of the two roots; None where there are not two, or the numbers are not rational."""
    a, b, c = poly.all_coeffs()
    c = c - sympy.sympify(bound).doit()
    if not (a.is_Rational and b.is_Rational and c.is_Rational) or (square := b**2 - 4 * a * c) <= 0:
        return None
    low, high = sorted((((-b - sympy.sqrt(square)) / (2 * a)), ((-b + sympy.sqrt(square)) / (2 * a))), key=real_number)
    name = str(poly.gen)
    if sign == r"\ne":
        return complement(_merged([Piece(x, x, False, False) for x in (low, high)], name))
    below = (sign in ("<", r"\le")) == (a > 0)
    inside = Piece(low, high, sign in ("<", ">"), sign in ("<", ">"))
    if below:
        return Region((inside,), name)
    return complement(Region((Piece(low, high, not inside.low_open, not inside.high_open),), name))


def _half(sign: str, bound: Any) -> Region:
    below, above = Piece(-sympy.oo, bound, True, sign == "<"), Piece(bound, sympy.oo, sign == ">", True)
    if sign == r"\ne":
        return Region((Piece(-sympy.oo, bound, True, True), Piece(bound, sympy.oo, True, True)))
    return Region((below if sign in ("<", r"\le") else above,))


def union(regions: list[Region]) -> Region:
    name = next((region.name for region in regions if region.name), "")
    return _merged([piece for region in regions for piece in region.pieces], name)


def intersection(regions: list[Region]) -> Region:
    pieces = list(regions[0].pieces)
    for region in regions[1:]:
        pieces = [both for a in pieces for b in region.pieces if (both := _overlap(a, b)) is not None]
    return _merged(pieces, next((region.name for region in regions if region.name), ""))


def complement(region: Region) -> Region:
    found = Region((Reals,), region.name)
    for piece in region.pieces:
        sides = []
        if piece.low != -sympy.oo:
            sides.append(Piece(-sympy.oo, piece.low, True, not piece.low_open))
        if piece.high != sympy.oo:
            sides.append(Piece(piece.high, sympy.oo, not piece.high_open, True))
        found = Region(intersection([found, Region(tuple(sides))]).pieces, region.name)
    return found


def _overlap(a: Piece, b: Piece) -> Piece | None:
    low, low_open = _outer((a.low, a.low_open), (b.low, b.low_open), lowest=False)
    high, high_open = _outer((a.high, a.high_open), (b.high, b.high_open), lowest=True)
    x, y = real_number(low), real_number(high)
    if x > y or (x == y and (low_open or high_open)):
        return None
    return Piece(low, high, low_open, high_open)


def _outer(a: tuple[Any, bool], b: tuple[Any, bool], lowest: bool) -> tuple[Any, bool]:
    """The lower or the higher of two ends; of one end named twice, the open one."""
    if same_value(a[0], b[0]):
        return a[0], a[1] or b[1]
    return a if (real_number(a[0]) < real_number(b[0])) == lowest else b


def _merged(pieces: list[Piece], name: str) -> Region:
    """In order, pieces that meet or overlap as one."""
    out: list[Piece] = []
    for piece in sorted(pieces, key=lambda p: (real_number(p.low), p.low_open)):
        if out and _touch(out[-1], piece):
            last = out.pop()
            if same_value(last.high, piece.high):
                high, high_open = last.high, last.high_open and piece.high_open
            else:
                wider = last if real_number(last.high) > real_number(piece.high) else piece
                high, high_open = wider.high, wider.high_open
            low_open = last.low_open and (piece.low_open or not same_value(last.low, piece.low))
            out.append(Piece(last.low, high, low_open, high_open))
        else:
            out.append(piece)
    return Region(tuple(out), name)


def _touch(left: Piece, right: Piece) -> bool:
    if same_value(left.high, right.low):
        return not (left.high_open and right.low_open)
    return bool(real_number(left.high) > real_number(right.low))


def same_region(gold: Region, answer: Region) -> bool:
    """Piece by piece; a set that is said of one symbol is not the same said of another."""
    if gold.name and answer.name and gold.name != answer.name or len(gold.pieces) != len(answer.pieces):
        return False
    return all(
        g.low_open == a.low_open and g.high_open == a.high_open and same_value(g.low, a.low) and same_value(g.high, a.high)
        for g, a in zip(gold.pieces, answer.pieces, strict=True)
    )
