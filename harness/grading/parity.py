"""The parity grader: mathematics by the rules of the Qwen2.5-Math evaluation, which most published numbers rest on.

Written from a description of those rules, leniencies included: a factor of 100 either way, numbers within 1e-4, commas
inside numbers dropped ("1,2" is 12), the first of several values for all of them, a time-out counts as wrong. It exists
to be compared with the primary grader (harness/grading/graders.py), never to replace it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from harness.grading.answers import MAX_CHARS, Pair, last_boxed
from harness.grading.equivalence import rational
from harness.grading.pool import default_workers, run_many

TOLERANCE = 1e-4
"""Relative difference up to which numbers count as equal."""


def parity_many(pairs: Sequence[Pair], workers: int | None = None, timeout_s: float = 4.0) -> list[float]:
    """1.0 or 0.0 per (completion, gold) pair, in order; the same pool and limits as the primary grader."""
    read = [(extract(text), gold.strip()) for text, gold in pairs]
    distinct = sorted({pair for pair in read if 0 < len(pair[0]) <= MAX_CHARS and pair[0] != pair[1]})
    sight = {pair: _at_sight(*pair) for pair in distinct}
    asked = [pair for pair, seen in sight.items() if seen is None]
    outcomes = run_many(equal, asked, workers or default_workers(), timeout_s)
    right = {pair for pair, outcome in [*sight.items(), *zip(asked, outcomes, strict=True)] if outcome is True}
    return [float(bool(answer) and (answer == gold or (answer, gold) in right)) for answer, gold in read]


def extract(text: str) -> str:
    """The last box; else what follows the last "answer is", up to the line's end; else the last number."""
    answer = last_boxed(text)
    if answer is None and (said := re.split(r"answer is", text)[1:]):
        answer = said[-1].strip().split("\n")[0].strip(" :$")
    if answer is None:
        numbers = re.findall(r"-?[0-9][0-9,]*(?:\.[0-9]+)?", text)
        answer = numbers[-1] if numbers else ""
    return answer.strip().rstrip("./").strip()


_REWRITES = [
    (re.compile(pattern), new)
    for pattern, new in (
        (r"\\[!,;: ]|\\left(?![a-z])|\\right(?![a-z])|\\\$|\$", ""),  # spacing, sizes of brackets, dollars
        (r"\\[td]frac", r"\\frac"),
        (r"\^\{?\\circ\}?", ""),
        (r"(?<=[0-9}])\s*\\(?:text|mbox|mathrm)\{[^{}]*\}$", ""),  # a unit at the end
        (r"\\(?:text|mathrm|mathbf|mbox)\{([^{}]*)\}", r"\1"),
        (r"\\?%", ""),
        (r"\\([{}])", r"\1"),
        (r"\s+", ""),
        (r"^[a-zA-Z]{1,2}=(?=[^=]*$)", ""),  # x=5
        (r"(?<![0-9])\.(?=[0-9])", "0."),
        (r"([0-9])\.0+(?![0-9])", r"\1"),
        (r"\\sqrt([0-9a-z])", r"\\sqrt{\1}"),
        (r"\\frac([0-9])([0-9])", r"\\frac{\1}{\2}"),
        (r"^(-?[0-9]+)/([0-9]+)$", r"\\frac{\1}{\2}"),
    )
]


def normalise(answer: str) -> str:
    """One spelling for the usual variants of LaTeX: fractions, roots, units, brackets, decimals, `x=`."""
    for pattern, new in _REWRITES:
        answer = pattern.sub(new, answer)
    return answer.rstrip(".")


def _at_sight(answer: str, gold: str) -> bool | None:
    """What `equal` says of plain integers and fractions, without a child; None of all else, and so near to the tolerance that
    the last digit of a float decides."""
    a, g = rational(answer), rational(gold)
    if a is None or g is None:
        return None
    scales = (1,) if "frac" in answer + gold else (1, 100, Fraction(1, 100))  # as in `_same`: only plain numbers
    surely, perhaps = (any(math.isclose(a, x * g, rel_tol=f * TOLERANCE) for x in scales) for f in (1 - 1e-9, 1 + 1e-9))
    return surely if surely == perhaps else None


def equal(answer: str, gold: str) -> bool:
    """Whether an extracted answer passes for the gold one. Runs in a child: sympy may take for ever."""
    return _same(normalise(answer), normalise(gold))


def _same(answer: str, gold: str) -> bool:
    if answer.lower() == gold.lower():
        return True
    a, g = _number(answer), _number(gold)
    if a is not None and g is not None:
        return any(math.isclose(a, x, rel_tol=TOLERANCE) for x in (g / 100, g, g * 100))
    if not answer:
        return False
    if answer.strip("()[]{}").lower() == gold.strip("()[]{}").lower():
        return True
    both = list(zip(_items(answer), _items(gold), strict=False))
    if both and len(_items(answer)) == len(_items(gold)):
        return all(_same(x, y) for x, y in both)  # in the order given
    return _symbolic(answer, gold)


def _number(text: str) -> float | None:
    """A plain number, commas dropped."""
    found = re.fullmatch(r"[+-]?[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]{1,3})?", text.replace(",", ""))
    return float(found[0]) if found else None


def _items(text: str) -> list[str]:
    """Elements of a bracketed list or of a matrix; empty for anything else."""
    matrix = re.fullmatch(r"\\begin\{[pb]matrix\}(.*)\\end\{[pb]matrix\}", text)
    if matrix:
        return re.split(r"&|\\\\", matrix[1])
    if len(text) < 2 or text[0] not in "([{" or text[-1] not in ")]}":
        return []
    depth, cuts = 0, [0]
    for i, c in enumerate(text):
        depth += (c in "([{") - (c in ")]}")
        if c == "," and depth == 1:
            cuts.append(i)
    cuts.append(len(text) - 1)
    return [text[i + 1 : j] for i, j in pairwise(cuts)] if len(cuts) > 2 else []


def _symbolic(answer: str, gold: str) -> bool:
    """Equal to sympy as far as its LaTeX reader goes, which is the first comma outside brackets."""
    from latex2sympy2_extended import latex2sympy
    from sympy import simplify

    def read(text: str) -> Any:
        leading = re.split(r",(?![^(\[{]*[)\]}])", text)[0]
        left, sign, right = leading.partition("=")
        try:
            value = latex2sympy(left)
            return value - latex2sympy(right) if sign else value
        except Exception:
            return None

    a, g = read(answer), read(gold)
    if a is None or g is None:
        return False
    try:
        if a == g or simplify(a - g) == 0 or ("=" in answer and "=" in gold and simplify(a + g) == 0):
            return True
        return math.isclose(float(a.evalf()), float(g.evalf()), rel_tol=TOLERANCE)
    except Exception:  # sets, relations, symbols without a value
        return False
