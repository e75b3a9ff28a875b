"""Text of numbers, and cells that nothing hostile gets out of."""

import csv
import io
import re

import pytest

from harness.core.text import visible
from harness.report.spreadsheet import csv_text
from harness.report.tables import Table, compact, csv_cell, markdown_cell, p_value, points


def test_text_of_numbers_and_hostile_cells():
    assert [points(x) for x in (0.4325, -0.0001, 1)] == ["43.2", "0.0", "100.0"]
    assert [compact(x) for x in (950, 999.9, 10240, 1_254_000)] == ["950", "1k", "10.2k", "1.25M"]
    assert visible("a\u202eb\x1b[2J\ud800\nc") == "a<U+202E>b<U+001B>[2J<U+D800>\nc"
    hostile = Table("t", ("a",), "l", [("<b>x</b> | ![i](http://x) `c`\n# h",)]).to_markdown()
    cells = ('=HYPERLINK("x")', "-2+3+cmd|' /C calc'!A0", "+4.7†", "-1.0 to +2.0", "a,\n\u202eb")
    assert list(csv.reader(io.StringIO(csv_text([(cell,) for cell in cells])))) == [
        ['\'=HYPERLINK("x")'],
        ["'-2+3+cmd|' /C calc'!A0"],
        ["+4.7†"],
        ["-1.0 to +2.0"],
        ["a, <U+202E>b"],
    ]
    run = Table("t", ("a",), "l", [(r"\input{/etc/passwd} 50% $x_1^2$ #&~ {",)]).to_latex()
    assert (r"\textbackslash{}input\{/etc/passwd\} 50\% \$x\_1\textasciicircum{}2\$ \#\&\textasciitilde{} \{ \\") in run
    assert [p_value(p) for p in (None, 0.0001, 0.05, 0.99999)] == ["", "<.001", ".050", "1"]
    assert "| \\<b>x\\</b> \\| !\\[i\\](http\\://x) \\`c\\` # h |" in hostile


MARKUP = (
    "see https://evil.example/x and HTTP://evil.example or ftp://evil.example",
    "www.evil.example WWW.evil.example",
    "mailto:a@evil.example xmpp:a@evil.example",
    "write to a.b-c@evil.example",
    "_emphasis_ *emphasis* __strong__ **strong** ~~gone~~ ~gone~",
    "[a](https://evil.example) ![b](x) <https://evil.example> [c]: x",
    "`code` | cell \\| cell \\\\ end &lt; &#60;",
)


@pytest.mark.parametrize("text", MARKUP)
def test_a_markdown_cell_has_no_markup(text):
    """As GitHub's Markdown is read: one paragraph of nothing but the text, without what section 6.9 of its specification
    makes links of by itself."""
    from markdown_it import MarkdownIt

    cell = markdown_cell(text)
    [_, inline, _] = MarkdownIt("gfm-like", {"linkify": False}).parse(cell)
    assert not re.search(r"(?i)www\.|(https?|ftp)://|(mailto|xmpp):|[\w.+-]+@[\w-]+\.", cell)
    assert {token.type for token in inline.children} <= {"text", "text_special"}
    assert "".join(token.content for token in inline.children).replace("\uff20", "@") == " ".join(text.split())


@pytest.mark.parametrize("text", ["# heading", "- item", "+ item", "> quoted", "1. item", "12) item", "===", "---"])
def test_a_note_is_a_paragraph(text):
    from markdown_it import MarkdownIt

    table = Table("t", ("a",), "l", [("x",)], notes=(text,)).to_markdown()
    kinds = [token.type for token in MarkdownIt("gfm-like", {"linkify": False}).parse(table)]
    assert kinds[-3:] == ["paragraph_open", "inline", "paragraph_close"]


def test_mentions_are_disarmed_and_measures_stay():
    assert not re.search(r"(?<![A-Za-z0-9])@[A-Za-z0-9]", markdown_cell("@everyone (@team/x) \\@user a,@b"))
    assert markdown_cell("avg@16 and pass@k, p2o_x") == "avg@16 and pass@k, p2o_x"


def test_full_width_formulas_and_leading_brackets():
    for text in ("\uff1dHYPERLINK()", "\uff0b1+cmd", "\uff0dx", "\uff20SUM(A1)", "\u2212x", "\t=x"):
        assert csv_cell(text).startswith("'"), text
    table = Table("t", ("a", "b"), "ll", [("[5cm] x", "y"), ("* x", "y"), ("[x", "y")]).to_latex()
    assert not re.search(r"\\\\\s*[\[*]", table) and "{[}5cm] x" in table and "{*} x" in table
