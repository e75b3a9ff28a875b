"""The strict training reward beside the evaluation's grader: hand-made answers with both verdicts, worked out by hand."""

from __future__ import annotations

import pytest

from harness.grading.strict import reward_many, same_form

# answer in the box, gold, the evaluation's verdict, the strict one
ANSWERS = [
    # an integer is an integer
    ("5", "5", 1, 1),
    ("5.0", "5", 1, 1),
    ("+5", "5", 1, 1),
    ("1,000", "1000", 1, 1),
    ("1{,}000", "1000", 1, 1),
    ("-12", "-12", 1, 1),
    ("x = 5", "5", 1, 1),
    ("5\\text{ cm}", "5", 1, 1),
    ("45^\\circ", "45", 1, 1),
    ("\\$5", "5", 1, 1),
    ("\\text{5}", "5", 1, 1),
    ("6", "5", 0, 0),
    ("2+3", "5", 1, 0),
    ("2 \\cdot 3 - 1", "5", 1, 0),
    ("\\sqrt{25}", "5", 1, 0),
    ("\\frac{10}{2}", "5", 1, 0),
    ("2^3", "8", 1, 0),
    ("\\binom{4}{2}", "6", 1, 0),
    ("3!", "6", 1, 0),
    ("\\sin\\left(\\frac{\\pi}{2}\\right)", "1", 1, 0),
    # a fraction is in its lowest terms
    ("\\frac{1}{2}", "\\frac{1}{2}", 1, 1),
    ("\\dfrac{1}{2}", "\\frac{1}{2}", 1, 1),
    ("\\frac12", "\\frac{1}{2}", 1, 1),
    ("1/2", "\\frac{1}{2}", 1, 1),
    ("0.5", "\\frac{1}{2}", 1, 1),
    ("-\\frac{1}{2}", "\\frac{-1}{2}", 1, 1),
    ("\\frac{2}{4}", "\\frac{1}{2}", 1, 0),
    ("2/4", "0.5", 1, 0),
    ("\\frac{-1}{-2}", "\\frac{1}{2}", 1, 0),
    ("\\frac{1}{4}+\\frac{1}{4}", "\\frac{1}{2}", 1, 0),
    ("2^{-1}", "\\frac{1}{2}", 1, 0),
    ("50\\%", "\\frac{1}{2}", 1, 0),
    ("0.333333", "\\frac{1}{3}", 1, 0),
    ("2.5", "2.50", 1, 1),
    ("\\frac{5}{2}", "2.5", 1, 1),
    # any other value is exact, however it is written
    ("2\\sqrt{2}", "2\\sqrt{2}", 1, 1),
    ("\\sqrt{8}", "2\\sqrt{2}", 1, 1),
    ("2.828427", "2\\sqrt{2}", 1, 0),
    ("3.14159265", "\\pi", 1, 0),
    ("1+\\sqrt{2}", "\\sqrt{2}+1", 1, 1),
    ("(x+1)^2", "x^2+2x+1", 1, 1),
    ("x^2+2x+2", "x^2+2x+1", 0, 0),
    # several values stand in the gold answer's order and brackets
    ("1,2,3", "1,2,3", 1, 1),
    ("1, 2, 3", "1,2,3", 1, 1),
    ("3,2,1", "1,2,3", 1, 0),
    ("(1,2)", "(1, 2)", 1, 1),
    ("(\\frac{2}{4},1)", "(\\frac{1}{2},1)", 1, 0),
    ("(1,1+1)", "(1,2)", 1, 0),
    ("[1,2)", "[1,2)", 1, 1),
    ("\\left[1,2\\right)", "[1,2)", 1, 1),
    ("[1,2]", "[1,2)", 0, 0),
    # what is right as it stands is right
    ("50\\%", "50\\%", 1, 1),
    ("\\text{odd}", "\\text{odd}", 1, 1),
    ("2+3", "2+3", 1, 1),
]


def rewards(rule):
    return [g.score for g in reward_many([(f"So it is \\boxed{{{a}}}.", gold, "math") for a, gold, _, _ in ANSWERS], rule)]


@pytest.mark.parametrize("rule", ["evaluation", "strict"])
def test_hand_made_answers(rule):
    expected = {(a, gold): (strict if rule == "strict" else plain) for a, gold, plain, strict in ANSWERS}
    found = dict(zip(expected, map(int, rewards(rule)), strict=True))
    assert found == expected
    assert len(expected) == len(ANSWERS) >= 34


def test_strict_never_accepts_what_the_evaluation_rejects():
    assert all(strict <= plain for _, _, plain, strict in ANSWERS)
    assert all(strict <= plain for plain, strict in zip(rewards("evaluation"), rewards("strict"), strict=True))


@pytest.mark.parametrize(
    ("completion", "plain", "strict", "status"),
    [
        ("\\boxed{5}", 1.0, 1.0, "ok"),
        ("It is \\boxed{4}. No: \\boxed{5}.", 1.0, 0.0, "unparsed"),
        ("\\boxed{5} and again \\boxed{5}", 1.0, 0.0, "unparsed"),
        ("five", 0.0, 0.0, "unparsed"),
        ("\\boxed{2+3}", 1.0, 0.0, "ok"),
    ],
)
def test_exactly_one_box(completion, plain, strict, status):
    (one,), (other,) = (reward_many([(completion, "5", "math")], rule) for rule in ("evaluation", "strict"))
    assert (one.score, other.score, other.status) == (plain, strict, status)


def test_other_answer_types_have_one_grader():
    items = [("\\boxed{A} or rather \\boxed{B}", "B", "choice"), ("\\boxed{1,000}", "1000", "exact")]
    assert reward_many(items, "strict") == reward_many(items, "evaluation")


@pytest.mark.parametrize(
    ("answer", "gold", "same"),
    [
        ("x < 3", "(-\\infty, 3)", False),
        ("(-\\infty,3)", "(-\\infty, 3)", True),
        ("x \\in (1,3)", "(1,3)", True),
        ("\\{1,2\\}", "1,2", False),
        ("\\{1,2\\}", "\\left\\{1, 2\\right\\}", True),
        ("1\\frac12", "\\frac{3}{2}", True),
        ("1\\frac{2}{4}", "\\frac{3}{2}", False),
        ("1 1/2", "\\frac{3}{2}", True),
        ("50", "50\\%", False),
        ("1 \\pm \\sqrt{2}", "1+\\sqrt{2}, 1-\\sqrt{2}", False),
        ("y = 2x+1", "2x+1", True),
        ("x \\neq 2", "(-\\infty,2) \\cup (2,\\infty)", False),
        ("5 \\text{ million}", "5000000", False),
        ("1.5x", "\\frac{3x}{2}", False),
        ("5", "2+3", False),
        ("9", "1+1=<<1+1=2>>2\n#### 9", True),
        ("12", "12.", True),
    ],
)
def test_forms(answer, gold, same):
    assert same_form(answer, gold) is same
