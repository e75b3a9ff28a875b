"""When a seed's budget is spent: bounds in rollouts, tokens and seconds, whichever is reached first."""

from __future__ import annotations

import math

from harness.core.ledger import Ledger
from harness.core.settings import TrainConfig

MANY_EPOCHS = 1000
"""More than any budget pays for."""


def spent(cfg: TrainConfig, ledger: Ledger, reserve: int = 0) -> bool:
    """Whether any bound of `cfg` is reached, or closer than `reserve` rollouts."""
    return rollouts_left(cfg, ledger) <= reserve


def rollouts_left(cfg: TrainConfig, ledger: Ledger) -> float:
    """Rollouts until the first bound; infinite without one.

    Tokens and seconds are converted at what a rollout has taken so far. Before the first one, tokens are counted at
    `max_new_tokens` each and seconds bound nothing.
    """
    left = [math.inf]
    if cfg.max_rollouts is not None:
        left.append(cfg.max_rollouts - ledger.rollouts)
    if cfg.max_sampled_tokens is not None:
        each = ledger.sampled_tokens / ledger.rollouts if ledger.rollouts else cfg.max_new_tokens
        left.append((cfg.max_sampled_tokens - ledger.sampled_tokens) / max(each, 1e-9))
    if cfg.max_seconds is not None and ledger.rollouts and ledger.wall_seconds:
        left.append((cfg.max_seconds - ledger.wall_seconds) * ledger.rollouts / ledger.wall_seconds)
    return min(left)
