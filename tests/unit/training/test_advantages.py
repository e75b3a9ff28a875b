"""A method's own advantages: what the optimiser step makes of them, against gradients from the definition."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from harness.core.errors import UsageError
from harness.core.settings import LossSpec, MethodConfig, TrainConfig
from harness.core.types import Context, Group, Problem, Rollout
from harness.methods.grpo import GRPO
from harness.training.loss import checked_advantages
from harness.training.update import Updater

PROMPT = [4, 5]
TEMPERATURE = 0.6


class LeaveOneOut(GRPO):
    """RLOO (Ahmadian et al. 2024, arXiv 2402.14740, section 3.2): a rollout's reward minus the mean of the others'."""

    def advantages(self, group):
        total, k = sum(group.rewards_K), len(group.rollouts)
        return [r - (total - r) / (k - 1) for r in group.rewards_K]


class PerLength(GRPO):
    """(r - mean) / |y|: the length normalisation in GRPO's objective (Shao et al. 2024, Eq. 3), as an advantage."""

    def advantages(self, group):
        mean = sum(group.rewards_K) / len(group.rollouts)
        return [(r - mean) / n for r, n in zip(group.rewards_K, group.lengths_K, strict=True)]


def groups():
    rewards = [(1.0, 0.0, 0.0), (0.0, 1.0, 1.0)]
    tokens = [([1, 2, 3], [3, 1, 6, 2, 1], [2]), ([6, 6], [1, 3, 3, 2], [5, 1, 2])]
    return [
        Group(
            Problem(f"p{g}", "x", "1"),
            [Rollout(Context.plain("x"), "t", y, [-1.0] * len(y), 2, reward=r) for r, y in zip(rs, ys, strict=True)],
        )
        for g, (rs, ys) in enumerate(zip(rewards, tokens, strict=True))
    ]


def made(cls, **loss):
    cfg = TrainConfig(prompts_per_batch=2, updates_per_batch=1, temperature=TEMPERATURE, grad_clip=1e9, loss=LossSpec(**loss))
    return cls(MethodConfig(), cfg, [], 0)


def gradient(method):
    """Of one update on `groups`, as the local backend makes it, and the model before it."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    )
    start = {k: v.clone() for k, v in model.state_dict().items()}
    updater = Updater(model, method.train, method.loss, 0, 20, lambda group: checked_advantages(method, group))
    rows, metrics = updater.step(groups(), lambda text: PROMPT)
    found = torch.cat([p.grad.flatten() for p in model.parameters()])
    model.load_state_dict(start)
    return found, model, rows, metrics


def by_definition(model, advantages, tokens):
    """-d/dw of sum over rollouts of A x log p(y), over all tokens: ratios are 1 in the first update after sampling."""
    objective = 0.0
    for a, r in zip(advantages, [r for g in groups() for r in g.rollouts], strict=True):
        logits = model(torch.tensor([PROMPT + r.tokens_T])).logits[0, len(PROMPT) - 1 : -1] / TEMPERATURE
        objective = objective + a * torch.log_softmax(logits, -1).gather(1, torch.tensor(r.tokens_T)[:, None]).sum()
    model.zero_grad()
    (-objective / tokens).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def test_leave_one_out():
    found, model, rows, metrics = gradient(made(LeaveOneOut))
    expected = [1.0, -0.5, -0.5, -1.0, 0.5, 0.5]  # by hand
    k_over_k_less_one = [3 / 2 * (r - mean) for r, mean in zip([1, 0, 0, 0, 1, 1], [1 / 3] * 3 + [2 / 3] * 3, strict=True)]
    assert [r.advantage for r in rows] == pytest.approx(expected) and expected == pytest.approx(k_over_k_less_one)
    assert metrics["advantage"] == pytest.approx(sum(map(abs, expected)) / 6)
    assert torch.allclose(found, by_definition(model, expected, 18), atol=1e-6)


def test_lengths_and_the_aggregation_that_says_the_same():
    found, model, rows, _ = gradient(made(PerLength))
    expected = [2 / 3 / 3, -1 / 3 / 5, -1 / 3 / 1, -2 / 3 / 2, 1 / 3 / 4, 1 / 3 / 3]
    assert [r.advantage for r in rows] == pytest.approx(expected)
    assert torch.allclose(found, by_definition(model, expected, 18), atol=1e-6)
    sequence_mean, *_ = gradient(made(GRPO, advantage="group_centre", aggregation="sequence_mean"))
    assert torch.allclose(found * 18 / 6, sequence_mean, atol=1e-6), "the mean over rollouts of means over tokens"


def test_the_default_follows_the_setting():
    for kind, first in (("group_norm", (1 - 1 / 3) / (3**-0.5 + 1e-6)), ("group_centre", 2 / 3)):
        assert checked_advantages(made(GRPO, advantage=kind), groups()[0])[0] == pytest.approx(first)


def test_one_advantage_per_rollout():
    class Short(GRPO):
        def advantages(self, group):
            return [0.0]

    with pytest.raises(UsageError, match="Short.advantages returned 1 values for a group of 3 rollouts"):
        checked_advantages(made(Short), groups()[0])
