"""From the text of a user turn to the tokens that the policy sees: the same for every backend."""

from __future__ import annotations

from typing import Any

from harness.settings import ModelConfig


def encode(tokenizer: Any, model: ModelConfig, prompt: str) -> list[int]:
    """Token ids of one user turn, chat template and generation prompt included where the tokenizer has one."""
    if tokenizer.chat_template and model.chat_template:
        turn = [{"role": "user", "content": prompt}]
        return list(tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=False, **model.chat_options))
    return list(tokenizer(prompt, add_special_tokens=True)["input_ids"])
