"""The local backend's shortcuts against the plain way: chunked logits, shared prompts, the replayed cache, masters."""

import gc
import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from harness.core.settings import LossSpec, TrainConfig
from harness.core.types import Sampling
from harness.data.training_sets import load_training_set
from harness.methods.grpo import GRPO
from harness.runs.rundir import RunDir
from harness.training.local import decoding, generation, logps
from harness.training.local.attention import GROUPED, attention, plain_attention
from harness.training.local.backend import LocalBackend
from harness.training.local.decoding import Decoder, sample_replayed
from harness.training.local.generation import prefill, sample, sample_growing
from harness.training.local.logps import TokenLogps, completion_logps, linear_head, recomputed_layers
from harness.training.seedlog import SeedLog
from harness.training.update import Updater
from support.settings import resolve

SIZES = dict(vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4)
PROMPTS = [[3, 4, 5, 6, 7], [8], [2, 2, 9], [8]]
COMPLETIONS = [[2, 3], [4, 5, 6, 1], [7], [9, 9, 9]]


@pytest.fixture(params=["llama", "qwen2"])
def model(request):
    torch.manual_seed(0)
    sizes = {**SIZES, "num_key_value_heads": 2, "initializer_range": 0.3, "attention_dropout": 0.5}
    if request.param == "llama":
        return LlamaForCausalLM(LlamaConfig(**sizes)).eval()
    return Qwen2ForCausalLM(Qwen2Config(**sizes, tie_word_embeddings=True)).eval()


def gradients(model, values_B_T, real_B_T):
    """Of a sum with a weight of its own for every token."""
    model.zero_grad()
    weights = torch.arange(1, values_B_T.numel() + 1).view_as(values_B_T) / 7
    (values_B_T * weights * real_B_T).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


def same(mine, theirs, tolerance):
    return all(torch.allclose(mine[n], theirs[n], rtol=tolerance, atol=tolerance * theirs[n].abs().max()) for n in theirs)


def test_chunked_logps_and_their_gradients_are_the_whole_ones(model, monkeypatch):
    whole, real = completion_logps(model, PROMPTS, COMPLETIONS, 0.6, 0)
    expected = gradients(model, whole, real)
    monkeypatch.setattr(logps, "WHOLE_LOGITS", 0)
    for rows in (1, 3, 100):
        monkeypatch.setattr(logps, "CHUNK_LOGITS", rows * 50)
        chunked, mask = completion_logps(model, PROMPTS, COMPLETIONS, 0.6, 0)
        assert torch.equal(mask, real) and torch.allclose(chunked * real, whole * real, atol=1e-5)
        assert same(gradients(model, chunked, mask), expected, 1e-5)


def test_the_chunked_gradient_is_the_derivative_of_its_value():
    g = torch.Generator().manual_seed(1)
    hidden = torch.randn(7, 5, generator=g, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(11, 5, generator=g, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 10, 3, 3, 7, 1, 2])
    expected = torch.log_softmax(hidden @ weight.T / 0.7, -1).gather(1, targets[:, None])[:, 0]
    assert torch.allclose(TokenLogps.apply(hidden, weight, targets, 0.7, 3), expected, atol=1e-12)
    assert torch.autograd.gradcheck(lambda h, w: TokenLogps.apply(h, w, targets, 0.7, 3), (hidden, weight))


def test_a_frozen_head_gets_no_gradient(model, monkeypatch):
    monkeypatch.setattr(logps, "WHOLE_LOGITS", 0)
    model.get_output_embeddings().weight.requires_grad_(False)
    values, real = completion_logps(model, PROMPTS, COMPLETIONS, 0.6, 0)
    (values * real).sum().backward()
    assert model.get_output_embeddings().weight.grad is None and model.model.layers[0].mlp.up_proj.weight.grad.abs().sum() > 0


def test_logits_that_the_model_changes_after_the_head_are_left_to_it(monkeypatch):
    torch.manual_seed(0)
    cohere = CohereForCausalLM(CohereConfig(**SIZES, num_key_value_heads=2, logit_scale=0.25, pad_token_id=0)).eval()
    assert linear_head(cohere) is None
    whole, real = completion_logps(cohere, PROMPTS, COMPLETIONS, 0.6, 0)
    monkeypatch.setattr(logps, "WHOLE_LOGITS", 0)
    assert torch.equal(completion_logps(cohere, PROMPTS, COMPLETIONS, 0.6, 0)[0], whole)


def test_recomputed_layers_change_no_gradient_and_begin_no_dropout(model):
    expected = gradients(model, *completion_logps(model, PROMPTS, COMPLETIONS, 0.6, 0))
    calls = []
    model.model.layers[0].mlp.register_forward_pre_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    with recomputed_layers(model):
        values, real = completion_logps(model, PROMPTS, COMPLETIONS, 0.6, 0)
    assert same(gradients(model, values, real), expected, 1e-6)
    assert len(calls) == 2 and not any(m.training for m in model.modules())


def test_shared_prompts_have_the_pass_of_their_own(model):
    alone = prefill(model, PROMPTS * 3, 0, False)
    seen = []
    model.model.embed_tokens.register_forward_hook(lambda _, ids, out: seen.append(len(ids[0])))
    shared = prefill(model, PROMPTS * 3, 0, True)
    assert seen == [3]
    assert torch.allclose(shared[0], alone[0], atol=1e-5) and torch.equal(shared[1], alone[1])
    for mine, theirs in zip(shared[2].layers, alone[2].layers, strict=True):
        real = alone[1].bool()
        assert torch.allclose(mine.keys.transpose(1, 2)[real], theirs.keys.transpose(1, 2)[real], atol=1e-5)
    rows, again = (
        sample(model, PROMPTS * 3, Sampling(0.8, 20), {1}, 0, torch.Generator().manual_seed(2), 10_000, share=share)
        for share in (True, False)
    )
    assert [r.tokens_T for r in rows] == [r.tokens_T for r in again]


def replayed(model, prompts, sampling, seed=0):
    with torch.inference_mode():
        return list(sample_replayed(model, prompts, sampling, {1}, 0, torch.Generator().manual_seed(seed), False))


def growing(model, prompts, sampling, seed=0):
    with torch.inference_mode():
        return list(sample_growing(model, prompts, sampling, {1}, 0, torch.Generator().manual_seed(seed), False))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_cache_with_room_gives_the_growing_ones_samples_bit_for_bit(model, monkeypatch, dtype):
    """With rows that end and are dropped on the way."""
    model.to(dtype)
    mine = growing(model, PROMPTS * 9, Sampling(0.8, 40), 4)
    monkeypatch.setattr(generation, "_InPlace", lambda layer, room: layer)
    assert mine == growing(model, PROMPTS * 9, Sampling(0.8, 40), 4) and len({len(r.tokens_T) for r in mine}) > 9


def test_a_layer_that_sees_a_window_keeps_its_own_cache(monkeypatch):
    torch.manual_seed(0)
    config = MistralConfig(**SIZES, num_key_value_heads=2, sliding_window=8, initializer_range=0.3)
    windowed = MistralForCausalLM(config).eval()
    monkeypatch.setattr(generation, "_InPlace", None)  # would fail if it were called
    rows = growing(windowed, PROMPTS * 3, Sampling(0.0, 30))
    for prompt, row in zip(PROMPTS * 3, rows, strict=True):
        alone = windowed.generate(torch.tensor([prompt]), max_new_tokens=30, do_sample=False, eos_token_id=1, pad_token_id=0)
        assert alone[0, len(prompt) :].tolist() == row.tokens_T


def test_the_replayed_cache_gives_the_growing_ones_tokens(model, monkeypatch):
    """Greedy over several segments and compactions; at 0.8, the same random numbers as long as no row is dropped."""
    monkeypatch.setattr(decoding, "SEGMENT", 4)
    monkeypatch.setattr(decoding, "LOOK", 3)
    mine, theirs = (way(model, PROMPTS * 3, Sampling(0.0, 90)) for way in (replayed, growing))
    assert [r.tokens_T for r in mine] == [r.tokens_T for r in theirs]
    assert [r.truncated for r in mine] == [r.truncated for r in theirs]
    for a, b in zip(mine, theirs, strict=True):
        assert a.logps_T == pytest.approx(b.logps_T, abs=1e-4)
    monkeypatch.setattr(decoding, "DROP_AT", 0.0)
    monkeypatch.setattr(generation, "DROP_AT", 0.0)
    mine, theirs = (way(model, PROMPTS * 9, Sampling(0.8, 12), 4) for way in (replayed, growing))
    assert [r.tokens_T for r in mine] == [r.tokens_T for r in theirs] and len({len(r.tokens_T) for r in mine}) > 3
    assert model.config._attn_implementation == "sdpa"


def test_replayed_samples_have_the_trainers_logps(model, monkeypatch):
    monkeypatch.setattr(decoding, "SEGMENT", 4)
    rows = replayed(model, PROMPTS * 20, Sampling(0.8, 30))
    values, _ = completion_logps(model, PROMPTS * 20, [r.tokens_T for r in rows], 0.8, 0)
    for i, row in enumerate(rows):
        assert row.logps_T == pytest.approx(values[i, : len(row.tokens_T)].tolist(), abs=1e-4)
        assert row.truncated == (1 not in row.tokens_T) and 1 not in row.tokens_T[:-1]


class Waits(TorchDispatchMode):
    """Operations whose result must be known to the process: a graph cannot hold them, and each waits for the GPU."""

    NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "unique", "equal.default")

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if any(name in str(func) for name in self.NAMES):
            self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


def test_a_step_waits_for_nothing_and_may_be_done_twice(model):
    with torch.inference_mode():
        _, mask, cache = prefill(model, PROMPTS, 0, False)
    with torch.inference_mode(), attention(model, GROUPED):
        decoder = Decoder(model, mask, cache, 16)
        decoder.begin(16, None)
        with Waits() as waits:
            first = decoder.step(torch.tensor([5, 6, 7, 8]))
        assert waits.seen == []
        decoder.at -= 1
        decoder.positions -= 1
        assert torch.equal(decoder.pass_(), first)


def test_only_plain_causal_attention_is_replayed(model):
    assert plain_attention(model) and not decoding.can_replay(model)  # no GPU here
    sliding = Qwen2Config(**SIZES, use_sliding_window=True, sliding_window=4, max_window_layers=1)
    assert not plain_attention(Qwen2ForCausalLM(sliding))


def test_broken_weights_are_found_after_the_pass(model):
    model.get_output_embeddings().weight.data[:] = float("nan")
    with pytest.raises(RuntimeError, match="probability tensor contains"):
        replayed(model, PROMPTS, Sampling(0.0, 3))


def test_gradients_of_bfloat16_weights_add_up_in_float32():
    """256 gradients of 1 and one of 256: bfloat16 cannot count past 256 by ones."""
    model = torch.nn.Linear(1, 1, bias=False, dtype=torch.bfloat16)
    updater = Updater(model, TrainConfig(lr=1e-3), LossSpec(), pad=0, forward_tokens=1)
    for gradient in [256.0] + [1.0] * 256:
        model.weight.grad = torch.full_like(model.weight, gradient)
        updater._gather()
    assert updater.masters[0].grad.item() == 512 and model.weight.grad is None
    assert updater._step() == 512
    assert updater.masters[0].grad is None, "no second copy of the weights between steps"
    before = updater.masters[0].clone()
    updater._step()
    assert not torch.equal(before, updater.masters[0]), "a batch without gradients moves on by its momentum"


def test_a_policy_that_is_loaded_leaves_out_the_attention_whose_gradients_are_not_finite():
    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(True)
    try:
        LocalBackend(resolve("grpo"))
        assert not torch.backends.cuda.cudnn_sdp_enabled()
        assert torch.backends.cuda.mem_efficient_sdp_enabled() and torch.backends.cuda.flash_sdp_enabled()
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)


def test_what_a_seed_trained_with_is_gone_when_it_is_done(tmp_path):
    """At once, with no collection of cycles: a GPU's memory calls for none when it is full."""
    spec = resolve("grpo", sets=["train.prompts_per_batch=2", "train.rollouts_per_prompt=2", "train.max_rollouts=4"])
    run = RunDir(tmp_path)
    run.write_spec(spec)
    problems = load_training_set("testbed").whole(spec, None)[:4]
    policy, kept = LocalBackend(spec), []

    class Watched(GRPO):
        def end_epoch(self, epoch, groups, trainee, ledger, last):
            kept.append(weakref.ref(policy._updater.optimizer))
            return super().end_epoch(epoch, groups, trainee, ledger, last)

    gc.disable()
    try:
        policy.train(
            Watched(spec.typed_method_config(), spec.train, problems, 0), SeedLog(run, 0, spec, problems, lambda *a: None)
        )
        assert kept and not any(ref() for ref in kept)
    finally:
        gc.enable()
