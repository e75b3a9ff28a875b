"""The seeds of one run side by side: byte for byte the run of one process, also killed, interrupted and gone on with."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from harness.training.pace import OF_THE_MACHINE
from support.command import harness
from support.held import holding, wait_until_held

SETS = ["testbed.problems=32", "train.epochs=2", "train.prompts_per_batch=16", "train.checkpoint_steps=1"]
SETS += ["p2o.min_hard=4", "p2o.evolve.metric_calls=30", "p2o.evolve.dev_size=4"]
WORDS = ["run", "--method", "p2o", "--bench", "tb-id", "--limit", "4", "--seeds", "2,0"]
WORDS += [word for item in SETS for word in ("--set", item)]
TIMES = {"wall_seconds", "started", "commands", *OF_THE_MACHINE}
PAGES = {"report.md", "report.html"}
"""They show seconds, dates and commands among the words, and are made of the other files."""


def without_times(value):
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in TIMES}
    return [without_times(v) for v in value] if isinstance(value, list) else value


def files(run: Path) -> dict[str, object]:
    """Every file of a run by name: its bytes, or where it holds times, its JSON without them."""
    found = {}
    for path in sorted(p for p in run.rglob("*") if p.is_file() and p.name != ".lock"):
        name = path.relative_to(run).as_posix()
        if name in PAGES:
            found[name] = None
        elif name.startswith("results/"):  # and their checksums
            found[name] = without_times(json.loads(path.read_text())) if path.suffix == ".json" else None
        elif name in ("env.json", "ledger.json", "result.json"):
            tree = without_times(json.loads(path.read_text()))
            tree.pop("run", None)  # where it is
            found[name] = tree
        elif name == "metrics.jsonl":
            found[name] = [without_times(json.loads(line)) for line in path.read_text().splitlines()]
        else:
            found[name] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One seed after the other, in one process."""
    out = tmp_path_factory.mktemp("whole") / "run"
    code = "from harness.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *WORDS, "--out", str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def test_side_by_side_is_in_turn(capsys, tmp_path, whole):
    code, out, err = harness(capsys, *WORDS, "--out", tmp_path / "run", "--jobs", "2", "--json")
    assert code == 0, err
    assert json.loads(out)["seeds"] == [2, 0]
    one, other = files(whole), files(tmp_path / "run")
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []
    assert sum(isinstance(value, bytes) for value in one.values()) > 10, "compared as bytes"
    rows = [json.loads(line)["seed"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert list(dict.fromkeys(rows)) == [2, 0]


@pytest.mark.parametrize("how, again", [(signal.SIGINT, ["--jobs", "2"]), (signal.SIGKILL, [])])
def test_stopped_and_gone_on_with(capsys, tmp_path, whole, how, again):
    out = tmp_path / "run"
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from harness.cli import main; main()"
    held = out / ".seeds" / "s0"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *WORDS, "--out", str(out), "--jobs", "2"],
        stderr=subprocess.PIPE,
        text=True,
        env=holding(tmp_path / "site", held, batches=3),
    )
    wait_until_held(tmp_path / "site", process)
    process.send_signal(how)
    _, err = process.communicate(timeout=200)
    assert "Traceback" not in err, err
    if how == signal.SIGINT:
        assert process.returncode == 130 and "--resume continues" in err
        with FileLock(held / ".lock", timeout=0):
            pass
    assert any((held / "ckpt" / "s0").iterdir()) and not (out / "result.json").exists()
    code, _, err = harness(capsys, *WORDS, "--out", out, "--resume", *again)
    assert code == 0, err
    one, other = files(whole), files(out)
    one.pop("env.json"), other.pop("env.json")
    assert [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)] == []


def test_begun_in_turn_and_gone_on_with_side_by_side(capsys, tmp_path, whole):
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", *WORDS, "--out", str(out)],
        stderr=subprocess.PIPE,
        text=True,
        env=holding(tmp_path / "site", out, batches=3),
    )
    wait_until_held(tmp_path / "site", process)
    process.kill()
    process.wait()
    assert (out / "ckpt" / "s2").exists()
    code, _, err = harness(capsys, *WORDS, "--out", out, "--resume", "--jobs", "2")
    assert code == 0, err
    one, other = files(whole), files(out)
    assert [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)] == []


def test_a_dead_process_costs_its_seed_alone(capsys, tmp_path, whole, monkeypatch):
    out = tmp_path / "run"
    site = holding(tmp_path / "site", out / ".seeds" / "s0", batches=3)
    monkeypatch.setenv("PYTHONPATH", site["PYTHONPATH"])
    text = (tmp_path / "site" / "sitecustomize.py").read_text()
    (tmp_path / "site" / "sitecustomize.py").write_text(text.replace("time.sleep(280)", "import os; os.kill(os.getpid(), 9)"))
    code, _, err = harness(capsys, *WORDS, "--out", out, "--jobs", "2")
    assert code == 1 and "seed 0: its process was killed by signal 9" in err and "fewer --jobs" in err, err
    assert (out / "results" / "s2.json").exists() and not (out / ".seeds" / "s2").exists(), "the other one is done"
    monkeypatch.delenv("PYTHONPATH")
    code, _, err = harness(capsys, *WORDS, "--out", out, "--resume", "--jobs", "2")
    assert code == 0, err
    one, other = files(whole), files(out)
    one.pop("env.json"), other.pop("env.json")
    assert [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)] == []
    assert not (out / ".seeds").exists()


def test_what_cannot_be_had_is_one_sentence(capsys, tmp_path):
    more = ["--out", tmp_path / "run", "--jobs", "2", "--set", "local.device=cuda"]
    if os.path.exists("/dev/nvidia0"):
        pytest.skip("this machine has a GPU")
    code, _, err = harness(capsys, *WORDS, *more)
    assert code == 3 and err.count("torch sees no GPU") == 1 and "seeds 0, 2: " in err, err
