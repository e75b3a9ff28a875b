"""Supervised fine-tuning of a policy in this process, by TRL's SFTTrainer."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from typing import Any

import torch

from harness.core.errors import MissingError
from harness.core.method import Finetuned


def finetune(
    model: Any, tokenizer: Any, pairs: Sequence[tuple[list[int], list[int]]], lr: float, epochs: int, batch: int, seed: int
) -> Finetuned:
    """Train `model` in place on (prompt, completion) token ids; the loss is the mean over completion tokens.

    AdamW with TRL's defaults otherwise: linear decay, no warm-up. Weights in bfloat16 are float32 meanwhile, since most
    steps of a usual rate are smaller than their spacing; passes stay in bfloat16. Raises MissingError without trl.
    """
    try:
        from trl import SFTConfig, SFTTrainer
    except ImportError:
        raise MissingError("supervised fine-tuning needs trl: pip install 'p2o-harness[sft]'") from None
    from datasets import Dataset
    from transformers import PrinterCallback, ProgressCallback

    stored = model.dtype
    model.float()
    rows = [{"input_ids": x + y, "labels": [-100] * len(x) + y} for x, y in pairs]
    with tempfile.TemporaryDirectory() as folder:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # transformers on a default of trl
            args = SFTConfig(
                folder,
                learning_rate=lr,
                num_train_epochs=epochs,
                per_device_train_batch_size=batch,
                seed=seed % 2**31,
                use_cpu=model.device.type == "cpu",
                bf16=stored == torch.bfloat16,
                gradient_checkpointing=False,
                max_length=None,
                save_strategy="no",
                report_to=[],
                logging_strategy="no",
                disable_tqdm=True,
            )
        trainer = SFTTrainer(model, args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
        for callback in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(callback)
        done = trainer.train()
    model.to(stored).eval()
    return Finetuned(done.training_loss, done.global_step, epochs * sum(len(y) for _, y in pairs))
