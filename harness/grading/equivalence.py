"""Whether two mathematical answers are equal, by math-verify in child processes.

It may hang inside arithmetic that no alarm interrupts, and its own alarms work on the main thread alone.
"""

from __future__ import annotations

import re
from cmath import isfinite
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import product
from typing import Any, Literal

from harness.grading.answers import MAX_CHARS, Pair
from harness.grading.pool import run_many

Judgement = Literal["right", "wrong", "unparsed", "timeout", "error"]

_E_NOTATION = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))[eE]([+-]?[0-9]{1,6})")
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,14}")
_FRACTION = re.compile(r"(-?)\\frac\{([1-9][0-9]{0,14})\}\{([1-9][0-9]{0,14})\}")
AGREE = 1e-5
"""Relative difference up to which two numbers may be equal; 0.333333 and 1/3 differ by 1e-6."""


def at_sight(answer: str, gold: str) -> Judgement | None:
    """The verdict that math-verify would reach on stripped texts, where the texts alone settle it; else None.

    Equal texts: the forms that math-verify reads depend on the text alone, the last of them is the text itself after
    its normalisation, and equal strings are equal to it. So it either says "right" or reaches no verdict at all (out
    of time, or nothing to read). Two integers without sign of plus, leading zeros or separators: each is read as
    itself, integers are compared as such, and so as their texts. A plain fraction is read as its value: equal values are
    right, and those that `_unequal` tells apart are wrong.
    """
    if len(answer) > MAX_CHARS:
        return "unparsed"
    if answer == gold:
        return "right"
    a, g = rational(answer), rational(gold)
    if a is None or g is None:
        return None
    if a == g:
        return "right"
    return "wrong" if a.denominator == g.denominator == 1 or _unequal(g, a) else None


def rational(text: str) -> Fraction | None:
    """The value of a plain integer or of `\\frac` of two; None for any other text."""
    if _INTEGER.fullmatch(text):
        return Fraction(int(text))
    found = _FRACTION.fullmatch(text)
    return Fraction(int(found[1] + found[2]), int(found[3])) if found else None


def latex(answer: str) -> str:
    """What math-verify is given. It reads 4.5e33 as 4.5 times Euler's number times 33 and takes `\\mathrm{e}` for a
    unit, which it drops; both are rewritten."""
    number = _E_NOTATION.fullmatch(answer)
    if number:
        answer = f"{number[1]} \\times 10^{{{int(number[2])}}}"
    answer = answer.replace("\\mathrm{e}", "{e}")
    return f"\\boxed{{{answer}}}"


@lru_cache(maxsize=4096)
def _parse(answer: str) -> tuple[Any, ...]:
    """The forms that math-verify reads, in a child; kept there, because golds and common answers come again."""
    from math_verify import parse
    from math_verify.parser import LatexExtractionConfig

    boxed = [LatexExtractionConfig(boxed_match_priority=0)]
    return tuple(parse(latex(answer), boxed, parsing_timeout=None, raise_on_error=True))


def verify_pair(answer: str, gold: str) -> Judgement:
    """Compare in a child. Both sides go in as one LaTeX box, gold first: math-verify is not symmetric."""
    from math_verify import verify

    gold_forms = _parse(gold)
    try:
        answer_forms = _parse(answer)
    except Exception:
        answer_forms = ()
    if not gold_forms:
        return "error"
    if not answer_forms:
        return "unparsed"
    failed = False
    for g, a in product(gold_forms, answer_forms):
        try:
            values = _values(g, a)
            if _unequal(*values) if values is not None else _different_functions(g, a):
                continue
            if verify(g, a, timeout_seconds=None, raise_on_error=True):
                return "wrong" if values is not None and _far_apart(*values) else "right"
        except Exception:
            failed = True
    return "error" if failed else "wrong"


SCALES = (1, 100, Fraction(1, 100))
"""Nine per cent may be written 9, and 9 stands for 0.09 where that is the gold: math-verify's own rule."""


def _values(gold: Any, answer: Any) -> tuple[Any, Any] | None:
    """Both as real numbers of 30 digits; None where one is none, or is not certain to a digit."""
    from sympy import Expr

    if not all(isinstance(x, Expr) and x.is_number for x in (gold, answer)):
        return None
    g, a = (x.evalf(30) for x in (gold, answer))
    if not all(v.is_Number and v.is_finite and getattr(v, "_prec", 53) > 1 for v in (g, a)):  # 1: no digit is certain
        return None
    return g, a


def _unequal(gold: Any, answer: Any) -> bool:
    """True where math-verify cannot call two numbers equal, so that it need not simplify their difference.

    It does so for equal expressions, equal numbers at six decimals, a difference that vanishes at 15 digits, and 9% and
    9: all of these lie within 1e-5 at one of the scales.
    """
    return all(abs(gold - s * answer) > 1e-5 and abs(s * gold - answer) > 1e-5 for s in SCALES)


def _different_functions(gold: Any, answer: Any) -> bool:
    """The same for two expressions with symbols: apart at a point where both have a value, so that their difference
    cannot simplify to nothing. A lone symbol is compared by name, an undefined function has no value: False."""
    from sympy import Expr, Symbol

    if not all(isinstance(x, Expr) and not isinstance(x, Symbol) for x in (gold, answer)):
        return False
    symbols = sorted(gold.free_symbols | answer.free_symbols, key=str)
    at = {symbol: 0.3 + 0.0618 * i for i, symbol in enumerate(symbols)}  # positive: what holds for all x holds there
    try:
        g, a = (complex(x.subs(at).evalf()) for x in (gold, answer))
    except (TypeError, ValueError, AttributeError):
        return False
    if isfinite(g) != isfinite(a):  # simplifying an infinite product has been seen to end in zero
        return True
    return abs(g - a) > 1e-3 * max(1.0, abs(g), abs(a))


def _far_apart(gold: Any, answer: Any) -> bool:
    """True for two numbers that math-verify calls equal only because both are near zero: it rounds at six decimals."""
    return all(abs(gold - s * answer) > AGREE * max(abs(gold), abs(s * answer)) for s in SCALES)


def verify_many(pairs: Sequence[Pair], workers: int, timeout_s: float) -> dict[Pair, Judgement]:
    """Verdicts of distinct (extracted answer, gold) pairs, all of them from math-verify."""
    outcomes = run_many(verify_pair, pairs, workers, timeout_s)
    return {pair: _named(outcome) for pair, outcome in zip(pairs, outcomes, strict=True)}


def read_as(gold: str) -> Literal["value", "words", "text"]:
    """How a gold answer is read, in a child: as a value; as words alone, compared as such; or as a text that says more."""
    inner = re.sub(r"\\(?:text|mbox|mathrm|textbf)\{([^{}]*)\}", r"\1", gold)
    if re.fullmatch(r"[A-Za-z]{2,}(?:[ ,.'-]+[A-Za-z]+)*", inner.strip(" $")):
        return "words"
    return "value" if any(not isinstance(form, str) for form in _parse(gold)) else "text"


def _named(outcome: Judgement | Exception) -> Judgement:
    """An exception is the grader's failure: raised by math-verify, out of time, or the child died."""
    if isinstance(outcome, Exception):
        return "timeout" if isinstance(outcome, TimeoutError) else "error"
    return outcome
