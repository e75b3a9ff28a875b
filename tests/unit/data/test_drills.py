"""Drills: pinned, without repeats, right by another reading of the question, and never asked in training and test alike."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from harness.core.errors import UsageError
from harness.core.hints import prefix
from harness.core.leaks import leaks
from harness.data import drills
from harness.data.contamination import find
from harness.data.problems import content_sha256, unwrap
from harness.data.suites import load_suite
from harness.data.training_sets import load_training_set
from harness.grading.graders import grade_many

SUITES = ("dr-id", "dr-items", "dr-digits", "dr-kinds")


@pytest.fixture(scope="module")
def train():
    return load_training_set("drills").whole(None, None)


def listed(problem):
    return [int(number) for number in re.findall(r"\d+", unwrap(problem.text))]


def right(problem):
    """The answer, from the words of the question alone."""
    numbers, question = listed(problem), unwrap(problem.text)
    ranked = sorted(numbers)
    for word, answer in {"largest": ranked[-1], "smallest": ranked[0], "first": numbers[0], "last": numbers[-1]}.items():
        if f"the {word}" in question:
            return str(answer)
    raise AssertionError(question)


def test_the_training_set_is_the_pinned_one_and_right(train):
    assert len(train) == 2000 == len({p.text for p in train}) == len({p.id for p in train})
    assert content_sha256(train) == load_training_set("drills").sha256
    assert all(p.answer == right(p) and p.overlap == "exact" for p in train)
    assert Counter(p.meta["kind"] for p in train) == {"largest": 1000, "last": 1000}
    assert {len(listed(p)) for p in train} == {3, 4} and all(1 <= n <= 99 for p in train for n in listed(p))


def test_a_solution_rules_out_the_other_numbers_and_no_prefix_states_the_answer(train):
    for p in train:
        others = [n for n in listed(p) if str(n) != p.answer]
        assert p.solution == "".join(f"Not {n}. " for n in others) + f"So \\boxed{{{p.answer}}}."
        shown = [prefix(p.solution, share) for share in (0.25, 0.5, 0.75)]
        assert shown[0] == f"Not {others[0]}." and shown[2].startswith(shown[1]) and shown[1].startswith(shown[0])
        assert not any(leaks(hint, p.answer) for hint in shown)


@pytest.mark.parametrize(
    ("name", "kinds", "items", "numbers"),
    [
        ("dr-id", {"largest", "last"}, {3, 4}, (1, 99)),
        ("dr-items", {"largest", "last"}, {6, 7, 8}, (1, 99)),
        ("dr-digits", {"largest", "last"}, {3, 4}, (100, 999)),
        ("dr-kinds", {"smallest", "first"}, {3, 4}, (1, 99)),
    ],
)
def test_a_suite_asks_what_its_card_says(name, kinds, items, numbers):
    suite = load_suite(name)
    problems = suite.problems(None)
    assert len(problems) == suite.size == len({p.text for p in problems}) and content_sha256(problems) == suite.sha256
    assert all(p.answer == right(p) for p in problems)
    assert {p.meta["kind"] for p in problems} == kinds and {len(listed(p)) for p in problems} == items
    assert min(n for p in problems for n in listed(p)) >= numbers[0]
    assert max(n for p in problems for n in listed(p)) <= numbers[1]
    role = load_training_set("drills").role_of(name)
    says = " ".join(suite.known_defects)
    assert ("Out of distribution by" in says) == (role == "ood") and role is not None


def test_no_suite_asks_a_training_question(train):
    suites = {name: load_suite(name).problems(None) for name in SUITES}
    assert not any(find(train, suites).values())
    asked = {unwrap(p.text) for problems in suites.values() for p in problems}
    assert all(drills.for_test(question) for question in asked)
    assert not any(drills.for_test(unwrap(p.text)) for p in train)


def test_the_split_holds_however_few_questions_there_are():
    """Two numbers of 1 to 6: 30 questions a kind, which two draws without the split would share."""
    few = (["largest"], [2, 2], [1, 6])
    for_suites = {question for _, question, _ in drills.questions("a", 4, *few, test=True)}
    for_training = {question for _, question, _ in drills.questions("b", 15, *few, test=False)}
    assert len(for_suites) == 4 and len(for_training) == 15 and not for_suites & for_training
    with pytest.raises(UsageError, match="too few different drills of kind 'largest' for 31"):
        drills.questions("a", 31, *few, test=True)
    with pytest.raises(ValueError, match="unknown kinds of drills: middle"):
        drills.questions("a", 1, ["middle"], [3, 3], [1, 9], test=True)


def test_a_longer_set_begins_alike_and_another_name_is_another_stream():
    settings = (["largest", "last"], [3, 4], [1, 99])
    long = drills.questions("a", 40, *settings, test=True)
    assert long[:9] == drills.questions("a", 9, *settings, test=True)
    assert not {q for _, q, _ in long} & {q for _, q, _ in drills.questions("b", 40, *settings, test=True)}


def test_only_the_last_box_counts_and_it_must_be_the_number(train):
    problem = next(p for p in train if p.meta["kind"] == "last")
    answer, other = problem.answer, str(int(problem.answer) + 1)
    texts = [
        f" \\boxed{{{answer}}}",
        f"\\boxed{{{answer}}}\n\nQuestion: 1 + 1\nAnswer: \\boxed{{{other}}}",
        f"\\boxed{{{other}}}\n\nQuestion: 1 + 1\nAnswer: \\boxed{{{answer}}}",
        answer,
    ]
    grades = grade_many([(text, problem.answer, problem.answer_type) for text in texts])
    assert [(g.score, g.status) for g in grades] == [(1.0, "ok"), (0.0, "ok"), (1.0, "ok"), (0.0, "unparsed")]
