"""Models of a few thousand random weights, for tests that need a folder of one."""

from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from harness.testbed.policy import make_tokenizer


def tiny_llama(folder: Path, chat_template: str | None = None, **config: Any) -> Path:
    """A Llama of one layer with the testbed's tokenizer, saved; `config` goes to LlamaConfig."""
    tokenizer = make_tokenizer()
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id}
    LlamaForCausalLM(LlamaConfig(**{**ends, **sizes, **config})).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
