"""Completions behind one copy of their prompt, against rows that each hold their own: the reference is the plain pass."""

import random
from collections import Counter
from contextlib import nullcontext
from copy import deepcopy

import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from harness.core.settings import LossSpec, TrainConfig
from harness.core.types import Context, Group, Problem, Rollout
from harness.training.local import logps
from harness.training.local.generation import SHARED_PROMPTS, shares_prompts
from harness.training.local.logps import can_share, completion_logps, recomputed_layers
from harness.training.local.passes import passes_by_length, passes_by_prompt
from harness.training.update import Updater

SIZES = dict(vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4)
HEADS = dict(num_key_value_heads=2, initializer_range=0.3, attention_dropout=0.5)
MODELS = {
    "llama": (LlamaForCausalLM, LlamaConfig(**SIZES, **HEADS)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SIZES, **HEADS, tie_word_embeddings=True)),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config(**SIZES, **HEADS, head_dim=8)),
}
A, B, C = [3, 4, 5, 6, 7], [8], [2, 2, 9]
BATCHES = {
    "groups of unequal lengths": ([A, A, A, B, B, C], [[2, 3], [4, 5, 6, 1], [7], [9, 9, 9], [5], [6, 1]]),
    "mixed up": ([A, B, A, C, B, A], [[4, 5, 6, 1], [7], [9, 9, 9], [5], [6, 1], [2, 3]]),
    "a completion a prompt": ([A, B, C], [[4, 5, 6, 1, 3, 3, 3], [7], [9, 9]]),
    "one group": ([A] * 4, [[2, 3], [4, 5, 6, 1], [7], [2, 3]]),
    "first tokens alone": ([A, A, B], [[2], [3], [4]]),
    "one row": ([C], [[1, 2, 3]]),
    "one without tokens": ([A, A], [[], [4, 5]]),
}


def made(name, dtype=torch.float64):
    """In float64 all through: transformers' own norms compute in float32 whatever the weights are."""
    torch.manual_seed(0)
    kind, config = MODELS[name]
    model = kind(deepcopy(config)).to(dtype).eval()
    if dtype == torch.float64:
        for module in list(model.modules()):
            for child, norm in list(module.named_children()):
                if type(norm).__name__.endswith("RMSNorm"):
                    exact = torch.nn.RMSNorm(norm.weight.shape, eps=norm.variance_epsilon, dtype=dtype)
                    exact.weight = norm.weight
                    setattr(module, child, exact)
    return model.eval()


@pytest.fixture(params=MODELS)
def model(request):
    return made(request.param)


def scored(model, prompts, completions, share, recompute=False):
    """Log-probabilities where they have a meaning, and every parameter's gradient of a sum with a weight for each."""
    model.zero_grad()
    with recomputed_layers(model) if recompute else nullcontext():
        values, real = completion_logps(model, prompts, completions, 0.6, 0, share)
    weights = torch.linspace(-1, 1, values.numel(), dtype=values.dtype).view_as(values)
    (values * weights * real).sum().backward()
    return (values * real).detach(), {name: p.grad.clone() for name, p in model.named_parameters()}


def furthest(mine, theirs):
    """Largest difference of log-probabilities, and of gradients as a share of their parameter's largest."""
    values = (mine[0] - theirs[0]).abs().max().item()
    gradients = [((mine[1][n] - g).abs().max() / g.abs().max()).item() for n, g in theirs[1].items() if g.abs().max() > 0]
    assert len(gradients) >= len(theirs[1]) - 6  # the biases and weights by which nothing is told apart have none
    return values, max(gradients)


@pytest.mark.parametrize("head", ["whole", "chunks"])
@pytest.mark.parametrize("batch", BATCHES)
def test_values_and_gradients_are_the_plain_ones(model, batch, head, monkeypatch):
    if head == "chunks":
        monkeypatch.setattr(logps, "WHOLE_LOGITS", 0)
        monkeypatch.setattr(logps, "CHUNK_LOGITS", 2 * 50)
    values, gradients = furthest(scored(model, *BATCHES[batch], True), scored(model, *BATCHES[batch], False))
    assert values < 1e-12 and gradients < 1e-10


@pytest.mark.parametrize(
    ("dtype", "bound"), [(torch.float32, (2e-5, 1e-4)), (torch.bfloat16, (0.1, 0.25))], ids=["float32", "bfloat16"]
)
def test_lower_precision_differs_by_its_rounding(dtype, bound):
    """Bounds for weights of a spread of .3, which make log-probabilities down to -40; both are as far from float64."""
    prompts, completions = BATCHES["groups of unequal lengths"]
    exact = scored(made("qwen2"), prompts, completions, False)
    model = made("qwen2", dtype)
    for share in (True, False):
        values, gradients = furthest(scored(model, prompts, completions, share), exact)
        assert values < bound[0] and gradients < bound[1]


def test_recomputed_layers_see_what_the_pass_saw(model):
    """The backward pass repeats a layer when its kind of attention is no longer set."""
    calls = []
    model.model.layers[0].mlp.register_forward_pre_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    batch = BATCHES["mixed up"]
    values, gradients = furthest(scored(model, *batch, True, recompute=True), scored(model, *batch, False))
    assert values < 1e-12 and gradients < 1e-10 and len(calls) == 3
    assert model.config._attn_implementation == "sdpa" and not any(m.training for m in model.modules())


def test_every_prompt_is_passed_once_and_no_padding(model):
    seen = []
    model.model.embed_tokens.register_forward_hook(lambda _, ids, out: seen.append(ids[0].numel()))
    prompts, completions = BATCHES["groups of unequal lengths"]
    completion_logps(model, prompts, completions, 0.6, 0, True)
    assert seen == [len(A) + len(B) + len(C) + sum(len(c) - 1 for c in completions)]


def eager():
    model = made("llama", torch.float32)
    model.set_attn_implementation("eager")
    return model


def sliding():
    torch.manual_seed(0)
    window = dict(use_sliding_window=True, sliding_window=3, max_window_layers=1)
    return Qwen2ForCausalLM(Qwen2Config(**SIZES, **HEADS, **window)).double().eval()


def another_type():
    torch.manual_seed(0)
    return MistralForCausalLM(MistralConfig(**SIZES, **HEADS, sliding_window=3)).double().eval()


@pytest.mark.parametrize("other", [eager, sliding, another_type])
def test_any_other_model_takes_the_plain_way(other):
    model = other()
    assert not can_share(model)
    widths = []
    model.model.embed_tokens.register_forward_hook(lambda _, ids, out: widths.append(tuple(ids[0].shape)))
    batch = BATCHES["mixed up"]
    asked, plain = scored(model, *batch, True), scored(model, *batch, False)
    assert widths[0] == widths[1] == (6, 8) and furthest(asked, plain) == (0.0, 0.0)
    assert not Updater(model, TrainConfig(), LossSpec(), pad=0, forward_tokens=100, share=True).share


def test_the_setting_and_its_default():
    model = made("llama")
    assert shares_prompts(model, True) and not shares_prompts(model, False) and not shares_prompts(model, None)
    with torch.device("meta"):
        large = LlamaForCausalLM(LlamaConfig(**{**SIZES, "vocab_size": SHARED_PROMPTS // 64}))
    assert shares_prompts(large, None)


def rows(seed):
    """Prompts of 1 to 20 tokens, two of each length, with 1 to 6 completions of 1 to 30 tokens, shuffled."""
    draw = random.Random(seed)
    out = []
    for length in [1, 4, 9, 20]:
        for first in (1, 2):
            out += [([first] * length, [5] * draw.randint(1, 30)) for _ in range(draw.randint(1, 6))]
    draw.shuffle(out)
    return out


@pytest.mark.parametrize("budget", [1, 30, 60, 200, 10_000])
@pytest.mark.parametrize("seed", range(5))
def test_a_pass_by_prompt_keeps_to_its_budget_and_parts_no_group_that_fits(seed, budget):
    batch = rows(seed)
    parts = passes_by_prompt(batch, budget)
    assert sorted(i for part in parts for i in part) == list(range(len(batch)))
    passes_of, cost = Counter(), Counter()
    for part in parts:
        prompts = {tuple(batch[i][0]) for i in part}
        passes_of.update(prompts)
        assert sum(map(len, prompts)) + sum(len(batch[i][1]) for i in part) <= budget or len(part) == 1
    for prompt, completion in batch:
        cost[tuple(prompt)] += len(completion)
    for prompt, tokens in cost.items():
        assert passes_of[prompt] == 1 or len(prompt) + tokens > budget
    if budget == 10_000:
        assert len(parts) == 1


def test_a_pass_by_length_counts_its_padding():
    batch = rows(0)
    for budget in (1, 60, 10_000):
        parts = passes_by_length(batch, budget)
        assert sorted(i for part in parts for i in part) == list(range(len(batch)))
        for part in parts:
            assert len(part) == 1 or len(part) * max(len(batch[i][0]) + len(batch[i][1]) for i in part) <= budget


IDS = {"q": [4, 5], "hint q": [6, 3, 4, 5], "r": [9, 9, 1, 2, 7]}


def groups():
    """Under the original prompt, under hints that the gradient sees and that it does not, and a group without advantage."""
    plain, hinted, kept = Context.plain("q"), Context("hint q", "q", "hint"), Context("hint q", "hint q", "hint")
    other = Context.plain("r")
    made = [
        ([plain, plain, hinted, kept], [1.0, 0.0, 0.0, 1.0], [[1, 2, 3], [3, 1, 6, 2, 1], [2, 7], [4, 4, 1]]),
        ([other, other, other], [1.0, 0.0, 0.0], [[6], [1, 3, 3, 2], [5, 1, 2]]),
        ([plain, hinted, plain], [1.0, 1.0, 1.0], [[2, 2], [7, 1, 1, 1, 1, 1], [3]]),
        ([other, kept], [0.0, 1.0], [[6, 2], [8, 4, 1]]),
    ]
    draw = random.Random(0)
    out = []
    for g, (contexts, rewards, tokens) in enumerate(made):
        logps = [[-4 * draw.random() for _ in y] for y in tokens]
        rollouts = [Rollout(c, "t", y, p, 2, reward=r) for c, y, p, r in zip(contexts, tokens, logps, rewards, strict=True)]
        out.append(Group(Problem(f"p{g}", contexts[0].train, "1"), rollouts))
    return out


@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("forward_tokens", [1, 14, 1000])
@pytest.mark.parametrize("updates", [1, 2])
def test_a_step_moves_the_weights_as_on_the_plain_way(model, updates, forward_tokens, recompute):
    """To a thousandth of a step of 1e-3: what passes in another order leave in their float32 sum, and Adam enlarges."""
    start = {n: p.detach().clone() for n, p in model.named_parameters()}
    loss = LossSpec(advantage="group_centre", correction="mask", ratio_band=(0.1, 10.0))
    cfg = TrainConfig(prompts_per_batch=4, updates_per_batch=updates, temperature=0.7, lr=1e-3)
    found = []
    for share in (True, False):
        with torch.no_grad():
            for n, p in model.named_parameters():
                p.copy_(start[n])
        updater = Updater(model, cfg, loss, 0, forward_tokens, recompute=recompute, share=share)
        passed = []
        hook = model.model.embed_tokens.register_forward_hook(lambda _, ids, out, to=passed: to.append(ids[0].numel()))
        logged = [updater.step(groups(), IDS.__getitem__)[1] for _ in range(2)]
        hook.remove()
        found.append(({n: p.detach().clone() for n, p in model.named_parameters()}, logged, sum(passed)))
    (mine, my_log, my_tokens), (theirs, their_log, their_tokens) = found
    for name, weights in theirs.items():
        assert torch.allclose(mine[name], weights, rtol=0, atol=1e-6), name
    for a, b in zip(my_log, their_log, strict=True):
        assert a == pytest.approx(b, rel=1e-5, abs=1e-6)
    assert max((theirs[n] - start[n]).abs().max() for n in start) > 1e-3 and "hint_reliance" in my_log[0]
    assert my_tokens < their_tokens if forward_tokens == 1000 else my_tokens <= their_tokens
