"""Seeds trained apart: a study whose seeds are jobs of their own, handed to a queue that kills one of them, against one run."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from support.command import harness
from support.held import holding, wait_until_held
from support.smoke import comparable

SETTINGS = {
    "testbed.problems": 48,
    "eval.limit": 8,
    "train": {"epochs": 2, "prompts_per_batch": 16, "checkpoint_steps": 1},
    "p2o": {"min_hard": 6, "evolve": {"metric_calls": 60, "dev_size": 8}},
}
SETS = ["testbed.problems=48", "eval.limit=8", "train.epochs=2", "train.prompts_per_batch=16", "train.checkpoint_steps=1"]
SETS += ["p2o.min_hard=6", "p2o.evolve.metric_calls=60", "p2o.evolve.dev_size=8"]


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Slurm's commands: sbatch leaves the script in a folder, squeue lists what lies there."""
    waiting, folder = tmp_path / "waiting", tmp_path / "bin"
    waiting.mkdir()
    folder.mkdir()
    listed = (
        f'for f in {waiting}/*; do [ -e "$f" ] && echo "1|PENDING|None|$(sed -n "s/^#SBATCH --job-name=//p" "$f")"; done; true'
    )
    for name, text in {"sbatch": f'cp "$2" {waiting} && echo 1', "squeue": listed}.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return waiting


def test_seeds_apart_are_the_run_of_all_of_them(capsys, tmp_path, slurm):
    file, out, whole = tmp_path / "study.yaml", tmp_path / "out", tmp_path / "whole"
    tree = {"title": "Tiny", "recipe": "testbed", "bench": "tb-id,tb-long", "seeds": [0, 1], "settings": SETTINGS}
    file.write_text(yaml.safe_dump({**tree, "arms": {"p2o": {"method": "p2o"}}}))
    again = ["study", "run", file, "--out", out, "--launcher", "slurm", "--per", "seed", "--json"]
    code, stdout, err = harness(capsys, *again)
    assert code == 0 and set(json.loads(stdout)["jobs"]) == {"p2o@s0", "p2o@s1"}, err
    first, second = (slurm / f"p2o@s{seed}.sh" for seed in (0, 1))
    part = out / ".parts" / "p2o" / "s1"
    killed = subprocess.Popen(["bash", second], env=holding(tmp_path / "site", part, batches=2), text=True)
    wait_until_held(tmp_path / "site", killed)
    killed.kill()  # pre-empted
    killed.wait()
    code, stdout, err = harness(capsys, *again)
    assert code == 0 and set(json.loads(stdout)["jobs"].values()) == {"pending as 1"}, "nothing is submitted twice"
    for script in (first, second):  # the very same script, once more
        subprocess.run(["bash", script], check=True, capture_output=True)
        script.unlink()
    assert "--continue" in json.loads((part / "env.json").read_text())["commands"][1], "it was resumed"
    code, stdout, err = harness(capsys, *again)
    assert code == 0 and json.loads(stdout)["not_done"] == [], err
    words = ["run", "--method", "p2o", "--bench", "tb-id,tb-long", "--seeds", "0,1", "--out", whole]
    code, _, err = harness(capsys, *words, *(word for item in SETS for word in ("--set", item)))
    assert code == 0, err
    merged = out / "cells" / "p2o"
    assert comparable(merged) == comparable(whole)
    assert (merged / "spec.json").read_bytes() == (whole / "spec.json").read_bytes()
    for path in whole.glob("ckpt/**/*.*"):
        assert (merged / path.relative_to(whole)).read_bytes() == path.read_bytes(), path
    is_taken_as_a_run(capsys, tmp_path, merged, whole)


def is_taken_as_a_run(capsys, tmp_path, merged: Path, whole: Path):
    """By everything that takes runs."""
    board = tmp_path / "board"
    filing = ["leaderboard", "add", merged, "--board", board, "--allow-not-a-result", "--pilot"]
    for words in [
        ["compare", merged, whole],
        ["claim", "check", "p2o-deepscaler-5k", "--runs", merged],
        ["report", merged, "--out", tmp_path / "page.html"],
        ["regrade", merged],
        filing,
        ["leaderboard", "build", board],
        ["leaderboard", "verify", board],
        ["eval", merged, "--bench", "tb-id", "--limit", "2", "--out", tmp_path / "evaluated"],
        ["run", "--method", "p2o", "--match-budget", merged, "--bench", "tb-id", "--dry-run"],
    ]:
        code, out, err = harness(capsys, *words)
        assert code == 0, (words, err)
    filed = [json.loads(p.read_text()) for p in board.glob("*/*/*/manifest.json")]
    assert len(filed) == 1 and filed[0]["seeds"] == [0, 1]
    _, _, err = harness(capsys, "leaderboard", "add", whole, *filing[3:])
    assert f"{filed[0]['run']} holds this run with other content" in err, "the same samples, so the same id; other seconds"
