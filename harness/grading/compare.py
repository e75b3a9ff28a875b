"""Whether two typed values are one: by type, each part of the one against a part of the other."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import sympy
from sympy.functions.elementary.trigonometric import TrigonometricFunction

from harness.grading.equal import real_number, rounds_to, same_quantity, same_value
from harness.grading.expressions import Unread
from harness.grading.regions import as_region, same_region
from harness.grading.values import Bag, Clock, Grid, Ordered, Quantity, Ratio, Region, Relation, Residue, Text

_ORDER = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}


def same(gold: Any, answer: Any) -> bool:
    """Whether the answer is the gold answer's value. Raises Unread where that cannot be said."""
    if gold == answer:
        return True
    gold, answer = _lone(gold), _lone(answer)
    if isinstance(gold, Quantity) and isinstance(answer, Quantity):
        return same_quantity(gold, answer)
    if isinstance(gold, Text) or isinstance(answer, Text):
        return _words(gold) == _words(answer) is not None
    if isinstance(gold, Relation) or isinstance(answer, Relation):
        if (found := _relations(gold, answer)) is not None:
            return found
    for one, other in ((gold, answer), (answer, gold)):
        if isinstance(one, Ordered) and isinstance(other, Bag) and not other.braces:
            return one.brackets == "()" and _in_order(one.items, other.items)
    if isinstance(gold, Ordered) and isinstance(answer, Ordered):
        return gold.brackets == answer.brackets and _in_order(gold.items, answer.items)
    if isinstance(gold, Bag) and isinstance(answer, Bag):
        return _bags(gold, answer)
    regions = as_region(gold), as_region(answer)
    if regions[0] is not None and regions[1] is not None:
        return same_region(regions[0], regions[1])
    return _others(gold, answer)


def _lone(value: Any) -> Any:
    """The element of a list or a set of one."""
    while isinstance(value, Bag) and len(value.items) == 1:
        value = value.items[0]
    return value


def _words(value: Any) -> str | None:
    if isinstance(value, Text):
        return value.words
    if isinstance(value, Quantity) and value.expr.is_Symbol and value.unit is None:
        return str(value.expr).casefold()
    return None


def _in_order(gold: Any, answer: Any) -> bool:
    return len(gold) == len(answer) and all(same(g, a) for g, a in zip(gold, answer, strict=True))


def _bags(gold: Bag, answer: Bag) -> bool:
    """Each item of the one with an item of the other; in sets an item counts once. Values said of the symbols in turn."""
    g, a = list(gold.items), list(answer.items)
    if gold.braces or answer.braces:
        g, a = _distinct(g), _distinct(a)
    if len(g) != len(a):
        return False
    if (named := _assigns_distinct(g)) != _assigns_distinct(a):
        other, items = (answer, a) if named else (gold, g)  # a set, and values of another name, do not say which is which
        if other.braces or any(_assigned(x) is not None for x in items):
            return False
        return _in_order(g, a)
    return _matched(g, a)


def _matched(gold: list[Any], answer: list[Any]) -> bool:
    left = list(answer)
    for g in gold:
        at = next((i for i, a in enumerate(left) if isinstance(g, Bag) == isinstance(a, Bag) and _quiet(g, a)), None)
        if at is None:
            return False
        left.pop(at)
    return True


def _quiet(gold: Any, answer: Any) -> bool:
    try:
        return same(gold, answer)
    except Unread:
        return False


def _distinct(items: list[Any]) -> list[Any]:
    out: list[Any] = []
    for item in items:
        if not any(_quiet(item, other) for other in out):
            out.append(item)
    return out


def _assigns_distinct(items: list[Any]) -> bool:
    """Whether the items give values to symbols, each to another."""
    names = [_assigned(item) for item in items]
    return None not in names and len(set(names)) == len(names) > 1


def _assigned(item: Any) -> str | None:
    """The symbol that an equation gives a value; of several that differ in their index alone, the letter."""
    if not isinstance(item, Relation) or set(item.signs) != {"="} or (name := _name(item.sides[0])) is None:
        return None
    return re.sub(r"_(?:\d+|\{\d+\})$", "", name)


def _name(side: Any) -> str | None:
    """The name that a side is: words, a function of something, a lone symbol."""
    if isinstance(side, str):
        return side
    return str(side.expr) if isinstance(side, Quantity) and side.unit is None and side.expr.is_Symbol else None


def _relations(gold: Any, answer: Any) -> bool | None:
    """Equations and inequalities; None where the region of one of them decides."""
    if isinstance(gold, Relation) and isinstance(answer, Relation):
        if set(gold.signs) == set(answer.signs) == {"="}:
            return _equations(gold, answer)
        if as_region(gold) is not None and as_region(answer) is not None:
            return None
        return _chains(gold, answer)
    relation, other = (gold, answer) if isinstance(gold, Relation) else (answer, gold)
    if isinstance(other, Region | Ordered | Bag) and as_region(relation) is not None:
        return None
    value = _value_of(relation)
    if value is None:
        return False
    return same(value, other) if relation is gold else same(other, value)


def _value_of(relation: Relation) -> Any:
    r"""What a chain of equalities says that its name is: the one number in it, or its last side, if every link holds.

    None where a link fails or is not proved, or the chain names nothing. `\approx` must hold to the digits written.
    """
    if not set(relation.signs) <= {"=", r"\approx"}:
        return None
    sides = list((_name_first(relation) if relation.signs == ("=",) else relation).sides)
    values = [side for side in sides if not isinstance(side, str)]
    if not values:
        return Text(sides[-1]) if len(sides) == 2 else None
    numbers = [side for side in values if not _has_symbols(side)]
    if isinstance(sides[-1], str) or (numbers and _has_symbols(sides[-1])):
        return None
    links = list(zip(sides, sides[1:], relation.signs, strict=False))
    if numbers:
        named = len(sides) - len(numbers)
        if any(map(_unsolved, sides[:named])):
            return None
        if any(_has_symbols(side) for side in sides[named:]) or r"\approx" in relation.signs[: max(named - 1, 0)]:
            return None
        links = links[named:]
        start = sides[named]
    else:
        if _name(sides[0]) is None:
            return None
        links, start = links[1:], sides[1]
    return start if all(_holds(*link) for link in links) else None


def _unsolved(side: Any) -> bool:
    """Whether a side asks for a symbol rather than being a name: `x + 1`, `x^2`; not `a + b`, `\\sin A`, `|z|`."""
    if not isinstance(side, Quantity) or side.expr.is_Symbol or len(side.expr.free_symbols) != 1:
        return False
    named = isinstance(side.expr, TrigonometricFunction)
    return not named and not (isinstance(side.expr, sympy.Abs) and re.match(r"[zw]$|.*(?:vec|arrow)", str(side.expr.args[0])))


def _has_symbols(side: Any) -> bool:
    if isinstance(side, str):
        return True
    if isinstance(side, Quantity):
        return bool(side.expr.free_symbols)
    items = side.items if isinstance(side, Ordered | Bag) else ()
    return any(_has_symbols(item) for item in items)


def _holds(left: Any, right: Any, sign: str) -> bool:
    if sign == "=":
        return _quiet(left, right)
    if not (isinstance(left, Quantity) and isinstance(right, Quantity)):
        return False
    exact = real_number(left.expr)
    return exact is not None and right.decimal is not None and rounds_to(exact, *right.decimal)


def _equations(gold: Relation, answer: Relation) -> bool:
    """The same equation but for a factor, or the same name with the same value."""
    gold, answer = _name_first(gold), _name_first(answer)
    names = _name(gold.sides[0]), _name(answer.sides[0])
    if names[0] != names[1] and (renamed := _renamed(*names, answer)) is not None:
        answer, names = renamed, (names[0], names[0])
    if None not in names and names[0] == names[1]:
        g, a = _value_of(gold), _value_of(answer)
        if g is not None and a is not None:
            return same(g, a)
    if len(gold.sides) != 2 or len(answer.sides) != 2:
        return _in_order(gold.sides, answer.sides) if str not in map(type, gold.sides + answer.sides) else False
    differences = [_difference(relation) for relation in (gold, answer)]
    if None in differences:
        return False
    g, a = (sympy.numer(sympy.together(d)) for d in differences)
    return _proportional(g, a)


def _renamed(gold: str | None, answer: str | None, relation: Relation) -> Relation | None:
    """`f(t) = t + 1` with the variable of `f(x)`, which it does not have otherwise; None for other names, for constants."""
    names = [re.fullmatch(r"([a-zA-Z]'*)\(([a-z])\)", name or "") for name in (gold, answer)]
    if None in names or len(relation.sides) != 2 or names[0][1] != names[1][1]:  # type: ignore[index]
        return None
    value, (new, old) = relation.sides[1], [name[2] for name in names if name]
    symbols = {str(symbol): symbol for symbol in value.expr.free_symbols} if isinstance(value, Quantity) else {}
    if new in symbols or old not in symbols:
        return None
    return Relation((gold, Quantity(value.expr.xreplace({symbols[old]: sympy.Symbol(new)}), value.unit)), relation.signs)


def _name_first(relation: Relation) -> Relation:
    """`4 = x` as `x = 4`."""
    turned = len(relation.sides) == 2 and _name(relation.sides[1]) is not None and _name(relation.sides[0]) is None
    return Relation(relation.sides[::-1], relation.signs) if turned else relation


def _difference(relation: Relation) -> Any:
    left, right = relation.sides
    if not all(isinstance(side, Quantity) and side.unit is None for side in (left, right)):
        return None
    return left.expr - right.expr


def _proportional(gold: Any, answer: Any, positive: bool = False) -> bool:
    """Whether one is a number times the other, not zero; `positive`: a positive one."""
    symbols = sorted(gold.free_symbols | answer.free_symbols, key=str)
    for value in (Fraction(3, 7), Fraction(11, 5), Fraction(-2, 3)):
        at = {s: sympy.Rational(value.numerator + i, value.denominator) for i, s in enumerate(symbols)}
        g, a = gold.subs(at), answer.subs(at)
        if real_number(g) in (None, 0) or real_number(a) in (None, 0):
            continue
        if positive and (real_number(g) > 0) != (real_number(a) > 0):
            return False
        return same_value(gold * a, answer * g)
    return False


def _chains(gold: Relation, answer: Relation) -> bool:
    """Inequalities in several symbols: link by link, from the left or from the right."""
    for sides, signs in (
        (answer.sides, answer.signs),
        (answer.sides[::-1], tuple(_ORDER.get(s, s) for s in answer.signs[::-1])),
    ):
        if signs == gold.signs and _in_order(gold.sides, sides):
            return True
    if len(gold.signs) != 1 or len(answer.signs) != 1 or not any(map(_has_symbols, gold.sides)):
        return False
    differences = [_difference(relation) for relation in (gold, answer)]
    if None in differences:
        return False
    g, a = differences
    if gold.signs == answer.signs:
        return _proportional(g, a, positive=gold.signs[0] in _ORDER)
    return _ORDER.get(gold.signs[0]) == answer.signs[0] and _proportional(g, -a, positive=True)


def _others(gold: Any, answer: Any) -> bool:
    """Residues, ratios, times, matrices and vectors."""
    if isinstance(gold, Residue) and isinstance(answer, Residue):
        if gold.name and answer.name and gold.name != answer.name or not same_value(gold.modulus, answer.modulus):
            return False
        apart = real_number((gold.value - answer.value) / gold.modulus)
        return isinstance(apart, Fraction) and apart.denominator == 1
    if isinstance(gold, Clock) and isinstance(answer, Clock):
        times = [(c.hour, c.minute, c.second) for c in (gold, answer)]
        return times[0] == times[1] and (not gold.half or not answer.half or gold.half == answer.half)
    if isinstance(gold, Ratio) and isinstance(answer, Ratio) and len(gold.parts) == len(answer.parts):
        g, a = ([part.expr for part in ratio.parts] for ratio in (gold, answer))
        return all(same_value(g[0] * y, a[0] * x) for x, y in zip(g[1:], a[1:], strict=True))
    for ratio, other in ((gold, answer), (answer, gold)):
        if isinstance(ratio, Ratio) and isinstance(other, Quantity) and len(ratio.parts) == 2 and ratio.parts[1].expr != 1:
            return same_value(
                sympy.Mul(ratio.parts[0].expr, sympy.Pow(ratio.parts[1].expr, -1, evaluate=False), evaluate=False), other.expr
            )
    if isinstance(gold, Grid) and isinstance(answer, Grid):
        return len(gold.rows) == len(answer.rows) and all(map(_in_order, gold.rows, answer.rows))
    for grid, other in ((gold, answer), (answer, gold)):
        if (
            isinstance(grid, Grid)
            and isinstance(other, Ordered)
            and other.brackets == "()"
            and 1 in (len(grid.rows), len(grid.rows[0]))
        ):
            return _in_order([x for row in grid.rows for x in row], other.items)
    return False
