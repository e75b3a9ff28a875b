"""The run directory: torn lines, the lock, checkpoints that wind the logs back, groups that survive JSON."""

import json
import time
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from harness.core.errors import HarnessError, UsageError
from harness.core.ledger import Ledger
from harness.core.types import Context, Group, Problem, Rollout
from harness.evaluation.results import seed_result
from harness.runs.files import append_jsonl, read_jsonl
from harness.runs.result import write_result
from harness.runs.rundir import RunDir
from harness.runs.samples import read_samples, samples_path
from harness.training.seedlog import SeedLog
from support.results import result, sample
from support.settings import resolve

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


@pytest.mark.parametrize("name", ["metrics.jsonl", "rollouts/s0.jsonl", "templates/s0.jsonl"])
@pytest.mark.parametrize("by", [-2, -1, 0, 1, 2])
def test_a_log_may_be_longer_than_its_checkpoint_counts_on_but_not_by_a_byte_shorter(run, name, by):
    one = log(run)
    one.step(0, 0, [group(PROBLEMS[0], 1.0)], {"reward": 1.0})
    one.epoch(0, {}, [{"template": "z", "selected": True}])
    one.checkpoint({"epoch": 1, "batch": 0, "done": False, "method": {}}, lambda folder: None)
    path = run.path / name
    whole = path.read_bytes()
    assert whole
    path.write_bytes(whole[:by] if by < 0 else whole + b"x" * by)
    if by < 0:
        said = f"{name} has {len(whole) + by} bytes, fewer than the {len(whole)} that its checkpoint counts on: it was cut"
        with pytest.raises(HarnessError, match=said):
            log(run).restore()
        assert path.read_bytes() == whole[:by], "nothing is filled up with zeros"
    else:
        assert log(run).restore() is not None and path.read_bytes() == whole


@pytest.mark.parametrize("name", ["metrics.jsonl", "rollouts/s0.jsonl", "templates/s0.jsonl"])
def test_a_log_that_is_gone_was_cut_too(run, name):
    one = log(run)
    one.checkpoint({"epoch": 0, "batch": 0, "done": False, "method": {}}, lambda folder: None)
    assert log(run).restore() is not None, "nothing was written, nothing is missing"
    one.step(0, 0, [group(PROBLEMS[0], 1.0)], {"reward": 1.0})
    one.epoch(0, {}, [{"template": "z", "selected": True}])
    one.checkpoint({"epoch": 1, "batch": 0, "done": False, "method": {}}, lambda folder: None)
    (run.path / name).unlink()
    with pytest.warns(UserWarning, match=f"{name} has 0 bytes, fewer than"):
        assert log(run).restore()[0].name == "e0000-b00000", "the one before it saw no log yet"


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


def test_a_new_run_lies_in_a_folder_named_after_what_it_is_and_when_it_began(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    spec = resolve("p2o", sets=["model.id=lab/qwen", "eval.bench=tb-id,tb-long", "train.set=gsm8k"])
    before = datetime.now(UTC).replace(microsecond=0)
    path = RunDir.new(spec, None, tmp_path).path
    assert path.parent == tmp_path / "p2o--qwen--tb-id+tb-long"
    stamp, hash8 = path.name.split("-")
    assert hash8 == spec.hash()[:8] and len(hash8) == 8
    began = datetime.strptime(stamp + "+0000", "%Y%m%dT%H%M%S%z")
    assert before <= began <= datetime.now(UTC), "in UTC, by the second"
    monkeypatch.undo()
    time.tzset()
    assert RunDir.new(SPEC, None).path.parts[0] == "runs" and not path.parent.exists(), "nothing is written"


def test_a_run_begins_in_an_empty_place(tmp_path):
    (tmp_path / "empty").mkdir()
    assert RunDir.new(SPEC, tmp_path / "empty").path == tmp_path / "empty"
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    for name in ("file", "full"):
        said = f"{name} already holds files; add --resume to resume that run, or name another --out$"
        with pytest.raises(UsageError, match=said):
            RunDir.new(SPEC, tmp_path / name)


def test_what_was_asked_is_written_once(run):
    spec, env = (json.loads((run.path / name).read_text()) for name in ("spec.json", "env.json"))
    assert spec["hash"] == SPEC.hash() and spec["spec"] == SPEC.model_dump(mode="json") and spec["data"] == {}
    (run.path / "env.json").write_text(json.dumps({**env, "cpus": 77}))
    run.write_spec(SPEC, {"file": "aa"})
    assert run.environment().cpus == 77, "a resumed run keeps its own"
    with pytest.raises(HarnessError, match="holds a run of another spec, begun meanwhile; name another --out$"):
        run.write_spec(resolve("p2o"))


def test_data_that_changed_are_named_and_new_ones_are_none(tmp_path):
    run = RunDir(tmp_path / "run")
    run.write_spec(SPEC, {"one": "aa", "two": "bb", "three": "cc"})
    run.write_spec(SPEC, {"one": "aa", "four": "dd"})
    with pytest.raises(UsageError) as e:
        run.write_spec(SPEC, {"one": "xx", "two": "bb", "three": "yy"})
    assert str(e.value) == (
        f"cannot resume {run.path}: one, three changed since it began; put the old file back, or start anew"
    )


def test_only_an_unfinished_run_of_the_same_spec_is_resumed(tmp_path, run):
    assert RunDir.resume(SPEC, run.path).path == run.path
    (tmp_path / "other").mkdir()
    with pytest.raises(UsageError, match="^nothing to resume: .*other holds no spec.json$"):
        RunDir.resume(SPEC, tmp_path / "other")
    with pytest.raises(UsageError) as e:
        RunDir.resume(resolve("grpo", sets=["train.lr=1e-3"]), run.path)
    assert str(e.value) == f"cannot resume {run.path} under another spec; changed: train.lr"
    with pytest.raises(UsageError) as e:
        RunDir.resume(SPEC, None, tmp_path)
    assert str(e.value) == "nothing to resume: no run of this very spec; start it without --resume, or name --out"
    write_result(run.path, result())
    assert run.finished and RunDir.resume(SPEC, run.path).path == run.path, "its report is missing"
    (run.path / "report.html").touch()
    with pytest.raises(UsageError, match=f"^nothing to resume: the run at {run.path} is finished$"):
        RunDir.resume(SPEC, run.path)
    (run.path / "result.json").unlink()
    assert not run.finished and RunDir.resume(SPEC, run.path).path == run.path


def test_the_newest_of_three_is_resumed(tmp_path):
    for stamp in ("20260103T000000", "20260101T000000", "20260102T000000"):
        RunDir(RunDir.default_parent(SPEC, tmp_path) / f"{stamp}-{SPEC.hash()[:8]}").write_spec(SPEC)
    RunDir(RunDir.default_parent(SPEC, tmp_path) / "20260104T000000-00000000").write_spec(
        resolve("grpo", sets=["train.lr=3e-4"])
    )
    assert RunDir.resume(SPEC, None, tmp_path).path.name == f"20260103T000000-{SPEC.hash()[:8]}"


def test_a_damaged_run_beside_it_does_not_hide_the_one_to_resume(tmp_path):
    parent = RunDir.default_parent(SPEC, tmp_path)
    RunDir(parent / f"20260103T000000-{SPEC.hash()[:8]}").write_spec(SPEC)
    (parent / "20260104T000000-00000000").mkdir()
    (parent / "20260104T000000-00000000" / "spec.json").write_text("{")
    assert RunDir.resume(SPEC, None, tmp_path).path.name.startswith("20260103")
    (parent / f"20260103T000000-{SPEC.hash()[:8]}" / "spec.json").write_text("{")
    with pytest.raises(HarnessError, match="20260103T000000.*spec.json"):
        RunDir.resume(SPEC, None, tmp_path)


def test_a_lock_is_free_after_its_holder(run):
    with run, pytest.raises(HarnessError, match=f"^another process is writing to {run.path}$"), RunDir(run.path):
        pass
    with RunDir(run.path) as again:
        assert again.path == run.path


def test_what_only_the_backend_knows_is_added_to_the_environment(run):
    before = run.environment()
    run.note(rendering_sha256="ab", model_revision="cd")
    assert run.environment() == replace(before, rendering_sha256="ab", model_revision="cd")
    run.note(rendering_sha256="ef")
    assert run.environment() == replace(before, rendering_sha256="ef", model_revision=None)


def test_command_lines_add_up_without_secrets(run, monkeypatch):
    """Values of eight characters or more, of variables that are named like secrets; shorter ones occur in any word."""
    values = {"A_TOKEN": "12345678", "my_password": "1234567", "CREDENTIALS": "abcdefghi", "HOMELY": "longer-than-8"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    run.log_command(["x", "--key", "12345678", "1234567"])
    run.log_command(["y", "abcdefghi=abcdefghi", "longer-than-8", "a b"])
    assert run.environment().commands == [
        "x --key $A_TOKEN 1234567",
        "y $CREDENTIALS=$CREDENTIALS longer-than-8 'a b'",
    ]


def test_samples_of_a_seed_take_the_place_of_its_own_and_no_others(run):
    run.store_samples(0, {"s": [sample(suite="s", completion="old")], "t": [sample(suite="t", completion="é")]})
    run.store_samples(1, {"s": [sample(suite="s", completion="other", seed=7)]})
    run.store_samples(0, {"s": [sample(suite="s", completion="new"), sample(suite="s", completion="more")]})
    found = {s: [(r.seed, r.completion) for r in read_samples(samples_path(run.path, s))] for s in "st"}
    assert found == {"s": [(1, "other"), (0, "new"), (0, "more")], "t": [(0, "é")]}


def test_a_finished_seed_is_read_as_it_was_written(run):
    found = seed_result([], {"engine": "a"}, {}, Ledger(rollouts=3), "entropy")
    assert not run.seed_done(4)
    run.write_seed(4, found)
    assert run.seed_done(4) and not run.seed_done(3) and run.read_seed(4) == found
    assert (run.path / "results" / "s4.json").is_file()
    (run.path / "results" / "s4.json").write_text("{")
    with pytest.raises(HarnessError, match="s4.json"):
        run.read_seed(4)


def test_of_a_finished_seed_only_the_policy_stays_and_other_seeds_keep_all(run):
    kept = ["ckpt/s1/final/w", "ckpt/s1/notes", "openrlhf/s1/log"]
    gone = ["ckpt/s1/e0001-b00002/w", "ckpt/s1/e0001-b00003.tmp/w", "partial/s1/x"]
    gone += ["openrlhf/s1/checkpoints/w"]
    others = [name.replace("s1/", "s2/") for name in kept + gone]
    for name in kept + gone + others:
        path = run.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    before = {str(p.relative_to(run.path)) for p in run.path.rglob("*") if p.is_file()}
    for _ in range(2):  # the second time nothing is left to do
        run.drop_checkpoints(1)
        assert {str(p.relative_to(run.path)) for p in run.path.rglob("*") if p.is_file()} == before - set(gone)
        assert not (run.path / "partial" / "s1").exists() and (run.path / "partial" / "s2").exists()
        assert not list((run.path / "ckpt" / "s1").glob("e*"))
    run.drop_checkpoints(2)
    assert not (run.path / "partial").exists()
    run.drop_checkpoints(3)


def test_one_command_begins_resumes_and_leaves_alone_what_is_finished(tmp_path):
    out = tmp_path / "run"
    run = RunDir.chosen(SPEC, out, resume=False, go_on=True)
    assert run.path == out and not out.exists() and not run.complete
    with run:  # killed before it wrote its settings
        (out / "env.json").touch()
        (out / f".spec.json-{'0' * 16}.tmp").touch()
    begun = RunDir.begin_or_resume(SPEC, out)
    begun.write_spec(SPEC)
    assert begun.environment().commands == []
    assert RunDir.begin_or_resume(SPEC, out).path == out
    other = resolve("grpo", sets=["train.lr=1e-3"])
    with pytest.raises(UsageError, match="changed: train.lr$"):
        RunDir.begin_or_resume(other, out)
    write_result(out, result())
    assert not RunDir.begin_or_resume(SPEC, out).complete, "its report is missing"
    (out / "report.html").touch()
    assert RunDir.begin_or_resume(SPEC, out).complete
    with pytest.raises(UsageError, match="changed: train.lr$"):
        RunDir.begin_or_resume(other, out)


def test_what_is_no_run_is_neither_begun_nor_resumed(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").touch()
    for path in (tmp_path / "notes", tmp_path / "notes" / "mine.txt"):
        with pytest.raises(UsageError, match="already holds files"):
            RunDir.begin_or_resume(SPEC, path)
    with pytest.raises(UsageError, match="^--continue needs --out"):
        RunDir.begin_or_resume(SPEC, None)
    with pytest.raises(UsageError, match="leave --resume out"):
        RunDir.chosen(SPEC, tmp_path / "run", resume=True, go_on=True)
