"""Folders that are no usable policy: one sentence each, the documented exit codes, nothing written. And adapters that are."""

import json
import shutil

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from harness.config import resolve
from harness.skills.policy import POLICIES
from harness.training.local.backend import LocalBackend
from support.command import harness
from support.models import tiny_llama

RUN = ["--method", "grpo", "--recipe", "testbed", "--bench", "tb-id", "--seeds", "0", "--limit", "1", "--set", "train.epochs=0"]


@pytest.fixture
def folder(tmp_path):
    return tiny_llama(tmp_path / "model")


def refused(capsys, tmp_path, code, *words, more=()):
    """By `harness eval` and by `harness run`, in the same words; neither leaves anything behind."""
    before = sorted(tmp_path.rglob("*"))
    evaluated = ["eval", tmp_path / "model", "--bench", "tb-id", "--limit", "1"]
    for command in (evaluated, ["run", *RUN, "--model", tmp_path / "model"]):
        found, _, err = harness(capsys, *command, "--out", tmp_path / "out", *more)
        assert found == code and err.startswith("error: ") and err.count("\n") == 1, err
        assert all(w in err for w in words), err
    assert sorted(tmp_path.rglob("*")) == before


def with_bytes(folder):
    """The folder's tokenizer becomes one of bytes, as real models have: text of any kind has tokens."""
    alphabet = {chr(i): i for i in range(33, 90)}
    end = chr(33)
    fast = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(alphabet, [], unk_token=end)), eos_token=end)
    fast.save_pretrained(folder)


def test_a_model_without_a_chat_template(capsys, tmp_path, folder):
    with_bytes(folder)
    refused(capsys, tmp_path, 2, "has no chat template", "model.chat_template=false")
    code, _, err = harness(
        capsys, "run", *RUN, "--model", folder, "--set", "model.chat_template=false", "--out", tmp_path / "out"
    )
    assert code == 0, err


def test_a_tokenizer_without_an_end(capsys, tmp_path, folder):
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    del settings["eos_token"]
    path.write_text(json.dumps(settings))
    refused(capsys, tmp_path, 2, str(folder), "names no end-of-text token")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_folder_without_weights_or_settings(capsys, tmp_path, folder, name):
    (folder / name).unlink()
    refused(capsys, tmp_path, 2, f"the model folder {folder} holds no usable", name)


def test_a_folder_without_a_tokenizer(capsys, tmp_path, folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()
    refused(capsys, tmp_path, 2, f"the model folder {folder} holds no usable tokenizer")


def test_weights_that_end_early(capsys, tmp_path, folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    refused(capsys, tmp_path, 2, f"the model folder {folder} holds no usable causal language model")


def test_weights_of_which_some_are_missing_or_of_another_size(capsys, tmp_path, folder):
    path = folder / "model.safetensors"
    whole = load_file(path)
    name = "model.layers.0.mlp.up_proj.weight"
    for damaged, words in (({**whole, name: whole[name][:-1]}, []), ({n: t for n, t in whole.items() if n != name}, [name])):
        save_file(damaged, path, {"format": "pt"})
        refused(capsys, tmp_path, 2, f"the model folder {folder} holds no usable causal language model", *words)


def test_a_tokenizer_of_another_model(capsys, tmp_path):
    tiny_llama(tmp_path / "model", vocab_size=20)
    refused(capsys, tmp_path, 2, "tokens, and the model's vocabulary 20: they do not belong together")


def adapters(tmp_path, base, **more):
    """A folder of adapters for the model at `base`, with B of other values than 0."""
    model = AutoModelForCausalLM.from_pretrained(base)
    torch.manual_seed(3)
    settings = peft.LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", init_lora_weights=False, **more)
    adapted = peft.get_peft_model(model, settings)
    adapted.save_pretrained(tmp_path / "model")
    return adapted.merge_and_unload()


def says(folder, name):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": name}))


def test_a_folder_of_adapters_is_its_base_with_them(capsys, tmp_path):
    merged = adapters(tmp_path, POLICIES / "floor0.001-s0")
    for name in (str(POLICIES / "floor0.001-s0"), "skills"):  # as a folder, and by name
        says(tmp_path / "model", name)
        policy = LocalBackend(resolve("grpo", "skills", sets=[f"model.id={tmp_path / 'model'}"]))
        expected = merged.state_dict()
        assert all(torch.equal(p, expected[n]) for n, p in policy.model.state_dict().items())
        assert all(p.requires_grad for p in policy.model.parameters())
        assert not [n for n, _ in policy.model.named_modules() if "lora" in n]
    code, _, err = harness(capsys, "eval", tmp_path / "model", "--bench", "sk-id", "--limit", "1", "--out", tmp_path / "out")
    assert code == 0, err


def test_adapters_that_do_not_fit_their_base(capsys, tmp_path):
    other = tiny_llama(tmp_path / "other")
    adapters(tmp_path, POLICIES / "floor0.001-s0")
    says(tmp_path / "model", str(other))
    refused(capsys, tmp_path, 2, f"the adapters in {tmp_path / 'model'} do not fit {other}", "size mismatch")


def test_adapters_with_a_vocabulary_that_their_base_does_not_have(capsys, tmp_path):
    """A layer of the vocabulary's size trained beside the adapters, of another size; and a tokenizer of their own."""
    base = tiny_llama(tmp_path / "base")
    adapters(tmp_path, base, modules_to_save=["lm_head"])
    path = tmp_path / "model" / "adapter_model.safetensors"
    tensors = load_file(path)
    assert any("lm_head" in n for n in tensors)
    save_file({n: torch.cat([t, t[:2]]) if "lm_head" in n else t for n, t in tensors.items()}, path)
    refused(capsys, tmp_path, 2, f"do not fit {base}", "size mismatch", "lm_head")

    shutil.rmtree(tmp_path / "model")
    adapters(tmp_path, base)
    grown = AutoModelForCausalLM.from_pretrained(base).config.vocab_size
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens(["new", "newer"])
    tokenizer.save_pretrained(tmp_path / "model")
    refused(capsys, tmp_path, 2, f"has {grown + 2} tokens, and the model's vocabulary {grown}")


def test_adapters_without_their_base(capsys, tmp_path):
    adapters(tmp_path, POLICIES / "floor0.001-s0")
    says(tmp_path / "model", str(tmp_path / "gone"))
    refused(capsys, tmp_path, 3, str(tmp_path / "gone"))
    says(tmp_path / "model", None)
    refused(capsys, tmp_path, 2, "does not say which model the adapters are for")
