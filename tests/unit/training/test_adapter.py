"""LoRA on the local backend: against peft used plainly, formulas for what an adapter adds, and the policy without one."""

import json
from copy import deepcopy

import peft
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from harness.config import resolve
from harness.core.errors import UsageError
from harness.core.settings import LoraConfig, LossSpec, TrainConfig
from harness.core.types import Context, Group, Problem, Rollout, Sampling
from harness.training.local import backend as local_backend
from harness.training.local.adapter import Adapter
from harness.training.local.attention import plain_attention
from harness.training.local.backend import LocalBackend
from harness.training.local.generation import sample
from harness.training.local.logps import can_share, completion_logps
from harness.training.update import Updater

SIZES = dict(vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4)
HEADS = dict(num_key_value_heads=2, initializer_range=0.3)
PROMPTS, COMPLETIONS = [[3, 4, 5], [3, 4, 5], [8]], [[2, 3], [4, 5, 6, 1], [7]]
CFG = LoraConfig(rank=4, alpha=8)
LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@pytest.fixture(params=["llama", "qwen2"])
def model(request):
    torch.manual_seed(0)
    if request.param == "llama":
        return LlamaForCausalLM(LlamaConfig(**SIZES, **HEADS)).eval()
    return Qwen2ForCausalLM(Qwen2Config(**SIZES, **HEADS, tie_word_embeddings=True)).eval()


def logps(model, share=False):
    with torch.no_grad():
        values, real = completion_logps(model, PROMPTS, COMPLETIONS, 0.7, 0, share)
    return values * real


def moved(model, cfg=CFG, seed=1):
    """An adapter whose B is not 0."""
    adapter = Adapter(model, cfg, seed, "base")
    g = torch.Generator().manual_seed(2)
    for name, p in model.named_parameters():
        if "lora_B" in name:
            p.data = (0.3 * torch.randn(p.shape, generator=g)).to(p.dtype)
    return adapter


def test_an_adapter_begins_as_the_policy_itself(model):
    before, weights = logps(model), {n: p.clone() for n, p in model.named_parameters()}
    Adapter(model, CFG, 1, "base")
    assert torch.equal(logps(model), before)
    assert plain_attention(model) and can_share(model) and torch.allclose(logps(model, share=True), before, atol=1e-5)
    now = {n.replace(".base_layer", ""): p for n, p in model.named_parameters() if "lora" not in n}
    assert now.keys() == weights.keys() and all(torch.equal(p, weights[n]) for n, p in now.items())


def test_its_size_is_the_formula_and_nothing_else_is_trained(model):
    """r (in + out) a layer: 32 to 32 twice, 32 to 16 twice, 32 to 48 twice, 48 to 32."""
    Adapter(model, CFG, 1, "base")
    trained = {n: p.numel() for n, p in model.named_parameters() if p.requires_grad}
    assert all(".lora_" in n for n in trained)
    assert sum(trained.values()) == SIZES["num_hidden_layers"] * 4 * (2 * 64 + 2 * 48 + 3 * 80)


def test_what_it_adds_is_alpha_by_rank_times_b_a(model):
    """By hand: the same model with W + (alpha / r) B A in the place of every W."""
    by_hand = deepcopy(model)
    moved(model)
    state = dict(model.named_parameters())
    with torch.no_grad():
        for name, p in by_hand.named_parameters():
            stem = name.removesuffix(".weight")
            if f"{stem}.lora_A.default.weight" in state:
                p += 8 / 4 * state[f"{stem}.lora_B.default.weight"] @ state[f"{stem}.lora_A.default.weight"]
    assert torch.allclose(logps(model), logps(by_hand), atol=1e-4) and logps(model).abs().max() > 1


def test_the_draw_is_the_seeds_and_leaves_other_draws_alone(model):
    torch.manual_seed(5)
    expected = torch.rand(1)
    others = [deepcopy(model) for _ in range(2)]
    torch.manual_seed(5)
    drawn = []
    for policy, seed in zip([model, *others], [1, 1, 2], strict=True):
        Adapter(policy, CFG, seed, "base")
        drawn.append(torch.cat([p.flatten() for n, p in policy.named_parameters() if "lora_A" in n]))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_off_is_the_policy_before(model):
    before = logps(model)
    adapter = moved(model)
    after = logps(model)
    with adapter.off():
        assert torch.equal(logps(model), before)
    assert torch.equal(logps(model), after) and not torch.allclose(after, before, atol=0.1)
    assert all(p.requires_grad == (".lora_" in n) for n, p in model.named_parameters())


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-4), (torch.bfloat16, 0.5)], ids=["float32", "bfloat16"])
def test_merged_weights_are_a_plain_model_of_the_same_answers(model, dtype, bound, tmp_path):
    """The bound for bfloat16 is what the spread of .3 makes of its rounding: log-probabilities down to -40 there."""
    model.save_pretrained(tmp_path / "base")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=dtype).eval()
    adapter = moved(model, LoraConfig(rank=2, alpha=2))
    adapted = logps(model)
    adapter.save(tmp_path / "adapter")
    adapter.merge()
    assert not [n for n, _ in model.named_modules() if "lora" in n]
    model.save_pretrained(tmp_path / "final")
    read = AutoModelForCausalLM.from_pretrained(tmp_path / "final", dtype=dtype).eval()
    assert torch.equal(logps(read), logps(model)) and (logps(read) - adapted).abs().max() < bound
    assert {f.name for f in (tmp_path / "adapter").iterdir()} >= {"adapter_config.json", "adapter_model.safetensors"}
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"] == "base"


def test_peft_reads_the_stored_adapter(model, tmp_path):
    plain = deepcopy(model)
    adapter = moved(model)
    adapter.save(tmp_path)
    read = peft.PeftModel.from_pretrained(plain, tmp_path).eval()
    assert torch.equal(logps(read.get_base_model()), logps(model))
    again = deepcopy(plain)
    fresh = Adapter(read.unload(), CFG, 9, "base")
    fresh.load(tmp_path)
    assert torch.equal(logps(fresh.model), logps(model)) and again is not fresh.model


def groups():
    """Two groups with advantages, behind two prompts."""
    made = []
    for i, prompt in enumerate(("a", "b")):
        problem = Problem(str(i), prompt, "1")
        rollouts = []
        for k, tokens in enumerate(([2, 3], [4, 5, 6, 1], [7], [9, 9, 9])):
            rollouts.append(Rollout(Context.plain(prompt), "", tokens, [-1.0] * len(tokens), 3, reward=float(k % 2)))
        made.append(Group(problem, rollouts))
    return made


@pytest.mark.parametrize("share", [False, True])
def test_steps_are_those_of_peft_and_a_plain_loop(model, share):
    """Three updates at ratio 1 of policy gradient with AdamW and clipping, written down with peft's and torch's own means."""
    encode = {"a": [3, 4, 5], "b": [8]}.__getitem__
    plain = deepcopy(model)
    base = {n: p.clone() for n, p in model.named_parameters()}
    Adapter(model, CFG, 3, "base")
    cfg = TrainConfig(lr=1e-2, updates_per_batch=1, prompts_per_batch=2, temperature=0.7, grad_clip=0.5)
    updater = Updater(model, cfg, LossSpec(), pad=0, forward_tokens=1000, share=share)
    start = {n: p.clone() for n, p in model.named_parameters() if p.requires_grad}

    settings = peft.LoraConfig(r=4, lora_alpha=8, target_modules=LAYERS)
    theirs = peft.get_peft_model(plain, settings)
    theirs.get_base_model().load_state_dict(model.state_dict())
    trained = [p for p in theirs.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0.01)
    for _ in range(3):
        updater.step(groups(), encode)
        losses, tokens = [], 0
        for group in groups():
            rewards = torch.tensor(group.rewards_K)
            advantages = (rewards - rewards.mean()) / (rewards.std() + 1e-6)
            for rollout, advantage in zip(group.rollouts, advantages, strict=True):
                prompt, ids = encode(rollout.context.train), rollout.tokens_T
                logits = theirs(input_ids=torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
                values = torch.log_softmax(logits / 0.7, -1)[range(len(ids)), ids]
                losses.append(-(torch.exp(values - values.detach()) * advantage).sum())
                tokens += len(ids)
        optimizer.zero_grad()
        (sum(losses) / tokens).backward()
        torch.nn.utils.clip_grad_norm_(trained, 0.5)
        optimizer.step()
    expected = dict(theirs.get_base_model().named_parameters())
    for name, p in model.named_parameters():
        plain_name = name.replace(".base_layer", "")
        if plain_name in base:
            assert p.grad is None and torch.equal(p, base[plain_name])
        else:
            assert torch.allclose(p, expected[name], atol=2e-4)
    assert max((p - start[n]).abs().max() for n, p in model.named_parameters() if n in start) > 0.02
    stored = updater.optimizer.state_dict()["state"]
    assert sum(s["exp_avg"].numel() for s in stored.values()) == sum(p.numel() for p in start.values())


def test_layers_that_are_not_there_and_the_head_are_refused(model):
    with pytest.raises(UsageError, match="train.lora.targets .*no_such.* cannot be adapted in base"):
        Adapter(deepcopy(model), LoraConfig(rank=2, targets=("no_such",)), 0, "base")
    for target in ("lm_head", "embed_tokens"):
        with pytest.raises(UsageError, match="name the embedding or the head"):
            Adapter(deepcopy(model), LoraConfig(rank=2, targets=(target,)), 0, "base")


def test_only_the_named_layers_get_one(model):
    Adapter(model, LoraConfig(rank=2, targets=("q_proj", "v_proj")), 0, "base")
    assert {n.split(".")[-4] for n, p in model.named_parameters() if p.requires_grad} == {"q_proj", "v_proj"}


def test_sampling_uses_the_adapters(model):
    drawn = lambda: sample(model, PROMPTS, Sampling(0.0, 6), {1}, 0, torch.Generator().manual_seed(0), 1000)  # noqa: E731
    before = [r.tokens_T for r in drawn()]
    adapter = moved(model)
    after = [r.tokens_T for r in drawn()]
    with adapter.off():
        assert [r.tokens_T for r in drawn()] == before != after
    adapter.merge()
    assert [r.tokens_T for r in drawn()] == after


def test_the_initial_policy_is_no_second_copy(monkeypatch):
    spec = resolve("grpo", "skills", sets=["train.lora.rank=2", "local.threads=1"])
    policy = LocalBackend(spec)
    asked = [Sampling(0.0, 6), 0, True]
    fresh = [r.text for r in policy.complete(["<q>"], *asked)]
    policy.adapter = moved(policy.model)
    monkeypatch.setattr(local_backend, "load_policy", lambda *_: pytest.fail("read again"))
    assert [r.text for r in policy.complete(["<q>"], *asked)] == fresh
    assert policy.adapter.peft.active_adapter == "default"


def test_checkpoints_hold_adapters_alone(model, tmp_path):
    adapter = moved(model)
    adapter.save(tmp_path)
    stored = load_file(tmp_path / "adapter_model.safetensors")
    assert sum(t.numel() for t in stored.values()) == sum(p.numel() for p in model.parameters() if p.requires_grad)
