"""What the progress line says of a batch, and how fast it was."""

import pytest

from harness import progress
from harness.core.ledger import Ledger
from harness.core.types import Context, Group, Problem, Rollout
from harness.runs.files import read_jsonl
from harness.runs.rundir import RunDir
from harness.training import pace
from harness.training.seedlog import SeedLog
from support.settings import resolve

SPEC = resolve("grpo")
PROBLEM = Problem("p", "q", "1")
BATCH = {"reward": 0.456, "entropy": 0.414, "tokens_per_rollout": 211.6, "truncated": 0.034, "memory_gb": 12.34}


@pytest.fixture
def clock(monkeypatch):
    """Seconds, set by hand."""
    at = [0.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: at[0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: at[0])
    return at


def test_speed_is_what_was_sampled_since_the_last_lap_reflections_too(clock):
    ledger, speed = Ledger(generated_tokens=1000), pace.Pace()
    speed.begin(ledger)
    clock[0], ledger.generated_tokens, ledger.reflection_tokens = 4.0, 1300, 100
    assert speed.lap(ledger) == 100.0
    clock[0], ledger.generated_tokens = 5.0, 1350
    assert speed.lap(ledger) == 50.0


def test_a_line_of_all_that_people_look_for():
    assert pace.line(0, 2, BATCH | {"tokens_per_second": 849.7, "loss": 3.0}) == (
        "s0 e3 reward 0.46 entropy 0.41 212 tok 3% cut 850/s 12 GB"
    )
    assert (
        pace.line(0, 2, {"reward": 1.0, "memory_gb": 0.64, "tokens_per_second": 43_210.0}) == "s0 e3 reward 1.00 43k/s 0.6 GB"
    )
    assert pace.line(1, 0, {}) == "s1 e1"


def test_the_longest_line_fits_a_narrow_terminal(clock, capsys):
    """Seeds and epochs of two digits, completions of five, an hour and more left; only the label gives way."""
    metrics = {"reward": 0.123, "entropy": 12.34, "tokens_per_rollout": 12288.0, "truncated": 0.999, "memory_gb": 141.0}
    text = pace.line(19, 11, metrics | {"tokens_per_second": 43_210.0})
    assert len(text) <= 64
    for label in ("grpo id,ood", "p2o math500,aime24,aime25,amc,minerva,olympiad"):
        with progress.Progress(100, label) as p:
            p.update(0)
            clock[0] += 5900.0
            p.update(50, text)
            assert p.left_s == 5900.0
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"50% 98 min left {text}"] * 2 and len(lines[0]) <= 80


def test_every_batch_logs_its_speed_and_says_it(tmp_path, clock):
    run = RunDir(tmp_path / "run")
    run.write_spec(SPEC)
    told = []
    log = SeedLog(run, 0, SPEC, [PROBLEM], lambda done, text: told.append(text))
    rollout = Rollout(Context("q", "q"), "text", [1, 2, 3], [-1.0] * 3, 7)
    for batch, seconds in enumerate((2.0, 8.0)):
        clock[0] += seconds
        log.ledger.add_rollouts([rollout] * 8)
        log.step(0, batch, [Group(PROBLEM, [rollout])], BATCH)
    rows = read_jsonl(run.path / "metrics.jsonl")
    assert [r["tokens_per_second"] for r in rows] == [12.0, 3.0] and [r["memory_gb"] for r in rows] == [12.34] * 2
    assert told == [f"s0 e1 reward 0.46 entropy 0.41 212 tok 3% cut {speed}/s 12 GB" for speed in (12, 3)]


def test_what_a_checkpoint_brings_back_is_no_speed(tmp_path, clock):
    run = RunDir(tmp_path / "run")
    run.write_spec(SPEC)
    rollout = Rollout(Context("q", "q"), "text", [1, 2, 3], [-1.0] * 3, 7)
    log = SeedLog(run, 0, SPEC, [PROBLEM], lambda done, text: None)
    log.ledger.add_rollouts([rollout] * 1000)
    log.checkpoint({"epoch": 0, "batch": 0, "done": False, "method": {}}, lambda folder: None)
    again = SeedLog(run, 0, SPEC, [PROBLEM], lambda done, text: None)
    again.restore()
    clock[0] += 1.0
    again.ledger.add_rollouts([rollout])
    again.step(0, 0, [Group(PROBLEM, [rollout])], {})
    assert read_jsonl(run.path / "metrics.jsonl")[0]["tokens_per_second"] == 3.0
