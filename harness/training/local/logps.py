"""Log-probabilities of completions under a causal language model, differentiable.

B = rows, T = completion tokens, N = real tokens of all rows, V = vocabulary, D = width of the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
import torch.utils.checkpoint
from torch import Tensor
from transformers.modeling_layers import GradientCheckpointingLayer

from harness.training.local.attention import BEHIND, attention, behind, plain_attention
from harness.training.local.generation import left_pad

WHOLE_LOGITS = 2**24
"""A pass with at most this many logits (B x T x V) holds them all at once."""
CHUNK_LOGITS = 2**27
"""Any other holds so many at a time: 512 MB in float32, a few such copies while it lasts."""
AFTER_THE_HEAD = re.compile(r"soft_?cap|logits?_(scale|scaling|multiplier)|head_multiplier|output_multiplier")
"""Names of settings by which a model changes its logits after the head, e.g. final_logit_softcapping, logit_scale."""


def completion_logps(
    model: Any,
    prompts_B: Sequence[Sequence[int]],
    completions_B: Sequence[Sequence[int]],
    temperature: float,
    pad: int,
    share: bool = False,
) -> tuple[Tensor, Tensor]:
    """log pi(y_t | prompt, y_<t) at `temperature` and the mask of real tokens, both [B, T]; differentiable.

    What the first holds where the mask is 0 has no meaning. A large pass applies the head to chunks of tokens and
    recomputes their logits for the gradient; the values are those of the whole logits up to rounding. `share`: equal
    prompts are passed once, if the model can (`can_share`); likewise.
    """
    longest = max(map(len, completions_B))
    targets_B_T = torch.tensor([list(c) + [pad] * (longest - len(c)) for c in completions_B], device=model.device)
    real_B_T = torch.tensor([[1] * len(c) + [0] * (longest - len(c)) for c in completions_B], device=model.device)
    real = real_B_T.bool()
    head = linear_head(model)
    if share and head is not None and plain_attention(model) and all(prompts_B):
        hidden_N_D = _hidden_behind_prompts(model, prompts_B, completions_B)
    else:
        inputs = _inputs(prompts_B, targets_B_T, real_B_T, pad)
        if head is None or targets_B_T.numel() * head.shape[0] <= WHOLE_LOGITS:
            logps_B_T = whole_logps(model(**inputs, logits_to_keep=longest).logits.transpose(1, 2), targets_B_T, temperature)
            return logps_B_T, real_B_T.to(logps_B_T.dtype)
        hidden = model.base_model(**inputs).last_hidden_state[:, -longest:].flatten(0, 1)
        at = [b * longest + t for b, c in enumerate(completions_B) for t in range(len(c))]
        hidden_N_D = hidden.index_select(0, torch.tensor(at, device=model.device))
    targets_N = torch.tensor([t for c in completions_B for t in c], device=model.device)
    if len(hidden_N_D) * head.shape[0] <= WHOLE_LOGITS:
        logps_N = whole_logps(torch.nn.functional.linear(hidden_N_D, head), targets_N, temperature)
    else:
        logps_N = TokenLogps.apply(hidden_N_D, head, targets_N, temperature, max(1, CHUNK_LOGITS // head.shape[0]))
    logps_B_T = torch.zeros(real.shape, dtype=logps_N.dtype, device=model.device).masked_scatter(real, logps_N)
    return logps_B_T, real_B_T.to(logps_B_T.dtype)


def _inputs(prompts_B: Sequence[Sequence[int]], targets_B_T: Tensor, real_B_T: Tensor, pad: int) -> dict[str, Any]:
    """Rows of a prompt and a completion each."""
    ids, mask = left_pad(prompts_B, pad, targets_B_T.device)
    mask = torch.cat([mask, real_B_T], 1)
    return {
        "input_ids": torch.cat([ids, targets_B_T], 1)[:, :-1],
        "attention_mask": mask[:, :-1],
        "position_ids": (mask.cumsum(1) - 1).clamp(min=0)[:, :-1],
        "use_cache": False,
    }


def whole_logps(logits: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """log softmax(logits / temperature)[target] over the second dimension, in float32 at least."""
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return -torch.nn.functional.cross_entropy(exact / temperature, targets, reduction="none")


def can_share(model: Any) -> bool:
    """Whether completions can stand behind one copy of their prompt: see `plain_attention`; any other takes the plain way."""
    return plain_attention(model) and linear_head(model) is not None


def _hidden_behind_prompts(model: Any, prompts_B: Sequence[Sequence[int]], completions_B: Sequence[Sequence[int]]) -> Tensor:
    """[N, D]: of each real completion token, row after row, the hidden state that predicts it."""
    layout = behind(prompts_B, completions_B, model.device)
    with attention(model, BEHIND):
        hidden = model.base_model(
            input_ids=layout.tokens_N[None],
            position_ids=layout.positions_N[None],
            attention_mask=layout.mask_B_1_T_S,
            use_cache=False,
            layout=layout,
        ).last_hidden_state
    return hidden[0].index_select(0, layout.before)


def linear_head(model: Any) -> Tensor | None:
    """The weights [V, D] by which hidden states become logits; None where that is not all that becomes of them."""
    head = model.get_output_embeddings()
    if model.base_model is model or type(head) is not torch.nn.Linear or head.bias is not None:
        return None
    settings = model.config.get_text_config().to_dict().items()
    if any(AFTER_THE_HEAD.search(name) and value not in (None, 1) for name, value in settings):
        return None
    return head.weight


class TokenLogps(torch.autograd.Function):
    """log softmax(hidden W^T / temperature)[target] of N tokens, `rows` tokens at a time; the gradient recomputes logits.

    Logits have the weights' type; everything after them, and the sum of the weights' gradient, at least float32.
    """

    @staticmethod
    def forward(ctx: Any, hidden_N_D: Tensor, weight_V_D: Tensor, targets_N: Tensor, temperature: float, rows: int) -> Tensor:
        exact = torch.promote_types(hidden_N_D.dtype, torch.float32)
        logps_N = torch.empty(len(targets_N), dtype=exact, device=hidden_N_D.device)
        norms_N = torch.empty_like(logps_N)
        for start in range(0, len(targets_N), rows):
            part = slice(start, start + rows)
            logits = torch.nn.functional.linear(hidden_N_D[part], weight_V_D).to(exact).div_(temperature)
            norms_N[part] = logits.logsumexp(-1)
            logps_N[part] = logits.gather(1, targets_N[part, None])[:, 0] - norms_N[part]
            del logits  # before the next chunk's are made
        ctx.save_for_backward(hidden_N_D, weight_V_D, targets_N, norms_N)
        ctx.temperature, ctx.rows = temperature, rows
        return logps_N

    @staticmethod
    def backward(ctx: Any, grad_N: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        hidden_N_D, weight_V_D, targets_N, norms_N = ctx.saved_tensors
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        dtype, exact = hidden_N_D.dtype, norms_N.dtype
        hidden_grad = torch.empty_like(hidden_N_D) if wants_hidden else None
        weight_grad = torch.zeros_like(weight_V_D, dtype=exact) if wants_weight else None
        for start in range(0, len(targets_N), ctx.rows):
            part = slice(start, start + ctx.rows)
            scale = (grad_N[part, None] / ctx.temperature).to(exact)
            logits = torch.nn.functional.linear(hidden_N_D[part], weight_V_D).to(exact).div_(ctx.temperature)
            logits_grad = logits.sub_(norms_N[part, None]).exp_().mul_(-scale)
            logits_grad = logits_grad.scatter_add_(1, targets_N[part, None], scale).to(dtype)
            if hidden_grad is not None:
                hidden_grad[part] = logits_grad @ weight_V_D
            if weight_grad is not None:
                weight_grad += logits_grad.T @ hidden_N_D[part]
            del logits, logits_grad  # before the next chunk's are made
        return hidden_grad, None if weight_grad is None else weight_grad.to(weight_V_D.dtype), None, None, None


@contextmanager
def recomputed_layers(model: Any) -> Iterator[None]:
    """Inside, a pass keeps only the inputs of the model's layers, and the backward pass computes their insides again.

    The layers alone are told that they train: nothing inside them begins to drop out.
    """
    layers = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
    before = [m.training for m in layers]

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """Of a pass and of its repetition, which comes when the pass has long left its kind of attention."""
        return nullcontext(), attention(model, model.config._attn_implementation)

    again = partial(torch.utils.checkpoint.checkpoint, use_reentrant=False, context_fn=contexts)
    try:
        for m in layers:
            m.training, m.gradient_checkpointing, m._gradient_checkpointing_func = True, True, again
        yield
    finally:
        for m, was in zip(layers, before, strict=True):
            m.training, m.gradient_checkpointing = was, False
