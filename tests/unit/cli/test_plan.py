"""`harness plan`, and the costs that `run --dry-run` and `study plan` show."""

import json
import sys

import pytest

from harness.cli import main


@pytest.fixture
def say(capsys, monkeypatch):
    """What a command line prints, and its exit code and error where it has one."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["harness", *map(str, words)])
        with pytest.raises(SystemExit) as e:
            main()
        out, err = capsys.readouterr()
        return out, err, e.value.code

    return run


def test_what_a_budget_decides_in_sentences_first(say):
    out, _, code = say("plan", "--gpu-hours", "3000", "--arms", "p2o,grpo")
    first = " ".join(out.split("\n\n")[0].split())
    assert code == 0 and first.startswith("With 3,000 GPU hours you get 3 seeds of each of 2 arms (p2o, grpo); a true lead of ")
    assert "shows as a gain in four of five tries" in first and "If an arm leads by 4.7 points" in first
    assert "standard deviation between seeds of 2 points (assumed" in first
    assert max(map(len, out.splitlines())) <= 80
    assert "sample" in out and "3000" in out, "the assumptions"


def test_json_has_all_of_it(say):
    out, _, _ = say("plan", "--gpu-hours", "3000", "--arms", "p2o,grpo", "--sd", "1.5", "--throughput", "sample=6000", "--json")
    tree = json.loads(out.splitlines()[-1])
    hours = sum(arm["device_hours"] for arm in tree["arms"].values())
    assert tree["budget"]["designs"][0]["seeds"] == int(3000 / hours) and tree["budget"]["spread"]["sd"] == 1.5
    assert tree["arms"]["p2o"]["assumptions"]["sample"] == {"value": 6000, "source": "--throughput"}
    assert sum(tree["arms"]["p2o"]["hours"].values()) == pytest.approx(tree["arms"]["p2o"]["wall_hours"])


def test_costs_alone_and_on_a_cpu(say):
    out, _, code = say("plan", "--recipe", "skills", "--arms", "p2o,grpo,gepa")
    assert code == 0 and "A seed of each arm, skills, CPU" in out and "decides" not in out
    out, _, _ = say("plan", "--recipe", "skills", "--gpu-hours", "1")
    assert "With 1 hours of two cores" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--gpu-hours", "0"], "--gpu-hours must be a number above 0, not 0"),
        (["--gpu-hours", "-5"], "above 0, not -5"),
        (["--gpu-hours", "nan"], "above 0, not nan"),
        (["--gpu-hours", "many"], "not a valid float"),
        (["--gpu-hours", "100", "--margin", "-1"], "--margin must be a number of at least 0"),
        (["--gpu-hours", "100", "--effect", "inf"], "--effect must be a number above 0"),
        (["--gpu-hours", "100", "--effect", "0.5"], "--effect 0.5 must be above the margin, 1"),
        (["--gpu-hours", "100", "--arms", "p2o"], "a lead is over grpo"),
        (["--gpu-hours", "100", "--arms", "grpo"], "two arms"),
        (["--gpu-hours", "100", "--sd", "0"], "--sd must be above 0"),
        (["--sd", "2"], "--gpu-hours N"),
        (["--arms", "p2o,gpro"], "did you mean 'grpo'"),
        (["--arms", "grpo,grpo"], "each once"),
        (["--recipe", "qwen3-4b-deepscaler"], "did you mean 'qwen3-4b-deepscaler-"),
        (["--recipe", "qwen2.5-0.5b-gsm8k"], "give --data-dir, or --set train.limit=PROBLEMS"),
        (["--throughput", "H300"], "did you mean 'H200'"),
        (["--throughput", "sample=0"], "sample must be above 0"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(say, words, told):
    _, err, code = say("plan", *words)
    assert code == 2 and told in err and "Traceback" not in err


def test_a_dry_run_shows_its_cost(say):
    out, _, code = say("run", "--method", "p2o", "--recipe", "testbed", "--dry-run")
    assert code == 0 and "a seed takes" in out and "on two cores" in out and "Assumed of a CPU" in out
    out, _, _ = say("run", "--method", "p2o", "--recipe", "testbed", "--dry-run", "--json", "--throughput", "sample=1")
    cost = json.loads(out.splitlines()[-1])["cost"]
    assert cost["hours"]["sampling"] * 3600 == pytest.approx((cost["rollouts"] - cost["search_rollouts"]) * 9.5)
    _, err, code = say("run", "--method", "p2o", "--recipe", "testbed", "--throughput", "sample=1")
    assert code == 2 and "goes with --dry-run" in err


def test_a_study_shows_the_cost_of_every_cell(say):
    out, _, code = say("study", "plan", "skills-demo", "--json")
    cells = json.loads(out.splitlines()[-1])["cells"]
    assert code == 0 and all(cell["cost"]["wall_hours"] > 0 and cell["cost"]["disk"] > 0 for cell in cells)
    out, _, _ = say("study", "plan", "skills-demo", "--throughput", "sample=1")
    assert "Hours: hours of two cores" in out
