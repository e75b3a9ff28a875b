"""Pairs of a completion and a gold answer whose verdict is known by construction, from a seed: 12 rewritings of a gold answer
that keep its value, and 12 that change it by as little as they can.

The truth comes from how a pair is made, checked against exact fractions, 200 digits or membership of sets point by point
(tests/support/expressions.py); no grader and no computer algebra is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from random import Random

from support import expressions as ex
from support.expressions import IMAGINARY, PI, E, Node, add, dec, div, fn, log, mul, neg, num, power, render, root, sym

WAYS = 12
"""Rewritings of each sort for every gold answer."""
MOST_REJECTED = 0.02
"""Share of right answers that the grader may reject; of wrong ones it may accept none."""


@dataclass(frozen=True)
class Pair:
    """`way` says how the completion's answer came from the gold one; `right` whether it must be accepted."""

    kind: str
    way: str
    completion: str
    gold: str
    right: bool


Way = Callable[[], tuple[str, str] | None]
"""A name and an answer; None where the draw gives none."""


@dataclass(frozen=True)
class Case:
    """A gold answer, and endless draws of answers that are equal to it, and of answers that are not."""

    gold: str
    same: Way
    other: Way


def pairs(seed: int, cases: int, kinds: list[str] | None = None) -> Iterator[Pair]:
    """2 * WAYS pairs of each of `cases` gold answers of every kind, distinct within a gold answer.

    Raises ValueError where a kind has not as many distinct rewritings.
    """
    for kind in kinds or list(KINDS):
        rng = Random(f"{seed}/{kind}")
        for _ in range(cases):
            case = KINDS[kind](rng)
            seen: set[str] = set()
            for right, way in ((True, case.same), (False, case.other)):
                yield from _drawn(kind, case.gold, right, way, rng, seen)


def _drawn(kind: str, gold: str, right: bool, way: Way, rng: Random, seen: set[str]) -> Iterator[Pair]:
    found = 0
    for _ in range(2000):
        drawn = way()
        if drawn is None or drawn[1] in seen:
            continue
        seen.add(drawn[1])
        whole = drawn[0] == "several boxes"
        yield Pair(kind, drawn[0], drawn[1] if whole else completion(drawn[1], rng), gold, right)
        found += 1
        if found == WAYS:
            return
    raise ValueError(f"{kind}: {found} ways for {gold!r}, right: {right}")


def completion(answer: str, rng: Random) -> str:
    return rng.choice(SENTENCES).replace("@", answer)


SENTENCES = (
    "\\boxed{@}",
    "So the answer is $\\boxed{@}$.",
    "We get \\[\\boxed{@}.\\]",
    "**Answer:** \\( \\boxed{@} \\)",
)


# ------------------------------------------------------------------ layout: what changes no meaning

LAYOUTS = (
    "\\textcolor{blue}{@}",
    "\\color{red}{@}",
    "{\\bf @}",
    "\\mathbf{@}",
    "\\boldsymbol{@}",
    "\\bm{@}",
    "\\large @",
    "\\displaystyle @",
    "\\displaystyle{@}",
    "~@",
    "\\,@",
    "@\\;",
    "\\quad @",
    "@~",
    "\\ @\\ ",
    " @ ",
    "{@}",
    "\\!@",
    "@.",
    "$@$",
    "\\(@\\)",
    "\\left. @ \\right.",
    "\\mathrm{@}",
    "\\boxed{@}",
    "\\fbox{$@$}",
)


def laid_out(text: str, rng: Random) -> tuple[str, str]:
    layout = rng.choice(LAYOUTS)
    if "mathrm" in layout and any(c.isalpha() for c in text):  # letters set upright may be units
        layout = "{@}"
    return layout, layout.replace("@", text)


def perhaps(text: str, rng: Random, share: float = 0.25) -> str:
    return laid_out(text, rng)[1] if rng.random() < share else text


# ------------------------------------------------------------------ leftovers: what says something else

LEFTOVERS = (
    "@ \\text{ or } #",
    "# \\text{ or } @",
    "@ \\lor #",
    "@ \\approx #",
    "# \\approx @",
    "@ = #",
    "# = @",
    "x = # = @",
    "@ \\neq #",
    "@ \\to #",
    "@, #",
    "@; #",
    "#, @",
    "@ \\text{ and } #",
    "@ \\pmod{7}",
    "@ \\bmod 7",
    "@ \\mod 7",
    "@ \\pm 1",
    "@ \\text{ if } x > 0",
    "@ \\text{ if } x>0, # \\text{ otherwise}",
    "@ \\text{ or so}",
    "@ \\text{ million}",
    "@ \\text{ thousand}",
    "@ \\text{ dozen}",
    "\\text{not } @",
    "\\text{more than } @",
    "\\text{at least } @",
    "\\text{about } #",
    "> @",
    "\\geq @",
    "\\neq @",
    "< @",
    "x > @",
    "x \\neq @",
    "[@, #]",
    "(@, #)",
    "@ : #",
    "@ + C",
    "@ + k",
    "@ x_0",
    "@ \\max A",
    "@ + \\varepsilon",
    "@ \\cdots #",
    "\\text{either } @ \\text{ or } #",
    "@ \\text{ (or } # \\text{)}",
    "@ \\text{ hence } #",
    "@ \\text{ but maybe } #",
    "@ \\ldots #",
    "@ \\Rightarrow #",
)
"""`@` is the gold answer and `#` another value."""
TAILS = ("@_7", "@_{3}", "@'", "@''", "@^{\\prime}")
"""After a number alone."""


def left_over(text: str, other: str, rng: Random, plain: bool) -> tuple[str, str]:
    way = rng.choice(LEFTOVERS + TAILS if plain else LEFTOVERS)
    return way, way.replace("@", text).replace("#", other)


# ------------------------------------------------------------------ a tree as a case


def of_tree(tree: Node, rng: Random, spellings: Way | None = None, unlike: Way | None = None, gold: str | None = None) -> Case:
    """Rewritings of the tree in a style at random; `spellings` and `unlike` are a kind's own ways, for a third of the draws."""
    text = gold or render(tree)
    number = tree.op in ("int", "dec") or (tree.op == "neg" and tree.args[0].op in ("int", "dec"))
    closed = not ex.symbols(tree)

    def same() -> tuple[str, str] | None:
        if spellings and rng.random() < 0.4:
            return spellings()
        draw = rng.random()
        if draw < 0.2:
            return laid_out(text, rng)
        if draw < 0.26 and closed:
            heads = ("x = @", "\\text{The answer is } @", "\\text{answer} = @")
            return (head := rng.choice(heads)), head.replace("@", text)
        way, found = ex.rewritten(tree, rng)
        return way, perhaps(render(found, ex.style(rng)), rng, 0.15)

    def other() -> tuple[str, str] | None:
        if unlike and rng.random() < 0.3:
            return unlike()
        step = ex.changed(tree, rng)
        if step is None:
            return None
        if rng.random() < 0.4:
            way, said = left_over(text, render(step[1]), rng, number)
            # that a value is about one that rounds to it is true, and no second answer
            return None if "\\approx" in way and ex.distance(tree, step[1]) < 0.1 else (way, said)
        return step[0], perhaps(render(step[1], ex.style(rng) if rng.random() < 0.5 else ex.PLAIN), rng, 0.1)

    return Case(text, same, other)


def _signed(rng: Random, tree: Node, share: float = 0.25) -> Node:
    return neg(tree) if rng.random() < share else tree


def _nonsquare(rng: Random, high: int = 40) -> int:
    return rng.choice([n for n in range(2, high) if all(n % (d * d) for d in range(2, 7))])


def _fraction(rng: Random, high: int = 60) -> Fraction:
    while True:
        q = Fraction(rng.randint(1, high), rng.randint(2, high))
        if q.denominator > 1:
            return q


def grouped(n: int, mark: str) -> str:
    return f"{n:,}".replace(",", mark)


def integer(rng: Random) -> Case:
    n = rng.randint(2, 999) if rng.random() < 0.4 else rng.randint(1_000, 99_999_999)
    negative = rng.random() < 0.25
    minus = "-" if negative else ""

    def spelt() -> tuple[str, str] | None:
        if n >= 1000 and rng.random() < 0.6:
            mark = rng.choice((",", "{,}", "\\,", "\\ ", "~", "{\\,}", ",\\!", " ", "\\;", "\u2009", "\\:"))
            return f"thousands {mark!r}", minus + grouped(n, mark)
        return rng.choice(
            (
                ("minus", f"\u2212{n}") if negative else ("plus", f"+{n}"),
                ("dash", f"\u2013{n}") if negative else ("zeros", f"{n}.0"),
                ("fraction", f"{minus}\\frac{{{2 * n}}}{{2}}"),
                ("full stop", f"{minus}{n}."),
                ("text", f"\\text{{{minus}{n}}}"),
                ("sentence", f"\\text{{The answer is {minus}{n}}}"),
                ("sentence", f"\\text{{The final answer is }} {minus}{n}."),
                ("sum", f"{minus}{n + 3}-3") if not negative else ("sum", f"-{n + 3}+3"),
                ("power", f"{minus}10^{{0}}\\cdot {n}"),
            )
        )

    return of_tree(num(-n if negative else n), rng, spelt)


def fraction(rng: Random) -> Case:
    return of_tree(_signed(rng, ex.rational(_fraction(rng))), rng)


def mixed(rng: Random) -> Case:
    """A gold answer as an improper fraction or a mixed number."""
    whole, part = rng.randint(1, 30), _fraction(rng, 12)
    part = part - int(part) or Fraction(1, 2)
    q = whole + part
    negative = rng.random() < 0.2
    minus = "-" if negative else ""
    p, r = part.numerator, part.denominator
    forms = [
        ("\\frac", f"{minus}{whole}\\frac{{{p}}}{{{r}}}"),
        ("\\dfrac", f"{minus}{whole}\\dfrac{{{p}}}{{{r}}}"),
        ("space", f"{minus}{whole} \\frac{{{p}}}{{{r}}}"),
        ("slash", f"{minus}{whole} {p}/{r}"),
        ("thin space", f"{minus}{whole}\\,\\frac{{{p}}}{{{r}}}"),
        ("thin space, slash", f"{minus}{whole}\\ {p}/{r}"),
        ("\\tfrac", f"{minus}{whole}\\tfrac{{{p}}}{{{r}}}"),
        ("improper", f"{minus}\\frac{{{q.numerator}}}{{{q.denominator}}}"),
        ("sum", f"{minus}\\left({whole}+\\frac{{{p}}}{{{r}}}\\right)"),
    ]

    def unlike() -> tuple[str, str] | None:
        a, b, c = rng.choice(((whole + 1, p, r), (whole, p + 1, r), (whole, p, r + 1), (whole, r, p), (whole * 10, p, r)))
        if a + Fraction(b, c) == q:
            return None
        return "mixed", f"{minus}{a}" + rng.choice((f"\\frac{{{b}}}{{{c}}}", f" {b}/{c}", f" \\dfrac{{{b}}}{{{c}}}"))

    gold = rng.choice((forms[0][1], forms[7][1], forms[2][1]))
    value = ex.rational(-q if negative else q)
    case = of_tree(value, rng, lambda: rng.choice(forms), unlike, gold)
    return case


def decimals(rng: Random) -> Case:
    text = f"{rng.randint(0, 40)}.{rng.choice(('5', '25', '75', '125', '04', '36', '625', '2', '48', '15'))}"
    q = Fraction(text)

    def spelt() -> tuple[str, str] | None:
        return rng.choice(
            (
                ("zeros", text + "0"),
                ("zeros", text + "00"),
                ("fraction", f"\\frac{{{q.numerator}}}{{{q.denominator}}}"),
                ("fraction", f"{q.numerator}/{q.denominator}"),
                ("fraction", f"\\dfrac{{{3 * q.numerator}}}{{{3 * q.denominator}}}"),
                ("sentence", f"\\text{{The answer is {text}}}"),
                ("text", f"\\text{{{text}}}"),
                ("braces", text.replace(".", "{.}")),
            )
        )

    return of_tree(dec(text), rng, spelt)


def repeating(rng: Random) -> Case:
    whole, head, loop = (
        rng.randint(0, 5),
        rng.choice(("", "", "1", "08", "5")),
        rng.choice(("3", "6", "12", "36", "142857", "7", "45")),
    )
    q = whole + Fraction(int((head or "0") + loop) - int(head or "0"), (10 ** len(loop) - 1) * 10 ** len(head))

    def written(a: int, b: str, c: str) -> str:
        mark = rng.choice(("\\overline{@}", "\\overline{@}", "\\overline @" if len(c) == 1 else "\\overline{@}", "\\bar{@}"))
        mark = mark if len(c) == 1 or mark != "\\bar{@}" else "\\overline{@}"
        return f"{a}.{b}{mark.replace('@', c)}"

    def unlike() -> tuple[str, str] | None:
        a, b, c = rng.choice(
            (
                (whole + 1, head, loop),
                (whole, head + "1", loop),
                (whole, head, str(int(loop[0]) % 9 + 1) + loop[1:]),
                (whole, head, "8"),
            )
        )
        value = a + Fraction(int((b or "0") + c) - int(b or "0"), (10 ** len(c) - 1) * 10 ** len(b))
        return None if abs(value - q) < q / 500 else ("digit", written(a, b, c))

    gold = rng.choice((f"{whole}.{head}\\overline{{{loop}}}", render(ex.rational(q))))
    return of_tree(ex.rational(q), rng, lambda: ("repeating", written(whole, head, loop)), unlike, gold)


def surd(rng: Random) -> Case:
    a, b, c, n = rng.randint(1, 20), rng.randint(1, 9), rng.randint(2, 9), _nonsquare(rng)
    r = root(num(n))
    br = mul(num(b), r) if b > 1 else r
    tree = rng.choice(
        (
            mul(num(b + 1), r),
            add(num(a), _signed(rng, br)),
            div(add(num(a), _signed(rng, br)), num(c)),
            div(num(1), r),
            div(br, num(c)),
            root(div(num(a), num(n))),
            add(root(num(n)), root(num(n + 1))),
            root(num(n), 3),
            div(num(1), add(num(a), r)),
        )
    )
    return of_tree(_signed(rng, tree, 0.15), rng)


def powers(rng: Random) -> Case:
    b, k = rng.choice((2, 3, 5, 6, 7, 10)), rng.randint(3, 11)
    tree = rng.choice(
        (
            power(num(b), num(k)),
            mul(num(rng.randint(2, 9)), power(num(b), num(k))),
            add(power(num(b), num(k)), num(-rng.randint(1, 9))),
            div(num(1), power(num(b), num(k))),
            power(num(b), num(-k)),
            power(num(b), div(num(rng.choice((1, 2))), num(3))),
            mul(power(num(2), num(k)), power(num(3), num(rng.randint(2, 6)))),
        )
    )
    return of_tree(tree, rng)


def exact_large(rng: Random) -> Case:
    """Values that no rounding tells apart."""
    b, k, c = rng.choice((2, 3, 5, 7)), rng.randint(60, 400), rng.randint(2, 9)
    big = power(num(b), num(k))
    tree = rng.choice(
        (
            add(num(1), neg(div(num(1), big))),
            add(div(num(1), num(c)), _signed(rng, div(num(c + 1), mul(num(4), big)), 0.5)),
            div(add(big, num(-1)), num(c)),
            root(div(add(big, num(-1)), add(mul(num(3), power(num(b), num(k - 1))), num(-2)))),
            add(big, num(c)),
            div(add(big, num(1)), add(big, num(-1))),
            mul(num(c), add(num(1), neg(power(num(b), num(-k))))),
        )
    )
    return of_tree(tree, rng)


def logarithms(rng: Random) -> Case:
    n, m, k = rng.choice((2, 3, 5, 6, 10, 12, 15)), rng.choice((3, 5, 7, 11)), rng.randint(2, 9)
    tree = rng.choice(
        (
            fn("ln", num(n)),
            mul(num(k), fn("ln", num(n))),
            add(num(k), fn("ln", num(n))),
            log(num(2), num(m)),
            div(fn("ln", num(m)), num(k)),
            add(fn("ln", num(m)), neg(num(1))),
            fn("lg", num(n + 1)),
        )
    )
    return of_tree(tree, rng)


def trigonometry(rng: Random) -> Case:
    p, q = rng.choice(((1, 6), (1, 4), (1, 3), (1, 5), (2, 5), (1, 7), (3, 7), (1, 12), (1, 9)))
    angle = div(PI if p == 1 else mul(num(p), PI), num(q))
    name = rng.choice(("sin", "cos"))
    f = fn(name, angle)
    exact = {
        ("sin", 6): ex.rational(Fraction(1, 2)),
        ("sin", 4): div(root(num(2)), num(2)),
        ("sin", 3): div(root(num(3)), num(2)),
        ("cos", 3): ex.rational(Fraction(1, 2)),
        ("cos", 4): div(root(num(2)), num(2)),
        ("cos", 6): div(root(num(3)), num(2)),
    }.get((name, q) if p == 1 else ("", 0))
    k = rng.randint(2, 9)
    tree = rng.choice((f, mul(num(k), f), add(num(k), f), fn("arctan", ex.rational(_fraction(rng, 9)))))
    spelt = None
    if exact and tree == f:
        assert ex.same(exact, f)
        spelt = lambda: ("exact", render(exact, ex.style(rng)))  # noqa: E731
    return of_tree(tree, rng, spelt)


def constants(rng: Random) -> Case:
    a, b, c = rng.randint(2, 20), rng.randint(2, 9), rng.choice((PI, E))
    tree = rng.choice(
        (
            mul(num(a), c),
            div(c, num(b)),
            div(mul(num(a), c), num(b)) if a % b else mul(num(a), c),
            add(num(a), mul(num(b), PI)),
            add(mul(num(b), PI), neg(mul(num(a), root(num(3))))),
            power(E, num(b)),
            div(power(PI, num(2)), num(6)),
            add(power(E, num(2)), num(-a)),
        )
    )
    return of_tree(tree, rng)


def complexes(rng: Random) -> Case:
    a, b = rng.randint(1, 12), rng.randint(2, 12)
    tree = rng.choice(
        (
            add(num(a), mul(num(b), IMAGINARY)),
            add(num(a), neg(mul(num(b), IMAGINARY))),
            add(num(-a), mul(num(b), IMAGINARY)),
            mul(num(b), IMAGINARY),
            div(add(num(a), mul(num(b), IMAGINARY)), num(a + b)),
            add(ex.rational(Fraction(1, 2)), mul(div(root(num(3)), num(2)), IMAGINARY)),
            power(E, div(mul(IMAGINARY, PI), num(rng.choice((3, 4, 5, 6))))),
            add(num(a), mul(root(num(_nonsquare(rng))), IMAGINARY)),
        )
    )
    return of_tree(tree, rng)


def polynomial(rng: Random) -> Case:
    x, y = sym("x"), sym(rng.choice(("y", "a")))
    a, b, c = (rng.randint(2, 9) for _ in range(3))
    square = power(x, num(2))
    tree = rng.choice(
        (
            add(square, mul(num(a), x), num(b)),
            power(add(x, num(a)), num(2)),
            mul(add(x, num(a)), add(x, neg(num(b)))),
            add(mul(num(a), x), neg(mul(num(b), y))),
            add(power(x, num(3)), neg(mul(num(a), x)), num(c)),
            mul(num(a), add(x, y)),
            add(mul(num(a), square, y), neg(mul(num(b), x)), num(c)),
            div(add(square, neg(num(a))), num(b)),
        )
    )
    return of_tree(tree, rng)


def symbolic(rng: Random) -> Case:
    """Fractions, roots and powers of symbols, which stand for positive numbers."""
    x, n = sym("x"), sym("n")
    a, b = rng.randint(2, 9), rng.randint(2, 9)
    tree = rng.choice(
        (
            div(num(1), root(n)),
            div(num(1), add(x, num(a))),
            div(add(x, num(a)), add(x, neg(num(b)))),
            root(div(num(1), n)),
            power(num(2), n),
            add(power(num(2), n), num(-1)),
            div(mul(n, add(n, num(1))), num(2)),
            root(add(power(x, num(2)), num(a))),
            div(num(a), power(x, num(2))),
            add(fn("ln", x), num(b)),
            mul(num(a), root(n)),
            power(x, div(num(2), num(3))),
            div(sym("a"), root(x)),
        )
    )
    return of_tree(tree, rng)


def combinatorial(rng: Random) -> Case:
    n, k = rng.randint(5, 14), rng.randint(2, 4)
    value = 1
    for i in range(k):
        value = value * (n - i) // (i + 1)
    if rng.random() < 0.5:

        def spelt() -> tuple[str, str] | None:
            return rng.choice(
                (
                    ("binom", f"\\binom{{{n}}}{{{k}}}"),
                    ("binom", f"\\dbinom{{{n}}}{{{k}}}"),
                    ("binom", f"{{{n} \\choose {k}}}"),
                    ("binom", f"\\binom{{{n}}}{{{n - k}}}"),
                    ("value", str(value)),
                    ("factorials", f"\\frac{{{n}!}}{{{k}! \\cdot {n - k}!}}"),
                )
            )

        def unlike() -> tuple[str, str] | None:
            p, q = rng.choice(((n + 1, k), (n, k + 1), (n - 1, k)))
            return None if 2 * k + 1 == n and q == k + 1 else ("binom", f"\\binom{{{p}}}{{{q}}}")

        return of_tree(num(value), rng, spelt, unlike, f"\\binom{{{n}}}{{{k}}}")
    tree = rng.choice(
        (fn("factorial", num(n)), mul(num(k), fn("factorial", num(n))), div(fn("factorial", num(n)), power(num(2), num(k))))
    )
    return of_tree(tree, rng)


def scientific(rng: Random) -> Case:
    mantissa, k = rng.choice(("3.2", "1.25", "6.02", "4", "7.5", "2.56")), rng.choice((3, 4, 5, 6, 8, 12, -3, -4, -6))
    tree = mul(dec(mantissa) if "." in mantissa else num(int(mantissa)), power(num(10), num(k)))
    q = Fraction(mantissa) * Fraction(10) ** k

    def spelt() -> tuple[str, str] | None:
        short = mantissa.replace(".", "")
        moved = k - (len(mantissa.partition(".")[2]))
        found = [
            ("\\times", f"{mantissa} \\times 10^{{{k}}}"),
            ("\\cdot", f"{mantissa}\\cdot 10^{{{k}}}"),
            ("e", f"{mantissa}e{k}"),
            ("E", f"{mantissa}E{k}"),
            ("whole", f"{short} \\times 10^{{{moved}}}"),
            ("fraction", f"\\frac{{{q.numerator}}}{{{q.denominator}}}") if q.denominator > 1 else ("value", str(q)),
            ("thousands", grouped(int(q), rng.choice((",", "{,}", "\\,"))))
            if q.denominator == 1
            else ("zeros", f"{float(q):.9f}".rstrip("0")),
        ]
        return rng.choice(found)

    def unlike() -> tuple[str, str] | None:
        return rng.choice(
            (
                ("exponent", f"{mantissa} \\times 10^{{{k + 1}}}"),
                ("exponent", f"{mantissa}e{-k}"),
                ("base", f"{mantissa} \\times 2^{{{k}}}"),
            )
        )

    return of_tree(tree, rng, spelt, unlike)


# ------------------------------------------------------------------ one and several values


def _values(rng: Random, n: int) -> list[Node]:
    found: dict[str, Node] = {}
    surds = rng.random() < 0.3
    while len(found) < n:
        q = rng.randint(-20, 20) if rng.random() < 0.7 else None
        tree = num(q) if q is not None else ex.rational(_fraction(rng, 12))
        if surds:
            tree = mul(num(rng.randint(2, 9)), root(num(rng.choice((2, 3, 5)))))
        if not any(ex.same(tree, t) for t in found.values()):
            found[render(tree)] = tree
    return list(found.values())


def _another_value(values: list[Node], rng: Random) -> list[Node] | None:
    """One element changed a little, to none of the others."""
    i = rng.randrange(len(values))
    step = ex.changed(values[i], rng)
    if step is None or any(ex.same(step[1], v) for v in values):
        return None
    return [step[1] if i == j else v for j, v in enumerate(values)]


def _rewritten(values: list[Node], rng: Random) -> list[str]:
    look = ex.style(rng)
    return [render(ex.rewritten(v, rng)[1] if rng.random() < 0.5 else v, look) for v in values]


def several(rng: Random) -> Case:
    """Values in no order: a list, or a set in braces."""
    values = _values(rng, rng.choice((2, 2, 3, 4)))
    gold = ", ".join(map(render, values))
    braces = rng.random() < 0.35
    if braces:
        gold = f"\\{{{gold}\\}}"

    def written(elements: list[str]) -> tuple[str, str]:
        form = rng.randrange(6)
        if form == 0:
            return "braces", "\\{" + rng.choice((", ", ",", ",\\,", ",\\ ")).join(elements) + "\\}"
        if form == 1:
            return "braces", f"\\left\\{{{', '.join(elements)}\\right\\}}"
        if form == 2:
            return "and", ", ".join(elements[:-1]) + rng.choice((" \\text{ and } ", "\\text{ and }")) + elements[-1]
        if form == 3:
            return "x =", rng.choice((", ", " \\text{ or } ")).join(f"x = {e}" for e in elements)
        if form == 4:
            return "x =", "x = " + ", ".join(elements)
        return "list", rng.choice((", ", ",", ",\\ ", ",~", ", \\quad ")).join(elements)

    def same() -> tuple[str, str] | None:
        order = list(values)
        rng.shuffle(order)
        if not braces and rng.random() < 0.08:
            boxes = [f"\\boxed{{{render(v)}}}" for v in order]
            return "several boxes", "The solutions are " + ", ".join(boxes[:-1]) + " and " + boxes[-1] + "."
        way, text = written(_rewritten(order, rng))
        return way, perhaps(text, rng, 0.2)

    def other() -> tuple[str, str] | None:
        draw = rng.random()
        new: list[Node] | None
        if draw < 0.2 and len(values) > 1:
            new = list(values)
            del new[rng.randrange(len(new))]
            way = "dropped"
            if len(new) == 1:
                return way, render(new[0], ex.style(rng))
        elif draw < 0.4:
            step = ex.changed(rng.choice(values), rng)
            new = None if step is None or any(ex.same(step[1], v) for v in values) else [*values, step[1]]
            way = "one more"
        else:
            new, way = _another_value(values, rng), "one changed"
        if new is None:
            return None
        order = list(new)
        rng.shuffle(order)
        texts = [render(v, ex.style(rng)) for v in order]
        return way, written(texts)[1] if draw < 0.9 else ", ".join(texts[:-1]) + " \\text{ or perhaps } " + texts[-1]

    return Case(gold, same, other)


def point(rng: Random) -> Case:
    """Values in order."""
    values = _values(rng, rng.choice((2, 3)))
    gold = f"({', '.join(map(render, values))})"

    def written(elements: list[str]) -> tuple[str, str]:
        inner = rng.choice((", ", ",", ",\\,", " , ")).join(elements)
        form = rng.choice(
            (
                "(@)",
                "\\left(@\\right)",
                "\\langle @ \\rangle",
                "\\left\\langle @ \\right\\rangle",
                "\\left( @ \\right)",
                "\\bigl(@\\bigr)",
            )
        )
        return form, form.replace("@", inner)

    def same() -> tuple[str, str] | None:
        way, text = written(_rewritten(values, rng))
        if rng.random() < 0.1 and len(values) == 2:
            return "(x, y) =", f"(x, y) = {text}"
        return way, perhaps(text, rng, 0.2)

    def other() -> tuple[str, str] | None:
        draw = rng.random()
        new: list[Node] | None = list(values)
        way = "order"
        if draw < 0.25:
            rng.shuffle(new)  # type: ignore[arg-type]
            if new == values:
                return None
        elif draw < 0.35:
            new, way = [*values, num(rng.randint(1, 9))], "one more"
        elif draw < 0.45 and len(values) > 2:
            new, way = values[:-1], "dropped"
        else:
            i = rng.randrange(len(values))
            step = ex.changed(values[i], rng)
            new = None if step is None else [step[1] if i == j else v for j, v in enumerate(values)]
            way = "one changed"
        if new is None:
            return None
        text = written([render(v, ex.style(rng)) for v in new])[1]
        if draw > 0.93:
            return "two points", f"{gold}, {text}"
        return way, text

    return Case(gold, same, other)


def plus_minus(rng: Random) -> Case:
    a, b, c, n = rng.randint(1, 12), rng.randint(1, 6), rng.randint(2, 9), _nonsquare(rng)
    r = root(num(n)) if b == 1 else mul(num(b), root(num(n)))
    whole = rng.random() < 0.4
    a = -a if rng.random() < 0.4 else a

    def parts(p: int, s: Node, q: int) -> list[Node]:
        both = [add(num(p), s), add(num(p), neg(s))]
        return both if whole else [div(t, num(q)) for t in both]

    def joint(p: int, s: Node, q: int, look: dict[str, str] = ex.PLAIN) -> str:
        mark = rng.choice((" \\pm ", "\\pm ", "\\pm", " \u00b1 ")) if look else " \\pm "
        inner = render(s, look)
        mark = mark + " " if mark == "\\pm" and inner[0].isalpha() else mark
        top = f"{p}{mark}{inner}"
        command = rng.choice(("\\frac", "\\dfrac")) if look else "\\frac"
        return top if whole else f"{command}{{{top}}}{{{q}}}"

    values = parts(a, r, c)
    gold = joint(a, r, c) if rng.random() < 0.6 else ", ".join(map(render, values))

    def same() -> tuple[str, str] | None:
        if rng.random() < 0.45:
            look = {**ex.style(rng), "frac": "\\frac"}
            way, text = "joint", joint(a, r, c, look)
            text = rng.choice((text, text, f"x = {text}", text.replace("\\pm", "\\mp")))
        else:
            order = list(values)
            rng.shuffle(order)
            texts = _rewritten(order, rng)
            way, text = rng.choice(
                (
                    ("list", ", ".join(texts)),
                    ("or", " \\text{ or } ".join(texts)),
                    ("and", " \\text{ and } ".join(texts)),
                    ("braces", f"\\{{{', '.join(texts)}\\}}"),
                    ("x =", ", ".join(f"x = {t}" for t in texts)),
                )
            )
        return way, perhaps(text, rng, 0.2)

    def other() -> tuple[str, str] | None:
        draw = rng.random()
        if draw < 0.2:
            return "one of both", render(rng.choice(values), ex.style(rng))
        if draw < 0.6:
            p, s, q = rng.choice(
                ((a + 1, r, c), (-a, r, c), (a, root(num(n + 1)), c), (a, mul(num(b + 1), root(num(n))), c), (a, r, c + 1))
            )
            if whole and q != c:
                return None
            if all(any(ex.same(t, v) for v in values) for t in parts(p, s, q)):
                return None
            return "joint", perhaps(joint(p, s, q, ex.style(rng) | {"frac": "\\frac"}), rng, 0.1)
        new = _another_value(values, rng)
        return (
            None if new is None else ("list", rng.choice((", ", " \\text{ or } ")).join(render(v, ex.style(rng)) for v in new))
        )

    return Case(gold, same, other)


# ------------------------------------------------------------------ sets of numbers

Part = tuple[Fraction | None, bool, Fraction | None, bool]
"""Lower end (None: none), whether it belongs to the set, upper end, whether it does."""


def inside(parts: list[Part], x: Fraction) -> bool:
    def above(low: Fraction | None, closed: bool) -> bool:
        return low is None or x > low or (closed and x == low)

    def below(high: Fraction | None, closed: bool) -> bool:
        return high is None or x < high or (closed and x == high)

    return any(above(a, ca) and below(b, cb) for a, ca, b, cb in parts)


def same_set(one: list[Part], other: list[Part]) -> bool:
    """Membership of every end, of a point between any two of them, and of one outside: between ends nothing changes."""
    ends = sorted({e for part in one + other for e in (part[0], part[2]) if e is not None})
    between = [(a + b) / 2 for a, b in pairwise(ends)]
    return all(inside(one, x) == inside(other, x) for x in [*ends, *between, ends[0] - 1, ends[-1] + 1])


def _end(e: Fraction, look: dict[str, str]) -> str:
    return render(ex.rational(e), look)


def _interval(part: Part, look: dict[str, str]) -> str:
    a, ca, b, cb = part
    sized = look.get("paren", "(|)") != "(|)"
    left, right = "[" if ca else "(", "]" if cb else ")"
    low = "-\\infty" if a is None else _end(a, look)
    high = _infinity(look) if b is None else _end(b, look)
    inner = f"{low},{look.get('space') or ' '}{high}"
    return f"\\left{left}{inner}\\right{right}" if sized else f"{left}{inner}{right}"


def _infinity(look: dict[str, str]) -> str:
    return "+\\infty" if look.get("frac") == "\\dfrac" else "\\infty"


def _relation(part: Part, look: dict[str, str], name: str) -> str:
    a, ca, b, cb = part
    le, ge = ("\\leq", "\\geq") if look.get("root") == "unicode" else ("\\le", "\\ge")
    less, more = (f" {le} " if cb else " < "), (f" {ge} " if ca else " > ")
    if a is None:
        assert b is not None
        return (
            f"{name}{less}{_end(b, look)}"
            if look.get("pi") != "\u03c0"
            else f"{_end(b, look)}{f' {ge} ' if cb else ' > '}{name}"
        )
    if b is None:
        return f"{name}{more}{_end(a, look)}"
    if look.get("i") == "\\mathrm{i}":
        return f"{_end(b, look)}{f' {ge} ' if cb else ' > '}{name}{more}{_end(a, look)}"
    return f"{_end(a, look)}{f' {le} ' if ca else ' < '}{name}{less}{_end(b, look)}"


def _set(parts: list[Part], rng: Random, look: dict[str, str] = ex.PLAIN) -> tuple[str, str]:
    forms = ["interval", "relation", "builder", "in"]
    form = rng.choice(forms)
    if form in ("interval", "in"):
        text = rng.choice((" \\cup ", "\\cup ")).join(_interval(p, look) for p in parts)
        return form, text if form == "interval" else f"x \\in {text}"
    text = rng.choice((" \\text{ or } ", " \\lor ", "\\text{ or }")).join(_relation(p, look, "x") for p in parts)
    if form == "relation":
        return form, text
    return form, rng.choice(
        ("\\{x \\mid @\\}", "\\{x | @\\}", "\\left\\{ x : @ \\right\\}", "\\{x \\in \\mathbb{R} \\mid @\\}")
    ).replace("@", text)


def sets(rng: Random) -> Case:
    def end() -> Fraction:
        return Fraction(rng.randint(-12, 12)) if rng.random() < 0.75 else _fraction(rng, 9)

    a, b, c, d = sorted(rng.sample([Fraction(n, k) for n in range(-12, 13) for k in (1, 1, 1, 2, 3)], 4))
    while len({a, b, c, d}) < 4:
        a, b, c, d = sorted(end() for _ in range(4))
    flag = lambda: rng.random() < 0.5  # noqa: E731
    parts: list[Part] = rng.choice(
        (
            [(a, flag(), b, flag())],
            [(a, flag(), b, flag())],
            [(a, flag(), None, False)],
            [(None, False, b, flag())],
            [(None, False, a, flag()), (b, flag(), None, False)],
            [(a, flag(), b, flag()), (c, flag(), d, flag())],
            [(None, False, a, False), (a, False, None, False)],
        )
    )
    hole = parts[0][2] if len(parts) == 2 and parts[0][2] == parts[1][0] else None
    gold = _set(parts, rng)[1]

    def same() -> tuple[str, str] | None:
        look = ex.style(rng) | ({"space": "", "minus": "-"} if rng.random() < 0.7 else {})
        if hole is not None and rng.random() < 0.4:
            h = _end(hole, look)
            return "hole", rng.choice(
                (
                    f"x \\neq {h}",
                    f"x \\ne {h}",
                    f"\\mathbb{{R}} \\setminus \\{{{h}\\}}",
                    f"\\{{x \\mid x \\neq {h}\\}}",
                    f"x \\in \\mathbb{{R}}, x \\neq {h}",
                )
            )
        order = list(parts)
        rng.shuffle(order)
        way, text = _set(order, rng, look)
        return way, perhaps(text, rng, 0.2)

    def other() -> tuple[str, str] | None:
        new = list(parts)
        i = rng.randrange(len(new))
        low, cl, high, ch = new[i]
        draw = rng.randrange(7)
        if draw < 2:
            new[i] = (
                low,
                not cl if draw == 0 and low is not None else cl,
                high,
                not ch if draw == 1 and high is not None else ch,
            )
            way = "open and closed"
        elif draw == 2:
            shift = Fraction(rng.choice((1, -1)))
            new[i] = (
                (low + shift, cl, high, ch)
                if low is not None and flag()
                else (low, cl, high + shift if high is not None else high, ch)
            )
            way = "another end"
        elif draw == 3:
            new[i] = (
                (-low if low is not None else low, cl, high, ch)
                if flag()
                else (low, cl, -high if high is not None else high, ch)
            )
            way = "sign"
        elif draw == 4 and len(new) > 1:
            del new[i]
            way = "dropped"
        elif draw == 5:
            new[i] = (None, False, high, ch) if low is not None and high is not None else (high, ch, low, cl)
            way = "unbounded"
        else:
            top = max((p[2] for p in new if p[2] is not None), default=None)
            if any(p[2] is None for p in new) or top is None:
                return None
            new.append((top + 1, flag(), top + 2, flag()))
            way = "one more"
        if any(p[0] is None and p[2] is None for p in new) or any(None not in (p[0], p[2]) and p[0] >= p[2] for p in new):  # type: ignore[operator]
            return None
        if same_set(parts, new):
            return None
        text = _set(new, rng, ex.style(rng) | {"space": "", "minus": "-"} if rng.random() < 0.4 else ex.PLAIN)[1]
        if rng.random() < 0.1:
            return "two sets", f"{gold} \\text{{ or perhaps }} {text}"
        return way, text

    return Case(gold, same, other)


# ------------------------------------------------------------------ equations, orders, matrices, words


def equation(rng: Random) -> Case:
    a, b = rng.randint(2, 9), rng.randint(1, 12)
    x = sym("x")
    right = rng.choice(
        (add(mul(num(a), x), num(b)), add(mul(num(a), x), neg(num(b))), add(power(x, num(2)), num(b)), mul(num(a), x))
    )
    head = rng.choice(("y", "f(x)"))
    gold = f"{head} = {render(right)}"

    def same() -> tuple[str, str] | None:
        text = render(ex.rewritten(right, rng)[1], ex.style(rng))
        draw = rng.random()
        if draw < 0.2:
            return "mirrored", f"{text} = {head}"
        if draw < 0.3:
            return "no head", text
        if draw < 0.4:
            return "remark", f"{head} = {text} \\text{{ for all }} x"
        return "equation", perhaps(f"{head}{rng.choice(('=', ' = '))}{text}", rng, 0.3)

    def other() -> tuple[str, str] | None:
        step = ex.changed(right, rng)
        if step is None:
            return None
        text = render(step[1], ex.style(rng))
        draw = rng.random()
        if draw < 0.15:
            return "second value", f"{gold} \\text{{ or }} {head} = {text}"
        if draw < 0.25:
            mark = rng.choice(("<", ">", "\\leq", "\\geq", "\\neq", "\\approx"))
            return "relation", f"{head} {mark} {render(right)}"
        if draw < 0.35:
            return "chain", f"{head} = {text} = {render(right)}"
        if draw < 0.45:
            return "head", f"{'z' if head == 'y' else 'f(y)'} = {render(right)}"
        return step[0], f"{head} = {text}"

    return Case(gold, same, other)


def order(rng: Random) -> Case:
    names = rng.sample("abcdpqrs", rng.choice((3, 4)))
    gold = " > ".join(names)

    def same() -> tuple[str, str] | None:
        if rng.random() < 0.35:
            return "mirrored", perhaps(rng.choice((" < ", "<", " \\lt ")).join(reversed(names)), rng, 0.4)
        return "spacing", perhaps(rng.choice((">", " > ", " >", "> ", " \\gt ", "\\,>\\,", "~>~")).join(names), rng, 0.5)

    def other() -> tuple[str, str] | None:
        new = list(names)
        draw = rng.random()
        mark = ">"
        if draw < 0.5:
            rng.shuffle(new)
        elif draw < 0.6:
            new = new[:-1]
        elif draw < 0.8:
            mark = rng.choice(("<", "\\geq", "=", ","))
        else:
            marks = [" > "] * (len(new) - 1)
            marks[rng.randrange(len(marks))] = rng.choice((" = ", " \\geq ", " < "))
            return "one mark", new[0] + "".join(m + n for m, n in zip(marks, new[1:], strict=True))
        if new == names and mark == ">":
            return None
        text = f" {mark} ".join(new)
        return "order", text if rng.random() < 0.8 else f"{gold} \\text{{ or }} {text}"

    return Case(gold, same, other)


def matrix(rng: Random) -> Case:
    rows, columns = rng.choice(((2, 2), (2, 1), (3, 1), (2, 3)))
    cells = [[num(rng.randint(-9, 12)) for _ in range(columns)] for _ in range(rows)]

    def written(table: list[list[Node]], look: dict[str, str]) -> tuple[str, str]:
        name = rng.choice(("pmatrix", "bmatrix", "pmatrix", "array")) if look else "pmatrix"
        inner = rng.choice((" \\\\ ", "\\\\")).join(
            rng.choice((" & ", "&")).join(render(c, look) for c in row) for row in table
        )
        if name == "array":
            return name, f"\\left(\\begin{{array}}{{{'c' * len(table[0])}}}{inner}\\end{{array}}\\right)"
        return name, f"\\begin{{{name}}}{inner}\\end{{{name}}}"

    gold = written(cells, ex.PLAIN)[1]

    def same() -> tuple[str, str] | None:
        table = [[ex.rewritten(c, rng)[1] if rng.random() < 0.2 else c for c in row] for row in cells]
        way, text = written(table, ex.style(rng))
        return way, perhaps(text, rng, 0.3)

    def other() -> tuple[str, str] | None:
        draw = rng.random()
        table = [list(row) for row in cells]
        way = "cell"
        if draw < 0.15:
            table, way = [list(row) for row in zip(*cells, strict=True)], "transposed"
        elif draw < 0.25 and rows > 1:
            table, way = table[::-1], "rows"
        elif draw < 0.35 and rows > 2:
            table, way = table[:-1], "dropped"
        else:
            i, j = rng.randrange(rows), rng.randrange(columns)
            step = ex.changed(table[i][j], rng)
            if step is None:
                return None
            table[i][j] = step[1]
        if len(table) == rows and all(len(r) == columns for r in table):
            if all(ex.same(p, q) for r, s in zip(table, cells, strict=True) for p, q in zip(r, s, strict=True)):
                return None
        return way, written(table, ex.style(rng))[1]

    return Case(gold, same, other)


WORDS = (
    "odd",
    "even",
    "Monday",
    "Tuesday",
    "circle",
    "ellipse",
    "hyperbola",
    "blue",
    "Alice",
    "Bob",
    "rhombus",
    "north",
    "prime",
)


def words(rng: Random) -> Case:
    a, b = rng.sample(WORDS, 2)
    phrase = rng.random() < 0.4
    said = f"{a} and {b}" if phrase else a
    gold = rng.choice((f"\\text{{{said}}}", said))

    def same() -> tuple[str, str] | None:
        command = rng.choice(
            ("\\text{@}", "\\textbf{@}", "\\mathrm{@}", "\\mbox{@}", "\\textit{@}", "\\text{ @ }", "@", "{@}", "\\textrm{@}")
        )
        inner = (
            said.replace(" ", rng.choice(("~", "\\ ")), 1) if rng.random() < 0.2 and command[1:5] in ("text", "mbox") else said
        )
        if command.startswith("\\mathrm") and phrase:
            inner = said.replace(" ", "\\ ")
        return "text", perhaps(command.replace("@", inner), rng, 0.4)

    def other() -> tuple[str, str] | None:
        c = rng.choice([w for w in WORDS if w not in (a, b)])
        texts = [
            c,
            f"not {said}",
            f"{said} or {c}",
            f"{c} or {said}",
            f"{said} {c}",
            f"neither {said} nor {c}",
            f"{said}, {c}",
            f"un{said}",
        ]
        texts += [
            said[:-1],
            said + "ly",
            f"{said} and {c}",
            f"maybe {said}",
            said.replace(a, c),
            f"{a} and {c}",
            f"{said} 5",
            f"{said} \\neq {c}",
        ]
        texts += [a, b] if phrase else [f"{a} and {b}", b, a[1:] + a[0]]
        return "words", rng.choice(("\\text{@}", "@", "\\mathrm{@}", "\\textbf{@}")).replace("@", rng.choice(texts))

    return Case(gold, same, other)


# ------------------------------------------------------------------ numbers with a name

UNITS = {
    "cm": ("m", "mm", "km", "kg", "cm^2"),
    "m": ("cm", "mm", "km", "s", "m^2"),
    "kg": ("g", "mg", "m", "kg^2"),
    "km/h": ("m/s", "km", "h", "km/s"),
    "cm^2": ("cm^3", "m^2", "cm", "mm^2"),
    "seconds": ("minutes", "hours", "meters"),
    "L": ("mL", "m", "kg"),
}


def units(rng: Random) -> Case:
    n, unit = rng.randint(2, 900), rng.choice(list(UNITS))
    name, _, exponent = unit.partition("^")

    def written(value: str, name: str, exponent: str = "", look: int | None = None) -> str:
        forms = [
            "@\\text{ #}",
            "@ \\text{ #}",
            "@\\,\\text{#}",
            "@\\ \\mathrm{#}",
            "@\\;\\text{#}",
            "@~\\mathrm{#}",
            "@\\text{#}",
            "@ \\mathrm{\\ #}",
            "@ \\mbox{ #}",
        ]
        form = forms[0] if look == 0 else rng.choice(forms)
        return form.replace("@", value).replace("#", name) + (
            f"^{exponent}" if exponent and rng.random() < 0.5 else f"^{{{exponent}}}" if exponent else ""
        )

    gold = written(str(n), name, exponent, 0)

    def same() -> tuple[str, str] | None:
        value = render(ex.rewritten(num(n), rng)[1]) if rng.random() < 0.2 else str(n) + rng.choice(("", "", ".0"))
        if rng.random() < 0.15:
            return "x =", f"x = {written(value, name, exponent)}"
        return "unit", perhaps(written(value, name, exponent), rng, 0.3)

    def other() -> tuple[str, str] | None:
        draw = rng.random()
        if draw < 0.4:
            new, _, e = rng.choice(UNITS[unit]).partition("^")
            return "another unit", written(str(n), new, e)
        step = ex.changed(num(n), rng)
        if step is None:
            return None
        text = render(step[1])
        if draw < 0.6:
            return "two values", f"{gold} \\text{{ or }} {written(text, name, exponent)}"
        return "another value", written(text, name, exponent)

    return Case(gold, same, other)


def percent(rng: Random) -> Case:
    text = rng.choice((str(rng.randint(2, 99)), f"{rng.randint(1, 99)}.5", f"{rng.randint(1, 60)}.25"))
    q = Fraction(text) / 100
    gold = f"{text}\\%"

    def same() -> tuple[str, str] | None:
        return rng.choice(
            (
                ("space", f"{text} \\%"),
                ("thin space", f"{text}\\,\\%"),
                ("bare", f"{text}%"),
                ("word", f"{text} \\text{{ percent}}"),
                ("word", f"{text}\\text{{ percent}}"),
                ("text", f"{text}\\text{{%}}"),
                ("text", f"\\text{{{text}\\%}}"),
                ("zeros", f"{text if '.' in text else text + '.'}0\\%"),
                ("x =", f"x = {text}\\%"),
                ("decimal", f"{float(q):.6f}".rstrip("0")),
                ("fraction", render(ex.rational(q))),
                ("fraction", f"\\frac{{{text}}}{{100}}" if "." not in text else f"{q.numerator}/{q.denominator}"),
                ("layout", laid_out(gold, rng)[1]),
                ("layout", laid_out(gold, rng)[1]),
            )
        )

    def other() -> tuple[str, str] | None:
        step = ex.changed(dec(text) if "." in text else num(int(text)), rng)
        if step is None:
            return None
        new = render(step[1])
        value = ex.values(step[1])[0] / 100
        if not isinstance(value, Fraction) or abs(value - q) < q / 900 or value * 100 == q or value == q * 100:
            return None
        return rng.choice(
            (
                ("digit", f"{new}\\%"),
                ("digit", f"{new} \\text{{ percent}}"),
                ("fraction", render(ex.rational(value))),
                ("two values", f"{gold} \\text{{ or }} {new}\\%"),
                ("range", f"{gold} - {new}\\%"),
                ("approximation", f"{gold} \\approx {new}\\%"),
                ("at least", f"\\geq {gold}"),
                ("per mille", f"{text}\\text{{ per mille}}"),
                ("twice", f"{text}\\% \\%"),
                ("thousandth", f"{float(q / 10):.7f}".rstrip("0")),
            )
        )

    return Case(gold, same, other)


def money(rng: Random) -> Case:
    cents = rng.choice((rng.randint(101, 9999), 100 * rng.randint(2, 90)))
    plain = f"{cents // 100}.{cents % 100:02d}" if cents % 100 else str(cents // 100)
    gold = f"\\${plain}"
    full = f"{cents // 100}.{cents % 100:02d}"

    def same() -> tuple[str, str] | None:
        return rng.choice(
            (
                ("sign", f"\\$ {plain}"),
                ("sign", f"\\$\\,{plain}"),
                ("none", plain),
                ("none", full),
                ("zeros", f"\\${full}"),
                ("text", f"\\text{{\\${plain}}}"),
                ("word", f"{plain} \\text{{ dollars}}"),
                ("word", f"{full}\\text{{ dollars}}"),
                ("x =", f"x = \\${plain}"),
                ("fraction", render(ex.rational(Fraction(cents, 100)))),
                ("layout", laid_out(gold, rng)[1]),
                ("layout", laid_out(gold, rng)[1]),
            )
        )

    def other() -> tuple[str, str] | None:
        shift = rng.choice([c for c in (50, 100, 900, -100, 1000) if cents + c > 0])
        new = f"{(cents + shift) // 100}.{(cents + shift) % 100:02d}"
        return rng.choice(
            (
                ("digit", f"\\${new}"),
                ("digit", new),
                ("cents", f"{plain} \\text{{ cents}}"),
                ("another currency", f"{plain} \\text{{ euros}}"),
                ("another currency", f"\u20ac{plain}"),
                ("two values", f"{gold} \\text{{ or }} \\${new}"),
                ("million", f"{gold} \\text{{ million}}"),
                ("minus", f"-{gold}"),
                ("ten times", f"\\${Fraction(cents, 10)}" if cents % 10 == 0 else f"\\${cents / 10:.1f}"),
                ("approximation", f"{gold} \\approx \\${new}"),
                ("at most", f"\\leq {gold}"),
                ("list", f"{gold}, \\${new}"),
                ("more than", f"\\text{{more than }} {gold}"),
            )
        )

    return Case(gold, same, other)


def degrees(rng: Random) -> Case:
    n = rng.randint(5, 175)
    gold = f"{n}^\\circ"

    def same() -> tuple[str, str] | None:
        return rng.choice(
            (
                ("braces", f"{n}^{{\\circ}}"),
                ("sign", f"{n}\u00b0"),
                ("none", str(n)),
                ("word", f"{n} \\text{{ degrees}}"),
                ("word", f"{n}\\text{{ degrees}}"),
                ("\\degree", f"{n}\\degree"),
                ("space", f"{n} ^\\circ"),
                ("x =", f"x = {n}^\\circ"),
                ("angle", f"\\angle ABC = {n}^\\circ"),
                ("zeros", f"{n}.0^\\circ"),
                ("layout", laid_out(gold, rng)[1]),
                ("layout", laid_out(gold, rng)[1]),
            )
        )

    def other() -> tuple[str, str] | None:
        step = ex.changed(num(n), rng)
        if step is None:
            return None
        new = render(step[1])
        return rng.choice(
            (
                ("digit", f"{new}^\\circ"),
                ("digit", f"{new}\u00b0"),
                ("digit", new),
                ("minutes", f"{n}'"),
                ("minutes", f"{n}^\\circ 30'"),
                ("radians", f"{n} \\text{{ radians}}"),
                ("two values", f"{gold} \\text{{ or }} {new}^\\circ"),
                ("list", f"{gold}, {new}^\\circ"),
                ("chain", f"{gold} = {new}^\\circ"),
                ("power", f"{n}^0") if n != 1 else ("digit", new),
                ("times pi", f"{n}\\pi"),
            )
        )

    return Case(gold, same, other)


def clock(rng: Random) -> Case:
    h, m = rng.randint(1, 12), rng.randint(0, 59)
    half = rng.choice(("", "", "a.m.", "p.m."))
    tail = f" \\text{{ {half}}}" if half else ""
    gold = f"{h}:{m:02d}{tail}"

    def written(h: int, m: int) -> str:
        colon = rng.choice((":", "{:}", ": ", "\\!:\\!", " : ", "\\colon "))
        return f"{h}{colon}{m:02d}"

    def same() -> tuple[str, str] | None:
        end = tail
        if half:
            end = rng.choice((tail, f"\\text{{ {half}}}", f"~\\text{{{half}}}", f"\\,\\text{{{half}}}", f" \\text{{{half}}}"))
        if rng.random() < 0.15:
            return "text", f"\\text{{{h}:{m:02d}{' ' + half if half else ''}}}"
        return "clock", perhaps(written(h, m) + end, rng, 0.4)

    def other() -> tuple[str, str] | None:
        p, q = rng.choice(
            ((h % 12 + 1, m), (h, (m + 1) % 60), (h, (m + 30) % 60), ((h + 5) % 12 + 1, m), (h, (m + 10) % 60), (h, 59 - m))
        )
        if (p, q) == (h, m):
            return None
        end = tail
        draw = rng.random()
        if draw < 0.3 and half:
            p, q = h, m
            end = f" \\text{{ {'p.m.' if half == 'a.m.' else 'a.m.'}}}"
        if draw > 0.8:
            return "two times", f"{gold} \\text{{ or }} {p}:{q:02d}{tail}"
        return "digit", written(p, q) + end

    return Case(gold, same, other)


def bases(rng: Random) -> Case:
    base = rng.choice((2, 3, 4, 5, 6, 7, 8, 9))
    n = rng.randint(base**2, base**5)
    digits = _digits(n, base)
    gold = rng.choice((f"{digits}_{base}", f"{digits}_{{{base}}}"))
    names = ("two", "three", "four", "five", "six", "seven", "eight", "nine")

    def written(text: str, b: int) -> str:
        form = rng.choice(("@_#", "@_{#}", "@_{\\text{#}}", "@_{\\text{$}}", "(@)_{#}", "(@)_#", "{@}_{#}", "@_{(#)}"))
        return form.replace("@", text).replace("#", str(b)).replace("$", names[b - 2] if b < 10 else "ten")

    def same() -> tuple[str, str] | None:
        return "base", perhaps(written(digits, base), rng, 0.4)

    def other() -> tuple[str, str] | None:
        draw = rng.random()
        if draw < 0.3:
            b = rng.choice([b for b in range(int(max(digits)) + 1, 11) if b != base and b > 1] or [base + 1])
            return "another base", written(digits, b)
        m = n + rng.choice((1, -1, base, 2 * base, 2, base**2))
        text = _digits(m, base)
        if draw < 0.5:
            return "two values", f"{gold} \\text{{ or }} {text}_{base}"
        return "digit", written(text, base)

    return Case(gold, same, other)


def _digits(n: int, base: int) -> str:
    found = ""
    while n:
        n, d = divmod(n, base)
        found = str(d) + found
    return found


def number_words(rng: Random) -> Case:
    text, (word, k) = (
        rng.choice(("5", "12", "3", "40", "7", "1.5", "2.4", "250")),
        rng.choice((("thousand", 3), ("million", 6), ("billion", 9))),
    )
    n = int(Fraction(text) * 10**k)
    gold = f"{text} \\text{{ {word}}}"

    def same() -> tuple[str, str] | None:
        return rng.choice(
            (
                ("value", str(n)),
                ("thousands", grouped(n, rng.choice((",", "{,}", "\\,", "\\ ")))),
                ("text", f"\\text{{{text} {word}}}"),
                ("text", f"{text}\\text{{ {word}}}"),
                ("text", f"{text}~\\text{{{word}}}"),
                ("bare", f"{text} {word}"),
                ("\\mathrm", f"{text}\\ \\mathrm{{{word}}}"),
                ("power", f"{text} \\times 10^{{{k}}}"),
                ("power", f"{text} \\cdot 10^{k}"),
                ("x =", f"x = {n}"),
                ("layout", laid_out(gold, rng)[1]),
                ("layout", laid_out(str(n), rng)[1]),
            )
        )

    def other() -> tuple[str, str] | None:
        step = ex.changed(num(n), rng)
        if step is None:
            return None
        others = [w for w in ("thousand", "million", "billion", "trillion") if w != word]
        return rng.choice(
            (
                ("word", f"{text} \\text{{ {rng.choice(others)}}}"),
                ("word", f"{text}\\text{{ {rng.choice(others)}}}"),
                ("no word", text),
                ("digit", render(step[1])),
                ("digit", f"1{text} \\text{{ {word}}}"),
                ("exponent", f"{text} \\times 10^{{{k + rng.choice((1, -1, 3))}}}"),
                ("two values", f"{gold} \\text{{ or }} {render(step[1])}"),
                ("list", f"{gold}, {render(step[1])}"),
                ("at least", f"\\text{{at least }} {gold}"),
                ("minus", f"-{gold}"),
            )
        )

    return Case(gold, same, other)


KINDS: dict[str, Callable[[Random], Case]] = {
    "integers": integer,
    "fractions": fraction,
    "mixed numbers": mixed,
    "decimals": decimals,
    "repeating decimals": repeating,
    "surds": surd,
    "powers": powers,
    "exact large": exact_large,
    "logarithms": logarithms,
    "trigonometry": trigonometry,
    "pi and e": constants,
    "complex": complexes,
    "polynomials": polynomial,
    "symbols": symbolic,
    "combinatorial": combinatorial,
    "scientific": scientific,
    "several values": several,
    "points": point,
    "plus-minus": plus_minus,
    "intervals": sets,
    "equations": equation,
    "orders": order,
    "matrices": matrix,
    "words": words,
    "units": units,
    "percent": percent,
    "money": money,
    "degrees": degrees,
    "clock": clock,
    "bases": bases,
    "number words": number_words,
}
