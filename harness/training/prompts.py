"""From the text of a user turn to the tokens that the policy sees: the same for every backend."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from jinja2 import TemplateError

from harness.core.errors import UsageError
from harness.core.settings import ModelConfig


def encode(tokenizer: Any, model: ModelConfig, prompt: str) -> list[int]:
    """Token ids of one user turn, chat template and generation prompt included.

    A tokenizer of whole words, like those of the embedded worlds, needs no template: it has no words for turns. Raises
    UsageError where any other has none, and for a template that refuses the turn.
    """
    if tokenizer.chat_template and model.chat_template:
        turn = [{"role": "user", "content": prompt}]
        try:
            ids = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=False, **model.chat_options)
        except TemplateError as e:
            raise UsageError(
                f"the chat template of {model.id} fails on a user turn: {' '.join(str(e).split())}; "
                "model.chat_options passes options to it, model.chat_template=false does without"
            ) from None
        return list(ids)
    if model.chat_template and not _of_words(tokenizer):
        raise UsageError(f"the tokenizer of {model.id} has no chat template; model.chat_template=false asks it without one")
    return list(tokenizer(prompt, add_special_tokens=True)["input_ids"])


def _of_words(tokenizer: Any) -> bool:
    fast = getattr(tokenizer, "backend_tokenizer", None)
    return fast is not None and type(fast.model).__name__ == "WordLevel"


def rendering(tokenizer: Any, model: ModelConfig) -> str:
    """What identifies how prompts are rendered: SHA-256 of the text that a fixed user turn becomes."""
    return sha256(tokenizer.decode(encode(tokenizer, model, "1 + 1 =")).encode()).hexdigest()
