"""The optimiser step: what it weighs and divides by, against gradients from the definition, and its learning rates."""

import math

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from harness.core.settings import LossSpec, TrainConfig
from harness.core.types import Context, Group, Problem, Rollout
from harness.training.update import Updater

TEMPERATURE = 0.7
IDS = {"q": [4, 5], "hint q": [6, 3, 4, 5]}
BAND = (0.5, 2.0)


def groups():
    """Rollouts of three kinds: under the gradient's own prompt, under a hint, and of a group that all succeed."""
    plain, hinted = Context.plain("q"), Context("hint q", "q", "hint")
    rows = [
        ([plain, plain, hinted], [1.0, 0.0, 0.0], [[1, 2, 3], [3, 1, 6, 2, 1], [2, 7]]),
        ([hinted, plain, hinted], [1.0, 1.0, 0.0], [[6], [1, 3, 3, 2], [5, 1, 2]]),
        ([plain, hinted, plain], [1.0, 1.0, 1.0], [[2, 2], [7, 1, 1, 1, 1, 1], [3]]),
    ]
    out = []
    for g, (contexts, rewards, tokens) in enumerate(rows):
        logps = [[-1.0 - 0.9 * ((3 * g + i + t) % 3) for t in range(len(y))] for i, y in enumerate(tokens)]
        made = [Rollout(c, "t", y, p, 2, reward=r) for c, y, p, r in zip(contexts, tokens, logps, rewards, strict=True)]
        out.append(Group(Problem(f"p{g}", "q", "1"), made))
    return out


def policy():
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    return LlamaForCausalLM(config)


def by_definition(model, aggregation):
    """The gradient of -A w log p, summed over tokens and divided as `aggregation` says, one rollout at a time.

    A = r - mean; w = 1 under one prompt, otherwise 1 or 0 as pi(y|q) / pi(y|hint q) is in the band or not. Ratios are 1.
    """
    made = groups()
    objective, dropped = 0.0, 0
    for group in made:
        mean = sum(group.rewards_K) / len(group.rollouts)
        for r in group.rollouts:
            logits = model(torch.tensor([IDS["q"] + r.tokens_T])).logits[0, 1:-1] / TEMPERATURE
            logps_T = torch.log_softmax(logits, -1).gather(1, torch.tensor(r.tokens_T)[:, None])[:, 0]
            keep = [1.0] * len(r.tokens_T)
            if r.context.rollout != r.context.train:
                ratios = [math.exp(own - hinted) for own, hinted in zip(logps_T.tolist(), r.logps_T, strict=True)]
                keep = [float(BAND[0] <= w <= BAND[1]) for w in ratios]
                dropped += keep.count(0.0)
            value = (r.reward - mean) * (logps_T * torch.tensor(keep)).sum()
            objective = objective + (value / len(r.tokens_T) if aggregation == "sequence_mean" else value)
    rows = [r for g in made for r in g.rollouts]
    count = len(rows) if aggregation == "sequence_mean" else sum(len(r.tokens_T) for r in rows)
    model.zero_grad()
    (-objective / count).backward()
    assert 0 < dropped < 12, "the band tells the tokens apart"
    return torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize("aggregation", ["token_mean", "sequence_mean"])
@pytest.mark.parametrize("forward_tokens", [1, 15, 1000])
def test_a_step_divides_by_the_whole_update_whatever_its_micro_batches(aggregation, forward_tokens):
    model = policy()
    expected = by_definition(model, aggregation)
    loss = LossSpec(advantage="group_centre", aggregation=aggregation, correction="mask", ratio_band=BAND)
    cfg = TrainConfig(prompts_per_batch=3, updates_per_batch=1, temperature=TEMPERATURE, grad_clip=1e9)
    updater = Updater(model, cfg, loss, pad=0, forward_tokens=forward_tokens)
    _, metrics = updater.step(groups(), IDS.__getitem__)
    found = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert torch.allclose(found, expected, atol=1e-6) and found.abs().max() > 1e-3
    assert metrics["grad_norm"] == pytest.approx(expected.norm().item(), rel=1e-4)
    assert metrics["clipped_tokens"] == 0.0 and metrics["ratio_max"] == pytest.approx(1.0)


@pytest.mark.parametrize("warmup", [0, 1, 4])
def test_the_learning_rate_rises_in_equal_steps_to_its_full_value(warmup):
    """Under a gradient of 1, Adam's step is the learning rate: lr / (warmup + 1) at first, never 0, lr from then on."""
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(0.0)
    cfg = TrainConfig(lr=0.125, warmup_steps=warmup, weight_decay=0.0, grad_clip=1e9)
    updater = Updater(model, cfg, LossSpec(), pad=0, forward_tokens=1)
    moved = []
    for _ in range(warmup + 3):
        before = model.weight.item()
        model.weight.grad = torch.ones_like(model.weight)
        assert updater._step() == 1.0
        moved.append(before - model.weight.item())
    share = [(s + 1) / (warmup + 1) for s in range(warmup)] + [1.0] * 3
    assert moved == pytest.approx([0.125 * x for x in share], rel=1e-4)
