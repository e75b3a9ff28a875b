"""Studies: the file, its product, what is refused, the plan, who runs when. No cell trains here."""

import datetime
import json
import os
import signal
import subprocess
import sys
import threading

import pytest
import yaml
from msgspec.structs import replace

from harness import study as s
from harness.core.errors import HarnessError, UsageError
from harness.core.ledger import Ledger
from harness.registry import methods, presets, studies
from harness.runs.files import write_json
from harness.study.jobs import jobs_of
from harness.study.local import Local
from support.results import result
from support.runs import write_run
from support.settings import resolve

TINY = {"train": {"epochs": 2, "prompts_per_batch": 16}, "testbed.problems": 32}


def write(folder, arms=None, **more):
    path = folder / "study.yaml"
    arms = {"p2o": {"method": "p2o"}, "grpo": {"method": "grpo"}} if arms is None else arms
    tree = {"title": "t", "recipe": "testbed", "bench": "tb-id", "seeds": [0, 1], "settings": TINY, "arms": arms, **more}
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


def cells(path, **options):
    return s.prepare_study(s.load_study(str(path)), None, **options)


def test_product_of_arms_and_conditions(tmp_path, quick):
    path = write(
        tmp_path,
        conditions={"cold": {"train.temperature": 0.6}, "hot": {"train": {"temperature": 1.0}}},
        arms={"a": {"method": "p2o-tau-4"}, "b": {"method": "grpo", "settings": {"train.lr": 0.5}}},
    )
    found = cells(path)
    assert [c.name for c in found] == ["cold--a", "cold--b", "hot--a", "hot--b"]
    seen = [(c.spec.method, c.spec.train.temperature, c.spec.train.lr, c.spec.seeds) for c in found]
    plain = resolve("grpo").train.lr
    assert seen == [
        ("p2o-tau-4", 0.6, plain, (0, 1)),
        ("grpo", 0.6, 0.5, (0, 1)),
        ("p2o-tau-4", 1.0, plain, (0, 1)),
        ("grpo", 1.0, 0.5, (0, 1)),
    ]
    assert all(c.spec.train.epochs == 2 and c.spec.testbed.problems == 32 for c in found)
    assert found[0].spec.method_config["hard_below"] == 4
    assert {c.spec.seeds for c in cells(path, seeds=[7])} == {(7,)}
    assert [c.name for c in cells(path, only=["b"]) if c.chosen] == ["cold--b", "hot--b"]


def test_the_command_of_a_cell_makes_its_spec(tmp_path, quick):
    """A cell's process gets its settings as --set: nested, dotted, quoted and null ones mean the same there."""
    flags = {"backend": {"name": "openrlhf", "flags": {"actor.entropy_coef": 0.5}}, "p2o.reflector.record": None}
    [cell] = cells(write(tmp_path, {"a": {"method": "p2o", "settings": flags}}))
    assert cell.spec == resolve("p2o", sets=cell.sets, flags={"eval": {"bench": "tb-id"}, "seeds": [0, 1]})
    assert cell.spec.backend.flags == {"actor.entropy_coef": 0.5} and cell.spec.train.prompts_per_batch == 16


@pytest.mark.parametrize(
    "change, words",
    [
        ({"titel": "x"}, "unknown setting 'titel'; did you mean 'title'"),
        ({"arms": {"a": {"method": "grpo", "setings": {}}}}, "arms.a.setings'; did you mean 'arms.a.settings'"),
        ({"arms": {"a": {"method": "grop"}}}, "a: unknown method 'grop'; did you mean 'grpo'"),
        (
            {"arms": {"a": {"method": "grpo", "settings": {"train.lrr": 1}}}},
            "a: unknown setting 'train.lrr'; did you mean 'train.lr'",
        ),
        ({"arms": {"a/b": {"method": "grpo"}}}, "a/b"),
        ({"arms": {}}, "arms"),
        ({"baseline": "grop"}, "baseline: no arm 'grop'; did you mean 'grpo'"),
        ({"recipe": "testbet"}, "did you mean 'testbed'"),
        ({"settings": {"seeds": [1]}}, "say seeds at the top"),
        ({"settings": {"train.lr": datetime.date(2024, 1, 1)}}, "train.lr: Input should be a valid number"),
        ({"arms": {"a\x1b\nb": {"method": "grpo"}}}, r"arms.'a\x1b\nb'"),
        ({"settings": {"eval": {"bench": "ood"}}}, "say bench at the top"),
        ({"arms": {"a": {"method": "grpo", "match": "b"}}}, "arms.a.match: no arm 'b'"),
        ({"arms": {"a": {"method": "grpo", "match": "b"}, "b": {"method": "p2o", "match": "a"}}}, "circle: a, b, a"),
        (
            {"arms": {"a": {"method": "grpo"}, "b": {"method": "grpo-t1", "settings": {"train.temperature": 0.6}}}},
            "a and b are the same run",
        ),
        (
            {"arms": {"a": {"method": "grpo"}, "b": {"method": "p2o", "settings": {"testbed.world": "open"}}}},
            "a and b cannot be compared, they differ in testbed.world",
        ),
    ],
)
def test_refused_before_anything_runs(tmp_path, quick, change, words):
    with pytest.raises(UsageError) as e:
        cells(write(tmp_path, **change))
    assert words in str(e.value)


def test_unknown_study_and_arm(tmp_path, quick):
    with pytest.raises(UsageError, match="did you mean 'testbed-main'"):
        s.load_study("testbed-man")
    with pytest.raises(UsageError, match="--only: no arm 'p20'; did you mean 'p2o'"):
        cells(write(tmp_path), only=["p20"])


@pytest.mark.parametrize("name", studies())
def test_shipped_studies_resolve(name, quick):
    study = s.load_study(name)
    found = s.prepare_study(study, None)
    assert len(found) == len(study.arms) * max(len(study.conditions), 1) and study.baseline in study.arms
    count = 5 if name in ("skills-demo", "drills-main", "words-gpu") else 8 if name.startswith(("testbed", "skills")) else 3
    assert {c.spec.seeds for c in found} == {tuple(range(count))}
    assert study.text and study.title


def test_shipped_studies_leave_no_arm_out():
    """Every method and preset is in a testbed study, but for what needs a policy that writes or reads English."""
    english = {"self-hint-answer", "p2o-book", "p2o-placebo-book", "p2o-policy-reflects", "p2o-initial-reflects"}
    shipped = [s.load_study(n) for n in studies() if n.startswith("testbed")]
    assert {a.method for st in shipped for a in st.arms.values()} == {*methods(), *presets()} - english


def test_plan_is_that_of_the_single_runs(tmp_path, capsys):
    """Against `harness run --dry-run` of the same cell, times its seeds; a matched one may write what its arm may."""
    from harness.cli import main

    path = write(tmp_path, {"grpo": {"method": "grpo"}, "hot": {"method": "grpo-t1", "match": "grpo"}})

    def last_line(*words):
        sys.argv = ["harness", *map(str, words)]
        with pytest.raises(SystemExit) as e:
            main()
        assert e.value.code == 0
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    single = last_line(
        "run",
        "--method",
        "grpo",
        "--bench",
        "tb-id",
        "--seeds",
        "0,1",
        "--set",
        "testbed.problems=32",
        "--set",
        "train.epochs=2",
        "--set",
        "train.prompts_per_batch=16",
        "--dry-run",
        "--json",
    )
    planned = last_line("study", "plan", path, "--json")["cells"]
    assert (planned[0]["plan"], planned[0]["hash"]) == (single["plan"], single["hash"])
    assert planned[1]["match"] == "grpo"
    assert planned[1]["spec"]["train"]["max_sampled_tokens"] == single["plan"]["generated_tokens"]
    study = s.load_study(str(path))
    cells = s.prepare_study(study, None)
    rows = s.plan_table(study, cells, s.costs_of(cells)).rows
    # 2 epochs x 32 problems x 6 rollouts x 2 seeds; 24 new tokens each
    assert rows[0][:4] == ("grpo", "grpo", "2", "768") and rows[0][5] == "8" and rows[-1][0] == "total"
    assert rows[1][-1] == "tokens of grpo"


def finished(path, cell, tokens=()):
    """What of a finished run a study looks at."""
    ledgers = {i: Ledger(generated_tokens=t) for i, t in enumerate(tokens or [0])}
    found = result(cell.spec.method, {seed: 0.5 for seed in ledgers})
    write_run(path, replace(found, ledgers=ledgers), spec=cell.spec.model_dump(mode="json"))
    (path / "report.html").touch()


def test_a_changed_study_names_cells_and_fields(tmp_path, quick):
    path, out = write(tmp_path), tmp_path / "out"
    study, before = s.load_study(str(path)), cells(path)
    s.StudyDir(out, study, before, None)._write({})
    finished(out / "cells" / "grpo", before[1])
    write(tmp_path, arms={"p2o": {"method": "p2o"}, "grpo": {"method": "grpo", "settings": {"train.lr": 0.5}}})
    with pytest.raises(UsageError, match=r"changed: grpo: train\.lr$"):
        s.StudyDir(out, study, cells(path), None)
    write(tmp_path, arms={"p2o": {"method": "p2o-tau-4"}, "grpo": {"method": "grpo"}})
    s.StudyDir(out, study, cells(path), None)  # that one has not begun
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").touch()
    with pytest.raises(UsageError, match="no study's"):
        s.StudyDir(tmp_path / "other", study, before, None)
    for left in (tmp_path / "other").iterdir():
        left.rename(left.with_name(".study.json-0123456789abcdef.tmp"))
    (tmp_path / "other" / ".lock").touch()
    s.StudyDir(tmp_path / "other", study, before, None)  # what one that was killed at its start leaves


def test_a_matched_cell_takes_the_tokens_that_were_written(tmp_path, quick):
    path, out = write(tmp_path, {"a": {"method": "grpo", "match": "p2o"}, "p2o": {"method": "p2o"}}), tmp_path / "out"
    assert cells(path)[0].spec.train.max_sampled_tokens == 77, "before: what it may write"
    finished(out / "cells" / "p2o", cells(path)[1], [100, 200])
    cell = cells(path, out=out)[0]
    assert (cell.spec.train.max_sampled_tokens, cell.spec.train.max_rollouts) == (150, None)


class Fake(s.StudyDir):
    """Cells are processes that log their start and end. Those in `together` wait for each other's start before they end,
    those in `broken` fail, and where they are `endless` they wait for a signal."""

    broken: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    endless = False
    devices: list = []

    def start(self, job, device):
        self.devices = [*self.devices, (job.name, device.get("CUDA_VISIBLE_DEVICES"))]
        cell, events, path = job.cell, self.out / "events", job.path
        path.mkdir(parents=True, exist_ok=True)
        files = [str(path / name) for name in ("result.json", "report.html")]
        end = "raise SystemExit(3)" if cell.name in self.broken else f"[open(f, 'w').write('{{}}') for f in {files}]"
        others = {f"+{name}" for name in self.together if cell.name in self.together}
        code = "import signal, time\n"
        code += f"signal.signal(signal.SIGINT, signal.SIG_DFL); e = open({str(events)!r}, 'a', 1); e.write('+{cell.name}\\n')\n"
        code += f"while {self.endless} or not set({others}) <= set(open({str(events)!r}).read().split()): time.sleep(0.01)\n"
        code += f"e.write('-{cell.name}\\n'); {end}"
        return subprocess.Popen([sys.executable, "-S", "-c", code], start_new_session=True)

    def events(self):
        return (self.out / "events").read_text().split()


ARMS = {
    "late": {"method": "grpo", "match": "p2o"},
    "p2o": {"method": "p2o"},
    "hot": {"method": "grpo-t1"},
    "later": {"method": "grpo-2x", "match": "late"},
}


@pytest.mark.parametrize("jobs", [1, 3])
def test_matched_cells_start_after_their_arm(tmp_path, quick, jobs):
    path = write(tmp_path, ARMS)
    folder = Fake(tmp_path / "out", s.load_study(str(path)), cells(path), None)
    folder.together = ("p2o", "hot") if jobs == 3 else ()
    assert folder.run(jobs=jobs) == {}
    order = folder.events()
    assert order.index("-p2o") < order.index("+late") and order.index("-late") < order.index("+later")
    open_, most = 0, 0
    for event in order:
        open_ += 1 if event[0] == "+" else -1
        most = max(most, open_)
    assert most == (1 if jobs == 1 else 2), "p2o and hot at once, the others wait for each other"
    assert folder.run(jobs=jobs) == {} and folder.events() == order, "all is done: nothing starts"


def test_gpus_are_shared_out(tmp_path, quick, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    path = write(
        tmp_path, {"one": {"method": "grpo"}, "other": {"method": "grpo-t1"}, "last": {"method": "grpo", "match": "one"}}
    )
    folder = Fake(tmp_path / "out", s.load_study(str(path)), cells(path), None)
    folder.together = ("one", "other")
    assert folder.run(jobs=2) == {}
    assert folder.devices[:2] == [("one", "3"), ("other", "5")] and folder.devices[2][1] in ("3", "5")


def test_a_failed_cell_stops_only_what_waits_for_it(tmp_path, quick):
    path = write(tmp_path, ARMS)
    folder = Fake(tmp_path / "out", s.load_study(str(path)), cells(path), None)
    folder.broken = ("p2o",)
    failed = folder.run(jobs=2)
    assert set(failed) == {"p2o", "late", "later"} and folder.done("hot")
    assert "exit code 3" in failed["p2o"] and str(tmp_path / "out" / "logs" / "p2o.log") in failed["p2o"]
    assert "not started" in failed["late"] and "not started" in failed["later"]
    folder.broken = ()
    assert folder.run(jobs=2) == {}, "the same command goes on"


def test_only_needs_the_matched_arm(tmp_path, quick):
    path = write(tmp_path, ARMS)
    folder = Fake(tmp_path / "out", s.load_study(str(path)), cells(path, only=["late"]), None)
    with pytest.raises(UsageError, match="late stops at the tokens of p2o: run that too"):
        folder.run()
    both = Fake(tmp_path / "out", s.load_study(str(path)), cells(path, only=["late", "p2o"]), None)
    assert both.run() == {} and both.events() == ["+p2o", "-p2o", "+late", "-late"]


def test_sigterm_stops_the_children_too(tmp_path, quick, monkeypatch):
    path = write(tmp_path)
    folder = Fake(tmp_path / "out", s.load_study(str(path)), cells(path), None)
    folder.endless = True
    started, real, looked, both = [], folder.start, Local.units_done, threading.Event()
    folder.start = lambda job, device: started.append(real(job, device)) or started[-1]

    def units_done(self, job):
        if len(started) == 2 and (tmp_path / "out" / "events").exists() and len(folder.events()) == 2:
            both.set()
        return looked(self, job)

    def terminate():
        both.wait()
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Local, "units_done", units_done)
    threading.Thread(target=terminate, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        folder.run(jobs=2)
    assert len(started) == 2 and all(p.poll() is not None for p in started)
    assert signal.getsignal(signal.SIGTERM) != signal.default_int_handler, "the caller's handler is back"


def test_progress_is_read_from_the_run_directories(tmp_path, quick):
    """10 rollouts and 5 samples a seed: one seed done, one at its fourth rollout, the last row torn."""
    path = write(tmp_path)
    found = cells(path)
    folder = s.StudyDir(tmp_path / "out", s.load_study(str(path)), found, None)
    local, [job] = Local(folder), jobs_of(folder, found[0])
    assert (job.units, local.units_done(job)) == (30, 0)
    run = folder.path("p2o")
    write_json(run / "results" / "s0.json", {})
    rows = [{"seed": s, "kind": "batch", "epoch": 0, "rollouts": n} for s, n in ((0, 10), (1, 2), (1, 4))]
    (run / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows) + '{"seed": 1, "roll')
    assert local.units_done(job) == 15 + 4
    local.failed["p2o"] = "why"
    assert local.units_done(job) == 30
    finished(run, found[0])
    assert Local(folder).units_done(job) == 30


def test_one_process_per_study(tmp_path, quick):
    from filelock import FileLock

    path = write(tmp_path)
    folder = Fake(tmp_path / "out", s.load_study(str(path)), cells(path), None)
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".lock"), pytest.raises(HarnessError, match="another process"):
        folder.run()
