"""Books of phrases: every phrase has a source, none can state an answer, templates are drawn from the seed, at no cost."""

from __future__ import annotations

import re
from statistics import mean

import pytest

from harness.core.leaks import leaks
from harness.core.ledger import Ledger
from harness.core.types import Problem
from harness.data.suites import load_suite
from harness.data.training_sets import load_training_set
from harness.registry import load_method
from harness.search.asking import ReflectorConfig
from harness.search.books import books, phrases
from harness.search.reflect import ReflectionRequest, make_proposer
from support.settings import resolve

EMPTY = ReflectionRequest("", [])


def propose(seed, requests, **config):
    ledger = Ledger()
    written = make_proposer(ReflectorConfig(**config), None, [], seed, ledger).propose(requests)
    assert (ledger.reflection_calls, ledger.reflection_tokens, ledger.reflection_prompt_tokens) == (0, 0, 0)
    return written


@pytest.mark.parametrize("book", ["book", "placebo"])
def test_every_phrase_has_a_source_and_stands_once(book):
    found = books()[book]
    assert len({phrase.text for phrase in found}) == len(found) == len(phrases(book)) > 10
    for phrase in found:
        assert phrase.text == phrase.text.strip() and "\n" not in phrase.text, "a template has a phrase a line"
        assert phrase.arxiv or phrase.source == "written for this book"
        assert not phrase.arxiv or re.search(r"et al\. \d{4}", phrase.source)
        # Submitted in the year that the source is cited by: an id begins with year and month.
        assert not phrase.arxiv or f"20{phrase.arxiv[:2]}" == re.search(r"\d{4}", phrase.source)[0]
    if book == "book":
        assert all(phrase.arxiv for phrase in found)


def test_known_instructions_are_word_for_word():
    known = {phrase.text: phrase.arxiv for phrase in books()["book"]}
    assert known["Let's think step by step."] == "2205.11916"
    assert known["Take a deep breath and work on this problem step-by-step."] == "2309.03409"
    assert known["Rephrase and expand the question, and respond."] == "2311.04205"


def test_the_placebo_is_of_one_size_with_the_book():
    published, neutral = phrases("book"), phrases("placebo")
    assert len(neutral) == len(published) and not {*neutral} & {*published}
    assert 0.9 <= mean(map(len, neutral)) / mean(map(len, published)) <= 1.1
    words = {"step", "think", "problem", "answer", "question", "solve", "reason", "number", "sure", "check", "careful"}
    assert not words & set(re.findall(r"[a-z]+", " ".join(neutral).lower()))


def test_no_phrase_states_an_answer():
    texts = phrases("book") + phrases("placebo")
    assert not any(re.search(r"\d|boxed|####", text) for text in texts)
    answers = {p.answer for name in ("dr-id", "dr-digits") for p in load_suite(name).problems(None)}
    answers |= {p.answer for p in load_training_set("drills").whole(None, None)}
    assert not any(leaks(text, answer) for text in texts for answer in answers)


@pytest.mark.parametrize("book", ["book", "placebo"])
def test_templates_are_phrases_of_the_book_drawn_from_the_seed(book):
    requests = [EMPTY, ReflectionRequest("Let's go.", [])] * 40
    children = propose(3, requests, kind=book, max_pieces=2)
    assert children == propose(3, requests, kind=book, max_pieces=2) != propose(4, requests, kind=book, max_pieces=2)
    known = {*phrases(book)}
    assert {line for child in children for line in child.split("\n")} - {"Let's go."} <= known
    assert {*children[::2]} <= known and len({*children[::2]}) > 5, "the empty template only grows"
    assert max(child.count("\n") for child in children) == 1


@pytest.mark.parametrize(
    ("preset", "kind", "told"),
    [
        ("p2o-policy-reflects", "policy", "answer"),
        ("p2o-initial-reflects", "initial", "answer"),
        ("p2o-book", "book", "none"),
        ("p2o-placebo-book", "placebo", "none"),
    ],
)
@pytest.mark.parametrize("recipe", ["smollm2", "skills", "qwen2.5-0.5b-gsm8k", "qwen3-4b-deepscaler-5k"])
def test_arms_by_who_writes_go_with_every_recipe(recipe, preset, kind, told):
    spec = resolve(preset, recipe)
    typed = spec.typed_method_config()
    assert typed.reflector.kind == kind
    problems = [Problem(str(i), "x", "1") for i in range(800)]
    assert load_method(preset)(typed, spec.train, problems, 0, []).reference == told


@pytest.mark.parametrize("book", ["book", "placebo"])
def test_a_book_teaches_nothing(book):
    spec = resolve("sft-teacher", sets=[f"sft-teacher.teacher.kind={book}"])
    with pytest.raises(ValueError, match="book"):
        load_method("sft-teacher").check(spec.typed_method_config(), spec.train)
