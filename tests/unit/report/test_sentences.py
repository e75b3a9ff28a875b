"""A comparison in sentences, on runs whose truth is made by hand."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.cli.run import _instead
from harness.report.sentences import (
    EACH,
    claim_sentence,
    comparison_sentences,
    main_measure,
    markdown_lines,
    study_sentences,
    with_sentences,
)
from harness.runs.result import load_result
from harness.stats.comparison import compare
from harness.stats.contrasts import Bounds
from harness.stats.judge import Assessment
from harness.stats.questions import load_questions
from harness.stats.verdicts import VERDICTS
from support.runs import make_run


def run(tmp_path, name, shares, **more):
    """A run whose seeds solve these shares of 100 questions."""
    right = np.zeros((len(shares), 100, 4), bool)
    for s, share in enumerate(shares):
        right[s, : round(100 * share)] = True
    return make_run(tmp_path / name, name, right, **more)


def compare_runs(runs):
    """Without the threshold of the testbed's training set: seeds are of one kind here."""
    results = [load_result(r) for r in runs]
    return compare(results, questions=[load_questions(r) for r in results])


CLOSE = [0.30, 0.31, 0.29, 0.30, 0.32]


@pytest.mark.parametrize(
    ("shares", "says"),
    [
        ([0.50, 0.51, 0.49, 0.50, 0.52], "p2o is ahead of grpo"),
        ([0.10, 0.11, 0.09, 0.10, 0.12], "p2o is behind grpo"),
        ([0.25, 0.38, 0.27, 0.36, 0.30], "Whether p2o is ahead of grpo"),
    ],
)
def test_each_outcome_is_one_sentence_with_its_interval(tmp_path, shares, says):
    c = compare_runs([run(tmp_path, "p2o", shares), run(tmp_path, "grpo", CLOSE)])
    [sentence] = map(str, comparison_sentences(c))
    key = main_measure(c).key
    x = c.arms[0].contrasts[key]
    assert sentence.startswith(says) and "95%" in sentence
    low, high = sorted(abs(100 * b) for b in (x.fixed.low, x.fixed.high))
    if x.verdict in ("gain", "loss"):
        assert f"by {abs(100 * x.difference):.1f} points (95%: {low:.1f} to {high:.1f})" in sentence
    else:
        assert "seeds an arm would" in sentence


def test_equal_arms_are_said_to_be_equal_to_within_the_margin(tmp_path):
    shares = [0.300, 0.302, 0.298, 0.301, 0.299]
    right = np.zeros((5, 1000, 1), bool)
    for s, share in enumerate(shares):
        right[s, : round(1000 * share)] = True
    c = compare_runs([make_run(tmp_path / m, m, right) for m in ("p2o", "grpo")])
    [sentence] = map(str, comparison_sentences(c))
    assert c.arms[0].contrasts[main_measure(c).key].verdict == "equivalent" and "equal" in sentence and "within 1.0" in sentence


def test_one_arm_has_its_score_and_one_seed_has_no_interval(tmp_path):
    alone = run(tmp_path, "p2o", CLOSE)
    [sentence] = map(str, comparison_sentences(compare_runs([alone])))
    assert "p2o scores 30.4" in sentence and "5 seeds; 95%:" in sentence
    c = compare_runs([run(tmp_path, "gepa", [0.5]), run(tmp_path, "grpo", CLOSE)])
    assert "one seed: no interval" in comparison_sentences(c)[0].text


def test_the_object_has_the_numbers_of_the_text_and_survives_json(tmp_path):
    c = compare_runs([run(tmp_path, "p2o", [0.50, 0.51, 0.49, 0.50, 0.52]), run(tmp_path, "grpo", CLOSE)])
    tree = json.loads(json.dumps(with_sentences(c.to_dict(), comparison_sentences(c))))
    assert list(tree)[0] == "sentences"
    [said] = tree["sentences"]
    assert (said["about"], said["arms"], said["baseline"], said["verdict"]) == ("difference", ["p2o"], "grpo", "ahead")
    assert said["points"] == pytest.approx(20.0) and said["low"] < 20 < said["high"] and said["confidence"] == 0.95
    assert said["seeds_to_decide"] is None and said["tokens"] == 1.0 and said["measure"] == "macro:ood"
    assert markdown_lines(comparison_sentences(c)) == f"- {said['text']}\n"


def test_many_arms_share_a_sentence_with_those_that_stand_alike(tmp_path):
    shares = {"a": 0.6, "b": 0.7, "c": 0.1, "same": 0.304, "d": 0.9}
    assert len(shares) > EACH
    runs = [run(tmp_path, name, [x, x + 0.01, x - 0.01, x, x + 0.02]) for name, x in shares.items()]
    c = compare_runs([*runs, run(tmp_path, "grpo", CLOSE)])
    found = comparison_sentences(c)
    assert [(s.verdict, s.arms) for s in found] == [
        ("ahead", ("d", "b", "a")),
        ("behind", ("c",)),
        ("undecided", ("same",)),
    ]
    assert found[0].text.startswith("Out of distribution, 3 of 5 are ahead of grpo: d (by 60.0; ")
    assert found[1].text.startswith("Out of distribution, 1 of 5 is behind grpo: c (by 20.0; ")


@pytest.mark.parametrize(
    ("shares", "baseline"), [([0.0, 0.9], [0.1, 1.0]), ([0.02, 1.0], [0.0, 0.98]), ([0.5, 0.9], [0.1, 0.6])]
)
def test_two_seeds_far_apart_say_nothing_that_cannot_be(tmp_path, shares, baseline):
    """Two seeds an arm have one degree of freedom or two: the interval of t alone is several hundred points wide."""
    c = compare_runs([run(tmp_path, "p2o", shares), run(tmp_path, "grpo", baseline)])
    c = compare([load_result(Path(a.run)) for a in c.arms], solved_at=None)
    x = c.arms[0].contrasts["macro:ood"]
    assert -1 <= x.fixed.low < x.difference < x.fixed.high <= 1
    [said] = comparison_sentences(c)
    assert said.verdict == "undecided" and -100 <= said.low <= said.high <= 100
    assert max(abs(float(n)) for n in re.findall(r"[-+]\d+\.\d", said.text)) <= 100


def test_an_average_that_no_answer_was_found_for_is_no_ordinary_zero(tmp_path):
    right = np.zeros((2, 100, 4), bool)
    silent, wrong = (
        comparison_sentences(compare_runs([make_run(tmp_path / n, n, right, **more)]))[0].text
        for n, more in {"silent": {"unparsed": 1.0}, "wrong": {}}.items()
    )
    assert "scores 0.0 out of distribution" in silent and "no answer was found in any sample" in silent
    assert "answer" not in wrong
    many = make_run(tmp_path / "m", "m", right, unparsed=0.5, truncated=0.25, grader_faults=3)
    [said] = comparison_sentences(compare_runs([many]))
    assert "50.0% of samples no answer" in said.text and "25.0% of samples were cut" in said.text and "failed on 3" in said.text
    c = compare_runs([many, run(tmp_path, "grpo", CLOSE)])
    assert " m: in 50.0% of samples no answer was found; 25.0% of samples were cut" in comparison_sentences(c)[0].text
    untrained = replace(c, arms=[replace(a, ratio=a.ratio | {"sampled_tokens": 0.0}) for a in c.arms])
    assert ", with no tokens sampled. m: in 50.0%" in comparison_sentences(untrained)[0].text
    results = [load_result(r) for r in (run(tmp_path, "other", CLOSE), run(tmp_path, "third", CLOSE), many)]
    faulty = compare(results, 2, questions=[load_questions(r) for r in results])  # of the baseline it is said once
    assert [s.text.count("of samples no answer was found") for s in comparison_sentences(faulty, faulty.measures[:1])] == [1, 0]


def test_a_study_names_the_condition_of_every_sentence(tmp_path):
    c = compare_runs([run(tmp_path, "p2o", CLOSE), run(tmp_path, "grpo", CLOSE)])
    found = study_sentences({"rare": c, "common": c})
    assert [s.condition for s in found] == ["rare", "common"] and found[0].text.startswith("rare: ")
    assert study_sentences({"": c})[0].text == comparison_sentences(c)[0].text


CLAIM = Assessment(
    claim="theirs",
    text="",
    effect=5.0,
    claimed="+5.0",
    verdict="reproduced",
    runs={"arm": "runs/a", "baseline": "runs/b"},
    seeds={"arm": 8, "baseline": 8},
    difference=6.0,
    fixed=Bounds(4.0, 8.0, 1.0, 14),
    spent={"sampled_tokens": (200.0, 100.0)},
    level=0.05,
)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_verdict_on_a_claim_has_its_words(verdict):
    if verdict == "not assessable":
        a = replace(CLAIM, verdict=verdict, difference=None, fixed=None, spent={}, reasons=("no run matches its arm",))
        text = claim_sentence(a).text
        assert text.startswith("theirs could not be assessed: no run matches its arm.") and "harness claim show theirs" in text
        return
    said = claim_sentence(replace(CLAIM, verdict=verdict, needs=("12 seeds",)))
    assert "claimed +5.0, measured +6.0 points (95%: +4.0 to +8.0) from 8 seeds an arm, at 2.00 times" in said.text
    assert (said.verdict, said.points, said.low, said.high, said.tokens) == (verdict, 6.0, 4.0, 8.0, 2.0)
    assert ("It would take 12 seeds." in said.text) == (verdict == "undecided")


def test_the_command_for_the_baseline_is_the_same_but_for_method_and_folder(tmp_path):
    words = ["--method", "p2o", "--bench=id", "--set", "train.lr=1", "--out", "a", "--resume"]
    assert _instead(words, "grpo", tmp_path) == [
        *["--method", "grpo", "--bench=id", "--set", "train.lr=1", "--out", str(tmp_path)]
    ]
    assert _instead(["--out=a", "--method=p2o"], "grpo", tmp_path) == ["--method", "grpo", "--out", str(tmp_path)]
