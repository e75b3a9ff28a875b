"""Suites that reasoning_gym generates: pinned, without repeats, with right answers, full score only."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace

import pytest

from harness.core.errors import MissingError, UsageError
from harness.data import procedural
from harness.data.problems import content_sha256
from harness.data.suites import list_groups, list_suites, load_suite
from harness.grading import graders
from harness.grading.golds import at_hand
from harness.grading.graders import grade_many

SUITES = list_groups()["procedural"]


@pytest.fixture(scope="module")
def problems():
    return {name: load_suite(name).problems(None) for name in SUITES}


def answers(problems_N):
    return [procedural.gold_answer(p.answer) for p in problems_N]


def grade(problem, answer):
    [found] = grade_many([(f"So \\boxed{{{answer}}}.", problem.answer, "reasoning_gym")])
    return found


# ------------------------------------------------------------------ the problems


@pytest.mark.parametrize("name", SUITES)
def test_pinned_and_without_repeats(problems, name):
    suite, found = load_suite(name), problems[name]
    assert len(found) == suite.size == len({p.text for p in found}) == len({p.id for p in found})
    assert content_sha256(found) == suite.sha256 and {p.answer_type for p in found} == {"reasoning_gym"}
    assert all(p.text.startswith("Please reason") for p in found)
    assert any("full score only" in defect for defect in suite.known_defects)


def test_global_random_state_is_neither_read_nor_changed(problems):
    import numpy

    for seed in (1, 2):
        random.seed(seed)
        numpy.random.seed(seed)
        before = random.getstate(), numpy.random.get_state()[1].tolist()
        assert load_suite("rg-knights-knaves").problems(None) == problems["rg-knights-knaves"]
        assert (random.getstate(), numpy.random.get_state()[1].tolist()) == before


def test_suites_of_one_task_differ_and_a_longer_one_begins_alike():
    """The seed is a hash of the suite's name and the position: adjacent seeds would share nearly all questions."""
    a, b = (dict(procedural.questions(name, "chain_sum", {}, 60)) for name in ("one", "two"))
    assert len(a) == len(b) == 60 and not a.keys() & b.keys()
    assert list(a.items())[:7] == procedural.questions("one", "chain_sum", {}, 7)


def test_repeated_questions_are_drawn_again():
    few = procedural.questions("few", "chain_sum", {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}, 40)
    assert len({question for question, _ in few}) == 40


def test_other_problems_than_the_pinned_ones_are_refused():
    with pytest.raises(UsageError, match="generates other problems .* pip install reasoning-gym==0.1.25"):
        replace(load_suite("rg-family"), sha256="0" * 64).problems(None)


def test_without_the_package(monkeypatch):
    monkeypatch.setattr(procedural, "PACKAGE", "no_such_package")
    with pytest.raises(MissingError, match=re.escape("pip install 'p2o-harness[procedural]'")):
        load_suite("rg-family").problems(None)
    with pytest.raises(MissingError, match="reasoning_gym"):
        grade_many([("\\boxed{son}", json.dumps({"answer": "son", "task": "untried"}), "reasoning_gym")])
    worlds = [f"dr-{n}" for n in ("digits", "id", "items", "kinds")]
    worlds += [f"sk-{n}" for n in ("combo", "id", "long", "surface")] + [f"tb-{n}" for n in ("family", "format", "id", "long")]
    assert [s.name for s in at_hand(list_suites(), None)] == worlds


# ------------------------------------------------------------------ the answers, by other means


def test_chain_sums(problems):
    for problem, answer in zip(problems["rg-chain-sum"], answers(problems["rg-chain-sum"]), strict=True):
        terms = re.sub(r"([+-]) ", r"\1", problem.text.split("problem:")[1].rstrip(" =")).split()
        assert sum(map(int, terms)) == int(answer) and 4 <= len(terms) <= 8


def test_equations(problems):
    for problem, answer in zip(problems["rg-equations"], answers(problems["rg-equations"]), strict=True):
        left, right = re.search(r": ([^:=]+) = ([^=]+)$", problem.text).groups()
        left = re.sub(r"\b[a-z]\b", f"({answer})", left)
        assert re.fullmatch(r"[-+*() 0-9]+", left) and eval(left) == int(right)  # digits and signs only


def test_largest_islands(problems):
    for problem, answer in zip(problems["rg-islands"], answers(problems["rg-islands"]), strict=True):
        rows = [line.split() for line in problem.text.split("\n") if re.fullmatch(r"[01]( [01])+", line)]
        land = {(i, j) for i, row in enumerate(rows) for j, cell in enumerate(row) if cell == "1"}
        largest = 0
        while land:
            island, frontier = 0, [land.pop()]
            while frontier:
                i, j = frontier.pop()
                island += 1
                near = {(i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)} & land
                land -= near
                frontier += near
            largest = max(largest, island)
        assert largest == int(answer)


# ------------------------------------------------------------------ the grader


@pytest.mark.parametrize("name", SUITES)
def test_golds_accept_themselves_and_no_other_gold(problems, name):
    found = problems[name]
    texts = [f"\\boxed{{\\text{{{answer}}}}}" for answer in answers(found)]
    grades = grade_many([(text, p.answer, "reasoning_gym") for text, p in zip(texts, found, strict=True)])
    assert {(g.score, g.status) for g in grades} == {(1.0, "ok")}
    shifted = grade_many([(text, p.answer, "reasoning_gym") for text, p in zip(texts[1:] + texts[:1], found, strict=True)])
    gold = answers(found)
    assert [g.score for g in shifted] == [float(a == b) for a, b in zip(gold[1:] + gold[:1], gold, strict=True)]


def test_partial_credit_is_wrong(problems):
    knights = problems["rg-knights-knaves"][0]
    answer = procedural.gold_answer(knights.answer)
    liar = re.search(r"is an? (\w+)\.?$", answer)[1]
    other = next(role for role in re.findall(r"is an? (\w+)", answer) if role != liar)
    nearly = re.sub(r"\w+\.?$", other, answer)
    assert 0.0 < procedural.score(nearly, knights.answer) < 1.0 and grade(knights, nearly).score == 0.0
    cube = problems["rg-color-cube"][0]
    assert 0.0 < procedural.score("none", cube.answer) < 1.0 and grade(cube, "none").score == 0.0
    equation = problems["rg-equations"][0]
    longer = procedural.gold_answer(equation.answer) + "0"
    assert 0.0 < procedural.score(longer, equation.answer) < 1.0 and grade(equation, longer).score == 0.0


def test_natural_variants(problems):
    equation, cube, chain, knights = (
        problems[name][1] for name in ("rg-equations", "rg-color-cube", "rg-chain-sum", "rg-knights-knaves")
    )
    value, colour, total, people = answers([equation, cube, chain, knights])
    assert [grade(equation, text).score for text in (f"x = {value}", f"${value}$", f"x={value}.", f"{value}1")] == [1, 1, 1, 0]
    assert grade(cube, f"\\textbf{{{colour.upper()}}}").score == 1.0
    assert grade(chain, f"{int(total):,}").score == grade(chain, f"{total}.0").score == 1.0
    first, second, third = people.rstrip(".").replace("and ", "").split(", ")
    assert grade(knights, f"\\text{{{third} and {first} and {second}}}").score == 1.0


@pytest.mark.parametrize("text", ["blue", "the answer is \\boxed{}", "\\boxed{" + "1" * 10_001 + "}"])
def test_no_box_is_unparsed(problems, text):
    [found] = grade_many([(text, problems["rg-color-cube"][0].answer, "reasoning_gym")])
    assert found == graders.Grade(0.0, "unparsed", None)


def test_an_exception_of_the_scorer_is_an_error(problems, monkeypatch):
    class Broken:
        def score_answer(self, answer, entry):
            raise ZeroDivisionError

    monkeypatch.setattr(procedural, "_scorer", lambda task: Broken())
    assert grade(problems["rg-family"][0], "son").status == "error"
