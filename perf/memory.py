"""Memory of an optimiser step of the local backend by fake tensors: tensors that have a size and no content.

    python perf/memory.py

Runs the backend's own update (harness/training/update.py) on models of the sizes of Qwen2.5-0.5B and -1.5B, in bfloat16,
completions behind one prompt in passes of `local.forward_tokens`, and prints a table of the most bytes that are alive at
once, beside what harness/training/local/memory.py says before a first step. No weights are needed, and no more memory than
for a small model. What a kernel allocates inside itself, and what an allocator wastes, is not seen.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoModelForCausalLM, Qwen2Config

from harness.core.settings import LoraConfig, LossSpec, TrainConfig
from harness.training.local.adapter import Adapter
from harness.training.local.fake import Live, on_fake_cpu, rows
from harness.training.local.generation import cache_bytes
from harness.training.local.memory import Memory
from harness.training.update import Updater

MODELS = {
    "0.5B": dict(hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14, num_key_value_heads=2),
    "1.5B": dict(hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12, num_key_value_heads=2),
}
VOCABULARY = 151_936
PROMPT = 128
"""Tokens."""
GOALS = [("0.5B", 2048, 16.0), ("1.5B", 4096, 40.0)]
"""Model, tokens of each of the 16 completions, GB (of 10^9 bytes) that are allowed."""
GB = 1e9


@dataclass
class Measured:
    """Bytes: what lies there before an update, what stays until the next one, and the most during it."""

    weights: int
    masters: int
    optimiser: int
    step: int
    estimate: Memory
    pass_tokens: int


def measured(
    sizes: dict[str, int],
    tokens: int,
    forward_tokens: int,
    recompute: bool,
    rank: int = 0,
    dtype: Any = torch.bfloat16,
    **config: Any,
) -> Measured:
    """An update of two passes, a small one and one of as many completions of `tokens` tokens as `forward_tokens` lets in,
    at least one; after a small update, for the optimiser to have its state. More passes of that size take no more."""
    cfg = Qwen2Config(**sizes, **{"vocab_size": VOCABULARY, "tie_word_embeddings": True, **config})
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(cfg, dtype=dtype).eval()
    adapter = Adapter(model, LoraConfig(rank=rank), 0, "fake") if rank else None
    full = max(1, (forward_tokens - PROMPT) // tokens)
    pass_tokens = PROMPT + full * tokens
    with FakeTensorMode(), Live() as live:
        on_fake_cpu(model)
        weights = live.now
        updater = Updater(model, TrainConfig(), LossSpec(), 0, pass_tokens, recompute=recompute, share=True)
        masters = live.now - weights
        updater._update(rows(2, 4, 3, PROMPT))
        optimiser = live.now - weights - masters
        live.peak = live.now
        made = rows(2, 4, 3, PROMPT) + rows(full, tokens, 5, PROMPT)
        assert len(updater._micro_batches(made)) == 2
        updater._update(made)
    del adapter
    return Measured(weights, masters, optimiser, live.peak, Memory.of(model, recompute, PROMPT + tokens), pass_tokens)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forward-tokens", type=int, default=8192, help="local.forward_tokens")
    parser.add_argument("--models", default="0.5B,1.5B")
    parser.add_argument("--ranks", default="0,16", help="of the adapters; 0 trains all weights")
    parser.add_argument("--recompute", default="no,yes", help="local.gradient_checkpointing")
    args = parser.parse_args()
    columns = ["weights", "masters", "optimiser", "gradients", "pass", "step", "estimate", "cache of sampling"]
    print(f"{'model':6}{'trained':>10}{'recompute':>11}" + "".join(f"{c:>19}" for c in columns) + f"{'goal':>8}")
    for name, tokens, goal in GOALS:
        if name not in args.models.split(","):
            continue
        for rank in map(int, args.ranks.split(",")):
            for recompute in (word == "yes" for word in args.recompute.split(",")):
                m = measured(MODELS[name], tokens, args.forward_tokens, recompute, rank)
                e = m.estimate
                rest = m.step - m.weights - m.masters - m.optimiser - e.gradients
                cache = 16 * (PROMPT + tokens) * cache_bytes(Qwen2Config(**MODELS[name]), 2)
                row = [m.weights, m.masters, m.optimiser, e.gradients, rest, m.step, e.step(m.pass_tokens), cache]
                label = f"{name:6}{f'rank {rank}' if rank else 'all':>10}{'yes' if recompute else 'no':>11}"
                print(label + "".join(f"{x / GB:19.2f}" for x in row) + f"{goal:8.0f}", flush=True)


if __name__ == "__main__":
    main()
