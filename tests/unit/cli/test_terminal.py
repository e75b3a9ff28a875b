"""Nothing that a file, a server or a user wrote steers the terminal it is printed on."""

import json
import random
import shutil
import unicodedata

import pytest
import yaml

from harness.leaderboard import build, submit
from harness.runs.files import write_json
from support.boards import make_run, sample_rows
from support.command import harness
from support.fuzzing import TRIES
from support.hostile import CLAIM, STUDY, places, put, resealed
from support.states import finished

EVIL = "\x1b]0;owned\x07\x1b[2J\u202e\u200b\x9b31m\r"
STAMPED = f"a {EVIL} reason"


def steering(text):
    """The characters that could steer a terminal or hide in it."""
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in "\n\t"]


def planted(tree):
    """(where, the tree with an evil text there), for every text in it and every name; the last one has them everywhere."""
    at = [p for p in places(tree) if p and isinstance(_at(tree, p), str)]
    out = [(p, put(tree, p, f"{_at(tree, p)}{EVIL}")) for p in at]
    out += [(p, _renamed(tree, p)) for p in places(tree) if p and isinstance(p[-1], str)]
    everywhere = tree
    for p in at:
        everywhere = put(everywhere, p, f"{_at(tree, p)}{EVIL}")
    return [*out, ("everywhere", everywhere)]


def _at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def _renamed(tree, path):
    inner = dict(_at(tree, path[:-1]))
    inner[f"{path[-1]}{EVIL}"] = inner.pop(path[-1])
    return put(tree, path[:-1], inner)


VERBS = (
    ("compare", "RUN"),
    ("compare", "RUN", "GOOD"),
    ("report", "RUN"),
    ("regrade", "RUN"),
    ("export", "hf-eval-results", "RUN"),
    ("export", "model-card", "RUN"),
    ("power", "--effect", "2", "--pilot", "RUN"),
    ("claim", "check", "testbed-latent", "--runs", "RUN"),
    ("leaderboard", "add", "RUN", "--board", "boards"),
    ("run", "--method", "grpo", "--dry-run", "--match-budget", "RUN"),
    ("eval", "RUN", "--bench", "tb-long", "--dry-run", "--offline"),
    ("run", "--method", "grpo", "--resume", "--out", "RUN"),
    ("list", "runs"),
)


def answers(capsys, words):
    code, out, err = harness(capsys, *words)
    assert not steering(out + err), (words, out, err)
    assert code in (0, 1, 2, 3) and "Traceback" not in err, (words, err)
    return code, out, err


def some(cases, seed, most):
    """All of them on a night of fuzzing."""
    return cases if TRIES else [*random.Random(seed).sample(cases[:-1], min(most, len(cases) - 1)), cases[-1]]


@pytest.mark.parametrize("name", ["spec.json", "result.json", "env.json", "samples/tb-long.jsonl", "metrics.jsonl"])
def test_a_run_that_says_evil_things(capsys, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    finished(tmp_path / "good")
    finished(tmp_path / "runs" / "x")
    path = tmp_path / "runs" / "x" / name
    lines = path.read_text().splitlines()
    first, rest = (json.loads(lines[0]), lines[1:]) if name.endswith("l") else (json.loads(path.read_text()), [])
    for _, tree in some(planted(first), name, 1):
        for words in VERBS:
            path.write_text("\n".join([json.dumps(tree), *rest]) + "\n")
            answers(capsys, [{"RUN": "runs/x", "GOOD": "good"}.get(w, w) for w in words])
            shutil.rmtree(tmp_path / "boards", ignore_errors=True)


def test_a_stamp_is_printed_without_its_steering(capsys, tmp_path):
    run = make_run(tmp_path / "x", stamp=STAMPED)
    for words in (("export", "model-card", run), ("leaderboard", "add", run, "--board", tmp_path / "b"), ("compare", run)):
        _, out, err = answers(capsys, words)
        assert "reason" in out + err and "<U+001B>" in out + err


@pytest.mark.parametrize("name", ["manifest.json", "metrics.json", "samples"])
def test_a_board_that_says_evil_things(capsys, tmp_path, name):
    folder, _ = submit.add(make_run(tmp_path / "run"), tmp_path / "b")
    build.build(tmp_path / "b")
    shutil.copytree(tmp_path / "b", tmp_path / "whole")
    tree = sample_rows(folder)[:1] if name == "samples" else json.loads((folder / name).read_text())
    for _, changed in some(planted(tree), name, 1):
        shutil.rmtree(tmp_path / "b")
        shutil.copytree(tmp_path / "whole", tmp_path / "b")
        if name != "samples":
            write_json(folder / name, changed)
        at = resealed(folder, [*changed, *sample_rows(folder)[1:]] if name == "samples" else None)
        for words in (("verify", tmp_path / "b"), ("build", tmp_path / "b")):
            answers(capsys, ("leaderboard", *words))
        answers(capsys, ("compare", at))
        answers(capsys, ("report", tmp_path / "b", "--out", tmp_path / "page.html"))


def test_claims_and_studies_that_say_evil_things(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "claims").mkdir()
    for _, tree in some(planted(CLAIM), "claims", 3):
        (tmp_path / "claims" / "mine.yaml").write_text(yaml.safe_dump(tree))
        answers(capsys, ("claim", "list", "--claims", "claims"))
        answers(capsys, ("claim", "check", "--claims", "claims"))
    for _, tree in some(planted(STUDY), "study", 1):
        (tmp_path / "s.yaml").write_text(yaml.safe_dump(tree))
        answers(capsys, ("study", "plan", "s.yaml"))


@pytest.mark.parametrize(
    "words",
    [
        ("compare", f"x{EVIL}"),
        ("run", "--method", f"x{EVIL}"),
        ("run", "--method", "grpo", "--set", f"train.lr={EVIL}"),
        ("run", "--method", "grpo", "--set", f"{EVIL}=1"),
        ("eval", f"x{EVIL}", "--offline", "--dry-run"),
        ("list", f"x{EVIL}"),
        (f"x{EVIL}",),
        ("schema", f"x{EVIL}"),
        ("fetch", f"x{EVIL}", "--data-dir", "."),
        ("power", "--effect", "2", "--scores", f"x{EVIL}=3", "--seed-sd", "1"),
        ("study", "plan", f"x{EVIL}"),
        ("check", "golds", "--bench", f"x{EVIL}"),
    ],
)
def test_words_of_the_command_line_come_back_harmless(capsys, words):
    code, _, _ = answers(capsys, words)
    assert code in (2, 3)
