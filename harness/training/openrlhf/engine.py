"""One completion from a vLLM engine of OpenRLHF, as a rollout."""

from __future__ import annotations

from typing import Any

from harness.core.errors import HarnessError
from harness.core.settings import ModelConfig
from harness.core.types import Context, Rollout, Sampling
from harness.training.prompts import encode
from harness.training.vllm_requests import request_parameters, sampled


class NoRoomError(HarnessError):
    """A prompt leaves no room, or too little, for a completion; it has so many tokens."""

    def __init__(self, tokens: int, room: int) -> None:
        super().__init__(tokens, room)  # pickle makes it of these again, in another process
        self.tokens, self.room = tokens, room

    def __str__(self) -> str:
        return f"a prompt of {self.tokens} tokens leaves no room in {self.room}; raise backend.prompt_tokens"


def request(
    tokenizer: Any, model: ModelConfig, prompt: str, sampling: Sampling, room: int, seed: int, least: int = 1
) -> tuple[list[int], Any]:
    """Token ids and vLLM's sampling parameters. A prompt that leaves less room than asked for gets what is left.

    Raises NoRoomError for one that leaves less than `least` tokens.
    """
    ids = encode(tokenizer, model, prompt)
    left = min(sampling.max_new_tokens, room - len(ids))
    if left < least:
        raise NoRoomError(len(ids), room)
    return ids, request_parameters(sampling, left, seed, min_tokens=1, logprobs=0, skip_special_tokens=False)


def rollout(tokenizer: Any, context: Context, prompt_tokens: int, output: Any) -> Rollout:
    """vLLM's answer, ungraded. Log-probabilities are of the sampled tokens, at the sampling temperature."""
    tokens_T, logps_T, truncated = sampled(output)
    text = tokenizer.decode(tokens_T, skip_special_tokens=True)
    return Rollout(
        context=context,
        text=text,
        tokens_T=tokens_T,
        logps_T=logps_T,
        prompt_tokens=prompt_tokens,
        truncated=truncated,
    )


async def sample_one(
    engine: Any, tokenizer: Any, model: ModelConfig, context: Context, sampling: Sampling, room: int, seed: int
) -> Rollout:
    """One ungraded rollout; both its prompts must leave room for the completion."""
    longer = max((context.rollout, context.train), key=lambda p: len(encode(tokenizer, model, p)))
    spare = len(encode(tokenizer, model, longer)) - len(encode(tokenizer, model, context.rollout))
    ids, params = request(tokenizer, model, context.rollout, sampling, room - spare, seed)
    return rollout(tokenizer, context, len(ids), await engine.generate(ids, params))
