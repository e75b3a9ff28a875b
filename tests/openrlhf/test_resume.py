"""P2O interrupted in every stage, each time in another way, and gone on with: the same numbers as of one that nobody stops."""

import hashlib
import json
import os
import re
import signal
import time

import pytest
from reflecting import serving
from running import finished, harness, left_behind, p2o_command, start

from harness.runs.files import read_jsonl
from harness.training.pace import OF_THE_MACHINE

STAGES = ("rollout", "update", "checkpoint")
"""In which the method itself kills a process (toy/toy_rehearsal.py)."""


def batches(out):
    return [(r["epoch"], r["batch"]) for r in read_jsonl(out / "metrics.jsonl") if r["kind"] == "batch"]


def ended(process, out, code, words=()):
    """The process ended with this code and one plain sentence, and left no process behind."""
    found, _, err = finished(process)
    assert found == code, err
    assert "--resume" in err and "Traceback" not in err
    for word in words:
        assert word in err
    assert not left_behind(out)


def while_evaluated(process, out):
    """Wait until the engines sample for the evaluation."""
    until = time.monotonic() + 600
    while process.poll() is None and not list((out / "openrlhf" / "s0" / "ask").glob("*.json")) and time.monotonic() < until:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """The run's folder, its server, and the batches that were done after each interruption."""
    out, done = tmp_path_factory.mktemp("interrupted") / "run", {}
    with serving() as server:
        command = p2o_command(out, server, f"--set=toy-p2o.dies={json.dumps(STAGES)}")

        ended(start(*command), out, 1)  # the engine is killed while it samples the second batch
        done["rollout"] = batches(out)

        server.goes_down_after = 3  # and with it the search, after three answers
        ended(start(*command, "--resume"), out, 3, [f"reflection server at {server.url}", "what it answered is kept"])
        done["search"] = batches(out)

        server.goes_down_after = None
        server.start()
        ended(start(*command, "--resume"), out, 1)  # the trainer's actor is killed in the first step with templates
        done["update"] = batches(out)

        ended(start(*command, "--resume"), out, 1)  # the driver is killed while DeepSpeed writes the last batch's checkpoint
        done["checkpoint"] = batches(out)

        process = start(*command, "--resume")
        while_evaluated(process, out)
        process.send_signal(signal.SIGINT)
        ended(process, out, 130)
        done["evaluation"] = batches(out)

        code, _, err = harness(*command, "--resume")
        assert code == 0, err
        assert not left_behind(out)
        yield out, server, done


def test_each_stage_was_reached(interrupted):
    _, _, done = interrupted
    every = [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert done == {
        "rollout": every[:1],
        "search": every[:2],
        "update": every[:2],
        "checkpoint": every[:4],  # logged, and trained again since its checkpoint is not whole
        "evaluation": every,
    }


def test_every_batch_is_trained_once(interrupted):
    out, _, _ = interrupted
    assert batches(out) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    rows = read_jsonl(out / "rollouts" / "s0.jsonl")
    for epoch in (0, 1):
        assert len({r["problem"] for r in rows if r["epoch"] == epoch}) == 32
    templated = [r for row in rows if row["epoch"] == 1 for r in row["rollouts"] if r["context"]["template"]]
    assert templated and all(r["context"]["rollout"].startswith(r["context"]["template"]) for r in templated)


def test_no_answer_of_the_server_is_paid_twice(interrupted, uninterrupted):
    assert interrupted[1].asked and sorted(interrupted[1].asked) == sorted(uninterrupted[1].asked)


def comparable(out):
    """What a run writes that is no time of day, with numbers that the machine does not decide."""
    result = json.loads((out / "result.json").read_text())
    for ledger in (result["ledger"], *result["ledgers"].values()):
        del ledger["wall_seconds"]
    skipped = {*OF_THE_MACHINE}
    metrics = [
        {k: v for k, v in r.items() if k not in skipped and not re.match("seconds_", k)}
        for r in read_jsonl(out / "metrics.jsonl")
    ]
    files = {name: read_jsonl(out / name) for name in ("rollouts/s0.jsonl", "templates/s0.jsonl", "samples/tb-id.jsonl")}
    weights = hashlib.sha256((out / "ckpt" / "s0" / "final" / "model.safetensors").read_bytes()).hexdigest()
    return {"ledger": result["ledger"], "suites": result["suites"], "metrics": metrics, "weights": weights, **files}


@pytest.mark.parametrize(
    "what", ["ledger", "metrics", "rollouts/s0.jsonl", "templates/s0.jsonl", "samples/tb-id.jsonl", "suites", "weights"]
)
def test_the_same_numbers(interrupted, uninterrupted, what):
    assert comparable(interrupted[0])[what] == comparable(uninterrupted[0])[what]


def test_the_curves_stand_in_tensorboard_once(interrupted, uninterrupted):
    """By its own reader: every row's reward at its own step, however often the run was stopped."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = []
    for out in (interrupted[0], uninterrupted[0]):
        events = EventAccumulator(str(out / "track" / "s0" / "tensorboard"), size_guidance={"scalars": 0})
        events.Reload()
        rows = list(enumerate(read_jsonl(out / "metrics.jsonl")))
        told = [(e.step, e.value) for e in events.Scalars("train/reward")]
        assert told == [(i, pytest.approx(r["reward"])) for i, r in rows if r["kind"] == "batch"] and len(told) == 4
        found.append(told)
    assert found[0] == found[1]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["search", "harness"])
def test_killed_without_a_word(tmp_path, uninterrupted, stage):
    """The driver in the middle of a search; the harness itself in the evaluation, whose processes then end by themselves."""
    out = tmp_path / "run"
    with serving() as server:
        command = p2o_command(out, server, f'--set=toy-p2o.dies=["{stage}"]')
        process = start(*command)
        if stage == "search":
            ended(process, out, 1)
            assert batches(out) == [(0, 0), (0, 1)]
        else:
            while_evaluated(process, out)
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        code, _, err = harness(*command, "--resume")
        assert code == 0, err
        assert not left_behind(out) and sorted(server.asked) == sorted(uninterrupted[1].asked)
    assert comparable(out) == comparable(uninterrupted[0])


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
