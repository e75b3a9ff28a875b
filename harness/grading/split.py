"""Cutting a normalised text at signs that stand outside of all brackets, and telling its words from its mathematics."""

from __future__ import annotations

import re

from harness.grading.layout import TEXT, closing
from harness.grading.units import BARE, NUMBER_WORDS

AND, OR = "\x01", "\x02"
"""Stand for the words between values."""
FILLER = set(
    """the a an final correct right answer answers result results value values solution solutions is are equals equal so thus
    hence therefore there we get have its it all exactly total of sum product number area perimeter volume length probability
    average mean median""".split()
)
"""Words that a sentence about an answer may hold beside it without changing it."""
NAMED = FILLER | set(
    """minimum maximum smallest largest greatest remainder difference number ways possible count cost price height width
    distance speed time age radius diameter measure slope ratio limit required desired function expression equation""".split()
)
"""Words that may name the value besides, where `is` or a colon follows them."""
_PARTS = {"sum", "product", "average", "mean", "median", "difference", "ratio", "number"}
"""What is not a name of the value after it when `of` follows: `the sum of 1 and 2`."""
_TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|[][(){}]|.", re.DOTALL)
RELATIONS = ("=", "<", ">", r"\le", r"\ge", r"\ne", r"\in", r"\notin", r"\approx", r"\equiv")
_KNOWN = FILLER | set(NUMBER_WORDS) | set(BARE.split("|")) | set("for where all any every some real number constant".split())
_KNOWN |= {"numbers", "constants"}


def split(text: str, marks: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """The parts of a text between the marks that stand outside of brackets, and these marks."""
    parts, found, depth, start = [], [], 0, 0
    for token in _TOKEN.finditer(text):
        sign = token[0]
        if sign in ("(", "[", "{", "\\{"):
            depth += 1
        elif sign in (")", "]", "}", "\\}"):
            depth -= 1
        elif depth == 0 and sign in marks:
            parts.append(text[start : token.start()].strip())
            found.append(sign)
            start = token.end()
    return [*parts, text[start:].strip()], found


_AMOUNTS = re.compile(r"(\d+(?:\.\d+)?)\s*(h|hr|min|s|sec|m|cm|mm|km|ft|in|lb|oz|kg|g)(?![a-zA-Z])\s*")
"""`3 h 20 min`, of which there must be two: one is also a product."""


def with_words(text: str) -> str:
    r"""Words as `\text{..}` without numbers in them, `and` and `or` between values as AND and OR."""
    if len(_AMOUNTS.findall(text)) > 1 and not _AMOUNTS.sub("", text):
        return _AMOUNTS.sub(r"\1\\text{ \2 }", text)
    if re.fullmatch(r"[A-Za-z0-9 .,;:'\"!?-]+", text) and re.search(r"[A-Za-z]{3}", text) and " " in text:
        text = re.sub(r"[A-Za-z][A-Za-z'-]*(?<![-'])", lambda m: m[0] if len(m[0]) == 1 and m[0] != "a" else _text(m[0]), text)
    else:
        text = re.sub(
            r"\\text\{[^{}]*\}|\\[a-zA-Z]+|(?<![a-zA-Z_^])[A-Za-z]{2,}(?![a-zA-Z(])",
            lambda m: _text(m[0]) if m[0].lower() in _KNOWN | {"and", "or"} else m[0],
            text,
        )
    text = TEXT.sub(lambda m: _split_words(m[1]), text)
    return " ".join(re.sub(r"\\text\{[^{}]*\}(?:\s*\\text\{[^{}]*\})+", _joined, text).split())


def _joined(found: re.Match[str]) -> str:
    return f"\\text{{ {' '.join(TEXT.findall(found[0]))} }}"


def _text(word: str) -> str:
    return f" \\text{{ {word} }} "


_NUMBER = r"(?:\\\$\s*)?-?\d[\d.,/:]*(?<![.,/:])(?:\s*\\%)?"


def _split_words(content: str) -> str:
    out = []
    for part in re.split(rf"(?<![A-Za-z])(and|or|AND|OR)(?![A-Za-z])|([,;])|((?<![A-Za-z\d]){_NUMBER})", content):
        if part in ("and", "AND"):
            out.append(f" {AND} ")
        elif part in ("or", "OR"):
            out.append(f" {OR} ")
        elif part and re.fullmatch(rf"[,;]|{_NUMBER}", part):
            out.append(part)
        elif part and part.strip():
            out.append(f"\\text{{ {part.strip()} }}")
        elif part:
            out.append(" ")
    return "".join(out)


def words_of(text: str) -> str | None:
    """The words of a text that holds nothing else, in lower case; None for any other."""
    plain = TEXT.sub(r" \1 ", text)
    if "\\text{" not in text or TEXT.sub("", text).strip(" .,;:-{}()"):
        return None
    return " ".join(re.sub(r"[^\w\s']", " ", plain).casefold().split())


def letter_named(words: str) -> str:
    """The letter at the end of a sentence about it, `the answer is b`; empty for any other words."""
    *sentence, last = words.split()
    named = bool(sentence) and len(last) == 1 and last.isalpha() and set(sentence) <= FILLER | {"option", "choice", "letter"}
    return last if named else ""


def without_filler(text: str) -> str:
    """Without the words of a sentence around the value: `The answer is 5`; `=` for `is` after a name."""
    text = re.sub(r"\b[iI]n (?=total\b|all\b)", "", text)
    while found := re.match(r"\s*\\text\{([^{}]*)\}\s*[:,]?\s*(?=\S)", text):
        words = re.sub(r"[:,.]", " ", found[1]).casefold().split()
        said = words[-1:] in (["is"], ["are"]) or ":" in found[0]
        if not words or not set(words) <= (NAMED if said else FILLER):
            break
        if words[-1] == "of" and (_PARTS & set(words) or "total" in words and "a" not in words):
            break
        text = text[found.end() :]
    if found := re.search(r"(?<=\S)\s*\\text\{([^{}]*)\}\s*$", text):
        words = re.sub(r"[:,.]", " ", found[1]).casefold().split()
        if words and set(words) <= FILLER:
            text = text[: found.start()]
    text = re.sub(r"\\text\{\s*(?:is|are|equals|is equal to)\s*\}", "=", text)
    return text.strip().removeprefix("=").strip()


def unwrapped(text: str) -> str:
    """Without braces around the whole."""
    text = text.strip()
    while text.startswith("{") and closing(text, 0) == len(text):
        text = text[1:-1].strip()
    return text


_CONSTANT = r"(?:some|any|all|every|each|arbitrary|fixed|real|complex|constants?|numbers?|values?|a|an|is|are|of|\s)+"
_CLAUSE = re.compile(
    rf"[\s,(]*\\text\{{\s*(?:for|where|with)\s+{_CONSTANT}\}}\s*([a-zA-Z])?(?:\s*,?\s*[a-zA-Z])*\s*(?:\\in\s*\\mathbb\{{[RC]\}})?\s*\)?$"
    rf"|[\s,(]*\\text\{{\s*(?:for|where)\s*\}}\s*[a-zA-Z]\s*(?:\\text\{{\s*{_CONSTANT}\}}|\\in\s*\\mathbb\{{[RC]\}})\s*\)?$"
    rf"|[\s,(]+[a-zA-Z]\s*(?:\\in\s*\\mathbb\{{[RC]\}}|\\text\{{\s*{_CONSTANT}\}})\s*\)?$"
)


_Z = r"\\in\s*(?:\\mathbb\{Z\}|Z)"
_INTEGER = r"\\text\{\s*(?:is|are)?\s*(?:an|any)?\s*integers?\s*\}"
_WHOLE = re.compile(
    rf"[\s,;(]+(?:\\text\{{\s*(?:for|where|with)\s*(?:any|all|every|each|some)?\s*\}}\s*)?([kmn])\s*(?:{_Z}|{_INTEGER})\s*\)?$"
    r"|[\s,;(]+\\text\{\s*(?:for|where|with)\s*(?:any|all|every|each|some)?\s*integers?\s*\}\s*([kmn])\s*\)?$"
    rf"|[\s,;(]+\\text\{{\s*(?:for|where|with)\s*(?:any|all|every|each|some)?\s*integers?\s*([kmn])\s*\}}\s*\)?$"
)
"""`k \\in \\mathbb{Z}` and its like at the end."""
_LIMITED = re.compile(r"[<>|]|\\(?:le|ge|ne|in|notin|mid|equiv|mod|pmod)(?![a-zA-Z])")
"""What makes such a clause a condition on a set or a residue."""


def without_declaration(text: str) -> str:
    r"""Without a clause that lets symbols be any number: `for some constant c`, `where c is real`, `x \in \mathbb{R}` first.

    Likewise for k, m, n any integer, where the text before has the symbol and no condition.
    """
    text = re.sub(r"^([a-zA-Z])\s*\\in\s*\\mathbb\{R\}\s*,\s*(?=\1(?![a-zA-Z]))", "", text)
    if (found := _WHOLE.search(text)) and not _LIMITED.search(rest := text[: found.start()].strip()):
        name = found[1] or found[2] or found[3]
        return rest if re.search(rf"(?<![a-zA-Z\\]){name}(?![a-zA-Z])|(?<=\d){name}", rest) else text
    found = _CLAUSE.search(text)
    return text[: found.start()].strip() if found and found.start() > 0 else text
