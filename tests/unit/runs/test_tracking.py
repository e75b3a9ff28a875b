"""Curves in trackers: what is read back through their own readers is what metrics.jsonl says, each point once."""

import importlib.util
import json
import os
import struct
from collections import defaultdict

import pytest

from harness.core.errors import MissingError, UsageError
from harness.runs import tracking as t
from harness.runs.files import append_jsonl
from harness.runs.logs import read_metrics
from support.results import result
from support.runs import write_run

ROWS = [
    {"kind": "batch", "epoch": 0, "batch": 0, "reward": 0.25, "entropy": 1.5, "note": "x", "rollouts": 8},
    {"kind": "batch", "epoch": 0, "batch": 1, "reward": 0.5, "entropy": None, "rollouts": 16},
    {"kind": "epoch", "epoch": 0, "rescued_problems": 0.125, "rollouts": 20},
    {"kind": "batch", "epoch": 1, "batch": 0, "reward": 0.75, "entropy": 0.5, "rollouts": 28},
]


def tensorboard(run, seed):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "track" / f"s{seed}" / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return [(tag, e.step, e.value) for tag in events.Tags()["scalars"] for e in events.Scalars(tag)]


def records(data):
    """a header of 7 bytes a log as LevelDB has it, blocks of 32 KiB of pieces with CRC, length, type."""
    at, held = 7, b""
    while at + 7 <= len(data):
        if (left := -at % 32768) and left < 7:  # no header begins in the last bytes of a block
            at += left
            continue
        size, kind = struct.unpack_from("<HB", data, at + 4)
        held += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last piece
            yield held
            held = b""


def wandb(run, seed):
    from wandb.proto import wandb_internal_pb2

    found = []
    for path in sorted((run.parent / "wandb").glob("offline-run-*/*.wandb")):
        for data in records(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            items = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            step = items.get("_step", record.history.step.num)
            found += [(key, step, value) for key, value in items.items() if not key.startswith("_")]
    return found


def trackio(run, seed):
    from trackio.sqlite_storage import SQLiteStorage

    name = json.loads((run / "track" / f"s{seed}" / "next.json").read_text())["trackio"]["run"]
    rows = SQLiteStorage.get_logs(t.PROJECT, name)
    return [(k, row["step"], v) for row in rows for k, v in row.items() if "/" in k]


READ = {
    name: pytest.param(
        name,
        reader,
        marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed: pip install {name}"),
    )
    for name, reader in {"tensorboard": tensorboard, "wandb": wandb, "trackio": trackio}.items()
}


@pytest.fixture(autouse=True)
def nowhere_else(tmp_path, monkeypatch):
    """Nobody's account, nobody's folder."""
    for name in [n for n in os.environ if n.startswith(("WANDB_", "TRACKIO_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    if importlib.util.find_spec("trackio"):
        import trackio.sqlite_storage as storage

        monkeypatch.setattr(storage, "TRACKIO_DIR", tmp_path / "trackio")


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", result("grpo", {0: 0.5, 1: 0.5}))


def add(run, rows, seed=0):
    append_jsonl(run / "metrics.jsonl", [{"seed": seed, **row} for row in rows])


def expected(run, seed=0):
    """Every number of the seed's rows, by what it is called in a tracker."""
    out = []
    for step, found in enumerate(m for m in read_metrics(run) if m.row.seed == seed):
        prefix = "train" if found.row.kind == "batch" else "epoch"
        out += [(f"{prefix}/{k}", step, v) for k, v in {**found.values, "rollouts": found.row.rollouts}.items()]
    return sorted(out)


@pytest.mark.parametrize("name, read", READ.values())
def test_what_a_tracker_has_is_what_the_run_logged(run, name, read):
    add(run, ROWS, seed=1)
    with t.tracking(run, 0, [name]) as tracked:
        for row in ROWS:
            add(run, [row])
            tracked.follow()
        tracked.scores({"tb-id": 0.5})
    assert sorted(read(run, 0)) == sorted([("eval/tb-id", len(ROWS), 0.5), *expected(run)])
    assert len(expected(run)) == 10 and tracked.lost == {}


@pytest.mark.parametrize("name, read", READ.values())
def test_a_resumed_run_has_every_point_once(run, name, read):
    """Killed after three rows, its last checkpoint after one: the other two are trained, and logged, again."""
    with t.tracking(run, 0, [name]) as tracked:
        add(run, ROWS[:3])
        tracked.follow()
    whole = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (run / "metrics.jsonl").write_bytes(whole[0])
    with t.tracking(run, 0, [name]) as tracked:
        for row in ROWS[1:]:
            add(run, [row])
            tracked.follow()
        tracked.scores({"tb-id": 0.5})
    assert sorted(read(run, 0)) == sorted([("eval/tb-id", len(ROWS), 0.5), *expected(run)])


def test_rows_cut_back_while_they_are_followed(run):
    """As a training does that resumes: what is sent already is not sent again."""
    sent = defaultdict(list)

    class Kept:
        def __init__(self, *args): ...
        def log(self, values, step):
            sent[step].append(values["train/rollouts" if "train/rollouts" in values else "epoch/rollouts"])

        def close(self): ...

    t.TRACKERS["kept"] = Kept
    try:
        with t.tracking(run, 0, ["kept"]) as tracked:
            add(run, ROWS[:3])
            tracked.follow()
            (run / "metrics.jsonl").write_bytes((run / "metrics.jsonl").read_bytes().splitlines(keepends=True)[0])
            tracked.follow()
            add(run, ROWS[1:])
            tracked.follow()
    finally:
        del t.TRACKERS["kept"]
    assert sent == {0: [8], 1: [16], 2: [20], 3: [28]}


@pytest.mark.parametrize("name, read", [READ["tensorboard"]])
def test_points_that_a_killed_process_wrote_last_are_hidden(run, name, read):
    """Between a point and the note that it was written."""
    add(run, ROWS[:2])
    with t.tracking(run, 0, [name]) as tracked:
        tracked.follow()
    noted = run / "track" / "s0" / "next.json"
    tree = json.loads(noted.read_text())
    tree[name]["step"] -= 1
    noted.write_text(json.dumps(tree))
    with t.tracking(run, 0, [name]) as tracked:
        tracked.follow()
    assert sorted(read(run, 0)) == expected(run)


@pytest.mark.parametrize("name, read", [READ["tensorboard"]])
def test_a_tracker_that_fails_ends_nothing(run, capsys, name, read):
    """Its folder is a file."""
    (run / "track" / "s0").mkdir(parents=True)
    (run / "track" / "s0" / "tensorboard").write_text("in the way")
    with t.tracking(run, 0, [name]) as tracked:
        for row in ROWS:
            add(run, [row])
            tracked.follow()
    err = capsys.readouterr().err
    assert err.startswith("warning: tensorboard: 4 points of seed 0 were lost: ") and err.count("\n") == 1
    (run / "track" / "s0" / "tensorboard").unlink()
    with t.tracking(run, 0, [name]) as tracked:
        tracked.follow()
    assert sorted(read(run, 0)) == expected(run), "a resumed run makes up for it"


def test_by_default_nothing_is_tracked(run):
    add(run, ROWS)
    with t.tracking(run, 0, []) as tracked:
        tracked.follow()
        tracked.scores({"tb-id": 0.5})
    assert not (run / "track").exists()


def test_names_are_checked_first(monkeypatch):
    with pytest.raises(UsageError, match="unknown tracker 'wanbd'; did you mean 'wandb'"):
        t.check_trackers(["wanbd"])
    with pytest.raises(UsageError, match="names wandb twice"):
        t.check_trackers(["wandb", "wandb"])
    monkeypatch.setattr("harness.core.extras.find_spec", lambda module: None)
    with pytest.raises(MissingError, match=r"package tensorboard: pip install 'p2o-harness\[trackers\]'"):
        t.check_trackers(["tensorboard"])
