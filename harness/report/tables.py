"""A table of text, rendered in Markdown, LaTeX and, through the HTML templates, on pages; on terminals by terminal.py.

Cells are formatted once, so the outputs cannot disagree. Whatever a model or a recipe wrote counts as hostile: `visible`
spells out characters that would steer a terminal or reorder a line, and every format escapes its own markup.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.core.text import visible


def markdown_cell(text: str) -> str:
    """One line of GitHub Markdown without any markup: no HTML, links, images, code, emphasis or cell borders; also no bare
    addresses, which become links by themselves, and no mentions, whose `@` no backslash disarms: it is made full-width."""
    line = re.sub(r"([\\`*\[\]|<&~])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\\g<0>", " ".join(visible(text).split()))
    line = re.sub(r"://|(?<=www)\.|(?<=mailto):|(?<=xmpp):", r"\\\g<0>", line, flags=re.IGNORECASE)
    return re.sub(r"@(?!(?<=[A-Za-z0-9]@)[\w-]+(?![\w.-]))(?=[\w-])", "\uff20", line)


def markdown_line(text: str) -> str:
    """The same as a paragraph of its own, which is no heading, list or quotation either."""
    return re.sub(r"^(\d*)([#>+=.)-])", r"\1\\\2", markdown_cell(text))


def csv_cell(text: str) -> str:
    """One line that no spreadsheet takes for a formula: what looks like one, but is not a number, gets an apostrophe."""
    line = " ".join(visible(text).split())
    number = re.fullmatch(r"[-+]?[\d.,]+[†‡]?( to [-+]?[\d.,]+)?", line)
    first = unicodedata.normalize("NFKC", line[:1])  # some take the full-width ones for the same
    return f"'{line}" if first in ("=", "+", "-", "\u2212", "@") and not number else line


LATEX = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "-": "{-}",
    "[": "{[}",
    "*": "{*}",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "×": r"$\times$",
    **{c: "\\" + c for c in "&%$#_{}"},
}
"""Characters that LaTeX interprets or its fonts lack; hyphens are in braces, so that two do not become a dash, as are
`[` and `*`, which the end of a row before them would take for its own."""


def latex_cell(text: str) -> str:
    """One line without commands: `\\input{x}` is typeset, not run."""
    line = " ".join(visible(text).split())
    return "".join(f"${c}$" if c in "+-" and re.match(r"[-+]\d", line[i:]) else LATEX.get(c, c) for i, c in enumerate(line))


def p_value(p: float | None) -> str:
    """Three decimals without the leading zero, `<.001` for less than that; "" for None."""
    if p is None:
        return ""
    return "<.001" if p < 0.0005 else "1" if p > 0.9995 else f"{p:.3f}".removeprefix("0")


def points(share: float, sign: bool = False) -> str:
    """A share in percent points with one decimal; never "-0.0"."""
    return f"{round(100 * share, 1) + 0.0:{'+' if sign else ''}.1f}"


def interval(low: float, high: float, sign: bool = False) -> str:
    """`low to high` in percent points."""
    return f"{points(low, sign)} to {points(high, sign)}"


def compact(number: float) -> str:
    """Three significant digits: 950, 10.2k, 1.25M, 3.4B."""
    for size, suffix in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size * 0.9995:
            return f"{float(f'{number / size:.3g}'):g}{suffix}"
    return f"{float(f'{number:.3g}'):g}"


def seconds(value: float) -> str:
    """`42 s`, `3.5 min` or `2.1 h`."""
    if value < 99.5:
        return f"{value:.0f} s"
    return f"{value / 60:.1f} min" if value < 5970 else f"{value / 3600:.1f} h"


@dataclass(frozen=True)
class Table:
    """Rows of text cells. `align` holds "l" or "r" for each column; a blank first cell continues the row above.

    `bold` holds the (row, column) of highlighted cells, `grey` the muted rows, `remarks` what a terminal says below a row; all
    count from 0.
    """

    title: str
    header: tuple[str, ...]
    align: str
    rows: list[tuple[str, ...]]
    notes: tuple[str, ...] = ()
    bold: frozenset[tuple[int, int]] = frozenset()
    grey: frozenset[int] = frozenset()
    remarks: Mapping[int, str] = field(default_factory=dict)

    @property
    def grouped(self) -> bool:
        """Whether the first column names groups of rows."""
        return any(not row[0] for row in self.rows)

    def to_latex(self) -> str:
        """A table environment with booktabs rules, space between groups of rows, and notes below."""

        def styled(i: int, j: int, cell: str) -> str:
            text = latex_cell(cell)
            text = rf"\textbf{{{text}}}" if (i, j) in self.bold and text else text
            return rf"\textcolor{{gray}}{{{text}}}" if i in self.grey and text else text

        lines = [r"\begin{table}", r"\centering", rf"\caption{{{latex_cell(self.title)}}}", r"\small"]
        lines += [rf"\begin{{tabular}}{{{self.align}}}", r"\toprule"]
        lines += [" & ".join(map(latex_cell, self.header)) + r" \\", r"\midrule"]
        for i, row in enumerate(self.rows):
            if i and self.grouped and row[0]:
                lines.append(r"\addlinespace")
            lines.append(" & ".join(styled(i, j, cell) for j, cell in enumerate(row)) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}"]
        lines += [rf"\par\footnotesize {latex_cell(note)}" for note in self.notes]
        return "\n".join([*lines, r"\end{table}"]) + "\n"

    def to_markdown(self) -> str:
        def line(cells: tuple[str, ...]) -> str:
            return f"| {' | '.join(cells)} |"

        rule = tuple("---:" if side == "r" else "---" for side in self.align)
        cells = [
            tuple(f"**{markdown_cell(c)}**" if (i, j) in self.bold and c else markdown_cell(c) for j, c in enumerate(row))
            for i, row in enumerate(self.rows)
        ]
        body = [line(tuple(map(markdown_cell, self.header))), line(rule), *map(line, cells)]
        notes = [f"\n{markdown_line(note)}" for note in self.notes]
        return "\n".join([f"## {markdown_cell(self.title)}", "", *body, *notes]) + "\n"
