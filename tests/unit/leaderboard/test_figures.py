"""The first figure that differs, by name; and grades that are confirmed one by one, on a suite of choices."""

import math

import msgspec
import pytest

from harness.core.errors import HarnessError
from harness.data.suites import load_suite, suite_names
from harness.leaderboard.figures import confirm_grades, derive, difference
from harness.runs.samples import FiledSample
from support.results import suite_scores

TREE = {"a": 1, "b": {"c.d": 0.5, "e": ["x"], "f": None, "g": True}, "h": "1"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({}, None),
        ({"a": 1.0}, None),  # a number is a number
        ({"a": 1 + 9e-10}, None),
        ({"a": 1 + 2e-9}, ("a", 1, 1 + 2e-9)),
        ({"a": 1 - 2e-9}, ("a", 1, 1 - 2e-9)),
        ({"a": "1"}, ("a", 1, "1")),
        ({"a": True}, ("a", 1, True)),
        ({"a": None}, ("a", 1, None)),
        ({"h": 1}, ("h", "1", 1)),
        ({"b": {**TREE["b"], "c.d": 0.6}}, ("b.c.d", 0.5, 0.6)),
        ({"b": {**TREE["b"], "e": ["x", "y"]}}, ("b.e", ["x"], ["x", "y"])),
        ({"b": {**TREE["b"], "e": ("x",)}}, ("b.e", ["x"], ("x",))),
        ({"b": {**TREE["b"], "g": 1}}, ("b.g", True, 1)),
        ({"b": {k: v for k, v in TREE["b"].items() if k != "e"}}, ("b.e", ["x"], None)),
        ({"b": {**TREE["b"], "more": 1}}, None),  # what is published is what is held against what was found
        ({"b": 3}, ("b", TREE["b"], 3)),
        ({"b": {**TREE["b"], "e": [], "g": False}, "h": "2"}, ("b.e", ["x"], [])),  # the first of them
    ],
)
def test_the_first_difference_is_named(change, named):
    assert difference(TREE, {**TREE, **change}) == named


def test_nothing_is_like_a_figure_that_is_no_number():
    assert difference({"a": math.nan}, {"a": math.nan}) is not None
    assert difference({"a": 0.5}, {"a": math.nan}) is not None
    assert difference({"X": {"X": 1}}, {"X": {"X": 2}}) == ("X.X", 1, 2)
    assert difference(0.5, 0.6, "top") == ("top", 0.5, 0.6) and difference([1], [1]) is None


MATH = next(name for name in suite_names() if load_suite(name).answer_type == "math")
CHOICES = next(name for name in suite_names() if load_suite(name).answer_type == "choice")


def row(**own):
    fields = {
        "problem": "p",
        "seed": 3,
        "index": 2,
        "greedy": False,
        "completion": r"So \boxed{B}.",
        "answer": "B",
        "gold": "B",
    }
    fields |= {"score": 1.0, "parity": None, "status": "ok", "truncated": False, "prompt_tokens": 1, "tokens": 1}
    return FiledSample(**{**fields, "prompt_sha256": "", **own})


def test_grades_as_stored_are_confirmed_and_failures_of_a_grader_counted():
    wrong = row(completion=r"\boxed{C}", answer="C", score=0.0)
    none = row(completion="B", answer=None, score=0.0, status="unparsed")
    failed = [row(answer=a, score=0.0, status=s) for a, s in (("B", "timeout"), (None, "error"))]
    assert confirm_grades({CHOICES: [row(), wrong, none]}, "here") == 0
    assert confirm_grades({CHOICES: [failed[0], row(), failed[1]]}, "here") == 2
    assert confirm_grades({CHOICES: [row(parity=None)]}, "here") == 0 == confirm_grades({}, "here")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score": 0.0}, "score is 0.0, the graders here (math-verify X) give 1.0"),
        ({"status": "unparsed"}, "status is 'unparsed', the graders here (math-verify X) give 'ok'"),
        ({"answer": "C"}, "answer is 'C', the graders here (math-verify X) give 'B'"),
        ({"answer": None}, "answer is None, the graders here (math-verify X) give 'B'"),
        ({"parity": 1.0}, "parity is 1.0, the graders here (math-verify X) give None"),
        ({"status": "timeout"}, "status is 'timeout', the graders here (math-verify X) give 'ok'"),  # and yet right
        ({"status": "timeout", "score": 0.0, "answer": "C"}, "answer is 'C', the graders here (math-verify X) give 'B'"),
        ({"gold": "C"}, "score is 1.0, the graders here (math-verify X) give 0.0"),
    ],
)
def test_the_first_sample_with_another_grade_is_named(change, words):
    from harness.runs.environment import environment

    version = environment().packages["math-verify"] or "missing"
    with pytest.raises(HarnessError) as e:
        confirm_grades({CHOICES: [row(), row(problem="q", **change), row(score=0.0)]}, "here")
    assert str(e.value) == f"here: {CHOICES}, problem q, seed 3, sample 2: {words.replace('X', version)}"


def test_a_second_grade_is_held_against_the_present_one_where_it_was_stored():
    own = row(completion=r"\boxed{5}", answer="5", gold="5", parity=1.0)
    assert confirm_grades({MATH: [own, msgspec.structs.replace(own, parity=None)]}, "here") == 0
    with pytest.raises(HarnessError, match="parity is 0.0, the graders here .* give 1.0"):
        confirm_grades({MATH: [msgspec.structs.replace(own, parity=0.0)]}, "here")


def test_figures_are_of_the_samples():
    rows = [row(seed=s, index=i, problem=p, score=float(s == 3)) for s in (3, 4) for p in "pq" for i in (0, 1)]
    facts = suite_scores({3: 0.0, 4: 0.0}, n=2, k=2)
    found = derive({"some": rows}, {"some": facts}, (3, 4))
    assert found.suites["some"].per_seed == {3: 1.0, 4: 0.0} and found.suites["some"].avg == 0.5
    assert found.suites["some"].per_seed_clean == {}
    facts = msgspec.structs.replace(facts, flagged=["p"])
    halves = [msgspec.structs.replace(x, score=0.0) if x.problem == "q" else x for x in rows]
    found = derive({"some": halves}, {"some": facts}, (3, 4))
    assert found.suites["some"].per_seed == {3: 0.5, 4: 0.0} and found.suites["some"].per_seed_clean == {3: 0.0, 4: 0.0}
    assert msgspec.to_builtins(found.macro)["per_seed"].keys() == {3, 4}
