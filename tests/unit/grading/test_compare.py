"""Whether typed values are one, in this process: both ways round where the rule has no side."""

from __future__ import annotations

import pytest

from harness.grading import compare, graders
from harness.grading.compare import same
from harness.grading.equal import same_quantity
from harness.grading.expressions import Unread
from harness.grading.graders import Grade, grade_many
from harness.grading.quantities import quantity
from harness.grading.reading import read

ONE = [
    # words
    ("\\text{b}", "B"),
    ("\\text{east}", "\\text{East}"),
    # elements that are alone
    ("\\{5\\}", "5"),
    ("\\{5\\}", "\\{\\{5\\}\\}"),
    # order
    ("(1, 2)", "1, 2"),
    ("[1, 2)", "1 \\le x < 2"),
    ("(1, 2, 3)", "(1, 2, 3)"),
    ("2, 1", "1, 2"),
    ("1, 1, 2", "1, 2, 1"),
    ("\\{1, 1, 2\\}", "2, 1"),
    ("(1, 2), (3, 4)", "(3, 4), (1, 2)"),
    ("x = 1, y = 2", "y = 2, x = 1"),
    ("x = 1, y = 2", "1, 2"),
    ("x = 1, x = 2", "2, 1"),
    ("x_1 = 1, x_2 = 2", "2, 1"),
    ("\\{\\{1\\}, 2\\}", "\\{\\{1\\}, 2\\}"),
    # equations
    ("x = 3", "3 = x"),
    ("x = 3", "3"),
    ("y = 2x + 1", "2x - y + 1 = 0"),
    ("y = 2x + 1", "-2y = -4x - 2"),
    ("f(x) = x^2", "x^2"),
    ("f(x) = x^2", "f(t) = t^2"),
    ("y = x", "x = y"),
    ("A = B = 3", "3"),
    ("\\frac{x}{2} + \\frac{y}{3} = 1", "3x + 2y = 6"),
    ("\\sin A = \\frac{1}{2}", "\\frac{1}{2}"),
    ("|z| = 2", "2"),
    ("a + b = 5", "5"),
    ("x = 0.5 = \\frac{1}{2}", "\\frac{1}{2}"),
    ("y = x + 1 = 1 + x", "x + 1"),
    ("x = \\frac{1}{3} \\approx 0.33", "\\frac{1}{3}"),
    # inequalities
    ("x < y", "y > x"),
    ("x < y + 1", "x - 1 < y"),
    ("x < y < z", "z > y > x"),
    ("x \\le y", "-y \\le -x"),
    ("x \\ne y", "2x \\ne 2y"),
    ("x < y", "2y - 2x > 0"),
    ("3 < x", "x > 3"),
    # residues, ratios, matrices
    ("3 \\pmod 5", "8 \\pmod 5"),
    ("x \\equiv -2 \\pmod 5", "3 \\pmod 5"),
    ("1:2", "2:4"),
    ("1:2:3", "2:4:6"),
    ("1:2", "\\frac{1}{2}"),
    ("\\begin{pmatrix} 1 & 2 \\end{pmatrix}", "(1, 2)"),
    ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "(1, 2)"),
    ("\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", "\\begin{bmatrix} 1 & 2 \\\\ 3 & 4 \\end{bmatrix}"),
    ("11_2", "11_{2}"),
]
NOT_ONE = [
    ("\\text{b}", "X"),
    ("\\text{b}", "B \\text{ cm}"),
    ("\\text{five dogs}", "(1, 2)"),
    ("(1, 2)", "2, 1"),
    ("(1, 2)", "\\{1, 2\\}"),
    ("[1, 2]", "1, 2"),
    ("(1, 2)", "[1, 2]"),
    ("(1, 2)", "(1, 2, 3)"),
    ("(1, 2, 3)", "1, 2"),
    ("1, 1, 2", "1, 2"),
    ("1, 1, 2", "1, 2, 2"),
    ("\\{1, 2\\}", "1, 2, 3"),
    ("\\{\\{1\\}, 2\\}", "\\{\\{2\\}, 1\\}"),
    ("x = 1, y = 2", "x = 2, y = 1"),
    ("x = 1, y = 2", "2, 1"),
    ("x = 1, y = 2", "\\{1, 2\\}"),
    ("x = 1, y = 2", "x = 1, 2"),
    ("x = 3", "y = 3"),
    ("x = 3", "x = 4"),
    ("x = 3", "4"),
    ("x + 1 = 3", "3"),
    ("x^2 = 4", "4"),
    ("f(x) = x^2", "g(x) = x^2"),
    ("f(x) = a x", "f(a) = x a + 1"),
    ("f(x) = x + t", "f(t) = t + t"),
    ("y = 2x + 1", "y = 2x + 2"),
    ("y = x", "y = -x"),
    ("x = 3 = 4", "3"),
    ("y = x + 1 = x + 2", "x + 1"),
    ("y = x + 1 = 1 + x = x + 2", "x + 1"),
    ("x = \\frac{1}{3} \\approx 0.34", "\\frac{1}{3}"),
    ("x = \\frac{1}{3} \\approx \\frac{1}{2}", "\\frac{1}{3}"),
    ("x \\approx 3", "4"),
    ("x < y", "x > y"),
    ("x < y", "x \\le y"),
    ("x < y", "-x < -y"),
    ("x < y < z", "x < z < y"),
    ("x < y < z", "x < y"),
    ("x < 3", "3"),
    ("3 \\pmod 5", "4 \\pmod 5"),
    ("3 \\pmod 5", "3 \\pmod 7"),
    ("x \\equiv 3 \\pmod 5", "y \\equiv 3 \\pmod 5"),
    ("3 \\pmod 5", "3"),
    ("1:2", "2:1"),
    ("1:2:3", "1:2"),
    ("1:2:3", "2:4:7"),
    ("1:2:3", "\\frac{1}{6}"),
    ("\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", "(1, 2, 3, 4)"),
    ("\\begin{pmatrix} 1 & 2 \\end{pmatrix}", "[1, 2]"),
    ("\\begin{pmatrix} 1 & 2 \\end{pmatrix}", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}"),
    ("\\begin{pmatrix} 1 & 2 \\end{pmatrix}", "(2, 1)"),
    ("11_2", "11_3"),
    ("11_2", "3"),
    ("3:05", "3:06"),
    ("3:05", "\\frac{3}{5}"),
]


def verdict(gold, answer):
    try:
        return same(read(gold), read(answer))
    except Unread:
        return False


@pytest.mark.parametrize(("one", "other"), ONE)
def test_one_value(one, other):
    assert verdict(one, other) and verdict(other, one)


@pytest.mark.parametrize(("one", "other"), NOT_ONE)
def test_not_one_value(one, other):
    assert not verdict(one, other) and not verdict(other, one)


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        ("5", "5 \\text{ cm}", True),  # a gold answer without its unit
        ("5 \\text{ cm}", "0.05 \\text{ m}", True),
        ("5 \\text{ cm}", "5 \\text{ m}", False),
        ("5 \\text{ cm}", "5 \\text{ kg}", False),
        ("5 \\text{ cm}", "6 \\text{ cm}", False),
        ("5 \\text{ cm}", "0.05", False),
        ("50\\%", "\\frac{1}{2}", True),
        ("50\\%", "50", True),
        ("50\\%", "5", False),
        ("180^\\circ", "\\pi", True),
        ("180^\\circ", "180", True),
        ("180^\\circ", "\\pi \\text{ radians}", True),
        ("180^\\circ", "90^\\circ", False),
        ("5 m", "5 \\text{ m}", True),
        ("5 m", "500 \\text{ cm}", True),
        ("5 m", "5 \\text{ kg}", False),
        ("5 m", "5", True),
        ("5 m", "6", False),
        ("5 m", "5m", True),
        ("\\$5", "5 \\text{ dollars}", True),
        ("\\$5", "500 \\text{ cents}", True),
        ("\\$5", "5 \\text{ euros}", False),
        ("0.333333 \\text{ cm}", "\\frac{1}{3} \\text{ cm}", True),
        ("0.333334 \\text{ cm}", "\\frac{1}{3} \\text{ cm}", False),
    ],
)
def test_amounts_with_and_without_units(one, other, is_one):
    found = [same_quantity(quantity(a), quantity(b)) for a, b in ((one, other), (other, one))]
    assert found == [is_one] * 2


@pytest.mark.parametrize("name", ["", "y = "])
def test_the_gold_answer_says_for_which_numbers(name):
    r"""`2 \ln x` is of positive ones alone, `\ln x^2` of the others as well, whichever of the two has a name."""
    of_all, of_some = "\\ln(x^2)", "2\\ln x"
    assert verdict(name + of_some, of_all) and verdict(of_some, name + of_all)
    assert not verdict(name + of_all, of_some) and not verdict(of_all, name + of_some)


def test_names_of_relations():
    """A name is a lone symbol or words; several that differ in their index have one letter."""
    named = {"x = 1": "x", "x_{12} = 1": "x", "x_3 = 1": "x", "x_n = 1": "x_n", "f(x) = 1": "f(x)", "2x = 1": None, "5": None}
    for text, name in named.items():
        assert compare._assigned(read(text)) == name, text
    assert compare._assigned(read("x < y")) is None


def test_a_grader_gives_a_grade_for_every_answer(monkeypatch):
    """One by reference may be anybody's: too few or too many are an error, never another answer's grade."""
    for grades in ([], [Grade(1.0, "ok", "5")], [Grade(1.0, "ok", "5")] * 3):
        monkeypatch.setitem(graders.GRADERS, "mine", lambda *_, grades=grades: grades)
        with pytest.raises(ValueError, match="zip"):
            grade_many([("5", "5", "mine"), ("6", "5", "mine")])
