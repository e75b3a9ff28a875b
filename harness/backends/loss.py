"""Advantages, the ratio mask and the clipped policy loss, on tensors. B = rollouts, T = completion tokens (padded)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.settings import LossSpec


def group_advantages(rewards_K: Sequence[float], kind: str) -> Tensor:
    """Advantages of one group, shape [K].

    `group_norm`: (r - mean) / (std + 1e-6) with the sample standard deviation (Shao et al. 2024, section 4.1.2;
    P2O's released code). `group_centre`: r - mean (Liu et al. 2025, Dr. GRPO).
    """
    rewards_K = torch.tensor(rewards_K, dtype=torch.float32)
    centred_K = rewards_K - rewards_K.mean()
    if kind == "group_centre" or len(rewards_K) < 2:
        return centred_K
    return centred_K / (rewards_K.std() + 1e-6)


def ratio_weights(
    train_logps_B_T: Tensor, rollout_logps_B_T: Tensor, templated_B: Tensor, band: tuple[float, float], mode: str
) -> Tensor:
    """Weight of every token [B, T], from the context ratio pi_old(y|x) / pi_old(y|x~); 0 outside `band` (inclusive).

    `mask`: 1 inside, and on every untemplated row (P2O's released "hard clip": a mask, not an importance weight).
    `weight`: the ratio itself inside, on every row (OpenRLHF's token-level importance weight).
    """
    ratio_B_T = torch.exp(train_logps_B_T - rollout_logps_B_T)
    inside_B_T = (ratio_B_T >= band[0]) & (ratio_B_T <= band[1])
    if mode == "weight":
        return torch.where(inside_B_T, ratio_B_T, 0.0)
    return (inside_B_T | ~templated_B[:, None]).to(train_logps_B_T.dtype)


def token_losses(logps_B_T: Tensor, old_logps_B_T: Tensor, advantages_B: Tensor, spec: LossSpec) -> Tensor:
    """Clipped surrogate per token [B, T] (Schulman et al. 2017, eq. 7), with the dual clip of Ye et al. 2020, eq. 5."""
    advantages_B_1 = advantages_B[:, None]
    ratio_B_T = torch.exp(logps_B_T - old_logps_B_T)
    clipped_B_T = ratio_B_T.clamp(1 - spec.clip_low, 1 + spec.clip_high)
    surrogate_B_T = torch.minimum(ratio_B_T * advantages_B_1, clipped_B_T * advantages_B_1)
    if spec.dual_clip is not None:
        bounded_B_T = torch.maximum(surrogate_B_T, spec.dual_clip * advantages_B_1)
        surrogate_B_T = torch.where(advantages_B_1 < 0, bounded_B_T, surrogate_B_T)
    return -surrogate_B_T


def aggregate(losses_B_T: Tensor, mask_B_T: Tensor, weights_B_T: Tensor, aggregation: str, tokens: float, rows: int):
    """The scalar loss of (a micro-batch of) an update.

    `mask_B_T` marks real completion tokens; tokens of weight 0 stay in the denominator. `tokens` and `rows` are the
    counts of the whole update, so that micro-batches add up.
    """
    weighted_B_T = losses_B_T * weights_B_T * mask_B_T
    if aggregation == "token_mean":
        return weighted_B_T.sum() / tokens
    lengths_B = mask_B_T.sum(1).clamp(min=1)
    return (weighted_B_T.sum(1) / lengths_B).sum() / rows
