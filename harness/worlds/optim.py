"""The loop of warm starts: Muon for weight matrices, which learns in fewer steps than AdamW, and one cosine schedule."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable

import torch
from transformers import PreTrainedModel

MATRIX_RATE = 0.01
"""Peak learning rate of Muon, for the weight matrices."""
OTHER_RATE = 3e-3
"""Peak learning rate of AdamW, for the embedding and the norms."""
Log = Callable[[str], None]


def orthogonalize(matrices: torch.Tensor) -> torch.Tensor:
    """Roughly the nearest semi-orthogonal matrix of each of `matrices` [count, rows, columns], by Newton-Schulz.

    Five quintic iterations leave the singular values within about .7 and 1.2, which is all that Muon needs.
    """
    x = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    for _ in range(5):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return x.mT if tall else x


class Muon:
    """Momentum whose update is orthogonalized, with decoupled weight decay (Jordan et al. 2024).

    Updates are scaled to an RMS of .2, that of a typical AdamW step, so both optimizers take rates of the same order.
    Float32 and batched over matrices of one shape, which is several times faster on a CPU than one by one in bfloat16.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], momentum: float = 0.95, decay: float = 0.01) -> None:
        self.momentum, self.decay = momentum, decay
        self.by_shape: dict[torch.Size, list[torch.nn.Parameter]] = {}
        for parameter in parameters:
            self.by_shape.setdefault(parameter.shape, []).append(parameter)
        self.average = {shape: torch.zeros(len(own), *shape) for shape, own in self.by_shape.items()}

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One update at learning rate `rate`; clears the gradients."""
        for shape, own in self.by_shape.items():
            gradients = torch.stack([parameter.grad for parameter in own])
            average = self.average[shape].lerp_(gradients, 1 - self.momentum)
            updates = orthogonalize(gradients.lerp(average, self.momentum)) * 0.2 * max(shape) ** 0.5
            for parameter, update in zip(own, updates, strict=True):
                parameter.mul_(1 - rate * self.decay).sub_(update, alpha=rate)
                parameter.grad = None


def schedule(step: int, steps: int) -> float:
    """Share of the peak learning rate at `step` (from 1): a short linear warm-up times one cosine down to 1%."""
    return min(1, step / 60) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def train(
    model: PreTrainedModel, steps: int, losses: Callable[[], Iterable[torch.Tensor]], progress: Log | None = None
) -> None:
    """Trains `model` in place. `losses` gives the parts of a step's loss, one after the other: each is gone through backwards
    before the next is asked for.

    `progress` gets one line every hundred steps: step, loss, seconds spent and left.
    """
    weights = dict(model.named_parameters())
    inner = [name for name, tensor in weights.items() if tensor.dim() == 2 and "embed" not in name]
    muon = Muon(weights[name] for name in inner)
    adam = torch.optim.AdamW([weights[name] for name in weights if name not in inner], betas=(0.9, 0.98))
    model.train()
    began = time.monotonic()
    for step in range(1, steps + 1):
        loss = 0.0
        for part in losses():
            part.backward()
            loss += part.item()
        scale = schedule(step, steps)
        muon.step(MATRIX_RATE * scale)
        for group in adam.param_groups:
            group["lr"] = OTHER_RATE * scale
        adam.step()
        adam.zero_grad()
        if progress and (step % 100 == 0 or step == steps):
            spent = time.monotonic() - began
            progress(f"step {step}/{steps}  loss {loss:.3f}  {spent:.0f} s, {spent / step * (steps - step):.0f} s left")
    model.eval()
