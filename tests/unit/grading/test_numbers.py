"""Values of expressions against sympy's own arithmetic and Python's, and how many digits their numbers can have."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import mpmath
import pytest
import sympy
from mpmath import mp

from harness.grading import equal, numeric
from harness.grading.equal import domain_of, real_number, rounds_to, same_value
from harness.grading.expressions import MAX_BITS, MAX_TERMS, TooLarge, Unread, bits, read_expression, size
from harness.grading.numeric import MAX_PRECISION, SPARE, NoValue, equal_at, equal_values, is_real, points, precision, value
from harness.grading.quantities import quantity
from harness.grading.values import Quantity

x, y, n, k = sympy.symbols("x y n k")
R = sympy.Rational
AT = {x: Fraction(3, 7), y: Fraction(-5, 2), n: Fraction(6)}


def unevaluated(cls, *args):
    return cls(*args, evaluate=False)


# ---------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("expr", "found"),
    [
        (R(3, 4), Fraction(3, 4)),
        (x, Fraction(3, 7)),
        (x + y, Fraction(3, 7) - Fraction(5, 2)),
        (x * y * 2, Fraction(3, 7) * Fraction(-5, 2) * 2),
        (x**2, Fraction(9, 49)),
        (x**-3, Fraction(343, 27)),
        (unevaluated(sympy.Pow, R(4, 9), R(1, 2)), Fraction(2, 3)),
        (unevaluated(sympy.Pow, R(8, 27), R(-2, 3)), Fraction(9, 4)),
        (unevaluated(sympy.Pow, R(0), R(5)), Fraction(0)),
        (unevaluated(sympy.Pow, R(0), sympy.sqrt(2)), Fraction(0)),
        (unevaluated(sympy.Abs, y), Fraction(5, 2)),
        (unevaluated(sympy.floor, y), Fraction(-3)),
        (unevaluated(sympy.ceiling, y), Fraction(-2)),
        (unevaluated(sympy.floor, sympy.pi * y), Fraction(-8)),
        (unevaluated(sympy.ceiling, sympy.pi * y), Fraction(-7)),
        (unevaluated(sympy.floor, R(10**60, 3)), Fraction(10**60 // 3)),
        (unevaluated(sympy.factorial, n), Fraction(720)),
        (unevaluated(sympy.binomial, R(10), R(4)), Fraction(210)),
        (unevaluated(sympy.Max, R(1), y, R(3, 2)), Fraction(3, 2)),
        (unevaluated(sympy.Min, R(1), y, R(3, 2)), Fraction(-5, 2)),
        (sympy.Function("gcd")(R(12), R(18)), Fraction(6)),
        (sympy.Function("lcm")(R(4), n), Fraction(12)),
        (sympy.UnevaluatedExpr(x), Fraction(3, 7)),
        (sympy.Sum(k, (k, 1, n)), Fraction(21)),
        (sympy.Sum(k, (k, 3, 2)), Fraction(0)),
        (sympy.Sum(k * n, (k, 1, 3), (n, 1, 2)), Fraction(6 * 3)),
        (sympy.Sum(k * n, (k, 1, n), (n, 1, 3)), Fraction(1 + 2 * 3 + 3 * 6)),
        (sympy.Product(k * n, (k, 1, 2), (n, 1, 2)), Fraction(2 * 8)),
        (sympy.Product(k, (k, 2, n)), Fraction(720)),
        (sympy.Product(k, (k, 3, 2)), Fraction(1)),
        (sympy.Sum(x**k, (k, 0, 2)), 1 + Fraction(3, 7) + Fraction(9, 49)),
        (sympy.Sum(k, (k, 1, 10**9)), Fraction(10**9 * (10**9 + 1), 2)),
        (sympy.Sum(R(1, 2) ** k, (k, 0, sympy.oo)), Fraction(2)),
        (sympy.Sum(2**k, (k, 10**4, 10**4 + 2)), Fraction(7 * 2**10000)),
        (sympy.Integral(k, (k, 0, n)), Fraction(18)),
        (sympy.Limit(sympy.sin(k) / k, k, 0), Fraction(1)),
        (sympy.Derivative(x**3, x), 3 * Fraction(9, 49)),
    ],
)
def test_rational_values_are_exact(expr, found):
    got = value(expr, AT)
    assert isinstance(got, Fraction) and got == found


NUMBERS = (
    "pi E GoldenRatio EulerGamma Catalan sqrt(2) 2**pi (-2)**R(1,3) log(3) log(-2) exp(R(2,3)) sin(R(3,5)) cos(2) tan(1) "
    "cot(1) sec(1) csc(1) sinh(1) cosh(1) tanh(1) coth(1) sech(1) csch(1) asin(R(1,3)) acos(R(1,3)) atan(3) acot(3) asec(3) "
    "acsc(3) asinh(2) acosh(2) atanh(R(1,2)) acsch(2) gamma(R(5,2)) factorial(R(1,2)) "
    "binomial(R(5,2),2) erf(1) zeta(3) Abs(3+4*I) re(sqrt(2)*I+1) im(sqrt(2)*I+1) conjugate(1+sqrt(2)*I) arg(1+I) I "
    "sqrt(2)+sqrt(3) sqrt(2)*pi*3 (sqrt(2))**(-3) exp(I)+1"
).split()


@pytest.mark.parametrize("text", NUMBERS)
def test_values_are_sympys(text):
    expr = eval(text, {**vars(sympy), "R": R})
    with mp.workprec(200):
        got = mpmath.mpmathify(numeric._real(value(expr, {})))
        want = mpmath.mpmathify(sympy.N(expr, 60)._to_mpmath(200))
        assert abs(got - want) < mpmath.mpf(10) ** -50


def test_logarithms_to_a_base():
    with mp.workprec(100):
        expr = sympy.log(8, 2, evaluate=False)
        assert abs(value(expr, {}) - 3) < 1e-25
    for bad in (sympy.log(R(0), evaluate=False), sympy.log(R(3), R(1), evaluate=False)):
        with pytest.raises(NoValue):
            value(bad, {})


@pytest.mark.parametrize(
    "expr",
    [
        unevaluated(sympy.Pow, R(0), R(-1)),
        unevaluated(sympy.Pow, R(0), R(0)),
        unevaluated(sympy.Pow, unevaluated(sympy.Add, sympy.sqrt(2), -sympy.sqrt(2)), R(-1)),
        unevaluated(sympy.floor, sympy.I * sympy.pi),
        unevaluated(sympy.Max, R(1), sympy.sqrt(y)),
        unevaluated(sympy.gamma, R(-1)),
        unevaluated(sympy.factorial, R(-2)),
        sympy.Sum(k, (k, 1, x)),
        sympy.zoo,
        sympy.nan,
    ],
)
def test_no_value(expr):
    with mp.workprec(200), pytest.raises(NoValue):
        value(expr, AT)


@pytest.mark.parametrize(
    "expr",
    [
        sympy.Symbol("unknown"),
        sympy.Integral(sympy.exp(sympy.exp(k)) / sympy.gamma(k), (k, 1, 2)),
        sympy.Product(sympy.sin(k), (k, 1, sympy.oo)),
        sympy.besselj(1, x),
        sympy.Function("f")(sympy.sqrt(2)),
    ],
)
def test_what_is_not_understood(expr):
    with pytest.raises(Unread):
        value(expr, AT)


def test_what_is_too_large():
    for expr in (
        unevaluated(sympy.Pow, R(3), R(10 * MAX_PRECISION)),
        sympy.Sum(1 / k, (k, 1, MAX_TERMS + 2)),
        sympy.Product(k, (k, 1, 10**6)),
    ):
        with pytest.raises(TooLarge):
            value(expr, {})
    assert value(sympy.Sum(1 / k, (k, 1, 50)), {}) == sum(Fraction(1, i) for i in range(1, 51))
    assert value(unevaluated(sympy.Pow, R(1, 2), R(1000)), {}) == Fraction(1, 2**1000)


def test_an_unknown_function_has_equal_values_at_equal_arguments_alone():
    f, g = sympy.Function("f"), sympy.Function("g")
    found = [value(f(R(i)), {}) for i in range(200)]
    assert len(set(found)) == 200 and value(f(x), {x: Fraction(7)}) == found[7] != value(g(R(7)), {})
    assert value(f(x, y), {x: Fraction(1), y: Fraction(2)}) != value(f(y, x), {x: Fraction(1), y: Fraction(2)})


@pytest.mark.parametrize(("cls", "found"), [(sympy.Max, math.sqrt(3)), (sympy.Min, 1.25)])
def test_the_largest_of_exact_and_other_numbers(cls, found):
    """A fraction beside a root could not be compared: the grader failed on max(1, sqrt 2)."""
    with mp.workprec(100):
        assert abs(value(unevaluated(cls, R(5, 4), sympy.sqrt(2), sympy.sqrt(3)), {}) - found) < 1e-15
        assert value(unevaluated(cls, R(1), R(2)), {}) == (2 if cls is sympy.Max else 1)


def test_roots_that_are_fractions():
    assert numeric._root(Fraction(16, 81), 4) == Fraction(2, 3) and numeric._root(Fraction(0), 3) == 0
    assert numeric._root(Fraction(2), 2) is None and numeric._root(Fraction(1, 2), 2) is None
    assert numeric._root(Fraction(-8), 3) is None
    assert numeric._root(Fraction(1), 64) == 1 and numeric._root(Fraction(1), 65) is None


def test_points_of_a_domain():
    for domain in ("reals", "positive", "integers"):
        found = points([x, y], domain, random.Random(3))
        assert len(found) == 8 and all(set(p) == {x, y} for p in found)
        drawn = [v for p in found for v in p.values()]
        assert len(set(drawn)) > 8 and max(drawn) > 20
        assert (min(drawn) < 0) == (domain == "reals") and 0 not in drawn
        assert all(v.denominator == 1 for v in drawn) == (domain == "integers")
    assert points([x], "reals", random.Random(3)) == points([x], "reals", random.Random(3))


# ---------------------------------------------------------------------- equal or not


def test_equal_values():
    assert equal_values(Fraction(1, 3), Fraction(1, 3), 200) is True
    assert equal_values(Fraction(1, 3), Fraction(1, 3) + Fraction(1, 10**99), 200) is False
    with mp.workprec(300):
        one = mpmath.sqrt(2)
        step = mpmath.ldexp(1, SPARE // 2 - 300)
        assert equal_values(one, one + step, 300) and not equal_values(one, one + 2 * step, 300)
        assert equal_values(one + step, one, 300) and not equal_values(one + 2 * step, one, 300)
        big = one * 2**40
        assert equal_values(big, big + step * 2**40, 300) and not equal_values(big, big + step * 2**42, 300)
        assert equal_values(mpmath.mpf("0.5"), Fraction(1, 2), 300) and not equal_values(
            mpmath.mpf("0.25"), Fraction(1, 2), 300
        )
        assert equal_values(mpmath.mpf(0), step, 300), "what cancels is as far from 0 as numbers of size 1 are apart"
        assert equal_values(one * step, mpmath.mpf(0), 300) is False
        for bad in ((mpmath.inf, one), (one, mpmath.nan)):
            with pytest.raises(NoValue):
                equal_values(*bad, 300)


def test_numbers_that_are_real():
    assert is_real(Fraction(1)) and is_real(mpmath.mpf(2)) and is_real(mpmath.mpc(2, 0))
    with mp.workprec(300):
        small = mpmath.ldexp(1, SPARE // 2 - 300)
        assert is_real(mpmath.mpc(1, small / 2)) and not is_real(mpmath.mpc(1, small * 1.5))
        assert is_real(mpmath.mpc(0, small / 2)) and not is_real(mpmath.mpc(0.5, small * 1.5))
        assert is_real(mpmath.mpc(100, small * 50)) and not is_real(mpmath.mpc(0, 1))


def test_precision_follows_from_the_numbers():
    assert precision(R(5)) == 2 * int(bits(R(5))) + SPARE
    assert precision(x, y + 1) == 2 * int(bits(x) + bits(y + 1)) + SPARE
    with pytest.raises(TooLarge):
        precision(R(2) ** (MAX_PRECISION // 2))
    assert equal_at(sympy.sqrt(x), x ** R(1, 2), AT) and not equal_at(sympy.sqrt(x), sympy.sqrt(x) + R(1, 10**40), AT)


@pytest.mark.parametrize(
    ("gold", "answer", "same"),
    [
        ((x + 1) ** 2, x**2 + 2 * x + 1, True),
        ((x + 1) ** 2, x**2 + 2 * x + 2, False),
        (sympy.sqrt(x**2), x, False),
        (sympy.sqrt(x) * sympy.sqrt(y), sympy.sqrt(x * y), True),
        (sympy.oo, sympy.oo, True),
        (sympy.oo, -sympy.oo, False),
        (sympy.oo, R(1), False),
        (R(1), sympy.oo, False),
        (unevaluated(sympy.Pow, R(0), R(-1)), R(1), False),
        (sympy.Sum(k, (k, 1, n)), n * (n + 1) / 2, True),
        (n * (n + 1) / 2, sympy.Sum(k, (k, 1, n)), True),
        (n * (n + 1) / 2, sympy.Sum(k, (k, 0, n - 1)), False),
        (sympy.factorial(n), sympy.Product(k, (k, 1, n)), True),
        ((-1) ** n, sympy.cos(sympy.pi * n), True),
        ((x**2 - 1) / (x - 1), x + 1, True),
        (sympy.Max(1, sympy.sqrt(x)), sympy.Max(sympy.sqrt(x), 1, 0), True),
    ],
)
def test_expressions_are_one(gold, answer, same):
    assert same_value(gold, answer) is same


def test_two_must_be_defined_at_the_same_points():
    root = sympy.Max(1, sympy.sqrt(x))
    assert not same_value(root, sympy.Max(1, sympy.sqrt(abs(x))))
    assert equal._defined(root, {x: Fraction(2)}) and not equal._defined(root, {x: Fraction(-2)})


def test_three_points_at_which_both_have_values_decide(monkeypatch):
    """No fewer; and where one has a value and the other none, they are not one."""
    inverse, other = 1 / x, (x + 1) / (x**2 + x)
    for defined, same in ((2, False), (3, True), (4, True)):
        at = [{x: Fraction(0)}] * 4 + [{x: Fraction(i)} for i in range(1, defined + 1)]
        monkeypatch.setattr(equal, "points", lambda *_, at=at: at)
        assert equal._same_function(inverse, other, [x]) is same
    monkeypatch.setattr(equal, "points", lambda *_: [{x: Fraction(i)} for i in (1, 2, 3, 0)])
    hole = unevaluated(sympy.Mul, x, unevaluated(sympy.Pow, x, R(-1)))
    assert not equal._same_function(hole, unevaluated(sympy.Mul, 1, R(1)), [x])


@pytest.mark.parametrize(
    ("gold", "answer", "same"),
    [
        ("0.33333333", "0.333333", True),  # the shorter one stands for what rounds to it
        ("0.333333", "0.33333333", True),
        ("0.33333333", "0.333334", False),
        ("0.333333", "0.333334", False),
        ("\\frac{1}{3}", "0.333333", True),
        ("0.333333", "\\frac{1}{3}", True),
        ("\\frac{1}{3}", "0.33333", False),  # five digits are few
        ("\\frac{1}{3}", "33.3333", False),
        ("\\frac{100}{3}", "33.3333", True),
        ("-\\frac{100}{3}", "-33.3333", True),
        ("\\frac{1}{300}", "0.00333333", True),  # zeros in front do not count
        ("\\frac{1}{300}", "0.0033333", False),
        ("0", "0.0000000", True),
        ("\\frac{1}{3}\\cdot 10^{-9}", "0.0000000", False),
        ("x", "0.333333", False),
        ("\\infty", "0.333333", False),
    ],
)
def test_decimals_of_six_digits_stand_for_what_rounds_to_them(gold, answer, same):
    assert (
        equal._same_number(*(quantity(text) if "infty" not in text else Quantity(sympy.oo) for text in (gold, answer))) is same
    )


@pytest.mark.parametrize(
    ("gold", "domain"),
    [
        (x + 1, "reals"),
        (sympy.sqrt(x), "positive"),
        (sympy.log(x), "positive"),
        (sympy.cos(sympy.pi * n) * (-1) ** n, "integers"),
        (sympy.I * sympy.sqrt(x), "reals"),
        (sympy.sqrt(-x), "reals"),
        (sympy.sqrt(-1 - x**2), "reals"),
    ],
)
def test_the_widest_domain_on_which_a_gold_is_real(gold, domain):
    assert domain_of(gold, tuple(sorted(gold.free_symbols, key=str))) == domain


@pytest.mark.parametrize(
    ("expr", "found"),
    [
        (sympy.oo, math.inf),
        (-sympy.oo, -math.inf),
        (x, None),
        (R(1, 3), Fraction(1, 3)),
        (sympy.I, None),
        (sympy.I**2, Fraction(-1)),
        (unevaluated(sympy.Pow, R(0), R(-1)), None),
        (sympy.Function("f")(sympy.sqrt(2)), None),
    ],
)
def test_real_numbers(expr, found):
    assert real_number(expr) == found


def test_a_real_number_has_200_bits():
    assert abs(real_number(sympy.sqrt(2)) ** 2 - 2) < Fraction(1, 2**195)
    conjugates = unevaluated(sympy.Mul, 1 + sympy.I * sympy.sqrt(2), 1 - sympy.I * sympy.sqrt(2))
    assert abs(real_number(conjugates) - 3) < Fraction(1, 2**190)


def test_rounding():
    assert rounds_to(Fraction(1, 3), Fraction("0.333"), 3) and not rounds_to(Fraction(1, 3), Fraction("0.334"), 3)
    assert rounds_to(Fraction("0.3335"), Fraction("0.333"), 3) and rounds_to(Fraction("0.3335"), Fraction("0.334"), 3)
    assert not rounds_to(Fraction("0.33351"), Fraction("0.333"), 3)


# ---------------------------------------------------------------------- how many digits there can be


def length(number):
    number = Fraction(number)
    return number.numerator.bit_length() + number.denominator.bit_length()


def test_bits_bound_the_numbers_of_a_value():
    for i in range(1, 40):
        assert bits(unevaluated(sympy.factorial, R(i))) >= length(math.factorial(i)) - 1
        assert bits(unevaluated(sympy.gamma, R(i))) >= length(math.factorial(i - 1)) - 1
        assert bits(unevaluated(sympy.Pow, R(3, 7), R(i))) >= length(Fraction(3, 7) ** i)
        for j in range(i + 1):
            assert bits(unevaluated(sympy.binomial, R(i), R(j))) >= length(math.comb(i, j)) - 2
    assert bits(R(5, 9)) == 3 + 4 and bits(x) == 2 and bits(x + R(1, 2)) == 2 + 3 + 2
    assert bits(unevaluated(sympy.exp, R(100))) >= 100 / math.log(2)
    assert bits(unevaluated(sympy.cosh, R(100))) >= 100 / math.log(2)
    assert bits(x**40) == 2 * 40 + bits(R(40)) and bits(R(3) ** x) == bits(R(3)) * 40 + bits(x)
    assert bits(unevaluated(sympy.binomial, n, k)) == bits(n) + bits(k) + 100
    assert bits(sympy.exp(x)) == 2 * 40 + bits(x)
    for large in (
        unevaluated(sympy.Pow, R(10), R(10**6)),
        unevaluated(sympy.factorial, R(10**6)),
        unevaluated(sympy.Pow, R(9), unevaluated(sympy.Pow, R(9), R(9))),
    ):
        with pytest.raises(TooLarge):
            bits(large)


def test_size():
    assert size(R(-7, 2)) == 3.5 and abs(size(sympy.sqrt(2)) - 1.41421356) < 1e-6 and abs(size(3 + 4 * sympy.I) - 5) < 1e-6
    for bad in (R(MAX_BITS + 1), sympy.zoo, sympy.nan, x):
        with pytest.raises(TooLarge):
            size(bad)
    assert size(R(MAX_BITS)) == MAX_BITS


# ---------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("text", "at", "found"),
    [
        ("1.25", {}, Fraction(5, 4)),
        ("12,345+1", {}, Fraction(12346)),
        ("x^2y", AT, Fraction(9, 49) * Fraction(-5, 2)),
        ("x(y+1)", AT, Fraction(3, 7) * Fraction(-3, 2)),
        ("\\frac{x}{y}", AT, Fraction(-6, 35)),
        ("\\binom{n}{2}", AT, Fraction(15)),
        ("\\max(1,n,2)", AT, Fraction(6)),
        ("\\min(1,n,2)", AT, Fraction(1)),
        ("\\gcd(4,n)", AT, Fraction(2)),
        ("\\lcm(4,n)", AT, Fraction(12)),
        ("\\sum_{i=1}^{n} i", AT, Fraction(21)),
        ("i^2", {}, Fraction(-1)),
        ("n!", AT, Fraction(720)),
        ("2^{-3}", {}, Fraction(1, 8)),
        ("|y|", AT, Fraction(5, 2)),
        ("n(x)", AT, 6 * Fraction(3, 7)),
        ("2n(y+1)", AT, 12 * Fraction(-3, 2)),
        ("\\max(3)", {}, Fraction(3)),
        ("\\lfloor y \\rfloor", AT, Fraction(-3)),
        ("3n-2n", AT, Fraction(6)),
    ],
)
def test_an_expression_is_read(text, at, found):
    expr = read_expression(text)
    symbols = {str(s): s for s in expr.free_symbols}
    got = value(expr, {symbols[str(s)]: v for s, v in at.items() if str(s) in symbols})
    assert Fraction(mpmath.nstr(mpmath.re(got), 30)) == found if not isinstance(got, Fraction) else got == found


def test_what_may_be_large_is_not_multiplied_out_as_it_is_read():
    for text, kind in (
        ("\\binom{5}{2}", sympy.binomial),
        ("5!", sympy.factorial),
        ("5^2", sympy.Pow),
        ("2 \\cdot 3", sympy.Mul),
    ):
        assert isinstance(read_expression(text), kind), text


def test_constants_are_read():
    with mp.workprec(100):
        for text, want in (("e^{2}", mpmath.e**2), ("2e", 2 * mpmath.e), ("2^e", 2**mpmath.e), ("\\pi^2", mpmath.pi**2)):
            assert abs(value(read_expression(text), {}) - want) < 1e-20


@pytest.mark.parametrize(
    "text",
    "|1 2|x!!|0x1F|x \\mod 3|\\text{a}|\\max|1..2|x?|x \\to 3|x+|(x|x)|1,2|\\sin_2 x|x_|5_2|=|x=1|3^".split("|"),
)
def test_what_is_not_read_to_its_end(text):
    with pytest.raises(Unread):
        read_expression(text)


@pytest.mark.parametrize("text", ["9^{9^{9}}", "10^{1000000}", "1000000!"])
def test_what_has_too_many_digits(text):
    with pytest.raises(TooLarge):
        read_expression(text)
