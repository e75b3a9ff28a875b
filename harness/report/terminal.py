"""Tables on a terminal of any width. Nothing is cut: where columns do not fit, every row becomes a few lines of its own.

Text wraps at spaces; names and numbers stay whole as long as a line has room for them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from harness.core.text import visible
from harness.report.tables import Table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

PLAIN = 80
"""Columns of a file or a pipe, which have no width of their own."""
LEAST = 24
"""Characters that a column of prose keeps, if its longest word has so many; one of names keeps its longest name."""
INDENT = "  "


def width() -> int:
    """Columns to print on: COLUMNS of the environment, else the terminal's, else PLAIN; at least LEAST."""
    return max(LEAST, shutil.get_terminal_size((PLAIN, 24)).columns)


def show(*found: Table) -> None:
    """Print tables, each with its title and notes."""
    from rich.console import Console

    console = Console(width=width())
    for table in found:
        console.print(fitted(table, console), soft_wrap=True)


def in_text(found: Sequence[Table], columns: int) -> str:
    """The same as plain text."""
    from rich.console import Console

    console = Console(width=columns)
    return "".join(f"{fitted(table, console).plain}\n" for table in found)


def fitted(table: Table, console: Console) -> Text:
    """A table in lines no wider than the console, with its title above and its notes below."""
    from rich.text import Text

    lines = [*(_prose(table.title, console, "bold") if table.title else []), *_body(table, console)]
    if table.notes:
        lines += [Text(), *(line for note in table.notes for line in _prose(note, console)), Text()]
    return Text("\n").join(lines)


def _body(table: Table, console: Console) -> Iterator[Text]:
    """Headings and rows; the name of a group has a line of its own."""
    from rich.text import Text

    first = int(table.grouped)
    widths, gap = _widths(table, first, console.width)
    sides = table.align[first:]
    if widths:
        yield from _line([Text(visible(name)) for name in table.header[first:]], sides, widths, gap, console, head=True)
        yield Text("─" * (sum(widths) + gap * (len(widths) - 1)))
    else:
        yield from [*_prose(table.header[first], console), Text("─" * console.width)]
    for i, row in enumerate(table.rows):
        if first and row[0]:
            yield from [Text()] if i else []
            yield from _prose(row[0], console, "bold")
        style = "dim" if i in table.grey else ""
        cells = [Text(visible(cell), "bold" if (i, j) in table.bold else style) for j, cell in enumerate(row)][first:]
        yield from _line(cells, sides, widths, gap, console) if widths else _stacked(table, cells, console)
        if i in table.remarks:
            yield from _prose(table.remarks[i], console, indent=INDENT)


def _widths(table: Table, first: int, columns: int) -> tuple[list[int], int]:
    """The width of every column, text columns as wide as they are or as the others leave them, and the gap between columns;
    no widths if they do not fit."""
    from rich.cells import cell_len

    cells = [[visible(row[j]) for row in (table.header, *table.rows)] for j in range(first, len(table.header))]
    longest = [max(cell_len(word) for text in own for word in text.split() or [""]) for own in cells]
    lines = [[line for text in own[1:] for line in text.split("\n")] for own in cells]
    whole = [max([word, *map(cell_len, own)]) for word, own in zip(longest, lines, strict=True)]
    between = len(whole) - 1
    if sum(whole) + 2 * between <= columns:
        return whole, 2
    widths: list[int] = []
    for own, side, word, full in zip(cells, table.align[first:], longest, whole, strict=True):
        prose = widths and any(" " in text for text in own[1:])  # the first column has names
        widths.append(full if side == "r" else min(LEAST, word) if prose else word)
    left = columns - sum(widths) - between
    if left < 0:
        return [], 1
    for j in sorted(range(len(whole)), key=lambda j: whole[j] - widths[j]):  # first to those that need least
        more = min(left, whole[j] - widths[j])
        widths[j], left = widths[j] + more, left - more
    return widths, 1


def _line(
    cells: Sequence[Text], sides: str, widths: Sequence[int], gap: int, console: Console, head: bool = False
) -> Iterator[Text]:
    """A row in columns; headings stand at the bottom of theirs."""
    from rich.text import Text

    blocks = [cell.wrap(console, w, overflow="fold") for cell, w in zip(cells, widths, strict=True)]
    tall = max(map(len, blocks))
    if head:
        blocks = [[Text()] * (tall - len(block)) + list(block) for block in blocks]  # type: ignore[misc]
    for parts in zip_longest(*blocks):
        line = Text()
        for part, side, w in zip(parts, sides, widths, strict=True):
            shown = part.copy() if part else Text()
            shown.rstrip()
            shown.align("right" if side == "r" else "left", w)
            line.append_text(shown if not line else Text(" " * gap).append_text(shown))
        line.rstrip()
        yield line


def _stacked(table: Table, cells: Sequence[Text], console: Console) -> Iterator[Text]:
    """A row as its name, then every other cell that is not empty behind its heading, as many to a line as fit."""
    from rich.text import Text

    yield from _wrapped(cells[0], console)
    line = Text(INDENT)
    names = table.header[len(table.header) - len(cells) :]
    for name, cell in list(zip(names, cells, strict=True))[1:]:
        if not cell.plain:
            continue
        pair = Text(f"{visible(name)} ").append_text(Text(" ").join(cell.split("\n")))
        if line.plain.strip() and line.cell_len + pair.cell_len + 3 > console.width:
            yield line
            line = Text(INDENT)
        if line.plain.strip():
            line.append(" · ")
        line.append_text(pair)
        if line.cell_len > console.width:
            line = Text(line.plain.strip(), line.style)
            yield from _wrapped(line, console, INDENT)
            line = Text(INDENT)
    if line.plain.strip():
        yield line


def _prose(text: str, console: Console, style: str = "", indent: str = "") -> Iterator[Text]:
    """Text of any length, a paragraph a line of it."""
    from rich.text import Text

    for paragraph in visible(text).split("\n"):
        inner = paragraph.lstrip()
        yield from _wrapped(Text(inner, style), console, indent + paragraph[: len(paragraph) - len(inner)])


def _wrapped(text: Text, console: Console, indent: str = "") -> Iterator[Text]:
    from rich.text import Text

    for line in text.wrap(console, console.width - len(indent), overflow="fold"):
        line.rstrip()
        yield Text(indent).append_text(line)
