"""Regrading stored samples, and the self-test of the golds."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from harness.data import suites
from harness.evaluation.scores import macro_averages, score_suite
from harness.runs.result import join
from support import results
from support.command import harness
from support.runs import write_run


def sample(seed, problem, index, answer, score):
    return results.sample(
        suite="aime24",
        problem=problem,
        index=index,
        completion=f"\\boxed{{{answer}}}",
        gold="7",
        score=score,
        parity=score,
        seed=seed,
    )


@pytest.fixture
def run(tmp_path):
    rows = [sample(s, p, j, 7 if j else 700, float(j)) for s in (0, 1) for p in "ab" for j in (0, 1)]
    rows[1].score = 0.0  # not what the grader says
    old = score_suite(rows, 2, [0, 1])
    facts = results.suite_scores({0: 0.25, 1: 0.5}, n=2, k=2).facts
    found = replace(
        results.result(scores={0: 0.25, 1: 0.5}),
        suites={"aime24": join(facts, old)},
        macro=macro_averages([("ood", old)], [0, 1]),
    )
    return write_run(tmp_path / "run", found, rows)


def test_regrade_sets_old_and_new_side_by_side(run, capsys, monkeypatch):
    before = (run / "samples" / "aime24.jsonl").read_bytes()
    code, out, _ = harness(capsys, "regrade", run, "--json")
    found = json.loads(out.splitlines()[-1])
    suite = found["suites"]["aime24"]
    # one score was stored wrong; parity takes the four answers 700 for 7
    assert code == 0 and (suite["samples"], suite["changed"]) == (8, 5)
    assert (suite["old"]["avg"], suite["new"]["avg"]) == (0.375, 0.5)
    assert suite["new"]["pass_at"] == {"1": 0.5, "2": 1.0}
    assert (suite["new"]["parity_avg"], suite["new"]["disagreement"]) == (1.0, 0.5)
    assert found["macro"] == {"id": {"old": None, "new": None}, "ood": {"old": 0.375, "new": 0.5}}
    assert json.loads((run / "regrade.json").read_text())["suites"] == found["suites"]
    assert (run / "samples" / "aime24.jsonl").read_bytes() == before
    said = "5 of 8 samples are graded otherwise now; the OOD macro average was 37.5 and is 50.0."
    assert [s["text"] for s in found["sentences"]] == [said]
    for columns in (60, 80):
        monkeypatch.setenv("COLUMNS", str(columns))
        code, out, _ = harness(capsys, "regrade", run)
        assert code == 0 and " ".join(out.split()).startswith(said)
        rows = [line.split() for line in out.splitlines()]
        assert ["score", "37.5", "50.0"] in rows and ["graded", "otherwise", "5"] in rows, "no row is taken apart"


def test_missing_samples_are_refused(run, capsys):
    (run / "samples" / "aime24.jsonl").unlink()
    code, _, err = harness(capsys, "regrade", run)
    assert code == 1 and "holds 0 samples of suite 'aime24'" in err and not (run / "regrade.json").exists()


def test_check_golds(tmp_path, capsys, monkeypatch):
    code, out, _ = harness(capsys, "check", "golds", "--json")
    found = json.loads(out)
    assert code == 0 and found["suites"]["tb-id"] == {"n": 200, "accepted": 200, "rejected": [], "words": 0, "doubtful": []}
    assert "aime24" in found["left_out"]

    from dataclasses import replace
    from hashlib import sha256

    (tmp_path / "eval").mkdir()
    text = "".join(json.dumps({"id": i, "problem": "?", "answer": a}) + "\n" for i, a in (("p", "7"), ("q", "\\text{ }")))
    (tmp_path / "eval" / "aime24.jsonl").write_text(text)
    card = replace(suites.load_suite("aime24"), size=2, sha256=sha256(text.encode()).hexdigest())
    monkeypatch.setitem(suites._suites(), "aime24", card)
    args = ("check", "golds", "--bench", "aime24", "--data-dir", tmp_path)
    code, out, err = harness(capsys, *args)
    assert code == 1 and "q: malformed, nothing but layout" in out and "1 are raw rows or unbalanced" in err
    monkeypatch.setitem(suites._suites(), "aime24", replace(card, rejected_golds={"q": "blank"}))
    code, out, _ = harness(capsys, *args)
    assert code == 0 and "q: malformed, nothing but layout; the card: blank" in out
