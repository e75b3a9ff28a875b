"""Scores question by question come out of the samples, and only where those are the run's own."""

import json

import numpy as np
import pytest
from msgspec.structs import replace

from harness.core.errors import HarnessError
from harness.runs.result import load_result
from harness.stats.questions import load_questions
from support.results import result
from support.runs import make_run


def test_means_over_samples(tmp_path):
    right = np.random.default_rng(0).random((2, 5, 4)) < 0.5
    parity = right.copy()
    parity[0, 0, 0] ^= True
    run = make_run(tmp_path / "r", "grpo", right, parity)
    q = load_questions(load_result(run))["tb-long"]
    assert q.ids == tuple(f"p{i:03d}" for i in range(5)) and (q.seeds, q.k) == ((0, 1), 4)
    assert (q.scores_S_Q == right.mean(-1)).all() and (q.parity_S_Q == parity.mean(-1)).all()
    fewer = q.without({"p001"})
    assert fewer.ids == ("p000", "p002", "p003", "p004") and (fewer.scores_S_Q == right.mean(-1)[:, [0, 2, 3, 4]]).all()
    alone = make_run(tmp_path / "s", "grpo", right)
    assert load_questions(load_result(alone))["tb-long"].parity_S_Q is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows[:-1], "does not hold 4 samples"),
        (lambda rows: [*rows[:-1], rows[0]], "does not hold 4 samples"),
        (lambda rows: [*rows, {**rows[0], "seed": 9}], "other seeds"),
        (lambda rows: [{**rows[0], "score": 1 - rows[0]["score"]}, *rows[1:]], "result.json says"),
        (lambda rows: [{**rows[0], "score": "1"}, *rows[1:]], "cannot be read"),
        (lambda rows: None, "missing"),
        (
            lambda rows: [*rows[:3], {**rows[3], "index": -1}, *rows[4:]],
            "other seeds, or more than 4",
        ),  # it counted as the last
        (lambda rows: [{**rows[0], "index": 1 << 63}, *rows[1:]], "other seeds, or more than 4"),
        (lambda rows: [{**rows[0], "seed": 1 << 63}, *rows[1:]], "other seeds"),
    ],
)
def test_what_is_not_the_runs_own_is_refused(tmp_path, change, words):
    run = make_run(tmp_path / "r", "grpo", np.random.default_rng(0).random((2, 5, 4)) < 0.5)
    path = run / "samples" / "tb-long.jsonl"
    rows = change([json.loads(line) for line in path.read_text().splitlines()])
    path.unlink()
    if rows is not None:
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    with pytest.raises(HarnessError, match=words):
        load_questions(load_result(run))


def test_a_score_that_is_no_number_is_not_the_samples_own(tmp_path):
    run = make_run(tmp_path / "r", "grpo", np.random.default_rng(0).random((2, 5, 4)) < 0.5)
    result = load_result(run)
    result.suites["tb-long"].per_seed[1] = float("nan")
    with pytest.raises(HarnessError, match="result.json says nan"):
        load_questions(result)


def test_a_run_without_samples_has_none(tmp_path):
    assert load_questions(replace(result(), run=str(tmp_path))) == {}
