"""Prompts read once against prompts read with every completion: rollouts per second of sampling and a training step.

    python perf/shared_prompts.py [--layers 4] [--threads 1] [--prompts 2] [--shapes 90x30,150x150,300x1000]

First a model of the shape of Qwen2.5-0.5B with random weights, cut to a few layers and a smaller vocabulary, K = 8
completions of full length a prompt; then a batch of the world of skills (0.3M parameters, 16 prompts, K = 6). Each pair of
lines is of one run, the two ways in turn, and ends with the ratio of their seconds: of CPU, which a busy machine changes less
than those of the clock. The learning rate is next to nothing.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from pathlib import Path
from typing import Any

K = 8


def large(layers: int) -> Any:
    """Qwen2.5-0.5B's layers; as much less of its vocabulary, so that head and layers weigh as in the whole model."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=151_936 * layers // 24,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=layers,
        num_attention_heads=14,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        eos_token_id=1,
    )
    return Qwen2ForCausalLM(config).eval()


def step(model: Any, updater: Any, prompts: list[list[int]], k: int, sampling: Any, budget: int) -> tuple[float, float, int]:
    """(seconds of sampling, of the update, tokens passed in the update) of one batch; rewards by lot."""
    import torch

    from harness.core.types import Context, Group, Problem, Rollout
    from harness.training.local.generation import sample

    draw = random.Random(0)
    start = time.process_time()
    rows = sample(
        model,
        [p for p in prompts for _ in range(k)],
        sampling,
        {1},
        0,
        torch.Generator().manual_seed(0),
        budget,
        share=updater.share,
    )
    sampled = time.process_time()
    groups = []
    for g in range(len(prompts)):
        made = [
            Rollout(Context.plain(str(g)), "", r.tokens_T, r.logps_T, len(prompts[g]), reward=float(i < k // 2))
            for i, r in enumerate(rows[g * k : (g + 1) * k])
        ]
        draw.shuffle(made)
        groups.append(Group(Problem(str(g), str(g), ""), made))
    passed: list[int] = []
    hook = model.base_model.embed_tokens.register_forward_hook(lambda _, ids, out: passed.append(ids[0].numel()))
    updater.step(groups, lambda text: prompts[int(text)])
    hook.remove()
    return sampled - start, time.process_time() - sampled, sum(passed)


def compare(name: str, model: Any, prompts: list[list[int]], k: int, sampling: Any, repeats: int) -> None:
    from harness.core.settings import LocalConfig, LossSpec, TrainConfig
    from harness.training.update import Updater

    local = LocalConfig()
    cfg = TrainConfig(lr=1e-9, prompts_per_batch=len(prompts), updates_per_batch=1, temperature=1.0)
    ways = {
        name: Updater(model, cfg, LossSpec(), 0, local.forward_tokens, share=share)
        for name, share in (("plain", False), ("shared", True))
    }
    found: dict[str, list[tuple[float, float, int]]] = {way: [] for way in ways}
    for i in range(repeats + (repeats > 1)):
        for way, updater in ways.items():
            done = step(model, updater, prompts, k, sampling, local.generation_tokens)
            if i or repeats == 1:
                found[way].append(done)
    total = {}
    for way, times in found.items():
        sampling_s, update_s = (statistics.median(t[j] for t in times) for j in (0, 1))
        total[way] = sampling_s + update_s
        print(
            f"{name:12} {way:6} {len(prompts) * k / total[way]:9.2f} rollouts a second: sampling {sampling_s:.4f} s, "
            f"update {update_s:.4f} s of {times[0][2]:,} tokens"
        )
    print(f"{name:12} ratio  {total['plain'] / total['shared']:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=4, help="of 24")
    parser.add_argument("--prompts", type=int, default=4, help="a batch, of the large model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=1, help="batches of the large model; one more warms up if several")
    parser.add_argument("--shapes", default="90x30,150x150,300x1000", help="tokens of a prompt x of a completion")
    args = parser.parse_args()
    import torch

    from harness.config import resolve
    from harness.core.types import Sampling
    from harness.skills.policy import POLICIES
    from harness.skills.world import train_problems
    from harness.training.local.backend import LocalBackend

    torch.set_num_threads(args.threads)
    spec = resolve("grpo", recipe="skills", sets=[f"local.threads={args.threads}"])
    backend = LocalBackend(spec, offline=True, model=Path(POLICIES) / "floor0.001-s0")
    problems = train_problems(320, 0.6, 2)
    prompts = [backend.encode(p.text) for p in problems[:16]]
    compare("skills", backend.model, prompts, 6, spec.train.sampling, 30)
    model = large(args.layers)
    for shape in filter(None, args.shapes.split(",")):
        prompt, completion = map(int, shape.split("x"))
        draw = random.Random(0)
        texts = [[draw.randrange(2, 10_000) for _ in range(prompt)] for _ in range(args.prompts)]
        model.generation_config.eos_token_id = None
        compare(shape, model, texts, K, Sampling(1.0, completion), args.repeats)


if __name__ == "__main__":
    main()
