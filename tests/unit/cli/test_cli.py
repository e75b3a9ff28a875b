"""The command line: light imports, bad input, exit codes, plans."""

import json
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from harness.cli.listing import LISTS
from harness.cli.run import _say_command
from harness.registry import DEFAULT_RECIPE
from support.command import harness
from support.paths import ROOT
from support.states import STATES, finished

HEAVY = {
    "torch",
    "transformers",
    "vllm",
    "ray",
    "lm_eval",
    "scipy",
    "openai",
    "math_verify",
    "gepa",
    "matplotlib",
    "trl",
    "datasets",
    "numpy",
    "pandas",
    "jinja2",
    "pebble",
}


LIGHT = [
    ["--help"],
    ["run", "--help"],
    ["doctor", "--help"],
    ["launch", "--help"],
    ["regrade", "--help"],
    ["check", "golds", "--help"],
    ["suite", "new", "--help"],
    ["compare", "--help"],
    ["power", "--help"],
    ["claim", "list"],
    *(["list", w] for w in ("methods", "benches", "models", "backends", "recipes", "studies", "runs")),
    ["study", "plan", "--help"],
    ["study", "run", "--help"],
]


@pytest.mark.parametrize("args", LIGHT, ids=" ".join)
def test_nothing_heavy_is_imported(args, tmp_path):
    code = (
        f"import sys; sys.argv = ['harness'] + {args!r}\n"
        "from harness.cli import main\n"
        "try: main()\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        "print('MODULES', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    modules = set(done.stdout.split("MODULES")[1].split())
    assert not modules & HEAVY


@pytest.mark.parametrize("what", ["methods", "benches", "models", "backends", "recipes", "studies", "runs"])
def test_list_json(capsys, what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = harness(capsys, "list", what, "--json")
    rows = json.loads(out)
    assert code == 0 and (rows or what == "runs")
    if what == "methods":
        assert {"grpo", "p2o", "gepa"} <= {r["name"] for r in rows} and all(r["summary"] for r in rows)


def test_a_run_without_a_recipe_is_in_the_world_of_skills(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_RUN_RECIPE")
    code, out, err = harness(capsys, "run", "--method", "grpo", "--dry-run", "--json")
    assert code == 0, err
    found = json.loads(out.splitlines()[-1])
    assert (found["spec"]["recipe"], found["spec"]["model"]["id"], found["spec"]["eval"]["bench"]) == (
        "skills",
        "skills",
        "ood",
    )
    named = json.loads(
        harness(capsys, "run", "--method", "grpo", "--recipe", "skills", "--dry-run", "--json")[1].splitlines()[-1]
    )
    assert found["hash"] == named["hash"] and found["plan"] == named["plan"]
    assert harness(capsys, "run", "--method", "grpo", "--dry-run")[1].startswith("grpo, recipe skills, model skills,")
    assert f"[default: {DEFAULT_RECIPE}]" in " ".join(harness(capsys, "run", "--help")[1].split())
    [marked] = [r["name"] for r in json.loads(harness(capsys, "list", "recipes", "--json")[1]) if "default" in r["summary"]]
    assert marked == DEFAULT_RECIPE


def test_a_printed_command_fits_the_terminal_and_is_the_same_for_a_shell(capsys):
    words = ["harness", "run", "--set", "a='b  c'", *(f"--set=x.y{i}={10**i}" for i in range(12)), "--out", "p/" * 60, "", "z"]
    _say_command(words)
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if "p/p/" not in line) in range(70, 81)
    shell = subprocess.run(["sh", "-c", "printf '%s\\0' " + "\n".join(lines)], capture_output=True, text=True, check=True)
    assert shell.stdout.split("\0")[:-1] == words
    for room in range(60, 73):  # six columns before it, a space and a backslash after
        _say_command(["harness", "x" * room, "y"])
        assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_an_evaluation_has_no_default_model_and_an_embedded_policy_knows_its_suites(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = harness(capsys, "eval", "--bench", "id", "--dry-run")
    assert code == 2 and "MODEL" in err
    for model, suite in (("skills", "sk-id"), ("testbed", "tb-id")):
        code, out, err = harness(capsys, "eval", model, "--bench", "id", "--dry-run")
        assert code == 0 and re.search(rf"problems of {suite}$", out, re.M), err


def test_dry_run_plans_and_writes_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = harness(capsys, "run", "--method", "grpo", "--dry-run", "--json")
    plan = json.loads(out.splitlines()[-1])["plan"]
    assert code == 0 and list(tmp_path.iterdir()) == []
    # 320 problems in batches of 16 x 6 rollouts until 10,200: 107 batches, 10,272 rollouts
    assert (plan["batches"], plan["rollouts"], plan["optimiser_steps"]) == (107, 10272, 107)
    code, out, _ = harness(capsys, "run", "--method", "p2o", "--dry-run")
    assert code == 0 and re.search(r"a seed takes\s+\d+ s on two cores", out)
    # 4 epochs of 1,920 and three searches of 800 leave 120, no room for a fourth: two plain batches more
    assert re.search(r"rollouts\s+at most 10,272 a seed, 2,400 of them prompt search", out)


BAD = [
    (["run"], 2, "--method"),
    (["run", "--method", "p20"], 2, "did you mean 'p2o'"),
    (["run", "--method", "p2o", "--bench", "odd"], 2, "did you mean 'ood'"),
    (["run", "--method", "p2o", "--recipe", "testbd"], 2, "did you mean 'testbed'"),
    (["run", "--method", "p2o", "--set", "train.lrr=1"], 2, "did you mean 'train.lr'"),
    (["run", "--method", "p2o", "--set", "p2o.hard_below=9"], 2, "hard_below"),
    (["run", "--method", "p2o", "--seeds", "a,b"], 2, "whole numbers"),
    (["run", "--method", "p2o", "--config", "nowhere.yaml"], 3, "nowhere.yaml"),
    (["run", "--method", "p2o", "--backend", "openrlhf"], 3, "openrlhf"),
    (["run", "--method", "p2o", "--recipe", "qwen2.5-0.5b-gsm8k"], 3, "--data-dir"),
    (["run", "--method", "p2o", "--recipe", "qwen2.5-0.5b-gsm8k", "--data-dir", "nowhere"], 3, "nowhere"),
    (["run", "--method", "p2o", "--set", "testbed.problems=3"], 2, "fewer than one batch"),
    (["run", "--method", "p2o", "--resume"], 2, "nothing to resume"),
    (["run", "--method", "p2o", "--resume", "--out", "gone"], 2, "nothing to resume"),
    (["compare", "nowhere"], 3, "nowhere"),
    (["regrade", "nowhere"], 3, "nowhere"),
    (["check", "golds", "--bench", "amie24"], 2, "did you mean 'aime24'"),
    (["check", "golds", "--bench", "aime24"], 3, "--data-dir"),
    (["list", "stuff"], 2, "stuff"),
    (["fly"], 2, "fly"),
]


@pytest.mark.parametrize(("args", "exit_code", "words"), BAD, ids=lambda x: " ".join(x) if isinstance(x, list) else None)
def test_bad_input_is_one_clear_sentence(capsys, tmp_path, monkeypatch, args, exit_code, words):
    monkeypatch.chdir(tmp_path)
    code, _, err = harness(capsys, *args)
    assert code == exit_code and words in err and "Traceback" not in err
    assert list(tmp_path.iterdir()) == [], "nothing half-written"


GOOD = '{"id": "a", "problem": "1+1?", "answer": "2"}\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no problems"),
        (GOOD + "{broken\n", "line 2 is not JSON"),
        (GOOD + '{"id": "b", "problem": "", "answer": "2"}\n', "line 2: field 'problem'"),
        (GOOD + '{"id": "b", "problem": "x", "answer": [3]}\n', "line 2: field 'answer'"),
        (GOOD + GOOD, "line 2: id 'a'"),
        (GOOD, "1 problems, fewer than one batch"),
    ],
)
def test_bad_training_data(capsys, tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "train").mkdir(parents=True)
    (tmp_path / "data" / "train" / "gsm8k_train.jsonl").write_text(text)
    code, _, err = harness(
        capsys, "run", "--method", "p2o", "--recipe", "qwen2.5-0.5b-gsm8k", "--data-dir", "data", "--bench", "aime24"
    )
    assert code == 2 and words in err and "\n" not in err.strip()
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_an_existing_run_directory_is_refused(capsys, tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "spec.json").write_text("{}")
    code, _, err = harness(capsys, "run", "--method", "grpo", "--out", tmp_path / "old")
    assert code == 2 and "--resume" in err
    assert (tmp_path / "old" / "spec.json").read_text() == "{}"


def test_resume_under_another_spec_names_the_fields(capsys, tmp_path):
    from harness.runs.rundir import RunDir
    from support.settings import resolve

    RunDir(tmp_path / "run").write_spec(resolve("grpo", flags={"eval": {"bench": "ood"}}))
    code, _, err = harness(
        capsys,
        "run",
        "--method",
        "grpo",
        "--out",
        tmp_path / "run",
        "--resume",
        "--set",
        "train.lr=0.5",
        "--set",
        "train.loss.clip_high=0.3",
    )
    assert code == 2 and "train.loss.clip_high, train.lr" in err


@pytest.mark.parametrize("files", [{}, {"config.json": "{}"}, {"config.json": '{"model_type": "llama"}'}])
def test_a_model_folder_without_a_tokenizer(capsys, tmp_path, files):
    folder = tmp_path / "model"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    data = tmp_path / "data" / "train"
    data.mkdir(parents=True)
    code, _, err = harness(
        capsys, "run", "--method", "grpo", "--recipe", "testbed", "--model", folder, "--set", "train.set=testbed"
    )
    assert code == 2 and "\n" not in err.strip()


@pytest.mark.parametrize("model", ["nobody/nothing", "nowhere/at/all", "./nowhere", "/nowhere/at/all"])
@pytest.mark.parametrize("offline", [(), ("--offline",)])
def test_a_model_that_is_not_there(capsys, tmp_path, monkeypatch, model, offline):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the variable is read when that is imported
    code, _, err = harness(capsys, "eval", model, "--bench", "tb-id", "--limit", "1", *offline)
    assert code == 3 and err.startswith("error: ") and err.count("\n") == 1 and model in err
    assert list(tmp_path.iterdir()) == []


def test_a_chat_template_that_raises(capsys, tmp_path, monkeypatch):
    from harness.config import resolve_eval
    from harness.models import locate

    monkeypatch.chdir(tmp_path)
    policy = locate(
        resolve_eval([], [], {"model": {"id": "testbed"}, "train_set": "testbed"}, {"eval": {"bench": "tb-id"}}), True
    )
    shutil.copytree(policy, tmp_path / "model")
    (tmp_path / "model" / "chat_template.jinja").write_text("{{ raise_exception('no system\nprompt, no answer') }}")
    code, _, err = harness(capsys, "eval", tmp_path / "model", "--bench", "tb-id", "--limit", "1")
    assert code == 2 and "no system prompt, no answer" in err and err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("card", "words"),
    [
        (lambda t: t.pop("size"), "`size`"),
        (lambda t: t.update(k="many"), "$.k"),
        (lambda t: t.update(colour=1), "'colour'"),
        (lambda t: t.clear(), "`title`"),
    ],
)
def test_a_damaged_card_breaks_its_own_suite_only(capsys, tmp_path, monkeypatch, card, words):
    from harness.data import suites

    monkeypatch.setattr(suites, "benchmarks_dir", lambda: tmp_path)
    suites._suites.cache_clear()
    shutil.copy(ROOT / "benchmarks" / "groups.yaml", tmp_path)
    for path in (ROOT / "benchmarks").glob("*/card.yaml"):
        tree = yaml.safe_load(path.read_text())
        if path.parent.name == "math500":
            card(tree)
        (tmp_path / path.parent.name).mkdir()
        (tmp_path / path.parent.name / "card.yaml").write_text(yaml.safe_dump(tree))
    try:
        for bench in ("math500", "tb-id,math500"):
            code, _, err = harness(capsys, "check", "golds", "--bench", bench)
            assert code == 2 and str(tmp_path / "math500" / "card.yaml") in err and words in err and err.count("\n") == 1
        code, out, _ = harness(capsys, "check", "golds", "--bench", "tb-id")
        assert code == 0 and "200 of 200" in out
        code, out, _ = harness(capsys, "list", "benches")
        assert code == 0 and "card.yaml" in out and "tb-id" in out
    finally:
        suites._suites.cache_clear()


def test_lists_are_aligned_under_headings_and_names_are_whole(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    finished(tmp_path / "runs" / ("a-long-name" * 6))
    for what in ("methods", "benches", "models", "backends", "recipes", "studies", "runs"):
        rows = json.loads(harness(capsys, "list", what, "--json")[1])
        lines = harness(capsys, "list", what)[1].splitlines()
        key = "run" if what == "runs" else "name"
        heads = [name for name, *_ in LISTS[what].shown]
        assert what == "runs" or (lines[0].split("  ")[0] == heads[0] and set(lines[1]) == {"─"})
        for row in rows:
            assert any(row[key] in line for line in lines)
        assert all(head in "".join(lines) for head in heads) and all(len(line) <= 80 for line in lines)


def test_runs_of_every_kind_are_listed(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("finished", "evaluation", "running", "bare spec"):
        STATES[name](tmp_path / "runs" / name.replace(" ", "-"))
    rows = {row["run"]: row for row in json.loads(harness(capsys, "list", "runs", "--json")[1])}
    assert [rows[f"runs/{n}"]["kind"] for n in ("finished", "evaluation", "running")] == ["training", "evaluation", "training"]
    assert [rows[f"runs/{n}"]["finished"] for n in ("finished", "evaluation", "running")] == [True, True, False]
    assert rows["runs/finished"]["seeds"] == [0, 1, 2] and rows["runs/bare-spec"]["error"].endswith(
        "another version of the harness: method"
    )
    code, out, _ = harness(capsys, "list", "runs")
    assert code == 0 and re.search(r"training +grpo +tb-long +0, 1, 2 +yes +runs/finished", out)
