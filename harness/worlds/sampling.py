"""Sampling from a policy of an embedded world, for measuring what is true of it before any training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

Generated = tuple[str, list[int], list[float]]


@torch.no_grad()
def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[str],
    temperature: float,
    max_new_tokens: int,
    generator: torch.Generator,
) -> list[Generated]:
    """One sampled completion per prompt: text without special tokens, tokens with the one that ends it, and their log-probs.

    Log-probabilities are those of the distribution sampled from, i.e. at `temperature` (0: greedy, reported at 1).
    """
    done: list[Generated] = []
    for i in range(0, len(prompts), 1024):
        done += _generate_batch(model, tokenizer, prompts[i : i + 1024], temperature, max_new_tokens, generator)
    return done


def _generate_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[str],
    temperature: float,
    max_new_tokens: int,
    generator: torch.Generator,
) -> list[Generated]:
    batch = tokenizer(list(prompts), return_tensors="pt", padding=True, padding_side="left")
    mask = batch["attention_mask"]
    position = (mask.cumsum(1) - 1).clamp(min=0)
    feed, cache = batch["input_ids"], None
    tokens: list[list[int]] = [[] for _ in prompts]
    logps: list[list[float]] = [[] for _ in prompts]
    alive = torch.arange(len(prompts))
    ends = model.generation_config.eos_token_id
    stops = torch.tensor(ends if isinstance(ends, list) else [ends])
    for _ in range(max_new_tokens):
        out = model(feed, attention_mask=mask, position_ids=position, past_key_values=cache, logits_to_keep=1)
        cache = out.past_key_values
        logp = torch.log_softmax(out.logits[:, -1].float() / (temperature or 1.0), -1)
        if temperature == 0:
            drawn = logp.argmax(-1, keepdim=True)
        else:
            drawn = torch.multinomial(logp.exp(), 1, generator=generator)
        for row, token, value in zip(alive.tolist(), drawn[:, 0].tolist(), logp.gather(1, drawn)[:, 0].tolist(), strict=True):
            tokens[row].append(token)
            logps[row].append(value)
        keep = (~torch.isin(drawn[:, 0], stops)).nonzero()[:, 0]
        if len(keep) == 0:
            break
        if len(keep) < len(alive):
            cache.batch_select_indices(keep)
            alive, drawn, mask, position = alive[keep], drawn[keep], mask[keep], position[keep]
        feed, position = drawn, position[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(alive), 1)], 1)
    texts = tokenizer.batch_decode(tokens, skip_special_tokens=True)
    return list(zip(texts, tokens, logps, strict=True))
