"""Tensors that have a size and no content: an update of the local backend without weights, and the most bytes alive in it.

What a kernel allocates inside itself, and what an allocator wastes, is not seen. perf/memory.py prints tables of it, `harness
doctor` sends one batch through a run's loss.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from harness.core.types import Context, Problem, Rollout
from harness.training.metrics import Row


class Live(TorchDispatchMode):
    """Counts the bytes of storages that are alive; a number read from a tensor without content is 1."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: dict[int, Any] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            return 1.0
        out = func(*args, **kwargs or {})
        tree_map_only(torch.Tensor, self.add, out)
        return out

    def add(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = id(storage), storage.nbytes()
        if key not in self.known:
            self.known[key] = weakref.ref(storage, lambda _: self._drop(key, size))
            self.now += size
            self.peak = max(self.peak, self.now)

    def _drop(self, key: int, size: int) -> None:
        del self.known[key]
        self.now -= size


def on_fake_cpu(model: torch.nn.Module) -> None:
    """Give a model on the meta device, in place, weights of the fake mode that is on: those have the CPU's kernels."""
    made: dict[int, torch.nn.Parameter] = {}
    for module in model.modules():
        for name, p in list(module._parameters.items()):
            if p is not None:
                new = torch.nn.Parameter(torch.empty(p.shape, dtype=p.dtype), requires_grad=p.requires_grad)
                module._parameters[name] = made.setdefault(id(p), new)
        for name, b in list(module._buffers.items()):
            if b is not None:
                module._buffers[name] = torch.empty(b.shape, dtype=b.dtype)


def rows(count: int, tokens: int, token: int, prompt: int) -> list[Row]:
    """Completions of so many tokens behind a prompt of `prompt` tokens, half of them with a negative advantage."""
    made = Rollout(Context.plain("x"), "", [2] * tokens, [-1.0] * tokens, prompt)
    return [Row(Problem("p", "x", "y"), made, [token] * prompt, 1.0 - 2 * (i % 2)) for i in range(count)]
