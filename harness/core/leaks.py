"""The answer-leak guard: whether a hint states the answer of the problem that it is for."""

from __future__ import annotations

import re


def leaks(hint: str, answer: str) -> bool:
    """Whether `hint` states `answer`.

    Both are compared as words, without case, dollar signs and LaTeX spacing. An answer of one or two characters occurs in
    any text, so it counts only right after "=", "is" (numbers), "ans", "answer", "answer is" or an opening \\boxed.
    """
    found, wanted = _normal(hint), _normal(answer)
    if not wanted:
        return False
    before = r"(?<![\w.])"
    if len(wanted) < 3:
        verb = "" if wanted.isalpha() else r"|\bis\b"  # "is a" says nothing about an answer A
        before = r"(?:=|\bans\b|\banswer\b(?:\s+is\b)?|boxed\{" + verb + r")[\s:=]*"
    return re.search(before + re.escape(wanted) + r"(?!\w|\.\d)", found) is not None


def _normal(text: str) -> str:
    text = re.sub(r"\\(?:left|right|,|;|!|quad\b)|\$", " ", text.casefold().replace("dfrac", "frac").replace("tfrac", "frac"))
    return " ".join(text.split())
