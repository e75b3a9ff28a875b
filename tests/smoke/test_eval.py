"""`harness eval` end to end: a run's policies again, an interruption, what is missing."""

import json
import sys

import pytest

from harness.cli import main
from harness.runs.files import read_jsonl
from support.command import harness


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "run"
    sys.argv = [
        "harness",
        "run",
        "--method",
        "grpo",
        "--bench",
        "all",
        "--limit",
        "10",
        "--seeds",
        "0,1",
        "--out",
        str(out),
        "--set",
        "testbed.problems=32",
        "--set",
        "train.epochs=1",
        "--set",
        "train.prompts_per_batch=16",
    ]
    with pytest.raises(SystemExit) as e:
        main()
    assert e.value.code == 0
    return out


def test_a_run_evaluated_again_scores_the_same(capsys, tmp_path, trained):
    code, out, err = harness(capsys, "eval", trained, "--bench", "all", "--limit", 10, "--out", tmp_path / "e", "--json")
    assert code == 0, err
    again, first = json.loads(out.splitlines()[-1]), json.loads((trained / "result.json").read_text())
    assert again["method"] == "grpo" and again["seeds"] == [0, 1] and again["ledger"]["rollouts"] == 0
    assert {n: s["per_seed"] for n, s in again["suites"].items()} == {n: s["per_seed"] for n, s in first["suites"].items()}
    for name in first["suites"]:
        files = [folder / "samples" / f"{name}.jsonl" for folder in (trained, tmp_path / "e")]
        texts = [[row["completion"] for row in read_jsonl(path)] for path in files]
        assert texts[0] == texts[1]
    assert not (tmp_path / "e" / "partial").exists() and (tmp_path / "e" / "report.html").exists()
    code, out, err = harness(capsys, "compare", trained, tmp_path / "e")
    assert code == 0, err
    code, out, err = harness(capsys, "regrade", tmp_path / "e", "--json")
    assert code == 0 and all(s["changed"] == 0 for s in json.loads(out.splitlines()[-1])["suites"].values())


def test_an_interrupted_evaluation_goes_on(capsys, tmp_path, monkeypatch):
    from harness.training.local.backend import LocalBackend

    args = ("eval", "testbed", "--bench", "tb-id,tb-long", "--limit", 12, "--set", "local.generation_tokens=512")
    assert harness(capsys, *args, "--out", tmp_path / "straight")[0] == 0
    whole, calls = LocalBackend.generate, []

    def counted(self, prompts, sampling, seed):
        if len(calls) == 4:
            calls.append(0)
            raise KeyboardInterrupt
        calls.append(len(prompts))
        return whole(self, prompts, sampling, seed)

    monkeypatch.setattr(LocalBackend, "generate", counted)
    code, _, err = harness(capsys, *args, "--out", tmp_path / "cut")
    assert code == 130 and "--resume" in err
    assert harness(capsys, *args, "--out", tmp_path / "cut", "--resume")[0] == 0
    assert sum(calls) == 2 * 12 * 4, "nothing is sampled twice"
    for name in ("tb-id", "tb-long"):
        rows = [read_jsonl(tmp_path / d / "samples" / f"{name}.jsonl") for d in ("straight", "cut")]
        assert rows[0] == rows[1]


def test_offline_names_all_that_is_missing_and_writes_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    code, _, err = harness(capsys, "eval", "nobody/nothing", "--bench", "aime24,math500", "--data-dir", tmp_path, "--offline")
    assert code == 3
    assert all(word in err for word in ("aime24.jsonl", "math500.jsonl", "nobody/nothing"))
    assert not (tmp_path / "runs").exists()


def test_dry_run_and_an_evaluation_in_place_of_a_run(capsys, tmp_path, trained):
    code, out, _ = harness(capsys, "eval", trained, "--bench", "tb-id", "--dry-run", "--json")
    assert code == 0 and json.loads(out)["plan"] == {"problems": 200, "samples": 800, "tokens": 25600, "passes": 1}
    assert harness(capsys, "eval", "testbed", "--bench", "tb-id", "--limit", 2, "--out", tmp_path / "e")[0] == 0
    code, _, err = harness(capsys, "eval", tmp_path / "e")
    assert code == 2 and "is an evaluation" in err
    code, _, err = harness(capsys, "eval", "testbed", "--engine", "openai")
    assert code == 2 and "base_url" in err
