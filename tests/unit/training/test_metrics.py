"""What every batch logs about hints, against brute force and an independent forward pass."""

import itertools
import random

import pytest
import torch

from harness.core.ledger import Ledger
from harness.core.settings import LossSpec, TrainConfig
from harness.core.types import Context, Group, Problem, Rollout
from harness.training.metrics import batch_metrics
from harness.training.update import Updater


def rollout(context, reward):
    return Rollout(context, "t", [1], [-0.5], 1, reward=reward)


def hinted(problem, hint):
    return Context(f"{hint} {problem.text}", f"{hint} {problem.text}", hint)


def test_before_after_and_rescued():
    """Groups that fail or succeed at first, then with a hint, or begin with one; counted by hand."""
    groups, before, rescued = [], [], []
    for i, (begins_plain, first, second) in enumerate(itertools.product((True, False), (0.0, 1.0), (0.0, 1.0, None))):
        p = Problem(f"p{i}", f"q{i}", "1")
        start = Context.plain(p.text) if begins_plain else hinted(p, "z")
        group = Group(p, [rollout(start, first), rollout(start, 0.0)])
        if second is not None:
            group = group.replaced_by([rollout(hinted(p, "y"), second), rollout(hinted(p, "y"), 0.0)])
        groups.append(group)
        if begins_plain:
            before.append(first == 0.0)
            if first == 0.0:
                rescued.append(second == 1.0)
    out = batch_metrics(groups, [])
    assert out["all_zero_before"] == pytest.approx(sum(before) / len(before)) == 0.5
    assert out["rescued_groups"] == pytest.approx(sum(rescued) / len(rescued)) == pytest.approx(1 / 3)
    assert out["all_zero_groups"] == sum(g.successes == 0 for g in groups) / 12
    hints_only = batch_metrics([g for g in groups if g.rollouts[0].context.template and not g.discarded], [])
    assert "all_zero_before" not in hints_only and "rescued_groups" not in hints_only


def test_a_request_for_hints_is_no_attempt():
    p = Problem("p", "q", "1")
    asked = rollout(Context("write hints", "write hints", "request for hints"), 1.0)
    group = Group(p, [rollout(hinted(p, "y"), 1.0)], [asked, rollout(Context.plain("q"), 0.0)])
    assert batch_metrics([group], [])["all_zero_before"] == 1.0


WORDS = {"a": 2, "b": 3, "c": 4, "d": 5, "e": 6}


def encode(text):
    return [WORDS[w] for w in text.split()]


def logps(policy, prompt, tokens):
    x = encode(prompt)
    with torch.no_grad():
        logits = policy(torch.tensor([x + tokens])).logits[0, len(x) - 1 : -1] / 0.6
    return torch.log_softmax(logits, -1).gather(1, torch.tensor(tokens)[:, None])[:, 0].tolist()


@pytest.mark.parametrize("gradient", ["hinted", "original"])
def test_hint_reliance_and_diversity_wherever_the_gradient_is(tiny, gradient):
    rng = random.Random(0)
    groups, gaps, templates = [], [], []
    for i in range(4):
        p = Problem(f"p{i}", "a b", "1")
        made = []
        for _ in range(3):
            hint = rng.choice(["c", "d", "e d"]) if i else ""
            rolled = f"{hint} {p.text}".strip()
            context = Context(rolled, p.text if gradient == "original" else rolled, hint)
            tokens = [rng.randrange(2, 11) for _ in range(rng.randint(1, 4))]
            made.append(Rollout(context, "t", tokens, logps(tiny, rolled, tokens), 2, reward=float(rng.random() < 0.5)))
            if hint:
                templates.append(hint)
                gaps += [h - b for h, b in zip(logps(tiny, rolled, tokens), logps(tiny, p.text, tokens), strict=True)]
        groups.append(Group(p, made))
    cfg = TrainConfig(prompts_per_batch=4, updates_per_batch=2, lr=1e-9)
    before = {k: v.clone() for k, v in tiny.state_dict().items()}
    updater = Updater(tiny, cfg, LossSpec(), pad=0, forward_tokens=20)
    rows, metrics = updater.step(groups, encode)
    tiny.load_state_dict(before)
    assert metrics["hint_reliance"] == pytest.approx(sum(gaps) / len(gaps), abs=1e-4) and abs(metrics["hint_reliance"]) > 1e-3
    assert metrics["templated_rollouts"] == 9 / 12 and metrics["masked_tokens"] == 0.0
    pairs = list(itertools.combinations(templates, 2))
    assert metrics["template_diversity"] == pytest.approx(sum(a != b for a, b in pairs) / len(pairs))


def test_rollouts_trained_on_with_a_leaking_template_are_counted():
    p = Problem("p", "q", "4711")
    group = Group(p, [rollout(hinted(p, "it is 4711"), 1.0), rollout(hinted(p, "think"), 0.0)], refused=2)
    ledger = Ledger()
    ledger.add_update([group, group], 1)
    assert (ledger.leaking_rollouts, ledger.refused_hints) == (2, 4)
    again = Group.from_row(group.to_row(), {"p": p})
    assert again.refused == 2 == group.replaced_by([]).refused
