"""What hinted arms share: the leak guard, prefixes of solutions, where a hint stands, the two switches."""

import itertools

import pytest
from pydantic import ValidationError

from harness.core.hints import HintedConfig, prefix, with_hint
from harness.core.leaks import leaks
from harness.core.types import Problem


@pytest.mark.parametrize(
    ("hint", "answer", "leaking"),
    [
        ("Factor the left side first.", "7", False),
        ("There are 7 terms to add.", "7", False),  # a short answer occurs in any text
        ("There are 42 terms to add.", "42", False),  # so does one of two characters
        ("so x = 42", "42", True),
        ("There are 421 terms to add.", "421", True),
        ("so x = 7", "7", True),
        ("The answer is $7$.", "7", True),
        ("x = 70", "7", False),
        ("hence \\boxed{7}", "7", True),
        ("the total is 1234", "1234", True),
        ("we find 1234 apples", "1234", True),
        ("we find 12345 apples", "1234", False),
        ("it equals \\dfrac{1}{2}", "\\frac{1}{2}", True),
        ("this is a circle", "A", False),
        ("the answer is A.", "A", True),
        ("A PARABOLA opens", "parabola", True),
        ("let <S> 1 6 6 7", "6 7", True),
        ("let <S> 1 6 7 1", "6 1", False),
        ("think", "", False),
    ],
)
def test_leaks(hint, answer, leaking):
    assert leaks(hint, answer) == leaking


@pytest.mark.parametrize("answer", ["7", "x", "42", "-3", "xy", "6 7", "137", "xyz", "1/2", "\\pi", "1234"])
def test_answers_of_one_or_two_characters_count_only_where_an_answer_is_stated(answer):
    """Three or more count anywhere; fewer only after "=", "ans", "answer", "answer is", an opening box, and "is" (numbers)."""
    short = len(answer) <= 2
    for plain in (f"take {answer} and go on", f"{answer} of them", f"there are {answer}", f"the analysis {answer}"):
        assert leaks(plain, answer) == (not short), plain
    for stated in (
        f"so x = {answer}.",
        f"ans {answer}",
        f"Answer: {answer}",
        f"the answer is ${answer}$.",
        f"\\boxed{{{answer}}}",
    ):
        assert leaks(stated, answer), stated
    assert leaks(f"it is {answer}", answer) == (not (short and answer.isalpha()))
    for longer in (f"= {answer}5", f"= {answer}.5", f"= 9{answer}" if answer[0].isalnum() else f"= {answer}a"):
        assert not leaks(longer, answer), longer


@pytest.mark.parametrize(("answer", "stated"), [("$7$", "7"), ("\\,42\\;", "42"), (" 5 ", "5")])
def test_the_length_is_that_of_the_answer_without_its_layout(answer, stated):
    assert not leaks(f"take {stated} of them", answer) and leaks(f"= {stated}", answer)


def test_prefix_ends_at_a_sentence_or_word_and_before_the_answer():
    solution = "Add the two lines. Then halve them! The value follows, \\boxed{12}. Done, as was to be shown."
    stated = solution.index("\\boxed")
    for percent in range(5, 101, 5):
        cut = prefix(solution, percent / 100)
        assert solution.startswith(cut) and len(cut) <= min(round(percent / 100 * len(solution)), stated)
        rest = solution[len(cut) :]
        assert not cut or rest[0].isspace(), "never within a word"
    assert prefix(solution, 0.3) == "Add the two lines."
    assert prefix(solution, 0.45) == "Add the two lines. Then halve them!"
    assert prefix(solution, 1.0) == "Add the two lines. Then halve them! The value follows,"
    assert prefix("let <S> 1 2 3 4 5 6 ans 5 6", 0.5) == "let <S> 1 2 3"
    assert [len(prefix("one two three", f / 10)) for f in range(11)] == sorted(
        len(prefix("one two three", f / 10)) for f in range(11)
    ), "more of the solution is never a shorter prefix"


def test_a_hint_follows_the_question_unless_its_set_says_otherwise():
    assert with_hint(Problem("p", "What?", "1"), "think", "hint") == "What?\n\nHint:\nthink"
    assert with_hint(Problem("p", "run :", "1 2", hint_position="before"), "think", "hint") == "think\n\nrun :"
    assert with_hint(Problem("p", "Question: What?\nAnswer:", "1"), "think", "hint") == "Question: What? think\nAnswer:"


def test_switches():
    problem = Problem("p", "x", "1")
    for context, correction in itertools.product(("hinted", "original"), ("none", "clip", "mask", "shaping")):
        if context == "hinted" and correction != "none":
            with pytest.raises(ValidationError, match="no effect"):
                HintedConfig(gradient_context=context, correction=correction)
            continue
        config = HintedConfig(gradient_context=context, correction=correction)
        made = config.context(problem, "x plus hint", "hint")
        assert made.rollout == "x plus hint" and made.template == "hint"
        assert made.train == ("x" if context == "original" else "x plus hint")
