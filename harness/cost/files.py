"""What a run leaves on disk, in bytes: its checkpoints and trained policies."""

from __future__ import annotations

from typing import NamedTuple

from harness.config import RunSpec


class Files(NamedTuple):
    """`kept` checkpoints of `checkpoint` bytes each, and a trained policy of `policy` bytes for every seed."""

    kept: int
    checkpoint: float
    policy: float
    seeds: int

    @property
    def all(self) -> float:
        return self.kept * self.checkpoint + self.seeds * self.policy


def files(spec: RunSpec, policy: float, checkpoint: float) -> Files:
    """The last two checkpoints of the seed under way (`RunDir.drop_checkpoints`), and the trained policy of every seed. A
    checkpoint of adapters is small."""
    kept = 0 if spec.train.checkpoint_steps is None or spec.train.lora.rank else 2
    return Files(kept, checkpoint, policy, len(spec.seeds))


def of_parameters(spec: RunSpec, parameters: float) -> Files:
    """The same from the number of parameters: weights, their float32 masters where they are of less, and two moments."""
    half = spec.backend.name == "openrlhf" or spec.model.dtype == "bfloat16"
    return files(spec, (2 if half else 4) * parameters, (14 if half else 12) * parameters)
