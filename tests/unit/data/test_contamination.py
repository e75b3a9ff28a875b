"""Overlaps of training and test questions: each kind against a plain reference, the command, and the real data."""

import json
import random

import pytest

from harness.config import resolve
from harness.core.errors import UsageError
from harness.core.types import Problem
from harness.data import training_sets
from harness.data.contamination import NGRAM, find, flagged, grams, normal_form, words
from harness.data.problems import PROMPT_FORMS, read_problems, render, unwrap
from harness.data.suites import load_suite
from harness.data.training_sets import TrainingSet, load_training_set
from harness.evaluation.scores import score_seed
from harness.run import prepare
from support.command import harness
from support.results import sample


def problems(*texts, name="p", overlap="near"):
    return [Problem(f"{name}{i}", render(text, "boxed"), "1", overlap=overlap) for i, text in enumerate(texts)]


def kinds(train, tests):
    return flagged(find(train, {"s": tests})["s"])


LONG = "Plant {n} roses and four tulips in one straight row so that no two tulips touch; in how many ways can this be done?"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("What is $\\dfrac{1}{2} + x$?", "what is \\frac{1}{2}+x"),
        ("Let $\\left( a, b \\right)$ with $a \\leqslant b$, $\\ldots$", "Let $(a,\\,b)$ with $a \\le b$, $\\dots$."),
        ("Which one?\n\n(A) this\n(B) that", "which one"),
        ("$f(x) \\text{ if } \\mathbb{Z}$", "f(x) if Z"),
    ],
)
def test_normal_form_sees_through_layout(a, b):
    assert normal_form(a) == normal_form(b)


@pytest.mark.parametrize(("a", "b"), [("1+2", "1-2"), ("x < y", "x > y"), ("2x", "3x")])
def test_normal_form_keeps_signs_and_numbers(a, b):
    assert normal_form(a) != normal_form(b)


def test_words_keep_commands_apart():
    assert words("$a\\leq9$ and x_1^{23}") == ["a", "\\le", "9", "and", "x", "1", "23"]


@pytest.mark.parametrize("prompt", PROMPT_FORMS)
def test_unwrap_is_the_inverse_of_render(prompt):
    assert unwrap(render("Find ${x}$. ", prompt)) == "Find ${x}$. "


def test_ngrams_against_brute_force():
    rng = random.Random(0)
    base = [rng.choice("abcdefgh") + str(rng.randrange(9)) for _ in range(60)]

    def piece():
        start, length = rng.randrange(30), rng.randrange(5, 30)
        noise = [f"n{rng.randrange(10**6)}" for _ in range(rng.randrange(12))]
        return " ".join([*base[start : start + length], *noise])

    train = problems(*(piece() for _ in range(40)), name="t")
    tests = problems(*(piece() for _ in range(40)))
    got = {(m.test, m.train): m.share for m in find(train, {"s": tests}, near_jaccard=0.99)["s"] if m.kind == "ngram"}
    want = {}
    for p in tests:
        own = grams(words(unwrap(p.text)), NGRAM)
        for t in train:
            share = len(own & grams(words(unwrap(t.text)), NGRAM)) / len(own) if own else 0
            if share >= 0.5 and normal_form(p.text) != normal_form(t.text):
                want[p.id, t.id] = share
    assert got == pytest.approx(want) and len(want) > 10


def test_half_of_the_ngrams_must_lie_in_one_training_question():
    text = " ".join(f"w{i}" for i in range(40))  # 28 13-grams
    head, tail = (" ".join(f"w{i}" for i in r) for r in (range(25), range(16, 40)))  # 13 and 12 of them
    assert kinds(problems(head, tail, name="t"), problems(text)) == {}
    [match] = find(problems(" ".join(f"w{i}" for i in range(26)), name="t"), {"s": problems(text)})["s"]
    assert (match.kind, match.share) == ("ngram", 0.5)


def test_each_kind_is_found_and_the_strongest_counts():
    question = LONG.format(n=7)
    near = "Compute the sum of all odd whole numbers below 99."
    train = problems(question.upper(), LONG.format(n=9), near.replace("Compute", "Determine"), name="t")
    tests = problems(question, near, "Who wrote Faust?")
    assert kinds(train, tests) == {"p0": "exact", "p1": "near"}
    assert find(train, {"s": tests}) == find(train, {"s": tests})
    assert kinds(train[1:], tests) == {"p0": "ngram", "p1": "near"}
    assert all(m.same_answer for m in find(train, {"s": tests})["s"])


def test_disjoint_and_empty_texts_do_not_match():
    assert kinds(problems("Add two and three.", "?", name="t"), problems("Name the largest prime below ten.", "!")) == {}


def test_suites_are_kept_apart():
    found = find(problems("one two", name="t"), {"a": problems("one two"), "b": problems("three four")})
    assert [m.kind for m in found["a"]] == ["exact"] and found["b"] == []


def test_problems_of_a_few_templates_are_compared_word_for_word_only():
    text = LONG.format(n=7)
    train = problems(text, name="t", overlap="exact")
    assert kinds(train, problems(text, overlap="exact")) == {"p0": "exact"}
    assert kinds(train, problems(LONG.format(n=8), overlap="exact")) == {}
    assert {p.overlap for p in load_suite("tb-id").problems(None)} == {"exact"}
    assert {p.overlap for p in load_training_set("testbed").whole(None, None)} == {"exact"}


# ------------------------------------------------------------------ scores


def test_second_score_leaves_the_flagged_problems_out():
    rows = [sample(problem=p, score=s) for p, s in (("a", 1.0), ("a", 1.0), ("b", 0.0), ("b", 1.0))]
    assert score_seed(rows, 2, ["a"]).avg_clean == 0.5
    assert score_seed(rows, 2).avg_clean is None and score_seed(rows, 2, ["a", "b"]).avg_clean is None


# ------------------------------------------------------------------ the command


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--train-set", "gsm8"], 2, "did you mean 'gsm8k'"),
        (["--train-set", "gsm8k", "--bench", "math50"], 2, "did you mean 'math500'"),
        (["--train-set", "gsm8k"], 3, "--data-dir"),
        (["--train-set", "gsm8k", "--data-dir", "nowhere"], 3, "nowhere"),
    ],
)
def test_command_refuses_bad_input(capsys, args, code, says):
    got, _, err = harness(capsys, "check", "contamination", *args)
    assert got == code and says in err and "\n" not in err.strip()


def test_command_on_the_testbed(capsys):
    code, out, _ = harness(capsys, "check", "contamination", "--train-set", "testbed", "--json")
    rows = json.loads(out.splitlines()[-1])["pairs"]
    assert code == 0 and [r["suite"] for r in rows] == ["tb-id", "tb-long", "tb-format", "tb-family"]
    assert not any(r["flagged"] for r in rows)
    code, out, _ = harness(capsys, "check", "contamination", "--train-set", "testbed")
    assert code == 0 and "tb-family" in out


def test_without_a_name_sets_that_are_still_to_be_fetched_are_left_out(capsys, monkeypatch):
    names = ("testbed", "deepmath-full")
    monkeypatch.setattr(training_sets, "list_training_sets", lambda: [load_training_set(name) for name in names])
    code, out, _ = harness(capsys, "check", "contamination", "--bench", "tb-id", "--json")
    found = json.loads(out.splitlines()[-1])
    assert code == 0 and found["left_out"] == ["deepmath-full"] and [r["suite"] for r in found["pairs"]] == ["tb-id"]
    code, _, err = harness(capsys, "check", "contamination", "--train-set", "deepmath-full", "--bench", "tb-id")
    assert code == 3 and "--data-dir" in err


def test_a_run_marks_its_training_problems_that_a_suite_asks(monkeypatch):
    """P2O and GEPA then select on none of them; see tests/unit/search/test_prompt_search.py."""
    spec = resolve("p2o", "testbed", flags={"eval": {"bench": "id,ood"}})
    before = load_training_set("testbed").problems(spec, None)
    asked = load_suite("tb-long").problems(None)[:3]
    monkeypatch.setattr(TrainingSet, "problems", lambda *_: [*before, *asked])
    prepared = prepare(spec, None, False)
    assert {p.id: p.overlapping_suites for p in prepared.problems if p.overlapping_suites} == {p.id: ["tb-long"] for p in asked}
    assert prepared.flagged["tb-long"] == [p.id for p in asked]
    assert [p for p in prepared.method(0).problems if p.overlapping_suites] == asked
    monkeypatch.setattr(TrainingSet, "problems", lambda *_: load_suite("tb-long").problems(None))
    with pytest.raises(UsageError, match="ask every training problem"):
        prepare(resolve("gepa", "testbed", flags={"eval": {"bench": "id,ood"}}), None, False)


# ------------------------------------------------------------------ real data


def test_listed_overlaps_are_found(data_dir):
    path = data_dir / "contamination.json"
    if not path.is_file():
        pytest.skip("no list of overlaps beside the data")
    listed = json.loads(path.read_text())["same_items"]["math_train"]
    train = read_problems(data_dir / load_training_set("math").file, "math")
    names = {"math500": "math500", "olympiadbench": "olympiad"}
    found = find(train, {file: load_suite(suite).problems(data_dir) for file, suite in names.items()})
    for file in names:
        assert listed[file] and listed[file].keys() <= flagged(found[file]).keys()
