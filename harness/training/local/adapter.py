"""LoRA on the local backend, by peft: the policy's own weights stay as they are, small matrices beside them are trained.

peft puts its layers into the model in place, so the rest of the backend goes on with the same object, of the same type.
"""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch

from harness.core.errors import UsageError
from harness.core.settings import LoraConfig


class Adapter:
    """Adapters in a model, in the model's number format; those that begin add exactly nothing (B is 0)."""

    def __init__(self, model: Any, cfg: LoraConfig, seed: int, base: str) -> None:
        """`seed`: of the random A; `base`: the model's name, for whoever loads the adapter. Needs the package peft.

        Raises UsageError where `targets` are not linear layers of the model.
        """
        import peft

        targets = cfg.targets if isinstance(cfg.targets, str) else list(cfg.targets)
        settings = peft.LoraConfig(r=cfg.rank, lora_alpha=cfg.alpha, target_modules=targets, task_type="CAUSAL_LM")
        ends = model.get_input_embeddings(), model.get_output_embeddings()
        devices = [model.device] if model.device.type == "cuda" else []
        with torch.random.fork_rng(devices), warnings.catch_warnings():
            torch.manual_seed(seed)
            try:
                warnings.simplefilter("ignore", FutureWarning)  # transformers on an attribute that peft asks for
                self.peft = peft.get_peft_model(model, settings, autocast_adapter_dtype=False)
            except ValueError as e:
                raise UsageError(f"train.lora.targets {targets} cannot be adapted in {base}: {e}") from None
        if (model.get_input_embeddings(), model.get_output_embeddings()) != ends:
            raise UsageError(f"train.lora.targets {targets} name the embedding or the head, which get no adapter")
        settings.base_model_name_or_path = base
        self.model = model.eval()

    def off(self) -> AbstractContextManager[None]:
        """Inside, the model is the one that it was before."""
        context: AbstractContextManager[None] = self.peft.disable_adapter()
        return context

    def save(self, folder: Path) -> None:
        """The adapters alone, as peft stores them (`PeftModel.from_pretrained(base, folder)` reads them)."""
        self.peft.save_pretrained(folder, save_embedding_layers=False)

    def load(self, folder: Path) -> None:
        """Inverse of `save`, for adapters of the same settings."""
        from peft import set_peft_model_state_dict
        from safetensors.torch import load_file

        set_peft_model_state_dict(self.peft, load_file(folder / "adapter_model.safetensors"))

    def merge(self) -> None:
        """Make what the adapters add part of the model's weights, rounded to their number format, and take them out."""
        self.peft.merge_and_unload()
        self.model.requires_grad_(True)
