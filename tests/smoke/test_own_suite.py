"""A suite of one's own end to end: made of a data file, asked in both ways, read where it no longer is."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness.data.suites import load_suite
from harness.runs.files import read_jsonl
from support.command import harness
from support.paths import ROOT

GREEDY = ("--set", "eval.decoding.kind=greedy")


def result(run):
    return json.loads((run / "result.json").read_text())["suites"]


@pytest.fixture
def mine(capsys, tmp_path):
    """tb-id as somebody else's suite: its questions in a file, and its card's fields in the card."""
    shipped = load_suite("tb-id")
    rows = [{"id": p.id, "problem": p.text, "answer": p.answer} for p in shipped.problems(None)]
    data = tmp_path / "own.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, out, err = harness(capsys, "suite", "new", "mine", "--from", data, "--out", tmp_path / "suites")
    assert code == 0 and "200 of 200 gold answers accepted" in out, err
    card = tmp_path / "suites" / "mine" / "card.yaml"
    terms = {key: shipped.card()[key] for key in ("answer_type", "prompt", "answer_form", "max_new_tokens", "k", "overlap")}
    card.write_text(yaml.safe_dump(yaml.safe_load(card.read_text()) | terms))
    return card.parent


def test_both_ways_give_the_scores_of_an_equal_shipped_suite(capsys, tmp_path, monkeypatch, mine):
    def evaluated(name, *words):
        code, _, err = harness(capsys, "eval", "testbed", *words, *GREEDY, "--out", tmp_path / name)
        assert code == 0, err
        monkeypatch.delenv("HARNESS_INCLUDE_PATH", raising=False)
        return result(tmp_path / name)

    shipped = evaluated("shipped", "--bench", "tb-id")["tb-id"]
    by_path = evaluated("path", "--bench", mine)["mine"]
    by_name = evaluated("name", "--bench", "mine", "--include-path", mine.parent)["mine"]
    assert by_path == by_name and 0 < shipped["avg"] < 1
    named = {"role", "title", "data_sha256"}
    assert {k: v for k, v in by_path.items() if k not in named} == {k: v for k, v in shipped.items() if k not in named}
    spec = (tmp_path / "path" / "spec.json").read_text()
    assert json.loads(spec)["spec"] == json.loads((tmp_path / "name" / "spec.json").read_text())["spec"]
    assert str(tmp_path) not in spec and by_path["data_sha256"] in spec and json.loads(spec)["cards"]["mine"]["k"] == 4

    shutil.move(mine.parent, tmp_path / "elsewhere")  # from here on, only the runs are there
    (tmp_path / "own.jsonl").unlink()
    code, out, err = harness(capsys, "regrade", tmp_path / "path", "--json")
    assert code == 0 and json.loads(out.splitlines()[-1])["suites"]["mine"]["changed"] == 0, err
    code, out, err = harness(capsys, "compare", tmp_path / "path", tmp_path / "name")
    assert code == 0 and "mine" in out, err
    assert harness(capsys, "report", tmp_path / "path")[0] == 0
    code, _, err = harness(capsys, "export", "model-card", tmp_path / "path")
    assert code == 0, err
    code, _, err = harness(capsys, "leaderboard", "add", tmp_path / "path", "--board", tmp_path / "board", "--pilot")
    assert code == 1 and "suite 'mine' is not one of the harness's" in err and not (tmp_path / "board").exists()


def test_an_interrupted_evaluation_of_a_suite_that_changed_meanwhile(capsys, tmp_path, monkeypatch, mine):
    from harness.training.local.backend import LocalBackend

    words = ("eval", "testbed", "--bench", mine, "--limit", 8, "--seeds", "0,1", "--out", tmp_path / "run")
    whole, calls = LocalBackend.generate, []

    def cut(self, prompts, sampling, seed):
        calls.append(seed)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(self, prompts, sampling, seed)

    monkeypatch.setattr(LocalBackend, "generate", cut)
    assert harness(capsys, *words)[0] == 130
    card = (mine / "card.yaml").read_text()
    (mine / "card.yaml").write_text(card.replace("k: 4", "k: 2"))
    code, _, err = harness(capsys, *words, "--resume")
    assert code == 2 and "the card of suite 'mine' changed since it began" in err
    (mine / "card.yaml").write_text(card)
    assert harness(capsys, *words, "--resume")[0] == 0
    assert len(read_jsonl(tmp_path / "run" / "samples" / "mine.jsonl")) == 2 * 8 * 4


def test_plans_show_how_a_data_file_is_asked(capsys, tmp_path):
    data = tmp_path / "own.jsonl"
    data.write_text('{"id": 1, "problem": "What is 2+3?", "answer": 5}\n')
    said = "answers math, prompt boxed; k 16 at temperature 0.6, at most 12,288 tokens"
    for words in (["eval", "testbed"], ["run", "--method", "grpo"]):
        code, out, err = harness(capsys, *words, "--bench", f"tb-id,{data}", "--dry-run")
        assert code == 0 and f"own, from {tmp_path}: {said}" in out and "tb-id, from" not in out, err


def test_the_page_is_true(tmp_path):
    """Every block of "A suite of your own", in order, in an empty folder."""
    text = (ROOT / "benchmarks" / "README.md").read_text().split("## A suite of your own\n")[1].split("\n## ")[0]
    blocks = re.findall(r'^```(\w+)(?: title="([^"\n]+)")?\n(.*?)^```$', text, re.M | re.S)
    assert [language for language, *_ in blocks] == ["json", "bash", "bash", "bash"]
    folders = [str(Path(sys.executable).parent), os.environ["PATH"]]
    env = {**os.environ, "PATH": os.pathsep.join(folders)}
    said = ""
    for language, file, content in blocks:
        if language == "json":
            (tmp_path / file).write_text(content)
            continue
        done = subprocess.run(["bash", "-euc", content], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, content + done.stdout[-2000:] + done.stderr[-2000:]
        said += done.stdout
    assert "to fill in, in" in said and "2 of 2 gold answers accepted" in said and "\ncapitals " in said
    assert {p.name for p in (tmp_path / "suites" / "capitals").iterdir()} == {"card.yaml", "capitals.yaml", "capitals.jsonl"}


def test_plain_lm_eval_runs_a_suite_from_outside(capsys, tmp_path, monkeypatch, mine):
    """Its task file alone leads to the card, which has the limits."""
    from lm_eval.tasks import TaskManager

    task = TaskManager(include_path=str(mine.parent), include_defaults=False).load(["mine"])["tasks"]["mine"]
    assert (task.config.repeats, task.config.generation_kwargs["max_gen_toks"]) == (4, load_suite("tb-id").max_new_tokens)
    assert [doc["text"] for doc in task.test_docs()] == [p.text for p in load_suite("tb-id").problems(None)]
