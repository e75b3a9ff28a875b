"""Random streams: every one is named and derived by hashing, so none overlaps and none has state to save."""

from __future__ import annotations

import hashlib
import random


def derive(*parts: object) -> int:
    """A 63-bit seed for the stream named by `parts`, e.g. `derive(seed, "rollout", epoch, step)`."""
    text = "\x1f".join(str(p) for p in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(*parts: object) -> random.Random:
    """A `random.Random` on the stream named by `parts`."""
    return random.Random(derive(*parts))
