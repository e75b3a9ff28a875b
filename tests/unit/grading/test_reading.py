r"""What a text is read as, in this process: typed values that were written down from the text, not from what `read` gave."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy

from harness.grading import reading, split
from harness.grading.reading import Unread, read
from harness.grading.regions import Reals
from harness.grading.split import AND, OR
from harness.grading.units import DEGREE, PERCENT, Unit
from harness.grading.values import (
    Bag,
    Based,
    Clock,
    Grid,
    Ordered,
    Piece,
    Quantity,
    Ratio,
    Region,
    Relation,
    Residue,
    Text,
)

x, y, z, X, Y = sympy.symbols("x y z X Y")
R = sympy.Rational
oo = sympy.oo
CM = Unit(Fraction(1, 100), (("length", 1),))


def q(*exprs):
    return tuple(Quantity(sympy.sympify(expr)) for expr in exprs)


def numbers(*exprs, **more):
    return Bag(q(*exprs), **more)


def relation(*sides_and_signs):
    """`x, "=", 3`: sides and signs in turn; a name is a string."""
    sides = tuple(s if isinstance(s, str) else Quantity(sympy.sympify(s)) for s in sides_and_signs[::2])
    return Relation(sides, sides_and_signs[1::2])


def between(low, high, ends="()", name=""):
    return Region((Piece(sympy.sympify(low), sympy.sympify(high), ends[0] == "(", ends[1] == ")"),), name)


def pieces(*regions, name=""):
    return Region(tuple(piece for region in regions for piece in region.pieces), name)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # words
        ("\\text{does not exist}", Text("undefined")),
        ("The limit does not exist", Text("undefined")),
        ("DNE", Text("undefined")),
        ("\\text{The value is undefined}", Text("undefined")),
        ("\\text{infinity}", Quantity(oo)),
        ("\\text{Positive infinity}", Quantity(oo)),
        ("\\text{negative infinity}", Quantity(-oo)),
        ("negative infinity", Quantity(-oo)),
        ("Minus Infinity", Quantity(-oo)),
        ("\\text{minus } \\infty", Quantity(-oo)),
        ("positive infinity", Quantity(oo)),
        ("\\text{plus infinity}", Quantity(oo)),
        ("\\text{all real numbers}", Region((Reals,))),
        ("all reals", Region((Reals,))),
        ("\\text{x is any real number}", Region((Reals,))),
        ("\\text{The answer is B}", Text("b")),
        ("\\text{option (C)}", Text("c")),
        ("\\text{twenty-five}", Quantity(sympy.Integer(25))),
        ("five million", Quantity(sympy.Integer(5_000_000))),
        ("Tuesday", Text("tuesday")),
        ("\\text{No Solution}", Text("no solution")),
        ("\\text{it depends, mostly}", Text("it depends mostly")),
        # numbers, and lists of them
        ("-12", Quantity(sympy.Integer(-12))),
        ("1,234", Quantity(sympy.Integer(1234))),
        ("1,234,567.5", Quantity(R(2469135, 2), None, (Fraction(2469135, 2), 1))),
        ("-1,234 \\text{ cm}", Quantity(sympy.Integer(-1234), CM)),
        ("12,345\\%", Quantity(sympy.Integer(12345), PERCENT)),
        ("1,000^\\circ", Quantity(sympy.Integer(1000), DEGREE)),
        ("0.25", Quantity(R(1, 4), None, (Fraction(1, 4), 2))),
        ("1, 23", numbers(1, 23)),
        ("1,2,3", numbers(1, 2, 3)),
        ("1, 2,345", numbers(1, 2345)),
        ("1; 2; 3", numbers(1, 2, 3)),
        ("1, 2; 3, 4", Bag((numbers(1, 2), numbers(3, 4)))),
        ("1 \\text{ and } 2", numbers(1, 2)),
        ("1, 2, \\text{ and } 3", numbers(1, 2, 3)),
        ("1 \\text{ or } 2, \\text{ or } X", numbers(1, 2, X)),
        ("X, \\text{ or } Y", numbers(X, Y)),
        ("5 \\pm 2", Bag(q(sympy.Add(5, 2, evaluate=False), sympy.Add(5, -2, evaluate=False)))),
        ("{ 7 }", Quantity(sympy.Integer(7))),
        # sets
        ("\\{1, 2\\}", numbers(1, 2, braces=True)),
        ("\\{7\\}", numbers(7, braces=True)),
        ("\\{\\}", Bag((), braces=True)),
        ("\\emptyset", Bag((), braces=True)),
        ("\\{(1,2), (3,4)\\}", Bag((Ordered(q(1, 2)), Ordered(q(3, 4))), braces=True)),
        ("\\{\\{1\\}, \\{2\\}\\}", Bag((numbers(1, braces=True), numbers(2, braces=True)), braces=True)),
        ("\\mathbb{R}", Region((Reals,))),
        ("\\{x \\mid x > 2\\}", between(2, oo)),
        ("\\{x : x > 2\\}", between(2, oo)),
        ("\\{x | 1 < x \\le 2\\}", between(1, 2, "(]")),
        ("\\{x \\in \\mathbb{R} \\mid x \\ne 2\\}", pieces(between(-oo, 2), between(2, oo))),
        ("\\{x \\mid x > 1, x < 3\\}", between(1, 3)),
        ("\\{t \\mid t < 1 \\text{ or } t > 3\\}", pieces(between(-oo, 1), between(3, oo))),
        # regions
        ("x \\in (1, 2)", between(1, 2, name="x")),
        ("x \\in [1, 2)", between(1, 2, "[)", name="x")),
        ("x \\notin [1, 2)", pieces(between(-oo, 1), between(2, oo, "[)"), name="x")),
        ("x \\in \\{1, 2\\}", numbers(1, 2, braces=True)),
        ("(a, b) \\in \\{(1, 2)\\}", Bag((Ordered(q(1, 2)),), braces=True)),
        ("(-\\infty, 1) \\cup (2, 3]", pieces(between(-oo, 1), between(2, 3, "(]"))),
        ("[0, 5] \\cap (2, +\\infty)", between(2, 5, "(]")),
        ("[0, 5] \\cap [1, 4] \\cap (2, 9)", between(2, 4, "(]")),
        ("\\mathbb{R} \\setminus \\{1\\}", pieces(between(-oo, 1), between(1, oo))),
        ("\\mathbb{R} \\setminus [0, 1] \\setminus \\{3\\}", pieces(between(-oo, 0), between(1, 3), between(3, oo))),
        ("x < 0 \\cup x > 3", pieces(between(-oo, 0), between(3, oo), name="x")),
        ("x > 0 \\cap x < 3", between(0, 3, name="x")),
        ("x < 0 \\text{ or } x > 3", pieces(between(-oo, 0), between(3, oo), name="x")),
        ("x > 0 \\text{ and } x < 3", between(0, 3, name="x")),
        ("x > 0, x < 3", between(0, 3, name="x")),
        ("x < 0, x > 3", pieces(between(-oo, 0), between(3, oo), name="x")),  # of which no number is both
        ("]1, 3[", between(1, 3)),
        ("]1, 3]", between(1, 3, "(]")),
        ("[1, 3[ \\cup ]4, 5]", pieces(between(1, 3, "[)"), between(4, 5, "(]"))),
        ("[1, \\infty[", between(1, oo, "[)")),
        # tuples
        ("(1, 2)", Ordered(q(1, 2))),
        ("(1; 2)", Ordered(q(1, 2))),
        ("[1, 2, 3]", Ordered(q(1, 2, 3), "[]")),
        ("(1, 2]", Ordered(q(1, 2), "(]")),
        ("\\langle 1, 2 \\rangle", Ordered(q(1, 2))),
        ("<1, 2>", Ordered(q(1, 2))),
        ("(2, 1,000)", Ordered(q(2, 1000))),
        ("(1,200, 2)", Ordered(q(1, 200, 2))),  # which may be three
        ("(0, \\infty)", Ordered(q(0, oo))),
        ("(X, Y)", Ordered(q(X, Y))),
        # relations
        ("x = 3", relation(x, "=", 3)),
        ("x = y = 3", relation(x, "=", y, "=", 3)),
        ("x < y", relation(x, "<", y)),
        ("x \\ge y > 3", relation(x, "\\ge", y, ">", 3)),
        ("f(x) = x", relation("f(x)", "=", x)),
        ("f ( x ) = x", relation("f(x)", "=", x)),
        ("x = f(x)", relation(x, "=", "f(x)")),
        ("y' = x", relation("y'", "=", x)),
        ("\\text{Height} = 3", relation("height", "=", 3)),
        ("x \\approx 3", relation(x, "\\approx", 3)),
        ("x = 1, y = 2", Bag((relation(x, "=", 1), relation(y, "=", 2)))),
        ("x = 1 \\text{ and } y = 2", Bag((relation(x, "=", 1), relation(y, "=", 2)))),
        ("x \\ne 1, 2", pieces(between(-oo, 1), between(1, 2), between(2, oo), name="x")),
        ("x \\ne 1, x \\ne 2", pieces(between(-oo, 1), between(1, 2), between(2, oo), name="x")),
        ("\\begin{cases} x = 1 \\\\ y = 2 \\end{cases}", Bag((relation(x, "=", 1), relation(y, "=", 2)))),
        ("\\begin{align*} x &= 1, \\\\ y &= 2 \\end{align*}", Bag((relation(x, "=", 1), relation(y, "=", 2)))),
        ("\\left\\{\\begin{array}{lr} X = 1 \\\\ Y = 2 \\end{array}\\right.", Bag((relation(X, "=", 1), relation(Y, "=", 2)))),
        # matrices
        ("\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", Grid((q(1, 2), q(3, 4)))),
        ("\\begin{bmatrix} 1 & 2 \\\\[2pt] 3 & 4 \\end{bmatrix}", Grid((q(1, 2), q(3, 4)))),
        ("\\left( \\begin{array}{cc} 1 & X \\\\ 3 & 4 \\\\ \\end{array} \\right)", Grid((q(1, X), q(3, 4)))),
        ("\\begin{smallmatrix} 1 & 2 \\end{smallmatrix}", Grid((q(1, 2),))),
        ("[\\begin{matrix} 1 \\\\ 2 \\end{matrix}]", Grid((q(1), q(2)))),
        # what is special
        ("1011_2", Based("1011", 2)),
        ("1A_{16}", Based("1A", 16)),
        ("(2 f)_{\\text{sixteen}}", Based("2F", 16)),
        ("-12_{(7)}", Based("-12", 7)),
        ("3:05", Clock(3, 5, 0, "")),
        ("3 : 05 : 09", Clock(3, 5, 9, "")),
        ("3:05 \\text{ p.m.}", Clock(3, 5, 0, "p")),
        ("3 \\text{ AM}", Clock(3, 0, 0, "a")),
        ("24:00", Clock(24, 0, 0, "")),
        ("25:00", Ratio(q(25, 0))),
        ("3:60", Ratio(q(3, 60))),
        ("3:5", Ratio(q(3, 5))),
        ("1:2:3", Ratio(q(1, 2, 3))),
        ("x:y", Ratio(q(x, y))),
        ("x \\equiv 3 \\pmod{5}", Residue("x", 3, 5)),
        # sentences
        ("The answer is 5", Quantity(sympy.Integer(5))),
        ("\\text{The sum is } 5", Quantity(sympy.Integer(5))),
        ("\\text{the area is } 5 \\text{ cm}", Quantity(sympy.Integer(5), CM)),
    ],
)
def test_values(text, value):
    assert read(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "1,,2",
        "(1,,2)",
        "(1,)",
        "\\{1,\\}",
        "x \\in",
        "x \\in y \\in z",
        "x + 1 \\in (1, 2)",
        "x \\in 5",
        "x < y \\in (1, 2)",
        "]3, 1[",
        "]1, X[",
        "[0, 1] \\cup 5",
        "[0, 1] \\cup [2, 3] \\cap [4, 5]",
        "\\{x \\mid y > 2\\}",
        "\\{x \\mid 5\\}",
        "(1, 2\\infty)",
        "\\begin{pmatrix} 1 & 2 \\\\ 3 \\end{pmatrix}",
        "\\begin{cases} x & y > 1 \\\\ 2 & y < 1 \\end{cases}",
        "1 \\pm 2 \\pm 3 \\pm 4 \\pm 5 \\pm 6",
        "x = y \\pmod 3 \\pmod 4",
        "5 @ 3",
        "x ? y",
    ],
)
def test_what_is_not_understood_is_not_read_in_part(text):
    with pytest.raises(Unread):
        read(text)


def test_a_matrix_times_a_number():
    half = read("\\frac{1}{2} \\cdot \\begin{pmatrix} 2 & x \\end{pmatrix}")
    assert [[cell.expr.doit() for cell in row] for row in half.rows] == [[1, x / 2]]
    assert [[cell.expr.doit() for cell in row] for row in read("3 \\begin{bmatrix} 2 \\\\ 4 \\end{bmatrix}").rows] == [
        [6],
        [12],
    ]
    with pytest.raises(Unread):
        read("3 \\begin{pmatrix} 2 \\text{ cm} & 4 \\end{pmatrix}")


def test_signs_of_several_values():
    """Each by itself, but those that `\\mp` ties; a plus in front goes."""
    assert [str(v.expr.doit()) for v in read("\\pm 5").items] == ["5", "-5"]
    assert [str(v.expr.doit()) for v in read("\\mp 5").items] == ["-5", "5"]
    assert [[str(v.expr.doit()) for v in pair.items] for pair in read("(\\pm 1, \\mp 2)").items] == [["1", "-2"], ["-1", "2"]]
    assert sorted(int(v.expr.doit()) for v in read("\\pm 8 \\pm 4 \\pm 2 \\pm 1").items) == list(range(-15, 16, 2))
    sides = [relation_.sides for relation_ in read("x = \\pm 3").items]
    assert [(str(left.expr), str(right.expr.doit())) for left, right in sides] == [("x", "3"), ("x", "-3")]


# ---------------------------------------------------------------------- cutting


@pytest.mark.parametrize(
    ("text", "marks", "parts", "found"),
    [
        ("1, 2 ,3", (",",), ["1", "2", "3"], [",", ","]),
        ("(1,2),[3,4],{5,6}", (",",), ["(1,2)", "[3,4]", "{5,6}"], [",", ","]),
        ("\\{1,2\\},3", (",",), ["\\{1,2\\}", "3"], [","]),
        ("a;b,c", (",", ";"), ["a", "b", "c"], [";", ","]),
        ("x \\le y", ("\\le",), ["x", "y"], ["\\le"]),
        ("x \\left y", ("\\le",), ["x \\left y"], []),
        ("", (",",), [""], []),
    ],
)
def test_parts_between_marks(text, marks, parts, found):
    assert split.split(text, marks) == (parts, found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\\text{North East}", "north east"),
        ("\\text{yes}, \\text{it is.}", "yes it is"),
        ("{\\text{a-b}}", "a b"),
        ("\\text{it's}", "it's"),
        ("5 \\text{ cm}", None),
        ("yes", None),
    ],
)
def test_words_alone(text, words):
    assert split.words_of(text) == words


@pytest.mark.parametrize(
    ("words", "letter"),
    [
        ("the answer is b", "b"),
        ("option c", "c"),
        ("choice d", "d"),
        ("b", ""),
        ("the dog b", ""),
        ("the answer is bc", ""),
        ("is 5", ""),
    ],
)
def test_a_letter_at_the_end_of_a_sentence(words, letter):
    assert split.letter_named(words) == letter


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("\\text{The answer is} 5", "5"),
        ("\\text{Answer:} 5", "5"),
        ("\\text{thus, we get} 5", "5"),
        ("\\text{the smallest number is} 5", "5"),
        ("\\text{the smallest} 5", "\\text{the smallest} 5"),
        ("\\text{the sum of} 5", "\\text{the sum of} 5"),
        ("\\text{a total of} 5", "5"),
        ("\\text{the total of} 5", "\\text{the total of} 5"),
        ("5 \\text{ in total}", "5 \\text{ total}"),
        ("5 \\text{ total}", "5"),
        ("5 \\text{ dogs}", "5 \\text{ dogs}"),
        ("x \\text{ is equal to } 5", "x = 5"),
        ("= 5", "5"),
    ],
)
def test_the_sentence_around_a_value_goes(text, left):
    assert " ".join(split.without_filler(text).split()) in (left, left.replace("5 \\text{ total}", "5"))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("x^2 + c, c \\in \\mathbb{R}", "x^2 + c"),
        ("x + C \\text{ for some constant } C", "x + C"),
        ("x + C \\text{ where } C \\text{ is a constant}", "x + C"),
        ("\\pi k, k \\in \\mathbb{Z}", "\\pi k"),
        ("\\pi k \\text{ for any integer } k", "\\pi k"),
        ("\\pi k \\text{ where k is an integer}", "\\pi k \\text{ where k is an integer}"),
        ("\\pi, k \\in \\mathbb{Z}", "\\pi, k \\in \\mathbb{Z}"),
        ("x \\ne \\pi k, k \\in \\mathbb{Z}", "x \\ne \\pi k, k \\in \\mathbb{Z}"),
        ("x \\in \\mathbb{R}, x > 2", "x > 2"),
        ("x \\in \\mathbb{R}", "x \\in \\mathbb{R}"),
    ],
)
def test_a_clause_that_lets_symbols_be_any_number_goes(text, left):
    assert split.without_declaration(text) == left


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("1 \\text{ and } 2", f"1 {AND} 2"),
        ("1 \\text{ OR } 2", f"1 {OR} 2"),
        ("1 and 2", f"1 {AND} 2"),
        ("\\text{3 apples and 4 pears}", f"3 \\text{{ apples }} {AND} 4\\text{{ pears }}"),
        ("\\text{band}", "\\text{ band }"),
        ("3 h 20 min", "3\\text{ h } 20\\text{ min }"),
        ("3 h", "3 h"),
    ],
)
def test_words_between_values_are_marks(text, marked):
    assert "".join(split.with_words(text).split()) == "".join(marked.split())


def test_braces_around_the_whole_go():
    assert [split.unwrapped(text) for text in (" {5} ", "{{5}}", "{5}{6}", "5}")] == ["5", "5", "{5}{6}", "5}"]
    assert reading._infinity("- \\infty") == -oo and reading._infinity("+\\infty") == reading._infinity("\\infty") == oo
