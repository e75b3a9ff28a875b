"""Attention of our own for the models that take it: one new token a row, and completions behind one copy of their prompt.

N = tokens of a pass, G = prompts, P = tokens of the longest, B = completions, T = tokens of the longest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

PLAIN_MODELS = {"llama", "qwen2", "qwen3"}
"""Types of model whose attention is plain causal attention with grouped heads, which is what this file computes."""
GROUPED = "harness_grouped"
BEHIND = "harness_behind_prompts"


def plain_attention(model: Any) -> bool:
    """Whether the model is of a known type, with PyTorch's attention, every layer seeing the whole context."""
    cfg = model.config
    layers = set(getattr(cfg, "layer_types", None) or ["full_attention"])
    return cfg.model_type in PLAIN_MODELS and layers == {"full_attention"} and cfg._attn_implementation == "sdpa"


def sound_kernels() -> None:
    """Leave cuDNN's attention out of what PyTorch chooses from in this process.

    From PyTorch 2.11 on its backward pass gives NaN on H100 and H200 where a mask is given and keys are 64 more than a multiple
    of 128 (github.com/pytorch/pytorch/issues/196678).
    """
    torch.backends.cuda.enable_cudnn_sdp(False)


@contextmanager
def attention(model: Any, name: str) -> Iterator[None]:
    """Inside, the model's passes use the attention of this name."""
    before = model.config._attn_implementation
    model.config._attn_implementation = name
    try:
        yield
    finally:
        model.config._attn_implementation = before


def grouped(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, scaling: float | None = None, **_: Any
) -> tuple[Tensor, None]:
    """Attention of one new token a row, the query heads that share a key head side by side instead of the key repeated."""
    rows, heads, one, width = query.shape
    shared = query.reshape(rows, key.shape[1], heads // key.shape[1], width)
    out = torch.nn.functional.scaled_dot_product_attention(shared, key, value, attn_mask=attention_mask, scale=scaling)
    return out.reshape(rows, one, heads, width), None


@dataclass
class Behind:
    """Where the tokens of a pass stand: G prompts, then B completions behind them, one after the other without padding.

    A completion's last token is not passed: nothing follows it. Indices of what is padding are 0.
    """

    tokens_N: Tensor
    positions_N: Tensor
    prompt_G_P: Tensor
    """Index of each prompt's tokens among the N."""
    completion_B_T: Tensor
    """Index of each completion's tokens among the N; T may be 0."""
    prompt_of_B: Tensor
    """Which prompt a completion follows."""
    mask_B_1_T_S: Tensor
    """What a completion's token sees of its prompt and its completion, S = P + T."""
    back_N: Tensor
    """Index of the N tokens among G x P and then B x T ones."""
    before: Tensor
    """Index, among the N tokens, of the one before each token of each completion, its last included, row after row."""


def behind(prompts_B: Sequence[Sequence[int]], completions_B: Sequence[Sequence[int]], device: torch.device) -> Behind:
    """The pass of these rows, each distinct prompt once. No prompt may be empty."""
    number = {p: i for i, p in enumerate(dict.fromkeys(map(tuple, prompts_B)))}
    prompts, of = list(number), [number[tuple(p)] for p in prompts_B]
    passed = [list(c[:-1]) for c in completions_B]
    sizes, lengths = list(map(len, prompts)), list(map(len, passed))
    starts = list(accumulate([*sizes, *lengths], initial=0))[: len(sizes) + len(lengths)]
    first, then = starts[: len(sizes)], starts[len(sizes) :]
    widest, longest = max(sizes), max(lengths)
    back = [g * widest + i for g, n in enumerate(sizes) for i in range(n)]
    back += [len(sizes) * widest + b * longest + i for b, n in enumerate(lengths) for i in range(n)]
    before = []
    for b, c in enumerate(completions_B):
        if c:
            before += [first[of[b]] + sizes[of[b]] - 1, *range(then[b], then[b] + len(c) - 1)]
    sizes_B = torch.tensor([sizes[g] for g in of])
    seen_B_P = torch.arange(widest) < sizes_B[:, None]
    causal_T_T = torch.ones(longest, longest, dtype=torch.bool).tril()
    mask = torch.cat([seen_B_P[:, None].expand(-1, longest, -1), causal_T_T.expand(len(of), -1, -1)], 2)
    positions = [i for n in sizes for i in range(n)] + [
        sizes[g] + i for g, n in zip(of, lengths, strict=True) for i in range(n)
    ]
    return Behind(
        tokens_N=torch.tensor([t for row in [*prompts, *passed] for t in row], device=device),
        positions_N=torch.tensor(positions, device=device),
        prompt_G_P=_ranges(first, sizes, widest).to(device),
        completion_B_T=_ranges(then, lengths, longest).to(device),
        prompt_of_B=torch.tensor(of, device=device),
        mask_B_1_T_S=mask[:, None].to(device),
        back_N=torch.tensor(back, device=device),
        before=torch.tensor(before, device=device),
    )


def _ranges(starts: Sequence[int], lengths: Sequence[int], width: int) -> Tensor:
    """[rows, width]: start, start + 1, ... of each row up to its length, then zeros."""
    at = torch.arange(width)
    return torch.where(at < torch.tensor(lengths)[:, None], torch.tensor(starts)[:, None] + at, 0)


def behind_prompts(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, layout: Behind, **options: Any
) -> tuple[Tensor, None]:
    """Attention of the N tokens of `layout`: prompts among themselves, completions to their prompt and themselves.

    "Prefix Grouper" (arXiv 2506.05433): the work of rows that each hold their prompt, less the prompts' repeated own part.
    """
    options.pop("is_causal", None)
    query_N, key_N, value_N = (x[0].transpose(0, 1) for x in (query, key, value))
    query_P, key_P, value_P = (_take(x, layout.prompt_G_P) for x in (query_N, key_N, value_N))
    prompts, _ = sdpa_attention_forward(module, query_P, key_P, value_P, None, is_causal=True, **options)
    out = prompts.flatten(0, 1)
    if layout.completion_B_T.numel():
        query_T, key_T, value_T = (_take(x, layout.completion_B_T) for x in (query_N, key_N, value_N))
        key_S = torch.cat([key_P.index_select(0, layout.prompt_of_B), key_T], 2)
        value_S = torch.cat([value_P.index_select(0, layout.prompt_of_B), value_T], 2)
        completions, _ = sdpa_attention_forward(module, query_T, key_S, value_S, attention_mask, is_causal=False, **options)
        out = torch.cat([out, completions.flatten(0, 1)])
    return out.index_select(0, layout.back_N)[None], None


def _take(x_N: Tensor, at: Tensor) -> Tensor:
    """[rows, heads, columns, width] of [N, heads, width]."""
    return x_N.index_select(0, at.flatten()).unflatten(0, at.shape).transpose(1, 2)


AttentionInterface.register(GROUPED, grouped)
AttentionInterface.register(BEHIND, behind_prompts)
