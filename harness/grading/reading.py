"""From the text of an answer to a typed value, whole or not at all: what is left over makes it unread.

Imported in the grader's children only: it loads sympy.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import product
from typing import Any

import sympy

from harness.grading.expressions import Unread, read_expression
from harness.grading.layout import TEXT, closing, normalise
from harness.grading.quantities import compound, quantity
from harness.grading.regions import Reals, as_region, complement, intersection, of_one_symbol, union
from harness.grading.split import (
    AND,
    OR,
    RELATIONS,
    letter_named,
    split,
    unwrapped,
    with_words,
    without_declaration,
    without_filler,
    words_of,
)
from harness.grading.units import CHANGING, number_in_words
from harness.grading.values import Bag, Based, Clock, Grid, Ordered, Quantity, Ratio, Region, Relation, Residue, Text, Value

_REALS = re.compile(r"(?:x is )?(?:all|any) (?:real numbers?|reals?)|(?:the )?(?:set of )?(?:all )?real numbers|all real x")

_NO_VALUE = re.compile(
    r"(?:the |this )?(?:limit |value |answer |it |is )*(?:does not exist|doesn't exist|dne|d n e|undefined|not defined)"
)
"""One family: of a limit, a sum, a value at a pole."""


@lru_cache(maxsize=8192)
def read(text: str) -> Value:
    """The value of an answer. Raises Unread (TooLarge among them) where a part of it is not understood."""
    normal = normalise(text)
    words = words_of(normal) or (normal if re.fullmatch(r"[A-Za-z]{2,}(?:[ '-][A-Za-z]+)*", normal) else None)
    if words is not None and _NO_VALUE.fullmatch(words.casefold()):
        return Text("undefined")
    spoken = " ".join((words or TEXT.sub(r"\1", normal)).replace("\\infty", "infinity").casefold().split())
    if found := re.fullmatch(r"(positive |plus |negative |minus )?infinity", spoken):
        return Quantity(-sympy.oo if found[1] in ("negative ", "minus ") else sympy.oo)
    if words is not None and _REALS.fullmatch(words.casefold()):
        return Region((Reals,))
    if words is not None and not re.search("[-?]", normal) and (letter := letter_named(words)):
        return Text(letter)
    if words is not None and (number := number_in_words(words)) is not None:
        return Quantity(sympy.Integer(number))
    if re.fullmatch(r"[A-Za-z]{4,}", normal) and list(normal) != sorted(normal):  # a word; products are in order: `abcd`
        return Text(normal.casefold())
    try:
        return _whole(without_filler(with_words(normal)))
    except Unread:
        if words is not None:
            return Text(words.casefold())
        raise


def _whole(text: str) -> Value:
    """A list of values, or one."""
    text = unwrapped(_environment(without_declaration(text)))
    text = re.sub(r"^<([^<>=]*,[^<>=]*)>$", r"(\1)", text)
    if (turned := _turned_brackets(text)) != text:
        region = as_region(_whole(turned))
        if region is None:
            raise Unread(text)
        return region
    alternatives, _ = split(text, (OR,))
    if len(alternatives) > 1:
        values = [_conjunction(part.strip(" ,")) for part in alternatives]
        if (regions := of_one_symbol(values)) is not None:
            return union(regions)
        return Bag(tuple(_flat(values)))
    return _conjunction(alternatives[0])


_END = r"((?:[^][,;{}()]|\{[^{}]*\}|\([^()]*\))+)"
_TURNED = re.compile(
    rf"(?:(?<=^)|(?<=[=\s])|(?<=cup)|(?<=cap)|(?<=in))([][(])\s*{_END}\s*[,;]\s*{_END}\s*([][)])(?=\s*(?:$|\\c[ua]p))"
)


def _turned_brackets(text: str) -> str:
    """`]1,3[` as `(1,3)`, where its ends are in order."""

    def turned(found: re.Match[str]) -> str:
        left, low, high, right = found.groups()
        if left != "]" and right != "[":
            return found[0]
        ends = tuple(_infinity(end) if "\\infty" in end else read_expression(end.strip()) for end in (low, high))
        left, right = left.replace("]", "("), right.replace("[", ")")
        if as_region(Ordered(tuple(map(Quantity, ends)), left + right)) is None:
            raise Unread(text)
        return f"{left}{low},{high}{right}"

    return _TURNED.sub(turned, text) if text[:1] == "]" or text[-1:] == "[" or "[\\c" in text.replace(" ", "") else text


def _conjunction(text: str) -> Value:
    if (found := compound(text)) is not None:
        return found
    parts, marks = split(text, (AND,))
    if len(parts) > 1:
        values = [_listed(part.strip(" ,")) for part in parts]
        regions = of_one_symbol(values)
        if regions is not None and not any(isinstance(value, Ordered) for value in values):
            return intersection(regions)
        return Bag(tuple(_flat(values)))
    return _listed(text)


def _listed(text: str) -> Value:
    if re.fullmatch(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?:\s*(?:\\text\{.*|\\%|\^\\circ.*))?", text):
        return _item(text.replace(",", ""))
    parts, _ = split(text, (",", ";"))
    if len(parts) == 1:
        return _item(parts[0])
    if any(not part for part in parts):
        raise Unread(text)
    text = re.sub(r"(?<![\d,])(\d{1,3}(?:,\d{3})+)(?![,\d])", lambda m: m[1].replace(",", ""), text)
    parts, marks = split(text, (";",))
    if marks and any("," in part for part in parts):
        return Bag(tuple(_listed(part) for part in parts))
    parts = split(text, (",", ";"))[0]
    if (found := re.match(r"\S+\s*\\ne(?![a-zA-Z])", parts[0])) and not any(split(part, RELATIONS)[1] for part in parts[1:]):
        parts = [parts[0], *(f"{found[0]} {part}" for part in parts[1:])]
    values = [_item(part) for part in parts]
    regions = [as_region(value) if isinstance(value, Region | Relation) else None for value in values]
    if None not in regions and len({region.name for region in regions if region}) == 1:
        both = intersection([region for region in regions if region])
        return both if both.pieces else union([region for region in regions if region])
    return Bag(tuple(_flat(values)))


def _flat(values: list[Any]) -> list[Any]:
    """Lists in a list, as one list."""
    return [x for value in values for x in (value.items if isinstance(value, Bag) and not value.braces else [value])]


def _item(text: str) -> Value:
    text = unwrapped(without_filler(text))
    if not text:
        raise Unread(text)
    if text.startswith("\\{") and closing(text, 0) == len(text):
        return _braces(text[2:-2].strip())
    if re.search(r"\\(?:pm|mp)(?![a-zA-Z])", text):
        return _both_signs(text)
    for reading in (_residue, _of_inequalities, _relation, _set_operation, _bracketed, _grid, _special):
        if (value := reading(text)) is not None:
            return value
    return quantity(text)


def _both_signs(text: str) -> Value:
    r"""`\pm` as both values, each independent of the others unless `\mp` ties them."""
    places = list(re.finditer(r"\\(pm|mp)(?![a-zA-Z])", text))
    if len(places) > 4:
        raise Unread(text)
    tied = any(place[1] == "mp" for place in places)
    choices = [("+",) * len(places), ("-",) * len(places)] if tied else list(product("+-", repeat=len(places)))
    values = []
    for signs in choices:
        out, start = [], 0
        for place, sign in zip(places, signs, strict=True):
            turned = {"+": "-", "-": "+"}[sign] if place[1] == "mp" else sign
            out += [text[start : place.start()], turned + " "]
            start = place.end()
        written = "".join(out) + text[start:]
        values.append(_item(re.sub(r"(^|[=({\[,])\s*\+ ", r"\1", written)))
    return Bag(tuple(_flat(values)))


def _braces(inner: str) -> Value:
    r"""A set: its elements, or the condition after `|`, `:` or `\mid`."""
    if not inner:
        return Bag((), braces=True)
    parts, marks = split(inner, ("|", ":", "\\mid"))
    if marks and (name := re.fullmatch(r"([a-zA-Z])(?:\s*\\in\s*(\\mathbb\{R\}))?", parts[0])):
        condition = _whole(inner[inner.index(marks[0]) + len(marks[0]) :].strip())
        if isinstance(condition, Bag) and not condition.braces:
            parts_of = of_one_symbol(condition.items)
            condition = intersection(parts_of) if parts_of is not None else condition
        region = as_region(condition)
        if region is None or region.name not in ("", name[1]):
            raise Unread(inner)
        return Region(region.pieces)
    found = _listed(inner)
    return Bag(found.items if isinstance(found, Bag) and not found.braces else (found,), braces=True)


def _residue(text: str) -> Value | None:
    found = re.fullmatch(r"(.+?)\s*\(?\\(?:pmod|mod)(?![a-zA-Z])\s*\{?\s*(\w+)\s*\}?\s*\)?", text)
    if not found:
        return None
    sides, _ = split(found[1].rstrip("( "), ("\\equiv", "="))
    if len(sides) > 2:
        raise Unread(text)
    return Residue(sides[0] if len(sides) == 2 else "", read_expression(sides[-1]), read_expression(found[2]))


_NAME = re.compile(
    r"\\?[a-zA-Z]+'*(?:_(?:\w|\{[^{}]*\}))?'*(?:\s*\([^()]*\))?|\\angle\s*\w+|\|?\\(?:overline|vec|overrightarrow|hat|bar)\{\w+\}\|?"
)
_FUNCTION = re.compile(r"[a-zA-Z]'+|[a-zA-Z]'*(?:_\w|_\{[^{}]*\})?(?:\^\{-1\})?\s*\([^()]*\)")


def _of_inequalities(text: str) -> Value | None:
    r"""`x < 0 \cup x > 3`, as it is also written: every part an inequality."""
    parts, signs = split(text, ("\\cup", "\\cap"))
    inequalities = tuple(sign for sign in RELATIONS[1:6])
    if not signs or not all(set(split(part, RELATIONS)[1]) & set(inequalities) for part in parts):
        return None
    return _set_operation(text)


def _relation(text: str) -> Value | None:
    r"""A chain: numbers must be equal where it says so; `x \in`, `x <` and `\ne` give a set of numbers."""
    sides, signs = split(text, RELATIONS)
    if not signs:
        return None
    if any(not side for side in sides) or "\\equiv" in signs:
        raise Unread(text)
    if signs in (["\\in"], ["\\notin"]):
        found = _whole(sides[1])
        if not _NAME.fullmatch(sides[0]) and not (
            isinstance(found, Bag) and re.fullmatch(r"\([a-z](?:\s*,\s*[a-z])+\)", sides[0])
        ):
            raise Unread(text)
        if isinstance(found, Bag) and signs == ["\\in"]:
            return found
        region = as_region(found)
        if region is None:
            raise Unread(text)
        pieces = region.pieces if signs == ["\\in"] else complement(region).pieces
        return Region(pieces, sides[0])
    if "\\in" in signs or "\\notin" in signs:
        raise Unread(text)
    read_sides: list[Any] = []
    for i, side in enumerate(sides):
        name = words_of(side)
        if name is not None and not set(name.split()) & CHANGING:
            read_sides.append(name)
        elif i in (0, len(signs)) and set(signs) == {"="} and _FUNCTION.fullmatch(side):
            read_sides.append("".join(side.split()))
        else:
            read_sides.append(_item(side))
    return Relation(tuple(read_sides), tuple(signs))


def _set_operation(text: str) -> Value | None:
    parts, signs = split(text, ("\\cup", "\\cap", "\\setminus"))
    if not signs:
        return Region((Reals,)) if text == "\\mathbb{R}" else Bag((), braces=True) if text == "\\emptyset" else None
    known = of_one_symbol([_item(part) for part in parts])
    if known is None or len(set(signs)) > 1:
        raise Unread(text)
    if signs[0] == "\\cup":
        return union(known)
    return intersection(known if signs[0] == "\\cap" else [known[0], *map(complement, known[1:])])


def _bracketed(text: str) -> Value | None:
    """A tuple or an interval."""
    if text[0] not in "([" or text[-1] not in ")]" or closing(text, 0) != len(text):
        return None
    text = re.sub(r"(?<![\d.,])([1-9]\d{0,2}),(0\d\d)(?![\d.,])", r"\1\2", text)
    parts, marks = split(text[1:-1], (",", ";"))
    if not marks:
        return None
    if any(not part for part in parts):
        raise Unread(text)
    return Ordered(
        tuple(_item(part) if "\\infty" not in part else Quantity(_infinity(part)) for part in parts), text[0] + text[-1]
    )


def _infinity(text: str) -> Any:
    found = {"\\infty": sympy.oo, "+\\infty": sympy.oo, "-\\infty": -sympy.oo}.get(text.replace(" ", ""))
    if found is None:
        raise Unread(text)
    return found


def _grid(text: str) -> Value | None:
    """A matrix."""
    inner = text[1:-1].strip() if text[0] in "([" and text[-1] in ")]" and closing(text, 0) == len(text) else text
    factor, at = None, inner.find("\\begin{")
    if at > 0 and inner[at:].startswith(("\\begin{pm", "\\begin{bm")):
        factor, inner = read_expression(re.sub(r"\\(?:cdot|times)\s*$", "", inner[:at].strip()).strip()), inner[at:]
    found = re.fullmatch(
        r"\\begin\{(?:[pbB]|small)?(matrix|array)\}(?:\{[clr| ]*\})?(.*)\\end\{(?:[pbB]|small)?\1\}", inner, re.DOTALL
    )
    if not found:
        return None
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?", found[2]) if row.strip()]
    cells = tuple(tuple(_item(cell.strip()) for cell in row.split("&")) for row in rows)
    if len({len(row) for row in cells}) != 1:
        raise Unread(text)
    return Grid(cells if factor is None else tuple(tuple(_times(factor, cell) for cell in row) for row in cells))


def _times(factor: Any, cell: Value) -> Quantity:
    if not isinstance(cell, Quantity) or cell.unit is not None:
        raise Unread("a matrix of other things than numbers")
    return Quantity(sympy.Mul(factor, cell.expr, evaluate=False))


def _environment(text: str) -> str:
    """A system of equations as a list of them."""
    found = re.fullmatch(
        r"(?:\\\{)?\\begin\{(cases|aligned|align|array|gathered)\}(?:\{[clr| ]*\})?(.*)\\end\{\1\}\.?", text, re.DOTALL
    )
    if not found:
        return text
    if found[1] == "cases" and "&" in found[2]:
        raise Unread(text)
    return AND.join(row.replace("&", "").strip(" ,") for row in re.split(r"\\\\", found[2]) if row.strip())


_BASE = {"twelve": 12, "sixteen": 16}
_BASE |= {name: n for n, name in enumerate("two three four five six seven eight nine ten".split(), 2)}


def _special(text: str) -> Value | None:
    """A number with its base, a time of day, a ratio."""
    plain = TEXT.sub(r"\1", text).strip()
    found = re.fullmatch(r"\(?\s*(-?\s*[0-9A-Za-z .]*\d[0-9A-Za-z .]*?)\s*\)?\s*_\s*\{?\s*\(?(\w+)\)?\s*\}?", plain)
    if found and (base := int(found[2]) if found[2].isdigit() else number_in_words(found[2])):
        return Based("".join(found[1].upper().split()), base)
    found = re.fullmatch(r"(\d{1,2})(?: ?: ?(\d\d)(?: ?: ?(\d\d))?)?(?:\s*([apAP])\s*\.?\s*[mM]\s*\.?)?", plain)
    if found and (found[2] or found[4]) and int(found[1]) < 25 and int(found[2] or 0) < 60:
        return Clock(int(found[1]), int(found[2] or 0), int(found[3] or 0), (found[4] or "").lower())
    parts, marks = split(text, (":",))
    if marks:
        return Ratio(tuple(quantity(part) for part in parts))
    return None
