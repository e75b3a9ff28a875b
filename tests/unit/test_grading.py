"""Graders: what is accepted, what is rejected, and what happens when math-verify hangs or dies."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from harness import grading, pool
from harness.grading import Grade, grade_many, last_boxed, verify_many

HANGING = "9^{9^{9^{9}}}"
FILES = ["aime24", "aime25", "amc23", "math500", "minerva_math", "olympiadbench"]


def grades(pairs, **options):
    return grade_many([(f"So it is \\boxed{{{answer}}}.", gold, "math") for answer, gold in pairs], **options)


def scores(pairs):
    found = grades(pairs)
    assert [g.status for g in found] == ["ok"] * len(found)
    return [g.score for g in found]


# ------------------------------------------------------------------ extraction


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("\\boxed{1} then \\boxed{ 2 }", "2"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed {\\left\\{ x \\right.}", "\\left\\{ x \\right."),
        ("\\boxed{a = \\boxed{5}}", "5"),
        ("\\boxed{}", ""),
        ("\\boxed{1} and \\boxed{2", None),
        ("the answer is 7", None),
        ("\\boxed{x\\", None),
    ],
)
def test_last_boxed(text, answer):
    assert last_boxed(text) == answer


@pytest.mark.parametrize("text", ["the answer is 7", "\\boxed{}", ""])
def test_no_box_is_unparsed(text):
    assert grade_many([(text, "7", "math")]) == [Grade(0.0, "unparsed", None)]


def test_equal_text_needs_no_child(monkeypatch):
    monkeypatch.setattr(grading, "run_many", lambda _, pairs, *__: pytest.fail("a child was asked") if pairs else [])
    assert grades([("x_{0", " x_{0")]) == [Grade(0.0, "unparsed", None)]  # its brace never closes
    assert grades([("7", " 7 ")]) == [Grade(1.0, "ok", "7")]


# ------------------------------------------------------------------ mathematics


ACCEPTED = [
    ("\\dfrac{1}{2}", "\\frac{1}{2}"),
    ("0.5", "\\frac{1}{2}"),
    ("27.0", "27"),
    ("1,200", "1200"),
    ("1{,}200", "1200"),
    ("x=7", "7"),
    ("7\\text{ cm}", "7"),
    ("\\{2,1\\}", "\\{1,2\\}"),
    ("2,1", "1,2"),
    ("(3, \\dfrac{\\pi}{2})", "\\left( 3, \\frac{\\pi}{2} \\right)"),
    ("4.5 \\times 10^{33}", "4.5e33"),
    ("4.5e+33", "4.5 \\cdot 10^{33}"),
    ("3.89 \\times 10^{-10}", "3.89e-10"),
]
REJECTED = [
    ("300", "3"), ("0.03", "3"), ("11", "10"), ("12", "1,2"), ("1", "1,2"), ("\\frac{1}{3}", "\\frac{1}{2}"),
    ("2700", "27.0"), ("9 \\times 10^{33}", "4.5e33"), ("4.5", "4.5e33"), ("10001", "10000"),
]  # fmt: skip


def test_equivalent_forms_are_accepted():
    assert dict(zip(ACCEPTED, scores(ACCEPTED))) == dict.fromkeys(ACCEPTED, 1.0)


def test_other_values_are_rejected():
    assert dict(zip(REJECTED, scores(REJECTED))) == dict.fromkeys(REJECTED, 0.0)


@pytest.mark.parametrize("name", FILES)
def test_golds_accept_themselves(name):
    """Through math-verify, without the short cut for equal texts; every sixth problem of the large suites."""
    folder = Path(os.environ.get("HARNESS_DATA_DIR", Path(__file__).parents[3] / "shared" / "data"))
    if not (folder / "eval").is_dir():
        pytest.skip("no benchmark data; set HARNESS_DATA_DIR")
    golds = [json.loads(line)["answer"] for line in (folder / "eval" / f"{name}.jsonl").open()]
    golds = sorted(set(golds[:: 1 if len(golds) < 100 else 6]))
    verdicts = verify_many([(gold, gold) for gold in golds], 2, 20.0)
    assert {pair: v for pair, v in verdicts.items() if v != "right"} == {}


# ------------------------------------------------------------------ children that misbehave


def test_a_hanging_item_times_out_and_the_pool_lives_on():
    ok, hung = grades([("\\dfrac{1}{2}", "\\frac{1}{2}"), (HANGING, "7")], timeout_s=1.0)
    assert (ok.score, ok.status) == (1.0, "ok")
    assert hung == Grade(0.0, "timeout", HANGING)
    assert scores(ACCEPTED[:2]) == [1.0, 1.0]


def test_dead_children_are_replaced():
    assert scores(ACCEPTED[:1]) == [1.0]
    for pid in list(pool._pool._pool_manager.worker_manager.workers):
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.5)
    assert scores(ACCEPTED[:1]) == [1.0]


def test_works_off_the_main_thread_and_from_several():
    found = {}
    pairs = [*ACCEPTED[:3], ("3", "4")]
    threads = [threading.Thread(target=lambda i=i: found.update({i: scores(pairs)})) for i in (0, 1)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert found == {0: [1.0, 1.0, 1.0, 0.0], 1: [1.0, 1.0, 1.0, 0.0]}


def test_close_and_start_again():
    pool.close()
    pool.close()
    assert scores(ACCEPTED[:1]) == [1.0]


# ------------------------------------------------------------------ the testbed, and the order of results


def test_testbed_answers():
    items = [("let <S> 1 2 ans 3 4", "3 4", "testbed"), ("ans 3 4 5", "3 4", "testbed"), ("3 4", "3 4", "testbed")]
    assert grade_many(items) == [Grade(1.0, "ok", "3 4"), Grade(0.0, "ok", "3 4 5"), Grade(0.0, "unparsed", None)]
    assert grade_many([("ans 1 2 ans", "1 2", "testbed")]) == [Grade(0.0, "ok", "")]


def test_mixed_types_keep_their_order():
    items = [("\\boxed{1}", "1", "math"), ("ans 1 2", "1 2", "testbed"), ("\\boxed{2}", "2", "math")]
    assert [g.answer for g in grade_many(items)] == ["1", "1 2", "2"]
    assert grade_many([]) == []


def test_unknown_answer_type_is_refused():
    with pytest.raises(ValueError, match="known: math, choice, exact, testbed"):
        grade_many([("x", "y", "essay")])
