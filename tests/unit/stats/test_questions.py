"""Scores question by question come out of the samples, and only where those are the run's own."""

import json
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from harness.core.errors import HarnessError
from harness.leaderboard import submit
from harness.runs import formats
from harness.runs.result import load_result
from harness.stats.questions import load_questions, read_questions
from support import boards
from support.results import result, sample, suite_scores
from support.runs import make_run, write_run


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


SUITE = suite_scores({4: 0.5, 2: 0.25}, n=2, k=2)
ROWS = [  # seed 4: "a" 2 of 2, "b" 0 of 2; seed 2: "a" 0 of 2, "b" 1 of 2
    sample(problem=p, index=i, seed=s, score=score, parity=parity)
    for s, p, i, score, parity in (
        (2, "b", 1, 1.0, 0.5),
        (4, "a", 0, 1.0, 0.0),
        (2, "a", 0, 0.0, 0.0),
        (4, "b", 1, 0.0, 1.0),
        (4, "a", 1, 1.0, 0.0),
        (2, "a", 1, 0.0, 0.0),
        (2, "b", 0, 0.0, 1.0),
        (4, "b", 0, 0.0, 0.0),
    )
]


def read(rows, suite=SUITE, seeds=(4, 2)):
    return read_questions("".join(map(formats.json_line, rows)).encode(), Path("some file"), suite, seeds)


def test_rows_in_any_order_go_where_they_belong():
    found = read(ROWS)
    assert (found.ids, found.seeds, found.k) == (("a", "b"), (4, 2), 2)
    assert found.scores_S_Q.tolist() == [[1.0, 0.0], [0.0, 0.5]]
    assert found.parity_S_Q.tolist() == [[0.0, 0.5], [0.0, 0.75]]
    greedy = sample(problem="c", seed=9, greedy=True)
    assert read([greedy, *ROWS]).scores_S_Q.tolist() == found.scores_S_Q.tolist(), "a greedy pass is none of them"
    half = [replace(row, parity=None) if i == 3 else row for i, row in enumerate(ROWS)]
    assert read(half).parity_S_Q is None
    less = found.without({"a"})
    assert (less.ids, less.seeds, less.k) == (("b",), (4, 2), 2)
    assert (less.scores_S_Q.tolist(), less.parity_S_Q.tolist()) == ([[0.0], [0.5]], [[0.5], [0.75]])
    assert read(half).without(set()).parity_S_Q is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"problem": "c"}, "some file does not hold 2 samples of each of 2 problems for every seed"),
        ({"index": 0}, "some file does not hold 2 samples of each of 2 problems for every seed"),
        ({"index": 2}, "some file holds samples of other seeds, or more than 2 a problem"),
        ({"index": -1}, "some file holds samples of other seeds, or more than 2 a problem"),
        ({"seed": 3}, "some file holds samples of other seeds, or more than 2 a problem"),
        ({"score": 0.0}, "some file gives 0.000000 for seed 2, result.json says 0.250000"),
    ],
)
def test_a_row_that_belongs_nowhere_is_refused_in_words(change, words):
    with pytest.raises(HarnessError) as e:
        read([replace(ROWS[0], **change), *ROWS[1:]])
    assert str(e.value) == words


GREEDY = [
    sample(problem=p, seed=s, greedy=True, score=score, parity=parity)
    for s, p, score, parity in ((2, "b", 1.0, 0.5), (4, "a", 1.0, 0.0), (2, "a", 0.0, 1.0), (4, "b", 1.0, 1.0))
]


def test_a_greedy_pass_is_read_beside_the_samples():
    suite = replace(SUITE, greedy=0.75)
    found = read([*GREEDY, *ROWS], suite)
    assert found.scores_S_Q.tolist() == read(ROWS).scores_S_Q.tolist() and found.k == 2
    assert (found.greedy.ids, found.greedy.seeds, found.greedy.k) == (("a", "b"), (4, 2), 1)
    assert found.greedy.scores_S_Q.tolist() == [[1.0, 1.0], [0.0, 1.0]]
    assert found.greedy.parity_S_Q.tolist() == [[0.0, 1.0], [1.0, 0.5]]
    assert found.without({"a"}).greedy.scores_S_Q.tolist() == [[1.0], [1.0]] and read(ROWS).without({"a"}).greedy is None


@pytest.mark.parametrize(
    ("rows", "mean", "words"),
    [
        (GREEDY[1:], 0.75, "some file does not hold 1 greedy samples of each of 2 problems for every seed"),
        (
            [*GREEDY[1:], replace(GREEDY[0], index=1)],
            0.75,
            "some file holds greedy samples of other seeds, or more than 1 a problem",
        ),
        ([replace(r, problem=r.problem + "x") for r in GREEDY], 0.75, "some file has a greedy pass over other problems"),
        (GREEDY, 0.5, "some file gives 0.750000 for the greedy pass, result.json says 0.500000"),
    ],
)
def test_a_greedy_pass_that_is_not_the_result_s_is_refused(rows, mean, words):
    with pytest.raises(HarnessError) as e:
        read([*rows, *ROWS], replace(SUITE, greedy=mean))
    assert str(e.value) == words


def test_means_agree_to_the_last_digits_only():
    for off, fine in ((0.0, True), (9e-10, True), (1.1e-9, False), (-9e-10, True), (-1.1e-9, False), (float("nan"), False)):
        suite = suite_scores({4: 0.5 + off, 2: 0.25}, n=2, k=2)
        if fine:
            assert read(ROWS, suite)
        else:
            with pytest.raises(HarnessError, match="gives 0.500000 for seed 4"):
                read(ROWS, suite)
    with pytest.raises(HarnessError, match="does not hold 2 samples of each of 3 problems"):
        read(ROWS, suite_scores({4: 0.5, 2: 0.25}, n=3, k=2))


def test_every_suite_of_a_run_is_read(tmp_path):
    rows = [replace(row, suite=name) for name in ("s", "t") for row in ROWS]
    found = replace(result(scores={4: 0.5, 2: 0.25}), suites={"s": SUITE, "t": SUITE})
    run = load_result(write_run(tmp_path / "r", found, rows))
    questions = load_questions(run)
    assert list(questions) == ["s", "t"] and all(q.scores_S_Q.tolist() == [[1.0, 0.0], [0.0, 0.5]] for q in questions.values())
    (tmp_path / "r" / "samples" / "t.jsonl").unlink()
    with pytest.raises(HarnessError, match="t.jsonl is missing: the run's samples are not all there$"):
        load_questions(run)


def test_a_filed_run_has_the_questions_of_the_run(tmp_path):
    run = boards.make_run(tmp_path / "r")
    folder, _ = submit.add(run, tmp_path / "boards")
    one, two = (load_questions(load_result(path))["tb-long"] for path in (run, folder))
    assert (one.ids, one.seeds, one.k) == (two.ids, two.seeds, two.k) and one.scores_S_Q.tolist() == two.scores_S_Q.tolist()
    path = folder / "samples" / "tb-long.jsonl.zst"
    other = load_result(folder)
    other.suites["tb-long"].per_seed[one.seeds[0]] = 2.0
    with pytest.raises(HarnessError, match=f"^{path} gives .* for seed {one.seeds[0]}, result.json says 2.000000$"):
        load_questions(other)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(HarnessError, match="tb-long.jsonl.zst"):
        load_questions(load_result(folder))


def test_numbers_that_no_array_can_hold_are_a_sentence(tmp_path):
    found = replace(result(scores={4: 0.5, 2: 0.25}), suites={"s": replace(SUITE, k=1 << 62)})
    run = load_result(write_run(tmp_path / "r", found, [replace(row, suite="s") for row in ROWS]))
    with pytest.raises(HarnessError, match=f"does not hold {1 << 62} samples of each of 2 problems for every seed"):
        load_questions(run)


def test_an_error_names_the_file(tmp_path):
    found = replace(result(scores={4: 0.5, 2: 0.25}), suites={"s": SUITE})
    run = write_run(tmp_path / "r", found, [replace(row, suite="s") for row in ROWS])
    path = run / "samples" / "s.jsonl"
    path.write_text("{}\n")
    with pytest.raises(HarnessError, match=f"^{path} cannot be read"):
        load_questions(load_result(run))
    path.write_text("".join(formats.json_line(replace(row, suite="s")) for row in ROWS[1:]))
    with pytest.raises(HarnessError, match=f"^{path} does not hold 2 samples"):
        load_questions(load_result(run))
