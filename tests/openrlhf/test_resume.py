"""P2O for two epochs with a prompt search, interrupted in three ways: every batch is trained exactly once."""

import json
import os
import signal
import time

import pytest
from running import harness, left_behind, start

from harness.runs.files import read_jsonl

RUN = [
    "run",
    "--bench",
    "tb-id",
    "--limit",
    "4",
    "--seeds",
    "0",
    "--backend",
    "openrlhf",
    "--rehearse",
    "--set",
    "testbed.problems=64",
    "--set",
    "train.prompts_per_batch=16",
    "--set",
    "train.epochs=2",
    "--set",
    "train.max_rollouts=null",
    "--set",
    "train.checkpoint_steps=1",
    "--set",
    "p2o.min_hard=6",
    "--set",
    "p2o.evolve.metric_calls=120",
    "--set",
    "p2o.evolve.dev_size=12",
]


def batches(out):
    return [(r["epoch"], r["batch"]) for r in read_jsonl(out / "metrics.jsonl") if r["kind"] == "batch"]


def wait(process, out, count):
    until = time.monotonic() + 300
    while process.poll() is None and len(batches(out)) < count and time.monotonic() < until:
        time.sleep(0.1)
    assert process.poll() is None, process.communicate()


def test_p2o_interrupted_and_resumed(tmp_path):
    out = tmp_path / "run"
    command = [*RUN, "--method", "p2o", "--out", out]

    process = start(*command)  # Ctrl-C in the first epoch
    wait(process, out, 2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=90)
    assert process.returncode == 130 and "--resume" in err and "Traceback" not in err
    assert not left_behind(out)

    process = start(*command, "--resume")  # the driver is killed in the second epoch
    wait(process, out, 5)
    [driver] = [p for p in left_behind(out) if b"harness.training.openrlhf.driver" in cmdline(p)][:1]
    os.kill(driver, signal.SIGKILL)
    _, err = process.communicate(timeout=90)
    assert process.returncode == 1 and "--resume" in err and "Traceback" not in err
    assert not left_behind(out)

    code, stdout, err = harness(*command, "--resume", "--json")
    assert code == 0, err
    assert not left_behind(out)
    assert batches(out) == [(epoch, batch) for epoch in (0, 1) for batch in range(4)]
    rows = read_jsonl(out / "rollouts" / "s0.jsonl")
    for epoch in (0, 1):
        assert len({r["problem"] for r in rows if r["epoch"] == epoch}) == 64
    ledger = json.loads(stdout.splitlines()[-1])["ledger"]
    [searched] = [r["search_rollouts"] for r in read_jsonl(out / "metrics.jsonl") if r.get("search_rollouts")]
    assert ledger["optimiser_steps"] == 8 and ledger["rollouts"] == 2 * 64 * 6 + searched
    templated = [r for row in rows if row["epoch"] == 1 for r in row["rollouts"] if r["context"]["template"]]
    assert templated and all(r["context"]["rollout"].startswith(r["context"]["template"]) for r in templated)


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read()
    except OSError:
        return b""


def test_grpo_two_epochs_and_a_dead_worker(tmp_path):
    out = tmp_path / "run"
    command = [*RUN, "--method", "grpo", "--out", out]
    process = start(*command)  # the process that holds the trained weights dies
    wait(process, out, 2)
    [worker] = [p for p in left_behind(out) if b"PolicyModelActor" in cmdline(p)][:1]
    os.kill(worker, signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1 and "--resume" in err
    assert not left_behind(out)
    code, _, err = harness(*command, "--resume")
    assert code == 0, err
    assert batches(out) == [(epoch, batch) for epoch in (0, 1) for batch in range(4)]
    assert not left_behind(out)


@pytest.mark.parametrize(
    "settings, words",
    [
        (["--set", 'backend.flags."rollout.temperature"=0.9'], "contradicts"),
        (["--set", "backend.gpus_per_node=7"], "cannot be split"),
        (["--set", "p2o.reflector.kind=initial"], "vllm serve"),
    ],
)
def test_contradictions_are_refused_before_anything_runs(tmp_path, settings, words):
    code, _, err = harness("run", "--method", "p2o", "--backend", "openrlhf", "--out", tmp_path / "run", *settings)
    assert code == 2 and words in err and not (tmp_path / "run").exists()
