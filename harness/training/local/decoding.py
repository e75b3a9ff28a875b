"""Sampling on a GPU: a cache of its full size from the start, and decoding steps replayed as a CUDA graph.

A step of a small model is some six hundred small kernels, and a GPU waits for each to be launched: replayed as one graph,
they follow each other at once. The graph covers the model's pass; a token is drawn from its logits outside of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import CacheLayerMixin

from harness.core.types import Sampling
from harness.training.local.attention import GROUPED, attention, plain_attention
from harness.training.local.generation import DROP_AT, Drawn, SampledTokens, draw, prefill, with_room

SEGMENT = 128
"""Steps that share a graph, and see as much of the cache as the last of them needs."""
LOOK = 16
"""Steps between two looks at whether all rows have ended; each waits for the GPU."""


def can_replay(model: Any) -> bool:
    """Whether `sample_replayed` is for this model: on a GPU, of a known type, every layer seeing the whole context."""
    return model.device.type == "cuda" and plain_attention(model)


class _Layer(CacheLayerMixin):
    """Keys and values of one layer, [rows, heads, room, width], into which a step writes its own at `decoder.at`."""

    def __init__(self, keys: Tensor, values: Tensor, decoder: Decoder) -> None:
        super().__init__()
        self.keys, self.values, self.decoder, self.is_initialized = keys, values, decoder, True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        self.keys.index_copy_(2, self.decoder.at, key_states)
        self.values.index_copy_(2, self.decoder.at, value_states)
        return self.keys[:, :, : self.decoder.seen], self.values[:, :, : self.decoder.seen]

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing is left to do."""

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.decoder.seen, 0

    def get_seq_length(self) -> int:
        return int(self.decoder.seen) - 1

    def get_max_length(self) -> int:
        return int(self.keys.shape[2])

    get_max_cache_shape = get_max_length  # its name in transformers before it was this


class Decoder:
    """The model's pass over one new token a row. What it reads and writes stays in place, so that it can be replayed."""

    def __init__(self, model: Any, mask: Tensor, cache: DynamicCache, limit: int) -> None:
        rows, width = mask.shape
        room = _round_up(width + limit)
        self.model, self.width, self.seen = model, width, width
        self.at = torch.tensor([width], device=model.device)
        self.token = torch.zeros(rows, 1, dtype=torch.long, device=model.device)
        self.positions = mask.sum(1, keepdim=True)
        self.mask = torch.nn.functional.pad(mask.bool(), (0, room - width))
        self.layers = []
        for layer in cache.layers:
            keys, values = (with_room(grown, room) for grown in (layer.keys, layer.values))
            layer.keys = layer.values = None
            self.layers.append(_Layer(keys, values, self))
        self.cache = Cache(layers=self.layers)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.recording = self.token.is_cuda
        self.logits = torch.empty(0)

    def pass_(self) -> Tensor:
        """Logits [rows, V] after `token`. Doing it twice changes nothing."""
        self.mask.index_fill_(1, self.at, True)
        return self.model(
            input_ids=self.token,
            attention_mask=self.mask[:, None, None, : self.seen],
            position_ids=self.positions,
            past_key_values=self.cache,
            use_cache=True,
        ).logits[:, -1]

    def begin(self, steps: int, keep: Tensor | None) -> None:
        """Before the first of the next steps, `steps` of them done by their end: room for them, and only rows `keep`."""
        self.graph = None
        self.seen = min(_round_up(self.width + steps), self.mask.shape[1])
        if keep is not None:
            self.token, self.positions, self.mask = self.token[keep], self.positions[keep], self.mask[keep]
            for layer in self.layers:
                layer.keys, layer.values = layer.keys[keep], layer.values[keep]

    def step(self, token: Tensor) -> Tensor:
        """Logits after one more token a row; overwritten by the next step."""
        self.token.copy_(token[:, None])
        if self.recording and self.graph is None:
            self._capture()
        if self.graph is None:
            self.logits = self.pass_()
        else:
            self.graph.replay()
        self.at += 1
        self.positions += 1
        return self.logits

    def _capture(self) -> None:
        """Record the pass. What cannot be recorded is done step by step, with a warning."""
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            self.pass_()  # once before: libraries allocate what they need at their first call
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self.logits = self.pass_()
        except RuntimeError as e:
            self.recording = False
            warnings.warn(f"decoding without a CUDA graph, several times slower: {e}", stacklevel=2)
        else:
            self.graph = graph


def _round_up(tokens: int) -> int:
    """To a multiple that attention kernels take without a copy of the mask."""
    return -(-tokens // 64) * 64


def sample_replayed(
    model: Any,
    prompts_B: Sequence[Sequence[int]],
    sampling: Sampling,
    stop: set[int],
    pad: int,
    generator: torch.Generator,
    share: bool,
) -> Iterator[SampledTokens]:
    """One pass over rows, like `sample_growing`; the same distribution, up to rounding, from other random numbers."""
    limit = sampling.max_new_tokens
    drawn = Drawn(rows=len(prompts_B), limit=limit, stop=stop, pad=pad, device=model.device)
    logits, mask, cache = prefill(model, prompts_B, pad, share)
    decoder = Decoder(model, mask, cache, limit)
    with attention(model, GROUPED):
        for t in range(limit):
            token, logp = draw(logits, sampling.temperature, generator)
            drawn.add(t, token, logp)
            if t == limit - 1 or (t % LOOK == LOOK - 1 and bool(drawn.ended_B.all())):
                break
            if t % SEGMENT == 0:
                keep = drawn.open()
                if len(keep) == 0:
                    break
                fewer = len(keep) <= DROP_AT * len(token)
                decoder.begin(t + SEGMENT, keep if fewer else None)
                if fewer:
                    drawn.live, token = drawn.live[keep], token[keep]
            logits = decoder.step(token)
    # The decoder and its layers refer to each other, so the collector frees them at any time: during the next capture, a
    # graph that is freed spoils that one (seen on an H200 with PyTorch 2.11, where every later pass then went unrecorded).
    decoder.graph = None
    return drawn.results()
