"""What an update takes of a machine's memory: arithmetic against sizes counted from tensors, and what is refused."""

import importlib.util
import sys

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from harness.core.errors import HarnessError
from harness.core.settings import LocalConfig, LoraConfig, LossSpec, TrainConfig
from harness.training.local import memory
from harness.training.local.adapter import Adapter
from harness.training.local.generation import cache_bytes
from harness.training.local.memory import Memory, fitting_tokens, free_bytes
from harness.training.update import Updater
from support.paths import ROOT

SIZES = dict(hidden_size=256, intermediate_size=1024, num_hidden_layers=4, num_attention_heads=8, num_key_value_heads=2)


def script():
    spec = importlib.util.spec_from_file_location("perf_memory", ROOT / "perf" / "memory.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look for it there
    spec.loader.exec_module(module)
    return module


def tiny(dtype=torch.bfloat16, **more):
    with torch.device("meta"):
        return Qwen2ForCausalLM(Qwen2Config(**SIZES, vocab_size=1000, tie_word_embeddings=True, **more)).to(dtype)


@pytest.mark.parametrize(("recompute", "rank"), [(False, 0), (True, 0), (True, 8)])
def test_the_estimate_is_what_fake_tensors_count(recompute, rank):
    """Of the lasting parts to a step counter a parameter; of the whole never less, and not half as much again."""
    found = script().measured(SIZES, 512, 2200, recompute, rank, vocab_size=20_000)
    estimate = found.estimate
    assert found.pass_tokens == 128 + 4 * 512
    assert (found.masters, found.weights) == (estimate.masters, pytest.approx(estimate.weights, rel=1e-3))
    assert found.optimiser == pytest.approx(estimate.optimiser, rel=0.02)
    assert found.step < estimate.step(found.pass_tokens) < 1.5 * found.step


def test_the_lasting_parts_by_hand():
    model = tiny()
    count = sum(p.numel() for p in model.parameters())
    m = Memory.of(model, False, 100)
    assert (m.weights, m.masters, m.optimiser, m.gradients) == (2 * count, 4 * count, 8 * count, 4 * count)
    whole = Memory.of(tiny(torch.float32), False, 100)
    assert (whole.weights, whole.masters) == (4 * count, 0)
    assert m.step(500) - m.ahead(500) == m.weights
    assert cache_bytes(model.config, 2) == 2 * 4 * 2 * 32 * 2


def test_adapters_proposed_are_the_adapters_made():
    model = tiny()
    proposed = Memory.of(model, True, 100).with_adapters(model)
    Adapter(model, LoraConfig(rank=memory.RANK), 0, "base")
    made = Memory.of(model, True, 100)
    assert (proposed.masters, proposed.optimiser, proposed.head) == (made.masters, made.optimiser, made.head) and made.head == 0


CFG = TrainConfig(prompts_per_batch=8, updates_per_batch=1)


def test_what_fits_is_as_the_setting_says():
    model = tiny()
    enough = int(Memory.of(model, False, 600).ahead(4096) / memory.SHARE) + 1
    local = LocalConfig(forward_tokens=4096)
    assert fitting_tokens(model, CFG, local, 600, enough, False) == 4096
    assert fitting_tokens(model, CFG, local, 600, None, True) == 4096
    with pytest.raises(HarnessError, match="too little memory"):
        fitting_tokens(model, CFG, local, 600, enough - 2_000_000, False)


def test_a_pass_has_as_many_tokens_as_fit_where_it_may_have_fewer():
    model, local = tiny(), LocalConfig(forward_tokens=4096)
    memory_ = Memory.of(model, False, 600)
    for tokens in (800, 1500, 3000, 4095):
        free = int(memory_.ahead(tokens) / memory.SHARE) + 1
        assert fitting_tokens(model, CFG, local, 600, free, True) == tokens // 256 * 256
        with pytest.raises(HarnessError, match=f"it fits with --set local.forward_tokens={tokens // 256 * 256}$"):
            fitting_tokens(model, CFG, local, 600, free, False)
    assert fitting_tokens(model, CFG, local, 600, 2**50, True) == 4096, "no more than the setting"
    with pytest.raises(HarnessError, match="it fits with --set local.gradient_checkpointing=true"):
        fitting_tokens(model, CFG, local, 600, int(memory_.ahead(500) / memory.SHARE), True)


def test_a_refusal_names_the_least_setting_that_fits_and_it_does():
    """Free memory that suffices for so many tokens of a pass, all else as each case sets it."""
    model, local = tiny(), LocalConfig(forward_tokens=60_000)
    plain, again = (Memory.of(model, r, 600) for r in (False, True))
    adapted = again.with_adapters(model)
    cases = [
        (plain.ahead(4900), {"local.forward_tokens": "4864"}),
        (again.ahead(1500), {"local.gradient_checkpointing": "true", "local.forward_tokens": "1280"}),
        (adapted.ahead(1000), {"train.lora.rank": "16", "local.gradient_checkpointing": "true", "local.forward_tokens": "768"}),
    ]
    assert plain.ahead(600) > again.ahead(1500) and again.ahead(600) > adapted.ahead(1000)
    for need, settings in cases:
        free = int(need / memory.SHARE) + 1
        with pytest.raises(HarnessError) as e:
            fitting_tokens(model, TrainConfig(), local, 600, free, False)
        assert str(e.value).endswith("it fits with " + " ".join(f"--set {k}={v}" for k, v in settings.items()))
        followed = LocalConfig(
            forward_tokens=int(settings["local.forward_tokens"]),
            gradient_checkpointing="local.gradient_checkpointing" in settings,
        )
        policy = tiny()
        if "train.lora.rank" in settings:
            Adapter(policy, LoraConfig(rank=16), 0, "base")
        assert fitting_tokens(policy, TrainConfig(), followed, 600, free, False) == followed.forward_tokens
    with pytest.raises(HarnessError, match="not even adapters .* lower train.max_new_tokens"):
        fitting_tokens(model, TrainConfig(), local, 600, 1_000_000, True)


def test_this_machine_says_how_much_is_free():
    free = free_bytes(torch.device("cpu"))
    assert free is None or 2**20 < free < 2**50


def test_gradients_reach_their_masters_one_by_one_and_hooks_go():
    torch.manual_seed(0)
    model = torch.nn.Sequential(*(torch.nn.Linear(8, 8, dtype=torch.bfloat16) for _ in range(3)))
    updater = Updater(model, TrainConfig(), LossSpec(), pad=0, forward_tokens=1)
    x = torch.randn(4, 8, dtype=torch.bfloat16)
    model(x).sum().backward()
    expected = [p.grad.float() for p in model.parameters()]
    model.zero_grad(set_to_none=True)
    for _ in range(2):
        with updater._gathering():
            model(x).sum().backward()
        assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(m.grad, 2 * g) for m, g in zip(updater.masters, expected, strict=True))
    model(x).sum().backward()
    assert all(p.grad is not None for p in model.parameters()), "whoever trains beside the updater keeps its gradients"
