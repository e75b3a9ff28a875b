"""Whether two mathematical answers are equal: at sight, or by reading both whole, in child processes.

Arithmetic may run into what no alarm interrupts, so that everything that computes does so in the pool's children.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from harness.grading.answers import MAX_CHARS, Pair, last_boxed
from harness.grading.layout import normalise, same_text, same_words
from harness.grading.pool import run_many

Judgement = Literal["right", "wrong", "unparsed", "timeout", "error"]

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,14}")
_FRACTION = re.compile(r"(-?)\\frac\{([1-9][0-9]{0,14})\}\{([1-9][0-9]{0,14})\}")
_BEYOND = re.compile(r"\d{1001}|(?:\^\s*\{?\s*-?\s*(?:\d+|[a-zA-Z]|\\[a-zA-Z]+)\s*){7}")
"""A number of more than 1,000 digits; powers of powers, seven high."""
MAX_DEPTH = 30
"""Brackets within brackets; a deeper answer is not read: status unparsed. No gold answer of the suites has ten."""


def at_sight(answer: str, gold: str) -> Judgement | None:
    """The verdict on stripped texts where the texts alone settle it; else None, which asks a child.

    Too long, too deep or with what `_BEYOND` finds: unparsed. Equal texts: right. Two plain integers or fractions:
    by value.
    """
    if len(answer) > MAX_CHARS or _BEYOND.search(answer) or not readable_depth(answer):
        return "unparsed"
    if answer == gold:
        return "right"
    a, g = rational(answer), rational(gold)
    return None if a is None or g is None else "right" if a == g else "wrong"


def readable_depth(text: str) -> bool:
    """Whether brackets of all kinds stand within each other no deeper than MAX_DEPTH."""
    depth = 0
    for c in text:
        if c in "([{":
            depth += 1
            if depth > MAX_DEPTH:
                return False
        elif c in ")]}":
            depth -= 1
    return True


def rational(text: str) -> Fraction | None:
    """The value of a plain integer or of `\\frac` of two; None for any other text."""
    if _INTEGER.fullmatch(text):
        return Fraction(int(text))
    found = _FRACTION.fullmatch(text)
    return Fraction(int(found[1] + found[2]), int(found[3])) if found else None


def gold_text(gold: str) -> str:
    """The answer in a gold text as a user may have it: after `####` of a solution, in a box, without a sign of rounding."""
    gold = gold.rpartition("####")[2].strip()
    return re.sub(r"^\$?\s*\\approx(?![a-zA-Z])\s*", "", last_boxed(gold) or gold)


def verify_pair(answer: str, gold: str) -> Judgement:
    """Compare in a child: right where both are read whole and are one value, or are one text in one spelling."""
    from harness.grading.compare import same
    from harness.grading.expressions import Unread
    from harness.grading.reading import read

    gold = gold_text(gold)
    if answer == gold:
        return "right"
    plain, gold_plain = normalise(answer), normalise(gold)
    if not plain:
        return "unparsed"
    if same_text(plain, gold_plain) or same_words(plain, gold_plain):
        return "right"
    try:
        return "right" if same(read(gold), read(answer)) else "wrong"
    except Unread:
        return "wrong"
    except RecursionError:
        return "unparsed"


def verify_many(pairs: Sequence[Pair], workers: int, timeout_s: float) -> dict[Pair, Judgement]:
    """Verdicts of distinct (extracted answer, gold) pairs, each compared in a child."""
    outcomes = run_many(verify_pair, pairs, workers, timeout_s)
    return {pair: _named(outcome) for pair, outcome in zip(pairs, outcomes, strict=True)}


def _named(outcome: Judgement | Exception) -> Judgement:
    """An exception is the grader's failure: out of time, or the child died."""
    if isinstance(outcome, Exception):
        return "timeout" if isinstance(outcome, TimeoutError) else "error"
    return outcome
