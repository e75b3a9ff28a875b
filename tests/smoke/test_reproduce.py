"""`harness leaderboard reproduce`: a small run is trained again in part and as a whole, and evaluated from its weights."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.runs.result import runs_below
from support.boards import sample_rows
from support.command import harness
from support.forgeries import refile

pytest.importorskip("torch")

HARNESS = Path(sys.executable).with_name("harness")
SETTINGS = ("train.max_rollouts=192", "testbed.problems=32", "eval.decoding={kind: sampled, k: 2}", "local.threads=1")


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """A board of one run of three seeds; (its root, the filed run, the run directory)."""
    root = tmp_path_factory.mktemp("reproduce")
    sets = [word for s in SETTINGS for word in ("--set", s)]
    run = ["run", "--method", "grpo", "--bench", "tb-long", "--seeds", "0,1,2", *sets, "--out", root / "run"]
    for args in (run, ["leaderboard", "add", root / "run", "--board", root / "boards"]):
        done = subprocess.run([HARNESS, *map(str, args)], capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stderr[-2000:]
    [manifest] = (root / "boards").glob("*/*/*/manifest.json")
    return root / "boards", manifest.parent, root / "run"


PARTS = {
    "a part of the training": (("--seeds", "1", "--share", "0.5"), "reproduced", "seed 1: first 96 rollouts trained again"),
    "a seed's weights": (
        ("--checkpoints", "RUN", "--seeds", "2"),
        "reproduced",
        "seed 2: evaluated again, all 320 samples the",
    ),
    "a seed": (("--seeds", "1"), "retrained", "seed 1: trained and evaluated again, all 320 samples the same"),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_comes_out_the_same_and_is_filed(board, tmp_path, capsys, part):
    root, filed, run = board
    args, level, words = PARTS[part]
    args = [run if a == "RUN" else a for a in args]
    code, said, err = harness(capsys, "leaderboard", "reproduce", filed, *args, "--out", tmp_path / "again", "--json")
    assert code == 0, err
    found = json.loads(said.splitlines()[-1])
    assert found["level"] == level and words in found["text"]
    assert harness(capsys, "leaderboard", "build", root)[0] == 0
    page = (filed.parent / "README.md").read_text()
    assert level in page and words in page
    assert harness(capsys, "leaderboard", "verify", root)[0] == 0
    assert runs_below(root) == [filed], "second runs are no arms of a comparison"


def test_what_came_out_otherwise_is_not_filed(board, tmp_path, capsys):
    """The filed samples are made up, all of them right; the seed trained again says so."""
    root, filed, _ = board
    shutil.copytree(root, tmp_path / "boards")
    copy = tmp_path / "boards" / filed.relative_to(root)
    shutil.rmtree(copy.parent / "reproductions", ignore_errors=True)
    assert harness(capsys, "leaderboard", "build", tmp_path / "boards")[0] == 0
    m = json.loads((copy / "manifest.json").read_text())
    rows = [{**r, "score": 1.0, "completion": f"ans {r['gold']}", "answer": r["gold"]} for r in sample_rows(copy)]
    forged = refile(copy, m, rows)
    code, _, err = harness(capsys, "leaderboard", "reproduce", forged, "--seeds", "0", "--out", tmp_path / "again")
    assert code == 1 and "does not reproduce" in err and "tb-long: seed 0 scores -" in err
    assert not any((copy.parent / "reproductions").glob("*")), "nothing is filed"


def test_a_part_that_there_is_not_is_refused(board, capsys):
    _, filed, _ = board
    for args, words in (
        (("--seeds", "7"), "has seeds 0, 1, 2"),
        (("--share", "0"), "above 0"),
        (("--share", "2"), "at most 1"),
    ):
        code, _, err = harness(capsys, "leaderboard", "reproduce", filed, *args)
        assert code == 2 and words in err
