"""The path of real input, without a download: a model folder with a chat template, the user's own training file,
math-verify as the reward, the policy itself as the reflector."""

import json
import sys

import pytest

from harness.cli import main
from harness.runs.files import read_jsonl
from support.models import tiny_llama


@pytest.fixture
def model(tmp_path):
    return tiny_llama(tmp_path / "model", "{% for m in messages %}{{ m['content'] }}{% endfor %} =")


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data" / "train").mkdir(parents=True)
    rows = [{"id": f"r{i}", "problem": f"{i} + 1 ?", "answer": str(i + 1)} for i in range(16)]
    (tmp_path / "data" / "train" / "gsm8k_train.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return tmp_path / "data"


SETS = ["train.set=gsm8k", "train.limit=16", "train.epochs=2", "train.rollouts_per_prompt=4", "model.chat_template=true"]
SETS += ["p2o.min_hard=4", "p2o.evolve.dev_size=8", "p2o.reflector.kind=policy", "seeds=[0]"]


def test_p2o_with_self_reflection_on_own_data(capsys, tmp_path, model, data):
    out = tmp_path / "run"
    sys.argv = [
        "harness",
        "run",
        "--method",
        "p2o",
        "--recipe",
        "smollm2",
        "--model",
        str(model),
        "--data-dir",
        str(data),
        "--bench",
        "tb-id",
        "--limit",
        "2",
        "--out",
        str(out),
        "--json",
        "--offline",
        *(part for item in SETS for part in ("--set", item)),
        "--set",
        "train.max_new_tokens=8",
        "--set",
        "p2o.reflector.max_new_tokens=8",
        "--set",
        "p2o.evolve.metric_calls=40",
    ]
    with pytest.raises(SystemExit) as e:
        main()
    captured = capsys.readouterr()
    assert e.value.code == 0, captured.err
    result = json.loads(captured.out.splitlines()[-1])
    assert "not the file that training set 'gsm8k' pins" in result["not_a_result"], "the user's own file is stamped"
    ledger = result["ledger"]
    assert ledger["reflection_calls"] > 0 and ledger["reflection_tokens"] > 0 and ledger["optimiser_steps"] == 4
    first = read_jsonl(out / "rollouts" / "s0.jsonl")[0]["rollouts"][0]
    assert first["context"]["train"].startswith("Please reason step by step") and first["status"] == "unparsed"
