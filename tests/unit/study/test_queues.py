"""Jobs that others run: what their scripts say, when they are handed over, merged and handed over again."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from harness import study as s
from harness.cli.run import run as run_verb
from harness.config import resolve
from harness.core.errors import HarnessError, MissingError, UsageError
from harness.runs.result import load_result, runs_below
from harness.study.jobs import jobs_of, study_id
from harness.study.queues import script_of
from support.command import harness
from support.trained import train

SETTINGS = {"eval.limit": 3}
ARMS = {"base": {"method": "grpo"}, "warm": {"method": "grpo", "settings": {"train.temperature": 1.1}}}


def study(folder, arms=ARMS, per="seed", kind=s.StudyDir, seeds=(0, 1), out="out"):
    path = folder / "study.yaml"
    tree = {"title": "t", "recipe": "testbed", "bench": "tb-id,tb-long", "seeds": list(seeds), "settings": SETTINGS}
    path.write_text(yaml.safe_dump({**tree, "arms": arms}, sort_keys=False))
    loaded = s.load_study(str(path))
    return kind(folder / out, loaded, s.prepare_study(loaded, None, out=folder / out), None, per)


def finish(job):
    """What the job's process would do."""
    train(job.path, job.seeds, job.cell.sets)


class Line:
    """A queue that runs what it is told to when it is told to."""

    def __init__(self):
        self.held, self.submitted = {}, []

    def states(self):
        return {name: "pending" for name in self.held}

    def header(self, job):
        return ["# nothing"]

    def submit(self, job, script):
        assert script.read_text() == script_of(job, self)
        self.held[job.name] = job
        self.submitted.append(job.name)
        return str(len(self.submitted))

    def do(self, *names):
        for name in names:
            finish(self.held.pop(name))


def test_the_same_command_submits_waits_submits_again_and_merges(tmp_path, quick):
    line = Line()
    stands, failed = study(tmp_path).hand_over(line)
    assert failed == {} and line.submitted == ["base@s0", "base@s1", "warm@s0", "warm@s1"]
    assert stands["warm@s1"] == "submitted as 4"
    line.do("base@s0", "base@s1", "warm@s1")
    del line.held["warm@s0"]  # it is gone and has finished nothing
    log = tmp_path / "out" / "logs" / "warm@s0.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text("much\nno room left\n\n")
    folder = study(tmp_path)
    assert runs_below(tmp_path / "out") == [], "parts are no runs of their own"
    stands, _ = folder.hand_over(line)
    assert stands == {
        "base": "done",
        "warm@s0": "submitted as 5; its log ended with: no room left",
        "warm@s1": "done",
    }
    assert folder.done("base") and not folder.done("warm")
    assert sorted(p.name for p in (tmp_path / "out" / ".parts").iterdir()) == ["warm"], "what is merged is there once"
    assert study(tmp_path).hand_over(line)[0]["warm@s0"] == "pending" and len(line.submitted) == 5
    line.do("warm@s0")
    assert set(study(tmp_path).hand_over(line)[0].values()) == {"done"} and len(line.submitted) == 5
    whole = train(tmp_path / "whole", [0, 1], ["train.temperature=1.1"])
    merged = tmp_path / "out" / "cells" / "warm"
    assert load_result(merged).macro == load_result(whole).macro
    assert (merged / "samples" / "tb-long.jsonl").read_bytes() == (whole / "samples" / "tb-long.jsonl").read_bytes()
    assert runs_below(tmp_path / "out") == [tmp_path / "out" / "cells" / name for name in ("base", "warm")]


def test_a_matched_arm_waits_for_the_merged_one(tmp_path, quick):
    arms = {"base": {"method": "grpo"}, "late": {"method": "grpo-t1", "match": "base"}}
    line = Line()
    stands, _ = study(tmp_path, arms).hand_over(line)
    assert stands["late@s0"] == "waits until base is done, at whose tokens it stops"
    line.do("base@s0", "base@s1")
    stands, _ = study(tmp_path, arms).hand_over(line)
    assert stands["late@s0"] == "submitted as 3"
    assert "--match-budget" in line.held["late@s0"].words


def test_parts_that_cannot_be_one_stay_and_are_named(tmp_path, quick):
    line = Line()
    study(tmp_path).hand_over(line)
    line.do("base@s0", "base@s1")
    samples = tmp_path / "out" / ".parts" / "base" / "s1" / "samples" / "tb-id.jsonl"
    samples.write_text("")
    _, failed = study(tmp_path).hand_over(line)
    assert list(failed) == ["base"] and "holds 0 samples of seed 1" in failed["base"]
    assert samples.exists() and not (tmp_path / "out" / "cells" / "base").exists()


def test_what_was_begun_by_cell_goes_on_by_cell_and_by_seed_by_seed(tmp_path, quick):
    train(tmp_path / "out" / "cells" / "base", [0, 1])
    (tmp_path / "out" / "study.json").touch()
    (tmp_path / "out" / ".parts" / "warm").mkdir(parents=True)
    for per in ("cell", "seed"):
        folder = study(tmp_path, per=per)
        names = [job.name for cell in folder.cells for job in jobs_of(folder, cell)]
        assert names == ["base", "warm@s0", "warm@s1"]


def test_a_changed_study_is_refused_by_its_parts(tmp_path, quick):
    line = Line()
    study(tmp_path).hand_over(line)
    line.do("warm@s1")
    other = {**ARMS, "warm": {"method": "grpo", "settings": {"train.temperature": 1.2}}}
    with pytest.raises(UsageError, match="changed: warm: train.temperature$"):
        study(tmp_path, other)


class Here(s.StudyDir):
    """Its jobs are done at once, but for those in `broken`."""

    broken = ()

    def start(self, job, device):
        if job.name not in self.broken:
            finish(job)
        return subprocess.Popen(["true"])


def test_seed_by_seed_on_this_machine(tmp_path, quick):
    folder = study(tmp_path, {**ARMS, "late": {"method": "grpo-t1", "match": "warm"}}, kind=Here)
    folder.broken = ("warm@s1",)
    failed = folder.run(jobs=2)
    assert set(failed) == {"warm@s1", "late@s0", "late@s1"}
    assert folder.done("base") and load_result(folder.path("base")).seeds == (0, 1)
    folder.broken = ()
    folder = study(tmp_path, kind=Here)
    assert folder.run(jobs=1) == {} and folder.done("warm") and not (tmp_path / "out" / ".parts" / "warm").exists()


def test_one_seed_needs_no_merging(tmp_path, quick):
    folder = study(tmp_path, seeds=[3])
    assert [job.path for cell in folder.cells for job in jobs_of(folder, cell)] == [folder.path("base"), folder.path("warm")]


# ---------------------------------------------------------------- Slurm


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Slurm's two commands as scripts on PATH: sbatch keeps what it is given, squeue prints a file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in {
        "sbatch": f'[ "$1" = --parsable ] && cat "$2" >> {tmp_path}/handed && echo "17;cluster"',
        "squeue": f"cat {tmp_path}/queue",
    }.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    (tmp_path / "queue").write_text("")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_a_script_asks_slurm_for_what_was_said_and_runs_the_cells_command(tmp_path, quick, slurm):
    reflector = {"kind": "openai", "model": 'it\'s $HOME & "more"', "base_url": "http://localhost:1/v1"}
    odd = {"method": "p2o", "settings": {"p2o.reflector": reflector}}
    folder = study(tmp_path, {**ARMS, "odd": odd}, out="with space")
    queue = s.Slurm(folder.out, s.Resources(partition="gpu", time="1-00:00:00", gpus=2))
    for cell in folder.cells:
        for job in jobs_of(folder, cell):
            text = script_of(job, queue)
            subprocess.run(["bash", "-n"], input=text, text=True, check=True)
            options = dict(
                shlex.split(x.removeprefix("#SBATCH --"))[0].partition("=")[::2] for x in text.splitlines() if "#SB" in x
            )
            assert options == {
                "job-name": f"{study_id(folder.out)}/{job.name}",
                "output": str(folder.out / "logs" / f"{job.name}.log"),
                "open-mode": "append",
                "partition": "gpu",
                "time": "1-00:00:00",
                "gpus": "2",
                "requeue": "",
            }
            commands = [shlex.split(x) for x in text.splitlines() if " -m harness " in x]
            [[_, _, _, _, verb, *words]] = commands
            given = run_verb.make_context(verb, words).params
            assert verb == "run" and given["go_on"] and not given["resume"] and given["out"] == job.path
            flags = {"seeds": list(given["seeds"]), "eval": {"bench": given["bench"]}}
            again = resolve(given["method"], given["recipe"], given["configs"], given["sets"], flags)
            assert again == cell.spec.model_copy(update={"seeds": job.seeds})


def test_nothing_is_asked_for_that_was_not_said(tmp_path, quick, slurm):
    folder = study(tmp_path)
    header = s.Slurm(folder.out, s.Resources()).header(jobs_of(folder, folder.cells[0])[0])
    assert [line.partition("=")[0] for line in header] == [
        "#SBATCH --job-name",
        "#SBATCH --output",
        "#SBATCH --open-mode",
        "#SBATCH --requeue",
    ]


def test_only_this_studys_jobs_count(tmp_path, quick, slurm):
    out = tmp_path / "out"
    mine = study_id(out)
    queued = [f"4|RUNNING|None|{mine}/base@s0", f"5|PENDING|Resources|{mine}/base@s1"]
    others = [f"6|RUNNING|None|{'0' * 8}/warm@s0", "7|RUNNING|None|x|y"]
    (tmp_path / "queue").write_text("".join(f"{line}\n" for line in queued + others))
    stands, _ = study(tmp_path).hand_over(s.Slurm(out, s.Resources()))
    assert stands == {
        "base@s0": "running as 4",
        "base@s1": "pending (Resources) as 5",
        "warm@s0": "submitted as 17",
        "warm@s1": "submitted as 17",
    }
    assert (tmp_path / "handed").read_text().count("#!/bin/bash") == 2


def test_slurms_refusal_is_told_in_its_words(tmp_path, quick, slurm):
    (slurm / "sbatch").write_text("#!/bin/bash\necho 'sbatch: error: invalid partition specified: gpu' >&2; exit 1\n")
    with pytest.raises(HarnessError, match="^sbatch failed: sbatch: error: invalid partition specified: gpu$"):
        study(tmp_path).hand_over(s.Slurm(tmp_path / "out", s.Resources(partition="gpu")))


def test_without_slurm_or_ray_or_with_options_of_another_launcher(tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    words = ["study", "run", "testbed-main", "--out", out]
    for more, code, said in [
        (["--launcher", "ray", "--partition", "x"], 2, "--partition means nothing to --launcher ray"),
        (["--time", "3"], 2, "--time means nothing to --launcher local"),
        (["--launcher", "slurm", "--jobs", "3"], 2, "--jobs means nothing to --launcher slurm"),
        (["--per", "arm"], 2, "'arm' is not one of 'cell', 'seed'"),
    ]:
        found = harness(capsys, *words, *more)
        assert found[0] == code and said in found[2], found
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match="needs the command sbatch, which is not installed here"):
        s.Slurm(out, s.Resources())
    monkeypatch.setattr("harness.core.extras.find_spec", lambda module: None)
    with pytest.raises(MissingError, match="needs the package ray"):
        s.RayJobs(out, s.Resources())
    assert not out.exists()


def test_two_folders_have_two_names_in_a_queue(tmp_path):
    (tmp_path / "a").mkdir()
    assert study_id(tmp_path / "a") != study_id(tmp_path / "b")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert study_id(tmp_path / "link") == study_id(tmp_path / "a") and len(study_id(Path("x"))) == 8
