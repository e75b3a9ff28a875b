"""A policy trained by adapters, through the command line: learns, resumes to the same bytes, is an ordinary folder after."""

import json

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from harness.skills.policy import POLICIES
from harness.training.seedlog import SeedLog
from support.command import harness
from support.smoke import comparable

SETTINGS = ["train.lora.rank=4", "train.epochs=2", "train.prompts_per_batch=16", "train.lr=3e-3", "train.limit=64"]
SETTINGS += ["train.checkpoint_steps=1"]
COMMAND = ["--recipe", "skills", "--bench", "sk-id", "--seeds", "0", "--limit", "8", "--json"]
COMMAND += [word for item in SETTINGS for word in ("--set", item)]


def run(capsys, method, out, *more):
    return harness(capsys, "run", "--method", method, "--out", out, *COMMAND, *more)


def weights(out, name):
    return (out / "ckpt" / "s0" / name).read_bytes()


def test_interrupted_and_resumed_is_the_same_policy_to_the_byte(capsys, tmp_path, monkeypatch):
    assert run(capsys, "grpo", tmp_path / "whole")[0] == 0
    real, seen, sizes = SeedLog.step, [], []

    def stopping(self, *args):
        real(self, *args)
        seen.append(1)
        if len(seen) in (2, 6):
            raise KeyboardInterrupt

    monkeypatch.setattr(SeedLog, "step", stopping)
    code, _, err = run(capsys, "grpo", tmp_path / "cut")
    while code == 130:
        sizes += [p.stat().st_size for p in (tmp_path / "cut").glob("ckpt/s0/e*/*.safetensors")]
        code, _, err = run(capsys, "grpo", tmp_path / "cut", "--resume")
    assert code == 0 and len(seen) == 10 and sizes, err
    assert comparable(tmp_path / "whole") == comparable(tmp_path / "cut")
    for name in ("final/model.safetensors", "adapter/adapter_model.safetensors"):
        assert weights(tmp_path / "whole", name) == weights(tmp_path / "cut", name)
    assert 4 * max(sizes) < (tmp_path / "cut" / "ckpt" / "s0" / "final" / "model.safetensors").stat().st_size


def test_the_final_policy_is_the_base_and_its_adapter_and_scores_as_the_run_says(capsys, tmp_path):
    assert run(capsys, "grpo", tmp_path / "a")[0] == 0
    folder = tmp_path / "a" / "ckpt" / "s0"
    base = AutoModelForCausalLM.from_pretrained(POLICIES / "floor0.001-s0", dtype=torch.float32)
    before = {n: p.clone() for n, p in base.named_parameters()}
    merged = PeftModel.from_pretrained(base, folder / "adapter").merge_and_unload()
    final = load_file(folder / "final" / "model.safetensors")
    for name, p in merged.named_parameters():
        if name in final:
            assert torch.equal(p, final[name])
            assert torch.equal(p, before[name]) == ("proj" not in name)
    code, _, err = run(capsys, "grpo", tmp_path / "b", "--set", "train.epochs=0", "--model", folder / "final")
    assert code == 0, err
    scores = [json.loads((tmp_path / d / "results" / "s0.json").read_text())["suites"]["sk-id"]["avg"] for d in "ab"]
    assert scores[0] == scores[1]


def test_supervised_fine_tuning_trains_the_adapters(capsys, tmp_path):
    code, _, err = run(capsys, "sft-teacher", tmp_path / "a", "--set", "sft-teacher.lr=1e-2")
    assert code == 0, err
    stored = load_file(tmp_path / "a" / "ckpt" / "s0" / "adapter" / "adapter_model.safetensors")
    assert max(t.abs().max().item() for n, t in stored.items() if "lora_B" in n) > 1e-3
    base = AutoModelForCausalLM.from_pretrained(POLICIES / "floor0.001-s0", dtype=torch.float32)
    final = load_file(tmp_path / "a" / "ckpt" / "s0" / "final" / "model.safetensors")
    untouched = [n for n, p in base.named_parameters() if n in final and torch.equal(p, final[n])]
    assert untouched == [n for n, _ in base.named_parameters() if n in final and "proj" not in n]


def test_without_peft_one_sentence_says_what_to_install(capsys, tmp_path, monkeypatch):
    from harness.core import extras

    monkeypatch.setattr(extras, "find_spec", lambda module: None)
    code, _, err = run(capsys, "grpo", tmp_path / "a")
    assert code == 3 and "pip install 'p2o-harness[lora]'" in err and not (tmp_path / "a").exists()


@pytest.mark.parametrize("targets", ["[]", "lora", "[no_such]"])
def test_targets_that_are_none_are_refused(capsys, tmp_path, targets):
    code, _, err = run(capsys, "grpo", tmp_path / "a", "--set", f"train.lora.targets={targets}")
    assert code == 2 and "train.lora.targets" in err and "Traceback" not in err
