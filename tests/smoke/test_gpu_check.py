"""perf/gpu_check.py as a whole, small, on a CPU: a tiny model of the family it is for."""

import json
import subprocess
import sys
import tarfile

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from harness.testbed.policy import make_tokenizer
from support.paths import ROOT


@pytest.mark.timeout(600)
def test_every_stage_on_a_cpu(tmp_path):
    tokenizer = make_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %} ="
    torch.manual_seed(0)
    sizes = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1)
    config = Qwen2Config(vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id, **sizes)
    Qwen2ForCausalLM(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "data" / "train").mkdir(parents=True)
    rows = [{"id": f"r{i}", "problem": f"{i} + 1 ?", "answer": str(i + 1)} for i in range(12)]
    (tmp_path / "data" / "train" / "gsm8k_train.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    words = ["--data-dir", tmp_path / "data", "--model", tmp_path / "model", "--out", tmp_path / "out", "--seconds", "500"]
    command = [sys.executable, ROOT / "perf" / "gpu_check.py", "--smoke", "--device", "cpu", *words]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=550)
    log = (tmp_path / "out" / "log.txt").read_text()
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "out" / "gpu_check.json").read_text())
    assert list(found) == ["parity", "speed", "update", "before", "grpo", "p2o"], log
    assert all(stage["exit_code"] == 0 for stage in found.values()), log
    assert found["parity"]["cpu float32 chunked"]["max"] < 1e-4 < found["parity"]["cpu bfloat16 whole"]["max"] < 1
    assert found["parity"]["cpu float32 chunked"]["grad_cosine"] > 0.99999
    assert found["parity"]["greedy_rows_equal"] == 1
    assert all(row["tokens_per_s"] > 0 for name, row in found["speed"].items() if name.startswith(("sample", "train")))
    updates = {name: row for name, row in found["update"].items() if name.startswith(("update", "memory"))}
    assert len(updates) == 10 and all(row["rollouts_per_s"] > 0 for row in updates.values())
    assert all(0 < norm < 1e6 for row in updates.values() for norm in row["grad_norms"])
    pairs = [(name, name.replace("read once", "read with every completion")) for name in updates if "read once" in name]
    for once, every in pairs:  # the same rows: the gradient is the same up to bfloat16
        assert updates[once]["grad_norms"][0] == pytest.approx(updates[every]["grad_norms"][0], rel=0.05)
    assert found["before"]["ledger"]["optimiser_steps"] == 0 < found["grpo"]["ledger"]["optimiser_steps"]
    with tarfile.open(tmp_path / "out" / "runs.tgz") as archive:
        names = archive.getnames()
    assert "p2o/result.json" in names and not [n for n in names if "ckpt" in n]
