"""A number or an expression with the unit that it is said in.

Imported in the grader's children only: it loads sympy.
"""

from __future__ import annotations

import re
from fractions import Fraction

import sympy

from harness.grading.equal import real_number
from harness.grading.expressions import Unread, read_expression
from harness.grading.layout import TEXT
from harness.grading.split import AND
from harness.grading.units import CHANGING, CURRENCY, DEGREE, NUMBER_WORDS, PERCENT, Unit, read_unit
from harness.grading.values import Quantity

_NUMBER = r"(\d+(?:\.\d+)?|\d*\s*\\frac\{\d+\}\{\d+\})"
_AMOUNT = re.compile(rf"{_NUMBER}\s*\\text\{{([^{{}}]*)\}}\s*({AND}?)\s*")


def compound(text: str) -> Quantity | None:
    """`1 hour 30 minutes`: amounts of one dimension in falling units, each less than one of the unit before."""
    if text.count("\\text") < 2 or _AMOUNT.sub("", text) or (parts := _AMOUNT.findall(text))[-1][2]:
        return None
    units = [unit for part in parts if (unit := read_unit(part[1])) is not None]
    first = units[0] if len(units) == len(parts) else None
    if first is None or not first.dimension or first.dimension[0][0].startswith("of "):
        return None
    total, before = Fraction(0), None
    for (number, _, _), unit in zip(parts, units, strict=True):
        amount = real_number(read_expression(number))
        if unit.dimension != first.dimension or (before is not None and not amount * unit.factor < before):
            return None
        total, before = total + amount * unit.factor, unit.factor
    total /= first.factor
    return Quantity(sympy.Rational(total.numerator, total.denominator), first)


_MEASURED = re.compile(
    rf"{_NUMBER}\s+((?:[mgsLNJW]|km|cm|mm|kg)(?:\^\{{?[23]\}}?)?(?:\s*/\s*(?:\{{\s*)?[sh](?:\^\{{?2\}}?)?(?:\s*\}})?)?)"
)
"""A number, a space and the sign of a unit: also a product with symbols."""


def quantity(text: str) -> Quantity:
    """A number or an expression, and the unit after it (or the currency before it)."""
    number, unit, scale = _unit_of(text)
    decimal = None
    if found := re.fullmatch(r"\{?([-+]?\d+\.(\d+))\}?", number):
        decimal = Fraction(found[1]), len(found[2])
    expr = read_expression(number)
    if scale != 1:
        expr, decimal = sympy.Mul(expr, sympy.Integer(scale), evaluate=False), None
    measured = None
    if unit is None and (found := _MEASURED.fullmatch(number)):
        measured = Quantity(read_expression(found[1]), read_unit(found[2]))
    return Quantity(expr, unit, decimal, measured)


_BEFORE = re.compile(rf"(-)?\s*(?:\\\$|(?i:\\text\{{\s*({CURRENCY})\s*\.?\s*\}}))\s*(.+)")
"""A currency before its amount."""


def _unit_of(text: str) -> tuple[str, Unit | None, int]:
    if found := _BEFORE.fullmatch(text):
        number, unit, scale = _unit_of((found[1] or "") + found[3])
        currency = read_unit(found[2] or "dollar")
        if unit is not None and unit != currency:
            raise Unread(text)
        return number, currency, scale
    if found := re.fullmatch(r"(.+?)\s*\\%", text):
        if "\\%" in found[1]:
            raise Unread(text)
        return found[1], PERCENT, 1
    if found := re.fullmatch(r"(.+?)\s*\^\\circ", text):
        if not re.search(r"\\circ|\\(?:sin|cos|tan|cot|sec|csc)", found[1]):
            return found[1], DEGREE, 1
    if found := re.fullmatch(r"(.+?)\s*\^\\circ\s*(?:\\text)?\{?\s*([CFK])\s*\}?", text):
        return found[1], read_unit(found[2]), 1
    text = re.sub(r"\\frac\{\s*\\text\{([^{}]*)\}\s*\}\{\s*\\text\{([^{}]*)\}(\^\{?\d\}?)?\s*\}", r"\\text{\1/\2\3}", text)
    at = text.find("\\text{")
    if at <= 0:
        return text, None, 1
    number, rest = text[:at].strip(), text[at:]
    words = re.sub(r"(?<=[a-z])\.\s*$", "", TEXT.sub(r" \1 ", rest).strip())
    scale = 1
    while found := re.match(rf"\s*({'|'.join(NUMBER_WORDS)})(?![a-z])", words):
        scale *= NUMBER_WORDS[found[1]]
        words = words[found.end() :]
    if words.strip() in ("percent", "per cent", "percentage"):
        return number, PERCENT, scale
    if words.strip() in ("degree", "degrees", "deg"):
        return number, DEGREE, scale
    if not words.strip():
        return number, None, scale
    unit = read_unit(words)
    if unit is None and number == "1" and words.strip().isalpha() and words.strip() not in CHANGING:
        unit = read_unit(words.strip() + "s")
    if unit is None:
        raise Unread(text)
    pure = unit == Unit(Fraction(1), ()) and not re.search(r"\brad", words)
    return number, None if pure else unit, scale
