"""Every verb that reads a folder, over every state of that folder: a table or one sentence, never a traceback."""

import json
import random
import shutil

import pytest

from support.command import harness
from support.fuzzing import TRIES
from support.hostile import places, put
from support.states import COMMAND, HARMS, STATES, finished, without

STUDY = """
title: t
recipe: testbed
bench: tb-long
seeds: [0, 1]
settings: {train.epochs: 0, testbed.problems: 16}
arms:
  grpo: {method: grpo}
  late: {method: grpo-t1, match: grpo}
"""

VERBS = {
    "compare": ("compare", "AT"),
    "compare two": ("compare", "GOOD", "AT"),
    "compare page": ("compare", "AT", "--out", "out/page.html"),
    "regrade": ("regrade", "AT"),
    "report": ("report", "AT"),
    "report two": ("report", "GOOD", "AT", "--out", "out/page.html"),
    "export": ("export", "hf-eval-results", "AT"),
    "export card": ("export", "model-card", "AT"),
    "power": ("power", "--effect", "2", "--pilot", "AT"),
    "claim check": ("claim", "check", "testbed-latent", "--runs", "AT"),
    "leaderboard add": ("leaderboard", "add", "AT", "--board", "out/boards"),
    "leaderboard add to": ("leaderboard", "add", "GOOD", "--board", "AT"),
    "leaderboard build": ("leaderboard", "build", "AT"),
    "leaderboard verify": ("leaderboard", "verify", "AT"),
    "eval": ("eval", "AT", "--bench", "tb-long", "--dry-run", "--offline"),
    "run resume": (*COMMAND, "--set", "train.lr=0.5", "--resume", "--out", "AT"),
    "run new": (*COMMAND, "--set", "train.batch=0", "--out", "AT"),
    "run match": ("run", "--method", "grpo", "--bench", "tb-long", "--dry-run", "--match-budget", "AT"),
    "list runs": ("list", "runs"),
    "list runs json": ("list", "runs", "--json"),
    "study": ("study", "run", "study.yaml", "--only", "late", "--out", "AT"),
    "study cells": ("study", "run", "study.yaml", "--only", "late", "--out", "STUDY"),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Every state once; a case gets copies."""
    root = tmp_path_factory.mktemp("states")
    for name, make in STATES.items():
        make(root / name.replace("/", "-"))
    finished(root / "good")
    return root


def copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.exists():
        shutil.copy(source, target)


def answer(capsys, verb):
    """Runs the verb in the present folder; what is at runs/x is its state."""
    words = {"AT": "runs/x", "GOOD": "good", "STUDY": "whole"}
    code, out, err = harness(capsys, *(words.get(w, w) for w in VERBS[verb]))
    assert code in (0, 1, 2, 3)
    if code:
        assert err.startswith("error: ") and err.count("\n") == 1 and len(err) < 700, err
    else:
        assert out.strip()
    return code, out, err


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("verb", VERBS)
def test_a_folder_in_any_state_gets_an_answer(capsys, tmp_path, monkeypatch, folders, verb, state):
    monkeypatch.chdir(tmp_path)
    source = folders / state.replace("/", "-")
    copy(source, tmp_path / "runs" / "x")
    if "GOOD" in VERBS[verb]:
        copy(folders / "good", tmp_path / "good")
    if verb.startswith("study"):
        (tmp_path / "study.yaml").write_text(STUDY)
        for cell in ("grpo", "late"):
            copy(source, tmp_path / "whole" / "cells" / cell)
        (tmp_path / "whole" / "study.json").write_text("{}")
    code, out, _ = answer(capsys, verb)
    if state == "finished" and verb in ("compare", "regrade", "report", "power", "leaderboard add", "run match", "list runs"):
        assert code == 0
    if state == "absent" and verb not in ("leaderboard add to", "run resume", "run new", "study", "study cells"):
        assert code == (0 if verb.startswith("list") else 3)


READERS = ("compare", "regrade", "report", "export", "power", "leaderboard add", "run match", "eval")


@pytest.mark.parametrize("name", ["spec.json", "result.json"])
@pytest.mark.parametrize("verb", READERS)
def test_any_field_gone_or_of_another_type_gets_an_answer(capsys, tmp_path, monkeypatch, verb, name):
    """Of another version: some of all fields here, every one with HARNESS_FUZZ."""
    monkeypatch.chdir(tmp_path)
    finished(tmp_path / "runs" / "x")
    path = tmp_path / "runs" / "x" / name
    tree = json.loads(path.read_text())
    cases = [change for at in places(tree) if at for change in (lambda at=at: without(tree, at), *_others(tree, at))]
    for change in cases if TRIES else random.Random(f"{verb} {name}").sample(cases, 8):
        path.write_text(json.dumps(change()))
        answer(capsys, verb)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)


def _others(tree, at):
    return [lambda value=value: put(tree, at, value) for value in ("x", None, [], {}, -1, 1e300)]


@pytest.mark.parametrize("how", HARMS)
@pytest.mark.parametrize(
    "name", ["manifest.json", "metrics.json", "samples/tb-long.jsonl.zst", "../index.json", "../README.md"]
)
def test_a_damaged_board_gets_an_answer(capsys, tmp_path, monkeypatch, board, name, how):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(board, tmp_path / "runs" / "x")
    [filed] = (tmp_path / "runs" / "x").glob("*/*/*/")
    HARMS[how](filed / name)
    for verb in ("leaderboard verify", "leaderboard build", "report", "compare", "claim check"):
        code, _, err = answer(capsys, verb)
        if verb == "leaderboard verify":
            assert code in (1, 3), "what is damaged is not verified"


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """A board with one filed run, built."""
    from harness.leaderboard import build, submit

    root = tmp_path_factory.mktemp("board")
    finished(root / "run")
    submit.add(root / "run", root / "boards")
    build.build(root / "boards")
    return root / "boards"
