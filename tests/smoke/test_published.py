"""What is published in this repository follows from its samples, under the graders and the tables of today."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT

HARNESS = Path(sys.executable).with_name("harness")


@pytest.mark.timeout(1800)
def test_published_boards_verify():
    command = [HARNESS, "leaderboard", "verify", str(ROOT / "leaderboards")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1750)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    runs = [path.parent.name for path in (ROOT / "leaderboards").glob("*/*/*/manifest.json")]
    assert f"{len(runs)} runs verified" in done.stdout and len(runs) >= 81
    assert all(f"{run}: " in done.stdout for run in runs)


def test_the_table_at_the_top_of_the_readme_is_the_boards():
    arms = {
        "GRPO": "grpo (train.temperature=1.0)",
        "P2O": "p2o (skills.lift=0.6)",
        "its placebo": "p2o (skills.lift=0.0)",
        "P2O, gradient on the prompt with the template": "p2o-no-distillation",
        "GRPO at T = 1.3": "grpo (train.temperature=1.3)",
    }
    boards = []
    for name in ("scores.csv", "scores-2.csv"):
        text = (ROOT / "leaderboards" / "skills" / "skills" / name).read_text()
        rows = csv.DictReader(text.splitlines())
        boards.append({row["arm"]: row for row in rows if row["measure"] == "OOD macro average"})
    said = {}
    for line in (ROOT / "README.md").read_text().split("|---|", 1)[1].splitlines()[1:]:
        if not line.startswith("| "):
            break
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        said[name.split(":")[0]] = cells
    assert said.keys() == arms.keys()
    way = {"gain": "ahead", "loss": "behind"}
    for name, arm in arms.items():
        expected = []
        for row in (board[arm] for board in boards):
            low, high = row["these questions low"], row["these questions high"]
            told = f"{way[row['verdict']]}, {row['difference']} ({low} to {high})" if row["difference"] else ""
            expected += [row["score"], told]
        assert said[name] == expected


def test_the_table_of_the_real_model_is_the_boards():
    arms = {
        "GRPO, T = 1": "grpo (train.temperature=1.0)",
        "GRPO at T = .6": "grpo (train.temperature=0.6)",
        "P2O": "p2o",
        "its placebo": "p2o-placebo-book",
        "prefixes of solutions": "prefix-ladder",
        "prompt search alone": "gepa",
        "untrained": "untrained",
    }
    text = (ROOT / "leaderboards" / "drills" / "smollm2-135m-instruct" / "scores.csv").read_text()
    scores = {(row["measure"], row["arm"]): row for row in csv.DictReader(text.splitlines())}
    way = {"gain": "ahead", "loss": "behind", "undecided": "undecided", "equivalent": "equivalent"}
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|(.*)\|$", section("README.md", "A real model"), re.M)
    said = {name: cells for name, *cells in rows if name != "arm"}
    assert said.keys() == arms.keys()
    for name, arm in arms.items():
        ood = scores["OOD macro average", arm]
        ends = f"({ood['these questions low']} to {ood['these questions high']})"
        told = f"{way[ood['verdict']]}, {ood['difference']} {ends}" if ood["difference"] else ""
        inside, outside, against = said[name]
        assert [inside, outside] == [scores["ID macro average", arm]["score"], ood["score"]] and against.strip() == told
        if told:
            row = f"{inside} | {outside} | {ood['difference']} {ends} | {way[ood['verdict']]} |"
            assert row in section("docs/real_models.md", "SmolLM2-135M on two cores"), "the same figures there"


def section(page, title):
    """A page from a heading to the next of its rank."""
    return (ROOT / page).read_text().split(f"\n## {title}", 1)[1].split("\n## ", 1)[0]


def test_the_worlds_get_the_verdicts_that_they_deserve():
    """docs/testbed.md: in `absent` there is nothing to find and in `open` nothing that sampling misses, so a gain of 16 points
    must not be reproduced. In `latent` one seed of eight is solved in either arm: eight seeds can decide nothing."""
    worlds = {"testbed-latent": "undecided", "testbed-absent": "no gain", "testbed-open": "no gain"}
    command = [HARNESS, "claim", "check", *worlds, "--runs", str(ROOT / "leaderboards" / "testbed"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = {c["claim"]: c for c in json.loads(done.stdout.splitlines()[-1])["claims"]}
    assert {name: c["verdict"] for name, c in found.items()} == worlds
    assert all(c["seeds"] == {"arm": 8, "baseline": 8} for c in found.values())
    latent = found["testbed-latent"]["fixed"]
    assert latent["low"] < 0 < 16 < latent["high"]
