"""What is fetched counts for a verdict once its hash stands in the card, and not before."""

import json

import pytest
import yaml

from harness import registry
from harness.data import training_sets
from harness.data.suites import benchmarks_dir
from harness.models import locate
from harness.run import execute, prepare
from harness.runs.rundir import RunDir
from support.command import harness
from support.settings import resolve

ROWS = [{"question": f"What is {i} + {i}?", "final_answer": str(2 * i), "difficulty": 8.0} for i in range(8)]
SETS = {
    "train.epochs": 1,
    "train.prompts_per_batch": 4,
    "train.rollouts_per_prompt": 2,
    "train.max_new_tokens": 4,
    "train.max_rollouts": None,
    "eval.max_new_tokens": 4,
    "eval.decoding": {"kind": "greedy"},
}


@pytest.fixture
def claims(tmp_path):
    """A folder with one claim about the set, whose arms are two runs of the testbed's policy; its path is the model."""
    tree = {
        "text": "GRPO at temperature 1 scores 20 points above GRPO.",
        "source": "nowhere",
        "metric": "greedy",
        "suites": ["tb-long"],
        "effect": 20,
        "budget": "any",
        "training_set": "deepmath-full",
        "recipe": "testbed",
        "settings": {"train.set": "deepmath-full", "model.id": str(locate(resolve("grpo"), offline=True)), **SETS},
        "arms": {"arm": {"method": "grpo-t1"}, "baseline": {"method": "grpo"}},
    }
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "mine.yaml").write_text(yaml.safe_dump(tree))
    return tmp_path / "claims"


def prepared(method, data, claims):
    settings = yaml.safe_load((claims / "mine.yaml").read_text())["settings"]
    sets = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
    return prepare(resolve(method, "testbed", sets=[*sets, "seeds=[0, 1, 2]", "eval.bench=tb-long"]), data, True)


def run_both(path, data, claims):
    found = [(method, prepared(method, data, claims)) for method in ("grpo-t1", "grpo")]
    return [execute(p, RunDir.new(p.spec, path / method), []) for method, p in found]


def test_fetched_then_stamped_then_pinned_then_judged(tmp_path, claims, monkeypatch, capsys):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(training_sets, "_training_sets", training_sets._training_sets.__wrapped__)
    source, data = tmp_path / "source", tmp_path / "data"
    source.mkdir()
    (source / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    code, out, _ = harness(capsys, "fetch", "deepmath-full", "--source", source, "--data-dir", data, "--json")
    fetched = json.loads(out)
    assert code == 0

    results = run_both(tmp_path / "before", data, claims)
    stamp = f"training set 'deepmath-full' pins no file; {fetched['file']} has the SHA-256 {fetched['sha256']}"
    assert {r.not_a_result for r in results} == {stamp}
    check = ("claim", "check", "--claims", claims, "--json", "--runs")
    _, out, _ = harness(capsys, *check, tmp_path / "before")
    [before] = json.loads(out)["claims"]
    assert before["verdict"] == "not assessable" and all(stamp in reason for reason in before["reasons"])

    [line] = fetched["pin"]
    card = (benchmarks_dir() / "training_sets.yaml").read_text()
    head, entry = card.split("deepmath-full:\n")
    [old] = [text for text in entry.splitlines() if text.strip().startswith("sha256:")]
    pinned = yaml.safe_load(f"{head}deepmath-full:\n{entry.replace(old, f'  {line}')}")["deepmath-full"]
    monkeypatch.setitem(registry.training_set_fields(), "deepmath-full", pinned)
    results = run_both(tmp_path / "after", data, claims)
    assert {r.not_a_result for r in results} == {None}
    _, out, _ = harness(capsys, *check, tmp_path / "after")
    [after] = json.loads(out)["claims"]
    assert after["reasons"] == [] and after["verdict"] != "not assessable" and after["fixed"] is not None

    (data / fetched["file"]).write_text((data / fetched["file"]).read_text() + "\n")
    changed = prepared("grpo", data, claims).deviation
    assert changed == f"{fetched['file']} is not the file that training set 'deepmath-full' pins"
