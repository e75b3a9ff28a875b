"""Stop rules: what in a batch's metrics says that training is broken, not merely bad. Nothing is clamped in silence.

A seed that a guard stops keeps its last sound weights, is evaluated with them, and its run is stamped "not a result".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from harness.core.settings import GuardConfig


class Guard:
    """The rules of one seed; `low` counts the batches in a row whose entropy was collapsed."""

    def __init__(self, cfg: GuardConfig, low: int = 0) -> None:
        self.cfg, self.low = cfg, low

    def check(self, metrics: Mapping[str, Any]) -> str | None:
        """Why to stop after a batch with these metrics (harness/training/update.py); None to go on."""
        cfg = self.cfg
        for name, value in metrics.items():
            if cfg.finite and isinstance(value, float) and not math.isfinite(value):
                return f"{name} is {value}"
        ratio, gap, entropy = (metrics.get(name) for name in ("ratio_max", "sampler_gap", "entropy"))
        if cfg.max_ratio is not None and ratio is not None and ratio > cfg.max_ratio:
            return f"a token became {ratio:.3g} times as likely within a batch (train.guards.max_ratio {cfg.max_ratio:g})"
        if cfg.max_sampler_gap is not None and gap is not None and gap > cfg.max_sampler_gap:
            return (
                f"trainer and sampler disagree by {gap:.3g} nats per token on the same weights "
                f"(train.guards.max_sampler_gap {cfg.max_sampler_gap:g})"
            )
        solved = metrics.get("reward", 0.0) >= 1.0  # certain and right is no collapse
        collapsed = cfg.min_entropy is not None and entropy is not None and entropy < cfg.min_entropy and not solved
        self.low = self.low + 1 if collapsed else 0
        if self.low >= cfg.patience:
            return f"entropy {entropy:.3g} in {self.low} batches in a row (train.guards.min_entropy {cfg.min_entropy:g})"
        return None
