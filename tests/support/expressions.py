"""Expressions of known value as trees: rendered as LaTeX, rewritten with the same value, changed by as little as can be.

Nothing here knows a grader or sympy. A value is an exact Fraction as long as the tree allows one, else a complex number of
`DIGITS` digits by mpmath; a tree with symbols has its values at `POINTS`. `Random` streams come from the caller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Any

import mpmath

DIGITS = 200
SYMBOLS = ("x", "y", "a", "n")
POINTS = tuple(
    {name: Fraction(p, q) for name, p, q in zip(SYMBOLS, ps, qs, strict=True)}
    for ps, qs in (((7, 3, 11, 5), (5, 2, 3, 7)), ((17, 13, 2, 19), (3, 8, 9, 4)), ((1, 23, 5, 29), (6, 7, 4, 3)))
)
"""Positive values: what a symbol under a root stands for. Three points tell polynomials apart that differ at one place."""


@dataclass(frozen=True)
class Node:
    """`op`: int, dec, const, sym (one argument: number or text); add, mul, neg, div, pow, root (radicand, degree); fn (name,
    argument), log (base, argument)."""

    op: str
    args: tuple[Any, ...]

    def __iter__(self) -> Iterator[Node]:
        return (a for a in self.args if isinstance(a, Node))


def num(n: int) -> Node:
    return Node("int", (n,)) if n >= 0 else Node("neg", (Node("int", (-n,)),))


def dec(text: str) -> Node:
    return Node("dec", (text,))


def add(*terms: Node) -> Node:
    return terms[0] if len(terms) == 1 else Node("add", terms)


def mul(*factors: Node) -> Node:
    return factors[0] if len(factors) == 1 else Node("mul", factors)


def neg(a: Node) -> Node:
    return a.args[0] if a.op == "neg" else Node("neg", (a,))


def div(a: Node, b: Node) -> Node:
    return Node("div", (a, b))


def power(a: Node, b: Node) -> Node:
    return Node("pow", (a, b))


def root(a: Node, n: int = 2) -> Node:
    return Node("root", (a, n))


def fn(name: str, a: Node) -> Node:
    return Node("fn", (name, a))


def log(base: Node, a: Node) -> Node:
    return Node("log", (base, a))


PI, E, IMAGINARY = (Node("const", (c,)) for c in ("pi", "e", "i"))


def sym(name: str) -> Node:
    return Node("sym", (name,))


def rational(q: Fraction) -> Node:
    if q.denominator == 1:
        return num(q.numerator)
    found = div(num(abs(q.numerator)), num(q.denominator))
    return neg(found) if q < 0 else found


# ------------------------------------------------------------------ values


class NoValue(Exception):
    """A division by zero, or a power that is too large to write down."""


def value(tree: Node, at: dict[str, Fraction]) -> Any:
    """Fraction or mpc. Raises NoValue."""
    try:
        return _value(tree, at)
    except (ZeroDivisionError, OverflowError, ValueError) as e:
        raise NoValue from e


def _mp(x: Any) -> Any:
    return mpmath.mpf(x.numerator) / x.denominator if isinstance(x, Fraction) else x


def _both(a: Any, b: Any) -> tuple[Any, Any]:
    return (a, b) if isinstance(a, Fraction) and isinstance(b, Fraction) else (_mp(a), _mp(b))


def _value(tree: Node, at: dict[str, Fraction]) -> Any:
    op, args = tree.op, tree.args
    if op in ("int", "dec"):
        return Fraction(args[0])
    if op == "sym":
        return at[args[0]]
    if op == "const":
        return {"pi": mpmath.mpf(mpmath.pi), "e": mpmath.mpf(mpmath.e), "i": mpmath.mpc(0, 1)}[args[0]]
    if op == "root":
        a = _value(args[0], at)
        exact = _exact_root(a, args[1]) if isinstance(a, Fraction) else None
        return exact if exact is not None else mpmath.root(_mp(a), args[1])
    if op == "fn":
        return _function(args[0], _value(args[1], at))
    values = [_value(a, at) for a in tree]
    if op == "neg":
        return -values[0]
    if op == "add":
        total: Any = Fraction(0)
        for v in values:
            a, b = _both(total, v)
            total = a + b
        return total
    if op == "mul":
        product: Any = Fraction(1)
        for v in values:
            a, b = _both(product, v)
            product = a * b
        return product
    a, b = values
    if op == "div":
        a, b = _both(a, b)
        return a / b
    if op == "log":
        return mpmath.log(_mp(b)) / mpmath.log(_mp(a))
    assert op == "pow", op
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        if b.denominator == 1:
            if abs(b) > 5000:
                raise NoValue
            return a ** int(b)
        exact = _exact_root(a, b.denominator)
        if exact is not None:
            return exact**b.numerator
    return mpmath.power(_mp(a), _mp(b))


def _exact_root(a: Fraction, n: int) -> Fraction | None:
    """The non-negative n-th root where it is rational."""
    if a < 0:
        return None

    def whole(k: int) -> int | None:
        low, high = 0, 1 << (k.bit_length() // n + 1)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if middle**n <= k else (low, middle - 1)
        return low if low**n == k else None

    p, q = whole(a.numerator), whole(a.denominator)
    return None if p is None or q is None else Fraction(p, q)


def _function(name: str, a: Any) -> Any:
    if name == "factorial":
        if not (isinstance(a, Fraction) and a.denominator == 1 and 0 <= a <= 60):
            raise NoValue
        return Fraction(math.factorial(int(a)))
    if name == "abs":
        return abs(a) if isinstance(a, Fraction) else mpmath.fabs(a)
    found = {"sin": mpmath.sin, "cos": mpmath.cos, "tan": mpmath.tan, "arctan": mpmath.atan, "arcsin": mpmath.asin}.get(name)
    if name == "tan" and mpmath.fabs(mpmath.cos(_mp(a))) < mpmath.mpf(10) ** -50:
        raise NoValue
    if name in ("ln", "lg"):
        if _mp(a) == 0:
            raise NoValue
        return mpmath.log(_mp(a)) / (mpmath.log(10) if name == "lg" else 1)
    assert found is not None, name
    return found(_mp(a))


def values(tree: Node) -> list[Any]:
    """At every point; one value where there are no symbols."""
    with mpmath.workdps(DIGITS + 700 if _exponent(tree) > 150 else DIGITS):
        return [value(tree, at) for at in (POINTS if symbols(tree) else POINTS[:1])]


def _exponent(tree: Node) -> int:
    own = abs(tree.args[1].args[0]) if tree.op == "pow" and tree.args[1].op == "int" else 0
    return max([own, *(_exponent(a) for a in tree)])


def symbols(tree: Node) -> set[str]:
    return {tree.args[0]} if tree.op == "sym" else set().union(*(symbols(a) for a in tree))


def same(one: Node, other: Node) -> bool:
    """Equal at every point, exactly or to all but the last 50 digits."""
    return all(equal(a, b) for a, b in zip(*_at_points(one, other), strict=True))


def _at_points(one: Node, other: Node) -> tuple[list[Any], list[Any]]:
    points = POINTS if symbols(one) | symbols(other) else POINTS[:1]
    with mpmath.workdps(DIGITS + 700 if max(_exponent(one), _exponent(other)) > 150 else DIGITS):
        return [value(one, at) for at in points], [value(other, at) for at in points]


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a == b
    with mpmath.workdps(DIGITS + 700):
        a, b = _mp(a), _mp(b)
        return bool(mpmath.fabs(a - b) <= mpmath.mpf(10) ** (50 - DIGITS) * max(1, mpmath.fabs(a), mpmath.fabs(b)))


def distance(one: Node, other: Node) -> float:
    """The largest relative difference over the points; infinite where one has no value there."""
    try:
        pairs = list(zip(*_at_points(one, other), strict=True))
    except NoValue:
        return math.inf
    worst = 0.0
    for a, b in pairs:
        a, b = _mp(a), _mp(b)
        size = max(mpmath.fabs(a), mpmath.fabs(b))
        worst = max(worst, float(mpmath.fabs(a - b) / size) if size else 0.0)
    return worst


def has_decimal(tree: Node) -> bool:
    return tree.op == "dec" or any(has_decimal(a) for a in tree)


# ------------------------------------------------------------------ LaTeX

PLAIN: dict[str, str] = {}
"""The style of a gold answer: every choice at its first value."""
CHOICES = {
    "frac": ("\\frac", "\\dfrac", "\\tfrac", "short", "slash"),
    "times": (" \\cdot ", " \\times ", "\\cdot "),
    "paren": ("(|)", "\\left(|\\right)", "\\bigl(|\\bigr)"),
    "space": ("", " ", "\\,", "\\;"),
    "root": ("\\sqrt", "short", "unicode"),
    "exponent": ("{}", "bare", "unicode"),
    "pi": ("\\pi", "{\\pi}", "\u03c0"),
    "i": ("i", "\\mathrm{i}"),
    "minus": ("-", "\u2212"),
    "decimal": ("0.", "."),
}
_SUPER = str.maketrans("0123456789", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")


def style(rng: Random) -> dict[str, str]:
    """Every choice at random, the plain one as likely as all others together."""
    return {k: (rng.choice(v[1:]) if rng.random() < 0.5 else v[0]) for k, v in CHOICES.items()}


def render(tree: Node, look: dict[str, str] = PLAIN) -> str:
    return _Writer({k: look.get(k, v[0]) for k, v in CHOICES.items()}).write(tree)


_LEVEL = {"add": 1, "neg": 1, "mul": 2, "fn": 2, "log": 2, "div": 3, "pow": 4, "root": 5}


class _Writer:
    def __init__(self, look: dict[str, str]) -> None:
        self.look = look

    def write(self, tree: Node) -> str:
        return str(getattr(self, f"_{tree.op}")(*tree.args))

    def at(self, tree: Node, level: int) -> str:
        """In parentheses where the tree binds less than `level`."""
        text = self.write(tree)
        slashed = tree.op == "div" and self.slashed(*tree.args)
        own = 2 if slashed else 4 if tree.op == "fn" and tree.args[0] == "abs" else _LEVEL.get(tree.op, 5)
        if own < level or (level == 5 and tree.op in ("div", "fn", "log")):
            left, right = self.look["paren"].split("|")
            return f"{left}{text}{right}"
        return text

    def slashed(self, a: Node, b: Node) -> bool:
        return self.look["frac"] == "slash" and a.op == b.op == "int"

    def _int(self, n: int) -> str:
        return str(n)

    def _dec(self, text: str) -> str:
        return text.replace("0.", ".", 1) if self.look["decimal"] == "." and text.startswith("0.") else text

    def _const(self, name: str) -> str:
        return {"pi": self.look["pi"], "e": "e", "i": self.look["i"]}[name]

    def _sym(self, name: str) -> str:
        return name

    def _neg(self, a: Node) -> str:
        return self.look["minus"] + self.at(a, 2)

    def _add(self, *terms: Node) -> str:
        space = self.look["space"]
        text = self.write(terms[0])
        for term in terms[1:]:
            sign, inner = (self.look["minus"], term.args[0]) if term.op == "neg" else ("+", term)
            text += f"{space}{sign}{space}{self.at(inner, 2)}"
        return text

    def _mul(self, *factors: Node) -> str:
        text = ""
        for i, factor in enumerate(factors):
            last = i == len(factors) - 1
            own = self.at(factor, 3 if not last or factor.op not in ("fn", "log") else 2)
            if not i:
                text = own
                continue
            before = factors[i - 1]
            # two numbers side by side are one, and a number before a fraction is a mixed number
            named = factor.op == "fn" and factor.args[0] not in ("factorial", "abs")
            letter = factor.op == "pow" and factor.args[0].op in ("sym", "const")
            plain = named or letter or factor.op in ("sym", "const", "root", "log")
            after = before.op in ("int", "dec", "sym", "const", "pow", "div") and not (
                before.op == "div" and self.slashed(*before.args)
            )
            bracketed = own[0] in "(\\" and factor.op in ("add",)
            tight = before.op in ("int", "dec", "sym", "add", "const") and bracketed or (plain and after)
            if before.op == "pow" and self.look["exponent"] == "bare" and own[0].isalnum():
                text += " "
            if tight:
                letters = text[-1].isalpha() and "\\" in text[-6:]  # after a command its name must end
                text += (" " if letters or (text[-1].isalpha() and own[0].isalpha()) else "") + own
            else:
                text += self.look["times"] + own
        return text

    def _div(self, a: Node, b: Node) -> str:
        kind = self.look["frac"]
        if self.slashed(a, b):
            return f"{self.write(a)}/{self.write(b)}"
        top, bottom = self.write(a), self.write(b)
        if kind == "short" and len(top) == len(bottom) == 1 and (top + bottom).isdigit():
            return f"\\frac{top}{bottom}"
        return f"{kind if kind[0] == chr(92) else chr(92) + 'frac'}{{{top}}}{{{bottom}}}"

    def _pow(self, a: Node, b: Node) -> str:
        base, exponent = self.at(a, 5), self.write(b)
        if a.op == "fn" or a.op == "root":
            base = base if base.startswith(("(", "\\left(", "\\bigl(")) else f"({base})"
        kind = self.look["exponent"]
        if kind == "unicode" and b.op == "int" and len(exponent) == 1:
            return base + exponent.translate(_SUPER)
        if kind == "bare" and len(exponent) == 1:
            return f"{base}^{exponent}"
        return f"{base}^{{{exponent}}}"

    def _root(self, a: Node, n: int) -> str:
        inner = self.write(a)
        if n != 2:
            return f"\\sqrt[{n}]{{{inner}}}"
        if self.look["root"] == "unicode" and a.op == "int":
            return f"\u221a{inner}" if len(inner) == 1 else f"\u221a({inner})"
        if self.look["root"] == "short" and len(inner) == 1:
            return f"\\sqrt{inner}" if inner.isdigit() else f"\\sqrt {inner}"
        return f"\\sqrt{{{inner}}}"

    def _fn(self, name: str, a: Node) -> str:
        if name == "abs":
            return f"|{self.write(a)}|"
        if name == "factorial":
            return f"{self.at(a, 5)}!"
        inner = self.write(a)
        simple = a.op in ("int", "sym", "div", "const")
        return f"\\{name} {inner}" if simple and "/" not in inner and a.op != "div" else f"\\{name}\\left({inner}\\right)"

    def _log(self, base: Node, a: Node) -> str:
        inner = self.write(a)
        return f"\\log_{{{self.write(base)}}} {inner}" if a.op in ("int", "sym") else f"\\log_{{{self.write(base)}}}({inner})"


# ------------------------------------------------------------------ rewriting one node

Rule = Callable[[Node, Random], Node | None]


def _integer(tree: Node) -> int | None:
    """The integer that a node writes, minus included."""
    if tree.op == "int":
        return int(tree.args[0])
    return -int(tree.args[0].args[0]) if tree.op == "neg" and tree.args[0].op == "int" else None


def commute(tree: Node, rng: Random) -> Node | None:
    if tree.op not in ("add", "mul"):
        return None
    args = list(tree.args)
    rng.shuffle(args)
    return Node(tree.op, tuple(args)) if tuple(args) != tree.args else None


def expand_fraction(tree: Node, rng: Random) -> Node | None:
    """p/q as kp/kq."""
    if tree.op != "div" or None in (p := [_integer(a) for a in tree.args]):
        return None
    k = rng.randint(2, 9)
    return div(num(k * p[0]), num(k * p[1]))  # type: ignore[operator]


def decimal(tree: Node, rng: Random) -> Node | None:
    """A fraction whose decimals end, within six of them."""
    if tree.op != "div" or None in (p := [_integer(a) for a in tree.args]):
        return None
    q = Fraction(p[0], p[1])  # type: ignore[arg-type]
    digits = next((n for n in range(1, 7) if (q * 10**n).denominator == 1), None)
    return (
        None
        if digits is None or q < 0
        else dec(f"{int(q * 10**digits) // 10**digits}.{int(q * 10**digits) % 10**digits:0{digits}d}")
    )


def minus_inside(tree: Node, rng: Random) -> Node | None:
    """-(a/b) as (-a)/b, or a/(-b)."""
    if tree.op != "neg" or tree.args[0].op != "div":
        return None
    a, b = tree.args[0].args
    return div(neg(a), b) if rng.random() < 0.8 else div(a, neg(b))


def split_fraction(tree: Node, rng: Random) -> Node | None:
    """(a+b)/c as a/c + b/c."""
    if tree.op != "div" or tree.args[0].op != "add":
        return None
    b = tree.args[1]
    return add(*(neg(div(t.args[0], b)) if t.op == "neg" else div(t, b) for t in tree.args[0].args))


def distribute(tree: Node, rng: Random) -> Node | None:
    if tree.op != "mul" or len(tree.args) != 2 or tree.args[1].op != "add":
        return None
    k, terms = tree.args
    return add(*(neg(mul(k, t.args[0])) if t.op == "neg" else mul(k, t) for t in terms.args))


def into_root(tree: Node, rng: Random) -> Node | None:
    """k sqrt(n) as sqrt(k^2 n)."""
    if tree.op != "mul" or len(tree.args) != 2:
        return None
    k, r = tree.args
    if k.op != "int" or r.op != "root" or r.args[0].op != "int" or r.args[1] != 2:
        return None
    return root(num(k.args[0] ** 2 * r.args[0].args[0]))


def out_of_root(tree: Node, rng: Random) -> Node | None:
    """sqrt(n) as sqrt(k^2 n)/k, or as n/sqrt(n)."""
    if tree.op != "root" or tree.args[0].op != "int" or tree.args[1] != 2:
        return None
    n, k = tree.args[0].args[0], rng.randint(2, 5)
    return div(root(num(k * k * n)), num(k)) if rng.random() < 0.6 else div(num(n), root(num(n)))


def rationalise(tree: Node, rng: Random) -> Node | None:
    """1/sqrt(n) as sqrt(n)/n."""
    if tree.op != "div" or tree.args[1].op != "root" or tree.args[1].args[1] != 2:
        return None
    a, r = tree.args
    return div(mul(a, r) if a != num(1) else r, r.args[0])


def as_power(tree: Node, rng: Random) -> Node | None:
    """A root as a power, with a fraction or a decimal for exponent."""
    if tree.op != "root":
        return None
    a, n = tree.args
    return power(a, dec("0.5") if n == 2 and rng.random() < 0.3 else div(num(1), num(n)))


def negative_power(tree: Node, rng: Random) -> Node | None:
    """1/a^n as a^-n and back."""
    if tree.op == "div" and tree.args[0] == num(1) and tree.args[1].op in ("int", "sym"):
        return power(tree.args[1], num(-1))
    if tree.op == "div" and tree.args[0] == num(1) and tree.args[1].op == "pow" and tree.args[1].args[1].op == "int":
        return power(tree.args[1].args[0], neg(tree.args[1].args[1]))
    if tree.op == "pow" and tree.args[1].op == "neg":
        return div(num(1), power(tree.args[0], tree.args[1].args[0]))
    return None


def double_negative(tree: Node, rng: Random) -> Node | None:
    """a - b as -(b - a)."""
    if tree.op != "add" or len(tree.args) != 2:
        return None
    a, b = tree.args
    return neg(add(neg(b), neg(a))) if neg(b).op != "neg" else None


def log_rules(tree: Node, rng: Random) -> Node | None:
    """log of an integer as a quotient, or as a sum of logarithms of its factors."""
    if tree.op == "log":
        base, a = tree.args
        return div(fn("ln", a), fn("ln", base))
    if tree.op == "fn" and tree.args[0] in ("ln", "lg") and tree.args[1].op == "int":
        n = tree.args[1].args[0]
        factors = [d for d in range(2, n) if n % d == 0]
        if factors:
            d = rng.choice(factors)
            return add(fn(tree.args[0], num(d)), fn(tree.args[0], num(n // d)))
    return None


def fold_log(tree: Node, rng: Random) -> Node | None:
    """k ln a as ln(a^k)."""
    if tree.op != "mul" or len(tree.args) != 2 or tree.args[0].op != "int":
        return None
    k, f = tree.args
    return fn("ln", power(f.args[1], k)) if f.op == "fn" and f.args[0] == "ln" else None


def reflect(tree: Node, rng: Random) -> Node | None:
    """sin(p pi/q) as cos of the complement, and back."""
    if tree.op != "fn" or tree.args[0] not in ("sin", "cos"):
        return None
    a = tree.args[1]
    if a.op != "div" or a.args[1].op != "int":
        return None
    p = 1 if a.args[0] == PI else a.args[0].args[0].args[0] if a.args[0].op == "mul" else None
    if p is None:
        return None
    left = Fraction(1, 2) - Fraction(p, a.args[1].args[0])
    if left == 0:
        return None
    top = PI if abs(left.numerator) == 1 else mul(num(abs(left.numerator)), PI)
    angle = div(top, num(left.denominator)) if left.denominator != 1 else top
    return fn({"sin": "cos", "cos": "sin"}[tree.args[0]], neg(angle) if left < 0 else angle)


def square_out(tree: Node, rng: Random) -> Node | None:
    """(a+b)^2 as a product or multiplied out; x^n as x times x^(n-1)."""
    if tree.op != "pow" or tree.args[1].op != "int" or not 2 <= tree.args[1].args[0] <= 12:
        return None
    a, n = tree.args[0], tree.args[1].args[0]
    if a.op == "add" and n == 2 and len(a.args) == 2 and rng.random() < 0.7:
        p, q = a.args
        return add(power(p, num(2)), mul(num(2), p, q), power(q, num(2))) if q.op != "neg" else mul(a, a)
    if a.op in ("add", "sym", "int"):
        return mul(a, power(a, num(n - 1)) if n > 2 else a)
    return None


def evaluate(tree: Node, rng: Random) -> Node | None:
    """A power of small integers as an integer."""
    if tree.op == "pow" and tree.args[0].op == tree.args[1].op == "int" and tree.args[1].args[0] <= 12:
        return num(tree.args[0].args[0] ** tree.args[1].args[0])
    if tree.op == "fn" and tree.args[0] == "factorial":
        return num(math.factorial(tree.args[1].args[0]))
    return None


def unevaluated(tree: Node, rng: Random) -> Node | None:
    """An integer as a sum."""
    if tree.op != "int" or not 4 <= tree.args[0] < 10_000:
        return None
    k = rng.randint(1, tree.args[0] - 1)
    return add(num(tree.args[0] - k), num(k))


def radicals(tree: Node, rng: Random) -> Node | None:
    """sqrt(a/b) as sqrt(a)/sqrt(b) and back, for positive a and b."""
    if tree.op == "root" and tree.args[0].op == "div":
        a, b = tree.args[0].args
        top = num(1) if a == num(1) else root(a, tree.args[1])
        return div(top, root(b, tree.args[1]))
    if tree.op == "div" and tree.args[1].op == "root":
        a, b = tree.args
        return (
            root(div(power(a, num(b.args[1])) if a != num(1) else a, b.args[0]), b.args[1]) if a.op in ("int", "sym") else None
        )
    return None


def euler(tree: Node, rng: Random) -> Node | None:
    """e^(i a) as cos a + i sin a."""
    if tree.op != "pow" or tree.args[0] != E:
        return None
    a = _without_i(tree.args[1])
    return None if a is None else add(fn("cos", a), mul(IMAGINARY, fn("sin", a)))


def _without_i(tree: Node) -> Node | None:
    if tree.op == "div" and tree.args[0].op == "mul" and IMAGINARY in tree.args[0].args:
        rest = [a for a in tree.args[0].args if a != IMAGINARY]
        return div(mul(*rest), tree.args[1]) if rest else None
    return None


SAME_RULES: dict[str, Rule] = {
    f.__name__: f
    for f in (
        commute,
        expand_fraction,
        decimal,
        minus_inside,
        split_fraction,
        distribute,
        into_root,
        out_of_root,
        rationalise,
        as_power,
        negative_power,
        double_negative,
        log_rules,
        fold_log,
        reflect,
        square_out,
        evaluate,
        radicals,
        euler,
    )
}


# ------------------------------------------------------------------ changing one node


def digit(tree: Node, rng: Random) -> Node | None:
    """One digit is another one, comes in, goes, or changes places."""
    if tree.op not in ("int", "dec"):
        return None
    text = str(tree.args[0])
    places = [i for i, c in enumerate(text) if c.isdigit()]
    i = rng.choice(places)
    way = rng.randrange(4)
    if way == 0:
        text = text[:i] + rng.choice([d for d in "123456789" if d != text[i]]) + text[i + 1 :]
    elif way == 1 and tree.op == "int":
        text = text[:i] + rng.choice("0123456789") + text[i:]
    elif way == 2 and len(places) > 1 and tree.op == "int":
        text = text[:i] + text[i + 1 :]
    elif way == 3 and len(places) > 1:
        text = text[:-1] + str((int(text[-1]) + rng.choice((1, 9))) % 10)
    else:
        return Node("int", (tree.args[0] + 1,)) if tree.op == "int" else None
    if tree.op == "int":
        text = text.lstrip("0") or "0"
        return Node("int", (int(text),))
    return Node("dec", (text,))


def sign(tree: Node, rng: Random) -> Node | None:
    """A minus goes or comes."""
    if tree.op == "neg":
        return tree.args[0]  # type: ignore[no-any-return]
    if tree.op == "add":
        i = rng.randrange(len(tree.args))
        return Node("add", tuple(neg(a) if i == j else a for j, a in enumerate(tree.args)))
    return neg(tree) if tree.op in ("int", "root", "div", "pow", "sym", "mul") else None


def drop(tree: Node, rng: Random) -> Node | None:
    """A term or a factor goes."""
    if tree.op not in ("add", "mul"):
        return None
    args = list(tree.args)
    del args[rng.randrange(len(args))]
    return Node(tree.op, tuple(args)) if len(args) > 1 else args[0]


def exponent(tree: Node, rng: Random) -> Node | None:
    """An exponent or the degree of a root is one more or less; a root goes."""
    if tree.op == "pow":
        n = _integer(tree.args[1])
        return None if n is None else power(tree.args[0], num(n + rng.choice((1, -1))))
    if tree.op == "root":
        return root(tree.args[0], tree.args[1] + 1) if rng.random() < 0.6 else tree.args[0]
    return None


def another(tree: Node, rng: Random) -> Node | None:
    """Another function, constant or symbol; a fraction upside down."""
    if tree.op == "fn" and tree.args[0] in ("sin", "cos", "tan", "ln", "lg"):
        others = [f for f in (("ln", "lg") if tree.args[0] in ("ln", "lg") else ("sin", "cos", "tan")) if f != tree.args[0]]
        return fn(rng.choice(others), tree.args[1])
    if tree.op == "log":
        return log(tree.args[1], tree.args[0])
    if tree.op == "const":
        return {"pi": E, "e": PI, "i": num(1)}[tree.args[0]]
    if tree.op == "sym":
        return sym(rng.choice([s for s in SYMBOLS if s != tree.args[0]]))
    if tree.op == "div":
        return div(tree.args[1], tree.args[0])
    return None


CHANGES: dict[str, Rule] = {f.__name__: f for f in (digit, sign, drop, exponent, another)}


# ------------------------------------------------------------------ somewhere in a tree


def places(tree: Node, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Node]]:
    yield path, tree
    for i, a in enumerate(tree.args):
        if isinstance(a, Node):
            yield from places(a, (*path, i))


def put(tree: Node, path: tuple[int, ...], new: Node) -> Node:
    if not path:
        return new
    args = list(tree.args)
    args[path[0]] = put(args[path[0]], path[1:], new)
    return Node(tree.op, tuple(args))


def apply(rules: dict[str, Rule], tree: Node, rng: Random) -> tuple[str, Node] | None:
    """One rule at one place, both at random; None where the draw does not fit."""
    name = rng.choice(list(rules))
    at = list(places(tree))
    rng.shuffle(at)
    for path, node in at:
        new = rules[name](node, rng)
        if new is not None:
            return name, put(tree, path, new)
    return None


def rewritten(tree: Node, rng: Random) -> tuple[str, Node] | None:
    """A tree of the same value by one or two rules, or as it is. Raises AssertionError for a rule that moves the value."""
    found, names = tree, []
    for _ in range(rng.choice((0, 1, 1, 2))):
        step = apply(SAME_RULES, found, rng)
        if step:
            names.append(step[0])
            found = step[1]
    assert same(tree, found), (names, render(tree), render(found))
    return "+".join(names) or "layout", found


SEEN_APART = 1e-3
"""Where a decimal point stands on either side, a change is one that no rounding explains: relative difference."""


def changed(tree: Node, rng: Random) -> tuple[str, Node] | None:
    """A tree of another value by one rule; None where the draw does not fit or has the same value after all."""
    step = apply(CHANGES, tree, rng)
    if step is None:
        return None
    try:
        differ = not same(tree, step[1])
    except NoValue:
        return None
    if not differ or ((has_decimal(tree) or has_decimal(step[1])) and distance(tree, step[1]) < SEEN_APART):
        return None
    return step
