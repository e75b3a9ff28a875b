"""A small study through the command line: side by side or not, interrupted and resumed, with a cell that fails."""

import json
import signal
import subprocess
import sys

import pytest
import yaml
from filelock import FileLock

from support.command import harness
from support.held import holding, wait_until_held
from support.smoke import comparable

CELLS = ["p2o", "grpo", "hot"]


def write(path, **more):
    arms = {"p2o": {"method": "p2o"}, "grpo": {"method": "grpo", "match": "p2o"}, "hot": {"method": "grpo-t1"}}
    settings = {
        "testbed.problems": 48,
        "eval.limit": 8,
        "train": {"epochs": 3, "prompts_per_batch": 16, "checkpoint_steps": 1},
        "p2o": {"min_hard": 6, "evolve": {"metric_calls": 120, "dev_size": 8}},
    }
    tree = {
        "title": "Tiny",
        "recipe": "testbed",
        "bench": "tb-id,tb-long",
        "seeds": [0],
        "settings": settings,
        "baseline": "grpo",
    }
    path.write_text(yaml.safe_dump({**tree, "arms": {**arms, **more}}, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The study with one job, in its own process; (file, directory, the finished process)."""
    folder = tmp_path_factory.mktemp("study")
    file, out = write(folder / "tiny.yaml"), folder / "out"
    code = "from harness.cli import main; main()"
    words = ["study", "run", file, "--out", out, "--jobs", "1", "--json"]
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return file, out, done


def test_one_job(capsys, whole):
    file, out, done = whole
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["not_done"] == [] and [row["arm"] for row in result["summary"]] == CELLS
    budgets = {row["arm"]: row["budget"] for row in result["summary"]}
    tokens = {arm: b["generated_tokens"] + b["reflection_tokens"] for arm, b in budgets.items()}
    assert tokens["p2o"] <= tokens["grpo"] < tokens["p2o"] * 1.5, "stopped at the first batches past its arm's tokens"
    assert "Traceback" not in done.stderr
    for row in result["summary"]:
        single = json.loads((out / "cells" / row["arm"] / "result.json").read_text())
        assert row["scores"]["OOD macro average"]["mean"] == single["macro"]["ood"]
    comparison = result["comparisons"][""]
    assert comparison["baseline"] == "grpo" and [a["label"] for a in comparison["arms"]] == CELLS
    written = json.loads((out / "study.json").read_text())
    assert {row["run"] for row in written["results"]["summary"]} <= {f"cells/{p.name}" for p in (out / "cells").iterdir()}
    assert str(out) not in (out / "study.json").read_text()  # which is published: it says nothing of the machine
    assert written["results"] == {k: v for k, v in result.items() if k != "study"}
    assert written["cells"][1]["spec"]["train"]["max_sampled_tokens"] == tokens["p2o"]
    page, text = (out / "study.html").read_text(), (out / "study.md").read_text()
    assert "Not a result" in page and "Not a result" in text and all(f"| {arm} |" in text for arm in CELLS)
    code, stdout, err = harness(capsys, "study", "run", file, "--out", out)
    assert code == 0 and "out of distribution" in stdout and all(arm in stdout for arm in CELLS), err


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_two_jobs_stopped_and_gone_on_with_give_the_same(capsys, whole, tmp_path, how):
    file, reference, _ = whole
    out = tmp_path / "out"
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from harness.cli import main; main()"
    words = ["study", "run", file, "--out", out, "--jobs", "2"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stderr=subprocess.PIPE,
        text=True,
        env=holding(tmp_path / "site", out / "cells" / "p2o", batches=4),
    )
    wait_until_held(tmp_path / "site", process)
    process.send_signal(how)
    _, err = process.communicate(timeout=200)
    if how == signal.SIGINT:
        assert process.returncode == 130 and "--resume" not in err and "Traceback" not in err, err
    for lock in (out / "cells").glob("*/.lock"):  # a killed study's runs stop by themselves, a little later
        with FileLock(lock, timeout=0 if how == signal.SIGINT else 200):
            pass
    assert not (out / "cells" / "p2o" / "result.json").exists(), "stopped in its midst"
    code, _, err = harness(capsys, *words)
    assert code == 0, err
    for cell in CELLS:
        assert comparable(out / "cells" / cell) == comparable(reference / "cells" / cell)


def test_a_failing_cell_is_named_with_its_log(capsys, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text("")  # of no prompt that this run asks
    broken = {"method": "gepa", "settings": {"gepa.reflector": {"kind": "replay", "path": str(other)}}}
    file = write(tmp_path / "tiny.yaml", broken=broken, waiting={"method": "grpo-2x", "match": "broken"})
    words = ["study", "run", file, "--out", tmp_path / "out", "--only", "hot,broken,waiting", "--seeds", "0"]
    code, out, err = harness(capsys, *words)
    log = tmp_path / "out" / "logs" / "broken.log"
    assert code == 1 and str(log) in err and "waiting: not started" in err
    assert "has no answer left for prompt" in log.read_text()
    assert "hot" in out and "Not done: p2o, grpo, broken, waiting" in (tmp_path / "out" / "study.md").read_text()
