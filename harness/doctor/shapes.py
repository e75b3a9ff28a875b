"""The shape of a policy: its layers without their weights, from its folder, its hub, or what is known of it here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from harness.config import RunSpec
from harness.core.errors import MissingError
from harness.models import MODELS, QWEN_CODER, SMOLLM2, cache_dir, locate

KNOWN: dict[str, dict[str, Any]] = {
    "Qwen/Qwen3-4B": {
        "model_type": "qwen3",
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151_936,
        "max_position_embeddings": 40_960,
        "tie_word_embeddings": True,
    },
    QWEN_CODER.name: {
        "model_type": "qwen2",
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "vocab_size": 151_936,
        "max_position_embeddings": 32_768,
        "tie_word_embeddings": True,
    },
    SMOLLM2.name: {
        "model_type": "llama",
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49_152,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
    },
}
"""From the config.json of the models that recipes name, so that a node can be checked where they have not been fetched."""


def config_of(spec: RunSpec, offline: bool) -> Any:
    """transformers' configuration of the policy. Raises MissingError where nobody here knows it; fetches no weights."""
    id_ = spec.model.id
    if id_ in KNOWN:
        known = dict(KNOWN[id_])
        return AutoConfig.for_model(known.pop("model_type"), **known)
    source = str(locate(spec, True)) if id_ in MODELS else id_
    folder = Path(source).is_dir()
    options: dict[str, Any] = {} if folder else {"revision": spec.model.revision, "local_files_only": offline}
    try:
        return AutoConfig.from_pretrained(source, **options)
    except (OSError, ValueError) as e:
        raise MissingError(f"cannot read the shape of model {id_!r}: {str(e).strip().splitlines()[0]}") from None


def shape(config: Any, dtype: str) -> Any:
    """The model without weights, on torch's meta device."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype)).eval()


def at_hand(spec: RunSpec) -> str | None:
    """The folder of the policy or the id of a hub that can be asked; None for a packed model that has not been fetched yet."""
    packed = {m.name: m for m in (QWEN_CODER, SMOLLM2)}.get(spec.model.id)
    if packed is not None:
        target = cache_dir() / "models" / f"{packed.name}-{packed.sha256[:8]}"
        return str(target) if target.exists() else None
    return str(locate(spec, True))
