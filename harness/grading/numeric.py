"""The value of an expression at a point: an exact fraction where all is rational, else to any number of digits.

The digits follow from the numbers in the expression (`bits`): two values that lie nearer than a difference of such numbers
can lie are equal.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import mpmath
import sympy
from mpmath import mp

from harness.grading.expressions import MAX_TERMS, TooLarge, Unread, bits

Point = Mapping[Any, Fraction]
SPARE = 160
"""Bits beyond what the expressions ask for."""
MAX_PRECISION = 60_000


class NoValue(Exception):
    """Undefined at the point."""


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    **{getattr(sympy, name): getattr(mpmath, name) for name in "sin cos tan cot sec csc sinh cosh tanh coth sech csch".split()},
    **{getattr(sympy, name): getattr(mpmath, name) for name in "asin acos atan acot asec acsc asinh acosh atanh".split()},
    **{sympy.exp: mpmath.exp, sympy.Abs: abs, sympy.gamma: mpmath.gamma, sympy.factorial: mpmath.factorial},
    **{sympy.re: mpmath.re, sympy.im: mpmath.im, sympy.conjugate: mpmath.conj, sympy.arg: mpmath.arg, sympy.zeta: mpmath.zeta},
    **{sympy.binomial: mpmath.binomial, sympy.erf: mpmath.erf},
}
_CONSTANTS: dict[Any, Callable[[], Any]] = {
    sympy.pi: lambda: +mp.pi,
    sympy.E: lambda: +mp.e,
    sympy.I: lambda: mpmath.mpc(0, 1),
    sympy.EulerGamma: lambda: +mp.euler,
    sympy.GoldenRatio: lambda: +mp.phi,
    sympy.Catalan: lambda: +mp.catalan,
}


def value(expr: Any, point: Point) -> Any:
    """A Fraction where all parts are rational, else an mpmath number at the precision that is set.

    Raises NoValue where it is undefined, Unread for what has no value here (unknown functions, unsolved integrals).
    """
    if isinstance(expr, sympy.Rational):
        return Fraction(int(expr.p), int(expr.q))
    if isinstance(expr, sympy.Symbol):
        if expr not in point:
            raise Unread(str(expr))
        return point[expr]
    if expr in _CONSTANTS:
        return _CONSTANTS[expr]()
    if isinstance(expr, sympy.UnevaluatedExpr):
        return value(expr.args[0], point)
    if isinstance(expr, sympy.Sum | sympy.Product):
        return _series(expr, point)
    if not isinstance(expr, sympy.Expr) or not expr.args:
        raise Unread(str(expr)) if expr is not sympy.zoo and expr is not sympy.nan else NoValue
    if isinstance(expr, sympy.Integral | sympy.Limit | sympy.Derivative):
        found = expr.doit()
        if found.has(sympy.Integral, sympy.Limit, sympy.Derivative):
            raise Unread(str(expr))
        return value(found, point)
    parts = [value(part, point) for part in expr.args]
    if isinstance(expr, sympy.Add):
        return sum(parts[1:], parts[0]) if all(isinstance(p, Fraction) for p in parts) else mpmath.fsum(map(_real, parts))
    if isinstance(expr, sympy.Mul):
        return _product(parts)
    if isinstance(expr, sympy.Pow):
        return _power(*parts)
    return _function(expr, parts)


def _product(parts: list[Any]) -> Any:
    if all(isinstance(p, Fraction) for p in parts):
        out = Fraction(1)
        for part in parts:
            out *= part
        return out
    return mpmath.fprod(map(_real, parts))


def _real(x: Any) -> Any:
    return mpmath.mpf(x.numerator) / x.denominator if isinstance(x, Fraction) else x


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        if base == 0 and exponent <= 0:
            raise NoValue
        if exponent.denominator == 1:
            if abs(exponent) * max(base.numerator.bit_length(), base.denominator.bit_length()) > 10 * MAX_PRECISION:
                raise TooLarge
            return base ** int(exponent)
        exact = _root(base, exponent.denominator)
        if exact is not None:
            return _power(exact, Fraction(exponent.numerator))
    base, exponent = _real(base), _real(exponent)
    if base == 0:
        if mpmath.re(exponent) <= 0:
            raise NoValue
        return Fraction(0)
    return mpmath.power(base, exponent)


def _root(x: Fraction, n: int) -> Fraction | None:
    """The exact n-th root of a fraction that is not negative, where it is a fraction."""
    if x < 0 or n > 64:
        return None
    top, exact_top = sympy.integer_nthroot(x.numerator, n)
    bottom, exact_bottom = sympy.integer_nthroot(x.denominator, n)
    return Fraction(int(top), int(bottom)) if exact_top and exact_bottom else None


def _function(expr: Any, parts: list[Any]) -> Any:
    if isinstance(expr, sympy.log):
        found = [_real(p) for p in parts]
        if any(p == 0 for p in found) or (len(found) == 2 and found[1] == 1):
            raise NoValue
        return mpmath.log(found[0]) / mpmath.log(found[1]) if len(found) == 2 else mpmath.log(found[0])
    if isinstance(expr, sympy.floor | sympy.ceiling):
        up = isinstance(expr, sympy.ceiling)
        x = parts[0] if isinstance(parts[0], Fraction) else _real(parts[0])
        if isinstance(x, mpmath.mpc):
            raise NoValue
        return (
            Fraction(int(mpmath.ceil(x) if up else mpmath.floor(x)))
            if not isinstance(x, Fraction)
            else Fraction(-(-x // 1) if up else x // 1)
        )
    if isinstance(expr, sympy.Abs) and isinstance(parts[0], Fraction):
        return abs(parts[0])
    whole = [p for p in parts if isinstance(p, Fraction) and p.denominator == 1]
    if isinstance(expr, sympy.factorial | sympy.binomial) and len(whole) == len(parts) and all(0 <= p <= 50_000 for p in whole):
        return Fraction(int(expr.func(*(sympy.Integer(int(p)) for p in whole))))
    if isinstance(expr, sympy.Max | sympy.Min):
        if not all(map(is_real, parts)):
            raise NoValue
        return (max if isinstance(expr, sympy.Max) else min)(parts, key=lambda p: mpmath.re(_real(p)))
    if str(expr.func) in ("gcd", "lcm") and all(isinstance(p, Fraction) and p.denominator == 1 for p in parts):
        return Fraction(getattr(math, str(expr.func))(*map(int, parts)))
    known = _FUNCTIONS.get(expr.func)
    if isinstance(expr.func, sympy.core.function.UndefinedFunction) and all(isinstance(p, Fraction) for p in parts):
        drawn = random.Random(f"{expr.func} {parts}")  # any function: its values are only equal at equal arguments
        return Fraction(drawn.randrange(1, 10**9), 10**9)
    if known is None:
        raise Unread(str(expr.func))
    try:
        return known(*map(_real, parts))
    except (ValueError, ZeroDivisionError, ArithmeticError):
        raise NoValue from None


def _series(expr: Any, point: Point) -> Any:
    """A finite sum or product term by term; any other by sympy's own summation."""
    term, (symbol, low, high), others = expr.args[0], expr.args[1], expr.args[2:]
    bounds = None
    if not others and not (low.has(sympy.oo) or high.has(sympy.oo)):
        bounds = value(low, point), value(high, point)
        if not all(isinstance(b, Fraction) and b.denominator == 1 for b in bounds):
            raise NoValue
    if (
        bounds is not None
        and bounds[1] - bounds[0] > MAX_TERMS
        and not (isinstance(expr, sympy.Sum) and term.is_polynomial(symbol))
    ):
        raise TooLarge
    if bounds is None or bounds[1] - bounds[0] > MAX_TERMS:
        found = expr.doit()
        if found.has(sympy.Sum, sympy.Product):
            raise Unread(str(expr))
        bits(found)
        return value(found, point)
    terms = [value(term, {**point, symbol: Fraction(k)}) for k in range(int(bounds[0]), int(bounds[1]) + 1)]
    if isinstance(expr, sympy.Product):
        return _product(terms or [Fraction(1)])
    return sum(terms, Fraction(0)) if all(isinstance(t, Fraction) for t in terms) else mpmath.fsum(map(_real, terms))


def precision(*exprs: Any) -> int:
    """Bits that tell the values of these expressions apart. Raises TooLarge."""
    found = 2 * int(sum(bits(expr) for expr in exprs)) + SPARE
    if found > MAX_PRECISION:
        raise TooLarge(str(found))
    return found


def equal_values(left: Any, right: Any, prec: int) -> bool:
    """Fractions exactly; others to all but SPARE / 2 of the bits that were computed."""
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left == right
    left, right = _real(left), _real(right)
    if not (mpmath.isfinite(left) and mpmath.isfinite(right)):
        raise NoValue
    difference = abs(left - right)
    return bool(difference <= mpmath.ldexp(max(abs(left), abs(right), 1), SPARE // 2 - prec))


def equal_at(left: Any, right: Any, point: Point) -> bool:
    """Whether two expressions have the same value at a point. Raises NoValue, Unread, TooLarge."""
    prec = precision(left, right)
    with mp.workprec(prec):
        return equal_values(value(left, point), value(right, point), prec)


def points(symbols: list[Any], domain: str, rng: random.Random) -> list[dict[Any, Fraction]]:
    """Where expressions are compared: small and large fractions of either sign, positive ones, or positive integers."""
    out = []
    for scale in (1, 3, 12, 1, 100, 2, 1000, 5):
        point = {}
        for symbol in symbols:
            drawn = Fraction(rng.randrange(1, 997), 997) * scale
            if domain == "integers":
                drawn = Fraction(1 + int(drawn) + rng.randrange(4))
            elif domain == "reals" and rng.random() < 0.5:
                drawn = -drawn
            point[symbol] = drawn
        out.append(point)
    return out


def is_real(x: Any) -> bool:
    return (
        isinstance(x, Fraction)
        or not isinstance(x, mpmath.mpc)
        or abs(x.imag) < mpmath.ldexp(max(abs(x), 1), SPARE // 2 - mp.prec)
    )
