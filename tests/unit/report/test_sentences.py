"""A comparison in sentences, on runs whose truth is made by hand."""

import numpy as np
import pytest

from harness.cli.run import _instead
from harness.report.sentences import main_measure, sentences
from harness.runs.result import load_result
from harness.stats.comparison import compare
from harness.stats.questions import load_questions
from support.runs import make_run


def run(tmp_path, name, shares, seed=0):
    """A run whose seeds solve these shares of 100 questions."""
    right = np.zeros((len(shares), 100, 4), bool)
    for s, share in enumerate(shares):
        right[s, : round(100 * share)] = True
    return make_run(tmp_path / name, name, right)


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
    [sentence] = sentences(c)
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
    [sentence] = sentences(c)
    assert c.arms[0].contrasts[main_measure(c).key].verdict == "equivalent" and "equal" in sentence and "within 1.0" in sentence


def test_one_arm_has_its_score_and_one_seed_has_no_interval(tmp_path):
    alone = run(tmp_path, "p2o", CLOSE)
    [sentence] = sentences(compare_runs([alone]))
    assert "p2o scores 30.4" in sentence and "5 seeds; 95%:" in sentence
    c = compare_runs([run(tmp_path, "gepa", [0.5]), run(tmp_path, "grpo", CLOSE)])
    assert "one seed: no interval" in sentences(c)[0]


def test_the_command_for_the_baseline_is_the_same_but_for_method_and_folder(tmp_path):
    words = ["--method", "p2o", "--bench=id", "--set", "train.lr=1", "--out", "a", "--resume"]
    assert _instead(words, "grpo", tmp_path) == [
        *["--method", "grpo", "--bench=id", "--set", "train.lr=1", "--out", str(tmp_path)]
    ]
    assert _instead(["--out=a", "--method=p2o"], "grpo", tmp_path) == ["--method", "grpo", "--out", str(tmp_path)]
