"""Sets of real numbers against membership, number by number: ends are integers, so that halves tell any two sets apart."""

import operator
import random
from fractions import Fraction

import pytest
import sympy

from harness.grading.reading import read
from harness.grading.regions import Reals, as_region, complement, intersection, of_one_symbol, same_region, union
from harness.grading.values import Piece, Region

GRID = [Fraction(i, 2) for i in range(-32, 33)]


def holds(region, x):
    return any(
        (p.low < x or (p.low == x and not p.low_open)) and (x < p.high or (x == p.high and not p.high_open))
        for p in region.pieces
    )


def members(region):
    return [holds(region, sympy.Rational(x.numerator, x.denominator)) for x in GRID]


def runs(flags):
    """How many pieces a set has whose members on the grid are these."""
    return sum(now and not before for before, now in zip([False, *flags], flags, strict=False))


def drawn(rng):
    """A set of one to three pieces, some of them a point, as `union` makes it."""
    pieces = []
    for _ in range(rng.randint(1, 3)):
        low = rng.randint(-9, 9)
        high = low + rng.choice([0, 1, 2, 5])
        piece = Piece(sympy.Integer(low), sympy.Integer(high), *(rng.random() < 0.5 for _ in range(2)))
        if low == high:
            piece = Piece(piece.low, piece.high, False, False)
        elif rng.random() < 0.2:
            piece = Piece(-sympy.oo, piece.high, True, piece.high_open)
        elif rng.random() < 0.2:
            piece = Piece(piece.low, sympy.oo, piece.low_open, True)
        pieces.append(Region((piece,), "x"))
    return pieces, union(pieces)


def test_union_intersection_and_complement_have_the_right_members():
    rng = random.Random(0)
    for _ in range(400):
        parts, one = drawn(rng)
        other = drawn(rng)[1]
        flags = [any(at) for at in zip(*map(members, parts), strict=True)]
        assert members(one) == flags and len(one.pieces) == runs(flags), parts
        for found, wanted in (
            (union([one, other]), [a or b for a, b in zip(members(one), members(other), strict=True)]),
            (intersection([one, other]), [a and b for a, b in zip(members(one), members(other), strict=True)]),
            (complement(one), [not a for a in members(one)]),
        ):
            assert members(found) == wanted and len(found.pieces) == runs(wanted) and found.name == "x", (one, other)
        assert same_region(one, other) == (members(one) == members(other))
        assert same_region(complement(complement(one)), one)
    assert complement(Region((Reals,), "t")) == Region((), "t")


def test_a_name_counts_where_both_have_one():
    x, y, none = (Region((Reals,), name) for name in ("x", "y", ""))
    assert same_region(x, x) and same_region(x, none) and same_region(none, y) and not same_region(x, y)
    assert union([none, y]).name == intersection([none, y]).name == "y"


SIGNS = {"<": operator.lt, ">": operator.gt, r"\le": operator.le, r"\ge": operator.ge, r"\ne": operator.ne}


@pytest.mark.parametrize("sign", SIGNS)
def test_inequalities_hold_where_they_hold(sign):
    is_so = SIGNS[sign]
    sides = {
        "x": lambda x: x,
        "2x-6": lambda x: 2 * x - 6,
        "4-x": lambda x: 4 - x,
        "-2x": lambda x: -2 * x,
        "|x-1|": lambda x: abs(x - 1),
        "|3-2x|": lambda x: abs(3 - 2 * x),
        "x^2-x": lambda x: x**2 - x,
        "2-x^2": lambda x: 2 - x**2,
    }
    for text, value in sides.items():
        bound = {"|3-2x|": "1", "2-x^2": "-7", "x^2-x": "2"}.get(text, "4")
        for left, right, wanted in (
            (text, bound, [is_so(value(x), int(bound)) for x in GRID]),
            (bound, text, [is_so(int(bound), value(x)) for x in GRID]),
        ):
            found = as_region(read(f"{left} {sign} {right}"))
            assert found is not None and (members(found), found.name) == (wanted, "x"), (left, sign, right)
            assert same_region(found, complement(complement(found))), "as sets are that are made in another way"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (r"-3 < x \le 5", lambda x: -3 < x <= 5),
        (r"5 \ge x > -3", lambda x: -3 < x <= 5),
        ("-4 < 2x < 6", lambda x: -2 < x < 3),
        (r"-4 \le 2 - x < 6", lambda x: -4 < x <= 6),
        ("1 < 2 < x", lambda x: x > 2),
        (r"x > 2 \ge 1", lambda x: x > 2),
        (r"x < 2 \le 2", lambda x: x < 2),
        (r"x < 2 \ne 3", lambda x: x < 2),
        ("x^2 < 4", lambda x: x**2 < 4),
        ("(x+1)^2 - x^2 < 5", lambda x: x < 2),
        ("(1, 3]", lambda x: 1 < x <= 3),
        ("[-1, 3)", lambda x: -1 <= x < 3),
        (r"(-\infty, 0]", lambda x: x <= 0),
        (r"\{2, -1, 2\}", lambda x: x in (-1, 2)),
    ],
)
def test_texts_of_sets(text, wanted):
    found = as_region(read(text))
    assert found is not None and members(found) == [wanted(x) for x in GRID] and found.name == ("x" if "x" in text else "")


@pytest.mark.parametrize(
    "text",
    ["x = 3", "x < 3 = 3", "x < y", "x + y < 2", "2 < 1 < x", r"x < 2 \le 1", "x < x + 1", "|x| < 0", "|x| > -1"]
    + [r"x < 3 \text{ cm}", "(3, 1)", "(1, 1)", "(1, 2, 3)", r"\{1, x\}", "5", "(x, 3)", "x < i", "1 < 2"]
    + ["i < 2 < x", "x > 2 > 2", "x < 2 < 2", r"x < 2 \ne 2"]
    + [r"\sin x < 1", "2^x < 4", r"\sqrt{x} < 2", r"\frac{1}{x} < 2", "x^3 < 8", "x^2 < -1", r"x^2 \le 0", "|x| < -1"]
    + [r"x^2 < \sqrt{2}", "1 < |x| < 2", "1 < x^2 < 4", "|x^3| < 1", "|x| < y", r"\pi x^2 < 1", "(1)", r"(1 \text{ cm}, 2)"],
)
def test_what_stands_for_no_set(text):
    assert as_region(read(text)) is None


def test_all_but_one_number_is_open_at_its_ends():
    pieces = Piece(-sympy.oo, 3, True, True), Piece(3, sympy.oo, True, True)
    assert as_region(read(r"x \ne 3")) == Region(pieces, "x")
    for sign, piece in (
        ("<", Piece(-sympy.oo, 3, True, True)),
        (r"\le", Piece(-sympy.oo, 3, True, False)),
        (">", Piece(3, sympy.oo, True, True)),
        (r"\ge", Piece(3, sympy.oo, False, True)),
    ):
        assert as_region(read(f"x {sign} 3")) == Region((piece,), "x")


def test_values_that_stand_for_sets_of_one_symbol():
    """All of them must, and those that are said of a symbol of the same one."""
    x, y, bare = Region((Reals,), "x"), Region((Reals,), "y"), Region((Reals,))
    assert of_one_symbol([x, x, bare]) == [x, x, bare] and of_one_symbol([bare, bare]) == [bare, bare]
    assert of_one_symbol([x, y]) is None and of_one_symbol([bare, x, y]) is None
    number = read("5")
    assert of_one_symbol([x, number]) is None and of_one_symbol([number]) is None and of_one_symbol([]) == []


def test_sets_of_no_symbol_have_no_name():
    ends = [Region((Piece(sympy.Integer(i), sympy.Integer(i + 1), True, True),)) for i in (0, 3)]
    assert union(ends).name == intersection(ends).name == ""
    assert union(ends) == Region(ends[0].pieces + ends[1].pieces) and intersection(ends) == Region(())
    assert as_region(read("(0, 1) \\cup (3, 4)")) == union(ends)
