"""How a pass samples: tokens per second with a copied cache, in place, and by transformers' own continuous batching.

    python perf/sampling.py [--layers 30] [--rows 64] [--prompt 90] [--new 200] [--mean 0] [--threads 1] [--skip continuous]

A model of the shape of SmolLM2-135M with random bfloat16 weights; `--layers` cuts it, and its vocabulary, so that head and
layers weigh as in the whole model. Eight rows share a prompt. Every row has `--new` tokens; with `--mean` rows end at
random, after so many tokens on average. Seconds are of CPU, which a busy machine changes less than those of the clock; each
way's ratio to the first is printed. Then: a step's seconds by rows, and from them what a pass with waiting rows would take
if a row that ends were replaced at once, against passes one after the other whose ended rows are dropped.
"""

from __future__ import annotations

import argparse
import random
import time
from typing import Any

from harness.core.types import Sampling


def smollm(layers: int, new: int, prompt: int) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49_152 * layers // 30,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=layers,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=max(2048, prompt + new),
        tie_word_embeddings=True,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config).to(torch.bfloat16).eval()


def ours(model: Any, prompts: list[list[int]], new: int, stop: set[int], copied: bool) -> int:
    import torch

    from harness.training.local import generation

    kept = generation._InPlace
    if copied:
        generation._InPlace = lambda layer, room: layer
    try:
        rows = generation.sample(
            model, prompts, Sampling(1.0, new), stop, 0, torch.Generator().manual_seed(0), 10**9, share=True
        )
    finally:
        generation._InPlace = kept
    return sum(len(r.tokens_T) for r in rows)


def continuous(model: Any, prompts: list[list[int]], new: int, stop: set[int]) -> int:
    from transformers import ContinuousBatchingConfig, GenerationConfig

    kept = model.config._attn_implementation
    config = GenerationConfig(
        do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=new, eos_token_id=sorted(stop) or -1, pad_token_id=0
    )
    batching = ContinuousBatchingConfig(return_logprobs=True, seed=0, num_blocks=64, max_batch_tokens=4096)
    try:
        done = model.generate_batch(prompts, config, batching)
    finally:
        model.set_attn_implementation(kept)
    return sum(len(out.generated_tokens) for out in done.values())


def step_seconds(model: Any, width: int, rows: int) -> float:
    """Of CPU, for one more token of so many rows that have `width` tokens each; the best of three."""
    import torch

    from harness.training.local.generation import sample_growing

    took = []
    with torch.inference_mode():
        for _ in range(3):
            spent = []
            for new in (1, 5):
                start = time.process_time()
                prompts = [[7] * width] * rows
                list(sample_growing(model, prompts, Sampling(1.0, new), {-1}, 0, torch.Generator().manual_seed(0), True))
                spent.append(time.process_time() - start)
            took.append((spent[1] - spent[0]) / 4)
    return max(1e-6, min(took))


def passes_against_refill(seconds: dict[int, float], rows: int, mean: int, new: int) -> tuple[float, float]:
    """(passes with dropped rows, rows replaced at once) for eight passes of rows whose lengths are geometric; no prefill."""
    from harness.training.local.generation import DROP_AT

    draw = random.Random(0)
    lengths = [min(new, 1 + int(draw.expovariate(1 / mean))) for _ in range(8 * rows)]

    def cost(n: int) -> float:
        """Linear between the measured numbers of rows."""
        known = sorted(seconds)
        above = next(k for k in known if k >= n)
        below = max((k for k in known if k <= n), default=above)
        share = (n - below) / (above - below) if above > below else 0.0
        return seconds[below] + share * (seconds[above] - seconds[below])

    dropped = 0.0
    for start in range(0, len(lengths), rows):
        own, held = lengths[start : start + rows], rows
        for t in range(max(own)):
            alive = sum(n > t for n in own)
            held = alive if alive <= DROP_AT * held else held
            dropped += cost(held)
    waiting, live, refilled = lengths[rows:], lengths[:rows], 0.0
    while live:
        refilled += cost(len(live))
        live = [n - 1 for n in live if n > 1]
        while waiting and len(live) < rows:
            live.append(waiting.pop())
    return dropped, refilled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=30, help="of 30")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--prompt", type=int, default=90, help="tokens")
    parser.add_argument("--new", type=int, default=200, help="most tokens of a completion")
    parser.add_argument("--mean", type=int, default=0, help="tokens after which a row ends on average; 0: none ends")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--skip", default="", help="copied, in place, continuous or steps, comma-separated")
    args = parser.parse_args()
    import torch

    torch.set_num_threads(args.threads)
    model, skip = smollm(args.layers, args.new, args.prompt), args.skip.split(",")
    draw = random.Random(0)
    prompts = [[draw.randrange(2, 1000) for _ in range(args.prompt)] for _ in range(-(-args.rows // 8))]
    prompts = [p for p in prompts for _ in range(8)][: args.rows]
    vocabulary = model.config.vocab_size
    stop = set(range(vocabulary - vocabulary // args.mean, vocabulary)) if args.mean else set()
    ways = {
        "copied": lambda: ours(model, prompts, args.new, stop or {-1}, True),
        "in place": lambda: ours(model, prompts, args.new, stop or {-1}, False),
        "continuous": lambda: continuous(model, prompts, args.new, stop),
    }
    first = None
    for name, way in ways.items():
        if name in skip:
            continue
        start = time.process_time()
        tokens = way()
        speed = tokens / (time.process_time() - start)
        first = first or speed
        print(f"{name:10} {tokens:6,} tokens, {speed:7.1f} per second, ratio {speed / first:.2f}", flush=True)
    if "steps" not in skip:
        counts = [n for n in (1, 4, 16, 32, 64, 128, 256) if n < args.rows] + [args.rows]
        seconds = {n: step_seconds(model, args.prompt + args.new // 2, n) for n in counts}
        print("a step's milliseconds by rows: " + ", ".join(f"{n}: {1000 * s:.1f}" for n, s in seconds.items()))
        for mean in (args.new // 8, args.new // 4, args.new // 2):
            dropped, refilled = passes_against_refill(seconds, args.rows, mean, args.new)
            print(f"rows of {mean} tokens on average, {args.new} at most: refilling is {dropped / refilled:.2f} times as fast")


if __name__ == "__main__":
    main()
