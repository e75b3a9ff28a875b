"""A method's advantages, the correction for another prompt, the clipped policy loss. B = rollouts, T = tokens (padded)."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.core.errors import UsageError
from harness.core.method import Method
from harness.core.settings import LossSpec
from harness.core.types import Group


def checked_advantages(method: Method, group: Group) -> list[float]:
    """The method's advantages of one group, one per rollout. Raises UsageError if there are more or fewer."""
    advantages_K = [float(a) for a in method.advantages(group)]
    if len(advantages_K) != len(group.rollouts):
        name, n = type(method).__name__, len(group.rollouts)
        raise UsageError(f"{name}.advantages returned {len(advantages_K)} values for a group of {n} rollouts")
    return advantages_K


SHAPING = 0.1
"""gamma of policy shaping (LUFFY, arXiv 2504.14945; Critique-GRPO, arXiv 2506.03106)."""


def correction_weights(train_logps_B_T: Tensor, rollout_logps_B_T: Tensor, distilled_B: Tensor, spec: LossSpec) -> Tensor:
    """Weight of every token [B, T], from the context ratio w = pi_old(y|x) / pi_old(y|x~) of the rows in `distilled_B`.

    These are the rows whose rollout prompt x~ is not the gradient's x; all others weigh 1. `mask`: 1 inside the ratio band
    (ends included), 0 outside (P2O's released "hard clip", no importance weight). `clip`: min(w, upper end of the band), the
    truncated importance weight. `none` and `shaping`: 1.
    """
    ratio_B_T = torch.exp(train_logps_B_T - rollout_logps_B_T)
    low, high = spec.ratio_band
    if spec.correction == "mask":
        weights_B_T = ((ratio_B_T >= low) & (ratio_B_T <= high)).to(train_logps_B_T.dtype)
    elif spec.correction == "clip":
        weights_B_T = ratio_B_T.clamp(max=high)
    else:
        weights_B_T = torch.ones_like(ratio_B_T)
    return torch.where(distilled_B[:, None], weights_B_T, 1.0)


def token_losses(
    logps_B_T: Tensor, old_logps_B_T: Tensor, advantages_B: Tensor, spec: LossSpec, distilled_B: Tensor | None = None
) -> Tensor:
    """Clipped surrogate per token [B, T] (Schulman et al. 2017, eq. 7), with the dual clip of Ye et al. 2020, eq. 5.

    With correction `shaping`, the rows in `distilled_B` (see `correction_weights`) get p / (p + gamma) times the advantage
    instead, p = pi(y|x), without a ratio or a clip (Critique-GRPO, arXiv 2506.03106).
    """
    advantages_B_1 = advantages_B[:, None]
    ratio_B_T = torch.exp(logps_B_T - old_logps_B_T)
    clipped_B_T = ratio_B_T.clamp(1 - spec.clip_low, 1 + spec.clip_high)
    surrogate_B_T = torch.minimum(ratio_B_T * advantages_B_1, clipped_B_T * advantages_B_1)
    if spec.dual_clip is not None:
        bounded_B_T = torch.maximum(surrogate_B_T, spec.dual_clip * advantages_B_1)
        surrogate_B_T = torch.where(advantages_B_1 < 0, bounded_B_T, surrogate_B_T)
    if spec.correction == "shaping" and distilled_B is not None:
        p_B_T = torch.exp(logps_B_T)
        surrogate_B_T = torch.where(distilled_B[:, None], p_B_T / (p_B_T + SHAPING) * advantages_B_1, surrogate_B_T)
    return -surrogate_B_T


def aggregate(losses_B_T: Tensor, mask_B_T: Tensor, weights_B_T: Tensor, aggregation: str, tokens: float, rows: int) -> Tensor:
    """The scalar loss of (a micro-batch of) an update.

    `mask_B_T` marks real completion tokens; tokens of weight 0 stay in the denominator. `tokens` and `rows` are the
    counts of the whole update, so that micro-batches add up.
    """
    weighted_B_T = losses_B_T * weights_B_T * mask_B_T
    if aggregation == "token_mean":
        return weighted_B_T.sum() / tokens
    lengths_B = mask_B_T.sum(1).clamp(min=1)
    return (weighted_B_T.sum(1) / lengths_B).sum() / rows
