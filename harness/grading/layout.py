"""One spelling for what only looks different: unicode, spacing, fonts, colours, other names of the same command.

No rule here changes a value or drops a part that has one. The rules run in the order of `normalise`; docs/grading.md lists
them one by one.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_CHARACTERS = {
    **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2014\ufe63\uff0d", "-"),
    **dict.fromkeys("\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " "),
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", ""),
    **dict.fromkeys("\u00d7\u2715\u2a09", r"\times "),
    **dict.fromkeys("\u00b7\u22c5\u2219\u2022", r"\cdot "),
    **{"\u00f7": r"\div ", "\u2044": "/", "\u2215": "/", "\u00b1": r"\pm ", "\u2213": r"\mp ", "\u221e": r"\infty "},
    **{"\u2264": r"\le ", "\u2a7d": r"\le ", "\u2265": r"\ge ", "\u2a7e": r"\ge ", "\u2260": r"\ne ", "\u2248": r"\approx "},
    **{"\u2208": r"\in ", "\u2209": r"\notin ", "\u222a": r"\cup ", "\u2229": r"\cap ", "\u2205": r"\emptyset "},
    **{
        "\u211d": r"\mathbb{R}",
        "\u2124": r"\mathbb{Z}",
        "\u2115": r"\mathbb{N}",
        "\u211a": r"\mathbb{Q}",
        "\u2102": r"\mathbb{C}",
    },
    **{
        "\u00b0": r"^\circ ",
        "\u00ba": r"^\circ ",
        "\u2032": "'",
        "\u2019": "'",
        "\u2018": "'",
        "\u2220": r"\angle ",
        "\u2216": r"\setminus ",
    },
    **{
        "\u2261": r"\equiv ",
        "\u27e8": r"\langle ",
        "\u27e9": r"\rangle ",
        "\u221b": r"\sqrt[3]",
        "\u221a": r"\sqrt",
        "\u2026": "...",
    },
    **{"\uff0c": ",", "\u3001": ",", "\uff1b": ";", "\uff1a": ":", "\uff08": "(", "\uff09": ")"},
    **{
        "\u20ac": r"\text{euro}",
        "\u00a3": r"\text{gbp}",
        "\u20b9": r"\text{rupee}",
        "\u00a5": r"\text{yen}",
        "\u00a2": r"\text{ cents}",
    },
}
_GREEK = {
    unicodedata.lookup(f"GREEK {size} LETTER {name.upper()}"): f"\\{name if size == 'SMALL' else name.title()} "
    for name in "alpha beta gamma delta epsilon zeta eta theta iota kappa mu nu xi pi rho sigma tau phi chi psi omega".split()
    for size in ("SMALL", "CAPITAL")
    if size == "SMALL" or name in "gamma delta theta xi pi sigma phi psi omega".split()
} | {"\u03bb": r"\lambda ", "\u039b": r"\Lambda ", "\u03d5": r"\phi ", "\u03f5": r"\epsilon "}
_SHIFTED = re.compile(r"(?:<super>[^<]*</>)+|(?:<sub>[^<]*</>)+")

TEXT = re.compile(r"\\text\{([^{}]*)\}")
_THIN = r"(?:\\[,!;: ]|\\thinspace\s*|'|~|\{,\}|\{\\,\}|,\\!\s*|\{,\\!\}|\\!,| )"
_FUNCTIONS = "arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh sin cos tan cot sec csc log ln exp".split()

_SPELLINGS = [
    (re.compile(pattern), new)
    for pattern, new in (
        # Math mode, sizes and styles.
        (r"(?<!\\)\$|(?<!\\)\\[()]|(?<!\\)\\[\[\]](?!\s*\d+(?:pt|em|ex))", ""),
        (r"\\(?:left|right|middle)\s*\.", ""),
        (r"\\(?:left|right|middle|[bB]igg?[lrm]?)(?![a-zA-Z])", ""),
        (r"\\(?:display|text|script|scriptscript)style(?![a-zA-Z])|\\(?:no)?limits(?![a-zA-Z])", ""),
        (
            r"\\(?:bf|rm|it|sf|tt|sl|sc|em|tiny|scriptsize|footnotesize|small|normalsize|[lL]arge|LARGE|[hH]uge)(?:series)?(?![a-zA-Z])",
            " ",
        ),
        (r"\\(?:mathstrut|strut|null|relax|nobreak|allowbreak|centering|noindent|unboldmath|boldmath)(?![a-zA-Z])", " "),
        (
            r"\\(?:v|h)?phantom\s*\{[^{}]*\}|\\[hv]space\*?\s*\{[^{}]*\}|\\(?:text)?color\s*(?:\[\w+\]\s*)?\{[^{}]*\}(?!\s*\{)",
            " ",
        ),
        (r"\\(?:mbox|hbox|text(?:bf|it|rm|sf|tt|sc|sl|up|md|normal)|emph)\s*\{", r"\\text{"),
        (r"(?<=\d)(?:\\[,;:! ]|~|\s)*\\(?:mathrm|rm)\s*\{\s*([mgshlLVAWJNCFK])\s*\}", r" \\text{\1}"),
        (r"\\(?:math(?:rm|it|normal|sf|tt)|rm)\s*\{\s*([a-zA-Z])\s*\}", r"{\1}"),
        (r"\\mathrm\s*\{", r"\\text{"),
        (r"(?<!\\)((?:\\\\)*)\\$", r"\1"),  # a control space whose space was stripped
        (r"(?<=\d)\{\.\}(?=\d)", "."),
        (r"(?<![\w^_}])\{\s*(\d+)\s*\}(?=_)", r"\1"),
        (r"\\text\s+\{", r"\\text{"),
        (r"_\s*(?:\{\s*)?(?:\\text\{\s*([\w ]+?)\s*\}|\\(max|min)(?![a-zA-Z]))\s*\}?", lambda m: f"_{{{m[1] or m[2]}}}"),
        (r"\\text\{\s*([:,;])\s*\}", r"\1"),
        # Thousands.
        (rf"(?<![\d.,_^])(\d{{1,3}})((?:{_THIN}\d{{3}})+)(?![\d])", lambda m: m[1] + re.sub(r"\D", "", m[2])),
        # Spacing.
        (r"(?<!\\)\\(?:[,;:!> ]|(?:q?quad|(?:thin|en|med|thick|neg(?:thin|med|thick))space|enskip|hfill?)(?![a-zA-Z]))|~", " "),
        (r"(?<!\\)\\[ \t\n]|[\t\n\r]", " "),
        (r"\{\s*([:=,;<>+-])\s*\}|(?<=\d)\{(\.)\}(?=\d)", lambda m: m[1] or m[2]),
        (r"(?<![\w}\])^_])\{(\d\w*)\}(?=\s*_)", r"\1"),
        # Names of commands.
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\[dt]binom(?![a-zA-Z])", r"\\binom"),
        (r"\\(?:leqq?|leqslant)(?![a-zA-Z])|<=|=<", r"\\le "),
        (r"\\(?:geqq?|geqslant)(?![a-zA-Z])|>=|=>", r"\\ge "),
        (r"\\(?:neq|not\s*=)(?![a-zA-Z])|!=(?!=)|\\not=", r"\\ne "),
        (r"\\lt(?![a-zA-Z])", "<"),
        (r"\\gt(?![a-zA-Z])", ">"),
        (r"==", "="),
        (r"\\l?brace(?![a-zA-Z])", r"\\{"),
        (r"\\rbrace(?![a-zA-Z])", r"\\}"),
        (r"\\lbrack(?![a-zA-Z])", "["),
        (r"\\rbrack(?![a-zA-Z])", "]"),
        (r"\\langle(?![a-zA-Z])", "("),
        (r"\\rangle(?![a-zA-Z])", ")"),
        (r"\\[lr]?vert(?![a-zA-Z])", "|"),
        (r"\\(?:colon|ratio)(?![a-zA-Z])", ":"),
        (r"\\(?:varnothing|empty)(?![a-zA-Z])", r"\\emptyset"),
        (r"\\(?:backslash|smallsetminus)(?![a-zA-Z])", r"\\setminus"),
        (r"\\ast(?![a-zA-Z])", r"\\cdot"),
        (r"\\[td]?imath(?![a-zA-Z])", "i"),
        (r"\\(?:degree|textdegree)(?![a-zA-Z])", r"^\\circ "),
        (r"\^\s*\{\s*\\circ\s*\}|\^\s*\\circ(?![a-zA-Z])", r"^\\circ "),
        (r"(?<=\d)\s*\^\s*(?:\{\s*(?:o|\\text\{\s*o\s*\})\s*\}|o(?![a-zA-Z]))", r"^\\circ "),
        (r"\\(?:lor|vee)(?![a-zA-Z])", r"\\text{ or }"),
        (r"\\(?:land|wedge|And)(?![a-zA-Z])|\\&", r"\\text{ and }"),
        (r"\\bmod(?![a-zA-Z])", r"\\mod"),
        (r"\\math(?:bb\s*([RZNQC])(?![a-zA-Z])|bf\s*\{([RZNQC])\})", lambda m: f"\\mathbb{{{m[1] or m[2]}}}"),
        (r"\\(?:R|reals|Reals)(?![a-zA-Z])", r"\\mathbb{R}"),
        (r"\\mathbb\{R\}\s*[-/]\s*(?=\\\{)", r"\\mathbb{R}\\setminus "),
        (r"\+\s*/\s*-", r"\\pm "),
        (r"(?<!\\)%", r"\\%"),
        (r"\\text\{\s*((?:arc)?(?:sin|cos|tan|cot)|csc|ln|lg|log|exp|gcd|lcm)\s*\}", r"\\\1 "),
        (r"\\(?:operatorname\s*|text)\{\s*cis\s*\}|\\cis(?![a-zA-Z])", r"\\cis "),
        (r"(?:\\text\{\s*US\s*\}|(?<![a-zA-Z])US)\s*(?=\\\$)", ""),
        (r"\\sqrt\s*\[\s*([3579])\s*\]\s*\{\s*-\s*(\d+(?:\.\d+)?)\s*\}", r"(-\\sqrt[\1]{\2})"),
        (r"\\(pounds|(?:text)?euro)(?![a-zA-Z])", lambda m: f"\\text{{{'gbp' if m[1] == 'pounds' else 'euro'}}}"),
        (r"\\operatorname\s*\{\s*(a?r?c?(?:sin|cos|tan|cot|sec|csc|tg|ctg)h?|ln|lg|log|exp|max|min|gcd|lcm)\s*\}", r"\\\1 "),
        (r"\\(arc)?(?:tg)(?![a-zA-Z])", lambda m: f"\\{m[1] or ''}tan"),
        (r"\\(arc)?(?:c|co)tg(?![a-zA-Z])", lambda m: f"\\{m[1] or ''}cot"),
        (r"\\lg(?![a-zA-Z])", r"\\log_{10}"),
        # As a calculator or Python writes it.
        (r"(?<![a-zA-Z\\])(?:np|numpy|math)\.log(?=\()", r"\\ln"),
        (r"(?<![a-zA-Z\\])(?:np|numpy|math|sympy|sp)\.(?=[a-z])", ""),
        (r"\*\*", "^"),
        (r"(?<![\\a-zA-Z])sqrt(?:(?=\d)|\s*(?=\())", r"\\sqrt"),
        (
            rf"\\text\{{[^{{}}]*\}}|(?<![\\a-zA-Z{{])(?:{'|'.join(_FUNCTIONS)})(?![a-zA-Z])",
            lambda m: _outside(m[0], "\\" + m[0]),
        ),
        (r"\\text\{[^{}]*\}|(?<![\\a-zA-Z])(?:infinity|infty|inf|oo)(?![a-zA-Z])", lambda m: _outside(m[0], "\\infty ")),
        (r"\\text\{[^{}]*\}|(?<![\\a-zA-Z])pi(?![a-zA-Z])", lambda m: _outside(m[0], "\\pi ")),
        (r"(\\(?:begin|end)\{\w+)\*|\*", lambda m: m[1] or "\\cdot "),  # `align*` is `align`
        # Numbers.
        (r"(?<![\d.])\.(?=\d|\\(?:overline|dot|bar)\s*\{?\d)", "0."),
        (r"(?<=\d)\.(?![\d.\\(])", ""),
        (r"(?<![\w.])([+-]?(?:\d+(?:\.\d*)?|\.\d+))[eE]([+-]?\d{1,6})(?![\w.])", lambda m: rf"{m[1]}\cdot 10^{{{int(m[2])}}}"),
        (
            r"(?<![\d.])(\d+)\.(\d*)(?:\\(?:overline|bar)\s*(?:\{(?=\d+\})|(?=\d(?!\d)))(\d+)\}?|\((\d+)\))",
            lambda m: _repeating(m[1], m[2], m[3] or m[4]),
        ),
        (
            r"(?<![\d.])(\d+)\.(\d*)\\dot\s*\{?(\d)\}?(\d*)\\dot\s*\{?(\d)\}?",
            lambda m: _repeating(m[1], m[2], m[3] + m[4] + m[5]),
        ),
        (r"(?<![\d.])(\d+)\.(\d*)\\(?:dot|overline|bar)\s*\{?(\d)\}?(?!\d|\\dot)", lambda m: _repeating(m[1], m[2], m[3])),
        (r"(?<![\d.])(\d+)\.(\d*?)(\d{1,9}?)\3{2,}(?:\.\.\.|\s*\\[lc]?dots)(?!\d)", lambda m: _repeating(m[1], m[2], m[3])),
        (r"(?<![\d.}/^_])(\d+)\s+(\d+)\s*/\s*(\d+)(?![\d.])", r"\1\\frac{\2}{\3}"),
    )
]


@lru_cache(maxsize=8192)
def normalise(text: str) -> str:
    """The text in one spelling. Only for texts of bounded length and depth (`at_sight` refuses others)."""
    text = _closed(_plain_characters(text)).strip()
    text = re.sub(r"(?<!\\)\\$", "", _unwrapped(text))
    for pattern, new in _SPELLINGS:
        text = pattern.sub(new, text)
    text = _binomials(_bracketed_arguments(text))
    text = re.sub(r"\{([^{}]*)\\over(?![a-zA-Z])([^{}]*)\}", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\{([^{}]*)\\choose(?![a-zA-Z])([^{}]*)\}", r"\\binom{\1}{\2}", text)
    text = with_braces(re.sub(r"^([^{}]*)\\over(?![a-zA-Z])([^{}]*)$", r"\\frac{\1}{\2}", text))
    text = re.sub(r"(?<![\d.}/^_])(\d+)\s+(?=\\frac\{\d+\}\{\d+\})", r"\1", text)
    return re.sub(r"^[\s,;]+|(?:(?<![.\s])\s*\.|[\s,;])+$", "", " ".join(text.split()))


def _plain_characters(text: str) -> str:
    """Unicode as LaTeX: signs, Greek, fractions, superscripts and subscripts, letters of mathematical alphabets."""
    if text.isascii():
        return text
    out = []
    for c in text:
        known = _CHARACTERS.get(c) or _GREEK.get(c)
        kind, _, parts = unicodedata.decomposition(c).partition(" ")
        if known is not None or c in _CHARACTERS:
            out.append(known or "")
        elif kind in ("<super>", "<sub>"):
            out.append(f"{kind}{unicodedata.normalize('NFKC', c)}</>")
        elif kind == "<fraction>":
            top, _, bottom = unicodedata.normalize("NFKC", c).partition("\u2044")
            out.append(f"\\frac{{{top}}}{{{bottom}}}")
        else:
            out.append(unicodedata.normalize("NFKC", c) if kind in ("<font>", "<wide>", "<compat>") else c)
    return _SHIFTED.sub(_shifted, "".join(out))


def _shifted(run: re.Match[str]) -> str:
    mark = "^" if run[0].startswith("<super>") else "_"
    content = re.sub("<[^>]*>", "", run[0]).replace("\u2212", "-")
    return f"{mark}{{{content}}}"


def _closed(text: str) -> str:
    """With the closing braces that are missing at the end."""
    depth = 0
    for mark in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(mark[0], 0)
    return text + "}" * max(depth, 0)


_WRAPPERS = re.compile(
    r"\\(?:(?:textcolor|colorbox)\s*(?:\[\w+\]\s*)?\{[^{}]*\}|color\s*(?:\[\w+\]\s*)?\{[^{}]*\}(?=\s*\{)"
    r"|(?:boxed|fbox|mathbf|mathit|mathsf|mathtt|mathnormal|boldsymbol|bm|pmb|underline|ensuremath|mathstrut|displaylimits|mathop|mathopen|mathclose|mathord|mathinner|uline)(?=\s*[\d{])|mathrm(?=\s*\{[\d({-]))\s*"
)


def _unwrapped(text: str) -> str:
    """Without the commands that colour, frame or embolden their argument, which stays."""
    return _WRAPPERS.sub("", text)


def with_braces(text: str) -> str:
    r"""The arguments of `\frac`, `\binom` and `\sqrt` in braces, where TeX takes one sign: `\frac12`, `\sqrt2`."""
    out, i = [], 0
    for found in re.finditer(r"\\(frac|binom|sqrt)(?![a-zA-Z])\s*", text):
        if found.start() < i:  # inside of an argument, which was treated there
            continue
        out.append(text[i : found.start()] + f"\\{found[1]}")
        i = found.end()
        if found[1] == "sqrt" and text[i : i + 1] == "[" and "]" in text[i:]:
            end = text.index("]", i) + 1
            out.append(text[i:end])
            i = end
        for _ in range(1 if found[1] == "sqrt" else 2):
            while text[i : i + 1] == " ":
                i += 1
            end = closing(text, i)
            if text[i : i + 1] == "{" or (found[1] == "sqrt" and text[i : i + 1] == "(" and text[end - 1] == ")"):
                inner = text[i + 1 : end - 1]
            else:
                sign = re.compile(r"\\[a-zA-Z]+|.|$", re.DOTALL).match(text, i)
                assert sign is not None, "the pattern matches the empty text at the end"
                end, inner = sign.end(), sign[0]
                if found[1] == "sqrt" and inner.isdigit():  # not TeX's reading, but what \sqrt12 is written for
                    end = i + len(re.match(r"\d+", text[i:])[0])  # type: ignore[index]
                    inner = text[i:end]
            out.append("{" + with_braces(inner) + "}")
            i = end
    return "".join(out) + text[i:]


_BEFORE_BRACKETS = re.compile(r"(\^\s*|(?<![\\a-zA-Z])abs\s*)(?=\()|\\cis\s*(?=\(|\\frac\s*\{|[^-+,;()]+$)")


def _bracketed_arguments(text: str) -> str:
    r"""`2^(1/3)`, `abs(x)` and `\cis(x)` as `2^{1/3}`, `|x|` and `e^{i(x)}`, which its argument ends."""
    at = 0
    while found := _BEFORE_BRACKETS.search(text, at):
        at, start = found.start(), found.end()
        end = closing(text, start) if text[start] == "(" else len(text)
        if text.startswith("\\frac", start):
            end = closing(text, closing(text, start))
        if found[1] is None:
            new = f"e^{{i({text[start:end]})}}"
        elif text[end - 1] != ")":
            break
        else:
            new = f"^{{{text[start + 1 : end - 1]}}}" if found[1][0] == "^" else f"|{text[start + 1 : end - 1]}|"
        text = text[:at] + new + text[end:]
    return text


_CHOOSE = re.compile(
    r"(?<![a-zA-Z\\])(?:\{\s*\})?\s*(?:[_^]\s*\{?(\d+)\}?\s*(?:C|\{C\}|\\text\{\s*C\s*\})\s*_\s*(?:(\d)|\{(\d+)\})"
    r"|(?:C|\{C\})\s*_\s*(?:(\d)|\{(\d+)\})\s*\^\s*(?:(\d)|\{(\d+)\})|C\s*\(\s*(\d+)\s*,\s*(\d+)\s*\))"
)


def _binomials(text: str) -> str:
    r"""`{}^5C_2`, `{}_5C_2`, `C_5^2` and `C(5,2)` as `\binom{5}{2}`, where no C in the text is anything else."""
    if "C" not in text:
        return text
    found = [tuple(int(n) for n in match.groups() if n) for match in _CHOOSE.finditer(text)]
    rest = _CHOOSE.sub("", text)
    if not found or re.search(r"(?<!\\)C(?![a-z])|[A-Z]\s*\(", rest) or any(n < k for n, k in found) or max(found)[0] < 3:
        return text
    return _CHOOSE.sub(lambda m: "\\binom{{{}}}{{{}}}".format(*(n for n in m.groups() if n)), text)


def closing(text: str, start: int) -> int:
    """Where the bracket or brace that opens at `start` is closed: the index after it, or the text's end."""
    depth = 0
    for mark in re.compile(r"\\[{}]|[][(){}]").finditer(text, start):
        if mark[0][-1] in "([{":
            depth += 1
        elif mark[0][-1] in ")]}":
            depth -= 1
            if depth == 0:
                return mark.end()
    return len(text)


def _outside(found: str, new: str) -> str:
    """What a rule makes of a word; a text command, which its pattern finds first, stays."""
    return found if found.startswith("\\text") else new


def _repeating(whole: str, fixed: str, period: str) -> str:
    """The fraction of a decimal whose last digits repeat."""
    nines = int("9" * len(period)) * 10 ** len(fixed)
    top = int(whole + fixed + period) - int(whole + fixed)
    return f"\\frac{{{top}}}{{{nines}}}"


def same_text(left: str, right: str) -> bool:
    """Whether two normalised texts differ in spaces and in braces around single signs alone."""
    return _compact(left) == _compact(right)


def same_words(answer: str, gold: str) -> bool:
    """Whether a gold answer of words alone, set as text, has the words of an answer, whatever their case."""
    if not gold.startswith("\\text{") or re.search(r"[^A-Za-z\s.,'(){}-]", TEXT.sub(" ", gold)):
        return False
    found = [re.sub(r"[\W_]", "", TEXT.sub(r"\1", text)).casefold() for text in (answer, gold)]
    return found[0] == found[1] != "" and not re.search(r"[\\^_=<>+*/|-]", TEXT.sub("", answer))


@lru_cache(maxsize=8192)
def _compact(text: str) -> str:
    text = TEXT.sub(r" \1 ", text)
    text = re.sub(r"([_^])\s*\{\s*(\\[a-zA-Z]+|.)\s*\}", r"\1\2", text)
    text = re.sub(r"\\mid(?![a-zA-Z])", "|", text)
    text = re.sub(r"\\([a-zA-Z]+)\s+(?![a-zA-Z])", r"\\\1", text)
    text = re.sub(
        r"(?<![\da-zA-Z\\]) +| +(?![\da-zA-Z\\])|(?<=\d) +(?=[a-zA-Z\\])|(?<=[a-zA-Z]) +(?=\d)| +(?=\\[a-zA-Z])", "", text
    )
    while text.startswith("{") and closing(text, 0) == len(text):
        text = text[1:-1]
    return text.strip()
