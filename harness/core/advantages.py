"""From the rewards of a group to its advantages. Torch is imported when they are computed, so that the core stays light."""

from __future__ import annotations

from collections.abc import Sequence


def group_advantages(rewards_K: Sequence[float], kind: str) -> list[float]:
    """The K advantages of one group, in float32.

    `group_norm`: (r - mean) / (std + 1e-6) with the sample standard deviation (Shao et al. 2024, section 4.1.2; P2O's
    released code). `group_centre`: r - mean (Dr. GRPO: Liu et al. 2025, arXiv 2503.20783, section 3.2).
    """
    import torch

    r_K = torch.tensor(rewards_K, dtype=torch.float32)
    centred_K = r_K - r_K.mean()
    if kind != "group_centre" and len(r_K) > 1:
        centred_K = centred_K / (r_K.std() + 1e-6)
    advantages_K: list[float] = centred_K.tolist()
    return advantages_K
