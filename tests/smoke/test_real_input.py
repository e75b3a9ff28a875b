"""The path of real input, without a download: a model folder with a chat template, the user's own training file,
math-verify as the reward, the policy itself as the reflector; and a recipe that needs no data, with a book of phrases."""

import json
import sys

import pytest

from harness.cli import main
from harness.runs.files import read_jsonl
from support.models import tiny_llama

SHORT = ["train.limit=16", "train.epochs=2", "train.rollouts_per_prompt=4", "train.max_new_tokens=8", "p2o.min_hard=4"]
SHORT += ["p2o.evolve.dev_size=8", "p2o.evolve.metric_calls=40", "seeds=[0]"]


@pytest.fixture
def model(tmp_path):
    return tiny_llama(tmp_path / "model", "{% for m in messages %}{{ m['content'] }}{% endfor %} =")


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data" / "train").mkdir(parents=True)
    rows = [{"id": f"r{i}", "problem": f"{i} + 1 ?", "answer": str(i + 1)} for i in range(16)]
    (tmp_path / "data" / "train" / "gsm8k_train.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return tmp_path / "data"


def run(capsys, method, bench, model, out, settings, *flags):
    """The result of a short run of the recipe smollm2 with another model."""
    sys.argv = ["harness", "run", "--method", method, "--recipe", "smollm2", "--model", str(model), "--bench", bench]
    sys.argv += ["--limit", "2", "--out", str(out), "--json", "--offline", *flags]
    sys.argv += [part for setting in SHORT + settings for part in ("--set", setting)]
    with pytest.raises(SystemExit) as e:
        main()
    captured = capsys.readouterr()
    assert e.value.code == 0, captured.err
    return json.loads(captured.out.splitlines()[-1])


def test_p2o_with_self_reflection_on_own_data(capsys, tmp_path, model, data):
    out = tmp_path / "run"
    settings = ["train.set=gsm8k", "model.chat_template=true", "p2o.reflector.kind=policy", "p2o.reflector.max_new_tokens=8"]
    result = run(capsys, "p2o", "tb-id", model, out, settings, "--data-dir", str(data))
    assert "not the file that training set 'gsm8k' pins" in result["not_a_result"], "the user's own file is stamped"
    ledger = result["ledger"]
    assert ledger["reflection_calls"] > 0 and ledger["reflection_tokens"] > 0 and ledger["optimiser_steps"] == 4
    first = read_jsonl(out / "rollouts" / "s0.jsonl")[0]["rollouts"][0]
    assert first["context"]["train"].startswith("Please reason step by step") and first["status"] == "unparsed"


def test_p2o_with_a_book_on_drills_without_data(capsys, tmp_path, model):
    out = tmp_path / "run"
    result = run(capsys, "p2o-placebo-book", "dr-kinds", model, out, [])
    ledger = result["ledger"]
    assert ledger["reflection_calls"] == ledger["reflection_tokens"] == 0 and ledger["optimiser_steps"] == 4
    assert any(row.get("proposals", 0) > 0 for row in read_jsonl(out / "metrics.jsonl")), "the search tried phrases"
    first = read_jsonl(out / "rollouts" / "s0.jsonl")[0]["rollouts"][0]
    assert first["context"]["train"].endswith("?\nAnswer:") and first["context"]["rollout"] == first["context"]["train"]
