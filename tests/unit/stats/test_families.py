"""Questions in families: against the formula, in simulation, and from a data file to a verdict."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.core.errors import UsageError
from harness.data.problems import read_problems, story_of
from harness.data.suites import load_suite
from harness.report.comparison import to_markdown
from harness.stats import intervals
from harness.stats.comparison import compare
from harness.stats.questions import Questions
from harness.stats.scores import score_interval
from support.results import arms


def clustered_variance(d_Q, member):
    """Of the mean, family by family: squares of the sums of deviations, times G / (G - 1), over the square of the number."""
    names = sorted(set(member))
    sums = [sum(d - d_Q.mean() for d, m in zip(d_Q, member, strict=True) if m == name) for name in names]
    return len(names) / (len(names) - 1) * sum(s**2 for s in sums) / len(d_Q) ** 2


@pytest.mark.parametrize("sizes", [[5] * 12, [1, 2, 3, 4, 10, 1, 1, 7]])
def test_the_variance_over_families_is_liang_and_zegers(sizes):
    rng = np.random.default_rng(0)
    member = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    d_Q = rng.normal(0, 1, len(member)) + rng.normal(0, 1, len(sizes))[member]
    variance, df = intervals._question_part(d_Q, member)
    assert variance == pytest.approx(clustered_variance(d_Q, member)) and df == len(sizes) - 1
    batch, _ = intervals._question_part(np.stack([d_Q, 2 * d_Q]), member.astype(str))
    assert batch == pytest.approx([variance, 4 * variance])


def test_questions_that_are_their_own_families_are_plain_questions():
    rng = np.random.default_rng(1)
    a, b = rng.random((4, 30)), rng.random((4, 30))
    alone = intervals.question_difference([a], [b], clusters=[np.arange(30)])
    assert alone.interval() == pytest.approx(intervals.question_difference([a], [b]).interval())
    assert intervals.score([a], [np.arange(30)]).interval() == pytest.approx(intervals.score([a]).interval())


def test_sums_over_families_keep_the_mean():
    d_Q, member = np.arange(6.0), np.array(["b", "a", "b", "c", "b", "a"])
    sums = intervals.by_family(d_Q, member)
    assert sums == pytest.approx(np.array([6, 6, 3]) / 2) and sums.mean() == pytest.approx(d_Q.mean())


@pytest.mark.parametrize(("families", "n"), [(30, 3), (60, 8)])
def test_intervals_hold_the_truth_with_families_and_not_without(families, n):
    """Five questions a family, which share half of what the arm gains on them."""
    rng = np.random.default_rng(families)
    member = np.repeat(np.arange(families), 5)
    gain = rng.normal(0, 0.1, (3000, 1, families))[..., member] + rng.normal(0, 0.1, (3000, 1, 5 * families))
    a, b = (0.5 + x + rng.normal(0, 0.1, (3000, n, 5 * families)) for x in (gain, 0.0))
    covered = {}
    for name, clusters in (("with", [member]), ("without", None)):
        low, high = intervals.question_difference([a], [b], clusters=clusters).interval()
        covered[name] = np.mean((low <= 0) & (0 <= high))
    assert covered["with"] == pytest.approx(0.95, abs=0.015)
    assert covered["without"] < 0.85


def test_the_score_of_one_arm_is_wider_over_families():
    member = np.repeat(np.arange(12), 5)
    y = np.repeat(np.random.default_rng(2).random((3, 12)) > 0.5, 5, axis=1).astype(float)
    ids = tuple(map(str, range(60)))
    plain, grouped = (score_interval([Questions(ids, (0, 1, 2), 4, y, None, x)]) for x in (None, member))
    assert grouped[1] - grouped[0] > 1.25 * (plain[1] - plain[0])
    assert (plain[2], grouped[2]) == ("Korn-Graubard, seeds and questions", "Korn-Graubard, seeds and families")
    once = Questions(ids, (0,), 1, y[:1], None, member)
    assert score_interval([once])[2] == "Korn-Graubard, families", "Wilson's takes every question for a draw of its own"
    rare = Questions(ids, (0,), 1, np.zeros((1, 60)), None, member)
    assert score_interval([rare]) == (*intervals.clopper_pearson(0, 12), "Clopper-Pearson, families")


def with_families(results, questions, member):
    """Two runs whose suite has families."""
    from dataclasses import replace as changed

    from msgspec.structs import replace

    ids = questions[0]["tb-long"].ids
    clusters = dict(zip(ids, map(str, member), strict=True))
    told = [replace(r, suites={k: replace(s, clusters=clusters) for k, s in r.suites.items()}) for r in results]
    return told, [
        {k: changed(q, clusters_Q=np.array([clusters[i] for i in q.ids])) for k, q in own.items()} for own in questions
    ]


def test_a_comparison_draws_families_anew_and_says_so():
    results, questions = arms(seeds=4, gain=0.05, n=60)
    told, asked = with_families(results, questions, np.repeat(np.arange(15), 4))
    plain, grouped = (compare(r, questions=q) for r, q in ((results, questions), (told, asked)))
    x, y = (c.arms[1].contrasts["tb-long"] for c in (plain, grouped))
    assert x.fixed == y.fixed and x.new != y.new and x.question_p != y.question_p
    cells = [[q["tb-long"].scores_S_Q] for q in asked]
    expected = intervals.question_difference(cells[1], cells[0], clusters=[asked[0]["tb-long"].clusters_Q])
    assert y.new.se == pytest.approx(float(expected.se))
    said = "Where questions come in families (15 of Longer chains), new questions are of new families."
    assert said in to_markdown(grouped) and "families" not in to_markdown(plain)
    older = compare([told[0], results[1]], questions=[asked[0], questions[1]])
    assert older.arms[1].contrasts["tb-long"].new == y.new, "a run from before takes the families of the other"


def test_one_family_tells_nothing_of_others():
    told, asked = with_families(*arms(seeds=3, n=50), ["one"] * 50)
    assert compare(told, questions=asked).arms[1].contrasts["tb-long"].new is None


def rows(path, clusters):
    lines = [{"id": f"p{i}", "problem": f"q{i}", "answer": "1"} | x for i, x in enumerate(clusters)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_row_may_name_its_family(tmp_path):
    path = rows(tmp_path / "x.jsonl", [{"cluster_id": "a"}, {"cluster_id": None}, {}, {"cluster_id": "a"}])
    assert [p.cluster_id for p in read_problems(path, "math")] == ["a", None, None, "a"]


@pytest.mark.parametrize("wrong", [3, "", " ", ["a"]])
def test_a_family_is_a_text(tmp_path, wrong):
    with pytest.raises(UsageError, match="line 1: field 'cluster_id' must be a text that is not empty, or null"):
        read_problems(rows(tmp_path / "x.jsonl", [{"cluster_id": wrong}]), "math")


def test_the_families_of_a_suite_are_those_of_its_rows_or_of_its_stories(tmp_path):
    from dataclasses import replace

    suite = replace(load_suite("svamp"), file="x.jsonl", sha256=None, families=None)
    rows(tmp_path / "x.jsonl", [{}, {}])
    assert suite.clusters(tmp_path) == {}
    rows(tmp_path / "x.jsonl", [{"cluster_id": "a"}, {}, {"cluster_id": "a"}])
    assert suite.clusters(tmp_path) == {"p0": "a", "p1": "p1", "p2": "a"}
    stories = ["Ann has 3 apples. How many?", "Ann has 1,200 apples. How many are left?", "Bob has 3 apples. How many?"]
    rows(tmp_path / "x.jsonl", [{"problem": text} for text in stories])
    assert replace(suite, families="story").clusters(tmp_path) == {"p0": "p0", "p1": "p0", "p2": "p2"}
    assert load_suite("tb-id").clusters(None) == {}


def test_a_story_is_all_but_the_question():
    assert story_of("Ann has 3.5 apples. She eats 2! How many are left?") == "ann has 0 apples. she eats 0!"
    assert story_of("How many are 3 and 4?") == "how many are 0 and 0?"
