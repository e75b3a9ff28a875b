"""Batched sampling from a Hugging Face causal language model. B = rows, T = completion tokens, V = vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import CacheLayerMixin, DynamicLayer

from harness.core.types import Sampling

SHARED_PROMPTS = 10_000_000
"""Parameters from which on rows with the same prompt share its pass, unless `local.shared_prompts` says otherwise. Sharing
changes the last bits of a probability, and the testbed's samples stay the recorded ones."""
DROP_AT = 0.8
"""Finished rows are dropped when no more than this share of the rows goes on: it pays for the copy of the cache then."""


@dataclass
class SampledTokens:
    """One completion: token ids (the end token included), their log-probabilities, and whether it hit the limit."""

    tokens_T: list[int]
    logps_T: list[float]
    truncated: bool


@torch.inference_mode()
def sample(
    model: Any,
    prompts_B: Sequence[Sequence[int]],
    sampling: Sampling,
    stop: set[int],
    pad: int,
    generator: torch.Generator,
    max_tokens: int,
    tick: Callable[[int], None] = lambda done: None,
    graphs: bool = True,
    share: bool = False,
) -> list[SampledTokens]:
    """One completion per prompt, in order; `tick` gets the number done so far.

    Prompts of similar length share a pass, as many as keep rows x (longest prompt + new tokens) within `max_tokens` and,
    on a GPU, within its free memory. `graphs`: see harness/training/local/decoding.py. `share`: equal prompts of a
    pass are read once. Raises RuntimeError where the model's probabilities are no numbers.
    """
    from harness.training.local.decoding import can_replay, sample_replayed

    order = sorted(range(len(prompts_B)), key=lambda i: len(prompts_B[i]))
    out: list[SampledTokens | None] = [None] * len(prompts_B)
    draw_rows = sample_replayed if graphs and can_replay(model) else sample_growing
    done = 0
    while done < len(order):
        rows, fits = 1, _room(model, max_tokens)
        while done + rows < len(order) and fits(rows + 1, len(prompts_B[order[done + rows]]) + sampling.max_new_tokens):
            rows += 1
        chunk = order[done : done + rows]
        drawn = draw_rows(model, [prompts_B[i] for i in chunk], sampling, stop, pad, generator, share)
        for i, row in zip(chunk, drawn, strict=True):
            out[i] = row
        done += rows
        tick(done)
    return out  # type: ignore[return-value]


def _room(model: Any, max_tokens: int) -> Callable[[int, int], bool]:
    """Whether (rows, tokens of each) may be sampled side by side."""
    if model.device.type != "cuda":
        return lambda rows, tokens: rows * tokens <= max_tokens
    cfg = model.config.get_text_config()
    token_bytes = cache_bytes(cfg, model.dtype.itemsize)
    row_bytes = 5 * 4 * cfg.vocab_size  # probabilities in float32, a few times over
    unused = torch.cuda.memory_reserved(model.device) - torch.cuda.memory_allocated(model.device)
    half = (torch.cuda.mem_get_info(model.device)[0] + unused) / 2  # the other half: copies of the cache, the prompts' pass
    return lambda rows, tokens: rows * tokens <= max_tokens and rows * (tokens * token_bytes + row_bytes) <= half


def cache_bytes(config: Any, itemsize: int) -> int:
    """Of a token in the cache of keys and values; `itemsize`: bytes of a number."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * head_dim * itemsize)


def left_pad(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, both [B, longest], padded on the left."""
    width = max(map(len, rows))
    ids = torch.tensor([[pad] * (width - len(r)) + list(r) for r in rows], device=device)
    mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows], device=device)
    return ids, mask


def shares_prompts(model: Any, setting: bool | None) -> bool:
    """What `local.shared_prompts` says for this model."""
    return sum(p.numel() for p in model.parameters()) >= SHARED_PROMPTS if setting is None else setting


def prefill(model: Any, prompts_B: Sequence[Sequence[int]], pad: int, share: bool) -> tuple[Tensor, Tensor, DynamicCache]:
    """The prompts' pass: logits of the next token [B, V], attention mask [B, longest prompt], cache of keys and values.

    `share`: one pass for equal prompts.
    """
    distinct = list(dict.fromkeys(map(tuple, prompts_B))) if share else prompts_B
    ids, mask = left_pad(distinct, pad, model.device)
    cache = DynamicCache(config=model.config)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    logits = model(
        input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
    ).logits[:, -1]
    if len(distinct) < len(prompts_B):
        number = {p: i for i, p in enumerate(distinct)}
        rows = torch.tensor([number[tuple(p)] for p in prompts_B], device=model.device)
        cache.batch_select_indices(rows)
        logits, mask = logits[rows], mask[rows]
    return logits, mask, cache


def with_room(grown: Tensor, room: int) -> Tensor:
    """[rows, heads, tokens, width] with zeros up to `room` tokens."""
    out = grown.new_zeros(*grown.shape[:2], room, grown.shape[3])
    out[:, :, : grown.shape[2]] = grown
    return out


class _InPlace(CacheLayerMixin):
    """Keys and values of one layer, [rows, heads, room, width]. A step writes its own behind them, where transformers' layer
    copies all of them; what attention gets is equal, bit for bit."""

    def __init__(self, grown: DynamicLayer, room: int) -> None:
        super().__init__()
        self.seen, self.is_initialized = grown.keys.shape[2], True
        self.keys, self.values = with_room(grown.keys, self.seen + room), with_room(grown.values, self.seen + room)

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        begin, self.seen = self.seen, self.seen + key_states.shape[2]
        self.keys[:, :, begin : self.seen], self.values[:, :, begin : self.seen] = key_states, value_states
        return self.keys[:, :, : self.seen], self.values[:, :, : self.seen]

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing is left to do."""

    def batch_select_indices(self, indices: Tensor) -> None:
        self.keys, self.values = self.keys[indices], self.values[indices]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.seen + query_length, 0

    def get_seq_length(self) -> int:
        return int(self.seen)

    def get_max_length(self) -> int:
        return -1

    get_max_cache_shape = get_max_length  # its name in transformers before it was this


def draw(logits: Tensor, temperature: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A token per row and its log-probability at the sampling temperature (0 takes the likeliest, scored at 1); both [B]."""
    logp = torch.log_softmax(logits.float() / (temperature or 1.0), dim=-1)
    if temperature == 0:
        token = logp.argmax(-1)
    elif logits.is_cuda:  # what multinomial does there, without its two looks at the values, each of which waits for the GPU
        token = (logp.exp() / torch.empty_like(logp).exponential_(generator=generator)).argmax(-1)
    else:
        token = torch.multinomial(logp.exp(), 1, generator=generator)[:, 0]
    return token, logp.gather(1, token[:, None])[:, 0]


class Drawn:
    """What has been drawn of a pass. `live` are the rows still in it; some may have ended since the last compaction."""

    def __init__(self, rows: int, limit: int, stop: set[int], pad: int, device: torch.device) -> None:
        self.tokens_B_T = torch.full((rows, limit), pad, device=device)
        self.logps_B_T = torch.zeros(rows, limit, device=device)
        self.lengths_B = torch.full((rows,), limit, device=device)
        self.ended_B = torch.zeros(rows, dtype=torch.bool, device=device)
        self.stops = torch.tensor(sorted(stop), device=device)
        self.live = torch.arange(rows, device=device)

    def add(self, t: int, token: Tensor, logp: Tensor) -> None:
        """The live rows' tokens at step t; what comes after a row's end is cut off in the end."""
        self.tokens_B_T[self.live, t] = token
        self.logps_B_T[self.live, t] = logp
        ended = self.ended_B[self.live]
        stopped = torch.isin(token, self.stops) & ~ended
        self.lengths_B[self.live] = torch.where(stopped, t + 1, self.lengths_B[self.live])
        self.ended_B[self.live] = ended | stopped

    def open(self) -> Tensor:
        """Which live rows go on, as positions among them."""
        return (~self.ended_B[self.live]).nonzero()[:, 0]

    def results(self) -> Iterator[SampledTokens]:
        if not self.logps_B_T.isfinite().all():
            raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
        ended = self.ended_B.tolist()
        for i, n in enumerate(self.lengths_B.tolist()):
            yield SampledTokens(self.tokens_B_T[i, :n].tolist(), self.logps_B_T[i, :n].tolist(), truncated=not ended[i])


def sample_growing(
    model: Any,
    prompts_B: Sequence[Sequence[int]],
    sampling: Sampling,
    stop: set[int],
    pad: int,
    generator: torch.Generator,
    share: bool,
) -> Iterator[SampledTokens]:
    """One pass over rows that see one token more each step: for any model, on any device."""
    limit = sampling.max_new_tokens
    drawn = Drawn(rows=len(prompts_B), limit=limit, stop=stop, pad=pad, device=model.device)
    logits, mask, cache = prefill(model, prompts_B, pad, share)
    width = mask.shape[1]
    cache.layers = [_InPlace(layer, limit) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    positions = mask.sum(1, keepdim=True)
    mask = torch.cat([mask, mask.new_ones(len(mask), limit)], 1)
    look = 16 if model.device.type == "cuda" else 1  # steps; each look waits for the GPU
    for t in range(limit):
        token, logp = draw(logits, sampling.temperature, generator)
        drawn.add(t, token, logp)
        if t == limit - 1:
            break
        if t % look == look - 1:
            keep = drawn.open()
            if len(keep) == 0:
                break
            if len(keep) <= DROP_AT * len(token):
                drawn.live, token, mask, positions = drawn.live[keep], token[keep], mask[keep], positions[keep]
                cache.batch_select_indices(keep)
        seen = mask[:, : width + t + 1]
        logits = model(
            input_ids=token[:, None], attention_mask=seen, position_ids=positions, past_key_values=cache, use_cache=True
        ).logits[:, -1]
        positions = positions + 1
    return drawn.results()
