"""Seeds side by side: who runs when, on which GPU, what is said of one that fails, what is refused. No seed trains here."""

import json
import subprocess
import sys

import pytest

from harness.cli.apart import check_jobs, without
from harness.core.errors import HarnessError, MissingError, UsageError
from harness.doctor.machine import Machine
from harness.doctor.memory import local_needs
from harness.doctor.room import check_jobs_memory
from harness.doctor.shapes import config_of, shape
from harness.runs.merging import adopt
from harness.runs.result import SeedResult
from harness.runs.rundir import RunDir
from harness.study import seeds as s
from harness.study.children import Devices, Watch
from support.command import harness
from support.settings import resolve


def spec(*seeds):
    return resolve("grpo", flags={"seeds": list(seeds), "eval": {"bench": "tb-id"}})


class Fake(s.Apart):
    """A seed is a process that says when it starts and ends. Those in `together` wait for each other's start; `broken` maps a
    seed to what it says and its exit code."""

    together = ()
    broken = {}

    def __init__(self, tmp_path, *seeds, jobs=2):
        super().__init__(spec(*seeds), jobs, lambda seed, path: [], units=10, planned=6)
        self.events = tmp_path / "events"
        self.events.touch()
        self.ticks = []

    def started(self, monkeypatch):
        def spawn(words, log, env):
            seed, path = int(words[0]), log.with_suffix("")
            part = RunDir(path)
            part.write_spec(spec(seed))
            part.write_seed(seed, SeedResult(identity={}, suites={}))
            (path / "metrics.jsonl").write_text(json.dumps({"seed": seed, "kind": "batch", "epoch": 0, "rollouts": 6}) + "\n")
            log.write_text("UserWarning: slow disk\n")
            others = {f"+{other}" for other in self.together if seed in self.together}
            said, code = self.broken.get(seed, ("", 0))
            done = f"[open({str(path)!r} + n, 'w').close() for n in ('/result.json', '/report.html')]" if not code else "0"
            program = f"""if True:
                import os, sys, time
                e = open({str(self.events)!r}, 'a', 1); e.write('+{seed}\\n')
                while not {others} <= set(open({str(self.events)!r}).read().split()): time.sleep(0.01)
                {done}; e.write('-{seed}\\n'); print({said!r})
                os.kill(os.getpid(), -({code})) if {code} < 0 else sys.exit({code})"""
            with log.open("ab") as file:
                return subprocess.Popen([sys.executable, "-S", "-c", program], stdout=file, stderr=file, start_new_session=True)

        self.words = lambda seed, path: [str(seed)]
        monkeypatch.setattr(s, "spawn", spawn)
        monkeypatch.setattr(s, "POLL_S", 0.01)
        return self

    def do(self, run):
        self(run, lambda done, text: self.ticks.append((done, text)))
        return self.events.read_text().split()


@pytest.fixture
def run(tmp_path):
    found = RunDir(tmp_path / "run")
    found.write_spec(spec(3, 1, 2))
    return found


def test_two_at_a_time_and_adopted_in_the_order_of_the_settings(tmp_path, run, monkeypatch, capsys):
    apart = Fake(tmp_path, 3, 1, 2).started(monkeypatch)
    apart.together = (3, 1)
    order = apart.do(run)
    assert set(order[:2]) == {"+3", "+1"} and order.index("+2") > min(order.index("-3"), order.index("-1"))
    rows = [json.loads(line)["seed"] for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert rows == [3, 1, 2] and all(map(run.seed_done, (3, 1, 2)))
    assert not (run.path / ".seeds").exists()
    assert capsys.readouterr().err.splitlines() == [f"seed {seed}: UserWarning: slow disk" for seed in (3, 1, 2)]
    done = [units for units, _ in apart.ticks]
    assert done == sorted(done) and done[-1] == 30, "units of all seeds"
    assert apart.do(run) == order, "all is done: nothing starts"


def test_a_dead_process_costs_its_seed_alone(tmp_path, run, monkeypatch):
    apart = Fake(tmp_path, 3, 1, 2).started(monkeypatch)
    apart.broken = {1: ("", -9)}
    with pytest.raises(
        HarnessError, match=r"seed 1: its process was killed by signal 9, as .* fewer --jobs .*s1\.log; the other"
    ) as e:
        apart.do(run)
    assert e.value.exit_code == 1
    assert run.seed_done(3) and not run.seed_done(2), "seed 2 waits for its turn, done"
    assert RunDir(run.seed_apart(2)).complete
    apart.broken = {}
    order = apart.do(run)
    assert order.count("+1") == 2 and order.count("+2") == 1
    assert [json.loads(x)["seed"] for x in (run.path / "metrics.jsonl").read_text().splitlines()] == [3, 1, 2]


def test_one_reason_is_said_once_with_its_exit_code(tmp_path, run, monkeypatch):
    apart = Fake(tmp_path, 3, 1, 2).started(monkeypatch)
    apart.broken = dict.fromkeys((1, 2, 3), ("error: no model 'x'", 3))
    with pytest.raises(MissingError, match="^seeds 1, 2, 3: no model 'x'; the other seeds are kept"):
        apart.do(run)
    apart.broken = {1: ("error: no model 'x'", 3), 2: ("error: bad", 2)}
    with pytest.raises(HarnessError, match="seed 1: no model 'x'; seed 2: bad") as e:
        apart.do(run)
    assert e.value.exit_code == 1


def test_adoption_may_be_done_again(tmp_path, run):
    part = RunDir(run.seed_apart(1))
    part.write_spec(spec(1))
    (part.path / "metrics.jsonl").write_text('{"seed": 1, "n": 1}\n')
    (part.path / "samples").mkdir()
    (part.path / "samples" / "tb-id.jsonl").write_text('{"seed": 1, "x": 2}\n')
    part.write_seed(1, SeedResult(identity={}, suites={}))
    (run.path / "metrics.jsonl").write_text('{"seed": 3, "n": 0}\n{"seed": 1, "n": 7}\n')  # that of a try without a checkpoint
    for _ in range(2):
        adopt(run, part.path, 1)
    assert (run.path / "metrics.jsonl").read_text() == '{"seed": 3, "n": 0}\n{"seed": 1, "n": 1}\n'
    assert (run.path / "samples" / "tb-id.jsonl").read_text() == '{"seed": 1, "x": 2}\n'
    assert run.read_seed(1) == part.read_seed(1)
    (run.path / "ckpt" / "s1" / "final").mkdir(parents=True)
    (run.path / "results" / "s1.json").unlink()
    assert not run.seed_begun(1), "cut short in its midst: it is adopted again, not trained again"
    (run.path / "ckpt" / "s2" / "e0000-b00001").mkdir(parents=True)
    assert run.seed_begun(2)
    other = RunDir(run.seed_apart(2))
    other.write_spec(resolve("grpo", sets=["train.lr=0.5"], flags={"seeds": [2], "eval": {"bench": "tb-id"}}))
    with pytest.raises(HarnessError, match="other settings"):
        adopt(run, other.path, 2)


def test_gpus_are_shared_out():
    devices = Devices("2, 5,MIG-7")
    first = [devices.take() for _ in range(4)]
    assert [d["CUDA_VISIBLE_DEVICES"] for d in first] == ["2", "5", "MIG-7", "2"]
    devices.give_back(first[1])
    assert devices.take() == {"CUDA_VISIBLE_DEVICES": "5"}
    assert Devices("0").take() == {} == Devices("").take()


def test_how_far_a_seed_is(tmp_path):
    watch = Watch()
    assert watch.units(tmp_path, (), 8) == 0
    (tmp_path / "metrics.jsonl").write_text('{"seed": 1, "kind": "batch", "epoch": 0, "rollouts": 5}\n')
    assert watch.units(tmp_path, (), 8) == 5
    partial = tmp_path / "partial" / "s1" / "tb-id.jsonl"
    partial.parent.mkdir(parents=True)
    for lines in (1, 3):
        partial.write_text("{}\n" * lines + "{")
        assert watch.units(tmp_path, (), 8) == 8 + lines


def test_memory_for_so_many(monkeypatch):
    own = spec(0)
    needs = local_needs(own, shape(config_of(own, True), own.model.dtype), None)
    peak = max(needs.training, needs.sampling)
    monkeypatch.setattr("harness.doctor.room.free_bytes", lambda device: int(3.5 * peak))
    assert check_jobs_memory(own, 3, Machine(), False, 1).status == "ok"
    found = check_jobs_memory(own, 4, Machine(), False, 1)
    assert (found.status, found.todo) == ("fails", "--jobs 3 fits")
    assert f"4 processes take {4 * peak / 1e9:.1f} GB of main memory" in found.found
    gpus = Machine(gpus=2, gpu_memory_gb=2.5 * peak / 1e9)
    assert check_jobs_memory(own, 4, gpus, False, 2).status == "ok"
    assert check_jobs_memory(own, 40, gpus, False, 2).todo == "--jobs 4 fits"
    monkeypatch.setattr("harness.doctor.room.free_bytes", lambda device: None)
    assert check_jobs_memory(own, 4, Machine(), False, 1).status == "unchecked"


def test_bad_input(capsys, monkeypatch, tmp_path):
    with pytest.raises(UsageError, match="--jobs is for the local backend"):
        check_jobs(resolve("grpo", sets=["backend.name=openrlhf"]), 2)
    words = ["run", "--method", "grpo", "--bench", "tb-id", "--out", tmp_path / "run"]
    for more, code, said in [
        (["--jobs", "0"], 2, "0 is not in the range x>=1"),
        (["--jobs", "two"], 2, "'two' is not a valid integer"),
        (["--track", "tensorbord"], 2, "unknown tracker 'tensorbord'; did you mean 'tensorboard'?"),
        (["--track", ""], 2, "unknown tracker ''"),
    ]:
        found, _, err = harness(capsys, *words, *more)
        assert (found, said in err) == (code, True), err
    monkeypatch.setattr("harness.doctor.room.free_bytes", lambda device: int(1.5e9))
    found, _, err = harness(capsys, *words, "--seeds", "0,1,2,3", "--jobs", "4")
    assert found == 1 and "4 processes take" in err and "--jobs 1 fits, or --no-doctor" in err and err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_words_of_a_child():
    words = ["--method", "p2o", "--seeds=0,1", "--jobs", "2", "--resume", "--set", "a=1", "--out", "x", "--json"]
    assert without(words, ("--seeds", "--out", "--jobs"), ("--resume", "--json")) == ["--method", "p2o", "--set", "a=1"]
