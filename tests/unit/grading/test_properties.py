"""Pairs of known verdict: that their truth is true, by sympy and by sets of its own, and what the grader makes of them.

`make test-grading` grades 20,000 of them (tests/checks/grading_properties.py); here it is one gold answer of each kind.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from random import Random

import pytest
import sympy

from harness.grading.graders import grade_many
from support import expressions as ex
from support import grading_pairs
from support.expressions import Node
from support.grading_pairs import KINDS, MOST_REJECTED, WAYS, pairs, same_set


def as_sympy(tree: Node) -> sympy.Expr:
    op, args = tree.op, tree.args
    if op in ("int", "dec"):
        q = Fraction(args[0])
        return sympy.Rational(q.numerator, q.denominator)
    if op == "const":
        return {"pi": sympy.pi, "e": sympy.E, "i": sympy.I}[args[0]]
    if op == "sym":
        return sympy.Symbol(args[0], positive=True)
    if op == "root":
        return sympy.root(as_sympy(args[0]), args[1])
    if op == "fn":
        name, inner = args[0], as_sympy(args[1])
        if name == "lg":
            return sympy.log(inner) / sympy.log(10)
        known = {"ln": "log", "arctan": "atan", "arcsin": "asin", "abs": "Abs"}
        return getattr(sympy, known.get(name, name))(inner)
    inner = [as_sympy(a) for a in tree]
    if op == "log":
        return sympy.log(inner[1]) / sympy.log(inner[0])
    if op == "neg":
        return -inner[0]
    if op == "div":
        return inner[0] / inner[1]
    return {"add": sympy.Add, "mul": sympy.Mul, "pow": sympy.Pow}[op](*inner)


def trees(monkeypatch, seed: int, cases: int) -> list[Node]:
    """The trees behind the gold answers of all kinds."""
    found: list[Node] = []
    real = grading_pairs.of_tree
    monkeypatch.setattr(grading_pairs, "of_tree", lambda tree, *rest, **more: found.append(tree) or real(tree, *rest, **more))
    for kind, make in KINDS.items():
        rng = Random(f"{seed}/{kind}")
        for _ in range(cases):
            make(rng)
    return found


def numbers(tree: Node, digits: int) -> list[complex]:
    expression = as_sympy(tree)
    at = [{sympy.Symbol(n, positive=True): sympy.Rational(q.numerator, q.denominator) for n, q in p.items()} for p in ex.POINTS]
    return [complex(expression.subs(point).evalf(digits)) for point in at]


def test_every_kind_has_twelve_of_each_sort_and_none_twice():
    drawn = list(pairs(seed=5, cases=2))
    assert Counter((p.kind, p.right) for p in drawn) == {(kind, right): 2 * WAYS for kind in KINDS for right in (True, False)}
    assert drawn == list(pairs(seed=5, cases=2))
    assert drawn != list(pairs(seed=6, cases=2))


def test_values_are_those_of_sympy(monkeypatch):
    for tree in trees(monkeypatch, seed=1, cases=3):
        for mine, theirs in zip(ex.values(tree), numbers(tree, 40), strict=False):
            assert complex(mine) == pytest.approx(theirs, rel=1e-12), ex.render(tree)


def test_rewritten_trees_keep_their_value_and_changed_ones_do_not(monkeypatch):
    """The difference of each pair of trees, by sympy: zero at 100 digits, or not."""
    rng = Random(2)
    seen = Counter()
    for tree in trees(monkeypatch, seed=2, cases=6):
        if ex.symbols(tree):
            at = {sympy.Symbol(n, positive=True): sympy.Rational(q.numerator, q.denominator) for n, q in ex.POINTS[0].items()}
        else:
            at = {}
        for right, draw in ((True, ex.rewritten), (False, ex.changed)):
            found = draw(tree, rng)
            if found is None:
                continue
            difference = (as_sympy(tree) - as_sympy(found[1])).subs(at)
            scale = max(1, abs(complex(as_sympy(tree).subs(at).evalf(20))))
            size = abs(difference.evalf(100, maxn=2000)) / scale
            if right:
                assert size < sympy.Float("1e-50", 100), (found[0], ex.render(tree), ex.render(found[1]))
            elif not ex.symbols(tree):  # those may agree at one of the three points
                assert difference.equals(0) is not True, (found[0], ex.render(tree), ex.render(found[1]))
                assert size > 0
            seen[right] += 1
    assert min(seen.values()) > 50


def test_plain_latex_says_what_the_tree_says(monkeypatch):
    """Read by latex2sympy, which knows nothing of the writer."""
    from latex2sympy2_extended import latex2sympy

    read = 0
    for tree in trees(monkeypatch, seed=3, cases=5):
        text = ex.render(tree)
        if any(mark in text for mark in ("|", "i", "\\log_", "\\lg")):  # not read, or read as a symbol
            continue
        theirs = latex2sympy(text)
        at = {s: sympy.Rational(*ex.POINTS[0][s.name].as_integer_ratio()) for s in theirs.free_symbols if s.name in ex.SYMBOLS}
        value = theirs.subs(at).subs({s: sympy.E for s in theirs.free_symbols if s.name == "e"}).evalf(40)
        assert complex(value) == pytest.approx(complex(ex.values(tree)[0]), rel=1e-12), text
        read += 1
    assert read > 40


def as_sympy_set(parts) -> sympy.Set:
    def end(e: Fraction | None, without: sympy.Expr) -> sympy.Expr:
        return without if e is None else sympy.Rational(e.numerator, e.denominator)

    return sympy.Union(*(sympy.Interval(end(a, -sympy.oo), end(b, sympy.oo), not ca, not cb) for a, ca, b, cb in parts))


def test_sets_are_equal_where_sympy_says_so():
    rng = Random(4)

    def parts():
        found = []
        for _ in range(rng.choice((1, 1, 2))):
            a, b = sorted(Fraction(n) for n in rng.sample(range(4), 2))
            low, high = (end if rng.random() < 0.8 else None for end in (a, b))
            found.append((low, rng.random() < 0.5, high, rng.random() < 0.5))
        return [p for p in found if (p[0], p[2]) != (None, None)] or parts()

    seen = Counter()
    for _ in range(400):
        one, other = parts(), parts()
        expected = as_sympy_set(one) == as_sympy_set(other)
        assert same_set(one, other) == expected, (one, other)
        seen[expected] += 1
    assert min(seen.values()) > 5


def test_a_grade_is_a_proof_or_a_rejection():
    """No wrong answer is accepted and few right ones are rejected; the pairs in question are what a failure shows."""
    seed = 1
    drawn = list(pairs(seed, cases=1))
    grades = grade_many([(p.completion, p.gold, "math") for p in drawn])
    wrong = [(p.kind, p.way, p.completion, p.gold) for p, g in zip(drawn, grades, strict=True) if g.score and not p.right]
    assert wrong == [], f"seed {seed}"
    lost = [(p.kind, p.way, p.completion, p.gold) for p, g in zip(drawn, grades, strict=True) if p.right and not g.score]
    assert len(lost) <= MOST_REJECTED * sum(p.right for p in drawn), (seed, lost)
    assert [p for p, g in zip(drawn, grades, strict=True) if g.status in ("error", "timeout")] == [], f"seed {seed}"
