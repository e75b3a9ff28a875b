"""Graders: how a completion is compared with the gold answer. One visible dict, `GRADERS`, by answer type.

math-verify runs in child processes only (harness/grading/pool.py): it may hang inside arithmetic that no alarm interrupts, and
its own alarms work on the main thread alone. The second opinion on mathematics is harness/grading/parity.py.
"""

from __future__ import annotations

import re
from cmath import isfinite
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import product
from typing import Any, Literal

from harness.core.errors import MissingError
from harness.grading.pool import default_workers, run_many
from harness.registry import load_object

Status = Literal["ok", "unparsed", "timeout", "error"]
Pair = tuple[str, str]
"""Completion (or extracted answer) and gold answer."""


@dataclass(frozen=True)
class Grade:
    """`score` is 0.0 or 1.0; `answer` is what was extracted from the completion, None where nothing was.

    Status: ok; unparsed (no answer to be found or read); timeout and error (the grader failed, not the completion).
    """

    score: float
    status: Status
    answer: str | None


Grader = Callable[[Sequence[Pair], int, float], list[Grade]]
"""(completion, gold) pairs, workers, CPU seconds per item -> grades."""


def grade_many(items: Sequence[tuple[str, str, str]], workers: int | None = None, timeout_s: float = 4.0) -> list[Grade]:
    """Grade (completion, gold, answer type) items, in order; from any thread.

    `workers` child processes at most (default: the cores, up to 4), `timeout_s` CPU seconds per item in its child, two
    tries together.
    Raises ValueError for an unknown answer type, MissingError without math-verify where it is needed, or for a grader by
    reference that cannot be imported.
    """
    by_type: dict[str, list[int]] = {}
    for i, (_, _, answer_type) in enumerate(items):
        by_type.setdefault(answer_type, []).append(i)
    grades: dict[int, Grade] = {}
    for answer_type, indices in by_type.items():
        graded = grader_of(answer_type)([items[i][:2] for i in indices], workers or default_workers(), timeout_s)
        grades |= zip(indices, graded, strict=True)
    return [grades[i] for i in range(len(items))]


def grader_of(answer_type: str) -> Grader:
    """The grader of an answer type: of GRADERS, or by reference. Raises as `grade_many`."""
    found = GRADERS.get(answer_type, answer_type)
    if not isinstance(found, str):
        return found
    if ":" not in found:
        raise ValueError(f"no grader for answer type {answer_type!r}; known: {', '.join(GRADERS)}")
    grader: Grader = load_object(found, f"the grader of answer type {answer_type!r}")
    return grader


def grade_math(pairs: Sequence[Pair], workers: int, timeout_s: float) -> list[Grade]:
    """The last `\\boxed{}` against the gold answer by math-verify; what `_at_sight` decides needs no child."""
    answers = [last_boxed(text) for text, _ in pairs]
    asked = [(a, gold.strip()) for a, (_, gold) in zip(answers, pairs, strict=True) if a]
    verdicts: dict[Pair, Outcome | None] = {pair: _at_sight(*pair) for pair in asked}
    verdicts |= verify_many(sorted(pair for pair, verdict in verdicts.items() if verdict is None), workers, timeout_s)
    grades = []
    for answer, (_, gold) in zip(answers, pairs, strict=True):
        if not answer:
            grades.append(Grade(0.0, "unparsed", None))
            continue
        verdict = verdicts[answer, gold.strip()]
        assert verdict is not None, "what is not decided at sight is verified above"
        status: Status = "ok" if verdict == "right" or verdict == "wrong" else verdict
        grades.append(Grade(float(verdict == "right"), status, answer))
    return grades


def grade_choice(pairs: Sequence[Pair], workers: int, timeout_s: float) -> list[Grade]:
    """The letter in the last `\\boxed{}`: `B`, `b.`, `(B)`, `\\text{(B)}`, `(B) and its option`. Needs no child."""
    return [_grade_text(last_boxed(text), gold, _letter) for text, gold in pairs]


def grade_exact(pairs: Sequence[Pair], workers: int, timeout_s: float) -> list[Grade]:
    """The text in the last `\\boxed{}`, read in the way of the gold answer. Needs no child.

    `(B)`: a choice. An integer: digits, with or without separators, a plus sign or `.0`. Brackets alone: whatever the
    spacing, and a brace need not be escaped. Any other text: equal words in this order, but for case, commas, quotes,
    text commands, `$` and a full stop.
    """
    grades = []
    for text, gold in pairs:
        if re.fullmatch(r"\([A-Za-z]\)", gold):
            grades.append(_grade_text(last_boxed(text), gold, _letter))
        elif re.fullmatch(r"-?[0-9]+", gold):
            grades.append(_grade_text(last_boxed(text), gold, _integer))
        elif _BRACKETS.fullmatch(gold):
            grades.append(_grade_text(_boxed_brackets(text) or last_boxed(text), gold, _brackets))
        else:
            grades.append(_grade_text(last_boxed(text), gold, _words))
    return grades


def grade_reasoning_gym(pairs: Sequence[Pair], workers: int, timeout_s: float) -> list[Grade]:
    """The text in the last `\\boxed{}` by the scorer of the gold's task: right at full score only. Needs no child.

    Text commands, a leading `x =` and a full stop are dropped first. Raises MissingError without reasoning_gym.
    """
    from harness.data import procedural

    grades = []
    for text, gold in pairs:
        answer = last_boxed(text)
        if not answer or len(answer) > MAX_CHARS:
            grades.append(Grade(0.0, "unparsed", None))
            continue
        try:
            right = procedural.score(re.sub(r"^[A-Za-z]\s*=", "", _bare(answer)).strip(), gold) >= 1.0
        except MissingError:
            raise
        except Exception:
            grades.append(Grade(0.0, "error", answer))
        else:
            grades.append(Grade(float(right), "ok", answer))
    return grades


def _grade_text(answer: str | None, gold: str, read: Callable[[str], str]) -> Grade:
    if not answer or len(answer) > MAX_CHARS or not read(answer):
        return Grade(0.0, "unparsed", None)
    return Grade(float(read(answer) == read(gold)), "ok", answer)


_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|textit|textrm|textsf|mathrm|mathbf|mathit|mathsf|mbox|texttt)\s*(?=\{)")
_SPACING = re.compile(r"\\(?:q?quad(?![a-zA-Z])|[,;:! \\])|~")
_LISTED = re.compile(r"(?:^|[\s,/])(?:\([a-z]\)|\(?[a-z][).:](?:\s|,|$))|^(?:or|and)\b")
"""Another option in what follows the first one; text in lower case."""
_BRACKETS = re.compile(r"[][(){}<>\s]+")
_BRACKET_NAMES = {
    r"\{": "{",
    r"\}": "}",
    r"\lbrace": "{",
    r"\rbrace": "}",
    r"\lbrack": "[",
    r"\rbrack": "]",
    r"\langle": "<",
    r"\rangle": ">",
    r"\lt": "<",
    r"\gt": ">",
    r"\left": "",
    r"\right": "",
}


def _bare(text: str) -> str:
    """Without text commands, `$`, braces, quotes around it, a full stop; LaTeX spacing as spaces, a minus as `-`."""
    text = _SPACING.sub(" ", _TEXT_COMMAND.sub("", text))
    text = re.sub(r"\\([&%#_$])", r"\1", text).translate(str.maketrans("\u2212\u2019", "-'", "{}$"))
    return " ".join(text.strip(" \t\n\"'`*\u201c\u201d").split()).removesuffix(".").rstrip(" \"'`*\u201d")


def _letter(text: str) -> str:
    """The letter of an option, alone or before its text; empty where there is none, or more than one."""
    text = re.sub(r"^(?:option|answer|choice):? (?=\S)", "", _bare(text).casefold())
    if found := re.fullmatch(r"\(?([a-z])[).:]*", text):
        return found[1]
    found = re.match(r"(?:\(([a-z])\)|([a-z])[).:] )\s*", text)
    return (found[1] or found[2]) if found and not _LISTED.search(text[found.end() :]) else ""


def _integer(text: str) -> str:
    """In plain digits, without separators of thousands; any other text as `_words`."""
    number = re.fullmatch(r"([+-]?) ?([0-9]+|[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,3}(?: [0-9]{3})+)(?:\.0*)?", _bare(text))
    if not number:
        return _words(text)
    digits = re.sub("[ ,]", "", number[2]).lstrip("0")
    return (number[1].strip("+") + digits) if digits else "0"


def _words(text: str) -> str:
    return " ".join(re.sub("[,;]", " ", _bare(text)).casefold().split())


def _brackets(text: str) -> str:
    """Without spaces, one spelling a bracket; any other text as it is."""
    while wrapped := re.fullmatch(_TEXT_COMMAND.pattern + r"\{(.*)\}", text.strip(), re.DOTALL):
        text = wrapped[1]
    text = re.sub(r"\\(?:[{}]|[a-z]+)", lambda m: _BRACKET_NAMES.get(m[0], m[0]), _SPACING.sub(" ", text))
    return "".join(re.sub("[$`\"',]", "", text).split())


def _boxed_brackets(text: str) -> str | None:
    """The content of the last box where it is brackets alone, up to the last brace of the run: `\\boxed{] } >}`."""
    _, found, tail = re.sub(r"\\boxed\s*\{", "\\\\boxed{", text).rpartition("\\boxed{")
    run = re.match(r"((?:\\[{}]|[][(){}<>]|[^\S\n])*)\}", tail[:MAX_CHARS]) if found else None
    return run[1].strip() if run else None


GRADERS: dict[str, Grader | str] = {
    "math": grade_math,
    "choice": grade_choice,
    "exact": grade_exact,
    "reasoning_gym": grade_reasoning_gym,
    "testbed": "harness.testbed.grading:grade_pairs",
}
"""By answer type; the grader itself, or where it is (`module:function`). An answer type may be such a reference, too."""
MAX_CHARS = 10_000
"""A longer answer is not read: status unparsed. No gold answer of the suites has 300 characters."""


_OPEN = re.compile(r"\\boxed\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # an escaped brace is a character, not a bracket


def last_boxed(text: str) -> str | None:
    """The content of the last `\\boxed{...}`, stripped; None where there is no box or its braces do not close."""
    at = len(text)
    while (at := text.rfind("\\boxed", 0, at)) >= 0:
        if opened := _OPEN.match(text, at):
            break
    else:
        return None
    depth = 1
    for mark in _BRACE.finditer(text, opened.end()):
        depth += {"{": 1, "}": -1}.get(mark[0], 0)
        if depth == 0:
            return text[opened.end() : mark.start()].strip()
    return None


# ---------------------------------------------------------------------- math-verify, in child processes

Outcome = Literal["right", "wrong", "unparsed", "timeout", "error"]

_E_NOTATION = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))[eE]([+-]?[0-9]{1,6})")
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,14}")
_FRACTION = re.compile(r"(-?)\\frac\{([1-9][0-9]{0,14})\}\{([1-9][0-9]{0,14})\}")
AGREE = 1e-5
"""Relative difference up to which two numbers may be equal; 0.333333 and 1/3 differ by 1e-6."""


def _at_sight(answer: str, gold: str) -> Outcome | None:
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


def _verify(answer: str, gold: str) -> Outcome:
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


def verify_many(pairs: Sequence[Pair], workers: int, timeout_s: float) -> dict[Pair, Outcome]:
    """Verdicts of distinct (extracted answer, gold) pairs, all of them from math-verify."""
    outcomes = run_many(_verify, pairs, workers, timeout_s)
    return {pair: _named(outcome) for pair, outcome in zip(pairs, outcomes, strict=True)}


def _named(outcome: Outcome | Exception) -> Outcome:
    """An exception is the grader's failure: raised by math-verify, out of time, or the child died."""
    if isinstance(outcome, Exception):
        return "timeout" if isinstance(outcome, TimeoutError) else "error"
    return outcome
