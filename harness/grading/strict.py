"""The strict training reward: right by the evaluation's grader, in one box, and in the form that the gold answer has.

Written from a description of the reward that P2O's release trains with (Lu et al. 2026; docs/reward.md says what is
the same and what is not). It grades mathematics; other answer types have one grader.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import gcd

from harness.core.settings import RewardRule
from harness.grading.graders import Grade, grade_many

_BOX = re.compile(r"\\boxed(?![a-zA-Z])")
_LAYOUT = [
    (re.compile(pattern), new)
    for pattern, new in (
        (r"\\left\b\.?|\\right\b\.?|\\displaystyle\b|\\[!,;:]|\\ |~|\$(?![0-9])|\\[()]", " "),
        (r"\\[dt]frac", r"\\frac"),
        (r"(?<=[0-9])\{,\}(?=[0-9])", ","),
        (r"\^\s*(?:\\circ|\{\s*\\circ\s*\})|\\degree|\u00b0", ""),
        (r"\\?\$", ""),
        (r"\u2212|\u2013", "-"),
        (r"\\frac\s*([0-9])\s*([0-9])(?![0-9])", r"\\frac{\1}{\2}"),
        (r"^\s*\\(?:text|mbox|mathrm|mathbf)\s*\{([^{}]*)\}\s*$", r"\1"),
        (r"\s*\\(?:text|mbox|mathrm)\s*\{[^{}]*\}(?:\^\{?[0-9]\}?)?\s*\.?$", ""),  # a unit at the end
        (r"^\s*[a-zA-Z]\s*(?:=|\\in\b)\s*(?=[^=]*$)", ""),  # x = 5
        (r"(?s)^.*####\s*", ""),  # a row of GSM8K as it is
        (r"\.\s*$", ""),
    )
]
_INTEGER = re.compile(r"[+-]?\s*(?:[0-9]+|[0-9]{1,3}(?:,\s?[0-9]{3})+)(?:\.0*)?")
_DECIMAL = re.compile(r"[+-]?\s*(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)?\.[0-9]+")
_FRACTION = re.compile(r"([+-]?)\s*([0-9]+)?\s*\\frac\s*\{\s*(-?[0-9]+)\s*\}\s*\{\s*(-?[0-9]+)\s*\}")
_SLASH = re.compile(r"([+-]?)\s*(?:([0-9]+)\s+)?(-?[0-9]+)\s*/\s*([0-9]+)")
_PERCENT = re.compile(r"%|\\text\s*\{\s*percent\s*\}")
_SHAPES = [
    re.compile(pattern)
    for pattern in (
        r"\\pm|\\mp|\u00b1",  # two values in one
        r"\\cup|\\cap|\\setminus|\\infty|\\mathbb",  # a set
        r"[<>]|\\(?:leq?|geq?|neq?|lt|gt|in|mid)(?![a-zA-Z])",  # a relation
        r"=",
        r"\\begin",  # a matrix
        r"\.[0-9]",  # a decimal
    )
]
"""Forms that two answers have both or neither."""


def reward_many(items: Sequence[tuple[str, str, str]], rule: RewardRule) -> list[Grade]:
    """Training rewards of (completion, gold, answer type) items, in order. Raises as `grade_many`.

    Under `strict` a completion with several boxes has status unparsed; an answer of another form is graded, and wrong.
    """
    grades = grade_many(items)
    if rule == "evaluation":
        return grades
    return [_strict(item, grade) if item[2] == "math" else grade for item, grade in zip(items, grades, strict=True)]


def _strict(item: tuple[str, str, str], grade: Grade) -> Grade:
    completion, gold, _ = item
    if len(_BOX.findall(completion)) != 1:
        return Grade(0.0, "unparsed", None)
    if grade.score and not (grade.answer and same_form(grade.answer, gold)):
        return replace(grade, score=0.0)
    return grade


def same_form(answer: str, gold: str) -> bool:
    """Whether an answer that is equal to the gold one is written in its form.

    The same elements in the same order and brackets; a plain number where the gold answer is one: an integer for an
    integer, a fraction in its lowest terms, no rounded decimal, and none where it is not. Anything else is of the same form
    where both have or have not a percent sign, a decimal point and the like (`_SHAPES`).
    """
    if bool(_PERCENT.search(answer)) != bool(_PERCENT.search(gold)):
        return False
    a, g = _plain(answer), _plain(gold)
    if a == g:
        return True
    left, right, ones = _elements(a)
    gold_left, gold_right, golds = _elements(g)
    if (left, right, len(ones)) != (gold_left, gold_right, len(golds)):
        return False
    return all(_same_element(one, other) for one, other in zip(ones, golds, strict=True))


def _same_element(answer: str, gold: str) -> bool:
    a, g = _number(answer), _number(gold)
    if g is not None:
        whole = _INTEGER.fullmatch(gold) is None or _INTEGER.fullmatch(answer) is not None
        return a == g and whole and (_reduced(answer) or answer == gold)
    return a is None and all(bool(mark.search(answer)) == bool(mark.search(gold)) for mark in _SHAPES)


def _plain(text: str) -> str:
    """Without layout, `x =`, a unit, a dollar or degree sign, a full stop."""
    text = text.strip()
    for pattern, new in _LAYOUT:
        text = pattern.sub(new, text)
    return " ".join(re.sub(r"\\?%", "", text).split())


def _elements(text: str) -> tuple[str, str, list[str]]:
    """Opening and closing bracket, empty where there are none around the whole, and what commas outside of others separate."""
    if _INTEGER.fullmatch(text):
        return "", "", [text]
    text = text.replace("\\{", "\u27e8").replace("\\}", "\u27e9")  # brackets that are written, unlike LaTeX's own
    text = text.replace("\\langle", "(").replace("\\rangle", ")").strip()
    left = right = ""
    if len(text) > 1 and text[0] in "([\u27e8" and text[-1] in ")]\u27e9" and _closes_at_the_end(text):
        left, right, text = text[0], text[-1], text[1:-1]
    depth, cuts = 0, [-1]
    for i, c in enumerate(text):
        depth += (c in "([{\u27e8") - (c in ")]}\u27e9")
        if c == "," and depth == 0:
            cuts.append(i)
    parts = [text[i + 1 : j].strip() for i, j in pairwise([*cuts, len(text)])]
    return (left, right, parts) if len(parts) > 1 or left == "\u27e8" else ("", "", parts)


def _closes_at_the_end(text: str) -> bool:
    depth = 0
    for i, c in enumerate(text):
        depth += (c in "([\u27e8") - (c in ")]\u27e9")
        if depth == 0:
            return i == len(text) - 1
    return False


def _number(text: str) -> Fraction | None:
    """The value of a plain number: an integer, a decimal, a fraction of integers, a mixed number. None for all else."""
    if _INTEGER.fullmatch(text) or _DECIMAL.fullmatch(text):
        return Fraction(re.sub(r"[,\s]", "", text).removesuffix("."))
    found = _FRACTION.fullmatch(text) or _SLASH.fullmatch(text)
    if not found or int(found[4]) == 0:
        return None
    value = int(found[2] or 0) + Fraction(int(found[3]), int(found[4]))
    return -value if found[1] == "-" else value


def _reduced(text: str) -> bool:
    """True for what is no fraction, and for one in its lowest terms with a positive denominator."""
    found = _FRACTION.fullmatch(text) or _SLASH.fullmatch(text)
    if not found:
        return True
    p, q = int(found[3]), int(found[4])
    return q > 1 and gcd(p, q) == 1 and not (found[2] and abs(p) >= q)
