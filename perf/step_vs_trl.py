"""Time per optimiser step of the local backend against TRL's GRPOTrainer: same model, batch, sampling and tokens.

    python perf/step_vs_trl.py [--steps 30] [--threads 2]

Both sample 16 problems x 6 rollouts at temperature 0.6 and take one step on them; the learning rate is next to nothing,
so both keep sampling from the same policy. The arms alternate in blocks within one process. Prints seconds and
tokens per step, and the ratio ours / TRL's.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

BATCH, K, NEW = 16, 6, 24


def our_block(backend, method, problems, steps: int, block: int) -> tuple[list[float], list[float]]:
    from harness.core.seeds import derive
    from harness.training.gather import gather_groups
    from harness.training.update import Updater

    cfg = backend.spec.train
    updater = Updater(backend.model, cfg, method.loss, backend.pad, backend.spec.local.forward_tokens)
    seconds, tokens = [], []
    for step in range(steps):
        batch = [problems[(block * steps + step) * BATCH % len(problems) + i] for i in range(BATCH)]
        start = time.perf_counter()
        seed = derive("perf", block, step)
        groups = gather_groups(
            method, batch, K, partial(backend.rollouts, sampling=cfg.sampling, seed=seed), ("perf", block, step)
        )
        rows, _ = updater.step(groups, backend.encode)
        seconds.append(time.perf_counter() - start)
        tokens.append(sum(len(r.rollout.tokens_T) for r in rows))
    return seconds, tokens


def trl_block(folder: str, problems, steps: int, block: int) -> tuple[list[float], list[float]]:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    from harness.testbed.world import grade

    tokens: list[float] = []

    def reward(completions, completion_ids, answer, **_):
        tokens.append(sum(map(len, completion_ids)))
        return [grade(c, a) for c, a in zip(completions, answer, strict=True)]

    class Clock(TrainerCallback):
        seconds: list[float] = []

        def on_step_begin(self, *args, **kwargs):
            self.start = time.perf_counter()

        def on_step_end(self, *args, **kwargs):
            self.seconds.append(time.perf_counter() - self.start)

    clock = Clock()
    clock.seconds = []
    rows = [{"prompt": p.text, "answer": p.answer} for p in problems]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with tempfile.TemporaryDirectory() as out:
        args = GRPOConfig(
            out,
            per_device_train_batch_size=BATCH * K,
            num_generations=K,
            max_completion_length=NEW,
            temperature=0.6,
            top_k=0,
            max_steps=steps,
            learning_rate=1e-9,
            beta=0.0,
            epsilon=0.2,
            loss_type="bnpo",
            delta=3.0,
            weight_decay=0.0,
            lr_scheduler_type="constant",
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            disable_tqdm=True,
            seed=block,
        )
        trainer = GRPOTrainer(
            AutoModelForCausalLM.from_pretrained(folder),
            reward_funcs=reward,
            args=args,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[clock],
        )
        trainer.train()
    return clock.seconds, tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20, help="steps per block and arm")
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    import torch
    from transformers.utils import logging as hf_logging

    hf_logging.disable_progress_bar()
    hf_logging.set_verbosity_error()
    torch.set_num_threads(args.threads)

    from harness.config import resolve
    from harness.methods.grpo import GRPO
    from harness.testbed.policy import POLICIES
    from harness.testbed.world import train_problems
    from harness.training.local.backend import LocalBackend

    folder = str(Path(POLICIES) / "latent-s0")
    sets = ["train.lr=1e-9", f"train.max_new_tokens={NEW}", f"local.threads={args.threads}"]
    spec = resolve("grpo", "testbed", sets=sets)
    problems = train_problems(320, 0.4, 0)
    backend = LocalBackend(spec, offline=True, model=folder)
    method = GRPO(spec.typed_method_config(), spec.train, problems, 0)
    sides: dict[str, tuple[list[float], list[float]]] = {"ours": ([], []), "trl": ([], [])}
    our_block(backend, method, problems, 3, 99)  # warm-up
    for block in range(args.blocks):
        for name, (seconds, tokens) in (
            ("ours", our_block(backend, method, problems, args.steps, block)),
            ("trl", trl_block(folder, problems, args.steps, block)),
        ):
            sides[name][0].extend(seconds[2:])  # the first steps of a block pay for allocation
            sides[name][1].extend(tokens[2:])
    for name, (seconds, tokens) in sides.items():
        print(
            f"{name:5} {statistics.median(seconds):.4f} s a step (median of {len(seconds)}), "
            f"{statistics.fmean(tokens):.0f} tokens a step"
        )
    ratio = statistics.median(sides["ours"][0]) / statistics.median(sides["trl"][0])
    per_token = ratio * statistics.fmean(sides["trl"][1]) / statistics.fmean(sides["ours"][1])
    print(f"ratio ours / TRL: {ratio:.2f} per step, {per_token:.2f} per token")


if __name__ == "__main__":
    main()
