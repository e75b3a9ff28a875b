"""How fast a training goes, and the words in which the progress line tells how it does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from harness.core.ledger import Ledger

OF_THE_MACHINE = ("tokens_per_second", "memory_gb")
"""Metrics of a batch that depend on the machine and on what else it does: all others are equal in a run done again."""


class Pace:
    """Sampled tokens per second of wall time, from one batch to the next; prompt searches in between count with both."""

    def __init__(self) -> None:
        self._tokens, self._at = 0, time.monotonic()

    def begin(self, ledger: Ledger) -> None:
        """What is in the ledger already was not sampled by this process."""
        self._tokens, self._at = ledger.sampled_tokens, time.monotonic()

    def lap(self, ledger: Ledger) -> float:
        """Tokens per second since the last lap, or the beginning."""
        tokens, at = self._tokens, self._at
        self.begin(ledger)
        return (self._tokens - tokens) / max(self._at - at, 1e-9)


def line(seed: int, epoch: int, metrics: Mapping[str, float]) -> str:
    """What a batch was like, in at most 64 characters; what was not measured is left out. `epoch` counts from 0."""
    words: dict[str, Callable[[float], str]] = {
        "reward": lambda x: f"reward {x:.2f}",
        "entropy": lambda x: f"entropy {x:.2f}",
        "tokens_per_rollout": lambda x: f"{_short(x)} tok",
        "truncated": lambda x: f"{100 * x:.0f}% cut",
        "tokens_per_second": lambda x: f"{_short(x)}/s",
        "memory_gb": lambda x: f"{x:.0f} GB" if x >= 9.95 else f"{x:.1f} GB",
    }
    return " ".join([f"s{seed} e{epoch + 1}", *(say(metrics[key]) for key, say in words.items() if key in metrics)])


def _short(number: float) -> str:
    """Of at most four characters below a million."""
    return f"{number / 1000:.0f}k" if number >= 9999.5 else f"{number:.0f}"
