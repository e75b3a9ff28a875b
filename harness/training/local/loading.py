"""A policy's tokenizer and weights from a folder or hub; one clear sentence where they are not there or do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from harness.core.errors import MissingError, UsageError
from harness.core.extras import require
from harness.models import ADAPTER, holds_adapters

disable_progress_bar()  # of loading and saving weights; the run has a progress display of its own


def load_weights(folder: str | Path, dtype: torch.dtype, **options: Any) -> Any:
    """A causal language model as transformers reads it; pickled weights are not read.

    Raises ValueError where the folder lacks some: transformers would make them up.
    """
    options |= {"dtype": dtype, "output_loading_info": True}
    model, found = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, **options)
    if missing := sorted(found["missing_keys"]):
        raise ValueError(f"{len(missing)} weights are not there, the first of them {missing[0]}")
    return model


def load_policy(
    source: str, revision: str | None, dtype: str, offline: bool, locate: Callable[[str], str | Path] = str
) -> tuple[Any, Any]:
    """(tokenizer, model) of a folder or hub id. A folder of adapters is its base with them merged into the weights, and their
    tokenizer if they bring one; `locate` finds the base by the name that they give.

    Raises MissingError where there is no such model, UsageError for a folder without a usable one, for a tokenizer without
    an end or with more tokens than the model, and for adapters that do not fit.
    """
    if holds_adapters(source):
        tokenizer, model = _adapted(source, dtype, offline, locate)
    else:
        options = {"revision": revision, "local_files_only": offline or Path(source).is_dir()}
        tokenizer = _tokenizer(source, options)
        try:
            model = load_weights(source, getattr(torch, dtype), **options)
        except (OSError, ValueError, RuntimeError, SafetensorError) as e:
            raise _not_a_policy(source, "causal language model", e) from None
    if tokenizer.eos_token_id is None:
        raise UsageError(f"the tokenizer of {source} names no end-of-text token, so completions cannot end")
    if len(tokenizer) > (rows := model.get_input_embeddings().weight.shape[0]):
        raise UsageError(
            f"the tokenizer of {source} has {len(tokenizer):,} tokens, and the model's vocabulary {rows:,}: they do not belong "
            "together"
        )
    return tokenizer, model


def _tokenizer(source: str, options: dict[str, Any]) -> Any:
    try:
        return AutoTokenizer.from_pretrained(source, **options)
    except (OSError, ValueError) as e:
        raise _not_a_policy(source, "tokenizer", e) from None


def _adapted(folder: str, dtype: str, offline: bool, locate: Callable[[str], str | Path]) -> tuple[Any, Any]:
    """The tokenizer and the merged model of adapters. Raises as `load_policy`, and MissingError without peft."""
    require("peft")
    from peft import PeftModel

    base = json.loads((Path(folder) / ADAPTER).read_text()).get("base_model_name_or_path")
    if not base:
        raise UsageError(f"{folder}/{ADAPTER} does not say which model the adapters are for (base_model_name_or_path)")
    tokenizer, model = load_policy(str(locate(base)), None, dtype, offline)
    if (Path(folder) / "tokenizer_config.json").exists():
        tokenizer = _tokenizer(folder, {"local_files_only": True})
    try:
        merged = PeftModel.from_pretrained(model, folder, local_files_only=True).merge_and_unload()
    except (OSError, ValueError, RuntimeError, SafetensorError) as e:
        raise UsageError(f"the adapters in {folder} do not fit {base}: {' '.join(str(e).split())}") from None
    return tokenizer, merged.requires_grad_(True)


def _not_a_policy(source: str, what: str, error: Exception) -> Exception:
    reason = str(error).strip().split("\n")[0]
    if Path(source).is_dir():
        return UsageError(f"the model folder {source} holds no usable {what}: {reason}")
    return MissingError(f"cannot load the {what} of model {source!r} (no such folder; hub: {reason})")
