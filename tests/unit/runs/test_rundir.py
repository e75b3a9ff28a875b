"""The run directory: torn lines, the lock, checkpoints that wind the logs back, groups that survive JSON."""

import json

import pytest

from harness.config import resolve
from harness.core.errors import HarnessError, UsageError
from harness.core.types import Context, Group, Problem, Rollout
from harness.runs.files import append_jsonl, read_jsonl
from harness.runs.rundir import RunDir
from harness.training.seedlog import SeedLog

SPEC = resolve("grpo")
PROBLEMS = [Problem(f"p{i}", f"q{i}", "1") for i in range(4)]


def group(problem, reward):
    return Group(problem, [Rollout(Context("z\n\nq", "q", "z"), "text", [1, 2, 3], [-1.0] * 3, 7, reward=reward)])


@pytest.fixture
def run(tmp_path):
    run = RunDir.new(SPEC, tmp_path / "run")
    run.write_spec(SPEC)
    return run


def log(run, seed=0):
    return SeedLog(run, seed, SPEC, PROBLEMS, lambda done, text: None)


def test_a_torn_last_line_is_left_out(tmp_path):
    path = tmp_path / "x.jsonl"
    append_jsonl(path, [{"a": 1}, {"a": "ü\u2028"}])
    with path.open("a") as f:
        f.write('{"a": 3')
    assert read_jsonl(path) == [{"a": 1}, {"a": "ü\u2028"}]
    assert read_jsonl(tmp_path / "absent.jsonl") == []


def test_one_writer_at_a_time(run):
    with run, pytest.raises(HarnessError, match="another process"), RunDir(run.path):
        pass


def test_groups_survive_json_without_token_ids():
    g = group(PROBLEMS[1], 1.0)
    g.discarded, g.requests = g.rollouts[:], g.rollouts * 2
    back = Group.from_row(json.loads(json.dumps(g.to_row())), {p.id: p for p in PROBLEMS})
    assert back.problem == g.problem and back.rewards_K == [1.0] and back.successes == 1
    assert back.rollouts[0].context == g.rollouts[0].context and (len(back.discarded), len(back.requests)) == (1, 2)
    assert g.to_row()["rollouts"][0]["tokens_T"] == 3


def test_restore_winds_logs_and_ledger_back_to_the_checkpoint(run):
    first = log(run)
    for batch in range(3):
        first.ledger.add_rollouts(group(PROBLEMS[batch], 0.0).rollouts)
        first.step(0, batch, [group(PROBLEMS[batch], 0.0)], {"reward": 0.0})
        if batch == 1:
            position = {"epoch": 0, "batch": 2, "done": False, "method": {"level": 2}}
            first.checkpoint(position, lambda folder: (folder / "weights").write_text("w"))
    again = log(run)
    folder, state = again.restore()
    assert (folder / "weights").read_text() == "w" and state["method"] == {"level": 2}
    assert again.ledger.rollouts == 2 and [g.problem.id for g in again.groups] == ["p0", "p1"]
    for name in ("metrics.jsonl", "rollouts/s0.jsonl"):
        assert [r["batch"] for r in read_jsonl(run.path / name)] == [0, 1]


def test_a_seed_that_died_before_its_first_checkpoint_starts_over_and_spares_the_others(run):
    done, dead = log(run, 0), log(run, 1)
    for one in (done, dead):
        one.step(0, 0, [group(PROBLEMS[0], 1.0)], {"reward": 1.0})
    again = log(run, 1)
    assert again.restore() is None and again.groups == []
    assert [r["seed"] for r in read_jsonl(run.path / "metrics.jsonl")] == [0]
    assert read_jsonl(run.path / "rollouts" / "s1.jsonl") == []
    assert len(read_jsonl(run.path / "rollouts" / "s0.jsonl")) == 1


def test_the_last_two_checkpoints_are_kept_and_none_in_the_end(run):
    one = log(run)
    for epoch in range(3):
        one.checkpoint({"epoch": epoch, "batch": 0, "done": False, "method": {}}, lambda folder: None)
    assert sorted((p.name for p in one.folder.iterdir()), reverse=True) == ["e0002-b00000", "e0001-b00000"]
    run.drop_checkpoints(one.seed)
    assert list(one.folder.iterdir()) == [] and one.restore() is None


def test_newest_run_of_the_very_spec_is_resumed(tmp_path):
    for stamp in ("20260101T000000", "20260102T000000"):
        path = RunDir.default_parent(SPEC, tmp_path) / f"{stamp}-{SPEC.hash()[:8]}"
        RunDir(path).write_spec(SPEC)
    assert RunDir.resume(SPEC, None, tmp_path).path.name.startswith("20260102")
    with pytest.raises(UsageError, match="nothing to resume"):
        RunDir.resume(resolve("p2o"), None, tmp_path)


def test_no_secret_and_no_path_in_the_environment_file(run, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    run.write_spec(SPEC)
    text = (run.path / "env.json").read_text() + (run.path / "spec.json").read_text()
    assert "sk-very" not in text and str(run.path.parent) not in text
