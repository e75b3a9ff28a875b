"""The local loss against TRL's GRPOTrainer and brute force, on the same random tensors.

tests/openrlhf/test_loss.py compares it with OpenRLHF's PolicyLoss.
"""

import itertools
import math

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from harness.core.advantages import group_advantages
from harness.core.settings import LossSpec
from harness.core.types import Sampling
from harness.training.local.generation import sample
from harness.training.local.logps import completion_logps
from harness.training.loss import aggregate, correction_weights, token_losses

B, T = 12, 7


@pytest.fixture
def tensors():
    g = torch.Generator().manual_seed(3)
    old_B_T = -torch.rand(B, T, generator=g) * 3
    logps_B_T = (old_B_T + torch.randn(B, T, generator=g) * 0.8).requires_grad_()
    advantages_B = torch.randn(B, generator=g)
    lengths_B = torch.randint(1, T + 1, (B,), generator=g)
    mask_B_T = (torch.arange(T)[None] < lengths_B[:, None]).float()
    return logps_B_T, old_B_T, advantages_B, mask_B_T


def ours(tensors, spec, keep_B_T=None):
    logps_B_T, old_B_T, advantages_B, mask_B_T = tensors
    keep_B_T = torch.ones(B, T) if keep_B_T is None else keep_B_T
    losses = token_losses(logps_B_T, old_B_T, advantages_B, spec)
    return aggregate(losses, mask_B_T, keep_B_T, spec.aggregation, mask_B_T.sum().item(), B)


@pytest.fixture(scope="module")
def trl_trainer(tmp_path_factory):
    """A real GRPOTrainer on a tiny model; its log-probabilities are replaced by the test's tensors."""
    import trl
    from datasets import Dataset

    from harness.testbed.policy import make_tokenizer

    tokenizer = make_tokenizer()
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    )

    def make(loss_type, delta):
        args = trl.GRPOConfig(
            str(tmp_path_factory.mktemp("trl")),
            loss_type=loss_type,
            delta=delta,
            epsilon=0.2,
            epsilon_high=0.28,
            beta=0.0,
            per_device_train_batch_size=B,
            num_generations=B,
            use_cpu=True,
            report_to=[],
        )
        data = Dataset.from_list([{"prompt": "run : 1 2 ="}] * 4)
        return trl.GRPOTrainer(
            model, reward_funcs=lambda **_: [0.0] * B, args=args, train_dataset=data, processing_class=tokenizer
        )

    return make


@pytest.mark.parametrize(("aggregation", "loss_type"), [("sequence_mean", "grpo"), ("token_mean", "bnpo")])
@pytest.mark.parametrize("dual_clip", [None, 3.0])
def test_matches_trl(tensors, trl_trainer, aggregation, loss_type, dual_clip):
    logps_B_T, old_B_T, advantages_B, mask_B_T = tensors
    trainer = trl_trainer(loss_type, dual_clip)
    trainer._get_per_token_logps_and_entropies = lambda *a, **k: (logps_B_T, torch.zeros(B, T), None)
    trainer.current_gradient_accumulation_steps = 1
    ids = torch.ones(B, T, dtype=torch.long)
    theirs = trainer._compute_loss(
        trainer.model,
        {
            "prompt_ids": ids,
            "prompt_mask": ids,
            "completion_ids": ids,
            "completion_mask": mask_B_T.long(),
            "advantages": advantages_B,
            "old_per_token_logps": old_B_T,
            "num_items_in_batch": mask_B_T.sum(),
        },
    )
    [expected] = torch.autograd.grad(theirs, logps_B_T)
    spec = LossSpec(clip_low=0.2, clip_high=0.28, dual_clip=dual_clip, aggregation=aggregation)
    loss = ours(tensors, spec)
    [gradient] = torch.autograd.grad(loss, logps_B_T)
    assert loss.item() == pytest.approx(theirs.item(), abs=1e-5)
    assert torch.allclose(gradient, expected, atol=1e-5)


def test_masked_tokens_have_no_gradient_and_stay_in_the_denominator(tensors):
    logps_B_T, old_B_T, advantages_B, mask_B_T = tensors
    keep_B_T = (torch.rand(B, T, generator=torch.Generator().manual_seed(1)) > 0.4).float()
    loss = ours(tensors, LossSpec(), keep_B_T)
    [gradient] = torch.autograd.grad(loss, logps_B_T)
    assert (gradient[keep_B_T == 0] == 0).all() and (gradient[(keep_B_T * mask_B_T) == 1] != 0).any()
    total = 0.0  # token by token, from the definition
    for i in range(B):
        for t in range(T):
            if not mask_B_T[i, t] or not keep_B_T[i, t]:
                continue
            a, r = advantages_B[i].item(), math.exp(logps_B_T[i, t].item() - old_B_T[i, t].item())
            value = min(r * a, min(max(r, 0.8), 1.2) * a)
            total -= max(value, 3 * a) if a < 0 else value
    assert loss.item() == pytest.approx(total / mask_B_T.sum().item(), abs=1e-5)


@pytest.mark.parametrize("correction", ["mask", "clip", "none", "shaping"])
def test_weights_at_both_ends_of_the_ratio_band(correction):
    """Ratios at each end of the band and at the floating-point numbers beside it; rows under one prompt weigh 1."""
    for middle in torch.exp(torch.tensor([-1.5, -0.25, 0.5, 2.0])):
        w = middle.item()
        beside = [torch.nextafter(middle, torch.tensor(side)).item() for side in (0.0, math.inf)]
        for end in (w, *beside):
            band = (end, 50.0) if w < 1 else (0.01, end)
            train_B_T = torch.full((2, 1), math.log(w))
            rollout_B_T = train_B_T - torch.log(middle)
            assert torch.exp(train_B_T - rollout_B_T)[0, 0].item() == w, "the ratio is this very number"
            spec = LossSpec(correction=correction, ratio_band=band)
            found_B_T = correction_weights(train_B_T, rollout_B_T, torch.tensor([True, False]), spec)
            inside = band[0] <= w <= band[1]
            expected = {"mask": float(inside), "clip": min(w, band[1])}.get(correction, 1.0)
            assert found_B_T.tolist() == [[expected], [1.0]], (band, w)


@pytest.mark.parametrize("correction", ["mask", "clip", "none", "shaping"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_weights_have_the_precision_of_the_log_probabilities(correction, dtype):
    logps_B_T = torch.tensor([[-1.0, -2.0], [-3.0, -0.5]], dtype=dtype)
    weights_B_T = correction_weights(logps_B_T, logps_B_T - 0.1, torch.tensor([True, False]), LossSpec(correction=correction))
    assert weights_B_T.dtype == dtype


def test_corrections_token_by_token(tensors):
    """clip: min(pi_old(y|x) / pi_old(y|x~), upper bound) as a factor; shaping: p / (p + 0.1) in place of the surrogate."""
    logps_B_T, old_B_T, advantages_B, mask_B_T = tensors
    rollout_B_T = old_B_T + 3 * torch.randn(B, T, generator=torch.Generator().manual_seed(5))
    distilled_B = torch.arange(B) % 2 == 0
    values = {}
    for correction in ("none", "clip", "shaping"):
        spec = LossSpec(correction=correction, ratio_band=(0.5, 2.0))
        weights_B_T = correction_weights(old_B_T, rollout_B_T, distilled_B, spec)
        losses_B_T = token_losses(logps_B_T, old_B_T, advantages_B, spec, distilled_B)
        values[correction] = losses_B_T * weights_B_T
    assert torch.equal(values["none"], token_losses(logps_B_T, old_B_T, advantages_B, LossSpec()))
    for i in range(B):
        for t in range(T):
            plain = values["none"][i, t].item()
            w = math.exp(old_B_T[i, t].item() - rollout_B_T[i, t].item())
            p = math.exp(logps_B_T[i, t].item())
            clip, shaped = plain * min(w, 2.0), -advantages_B[i].item() * p / (p + 0.1)
            if not distilled_B[i]:
                clip = shaped = plain
            assert values["clip"][i, t].item() == pytest.approx(clip, rel=1e-4, abs=1e-6)
            assert values["shaping"][i, t].item() == pytest.approx(shaped, rel=1e-4, abs=1e-6)
    [gradient] = torch.autograd.grad(values["shaping"].sum(), logps_B_T)  # d/d log p = -A gamma p / (p + gamma)^2
    p_B_T = logps_B_T.detach().exp()
    expected_B_T = -advantages_B[:, None] * 0.1 * p_B_T / (p_B_T + 0.1) ** 2
    assert torch.allclose(gradient[distilled_B], expected_B_T[distilled_B], atol=1e-5)


def token_by_formula(logp, old, a, spec, distilled):
    """One token of the loss in plain arithmetic: the minimum and maximum of the papers, case by case."""
    r = math.exp(logp - old)
    if spec.correction == "shaping" and distilled:
        return -a * math.exp(logp) / (math.exp(logp) + 0.1)
    clipped = 1 - spec.clip_low if r < 1 - spec.clip_low else 1 + spec.clip_high if r > 1 + spec.clip_high else r
    value = min(r * a, clipped * a)
    return -(max(value, spec.dual_clip * a) if spec.dual_clip is not None and a < 0 else value)


def test_every_token_by_formula():
    """Ratios inside, outside and at the ends of both clips, advantages of either sign and none, every correction."""
    ratios = [0.3, 0.7, 0.7001, 0.95, 1.0, 1.25, 1.2501, 1.9, 2.0, 2.1, 6.0]
    olds, advantages = [-0.01, -1.0, -4.0], [-1.7, -0.2, 0.0, 0.2, 1.7]
    cases = list(itertools.product(ratios, olds, advantages))
    old_B_T = torch.tensor([[old] for _, old, _ in cases], dtype=torch.float64)
    logps_B_T = torch.tensor([[old + math.log(r)] for r, old, _ in cases], dtype=torch.float64)
    advantages_B = torch.tensor([a for *_, a in cases], dtype=torch.float64)
    for correction, dual, whose in itertools.product(("none", "mask", "clip", "shaping"), (None, 2.0), (None, 0, 1)):
        spec = LossSpec(clip_low=0.3, clip_high=0.25, dual_clip=dual, correction=correction)
        distilled_B = None if whose is None else torch.arange(len(cases)) % 2 == whose
        found = token_losses(logps_B_T, old_B_T, advantages_B, spec, distilled_B)[:, 0].tolist()
        rows = zip(logps_B_T[:, 0].tolist(), old_B_T[:, 0].tolist(), advantages_B.tolist(), strict=True)
        for i, (logp, old, a) in enumerate(rows):
            expected = token_by_formula(logp, old, a, spec, distilled_B is not None and bool(distilled_B[i]))
            assert found[i] == pytest.approx(expected, rel=1e-12, abs=1e-15), (correction, dual, cases[i])


@pytest.mark.parametrize("aggregation", ["token_mean", "sequence_mean"])
def test_micro_batches_add_up_to_the_update(tensors, aggregation):
    """However its rows are parted, also into parts of different sizes, and with a row that has no token at all."""
    logps_B_T, old_B_T, advantages_B, mask_B_T = (x.detach() for x in tensors)
    mask_B_T[5] = 0.0
    losses_B_T = token_losses(logps_B_T, old_B_T, advantages_B, LossSpec())
    weights_B_T = torch.rand(B, T, generator=torch.Generator().manual_seed(2))
    tokens = mask_B_T.sum().item()
    rows = [[(losses_B_T * weights_B_T)[i, t].item() for t in range(T) if mask_B_T[i, t]] for i in range(B)]
    if aggregation == "token_mean":
        expected = sum(map(sum, rows)) / sum(map(len, rows))
    else:
        expected = sum(sum(row) / len(row) for row in rows if row) / B
    for sizes in ([B], [1] * B, [5, 7], [1, 4, 2, 5]):
        parts = zip(*(x.split(sizes) for x in (losses_B_T, mask_B_T, weights_B_T)), strict=True)
        total = sum(aggregate(*part, aggregation, tokens, B).item() for part in parts)
        assert total == pytest.approx(expected, abs=1e-6), sizes


def test_advantages():
    assert group_advantages([1, 0, 0, 0, 0, 1], "group_norm") == pytest.approx(
        [(r - 1 / 3) / (math.sqrt(4 / 15) + 1e-6) for r in (1, 0, 0, 0, 0, 1)], abs=1e-6
    )
    assert group_advantages([1, 0, 0, 0], "group_centre") == pytest.approx([0.75, -0.25, -0.25, -0.25])
    assert group_advantages([1.0] * 6, "group_norm") == [0.0] * 6
    assert group_advantages([1, 0], "group_norm") == pytest.approx([0.5**0.5, -(0.5**0.5)], abs=2e-6), "of two, a deviation too"
    assert group_advantages([0.7], "group_norm") == group_advantages([0.7], "group_centre") == [0.0], "of one, none"


PROMPTS = [[3, 4, 5, 6, 7], [8], [2, 2, 9]]


def test_logps_match_one_row_at_a_time(tiny):
    completions = [[2, 3], [4, 5, 6, 1], [7]]
    logps_B_T, mask_B_T = completion_logps(tiny, PROMPTS, completions, 0.6, pad=0)
    for i, (p, c) in enumerate(zip(PROMPTS, completions, strict=True)):
        logits = tiny(torch.tensor([p + c])).logits[0] / 0.6
        expected = [torch.log_softmax(logits[len(p) - 1 + t], -1)[c[t]].item() for t in range(len(c))]
        assert logps_B_T[i, : len(c)].tolist() == pytest.approx(expected, abs=1e-5)
        assert mask_B_T[i].sum() == len(c)


def test_sampler_reports_the_trainers_logps_and_stops_at_the_end_token(tiny):
    prompts = PROMPTS * 40
    rows = sample(tiny, prompts, Sampling(0.6, 12), {1}, 0, torch.Generator().manual_seed(5), max_tokens=600)
    logps_B_T, _ = completion_logps(tiny, prompts, [r.tokens_T for r in rows], 0.6, 0)
    for i, row in enumerate(rows):
        assert row.logps_T == pytest.approx(logps_B_T[i, : len(row.tokens_T)].tolist(), abs=1e-4)
        assert row.truncated == (1 not in row.tokens_T) and 1 not in row.tokens_T[:-1]
        assert len(row.tokens_T) == 12 or not row.truncated
    assert any(not r.truncated for r in rows) and len({len(r.tokens_T) for r in rows}) > 3


def test_greedy_matches_transformers_generate(tiny):
    rows = sample(tiny, PROMPTS, Sampling(0.0, 9), {1}, 0, torch.Generator(), max_tokens=500)
    for p, row in zip(PROMPTS, rows, strict=True):
        ids = torch.tensor([p])
        expected = tiny.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=9, do_sample=False)[0, len(p) :]
        assert row.tokens_T == expected.tolist()


def test_sampling_frequencies_follow_the_tempered_distribution(tiny):
    rows = sample(tiny, [[3, 4]] * 4000, Sampling(0.6, 1), {1}, 0, torch.Generator().manual_seed(7), max_tokens=12000)
    probs = torch.softmax(tiny(torch.tensor([[3, 4]])).logits[0, -1] / 0.6, -1)
    for token in range(11):
        seen = sum(r.tokens_T[0] == token for r in rows) / 4000
        p = probs[token].item()
        assert abs(seen - p) < 5 * math.sqrt(p * (1 - p) / 4000) + 1e-3


def test_small_steps_add_up_on_bfloat16_weights():
    """1,000 steps of 1e-5: far below bfloat16's resolution at 1, far above it together."""
    from harness.core.settings import TrainConfig
    from harness.training.update import Updater

    def moved(dtype):
        model = torch.nn.Linear(1, 1, bias=False).to(dtype)
        model.weight.data.fill_(1.0)
        cfg = TrainConfig(lr=1e-5, weight_decay=0.0, prompts_per_batch=2)
        updater = Updater(model, cfg, LossSpec(), pad=0, forward_tokens=1)
        for _ in range(1000):
            model.weight.grad = torch.ones_like(model.weight)
            updater._step()
        return model.weight.item()

    assert moved(torch.float32) == pytest.approx(0.99, abs=1e-4)
    assert moved(torch.bfloat16) == pytest.approx(0.99, abs=0.004), "rounded, but not lost"
