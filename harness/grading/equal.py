"""Whether two expressions have one value: exactly, by their values at points that the gold answer admits.

Rational functions are compared in exact arithmetic, all else to more digits than numbers of this size can share without
being equal (`numeric.precision`). Symbols get the assumptions that the gold answer needs, no others: where it has no real
value for negative numbers they are positive, where it has none between the integers they are positive integers.
"""

from __future__ import annotations

import random
from fractions import Fraction
from functools import lru_cache
from typing import Any

import sympy
from mpmath import mp
from mpmath.libmp import to_rational

from harness.grading.expressions import TooLarge, Unread
from harness.grading.numeric import NoValue, equal_at, is_real, points, value
from harness.grading.values import Quantity

POINTS = 3
"""Points at which both must have a value."""
SEED = 15
DIGITS = 6
"""Significant digits from which a decimal stands for the numbers that round to it."""
INFINITE = {sympy.oo, -sympy.oo}


@lru_cache(maxsize=8192)
def same_value(gold: Any, answer: Any) -> bool:
    """Whether two sympy expressions are equal. Raises Unread for what has no value here."""
    if gold == answer or not INFINITE.isdisjoint((gold, answer)):
        return bool(gold == answer)
    symbols = sorted(gold.free_symbols | answer.free_symbols, key=str)
    try:
        if not symbols:
            return equal_at(gold, answer, {})
        return _same_function(gold, answer, symbols)
    except (NoValue, TooLarge):
        return False


def _same_function(gold: Any, answer: Any, symbols: list[Any]) -> bool:
    rng = random.Random(SEED)
    met = 0
    series = gold.atoms(sympy.Sum, sympy.Product) | answer.atoms(sympy.Sum, sympy.Product)
    to_symbols = any(bound.free_symbols for part in series for limits in part.limits for bound in limits[1:])
    for point in points(symbols, "integers" if to_symbols else domain_of(gold, tuple(symbols)), rng):
        try:
            if not equal_at(gold, answer, point):
                return False
        except NoValue:
            if _defined(gold, point) != _defined(answer, point):
                return False
            continue
        met += 1
    return met >= POINTS


def _defined(expr: Any, point: Any) -> bool:
    try:
        with mp.workprec(100):
            value(expr, point)
    except NoValue:
        return False
    return True


@lru_cache(maxsize=8192)
def domain_of(gold: Any, symbols: tuple[Any, ...]) -> str:
    """The widest of reals, positive numbers and positive integers on which the gold answer is real throughout."""
    if gold.has(sympy.I):
        return "reals"
    for domain in ("reals", "positive", "integers"):
        found = []
        for point in points(list(symbols), domain, random.Random(SEED)):
            try:
                with mp.workprec(100):
                    found.append(is_real(value(gold, point)))
            except NoValue:
                pass
        if found and all(found):
            return domain
    return "reals"


def real_number(expr: Any) -> Any:
    """The value of an expression without symbols, a Fraction (exact or of 200 bits) or an infinity; None for no real number."""
    if expr in INFINITE:
        return float("inf") if expr == sympy.oo else float("-inf")
    if expr.free_symbols:
        return None
    try:
        with mp.workprec(200):
            found = value(expr, {})
            if isinstance(found, Fraction):
                return found
            return Fraction(*to_rational(mp.re(found)._mpf_)) if is_real(found) else None
    except (NoValue, TooLarge, Unread):
        return None


def rounds_to(exact: Any, decimal: Fraction, digits: int) -> bool:
    """Whether a number rounds to a decimal of so many digits after the point."""
    return bool(abs(exact - decimal) <= Fraction(1, 2 * 10**digits))


def same_quantity(gold: Quantity, answer: Quantity) -> bool:
    """Two units: of one dimension and, times their sizes, of one value. One: equal numbers, or sizes if pure."""
    if gold.measured or answer.measured:
        plain = same_value(gold.expr, answer.expr) and not gold.unit and not answer.unit
        units = [q.measured or q for q in (gold, answer)]
        return plain or (not any(q.expr.free_symbols for q in units) and same_quantity(units[0], units[1]))
    if gold.unit and answer.unit:
        if gold.unit.dimension != answer.unit.dimension:
            return False
        if (gold.unit.factor, gold.unit.of_pi) == (answer.unit.factor, answer.unit.of_pi):
            return _same_number(gold, answer)
        return same_value(_sized(gold), _sized(answer))
    if _same_number(gold, answer):
        return True
    scaled = next((q for q in (gold, answer) if q.unit is not None and not q.unit.dimension), None)
    return scaled is not None and same_value(_sized(gold), _sized(answer))


def _sized(quantity: Quantity) -> Any:
    if quantity.unit is None:
        return quantity.expr
    factor = sympy.Rational(quantity.unit.factor.numerator, quantity.unit.factor.denominator)
    return sympy.Mul(quantity.expr, factor, sympy.pi if quantity.unit.of_pi else sympy.Integer(1), evaluate=False)


def _same_number(gold: Quantity, answer: Quantity) -> bool:
    if same_value(gold.expr, answer.expr):
        return True
    decimals = [q for q in (gold, answer) if q.decimal is not None]
    if not decimals:
        return False
    shorter = min(decimals, key=lambda q: q.decimal[1] if q.decimal else 0)
    other = answer if shorter is gold else gold
    assert shorter.decimal is not None, "only decimals were kept"
    exact = real_number(other.expr)
    value, digits = shorter.decimal
    significant = len(str(abs(value.numerator) * 10**digits // value.denominator)) if value else 0
    if exact is None or significant < DIGITS or (other.decimal is not None and other.decimal[1] == digits):
        return False
    return rounds_to(exact, value, digits)
