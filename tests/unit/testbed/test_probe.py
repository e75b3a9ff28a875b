"""Branch-token statistics on hand-made rows."""

import pytest
import torch

from harness.core.types import Context, Rollout
from harness.testbed.probe import observe
from harness.testbed.world import branch_words, train_problems
from harness.training.metrics import Row


def row(problem, words, advantage, templated, keep):
    context = Context(("z\n\n" if templated else "") + problem.text, problem.text)
    rollout = Rollout(context, " ".join(words), list(range(len(words) + 1)), [0.0] * (len(words) + 1), 3)
    return Row(problem, rollout, [1], advantage, weights_T=torch.tensor(keep) if keep else None)


def test_net_advantage_and_mask_share():
    first, second = [p for p in train_problems(64, 0.0, 0) if p.meta["right"] == "S"][:2]
    head = branch_words(first, 2)
    assert head == ["let", "<S>"]
    rows = [
        row(first, [*head, "1"], 1.5, True, [0.0, 1.0, 1.0, 1.0]),
        row(first, ["let", "<L>", "1"], -0.5, True, [1.0, 1.0, 1.0, 1.0]),
        row(first, ["ans", "1", "2"], -1.0, True, [1.0, 1.0, 1.0, 1.0]),
        row(second, [*head, "1"], 2.0, False, None),
    ]
    stats = observe(rows, 2)
    assert stats["branch_advantage_1_distilled"] == pytest.approx(1.5 * 0 - 0.5)
    assert stats["branch_advantage_2_distilled"] == pytest.approx(1.5)
    assert stats["branch_advantage_1_plain"] == stats["branch_advantage_2_plain"] == 2.0
    assert stats["branch_masked_1"] == 0.5 and stats["branch_masked_2"] == 0.0
