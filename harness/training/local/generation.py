"""Batched sampling and log-probabilities of a Hugging Face causal language model. B = rows, T = completion tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from harness.core.types import Sampling


@dataclass
class SampledTokens:
    """One completion: token ids (the end token included), their log-probabilities, and whether it hit the limit."""

    tokens_T: list[int]
    logps_T: list[float]
    truncated: bool


def tempered(logits: Tensor, temperature: float) -> Tensor:
    """Log-probabilities at the sampling temperature (temperature 0 scores at 1)."""
    return torch.log_softmax(logits.float() / (temperature or 1.0), dim=-1)


def left_pad(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, both [B, longest], padded on the left."""
    width = max(map(len, rows))
    ids = torch.tensor([[pad] * (width - len(r)) + list(r) for r in rows], device=device)
    mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows], device=device)
    return ids, mask


@torch.inference_mode()
def sample(
    model: PreTrainedModel,
    prompts_B: Sequence[Sequence[int]],
    sampling: Sampling,
    stop: set[int],
    pad: int,
    generator: torch.Generator,
    max_tokens: int,
    tick: Callable[[int], None] = lambda done: None,
) -> list[SampledTokens]:
    """One completion per prompt, in order; `tick` gets the number done so far.

    Prompts of similar length share a pass, as many as keep rows x (longest prompt + new tokens) within `max_tokens`.
    """
    order = sorted(range(len(prompts_B)), key=lambda i: len(prompts_B[i]))
    out: list[SampledTokens | None] = [None] * len(prompts_B)
    done = 0
    while done < len(order):
        rows = 1
        while (
            done + rows < len(order)
            and (rows + 1) * (len(prompts_B[order[done + rows]]) + sampling.max_new_tokens) <= max_tokens
        ):
            rows += 1
        chunk = order[done : done + rows]
        for i, row in zip(
            chunk, _sample_chunk(model, [prompts_B[i] for i in chunk], sampling, stop, pad, generator), strict=True
        ):
            out[i] = row
        done += rows
        tick(done)
    return out  # type: ignore[return-value]


def _sample_chunk(model, prompts_B, sampling: Sampling, stop: set[int], pad: int, generator) -> Iterator[SampledTokens]:
    device = model.device
    ids, mask = left_pad(prompts_B, pad, device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    cache = DynamicCache(config=model.config)
    rows, limit = len(prompts_B), sampling.max_new_tokens
    tokens_B_T = torch.full((rows, limit), pad, device=device)
    logps_B_T = torch.zeros(rows, limit, device=device)
    lengths_B = torch.full((rows,), limit, device=device)
    ended_B = torch.zeros(rows, dtype=torch.bool, device=device)
    stops = torch.tensor(sorted(stop), device=device)
    live = torch.arange(rows, device=device)  # rows still in the pass; some may have ended since the last compaction
    logits = model(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, logits_to_keep=1).logits[
        :, -1
    ]
    positions = positions[:, -1:]
    for t in range(limit):
        logp = tempered(logits, sampling.temperature)
        if sampling.temperature == 0:
            token = logp.argmax(-1, keepdim=True)
        else:
            token = torch.multinomial(logp.exp(), 1, generator=generator)
        open_ = ~ended_B[live]
        tokens_B_T[live[open_], t] = token[open_, 0]
        logps_B_T[live[open_], t] = logp.gather(1, token)[open_, 0]
        stopped = torch.isin(token[:, 0], stops) & open_
        lengths_B[live[stopped]] = t + 1
        ended_B[live[stopped]] = True
        remaining = int((~ended_B[live]).sum())
        if remaining == 0 or t == limit - 1:
            break
        if remaining <= 0.8 * len(live):  # drop finished rows once it pays for the copy of the cache
            keep = (~ended_B[live]).nonzero()[:, 0]
            live, token, mask, positions = live[keep], token[keep], mask[keep], positions[keep]
            cache.batch_select_indices(keep)
        mask = torch.cat([mask, mask.new_ones(len(live), 1)], 1)
        positions = positions + 1
        logits = model(input_ids=token, attention_mask=mask, position_ids=positions, past_key_values=cache).logits[:, -1]
    ended = ended_B.tolist()
    for i, n in enumerate(lengths_B.tolist()):
        yield SampledTokens(tokens_B_T[i, :n].tolist(), logps_B_T[i, :n].tolist(), truncated=not ended[i])


def completion_logps(
    model: PreTrainedModel,
    prompts_B: Sequence[Sequence[int]],
    completions_B: Sequence[Sequence[int]],
    temperature: float,
    pad: int,
) -> tuple[Tensor, Tensor]:
    """log pi(y_t | prompt, y_<t) at `temperature` and the mask of real tokens, both [B, T]; differentiable."""
    device = model.device
    ids, mask = left_pad(prompts_B, pad, device)
    longest = max(map(len, completions_B))
    targets_B_T = torch.tensor([list(c) + [pad] * (longest - len(c)) for c in completions_B], device=device)
    real_B_T = torch.tensor([[1] * len(c) + [0] * (longest - len(c)) for c in completions_B], device=device)
    mask = torch.cat([mask, real_B_T], 1)
    logits = model(
        input_ids=torch.cat([ids, targets_B_T], 1)[:, :-1],
        attention_mask=mask[:, :-1],
        position_ids=(mask.cumsum(1) - 1).clamp(min=0)[:, :-1],
        use_cache=False,
        logits_to_keep=longest,
    ).logits
    logps_B_T = -torch.nn.functional.cross_entropy(
        (logits.float() / temperature).transpose(1, 2), targets_B_T, reduction="none"
    )
    return logps_B_T, real_B_T.to(logps_B_T.dtype)
