"""The single steps of grading, in this process: what each function gives for texts whose right reading is known.

What the pool's children do is done here directly, so that whoever measures the tests sees it; test_graders.py has the pool.
"""

from __future__ import annotations

import random
import re
from fractions import Fraction
from types import SimpleNamespace

import pytest
import sympy

from harness.core.errors import MissingError
from harness.core.types import Problem
from harness.data import procedural
from harness.grading import answers, compare, equivalence, golds, graders, layout, parity, quantities, reading, strict
from harness.grading.answers import (
    MAX_CHARS,
    bare,
    boxed_answer,
    boxed_brackets,
    brackets,
    integer,
    last_boxed,
    letter,
    said,
    whole_box,
    words,
)
from harness.grading.graders import Grade, grade_choice, grade_exact, grade_many, grade_math, grader_of
from harness.grading.numeric import points
from harness.grading.pool import default_workers
from harness.grading.split import AND
from harness.grading.units import Unit

assert compare.same  # loads what the children load, once


def here(function, pairs, workers, timeout_s):
    """As `run_many`, in this process."""
    out = []
    for pair in pairs:
        try:
            out.append(function(*pair))
        except Exception as e:
            out.append(e)
    return out


@pytest.fixture
def in_process(monkeypatch):
    for module in (equivalence, golds, parity):
        monkeypatch.setattr(module, "run_many", here)


# ---------------------------------------------------------------------- reading an answer out of a text


@pytest.mark.parametrize(
    ("read", "text", "found"),
    [
        (bare, " \\text{ (B) } ", "(B)"),
        (bare, "\\mathrm {x}\\textbf{y} \\mbox{z}", "xy z"),
        (bare, "a\\quad b\\qquad c\\,d\\;e\\:f\\!g~h\\ i", "a b c d e f g h i"),
        (bare, "\\quadx", "\\quadx"),
        (bare, "\\$5\\% of \\#3 \\& \\_", "5% of #3 & _"),
        (bare, "\u22125 isn\u2019t", "-5 isn't"),
        (bare, "\u201cyes.\u201d", "yes"),
        (bare, "'yes'.", "yes"),
        (bare, "`*yes*`", "yes"),
        (bare, "yes..", "yes."),
        (bare, "a\n b\t c", "a b c"),
        (said, "So, the final answer is: B", "B"),
        (said, "The correct option is the letter B", "B"),
        (said, "hence the result = 12", "12"),
        (said, "the answer= 12", "12"),
        (said, "the answer=12", "the answer=12"),
        (letter, "The answer = B", "b"),
        (said, "answers B", "answers B"),
        (said, "\u20135", "-5"),
        (said, "\ufe635 \uff0d6 \u20107 \u20118 \u20129 \u20141", "-5 -6 -7 -8 -9 -1"),
        (letter, "(b).", "b"),
        (letter, "B) the text of it", "b"),
        (letter, "(C) two words", "c"),
        (letter, "C two words", ""),
        (letter, "A. x, B. y", ""),
        (letter, "(A) or (B)", ""),
        (letter, "(A) x and more", "a"),
        (letter, "A: or B", ""),
        (letter, "AB", ""),
        (letter, "The answer is D", "d"),
        (letter, "b):.", "b"),
        (integer, "1,234,567", "1234567"),
        (integer, "1 234 567", "1234567"),
        (integer, "+ 12", "12"),
        (integer, "- 0012.00", "-12"),
        (integer, "-0", "0"),
        (integer, "000", "0"),
        (integer, "12.5", "12.5"),
        (integer, "1,23", "1 23"),
        (integer, "12,345 apples", "12 345 apples"),
        (integer, "The answer is 7.", "7"),
        (words, "Yes, it; IS  so", "yes it is so"),
        (words, "The answer is Valid", "valid"),
        (brackets, "\\text{\\textbf{] }}}", "]}"),
        (brackets, "\\{ \\left( \\rbrace \\langle\\rangle \\lbrack \\rbrack \\lt\\gt \\lbrace\\right)", "{(}<>[]<>{)"),
        (brackets, "\\foo $[`\"',]", "\\foo[]"),
        (brackets, "\\quad ] \\, }", "]}"),
        (brackets, "\\text{] \n }}", "]}"),
        (last_boxed, "$\\boxed\\frac{1}{2}$", "\\frac{1}{2}"),
        (last_boxed, "$\\boxed\\frac{1}{2$", None),
        (last_boxed, "$\\boxed\\frac1}2$", None),
        (last_boxed, "$\\boxed\\text{\\{}$", "\\text{\\{}"),
        (last_boxed, "\\boxed\\text{\\boxed}", None),
        (last_boxed, "$\\boxed\\frac12\\$", None),
        (last_boxed, "$\\boxed 3,;.$", "3"),
        (whole_box, "\\boxed{a " * 30 + "5" + "}" * 30, "a " + "\\boxed{a " * 20 + "5" + "}" * 20),
        (boxed_brackets, "so \\boxed{(} or \\boxed {] } >}", "] } >"),
        (boxed_brackets, "\\boxed{\\{ [}", "\\{ ["),
        (boxed_brackets, "\\boxed{a ]}", None),
        (boxed_brackets, "no box ]}", None),
        (boxed_brackets, "\\boxed{ ]\n }", None),
        (last_boxed, "\\boxed{\\}}", "\\}"),
        (last_boxed, "\\boxed{\\frac{1}{2}} {", "\\frac{1}{2}"),
        (last_boxed, "$\\boxed 5.$", "5"),
        (last_boxed, "$\\boxed -3/4,$", "-3/4"),
        (last_boxed, "\\(\\boxed A\\) x", "A"),
        (last_boxed, "\\boxed A x", None),
        (last_boxed, "\\boxed\\sqrt{2 and", None),
        (last_boxed, "\\boxed 7 and \\boxed\\sqrt{2", "7"),
        (last_boxed, "\\boxed 7 and \\boxed{8", None),
        (whole_box, "\\boxed{x = \\boxed{5}}", "x = \\boxed{5}"),
        (whole_box, "\\boxed{ \\boxed{5} }", "5"),
        (whole_box, "\\boxed{1} \\boxed{5}", "5"),
        (whole_box, "\\boxed 5", "5"),
        (whole_box, "\\boxed{\\boxed{\\boxed{6}}}", "6"),
        (whole_box, "\\boxed{a \\boxed{b \\boxed{6}}}", "a \\boxed{b \\boxed{6}}"),
        (boxed_answer, "\\boxed{1}, \\boxed{2} and \\boxed{1}", "1, 2"),
        (boxed_answer, "$\\boxed{1}$\\text{ and }\\(\\boxed{2}\\)", "1, 2"),
        (boxed_answer, "\\boxed{1} so \\boxed{2}", "2"),
        (boxed_answer, "\\boxed{0} so \\boxed{1} or \\boxed{2}", "1, 2"),
        (boxed_answer, "\\boxed{2", None),
        (boxed_answer, ", ".join(f"\\boxed{{{i}}}" for i in range(30)), ", ".join(map(str, range(10, 30)))),
    ],
)
def test_texts_are_read(read, text, found):
    assert read(text) == found


def test_a_bracket_far_away_closes_nothing():
    assert boxed_brackets("\\boxed{" + "] " * (MAX_CHARS // 2) + "}") is None
    assert boxed_brackets("\\boxed{" + "]" * (MAX_CHARS - 1) + "}") == "]" * (MAX_CHARS - 1)


# ---------------------------------------------------------------------- graders


def box(text):
    return f"So it is \\boxed{{{text}}}."


def test_mathematics_in_this_process(in_process):
    pairs = [
        (box("\\frac{2}{4}"), " 0.5 "),
        (box("3"), "4"),
        ("none", "4"),
        (box(""), "4"),
        (box("x+1"), "1+x"),
        (box("{"), "4"),
    ]
    assert grade_math(pairs, 1, 4.0) == [
        Grade(1.0, "ok", "\\frac{2}{4}"),
        Grade(0.0, "ok", "3"),
        Grade(0.0, "unparsed", None),
        Grade(0.0, "unparsed", None),
        Grade(1.0, "ok", "x+1"),
        Grade(0.0, "unparsed", None),
    ]
    assert grade_math([(box("(" * 31 + "1" + ")" * 31), "1")], 1, 4.0)[0].status == "unparsed"
    assert grade_math([], 1, 4.0) == []


def test_what_a_child_could_not_do_has_a_status(monkeypatch):
    outcomes = {"2+3": TimeoutError(), "3+2": OSError(), "1+4": "right", "4+1": "wrong", "6-1": "unparsed"}
    monkeypatch.setattr(equivalence, "run_many", lambda f, pairs, *_: [outcomes[a] for a, _ in pairs])
    found = grade_math([(box(a), "5") for a in outcomes], 1, 4.0)
    assert [(g.score, g.status, g.answer) for g in found] == [
        (0.0, "timeout", "2+3"),
        (0.0, "error", "3+2"),
        (1.0, "ok", "1+4"),
        (0.0, "ok", "4+1"),
        (0.0, "unparsed", "6-1"),
    ]


def test_workers_and_seconds_reach_the_pool(monkeypatch):
    asked = []
    monkeypatch.setattr(
        equivalence, "run_many", lambda f, pairs, *own: asked.append((list(pairs), *own)) or ["right"] * len(pairs)
    )
    grade_many([(box("x+1"), "1+x", "math"), (box("x+1"), "1+x", "math"), (box("a"), "b", "math")], 3, 1.5)
    grade_many([(box("x+1"), "1+x", "math")])
    assert asked == [([("a", "b"), ("x+1", "1+x")], 3, 1.5), ([("x+1", "1+x")], default_workers(), 4.0)]


@pytest.mark.parametrize(
    ("grade", "completion", "gold", "found"),
    [
        (grade_choice, box("\\text{(B)}"), "B", Grade(1.0, "ok", "\\text{(B)}")),
        (grade_choice, box("b. its text"), "(B)", Grade(1.0, "ok", "b. its text")),
        (grade_choice, box("A"), "B", Grade(0.0, "ok", "A")),
        (grade_choice, box("12"), "B", Grade(0.0, "unparsed", None)),
        (grade_choice, "B", "B", Grade(0.0, "unparsed", None)),
        (grade_exact, box("c"), "(C)", Grade(1.0, "ok", "c")),
        (grade_exact, box("(c)"), "(C)", Grade(1.0, "ok", "(c)")),
        (grade_exact, box("(C)"), "C", Grade(0.0, "ok", "(C)")),
        (grade_exact, box("+1,000.0"), "1000", Grade(1.0, "ok", "+1,000.0")),
        (grade_exact, box("1000"), "-1000", Grade(0.0, "ok", "1000")),
        (grade_exact, box("-1000"), "-1000", Grade(1.0, "ok", "-1000")),
        (grade_exact, box("] ) }"), "])}", Grade(1.0, "ok", "] ) }")),
        (grade_exact, box("\\text{\\}]}"), "} ]", Grade(1.0, "ok", "\\text{\\}]}")),
        (grade_exact, box("Not, Plausible."), "not plausible", Grade(1.0, "ok", "Not, Plausible.")),
        (grade_exact, box("plausible not"), "not plausible", Grade(0.0, "ok", "plausible not")),
        (grade_exact, box("x" * MAX_CHARS), "x" * MAX_CHARS, Grade(1.0, "ok", "x" * MAX_CHARS)),
        (grade_exact, box("x" * (MAX_CHARS + 1)), "x", Grade(0.0, "unparsed", None)),
    ],
)
def test_choices_and_texts(grade, completion, gold, found):
    assert grade([(completion, gold)], 1, 4.0) == [found]


def test_items_of_several_types_stay_in_order():
    items = [(box("B"), "B", "choice"), (box("2"), "1", "math"), (box("yes"), "Yes", "exact"), (box("A"), "B", "choice")]
    assert [g.score for g in grade_many(items)] == [1.0, 0.0, 1.0, 0.0]
    assert grade_many([]) == []


def test_graders_by_name_and_by_reference():
    assert grader_of("math") is grade_math and grader_of("choice") is grade_choice
    from harness.testbed.grading import grade_pairs

    assert grader_of("testbed") is grade_pairs is grader_of("harness.testbed.grading:grade_pairs")
    with pytest.raises(ValueError) as e:
        grader_of("maths")
    assert str(e.value) == "no grader for answer type 'maths'; known: math, choice, exact, reasoning_gym, testbed, skills"
    with pytest.raises(MissingError, match="the grader of answer type 'nowhere.at.all:grade'"):
        grader_of("nowhere.at.all:grade")


def test_tasks_with_a_scorer_of_their_own(monkeypatch):
    asked = []

    def score(answer, gold):
        asked.append((answer, gold))
        if gold == "missing":
            raise MissingError("no reasoning_gym")
        return {"right": 1.0, "half": 0.99, "bad": 1 / 0 if gold == "bad" else 0}[gold]

    monkeypatch.setattr(procedural, "score", score)
    grade = graders.grade_reasoning_gym
    pairs = [
        (box("\\text{x = 7.}"), "right"),
        (box("7"), "half"),
        (box("7"), "bad"),
        ("7", "right"),
        (box("y" * 10_001), "right"),
    ]
    assert grade(pairs, 1, 4.0) == [
        Grade(1.0, "ok", "\\text{x = 7.}"),
        Grade(0.0, "ok", "7"),
        Grade(0.0, "error", "7"),
        Grade(0.0, "unparsed", None),
        Grade(0.0, "unparsed", None),
    ]
    assert asked == [("7", "right"), ("7", "half"), ("7", "bad")]
    assert grade([(box("y" * 10_000), "right")], 1, 4.0)[0].score == 1.0
    with pytest.raises(MissingError):
        grade([(box("7"), "missing")], 1, 4.0)


# ---------------------------------------------------------------------- at sight, and in a child


@pytest.mark.parametrize(
    ("answer", "gold", "verdict"),
    [
        ("5", "5", "right"),
        ("5", "6", "wrong"),
        ("\\frac{2}{4}", "\\frac{1}{2}", "right"),
        ("-\\frac{2}{4}", "\\frac{1}{2}", "wrong"),
        ("\\frac{4}{2}", "2", "right"),
        ("x", "x", "right"),
        ("x", "y", None),
        ("5", "x", None),
        ("x", "5", None),
        ("05", "5", None),
        ("x" * MAX_CHARS, "x" * MAX_CHARS, "right"),
        ("x" * (MAX_CHARS + 1), "x" * (MAX_CHARS + 1), "unparsed"),
        ("1" * 1000, "2", None),
        ("1" * 1001, "1" * 1001, "unparsed"),
        ("9^9^9^9^9^9^9", "1", None),
        ("9^9^9^9^9^9^9^9", "1", "unparsed"),
        ("(" * 30, "1", None),
        ("([{" * 10 + "(", "1", "unparsed"),
        ("()" * 40 + ")" * 9, "1", None),
        ("()" + "(" * 30, "1", None),
        ("(" * 20 + ")" + "(" * 11, "1", None),
        ("(" * 20 + ")" + "(" * 12, "1", "unparsed"),
        ("[" * 20 + "}" * 5 + "{" * 16, "1", "unparsed"),
    ],
)
def test_what_is_decided_at_sight(answer, gold, verdict):
    assert equivalence.at_sight(answer, gold) == verdict


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-0", None),
        ("999999999999999", 999999999999999),
        ("1" + "0" * 15, None),
        ("-\\frac{3}{6}", Fraction(-1, 2)),
        ("\\frac{0}{6}", None),
        ("\\frac{-3}{6}", None),
        ("1/2", None),
    ],
)
def test_plain_numbers(text, value):
    assert equivalence.rational(text) == value


@pytest.mark.parametrize(
    ("gold", "found"),
    [
        ("so 5\n#### 7 ", "7"),
        ("#### 5\n#### 7", "7"),
        ("#### \\boxed{7}", "7"),
        (" 7 ", "7"),
        ("It is \\boxed{8}.", "8"),
        ("$\\approx 3.2$", "3.2$"),
        ("\\approx3.2", "3.2"),
        ("\\approxeq 3", "\\approxeq 3"),
        ("x \\approx 3", "x \\approx 3"),
    ],
)
def test_the_answer_in_a_gold_text(gold, found):
    assert equivalence.gold_text(gold) == found


@pytest.mark.parametrize(
    ("answer", "gold", "verdict"),
    [
        ("x{", "x{", "right"),
        ("x{", "#### x{", "right"),
        ("\\quad", "5", "unparsed"),
        ("x_{1}", "x_1", "right"),
        ("EAST", "\\text{east}", "right"),
        ("1+x", "x+1", "right"),
        ("2+x", "x+1", "wrong"),
        ("x+?", "x+1", "wrong"),
    ],
)
def test_verdicts_of_a_child(answer, gold, verdict):
    assert equivalence.verify_pair(answer, gold) == verdict


def test_a_text_that_is_too_deep_is_unparsed(monkeypatch):
    def deep(*_):
        raise RecursionError

    monkeypatch.setattr(compare, "same", deep)
    assert equivalence.verify_pair("1+x", "x+1") == "unparsed"


# ---------------------------------------------------------------------- golds


def suite(answer_type, *texts, rejected=()):
    problems = [Problem(f"p{i}", "what?", text, answer_type) for i, text in enumerate(texts)]
    return SimpleNamespace(answer_type=answer_type, problems=lambda data_dir: problems, rejected_golds=dict(rejected))


def test_golds_are_graded_and_read(in_process):
    texts = ("5", " x+1", "\\text{east}", "x ? y", "12.", "5", "1 @ 2", "\\quad")
    found = golds.check_golds(suite("math", *texts, rejected={"p3": "known", "p7": "empty"}), None)
    assert found == {
        "n": 8,
        "accepted": 8,
        "rejected": [],
        "words": 1,
        "doubtful": [
            {"id": "p3", "gold": "x ? y", "kind": "text", "reason": golds.AS_TEXT, "card": "known"},
            {"id": "p4", "gold": "12.", "kind": "malformed", "reason": "a raw row: a full stop at its end", "card": None},
            {"id": "p6", "gold": "1 @ 2", "kind": "text", "reason": golds.AS_TEXT, "card": None},
            {"id": "p7", "gold": "\\quad", "kind": "malformed", "reason": "nothing but layout", "card": "empty"},
        ],
    }


def test_every_gold_of_words_counts(in_process):
    texts = ("north", "\\text{south east}", "5", "north", "no solution")
    found = golds.check_golds(suite("math", *texts), None)
    assert (found["n"], found["accepted"], found["words"], found["doubtful"]) == (5, 5, 4, [])


def test_golds_that_no_grader_accepts(monkeypatch):
    monkeypatch.setattr(
        golds, "verify_many", lambda pairs, *_: {pair: "timeout" if pair[0] == "5" else "right" for pair in pairs}
    )
    monkeypatch.setattr(golds, "run_many", here)
    found = golds.check_golds(suite("math", "5", "6", rejected={"p0": "slow"}), None)
    assert (found["n"], found["accepted"]) == (2, 1)
    assert found["rejected"] == [{"id": "p0", "gold": "5", "status": "timeout", "reason": "slow"}]


def test_golds_have_twenty_seconds_each(monkeypatch):
    """Four children at most, as wherever answers are graded, and each gold has more time than an answer, so that no gold fails
    for being slow."""
    asked = []
    monkeypatch.setattr(golds, "verify_many", lambda pairs, *own: asked.append((pairs, *own)) or dict.fromkeys(pairs, "right"))
    monkeypatch.setattr(golds, "run_many", lambda f, own, *how: asked.append((f, own, *how)) or ["value"] * len(own))
    golds.check_golds(suite("math", "6", "5 ", "5"), None)
    assert asked == [
        ([("5", "5"), ("6", "6")], default_workers(), 20.0),
        (golds.read_as, [("5",), ("6",)], default_workers(), 20.0),
    ]


def test_golds_of_generated_tasks(monkeypatch):
    """Their answer stands in what the task wrote down, and is put into the sentence that a problem of the suite ends in."""
    graded = []
    monkeypatch.setattr(procedural, "gold_answer", lambda text: f"answer of {text}")
    found = [Grade(1.0, "ok", ""), Grade(0.0, "ok", ""), Grade(0.0, "error", "")]
    monkeypatch.setattr(golds, "grade_many", lambda items: graded.extend(items) or found)
    told = golds.check_golds(suite("reasoning_gym", "a", "b", "c"), None)
    assert graded == [(f"\\boxed{{answer of {x}}}", x, "reasoning_gym") for x in "abc"]
    assert (told["n"], told["accepted"], told["words"], told["doubtful"]) == (3, 1, 0, [])
    assert [(r["id"], r["status"]) for r in told["rejected"]] == [("p1", "wrong"), ("p2", "error")]


def test_golds_of_choices():
    found = golds.check_golds(suite("choice", "B", "(C)", "7"), None)
    assert found == {
        "n": 3,
        "accepted": 2,
        "rejected": [{"id": "p2", "gold": "7", "status": "unparsed", "reason": None}],
        "words": 0,
        "doubtful": [],
    }


@pytest.mark.parametrize(
    ("gold", "kind"),
    [
        ("east", "words"),
        ("no solution", "words"),
        ("North-East", "words"),
        ("NO", "value"),  # a product of two letters
        ("NONE", "words"),
        ("b-a", "value"),
        ("\\text{north east}", "words"),
        ("x+1", "value"),
        ("#### 7", "value"),
        ("xyz", "words"),
        ("won't do", "words"),
        ("x ? 1", "text"),
        ("ab", "value"),
    ],
)
def test_how_a_gold_is_read(gold, kind):
    assert golds.read_as(gold) == kind


@pytest.mark.parametrize(
    ("gold", "reason"),
    [
        ("#### 9", "a raw row: a whole solution, with its answer after ####"),
        ("<<1\n+1>>", "a raw row: a calculator's notes (<<...>>) in it"),
        ("5\n7", "a raw row: several lines"),
        ("\\boxed{7}", "a raw row: a box in it"),
        ("12.$", "a raw row: a full stop at its end"),
        ("\\text{ }", "nothing but layout"),
        ("\\frac{1}{2", "unbalanced braces"),
        ("\\frac{1}2}", "unbalanced braces"),
        ("\\{1", "unbalanced \\{ and \\}"),
        ("1\\}", "unbalanced \\{ and \\}"),
        ("\\lbrace 1", "unbalanced \\{ and \\}"),
        ("1\\rbrace", "unbalanced \\{ and \\}"),
        ("\\lbrace 1\\}", None),
        ("\\{1\\rbrace", None),
        ("1\\right)", "unbalanced \\left and \\right"),
        ("\\rightarrow 1", None),
        ("1\\end{cases}", "unbalanced \\begin and \\end"),
        ("1)", "unbalanced parentheses"),
        ("\\left(1\\right)", None),
        ("1]", "unbalanced brackets"),
        ("[1", "unbalanced brackets"),
        ("[1,2)", None),
        ("]1,2[", None),
        ("\\left(1", "unbalanced \\left and \\right"),
        ("\\begin{cases}1", "unbalanced \\begin and \\end"),
        ("\\begin{cases}1\\end{cases}", None),
        ("(1", "unbalanced parentheses"),
        ("(1]", None),
        ("(1]]", "unbalanced brackets"),
        ("\\left\\{ 1 \\right.", None),
        ("$5", "unbalanced $"),
        ("$5$", None),
        ("$5$, $6", "unbalanced $"),
        ("$5$, $6$", None),
        ("\\$5", None),
        ("\\\\[", "unbalanced brackets"),
        ("\\leftarrow 1", None),
        ("\\leftX 1", None),
        ("\\rightX 1", None),
        ("\\beginX 1", None),
        ("\\beginx 1", None),
        ("\\endX 1", None),
        ("\\endx 1", None),
        ("x \\\\{ y}", None),
    ],
)
def test_what_is_wrong_with_a_gold(gold, reason):
    assert golds.malformed(gold) == reason


def test_suites_at_hand(tmp_path, monkeypatch):
    there = SimpleNamespace(file="a.jsonl", answer_type="math", home=None)
    absent = SimpleNamespace(file="b.jsonl", answer_type="math", home=None)
    made = SimpleNamespace(file=None, answer_type="testbed", home=None)
    task = SimpleNamespace(file=None, answer_type="reasoning_gym", home=None)
    own, gone = (SimpleNamespace(file=name, answer_type="math", home=tmp_path / "own") for name in ("c.jsonl", "d.jsonl"))
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "c.jsonl").touch()
    (tmp_path / "a.jsonl").touch()
    for installed in (True, False):
        monkeypatch.setattr(procedural, "installed", lambda installed=installed: installed)
        tasks = [task] if installed else []
        assert golds.at_hand([there, absent, made, task, own, gone], tmp_path) == [there, made, *tasks, own]
        assert golds.at_hand([there, absent, made, task, own, gone], None) == [made, *tasks, own]


# ---------------------------------------------------------------------- the strict reward


def test_the_strict_reward_in_this_process(in_process):
    items = [
        (box("5"), "5", "math"),
        (box("2+3"), "5", "math"),
        (box("4"), "5", "math"),
        (box("5") + box("5"), "5", "math"),
        ("\\boxedx " + box("5"), "5", "math"),
        ("5", "5", "math"),
        (box("A") + " or " + box("B"), "B", "choice"),
    ]
    plain = strict.reward_many(items, "evaluation")
    assert [g.score for g in plain] == [1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0]
    found = strict.reward_many(items, "strict")
    assert found == [plain[0], Grade(0.0, "ok", "2+3"), plain[2], Grade(0.0, "unparsed", None), plain[4], plain[5], plain[6]]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234", 1234),
        ("- 5", -5),
        ("12.00", 12),
        ("1,234.5", Fraction(2469, 2)),
        (".5", Fraction(1, 2)),
        ("-.25", Fraction(-1, 4)),
        ("\\frac{1}{2}", Fraction(1, 2)),
        ("- \\frac{1}{2}", Fraction(-1, 2)),
        ("\\frac{-1}{-2}", Fraction(1, 2)),
        ("1\\frac{1}{2}", Fraction(3, 2)),
        ("-1 \\frac{1}{2}", Fraction(-3, 2)),
        ("1 1/2", Fraction(3, 2)),
        ("+3/4", Fraction(3, 4)),
        ("3/0", None),
        ("\\frac{3}{0}", None),
        ("x", None),
        ("1,23", None),
        ("12.", 12),
    ],
)
def test_the_value_of_a_plain_number(text, value):
    assert strict._number(text) == value


@pytest.mark.parametrize(
    ("text", "reduced"),
    [
        ("5", True),
        ("\\frac{1}{2}", True),
        ("\\frac{2}{4}", False),
        ("\\frac{3}{1}", False),
        ("\\frac{1}{-2}", False),
        ("1\\frac{1}{2}", True),
        ("1\\frac{3}{2}", False),
        ("1\\frac{2}{2}", False),
        ("3/2", True),
        ("0/2", False),
        ("\\frac{2}{3}", True),
    ],
)
def test_lowest_terms(text, reduced):
    assert strict._reduced(text) is reduced


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("1,000", ("", "", ["1,000"])),
        ("1, 2", ("", "", ["1", "2"])),
        ("(1, 2)", ("(", ")", ["1", "2"])),
        ("[1,2)", ("[", ")", ["1", "2"])),
        ("(1)", ("", "", ["1"])),
        ("\\{1\\}", ("\u27e8", "\u27e9", ["1"])),
        ("\\{1, (2,3)\\}", ("\u27e8", "\u27e9", ["1", "(2,3)"])),
        ("\\langle 1,2 \\rangle", ("(", ")", ["1", "2"])),
        ("(1,2),(3,4)", ("", "", ["(1,2)", "(3,4)"])),
        ("f{1,2}", ("", "", ["f{1,2}"])),
        ("(", ("", "", ["("])),
        ("(1,2", ("", "", ["(1,2"])),
        ("1),(2", ("", "", ["1),(2"])),
        ("(X, Y)", ("(", ")", ["X", "Y"])),
        ("(X), (Y)", ("", "", ["(X)", "(Y)"])),
    ],
)
def test_elements_of_an_answer(text, elements):
    assert strict._elements(text) == elements


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\\left( 1 \\right.", "( 1"),
        ("\\displaystyle \\dfrac12", "\\frac{1}{2}"),
        ("1{,}000", "1,000"),
        ("30^\\circ", "30"),
        ("30^{ \\circ }", "30"),
        ("\\$5", "5"),
        ("\u22125", "-5"),
        ("\\text{5}", "5"),
        ("5\\text{ cm}^2.", "5"),
        ("x = 5", "5"),
        ("x = y = 5", "x = y = 5"),
        ("y \\in [1,2]", "[1,2]"),
        ("1+1\n#### 2", "2"),
        ("50\\%", "50"),
        ("5.", "5"),
        ("a~b\\,c\\ d", "a b c d"),
    ],
)
def test_without_layout(text, plain):
    assert strict._plain(text) == plain


# ---------------------------------------------------------------------- parity


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("\\left( 1,\\! 2 \\right)", "(1,2)"),
        ("\\$5 \\; $", "5"),
        ("\\tfrac{1}{2}", "\\frac{1}{2}"),
        ("30^{\\circ}", "30"),
        ("30^\\circ", "30"),
        ("7 \\text{ cm}", "7"),
        ("\\frac{1}{2}\\mbox{ m}", "\\frac{1}{2}"),
        ("\\text{yes}", "yes"),
        ("50\\%", "50"),
        ("\\{1\\}", "{1}"),
        ("xy=5", "5"),
        ("xyz=5", "xyz=5"),
        ("x=y=5", "x=y=5"),
        (".5", "0.5"),
        ("12.000", "12"),
        ("12.0001", "12.0001"),
        ("\\sqrt2", "\\sqrt{2}"),
        ("\\frac12", "\\frac{1}{2}"),
        ("-3/4", "\\frac{-3}{4}"),
        ("5.", "5"),
        ("\\leftarrow", "\\leftarrow"),
    ],
)
def test_paritys_spelling(text, normal):
    assert parity.normalise(text) == normal


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("answer is 3\nanswer is: $4$ \nno 5", "4"),
        ("\\boxed{ 7./ }", "7"),
        ("-1,000.50 and -2", "-2"),
        ("the answer is X: ", "X"),
        ("3.", "3"),
        ("the answer is \\boxed{}", ""),
    ],
)
def test_paritys_answer(text, answer):
    assert parity.extract(text) == answer


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("(1,2)", ["1", "2"]),
        ("[(1,2),{3,4}]", ["(1,2)", "{3,4}"]),
        ("{[1,2],3,(4)}", ["[1,2]", "3", "(4)"]),
        ("(X,Y)", ["X", "Y"]),
        ("X1,2)", []),
        ("(1,2X", []),
        ("[1,2)", ["1", "2"]),
        ("{1}", []),
        ("1,2", []),
        ("(1,2", []),
        ("(", []),
        ("\\begin{pmatrix}1&2\\\\3\\end{pmatrix}", ["1", "2", "3"]),
        ("\\begin{bmatrix}1\\end{bmatrix}", ["1"]),
    ],
)
def test_paritys_elements(text, items):
    assert parity._items(text) == items


@pytest.mark.parametrize(
    ("text", "value"),
    [("1,000.5", 1000.5), ("-.5", -0.5), ("2e-3", 0.002), ("+7", 7.0), ("x", None), ("1e9999", None), ("5.", None)],
)
def test_paritys_numbers(text, value):
    assert parity._number(text) == value


@pytest.mark.parametrize(
    ("answer", "gold", "same"),
    [
        ("ABC", "abc", True),
        ("(x+1)", "X+1", True),
        ("", "x", False),
        ("300.02", "3", True),
        ("300.05", "3", False),
        ("0.029998", "3", True),
        ("(1,x)", "(1,y)", False),
        ("(1,2,3)", "(1,2)", False),
        ("XY", "(Y)", False),
        ("(Y)", "XY", False),
        ("([{5}])", "5", True),
        ("y", "[({Y})]", True),
        ("2y=x+1", "x+1-2y=0", True),
        ("y=x+1", "y=x+2", False),
        ("x+1", "-x-1", False),
        ("\\pi", "3.14160", True),
        ("\\pi", "3.15", False),
        ("x<3", "x<4", False),
        ("2x=3", "2x=5", False),
        ("x-y=3", "y-x=-3", True),
        ("x-y", "y-x", False),
        ("x-y=0", "y-x", False),
        ("x-y", "y-x=0", False),
        ("\\sqrt{", "2", False),
    ],
)
def test_paritys_rules(answer, gold, same):
    assert parity._same(parity.normalise(answer), parity.normalise(gold)) is same


@pytest.mark.parametrize(
    ("answer", "gold", "seen"),
    [
        ("5", "500", True),
        ("500", "5", True),
        ("5", "501", False),
        ("\\frac{5}{1}", "500", False),
        ("5", "x", None),
        ("10000", "9999", None),
        ("10000", "9998", False),
        ("x", "5", None),
        ("10001", "10000", True),
        ("100001", "100000", True),
    ],
)
def test_what_parity_sees_at_sight(answer, gold, seen):
    assert parity._at_sight(answer, gold) is seen


def test_parity_never_reads_what_is_too_long(in_process):
    long = "1" * MAX_CHARS
    assert parity.parity_many([(f"\\boxed{{{long}}}", long + " "), (f"\\boxed{{{long}1}}", long), ("", ""), ("no", "x")]) == [
        1.0,
        0.0,
        0.0,
        0.0,
    ]


def test_parity_reads_answers_up_to_its_bound(in_process):
    """Numbers with leading zeros, which only a child reads."""
    pairs = [(f"\\boxed{{{'0' * (MAX_CHARS - more)}5}}", "5") for more in (1, 0)]
    assert parity.parity_many(pairs) == [1.0, 0.0]
    assert parity.parity_many([("\\boxed{5}", " 5"), ("\\boxed{}", ""), ("\\boxed{05}", "6")]) == [1.0, 0.0, 0.0]


def test_workers_and_seconds_of_parity_reach_the_pool(monkeypatch):
    asked = []
    monkeypatch.setattr(parity, "run_many", lambda f, pairs, *own: asked.append((f, list(pairs), *own)) or [True] * len(pairs))
    pairs = [("\\boxed{x+1}", "1+x"), ("\\boxed{7}", "7"), ("\\boxed{a}", "b"), ("\\boxed{x+1}", "1+x"), ("\\boxed{5}", "6")]
    assert parity.parity_many(pairs, 3, 1.5) == [1.0, 1.0, 1.0, 1.0, 0.0]
    parity.parity_many(pairs[:1])
    distinct = [("a", "b"), ("x+1", "1+x")]
    assert asked == [(parity.equal, distinct, 3, 1.5), (parity.equal, distinct[1:], default_workers(), 4.0)]


# ---------------------------------------------------------------------- one spelling


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\u03b1\u03bb\u039b", "\\alpha \\lambda \\Lambda "),
        ("x\u00b2", "x^{2}"),
        ("x\u2081\u2082", "x_{12}"),
        ("x\u207b\u00b9", "x^{-1}"),
        ("x\u2081\u00b2", "x_{1}^{2}"),
        ("x\u00b2\u2081\u2082", "x^{2}_{12}"),
        ("\u00bd\u2153", "\\frac{1}{2}\\frac{1}{3}"),
        ("\U0001d465\uff11\ufb01", "x1fi"),
        ("\u00e9 \u2460 \u2030", "\u00e9 \u2460 \u2030"),
        ("\u200b5\u2212\u221e", "5-\\infty "),
        ("\u211d", "\\mathbb{R}"),
        ("plain", "plain"),
    ],
)
def test_unicode_as_latex(text, plain):
    assert layout._plain_characters(text) == plain


@pytest.mark.parametrize(
    ("text", "braced"),
    [
        ("\\frac\\pi2", "\\frac{\\pi}{2}"),
        ("\\frac\\Omega\\Pi", "\\frac{\\Omega}{\\Pi}"),
        ("\\sqrt\\Delta x", "\\sqrt{\\Delta} x"),
        ("\\frac12", "\\frac{1}{2}"),
        ("\\frac 1 2", "\\frac{1}{2}"),
        ("\\frac{1}{2}\\frac34x", "\\frac{1}{2}\\frac{3}{4}x"),
        ("\\frac{\\frac12}3", "\\frac{\\frac{1}{2}}{3}"),
        ("\\binom52", "\\binom{5}{2}"),
        ("\\sqrt\\pi", "\\sqrt{\\pi}"),
        ("\\sqrt12", "\\sqrt{12}"),
        ("\\sqrt x1", "\\sqrt{x}1"),
        ("\\sqrt[3]8", "\\sqrt[3]{8}"),
        ("\\sqrt[3]{\\sqrt2}", "\\sqrt[3]{\\sqrt{2}}"),
        ("\\sqrt[3 8", "\\sqrt{[}3 8"),
        ("\\sqrt (2+(1))3", "\\sqrt{2+(1)}3"),
        ("\\sqrt(12", "\\sqrt{(}12"),
        ("\\fracx", "\\fracx"),
        ("a\\frac", "a\\frac{}{}"),
        ("\\frac\n2", "\\frac{2}{}"),
    ],
)
def test_arguments_in_braces(text, braced):
    """TeX's reading: one sign or command is an argument; \\sqrt alone takes all digits, or brackets that close."""
    assert layout.with_braces(text) == braced


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2^(1/3)", "2^{1/3}"),
        ("x^ (2)(3)", "x^{2}(3)"),
        ("2^(1)^(2)", "2^{1}^{2}"),
        ("abs (1+(2))+3", "|1+(2)|+3"),
        ("tabs(x)", "tabs(x)"),
        ("2^(1", "2^(1"),
        ("a\\cis(1)b", "ae^{i((1))}b"),
        ("\\cis x", "e^{i(x)}"),
        ("2\\cis\\frac{1}{2}+1", "2e^{i(\\frac{1}{2})}+1"),
    ],
)
def test_arguments_in_brackets(text, found):
    assert layout._bracketed_arguments(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{}^5C_2", "\\binom{5}{2}"),
        ("{}_{10}C_{3}", "\\binom{10}{3}"),
        ("C_5^2", "\\binom{5}{2}"),
        ("C_{10}^{3}+1", "\\binom{10}{3}+1"),
        ("C(5,2)C( 6 , 3 )", "\\binom{5}{2}\\binom{6}{3}"),
        ("C(3,3)", "\\binom{3}{3}"),
        ("C(5,2)(3)", "\\binom{5}{2}(3)"),
        ("x C_5^2", "x \\binom{5}{2}"),
        ("2C(5,2)P(3)", "2C(5,2)P(3)"),
        ("C(5,2)+C", "C(5,2)+C"),
        ("F(C(5,2))", "F(C(5,2))"),
        ("C(2,5)", "C(2,5)"),
        ("C(2,1)", "C(2,1)"),
        ("x+1", "x+1"),
        ("C", "C"),
    ],
)
def test_numbers_of_combinations(text, found):
    assert layout._binomials(text) == found


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("(a)b", 0, 3),
        ("a(b[c]{d})e", 1, 10),
        ("\\{a\\}b", 0, 5),
        ("((a)", 0, 4),
        ("(a]b", 0, 3),
        ("x(a)(b)", 4, 7),
        ("\\(a\\)", 0, 5),
    ],
)
def test_where_brackets_close(text, start, end):
    """Every kind is closed by any other: half-open intervals."""
    assert layout.closing(text, start) == end


@pytest.mark.parametrize("decimal", ["0.333", "0.1666", "2.142857142857", "12.3454545", "0.0909", "7.000"])
def test_repeating_decimals_are_their_fractions(decimal):
    """By the geometric series: a period of p digits after f fixed ones."""
    whole, digits = decimal.split(".")
    for fixed in range(len(digits)):
        period = digits[fixed:]
        exact = Fraction(int(whole + digits[:fixed]), 10**fixed) + Fraction(int(period), 10**fixed * (10 ** len(period) - 1))
        found = re.fullmatch(r"\\frac\{(\d+)\}\{(\d+)\}", layout._repeating(whole, digits[:fixed], period))
        assert Fraction(int(found[1]), int(found[2])) == exact


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("{x}", "x", True),
        ("{{x}}", "x", True),
        ("{a}{b}", "ab", False),
        ("x _ {1}", "x_1", True),
        ("x^{\\pi}", "x^\\pi", True),
        ("x^{12}", "x^12", False),
        ("\\{ 1 \\mid 2 \\}", "\\{1|2\\}", True),
        ("\\pi x", "\\pix", False),
        ("\\pi 2", "\\pi2", True),
        ("2 x", "2x", True),
        ("x 2", "x2", True),
        ("1 2", "12", False),
        ("a b", "ab", False),
        ("( 1 , 2 )", "(1,2)", True),
        ("\\text{a b}", "a b", True),
        ("x \\pi", "x\\pi", True),
    ],
)
def test_texts_but_for_spaces_and_braces(left, right, same):
    assert layout.same_text(left, right) is same


@pytest.mark.parametrize(
    ("answer", "gold", "same"),
    [
        ("EAST", "\\text{east}", True),
        ("\\text{East}", "\\text{east}", True),
        ("north east", "\\text{northeast}", True),
        ("\\text{north} \\text{east}", "\\text{north east}", True),
        ("east", "east", False),
        ("east", "\\text{east} 1", False),
        ("west", "\\text{east}", False),
        ("e+ast", "\\text{east}", False),
        ("\\east", "\\text{east}", False),
        ("e/ast", "\\text{east}", False),
        ("\\text{...}", "\\text{.}", False),
        ("a, b", "\\text{a}, \\text{b}", True),
        ("a", "\\text{a} and {b}", False),
        ("a and b", "\\text{a} and {b}", True),
    ],
)
def test_words_whatever_their_case(answer, gold, same):
    assert layout.same_words(answer, gold) is same


def test_pieces_are_a_plain_number_and_radians_are_a_unit():
    assert quantities.quantity("5\\text{ units}").unit is None
    assert quantities.quantity("5\\text{ radians}").unit == Unit(Fraction(1), ())
    assert quantities.quantity("5\\text{ cm}").unit == Unit(Fraction(1, 100), (("length", 1),))
    assert quantities.quantity("2\\text{ dozen units}").expr.doit() == 24


def test_brackets_alone():
    assert answers.BRACKETS.fullmatch("[ (") and not answers.BRACKETS.fullmatch("a")


def test_amounts_in_falling_units_are_less_than_one_of_the_unit_before():
    time = "{} \\text{{hour}} {} \\text{{minutes}}"
    assert quantities.compound(time.format(1, 59)).expr == sympy.Rational(119, 60)
    assert quantities.compound(time.format(1, 60)) is None is quantities.compound(time.format(1, 61))


def test_degrees_in_words():
    degree = quantities._unit_of("45^\\circ")[1]
    assert degree is not None
    for word in ("degree", "degrees", "deg"):
        assert quantities._unit_of(f"45 \\text{{{word}}}") == ("45", degree, 1)


def test_percent_in_words():
    """And times a number's name: as many hundredths, whatever the spelling."""
    percent = quantities._unit_of("45\\%")[1]
    assert percent == Unit(Fraction(1, 100), ())
    for word in ("percent", "per cent", "percentage"):
        assert quantities._unit_of(f"45 \\text{{ {word}}}") == ("45", percent, 1)
        assert quantities._unit_of(f"45 \\text{{ thousand {word}.}}") == ("45", percent, 1000)


def test_units_in_a_fraction():
    rate = Unit(Fraction(1), (("length", 1), ("time", -2)))
    for text in ("\\frac{\\text{m}}{\\text{s}^2}", "\\frac{ \\text{m} }{ \\text{s}^{2} }", "\\text{ m/s}^2"):
        assert quantities._unit_of(f"5 {text}") == ("5", rate, 1)
    assert quantities._unit_of("5 \\frac{\\text{km}}{\\text{h}}")[1] == Unit(
        Fraction(1000, 3600), rate.dimension[:1] + (("time", -1),)
    )


def test_what_is_counted_is_no_amount_in_two_units():
    """Nor are two units of different dimensions, nor a number without one."""
    for text in ("3 \\text{cats} \\frac{1}{2} \\text{cats}", "1 \\text{hour} 3 \\text{cm}", "1 \\text{hour} 3", "5 \\text{cm}"):
        assert quantities.compound(text) is None
    assert quantities.compound("1 \\text{hour} \\text{and} 3 \\text{minutes}") is None
    found = quantities.compound(f"3 \\text{{feet}} {AND} 6 \\text{{inches}}")
    assert (found.expr, found.unit) == (sympy.Rational(7, 2), Unit(Fraction(381, 1250), (("length", 1),)))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x \\equiv 3 \\pmod{5}", ("x", 3, 5)),
        ("x = 3 (\\mod 5)", ("x", 3, 5)),
        ("3 \\pmod 5", ("", 3, 5)),
        ("X \\equiv -1 \\pmod{m}", ("X", -1, sympy.Symbol("m"))),
    ],
)
def test_residues(text, found):
    assert reading.read(text) == compare.Residue(*found)


@pytest.mark.parametrize("text", ["x \\equiv 3", "x = y = 3 \\pmod{5}", "x \\equiv y \\equiv 3 \\pmod 5", "x =", "x = = 3"])
def test_what_is_no_relation_and_no_residue(text):
    with pytest.raises(reading.Unread):
        reading.read(text)


def test_letters_beside_or_and_and_stay():
    for word in ("or", "and"):
        assert [str(x.expr) for x in reading.read(f"X \\text{{ {word} }} Y").items] == ["X", "Y"]
        assert [str(x.expr) for x in reading.read(f"X, Y, \\text{{ {word} }} Z").items] == ["X", "Y", "Z"]


def test_half_of_the_day_counts_where_both_say_it():
    clock = compare.Clock
    for hours, same in (((("p", "p")), True), (("p", "a"), False), (("p", ""), True), (("", "a"), True), (("", ""), True)):
        assert compare._others(*(clock(3, 5, 0, half) for half in hours)) is same
    for other in (clock(4, 5, 0, "p"), clock(3, 6, 0, "p"), clock(3, 5, 1, "p")):
        assert not compare._others(clock(3, 5, 0, "p"), other)


@pytest.mark.parametrize(
    ("gold", "answer", "same"),
    [
        ("(7x-3)(x+1)", "2(7x-3)(x+1)", True),  # nothing at 3/7
        ("(7x-3)(x+1)", "2(7x-3)(x+2)", False),
        ("(7x-3)(5x-11)", "-(7x-3)(5x-11)", True),  # nor at 11/5
        ("(7x-3)(5x-11)", "(7x-3)(5x-11)x", False),
        ("x-y", "3x-3y", True),
        ("x-y", "x-2y", False),
        ("x-y", "x-z", False),
        ("x", "0", False),
        ("0", "x", False),
    ],
)
def test_one_expression_is_a_number_times_the_other(gold, answer, same):
    assert compare._proportional(*(reading.read_expression(text) for text in (gold, answer))) is same


def test_a_positive_factor_keeps_the_direction():
    x, twice, turned = (reading.read_expression(text) for text in ("x-2", "2x-4", "4-2x"))
    assert compare._proportional(x, twice, positive=True) and not compare._proportional(x, turned, positive=True)
    assert compare._proportional(x, turned)


def test_the_empty_set_is_a_set():
    assert reading.read("\\emptyset") == reading.read("\\{\\}") == reading.Bag((), braces=True)


def test_lists_in_a_list_and_signs_that_are_tied():
    pairs = reading.read("1,2;3,4")
    assert [[x.expr for x in pair.items] for pair in pairs.items] == [[1, 2], [3, 4]]
    assert len(reading.read("1;2;3").items) == 3
    tied, free = reading.read("5 \\pm 2 \\mp 1"), reading.read("5 \\pm 2 \\pm 1")
    assert sorted(x.expr.doit() for x in tied.items) == [4, 6]
    assert sorted(x.expr.doit() for x in free.items) == [2, 4, 6, 8]


def test_brackets_around_the_whole_alone_make_a_tuple():
    for text in ("x,1)", "(1,2", "x(1,2)", "1,2)", "(1,2)(3,4)", "(1)"):
        assert reading._bracketed(text) is None
    pair = reading._bracketed("[1,2)")
    assert [x.expr for x in pair.items] == [1, 2] and pair.brackets == "[)"


def test_what_a_chain_of_names_says():
    """Two names are one value by another name; of three that are no numbers nothing is known."""
    names = [compare.Relation(sides, ("=",) * (len(sides) - 1)) for sides in (("A1", "B1"), ("A1", "B1", "C1"))]
    assert compare._value_of(names[0]) == compare.Text("B1") and compare._value_of(names[1]) is None
    assert compare._value_of(reading.read("x=5=y+1")) is None, "a number that goes on to something else"
    assert compare._value_of(reading.read("x=5=5")).expr == 5
    assert not compare._equations(names[1], names[1]), "texts are compared as texts, before"


def test_points_of_comparison_are_not_zero():
    symbol = sympy.Symbol("x")
    for seed in range(400):
        drawn = [p[symbol] for domain in ("positive", "reals") for p in points([symbol], domain, random.Random(seed))]
        assert 0 not in drawn and min(drawn[:8]) > 0


def test_an_angle_without_brackets_goes_to_the_end():
    assert layout._bracketed_arguments("2\\cis{x}y") == "2e^{i({x}y)}"


def test_boxes_side_by_side_are_one_list():
    assert boxed_answer("\\boxed{3}\\boxed{4}") == "3, 4"


def test_only_brackets_make_a_text_deep():
    assert equivalence.readable_depth("X" * 5000) and not equivalence.readable_depth("(" * 5000)
    assert equivalence.readable_depth("([{}])" * 5000)


def test_parity_takes_a_full_stop_from_the_end_and_no_letter():
    assert (parity.normalise("2X"), parity.normalise("2X..")) == ("2X", "2X")
