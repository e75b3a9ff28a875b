"""What training takes of a machine's memory, in bytes, by arithmetic.

D = width of the model, I = width inside its MLP, Q and K = widths of all query heads and of all key heads, L = layers,
V = vocabulary, s = bytes of a number of its weights. perf/memory.py measures the same by fake tensors.
"""

from __future__ import annotations

import resource
import sys
from bisect import bisect_right
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from harness.core.errors import HarnessError
from harness.core.settings import LocalConfig, TrainConfig
from harness.training.local.logps import CHUNK_LOGITS, WHOLE_LOGITS


def _widths(config: Any) -> tuple[int, int]:
    """(Q, K)."""
    heads = config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    return heads * head_dim, (getattr(config, "num_key_value_heads", None) or heads) * head_dim


@dataclass(frozen=True)
class Memory:
    """Of training one policy. `weights` and `masters` are there from the start, the optimiser's state from the first step,
    the gradients while one is made."""

    weights: int
    masters: int
    optimiser: int
    gradients: int
    head: int
    """While the head's gradient is made."""
    token: int
    """A token of a pass: what is kept of it for the backward pass."""
    layer: int
    """A token while the backward pass is inside of a layer, beside `token`. The head's logits are gone by then."""
    vocabulary: int
    itemsize: int

    @classmethod
    def of(cls, model: Any, recompute: bool, row: int) -> Memory:
        """`row`: tokens of the longest prompt and completion; `recompute`: gradient checkpointing."""
        cfg, s = model.config.get_text_config(), model.dtype.itemsize
        parameters = list(model.parameters())
        trained = sum(p.numel() for p in parameters if p.requires_grad)
        head = model.get_output_embeddings().weight
        d, (q, k) = cfg.hidden_size, _widths(cfg)
        i = cfg.intermediate_size
        # Two norms: their input in float32, their two results; queries, keys and values as they are and as attention takes
        # them (keys repeated for its heads), its result twice; the MLP's two halves, the activation, their product.
        layer = 2 * (4 + 2 * s) * d + s * (6 * q + 2 * k) + 4 * s * i
        at_once = s * (3 * i + 2 * d)  # gradients inside of a layer
        kept = (s * d if recompute else layer) * cfg.num_hidden_layers
        mask = row * (1 + s)
        return cls(
            weights=sum(p.numel() * p.dtype.itemsize for p in parameters),
            masters=0 if s >= 4 else 4 * trained,
            optimiser=8 * trained,
            gradients=4 * trained,
            head=head.numel() * (4 + 2 * s) if head.requires_grad else 0,
            token=kept + mask + 12 * d,
            layer=at_once + (layer if recompute else 0),
            vocabulary=head.shape[0],
            itemsize=s,
        )

    def step(self, tokens: int) -> int:
        """The most bytes during an update whose passes have so many tokens."""
        return self.weights + self.masters + self.optimiser + self.gradients + self.pass_(tokens)

    def pass_(self, tokens: int) -> int:
        """Bytes of one pass, forwards and backwards."""
        logits = tokens * self.vocabulary
        if logits <= WHOLE_LOGITS:
            head = logits * 16 + self.head
        else:  # a chunk's logits in float32 and a copy inside of their logarithmic sum; then they, and a rounded copy
            chunk = min(logits, CHUNK_LOGITS)
            head = max(chunk * 8, chunk * (4 + self.itemsize) + self.head)
        return tokens * self.token + max(head, tokens * self.layer)

    def ahead(self, tokens: int) -> int:
        """What is still to come when only the weights are there: all that `step` counts beside them."""
        return self.step(tokens) - self.weights

    def tokens(self, free: int) -> int:
        """How many tokens a pass may have where so much is free, by 256; 0 where not even that many fit."""
        fitting = bisect_right(range(2**20), free, key=lambda n: self.ahead(256 * n))
        return 256 * max(0, fitting - 1)

    def with_adapters(self, model: Any) -> Memory:
        """The same, were adapters of rank `RANK` trained in its linear layers instead of all weights."""
        head = model.get_output_embeddings()
        linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head]
        trained = sum(RANK * (m.in_features + m.out_features) for m in linear)
        masters = 4 * trained if self.masters else 0
        return replace(self, masters=masters, optimiser=8 * trained, gradients=4 * trained, head=0)


RANK = 16
"""Of the adapters that a refusal proposes."""
SHARE = 0.95
"""Of what is free, the part that is counted on."""


def free_bytes(device: torch.device) -> int | None:
    """Free memory of a GPU, or available memory of this machine; None where it does not say."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + unused)
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):  # not Linux
        return None


def peak_bytes(device: torch.device) -> int:
    """The most that this process has had of a GPU's memory, or of this machine's, since it began."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def fitting_tokens(model: Any, cfg: TrainConfig, local: LocalConfig, row: int, free: int | None, lower: bool) -> int:
    """Most tokens of a pass: `local.forward_tokens`, or where `lower` as many as fit. `row`: tokens of the longest prompt
    and completion.

    Raises HarnessError before anything is trained where an update does not fit, with the setting that would.
    """
    if free is None:
        return local.forward_tokens
    free = int(free * SHARE)
    memory = Memory.of(model, local.gradient_checkpointing, row)
    rows = cfg.prompts_per_batch * cfg.rollouts_per_prompt // cfg.updates_per_batch
    wanted = min(max(local.forward_tokens, row), rows * row)
    if memory.ahead(wanted) <= free:
        return local.forward_tokens
    fewer = memory.tokens(free)
    if lower and fewer >= row:
        return fewer
    gb = [x / 1e9 for x in (memory.ahead(wanted), memory.masters + memory.optimiser, memory.gradients, memory.pass_(wanted))]
    raise HarnessError(
        f"too little memory: beside the weights an update takes {gb[0]:.1f} GB ({gb[1]:.1f} for the optimiser, {gb[2]:.1f} for "
        f"gradients, {gb[3]:.1f} for a pass of {wanted:,} tokens), and {free / 1e9:.1f} GB can be had; "
        f"{_advice(model, memory, local, row, free)}"
    )


def _advice(model: Any, memory: Memory, local: LocalConfig, row: int, free: int) -> str:
    """The least change of the settings with which an update fits, a row a pass at least."""
    again = Memory.of(model, True, row)
    for settings, changed in (
        ([], memory),
        (["local.gradient_checkpointing=true"], again),
        ([f"train.lora.rank={RANK}", "local.gradient_checkpointing=true"], again.with_adapters(model)),
    ):
        if (fits := changed.tokens(free)) >= row:
            fewer = [f"local.forward_tokens={fits}"] if fits < local.forward_tokens else []
            return "it fits with " + " ".join(f"--set {item}" for item in [*settings, *fewer])
    return (
        f"not even adapters (train.lora.rank={RANK}) with local.gradient_checkpointing=true fit: lower train.max_new_tokens, "
        "or take a smaller model"
    )
