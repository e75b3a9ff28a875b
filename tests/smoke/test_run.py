"""Each method end to end through the command line on the testbed: outputs, ledger, interruption and resume."""

import json
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.runs.files import read_jsonl
from harness.training.seedlog import SeedLog
from support.command import harness
from support.held import holding, wait_until_held
from support.smoke import SMALL, comparable, run


@pytest.mark.parametrize("method", ["grpo", "p2o", "gepa"])
def test_method_end_to_end(capsys, tmp_path, method):
    code, out, err = run(capsys, method, tmp_path / "run")
    assert code == 0, err
    result = json.loads(out.splitlines()[-1])
    assert {"run", "method", "seeds", "suites", "macro", "ledger"} <= set(result)
    assert result["seeds"] == [0, 1] and set(result["suites"]) == {"tb-id", "tb-long", "tb-format", "tb-family"}
    for name, suite in result["suites"].items():
        assert suite["n"] == 10 and suite["k"] == 4 and set(suite["per_seed"]) == {"0", "1"}
        rows = read_jsonl(tmp_path / "run" / "samples" / f"{name}.jsonl")
        assert len(rows) == 10 * 4 * 2
        for seed in ("0", "1"):
            scores = [r["score"] for r in rows if r["seed"] == int(seed)]
            assert sum(scores) / len(scores) == pytest.approx(suite["per_seed"][seed])
    assert result["macro"]["ood"] == pytest.approx(
        sum(result["suites"][s]["avg"] for s in ("tb-long", "tb-format", "tb-family")) / 3
    )
    folder = tmp_path / "run"
    for name in ("spec.json", "env.json", "ledger.json", "metrics.jsonl", "result.json", "report.md", "report.html"):
        assert (folder / name).exists(), name
    assert "not a result" in (folder / "report.md").read_text().lower()
    check_ledger(folder, method)


def commands_in(lines):
    """The commands that a run ends with, as words; each may go over several lines."""
    return [shlex.split(text) for text in "\n".join(lines).replace("\\\n", " ").splitlines() if text.startswith("  harness ")]


def test_a_first_run_ends_in_its_score_and_in_what_a_comparison_takes(capsys, tmp_path, monkeypatch):
    """As a user begins: the default recipe, a word or two; then the printed commands, word for word."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_RUN_RECIPE")
    short = ["--seeds", "0,1", "--limit", "12", "--set", "train.max_rollouts=384", "--set", "p2o.evolve={metric_calls: 96}"]
    code, out, err = harness(capsys, "run", "--method", "p2o", "--bench", "ood", *short)
    assert code == 0, err
    lines = out[out.rindex("\np2o scores ") :].splitlines()[1:]
    assert re.match(r"p2o scores \d+\.\d out of distribution \(2 seeds; 95%: \d+\.\d to \d+\.\d\)\.$", lines[0])
    assert "Whether that is p2o's doing needs a baseline, and then a comparison:" in lines
    assert all(len(line) <= 80 for line in lines)
    baseline, comparison = commands_in(lines)
    assert baseline[:4] == ["harness", "run", "--method", "grpo"] and baseline[4:-2] == ["--bench", "ood", *short]
    code, out, err = harness(capsys, *baseline[1:])
    assert code == 0 and "A baseline by itself decides nothing" in out, err
    assert json.loads((Path(baseline[-1]) / "spec.json").read_text())["spec"]["recipe"] == "skills"
    [after] = commands_in(out.splitlines())
    assert after == ["harness", "compare", "RUN", baseline[-1]] and comparison[-1] == baseline[-1]
    code, out, err = harness(capsys, *comparison[1:])
    assert code == 0 and "p2o" in out and "grpo" in out, err


def check_ledger(folder, method):
    """The ledger against an independent count over the rollout files."""
    ledger = json.loads((folder / "ledger.json").read_text())["seeds"]["0"]
    rows = read_jsonl(folder / "rollouts" / "s0.jsonl")
    trained = [r for row in rows for r in row["rollouts"]]
    epochs = [r for r in read_jsonl(folder / "metrics.jsonl") if r["seed"] == 0 and r["kind"] == "epoch"]
    searched = sum(r.get("search_rollouts", 0) for r in epochs)
    assert ledger["rollouts"] == len(trained) + searched and ledger["search_rollouts"] == searched
    assert ledger["trained_tokens"] == sum(r["tokens_T"] for r in trained)
    assert ledger["generated_tokens"] >= ledger["trained_tokens"]
    assert ledger["optimiser_steps"] == len(rows) / 16
    if method == "p2o":
        templated = [r for r in trained if r["context"]["template"]]
        assert templated, "the second epoch rolls hard problems out with templates"
        assert all(r["context"]["train"] in r["context"]["rollout"] != r["context"]["train"] for r in templated)
        assert searched and (folder / "templates" / "s0.jsonl").exists()
        assert any("branch_masked_1" in r for r in read_jsonl(folder / "metrics.jsonl"))
    if method == "gepa":
        assert ledger["optimiser_steps"] == 0 and searched == ledger["rollouts"] > 800
        sample = read_jsonl(folder / "samples" / "tb-id.jsonl")[0]
        assert "\n\n" in sample["prompt"], "evaluated with its template"


@pytest.mark.parametrize("method", ["grpo", "p2o"])
def test_interrupted_and_resumed_equals_uninterrupted(capsys, tmp_path, monkeypatch, method):
    assert run(capsys, method, tmp_path / "whole")[0] == 0
    real_step, real_epoch, seen = SeedLog.step, SeedLog.epoch, {"step": 0, "epoch": 0}
    stops = {"step": {3, 12}, "epoch": {2, 4}}

    def count(kind, real):
        def wrapped(self, *args):
            real(self, *args)
            seen[kind] += 1
            if seen[kind] in stops[kind]:
                raise KeyboardInterrupt

        return wrapped

    monkeypatch.setattr(SeedLog, "step", count("step", real_step))
    monkeypatch.setattr(SeedLog, "epoch", count("epoch", real_epoch))
    code, _, err = run(capsys, method, tmp_path / "cut")
    stopped = 0
    while code == 130:
        stopped += 1
        assert "--resume" in err
        code, _, err = run(capsys, method, tmp_path / "cut", "--resume")
    assert code == 0 and stopped == 4
    assert comparable(tmp_path / "cut") == comparable(tmp_path / "whole")


def test_ctrl_c_stops_with_130_and_resumes(capsys, tmp_path):
    out = tmp_path / "run"
    command = ["run", "--method", "p2o", "--bench", "tb-id", "--out", out, *SMALL, "--seeds", "0"]
    code = "from harness.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, command)],
        stderr=subprocess.PIPE,
        text=True,
        env=holding(tmp_path / "site", out, batches=3),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    wait_until_held(tmp_path / "site", process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 130 and "--resume" in err and "Traceback" not in err
    code, _, err = harness(capsys, *command, "--resume")
    assert code == 0, err
    batches = [(r["epoch"], r["batch"]) for r in read_jsonl(out / "metrics.jsonl") if r["kind"] == "batch"]
    assert batches == sorted(set(batches)), "each batch is trained exactly once"


def test_the_final_policy_is_an_ordinary_model_folder(capsys, tmp_path):
    assert run(capsys, "grpo", tmp_path / "a", "--set", "train.epochs=1", "--bench", "tb-id")[0] == 0
    folder = tmp_path / "a" / "ckpt" / "s0" / "final"
    code, out, err = run(capsys, "grpo", tmp_path / "b", "--set", "train.epochs=0", "--bench", "tb-id", "--model", folder)
    assert code == 0, err
    scores = [json.loads((tmp_path / d / "results" / "s0.json").read_text())["suites"]["tb-id"]["avg"] for d in "ab"]
    assert scores[0] == scores[1], "the saved policy, evaluated alone, gives the run's own score"


def test_compare_two_runs(capsys, tmp_path):
    for method in ("grpo", "p2o"):
        assert run(capsys, method, tmp_path / method)[0] == 0
    code, out, err = harness(capsys, "compare", tmp_path / "p2o", tmp_path / "grpo", "--out", tmp_path / "table.html", "--json")
    assert code == 0, err
    table = json.loads(out.splitlines()[-1])
    assert "p2o" in json.dumps(table) and (tmp_path / "table.html").exists()
    code, out, err = harness(capsys, "compare", tmp_path / "p2o", tmp_path / "grpo")
    assert code == 0 and "not a result" in out.lower() + err.lower()
