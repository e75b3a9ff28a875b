"""Reading an answer out of a completion: the last box, and letters, whole numbers, words and brackets in it."""

from __future__ import annotations

import re

Pair = tuple[str, str]
"""Completion (or extracted answer) and gold answer."""

_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|textit|textrm|textsf|mathrm|mathbf|mathit|mathsf|mbox|texttt)\s*(?=\{)")
_SPACING = re.compile(r"\\(?:q?quad(?![a-zA-Z])|[,;:! \\])|~")
_LISTED = re.compile(r"(?:^|[\s,/])(?:\([a-z]\)|\(?[a-z][).:](?:\s|,|$))|^(?:or|and)\b")
"""Another option in what follows the first one; text in lower case."""
BRACKETS = re.compile(r"[][(){}<>\s]+")
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


def bare(text: str) -> str:
    """Without text commands, `$`, braces, quotes around it, a full stop; LaTeX spacing as spaces, a minus as `-`."""
    text = _SPACING.sub(" ", _TEXT_COMMAND.sub("", text))
    text = re.sub(r"\\([&%#_$])", r"\1", text).translate(str.maketrans("\u2212\u2019", "-'", "{}$"))
    return " ".join(text.strip(" \t\n\"'`*\u201c\u201d").split()).removesuffix(".").rstrip(" \"'`*\u201d")


_SAID = re.compile(
    r"^(?:(?:so|thus|hence|therefore)[, ]+)?(?:the )?(?:(?:final|correct|right|best) )?(?:answer|option|choice|result|letter)"
    r"(?: is|:| ?=)?:? +(?:(?:the )?(?:option|choice|letter|number):? +)?(?=\S)",
    re.IGNORECASE,
)
"""The beginning of a sentence that ends in the answer: `The answer is B`."""


def said(text: str) -> str:
    """As `bare`, without the beginning of a sentence around the answer; dashes as a minus."""
    text = bare(text.translate(dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\ufe63\uff0d"), "-")))
    return _SAID.sub("", text)


def letter(text: str) -> str:
    """The letter of an option, alone or before its text; empty where there is none, or more than one."""
    text = said(text).casefold()
    if found := re.fullmatch(r"\(?([a-z])[).:]*", text):
        return found[1]
    found = re.match(r"(?:\(([a-z])\)|([a-z])[).:] )\s*", text)
    return (found[1] or found[2]) if found and not _LISTED.search(text[found.end() :]) else ""


def integer(text: str) -> str:
    """In plain digits, without separators of thousands; any other text as `words`."""
    number = re.fullmatch(r"([+-]?) ?([0-9]+|[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,3}(?: [0-9]{3})+)(?:\.0*)?", said(text))
    if not number:
        return words(text)
    digits = re.sub("[ ,]", "", number[2]).lstrip("0")
    return (number[1].strip("+") + digits) if digits else "0"


def words(text: str) -> str:
    """In lower case, parted by one space, without commas and semicolons and without a sentence around them."""
    return " ".join(re.sub("[,;]", " ", said(text)).casefold().split())


def brackets(text: str) -> str:
    """Without spaces, one spelling a bracket; any other text as it is."""
    while wrapped := re.fullmatch(_TEXT_COMMAND.pattern + r"\{(.*)\}", text.strip(), re.DOTALL):
        text = wrapped[1]
    text = re.sub(r"\\(?:[{}]|[a-z]+)", lambda m: _BRACKET_NAMES.get(m[0], m[0]), _SPACING.sub(" ", text))
    return "".join(re.sub("[$`\"',]", "", text).split())


def boxed_brackets(text: str) -> str | None:
    """The content of the last box where it is brackets alone, up to the last brace of the run: `\\boxed{] } >}`."""
    _, found, tail = re.sub(r"\\boxed\s*\{", "\\\\boxed{", text).rpartition("\\boxed{")
    run = re.match(r"((?:\\[{}]|[][(){}<>]|[^\S\n])*)\}", tail[:MAX_CHARS]) if found else None
    return run[1].strip() if run else None


MAX_CHARS = 10_000
"""A longer answer is not read: status unparsed. No gold answer of the suites has 300 characters."""


_OPEN = re.compile(r"\\boxed\s*\{")
_BARE = re.compile(r"\\boxed(?:\s+|(?=[-\d\\]))(?!\\boxed)([-+\d.][-+\d.,/]*|\\[a-zA-Z][^\s$]*|[A-Za-z](?=\s*(?:\$|\\[)\]])))")
"""A box without braces: a number, a command up to a space or a dollar, a letter before the end of the mathematics."""
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # an escaped brace is a character, not a bracket
_BETWEEN = re.compile(r"[\s$,;]*(?:\\\)|\\\])?[\s,;]*(?:and|or|\\text\{\s*(?:and|or)\s*\})?[\s,;]*(?:\\\(|\\\[)?[\s$]*")
"""What stands between the boxes of one list: `$\\boxed{3}$ and $\\boxed{4}$`."""


def last_boxed(text: str) -> str | None:
    """The content of the last `\\boxed{...}`, stripped; None where there is no box or its braces do not close.

    Where no box has braces, what follows the last `\\boxed` up to a space or a dollar: `$\\boxed 5$`.
    """
    found = _boxed_before(text, len(text))
    if found is None:
        return None if _OPEN.search(text) else _unbraced(text)
    return found[1]


def _unbraced(text: str) -> str | None:
    at = len(text)
    while (at := text.rfind("\\boxed", 0, at)) >= 0:
        found = _BARE.match(text, at)
        content = found[1].rstrip(".,;") if found else ""
        plain = re.sub(r"\\.", "", content)
        if content and "\\boxed" not in content and not content.endswith("\\") and plain.count("{") == plain.count("}"):
            return content
    return None


def whole_box(text: str) -> str | None:
    """As `last_boxed`, but of a box in a box all that the outer one holds, where that is more."""
    found = _whole_before(text, len(text))
    return found[1] if found is not None else last_boxed(text)


def boxed_answer(text: str) -> str | None:
    """As `whole_box`; the contents of several boxes that only `and`, `or` or a comma part are one list."""
    found = _whole_before(text, len(text))
    if found is None:
        return last_boxed(text)
    contents = [found[1]]
    while (before := _whole_before(text, found[0])) is not None and len(contents) < 20:
        if before[2] > found[0] or not _BETWEEN.fullmatch(text[before[2] : found[0]]):
            break
        contents.append(before[1])
        found = before
    distinct = list(dict.fromkeys(reversed(contents)))
    return ", ".join(distinct)


def _whole_before(text: str, end: int) -> tuple[int, str, int] | None:
    """As `_boxed_before`, with the boxes around it; a box that holds a box alone adds nothing to it."""
    found = _boxed_before(text, end)
    for _ in range(20):
        around = _boxed_before(text, found[0]) if found is not None else None
        if found is None or around is None or around[2] <= found[2]:
            break
        alone = around[1] == text[found[0] : found[2]].strip()
        found = around[0], found[1] if alone else around[1], around[2]
    return found


def _boxed_before(text: str, end: int) -> tuple[int, str, int] | None:
    """Start, content and end of the last box before a place; None where there is none or its braces do not close."""
    at = end
    while (at := text.rfind("\\boxed", 0, at)) >= 0:
        if opened := _OPEN.match(text, at):
            break
    else:
        return None
    depth = 1
    for mark in _BRACE.finditer(text, opened.end()):
        depth += {"{": 1, "}": -1}.get(mark[0], 0)
        if depth == 0:
            return at, text[opened.end() : mark.start()].strip(), mark.end()
    return None
