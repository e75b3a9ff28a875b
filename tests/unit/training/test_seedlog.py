"""Checkpoints and logs that something changed after they were written: noticed, and gone on from what is whole."""

import os
import resource
import subprocess

import pytest

from harness.core.errors import HarnessError
from harness.core.types import Context, Group, Problem, Rollout
from harness.runs.files import read_jsonl
from harness.runs.result import SeedResult
from harness.runs.rundir import RunDir
from harness.runs.sums import SUMS, check_sums, write_sums
from harness.training.seedlog import SeedLog, writing
from support.settings import resolve

SPEC = resolve("grpo")
PROBLEMS = [Problem(f"p{i}", f"q{i}", "1") for i in range(4)]


def log(run, seed=0):
    return SeedLog(run, seed, SPEC, PROBLEMS, lambda done, text: None)


def group(reward=1.0):
    return Group(PROBLEMS[0], [Rollout(Context("q", "q"), "text", [1, 2, 3], [-1.0] * 3, 7, reward=reward)])


def weights(n):
    return lambda folder: (folder / "weights").write_bytes(bytes([n]) * 1000)


@pytest.fixture
def run(tmp_path):
    """Three batches, each with its checkpoint: the last two are kept."""
    run = RunDir(tmp_path / "run")
    run.write_spec(SPEC)
    one = log(run)
    for batch in range(3):
        one.step(0, batch, [group(batch / 3)], {"reward": batch / 3})
        one.checkpoint({"epoch": 0, "batch": batch + 1, "done": False, "method": {"n": batch}}, weights(batch))
    return run


def flip(path, at, bit=0):
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


HARMS = {
    "bit flipped": lambda p: flip(p, p.stat().st_size // 2),
    "first bit flipped": lambda p: flip(p, 0),
    "cut": lambda p: os.truncate(p, p.stat().st_size - 2),
    "empty": lambda p: os.truncate(p, 0),
    "longer": lambda p: p.write_bytes(p.read_bytes() + b"\n"),
    "binary": lambda p: p.write_bytes(bytes(range(128, 256))),
    "missing": lambda p: p.unlink(),
}


@pytest.mark.parametrize("how", HARMS)
@pytest.mark.parametrize("name", ["weights", "state.json", SUMS])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_it(run, name, how):
    last = run.path / "ckpt" / "s0" / "e0000-b00003"
    HARMS[how](last / name)
    with pytest.warns(UserWarning, match="e0000-b00003.* going on from the checkpoint before it, e0000-b00002"):
        folder, state = (one := log(run)).restore()
    assert (folder.name, state["batch"], state["method"]) == ("e0000-b00002", 2, {"n": 1})
    assert [r["batch"] for r in read_jsonl(run.path / "metrics.jsonl")] == [0, 1] and len(one.groups) == 2
    one.step(0, 2, [group(2 / 3)], {"reward": 2 / 3})  # trained again, and written again
    one.checkpoint({"epoch": 0, "batch": 3, "done": False, "method": {}}, weights(2))
    assert log(run).restore()[0] == last


def test_without_a_whole_checkpoint_it_is_said_what_to_do_and_that_works(run):
    for path in (run.path / "ckpt" / "s0").glob("*/weights"):
        flip(path, 500)
    with pytest.raises(HarnessError, match=r"weights is damaged.*delete .*ckpt/s0, and --resume trains this seed again") as e:
        log(run).restore()
    assert "\n" not in str(e.value)
    subprocess.run(["rm", "-r", run.path / "ckpt" / "s0"], check=True)
    assert log(run).restore() is None and read_jsonl(run.path / "metrics.jsonl") == []


@pytest.mark.parametrize("name", ["metrics.jsonl", "rollouts/s0.jsonl"])
def test_an_edit_of_the_same_size_in_a_log_is_noticed(run, name):
    """In what both checkpoints saw: none is whole. In what only the last one saw: that is trained again."""
    path = run.path / name
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], lines[2].replace(b"0.6", b"0.9")]))
    with pytest.warns(UserWarning, match=f"{path.name} is damaged"):
        assert log(run).restore()[0].name == "e0000-b00002"
    path.write_bytes(lines[0].replace(b'"reward": 0.0', b'"reward": 1.0').replace(b"[0.0]", b"[1.0]") + lines[1])
    assert path.read_bytes() != b"".join(lines[:2])
    with pytest.raises(HarnessError, match=f"{path.name} is damaged"):
        log(run).restore()


def test_a_log_may_be_longer_than_its_checkpoint_saw_but_not_by_one_byte_shorter(run):
    path = run.path / "metrics.jsonl"
    size = path.stat().st_size
    with path.open("ab") as f:
        f.write(b'{"seed": 0, "half')
    assert log(run).restore()[0].name == "e0000-b00003" and path.stat().st_size == size
    os.truncate(path, size - 1)
    with pytest.warns(UserWarning, match=f"has {size - 1} bytes, fewer than the {size} .* it was cut"):
        assert log(run).restore()[0].name == "e0000-b00002"


def test_only_what_is_new_of_a_log_is_hashed(run):
    one = log(run)
    one.restore()
    flip(run.path / "metrics.jsonl", 3)  # while it runs: found when the next process restores
    one.step(0, 3, [group()], {})
    one.checkpoint({"epoch": 0, "batch": 4, "done": False, "method": {}}, weights(3))
    with pytest.raises(HarnessError, match=r"metrics.jsonl is damaged"):
        log(run).restore()


# ------------------------------------------------------------------ what stays


def test_sums_are_those_of_sha256sum(run, tmp_path):
    folder = run.path / "ckpt" / "s0" / "e0000-b00003"
    (folder / "below").mkdir()
    (folder / "below" / "a b").write_text("x")
    write_sums(folder)
    check_sums(folder)
    subprocess.run(["sha256sum", "--check", "--quiet", SUMS], cwd=folder, check=True)
    (folder / "more").touch()
    with pytest.raises(HarnessError, match="more is new"):
        check_sums(folder)


def test_a_changed_seed_result_or_policy_is_noticed(run):
    final, path = run.final(0), run.path / "results" / "s0.json"
    final.mkdir()
    weights(7)(final)
    run.write_seed(0, SeedResult(identity={"version": "1.5"}, suites={}))
    check_sums(final)
    assert run.read_seed(0).identity == {"version": "1.5"}
    path.write_text(path.read_text().replace("1.5", "1.6"))
    with pytest.raises(HarnessError, match=r"s0.json is damaged.* delete it, and --resume does seed 0 again"):
        run.read_seed(0)
    flip(final / "weights", 10)
    with pytest.raises(HarnessError, match="weights is damaged"):
        check_sums(final)


def test_a_file_size_limit_in_words_of_torch_is_a_sentence(run, tmp_path, monkeypatch):
    def write(folder):
        raise RuntimeError("PytorchStreamWriter failed writing file data/3")

    with pytest.raises(RuntimeError):
        writing(tmp_path / "x", write)
    monkeypatch.setattr(resource, "getrlimit", lambda what: (4096, resource.RLIM_INFINITY))
    with pytest.raises(OSError, match="File too large"):
        writing(tmp_path / "x", write)
