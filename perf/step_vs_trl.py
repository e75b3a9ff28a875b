"""Time per optimiser step of the local backend against TRL's GRPOTrainer: same model, batch, sampling and tokens.

    python perf/step_vs_trl.py [--model testbed] [--steps 20] [--threads 2]

Both sample problems x rollouts (16 x 6 of the testbed, 4 x 8 drills of a real model) at temperature 0.6 and take one step
on them; the learning rate is next to nothing, so both keep sampling from the same policy. The arms alternate in blocks within
one process. A real model (`--model qwen2.5-coder-0.5b-instruct` or `smollm2-135m-instruct`) is in bfloat16 on both sides, with
float32 masters on ours, and reads a prompt once for its rollouts on ours. Prints seconds and tokens per step, and the ratio
ours / TRL's.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.config import resolve
from harness.core.types import Problem


@dataclass(frozen=True)
class Work:
    """What both sides do in a step, and on what."""

    folder: str
    problems: list[Problem]
    batch: int
    k: int
    new: int
    dtype: str
    sets: tuple[str, ...]


def work_of(model: str) -> Work:
    """Of the testbed's policy, or of a named real model on drills, whose prompts are continued as they are."""
    if model == "testbed":
        from harness.testbed.policy import POLICIES
        from harness.testbed.world import train_problems

        return Work(str(Path(POLICIES) / "latent-s0"), train_problems(320, 0.4, 0), 16, 6, 24, "float32", ())
    from harness.data.training_sets import load_training_set
    from harness.models import locate

    sets = ("model.dtype=bfloat16", "model.chat_template=false", f"model.id={model}", "train.set=drills")
    folder = str(locate(resolve("grpo", "smollm2", sets=list(sets)), False))
    return Work(folder, load_training_set("drills").whole(None, None), 4, 8, 30, "bfloat16", sets)


def our_block(work: Work, backend, method, steps: int, block: int) -> tuple[list[float], list[float]]:
    from harness.core.seeds import derive
    from harness.training.gather import gather_groups
    from harness.training.update import Updater

    cfg = backend.spec.train
    problems, tokens_a_pass = work.problems, backend.spec.local.forward_tokens
    updater = Updater(backend.model, cfg, method.loss, backend.pad, tokens_a_pass, share=backend.share)
    seconds, tokens = [], []
    for step in range(steps):
        batch = [problems[((block * steps + step) * work.batch + i) % len(problems)] for i in range(work.batch)]
        start = time.perf_counter()
        seed = derive("perf", block, step)
        groups = gather_groups(
            method, batch, work.k, partial(backend.rollouts, sampling=cfg.sampling, seed=seed), ("perf", block, step)
        )
        rows, _ = updater.step(groups, backend.encode)
        seconds.append(time.perf_counter() - start)
        tokens.append(sum(len(r.rollout.tokens_T) for r in rows))
    return seconds, tokens


def trl_block(work: Work, steps: int, block: int) -> tuple[list[float], list[float]]:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    from harness.grading.strict import reward_many

    tokens: list[float] = []
    kind = work.problems[0].answer_type

    def reward(completions, completion_ids, answer, **_):
        tokens.append(sum(map(len, completion_ids)))
        given = [(c, a, kind) for c, a in zip(completions, answer, strict=True)]
        return [g.score for g in reward_many(given, "evaluation")]

    class Clock(TrainerCallback):
        seconds: list[float] = []

        def on_step_begin(self, *args, **kwargs):
            self.start = time.perf_counter()

        def on_step_end(self, *args, **kwargs):
            self.seconds.append(time.perf_counter() - self.start)

    clock = Clock()
    clock.seconds = []
    rows = [{"prompt": p.text, "answer": p.answer} for p in work.problems]
    tokenizer = AutoTokenizer.from_pretrained(work.folder)
    with tempfile.TemporaryDirectory() as out:
        args = GRPOConfig(
            out,
            per_device_train_batch_size=work.batch * work.k,
            num_generations=work.k,
            max_completion_length=work.new,
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
            AutoModelForCausalLM.from_pretrained(work.folder, dtype=work.dtype),
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
    parser.add_argument("--model", default="testbed", help="testbed, or a name of `harness list models`")
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

    from harness.methods.grpo import GRPO
    from harness.training.local.backend import LocalBackend

    work = work_of(args.model)
    recipe = "testbed" if args.model == "testbed" else "smollm2"
    sets = ["train.lr=1e-9", "train.temperature=0.6", f"train.max_new_tokens={work.new}", f"local.threads={args.threads}"]
    spec = resolve("grpo", recipe, sets=[*sets, *work.sets])
    backend = LocalBackend(spec, offline=True, model=work.folder)
    method = GRPO(spec.typed_method_config(), spec.train, work.problems, 0)
    sides: dict[str, tuple[list[float], list[float]]] = {"ours": ([], []), "trl": ([], [])}
    skip = min(2, args.steps - 1)  # the first steps of a block pay for allocation
    our_block(work, backend, method, skip, 99)  # warm-up
    for block in range(args.blocks):
        for name, (seconds, tokens) in (
            ("ours", our_block(work, backend, method, args.steps, block)),
            ("trl", trl_block(work, args.steps, block)),
        ):
            sides[name][0].extend(seconds[skip:])
            sides[name][1].extend(tokens[skip:])
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
