"""What `harness check golds` says of gold answers that equal themselves and are no answers."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256

import pytest

from harness.data import suites
from harness.grading.golds import malformed
from support.command import harness


@pytest.mark.parametrize(
    ("gold", "reason"),
    [
        ("1+1=<<1+1=2>>2\n#### 9", "a raw row"),
        ("He has 2.\n#### 1,000", "a raw row"),
        ("3*4=<<3*4=12>>12", "a raw row"),
        ("so it is \\boxed{7}", "a raw row"),
        ("5\n7", "a raw row"),
        ("12.", "a raw row"),
        ("$x+1$.", "a raw row"),
        ("\\frac{5055}{2^{15}", "unbalanced braces"),
        ("\\sqrt{2", "unbalanced braces"),
        ("2}", "unbalanced braces"),
        ("\\left(1,2)", "unbalanced \\left"),
        ("\\begin{pmatrix}1\\\\2", "unbalanced \\begin"),
        ("(1,2", "unbalanced parentheses"),
        ("[1,2", "unbalanced brackets"),
        ("[1,2)) \\cup (3,4)", "unbalanced brackets"),
        ("3)", "unbalanced parentheses"),
        ("\\{1,2", "unbalanced \\{"),
        ("$221,$8$", "unbalanced $"),
        ("\\text{ }", "nothing but layout"),
        ("$ $", "nothing but layout"),
    ],
)
def test_raw_rows_and_what_does_not_close(gold, reason):
    assert (malformed(gold) or "").startswith(reason)


@pytest.mark.parametrize(
    "gold",
    [
        "12",
        "1.5",
        "[1,2)",
        "]1,2[",
        "]0,1]",
        "[0,1[ \\cup ]2,3]",
        "f(x)=[x]",
        "(-\\infty, 3]",
        "\\{1,2\\}",
        "\\left[1,2\\right)",
        "\\left\\{\\begin{array}{l}x=1\\\\y=2\\end{array}\\right.",
        "$5$",
        "\\$5.50",
        "\\text{5 p.m.}",
        "\\begin{pmatrix}1\\\\[2pt]2\\end{pmatrix}",
        "x<3",
        "(a,b]\\cup[c,d)",
    ],
)
def test_what_is_well_written(gold):
    assert malformed(gold) is None


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """A function that makes a mathematics suite of these golds and checks it: exit code, output, errors."""

    def check(capsys, golds, card=None, *options):
        (tmp_path / "eval").mkdir(exist_ok=True)
        text = "".join(json.dumps({"id": f"p{i}", "problem": "?", "answer": gold}) + "\n" for i, gold in enumerate(golds))
        (tmp_path / "eval" / "aime24.jsonl").write_text(text)
        made = replace(
            suites.load_suite("aime24"), size=len(golds), sha256=sha256(text.encode()).hexdigest(), rejected_golds=card or {}
        )
        monkeypatch.setitem(suites._suites(), "aime24", made)
        return harness(capsys, "check", "golds", "--bench", "aime24", "--data-dir", tmp_path, *options)

    return check


def test_each_is_named_with_its_reason(suite, capsys):
    golds = ["7", "1+1=<<1+1=2>>2\n#### 9", "12.", "\\frac{5055}{2^{15}", "\\sqrt{2", "\\text{odd}", "t(0,4]"]
    code, out, _ = suite(capsys, golds, None, "--json")
    found = json.loads(out)["suites"]["aime24"]
    assert code == 1 and found["n"] == 7 and found["words"] == 1
    assert [(row["id"], row["gold"], row["kind"]) for row in found["doubtful"]] == [
        *((f"p{i}", golds[i], "malformed") for i in range(1, 5)),
        ("p6", "t(0,4]", "text"),
    ]
    assert all(row["reason"] and row["card"] is None for row in found["doubtful"])


def test_as_lines_and_a_sentence(suite, capsys):
    code, out, err = suite(capsys, ["7", "12.", "\\sqrt{2"])
    assert code == 1 and "p1: malformed, a raw row: a full stop at its end: 12." in out
    assert "p2: malformed, unbalanced braces" in out
    assert "of the gold answers 2 are raw rows or unbalanced, without a reason in a card" in err


def test_a_card_may_give_the_reason(suite, capsys):
    code, out, _ = suite(capsys, ["7", "12."], {"p1": "as the source has it"})
    assert code == 0 and "p1: malformed" in out and "the card: as the source has it" in out


def test_texts_are_named_and_no_failure(suite, capsys):
    code, out, _ = suite(capsys, ["7", "\\text{even}", "Monday", "t(0,4]"])
    assert code == 0 and "4 of 4 gold answers accepted, 2 of them words" in out
    assert "p3: text, read as text only: no answer but the same text can be right: t(0,4]" in out
    assert "p1" not in out and "p2" not in out
