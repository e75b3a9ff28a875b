"""What a crash, a full disk, a foreign hand or a jumping clock leaves behind, and that a run goes on from it."""

import errno
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import harness.run
from harness.cli import main
from harness.core.errors import HarnessError, UsageError
from harness.core.types import Context, Group, Problem, Rollout
from harness.runs.files import append_jsonl, mend, read_jsonl, write_json
from harness.runs.rundir import RunDir
from harness.training.seedlog import SeedLog
from support.results import sample
from support.settings import resolve

SPEC = resolve("grpo")
PROBLEMS = [Problem(f"p{i}", f"q{i}", "1") for i in range(4)]
AT = {"epoch": 0, "batch": 2, "done": False, "method": {}}


@pytest.fixture
def run(tmp_path):
    run = RunDir(tmp_path / "run")
    run.write_spec(SPEC, {"training set 'x'": "aa"})
    return run


def log(run, seed=0):
    return SeedLog(run, seed, SPEC, PROBLEMS, lambda done, text: None)


def group():
    return Group(PROBLEMS[0], [Rollout(Context("q", "q"), "text", [1, 2, 3], [-1.0] * 3, 7)])


def samples(*seeds):
    return {"s": [sample(suite="s", completion="é\u2028", seed=seed, eval_seed=seed) for seed in seeds]}


def no_space(*args):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a file")


# ------------------------------------------------------------------ files


@pytest.mark.parametrize("torn", ['{"a": ', '{"a": 3}', "x" * 200_000])
@pytest.mark.parametrize("whole", [[], [{"a": 1}, {"a": "ü\u2028"}]])
def test_rows_after_a_torn_line_are_rows(tmp_path, torn, whole):
    path = tmp_path / "x.jsonl"
    append_jsonl(path, whole)
    with path.open("a") as f:
        f.write(torn)
    append_jsonl(path, [{"b": 2}])
    assert read_jsonl(path) == [*whole, {"b": 2}]


def test_a_line_torn_within_a_character_is_left_out(tmp_path):
    path = tmp_path / "x.jsonl"
    append_jsonl(path, [{"a": "ü"}, {"a": "ü"}])
    os.truncate(path, path.read_bytes().rfind("ü".encode()) + 1)
    assert read_jsonl(path) == [{"a": "ü"}]


def test_mending_leaves_an_unharmed_file_alone(tmp_path):
    path = tmp_path / "x.jsonl"
    for text in ("", '{"a": 1}\n', '{"a": 1}\n' * 20_000):
        path.write_text(text)
        mend(path)
        assert path.read_text() == text


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "x.jsonl"
    for bad in ('{"a": 1}{"a": 2}', "[1]", "\0\0"):
        path.write_text('{"a": 0}\n' + bad + "\n")
        with pytest.raises(HarnessError, match="x.jsonl, line 2 is damaged"):
            read_jsonl(path)


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    write_json(tmp_path / "x.json", {"old": True})
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError):
        write_json(tmp_path / "x.json", {"new": True})
    assert json.loads((tmp_path / "x.json").read_text()) == {"old": True}


def test_samples_of_other_seeds_outlive_a_crash_while_one_is_stored(run, monkeypatch):
    run.store_samples(0, samples(10, 11))
    run.store_samples(1, samples(20))
    path = run.path / "samples" / "s.jsonl"
    before = path.read_bytes()
    with monkeypatch.context() as m:
        m.setattr(os, "replace", no_space)
        with pytest.raises(OSError):
            run.store_samples(1, samples(21))
    assert path.read_bytes() == before
    run.store_samples(1, samples(20))
    assert path.read_bytes() == before, "stored again, the same bytes"
    run.store_samples(1, samples(21))
    assert [(r["seed"], r["eval_seed"]) for r in read_jsonl(path)] == [(0, 10), (0, 11), (1, 21)]


# ------------------------------------------------------------------ checkpoints


def test_the_last_checkpoint_is_never_taken_away_to_write_it_again(run):
    one = log(run)
    one.checkpoint(AT, lambda folder: (folder / "weights").write_text("w"))
    one.checkpoint(AT, lambda folder: pytest.fail("there is one of this very batch"))
    folder, _ = one.restore()
    assert (folder / "weights").read_text() == "w"


def test_a_crash_at_any_operation_of_a_checkpoint_leaves_one_that_restores(run, monkeypatch):
    """Each operation in turn fails; what a resume then finds is the old checkpoint or the new one, whole."""
    names = [(os, "replace"), (os, "fsync"), (Path, "rename"), (Path, "mkdir"), (shutil, "rmtree")]
    failed = dict.fromkeys((name for _, name in names), 0)
    for owner, name in names:
        for nth in range(8):
            one = log(run)
            had = one.restore() is not None
            one.step(0, nth, [group()], {"reward": 0.0})
            calls, real = [0], getattr(owner, name)

            def fail(*args, _real=real, _calls=calls, _nth=nth, **kwargs):
                _calls[0] += 1
                return no_space() if _calls[0] > _nth else _real(*args, **kwargs)

            with monkeypatch.context() as m:
                m.setattr(owner, name, fail)
                try:
                    one.checkpoint({**AT, "batch": nth + 1}, lambda folder: (folder / "weights").write_text("w"))
                except OSError:
                    failed[name] += 1
            again = log(run)
            restored = again.restore()
            assert restored or not had, "what could be restored before still can"
            if restored:
                assert (restored[0] / "weights").read_text() == "w"
                assert len(again.groups) == len(read_jsonl(run.path / "metrics.jsonl"))
    assert all(failed.values()), failed


def test_a_full_disk_in_words_of_torch_is_a_full_disk(run, monkeypatch):
    def write(folder):
        raise RuntimeError("PytorchStreamWriter failed writing file data/3")

    one = log(run)
    with pytest.raises(RuntimeError):
        one.checkpoint(AT, write)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    with pytest.raises(OSError, match="No space left") as e:
        one.checkpoint(AT, write)
    assert e.value.errno == errno.ENOSPC and one.restore() is None


def test_a_log_that_somebody_cut_is_not_filled_up_with_zeros(run):
    one = log(run)
    one.step(0, 0, [group()], {"reward": 0.0})
    one.checkpoint(AT, lambda folder: None)
    os.truncate(run.path / "metrics.jsonl", 5)
    with pytest.raises(HarnessError, match="metrics.jsonl has 5 bytes"):
        log(run).restore()


# ------------------------------------------------------------------ resuming


def test_a_finished_run_is_not_resumed(run):
    RunDir.resume(SPEC, run.path)
    write_json(run.path / "result.json", {})
    RunDir.resume(SPEC, run.path)  # killed before the report was written
    (run.path / "report.html").write_text("")
    with pytest.raises(UsageError, match="nothing to resume: .* is finished"):
        RunDir.resume(SPEC, run.path)


def test_a_run_is_resumed_on_the_data_that_it_began_with(run):
    run.write_spec(SPEC, {"training set 'x'": "aa"})
    with pytest.raises(UsageError, match="training set 'x' changed since it began"):
        run.write_spec(SPEC, {"training set 'x'": "bb"})


def test_two_that_begin_at_once_do_not_mix(run):
    with pytest.raises(HarnessError, match="another spec"):
        run.write_spec(resolve("p2o"))


def test_seconds_add_up_over_a_resume_whatever_the_clock_says(run, monkeypatch):
    """The clock of durations starts anywhere in each process; that of the day may jump."""
    monkeypatch.setattr(time, "time", lambda: -1e9)
    ticks = iter([1000.0, 1003.0, 5.0, 9.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    one = log(run)
    with one.ledger.clock():
        pass
    one.checkpoint(AT, lambda folder: None)
    assert one.ledger.wall_seconds == 3.0
    again = log(run)
    again.restore()
    with again.ledger.clock():
        pass
    assert again.ledger.wall_seconds == 7.0


def test_durations_are_measured_by_a_clock_that_does_not_jump():
    package = Path(harness.__file__).parent
    assert [p for p in package.rglob("*.py") if "time.time()" in p.read_text()] == []


# ------------------------------------------------------------------ what the user reads


def cli(capsys, monkeypatch, error):
    def fail(*args):
        raise error

    monkeypatch.setattr(harness.run, "prepare", fail)
    monkeypatch.setattr(sys, "argv", ["harness", "run", "--method", "grpo"])
    with pytest.raises(SystemExit) as e:
        main()
    return e.value.code, capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_the_disks_errors_are_a_sentence(capsys, monkeypatch, number):
    code, said = cli(capsys, monkeypatch, OSError(number, os.strerror(number), "runs/x/metrics.jsonl"))
    assert code == 1 and said.startswith(f"error: {os.strerror(number)}: runs/x/metrics.jsonl") and "--resume" in said


def test_a_bug_is_not_mistaken_for_the_disk(capsys, monkeypatch):
    monkeypatch.setattr(harness.run, "prepare", lambda *args: open("/nowhere/at/all"))
    monkeypatch.setattr(sys, "argv", ["harness", "run", "--method", "grpo"])
    with pytest.raises(FileNotFoundError):
        main()


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write the run directory"), RunDir(tmp_path / "file" / "run"):
        pass


def test_a_lock_that_a_killed_process_held_is_free(tmp_path):
    import subprocess

    hold = (
        "import os, signal, sys; from pathlib import Path; from harness.runs.rundir import RunDir; "
        "RunDir(Path(sys.argv[1])).__enter__(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", hold, str(tmp_path / "run")], check=False)
    assert killed.returncode == -signal.SIGKILL and (tmp_path / "run" / ".lock").exists(), "it held the lock when it died"
    with RunDir(tmp_path / "run") as run:
        assert run.path == tmp_path / "run"


def test_what_a_killed_harness_left_running_is_ended(tmp_path):
    import subprocess

    from harness.training.openrlhf.backend import end, marked

    mark = f"HARNESS_JOB={tmp_path}"
    wait = "import time; time.sleep(60)"
    left = subprocess.Popen([sys.executable, "-c", wait], env={**os.environ, "HARNESS_JOB": str(tmp_path)})
    while marked(mark) != [left.pid]:
        time.sleep(0.01)
    end(mark, left)
    assert left.wait() < 0 and marked(mark) == []
