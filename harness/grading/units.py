"""Units of measurement: their size and dimension, and the words that may stand beside a number without changing it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

Dimension = tuple[tuple[str, int], ...]
"""Base quantities with their powers, sorted; empty for a plain number."""


@dataclass(frozen=True)
class Unit:
    """So many of the base units of a dimension; `of_pi`: times pi (a degree is pi/180)."""

    factor: Fraction
    dimension: Dimension
    of_pi: bool = False


PERCENT = Unit(Fraction(1, 100), ())
DEGREE = Unit(Fraction(1, 180), (), of_pi=True)


def _table() -> dict[str, tuple[Fraction, str]]:
    lines = """
    length: m meter metre = 1; km kilometer kilometre = 1000; cm centimeter centimetre = 1/100
    length: mm millimeter millimetre = 1/1000; micrometer micron = 1/1000000; nm nanometer = 1/1000000000
    length: inch inche in = 127/5000; ft foot feet = 381/1250
    length: yd yard = 1143/1250; mi mile = 201168/125
    mass: kg kilogram = 1; g gram gm = 1/1000; mg milligram = 1/1000000; lb pound = 45359237/100000000
    mass: oz ounce = 45359237/1600000000; ton = 45359237/50000; tonne = 1000
    time: s sec second = 1; min minute = 60; h hr hour = 3600; day = 86400; week = 604800; ms millisecond = 1/1000
    time: year yr = 31557600; decade = 315576000; century = 3155760000
    month: month = 1
    money: dollar usd buck \\$ = 1; cent = 1/100
    euro: euro eur = 1
    sterling: gbp = 1
    yen: yen jpy = 1
    rupee: rupee rs inr = 1
    temperature: C celsius = 1
    fahrenheit: F fahrenheit = 1
    kelvin: K kelvin = 1
    current: A ampere amp = 1
    charge: coulomb = 1
    voltage: V volt = 1
    resistance: ohm = 1
    energy: J joule = 1; kJ kilojoule = 1000
    erg: erg = 1
    eV: eV electronvolt = 1; MeV = 1000000; keV = 1000; GeV = 1000000000
    power: W watt = 1; kW kilowatt = 1000
    force: N newton = 1
    pressure: Pa pascal = 1; kPa = 1000
    frequency: Hz hertz = 1; kHz = 1000; MHz = 1000000; GHz = 1000000000
    data: byte = 1; KB = 1000; MB = 1000000; GB = 1000000000
    substance: mol mole = 1
    horizon: mph = 1; kph kmph kmh = 1
    """
    table: dict[str, tuple[Fraction, str]] = {}
    for line in lines.strip().splitlines():
        dimension, _, entries = line.strip().partition(": ")
        for entry in entries.split(";"):
            names, _, factor = entry.partition("=")
            table |= {name: (Fraction(factor.strip()), dimension) for name in names.split()}
    return table


_TABLE = _table()
_COMPOUND = {
    **dict.fromkeys(("l", "L", "liter", "litre"), (Fraction(1, 1000), "length", 3)),
    **dict.fromkeys(("ml", "mL", "milliliter", "millilitre", "cc"), (Fraction(1, 10**6), "length", 3)),
    **dict.fromkeys(("gallon", "gal"), (Fraction(473176473, 125000000000), "length", 3)),
    **dict.fromkeys(("acre",), (Fraction(316160658, 78125), "length", 2)),
    **dict.fromkeys(("hectare",), (Fraction(10000), "length", 2)),
}
_RATES = {"mph": "mile/hour", "kph": "km/h", "kmph": "km/h", "kmh": "km/h"}
CURRENCY = "euro|eur|gbp|yen|rupee|rs|inr|usd"
"""Names and codes that may stand before an amount."""
BARE = "km|cm|mm|kg|mg|mph|kmph|mL|ml|ft|inches|inch|feet|foot|yards|yard|miles|mile|meters|meter|metres|metre|grams|gram"
BARE += "|kilometers|centimeters|hours|hour|minutes|seconds|days|weeks|months|years|dollars|cents|degrees|degree|units|unit"
BARE += "|pounds|liters|litres|square|cubic|percent|radians"
"""Names that are a unit after a number without being set as text."""
GENERIC = {"unit", "units", "squnits"}
_PLURALS = "cup student marble people men women children feet mice sheep fish geese teeth dice units cattle deer".split()
CHANGING = set(
    """or and if then else otherwise when unless not no nor never neither either both except but maybe perhaps probably possibly
    plus minus times less tenths hundredths thousandths halves thirds fourths quarters fifths sixths sevenths eighths ninths
    is was has does this its us always sometimes yes pairs dozens hundreds thousands millions billions trillions scores
    approximately about around nearly almost roughly mod modulo base wrong false incorrect squared cubed factorial percent
    over under above below between to of from by negative positive more most least fewer greater than up down double
    triple twice     half third quarter per cubes squares roots cases ways' others guess guesses us as plus ones tens factorials
    powers logs logarithms""".split()
)
"""Words that change what stands before them, or may: never the name of what is counted."""
NUMBER_WORDS = {"dozen": 12, "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SMALL = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_SMALL += " seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {w: i for i, w in enumerate(_SMALL.split())} | {w: 20 + 10 * i for i, w in enumerate(_TENS.split())}


def number_in_words(text: str) -> int | None:
    """`twenty-five`, `five million`; None for any other words."""
    total, part = 0, None
    for word in text.casefold().replace("-", " ").split():
        if word in _WORDS:
            if part is not None and (part % 100 < 20 or part % 10 or _WORDS[word] >= 10) and part % 100:
                return None
            part = (part or 0) + _WORDS[word]
        elif word in NUMBER_WORDS and part:
            part *= NUMBER_WORDS[word]
            if NUMBER_WORDS[word] > 100:
                total, part = total + part, None
        elif word != "and" or (part is None and not total):
            return None
    return total + (part or 0) if total or part is not None else None


def read_unit(text: str) -> Unit | None:
    """The unit that a text names, `km/h`, `square feet`, `m s^{-1}`, or the plural of what is counted; None for any other.

    An unknown noun is a dimension of its own.
    """
    text = re.sub(r"[{}]|\\text", " ", text).replace("\\cdot", " ").replace("\\times", " ").replace("\\,", " ")
    for name, rate in _RATES.items():
        text = re.sub(rf"(?<![a-zA-Z]){name}(?![a-zA-Z])", rate, text)
    text = re.sub(r"\b(sq|cu|ft|in|yd|lb|oz|hr|sec|min)\.", r"\1", text)
    text = re.sub(r"\b(years?|months?|weeks?|days?)[ -]old\b", r"\1", text)
    text = re.sub(r"\b(per|each)\b|(?<=\w) an? (?=\w)", " / ", text)
    tokens = re.findall(r"\\\$|\\%|[a-zA-Z'\u00b5-]+|\^\s*-?\s*\d+|/|\S", text)
    factor, powers, of_pi = Fraction(1), dict[str, int](), False
    sign, waiting, i = 1, 1, 0
    while i < len(tokens):
        token = tokens[i]
        i += 1
        if token == "/":
            if sign < 0 or i == len(tokens):
                return None
            sign = -1
            continue
        if token in ("square", "sq", "cubic", "cu"):
            waiting = 2 if token.startswith("sq") else 3
            if i == len(tokens):
                return None
            continue
        if not re.fullmatch(r"\\\$|[a-zA-Z'\u00b5-]+", token):
            return None
        power = waiting
        waiting = 1
        if i < len(tokens) and tokens[i].startswith("^"):
            power = int(tokens[i][1:].replace(" ", ""))
            i += 1
        elif i < len(tokens) and tokens[i] in ("squared", "cubed"):
            power = 2 if tokens[i] == "squared" else 3
            i += 1
        size, dimension, order = _named(token)
        if not dimension and _adjective(token) and i < len(tokens) and tokens[i].isalpha():
            continue
        if not dimension and token not in GENERIC and not token.casefold().startswith(("rad", "unit")):
            return None
        factor *= size ** (sign * power)
        if dimension:
            powers[dimension] = powers.get(dimension, 0) + sign * power * order
    return Unit(factor, tuple(sorted((d, p) for d, p in powers.items() if p)), of_pi)


def _adjective(word: str) -> bool:
    """A word before the name of what is counted: `distinct integers`."""
    low = word.casefold()
    return (
        low.isalpha()
        and len(low) > 2
        and low not in CHANGING | GENERIC
        and number_in_words(low) is None
        and low not in NUMBER_WORDS
    )


_ANY_CASE = set("km cm kg ft in hr gm oz lb yd mi ml rs".split())
"""Names of one or two letters that are one unit, whatever their case; `M` is not `m`."""
_ORDINAL = re.compile(r"(?:ieth|teenth|elevenths?|twelfth|illionth|hundredth|thousandth)s?$")
"""Parts of a whole: `5 elevenths`."""


def _named(word: str) -> tuple[Fraction, str, int]:
    any_case = word.casefold() if len(word) > 2 or word.casefold() in _ANY_CASE else word
    for name in (word, any_case, re.sub(r"(?<=..)s$", "", word), re.sub(r"(?<=..)s$", "", any_case)):
        if name in _TABLE:
            return *_TABLE[name], 1
        if name in _COMPOUND:
            return _COMPOUND[name]
    low = word.casefold()
    if low in GENERIC or low in ("radian", "radians", "rad") or low in CHANGING or number_in_words(low) is not None:
        return Fraction(1), "", 0
    if _ORDINAL.search(low):
        return Fraction(1), "", 0
    if low in _PLURALS or (len(low) > 3 and low.endswith("s") and not low.endswith(("ss", "us", "is"))):
        return Fraction(1), "of " + low.removesuffix("s"), 1
    return Fraction(1), "", 0
