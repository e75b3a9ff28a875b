"""OpenRLHF's own PolicyLoss, told the context ratio our way, against the local backend's loss on the same tensors."""

import pytest
import torch
from openrlhf.models.loss import PolicyLoss

from harness.core.settings import LossSpec
from harness.training.loss import aggregate, correction_weights, token_losses
from harness.training.openrlhf.flags import NO_BOUND
from harness.training.openrlhf.trainer import as_weights

B, T, BAND = 6, 9, (0.01, 10.0)


@pytest.mark.parametrize("correction", ["mask", "clip", "none"])
@pytest.mark.parametrize("dual_clip", [None, 3.0])
@pytest.mark.parametrize("aggregation", ["token_mean", "sequence_mean"])
def test_same_loss_and_gradient(correction, dual_clip, aggregation):
    draw = torch.Generator().manual_seed(0)
    old_B_T = -3 * torch.rand(B, T, generator=draw)
    rollout_B_T = old_B_T + 3 * torch.randn(B, T, generator=draw)  # ratios from e^-9 to e^9
    rollout_B_T[0, 2:4] = old_B_T[0, 2:4] + 200  # the ratio underflows: weight 0, whatever the correction
    logps_B_T = (old_B_T + 0.3 * torch.randn(B, T, generator=draw)).requires_grad_()
    advantages_B = torch.randn(B, generator=draw)
    lengths_B = torch.tensor([9, 5, 7, 1, 9, 4])
    real_B_T = (torch.arange(T) < lengths_B[:, None]).float()
    distilled_B = torch.tensor([True, False, True, True, False, True])
    spec = LossSpec(dual_clip=dual_clip, aggregation=aggregation, ratio_band=BAND, correction=correction)

    weights_B_T = correction_weights(old_B_T, rollout_B_T, distilled_B, spec)
    losses_B_T = token_losses(logps_B_T, old_B_T, advantages_B, spec)
    ours = aggregate(losses_B_T, real_B_T, weights_B_T, aggregation, real_B_T.sum().item(), B)
    [our_gradient] = torch.autograd.grad(ours, logps_B_T)

    theirs = PolicyLoss(
        0.2,
        0.2,
        dual_clip,
        aggregation == "token_mean",
        is_correction_level="token",
        is_correction_mode="mask",
        is_correction_gating="ratio",
        is_correction_threshold=BAND if correction == "mask" else (0.0, NO_BOUND),
    )(
        logps_B_T,
        old_B_T,
        advantages_B[:, None].expand(B, T),
        action_mask=real_B_T,
        rollout_log_probs=as_weights(old_B_T, weights_B_T),
    )[0]
    [their_gradient] = torch.autograd.grad(theirs, logps_B_T)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    assert torch.allclose(our_gradient, their_gradient, atol=1e-5)
    if correction != "none":
        assert (our_gradient[0, 2:4] == 0).all() and (their_gradient[0, 2:4] == 0).all()
    if correction == "mask":
        assert (our_gradient[weights_B_T == 0] == 0).all() and 0 < (weights_B_T == 0).float().mean() < 1
