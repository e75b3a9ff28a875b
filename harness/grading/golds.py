"""The self-test of the graders: every gold answer of a suite graded against itself, and read for what it says.

A gold answer against itself proves nothing where it is compared as a text: that equals itself whatever it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.core.types import Problem
from harness.data import procedural
from harness.data.suites import Suite
from harness.grading.equivalence import gold_text, verify_many
from harness.grading.graders import grade_many
from harness.grading.layout import normalise
from harness.grading.pool import default_workers, run_many

GOLD_S = 20.0
"""CPU seconds per gold, over both tries: a gold must not fail because others slow it down."""
AS_TEXT = "read as text only: no answer but the same text can be right"


def check_golds(suite: Suite, data_dir: Path | None) -> dict[str, Any]:
    """`n` golds, how many are `accepted`, and `rejected`: a row per other one with id, gold, status and the card's reason.

    Mathematics is compared by value, without the short cut for equal texts, and read: `words` are the golds that are words,
    and `doubtful` has a row for each one that is `malformed` or `text` (kind), with id, gold, reason, and the card's
    reason. Raises as `Suite.problems` does.
    """
    problems = suite.problems(data_dir)
    words: int = 0
    doubtful: list[dict[str, Any]] = []
    if suite.answer_type == "math":
        golds = sorted({p.answer.strip() for p in problems})
        verdicts = verify_many([(gold, gold) for gold in golds], default_workers(), GOLD_S)
        found = [verdicts[p.answer.strip(), p.answer.strip()] for p in problems]
        words, doubtful = _read(suite, problems, golds)
    else:
        read = procedural.gold_answer if suite.answer_type == "reasoning_gym" else str
        grades = grade_many([(p.stated(read(p.answer)), p.answer, suite.answer_type) for p in problems])
        found = ["right" if g.score >= 1.0 else "wrong" if g.status == "ok" else g.status for g in grades]
    rejected = [
        {"id": p.id, "gold": p.answer, "status": verdict, "reason": suite.rejected_golds.get(p.id)}
        for p, verdict in zip(problems, found, strict=True)
        if verdict != "right"
    ]
    counts = {"n": len(problems), "accepted": len(problems) - len(rejected)}
    return {**counts, "rejected": rejected, "words": words, "doubtful": doubtful}


def _read(suite: Suite, problems: Sequence[Problem], golds: Sequence[str]) -> tuple[int, list[dict[str, Any]]]:
    """How many golds are words, and the rows of those that are malformed or read as text only."""
    outcomes = run_many(read_as, [(gold,) for gold in golds], default_workers(), GOLD_S)
    kinds = dict(zip(golds, outcomes, strict=True))
    words, rows = 0, []
    for p in problems:
        gold = p.answer.strip()
        if reason := malformed(gold):
            kind = "malformed"
        elif kinds[gold] == "value":
            continue
        elif kinds[gold] == "words":
            words += 1
            continue
        else:  # a text, or what could not be read at all
            kind, reason = "text", AS_TEXT
        card = suite.rejected_golds.get(p.id)
        rows.append({"id": p.id, "gold": p.answer, "kind": kind, "reason": reason, "card": card})
    return words, rows


def read_as(gold: str) -> str:
    """How a gold answer is read, in a child: as a `value`; as `words`; or as a `text` of which a part is not understood."""
    from harness.grading.expressions import Unread
    from harness.grading.reading import read
    from harness.grading.values import Text

    if re.fullmatch(r"[A-Za-z]{3,}(?:[ '-][A-Za-z]+)*", gold):  # which may be read as a product of letters, too
        return "words"
    try:
        return "words" if isinstance(read(gold_text(gold)), Text) else "value"
    except Unread:
        return "text"


_RAW = [
    (re.compile(r"####"), "a whole solution, with its answer after ####"),
    (re.compile(r"<<.*?>>", re.DOTALL), "a calculator's notes (<<...>>) in it"),
    (re.compile(r"\n"), "several lines"),
    (re.compile(r"\\boxed"), "a box in it"),
    (re.compile(r"(?<!\\right)\.\$?$"), "a full stop at its end"),
]


def malformed(gold: str) -> str | None:
    """What is wrong with a gold answer as it is written: a raw row, nothing at all, or brackets that do not close; else None.

    Brackets of an interval may differ, `[1,2)`, or be turned round, `]1,2[`.
    """
    for mark, what in _RAW:
        if mark.search(gold):
            return f"a raw row: {what}"
    if not re.sub(r"\\text\{\s*\}", "", normalise(gold)).strip():
        return "nothing but layout"
    text = re.sub(r"\\\\", "", gold)
    pairs = [
        ("braces", r"(?<!\\)\{", r"(?<!\\)\}"),
        ("\\{ and \\}", r"\\\{|\\lbrace", r"\\\}|\\rbrace"),
        ("\\left and \\right", r"\\left(?![a-zA-Z])", r"\\right(?![a-zA-Z])"),
        ("\\begin and \\end", r"\\begin(?![a-zA-Z])", r"\\end(?![a-zA-Z])"),
        ("parentheses", r"\(", r"\)"),
    ]
    if "\\left" in text:  # \left\{ of a system of equations has no partner but \right.
        pairs = [pair for pair in pairs if pair[0] != "\\{ and \\}"]
    if "[" in text or "]" in text:  # ends of intervals: any two of round and square ones are partners
        pairs.pop()
        if len(re.findall(r"[()\[\]]", text)) % 2:
            return "unbalanced brackets"
    for what, opening, closing in pairs:
        if len(re.findall(opening, text)) != len(re.findall(closing, text)):
            return f"unbalanced {what}"
    return "unbalanced $" if len(re.findall(r"(?<!\\)\$", text)) % 2 else None


def at_hand(suites: Sequence[Suite], data_dir: Path | None) -> list[Suite]:
    """The suites that can be generated here or whose file is in `data_dir`."""

    def there(suite: Suite) -> bool:
        if suite.file is None:
            return suite.answer_type != "reasoning_gym" or procedural.installed()
        if suite.home is not None and (suite.home / suite.file).exists():
            return True
        return data_dir is not None and (data_dir / suite.file).exists()

    return [suite for suite in suites if there(suite)]
