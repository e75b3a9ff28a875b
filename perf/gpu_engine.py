"""What perf/gpu_check.py measures of the local backend itself, before anything is trained, in three stages.

    python perf/gpu_engine.py STAGE --data-dir DATA --model MODEL --out FILE.json [--device cuda] [--smoke]

`parity`: loss, log-probabilities and gradient of one batch of worked solutions against this CPU's float32. `speed`: tokens
per second of sampling and of training, peak memory. `update`: whole updates as a run takes them (harness/training/update.py),
prompts read once against prompts read with every completion, rows of very different lengths among them, whose gradients
have to be finite; and the memory of 16 long completions, which perf/memory.py computes from fake tensors.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

MODEL = "qwen2.5-coder-0.5b-instruct"
RECIPE = "qwen2.5-0.5b-gsm8k"


class Notes(dict):
    """What a stage has found so far, in its file from the start: a stage that breaks off keeps it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def note(self, name: str, row) -> None:
        self[name] = row
        print(name, row, flush=True)
        self.path.write_text(json.dumps(self))


def load(args, dtype: str, device: str):
    from harness.config import resolve
    from harness.training.local.backend import LocalBackend

    return LocalBackend(
        resolve("grpo", RECIPE, sets=[f"model.id={args.model}", f"model.dtype={dtype}", f"local.device={device}"])
    )


def worked_rows(args, backend, count: int) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids of the first problems of GSM8K train and of their worked solutions."""
    from harness.data.problems import read_problems

    problems = read_problems(args.data_dir / "train" / "gsm8k_train.jsonl", "math")[:count]
    prompts = [backend.encode(p.text) for p in problems]
    worked = [p.solution or f"so it is {p.answer}" for p in problems]
    end = [backend.tokenizer.eos_token_id]
    return prompts, [backend.tokenizer(w, add_special_tokens=False)["input_ids"] + end for w in worked]


def one_pass(backend, prompts, completions, old_B_T=None):
    """(log-probabilities [B, T], mask, GRPO loss of fixed advantages, gradients by name).

    `old_B_T` are the log-probabilities of the policy that sampled, in the loss; None takes this pass's own.
    """
    import torch

    from harness.core.settings import LossSpec
    from harness.training.local.logps import completion_logps
    from harness.training.loss import aggregate, token_losses

    model, spec = backend.model, LossSpec()
    model.zero_grad(set_to_none=True)
    logps_B_T, real_B_T = completion_logps(model, prompts, completions, 1.0, backend.pad)
    advantages_B = torch.linspace(-1, 1, len(prompts), device=logps_B_T.device)
    old_B_T = logps_B_T.detach() if old_B_T is None else old_B_T.to(logps_B_T.device)
    losses_B_T = token_losses(logps_B_T, old_B_T, advantages_B, spec)
    loss = aggregate(losses_B_T, real_B_T, torch.ones_like(losses_B_T), spec.aggregation, float(real_B_T.sum()), len(prompts))
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return logps_B_T.detach().float().cpu(), real_B_T.bool().cpu(), loss.item(), gradients


def cosine(mine: dict, theirs: dict) -> tuple[float, float]:
    """Of two gradients, and the norm of the first."""
    product = squares = others = 0.0
    for name, gradient in mine.items():
        a, b = gradient.float(), theirs[name].to(gradient.device)
        product, squares, others = (
            product + (a * b).sum().item(),
            squares + a.square().sum().item(),
            others + b.square().sum().item(),
        )
    return product / (squares * others) ** 0.5, squares**0.5


def parity(args, out: Notes) -> None:
    from contextlib import nullcontext

    from harness.core.types import Sampling
    from harness.training.local import logps
    from harness.training.local.logps import completion_logps, recomputed_layers

    cpu = load(args, "float32", "cpu")
    prompts, completions = worked_rows(args, cpu, 4 if args.smoke else 8)
    expected, real, loss, gradients = one_pass(cpu, prompts, completions)
    _, norm = cosine(gradients, gradients)
    mean = expected[real].mean().item()
    out.note("cpu_float32", {"loss": loss, "grad_norm": norm, "tokens": int(real.sum()), "mean_logp": mean})
    whole = logps.WHOLE_LOGITS
    for dtype in ("float32", "bfloat16"):
        backend = load(args, dtype, args.device)
        for way, limit in (("whole", 10**12), ("chunked", 0), ("chunked, recomputed layers", 0)):
            logps.WHOLE_LOGITS = limit
            with recomputed_layers(backend.model) if "layers" in way else nullcontext():
                values, _, loss, mine = one_pass(backend, prompts, completions, expected)
            gap = (values - expected)[real].abs()
            same, norm = cosine(mine, gradients)
            row = {"max": gap.max().item(), "mean": gap.mean().item(), "loss": loss, "grad_norm": norm, "grad_cosine": same}
            out.note(f"{args.device} {dtype} {way}", row)
        logps.WHOLE_LOGITS = whole
    new = 8 if args.smoke else 128
    drawn = {}
    for graphs in (True, False):  # the trainer's log-probabilities of what was sampled, as the run's sampler_gap has it
        rows = sample_rows(backend, prompts * 4, new, Sampling(1.0, new), graphs, backend.stop)
        scored, real = completion_logps(backend.model, prompts * 4, [r.tokens_T for r in rows], 1.0, backend.pad)
        gaps = [abs(a - b) for r, s in zip(rows, scored.tolist(), strict=True) for a, b in zip(r.logps_T, s, strict=False)]
        greedy = sample_rows(backend, prompts, new, Sampling(0.0, new), graphs, backend.stop)
        drawn[graphs] = [r.tokens_T for r in greedy]
        out.note(f"sampler_gap, graphs={graphs}", {"mean": sum(gaps) / len(gaps), "max": max(gaps)})
    equal = sum(a == b for a, b in zip(drawn[True], drawn[False], strict=True)) / len(prompts)
    out.note("greedy_rows_equal", equal)  # of bfloat16 few are to the end: near ties fall either way
    out.note("first_answer", backend.tokenizer.decode(drawn[True][0]))


def sample_rows(backend, prompts, new: int, sampling, graphs: bool, stop):
    import torch

    from harness.training.local.generation import sample

    generator = torch.Generator(device=backend.model.device).manual_seed(0)
    return sample(backend.model, prompts, sampling, stop, backend.pad, generator, 10**7, graphs=graphs)


class Clock:
    """Seconds, and the GPU's peak memory in GiB, of a block; an error in its place."""

    def __init__(self, device: str) -> None:
        self.device, self.row = device, {}

    def __enter__(self):
        import torch

        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            torch.cuda.synchronize()
        self.start = time.perf_counter()
        return self

    def __exit__(self, kind, error, trace) -> bool:
        import torch

        if self.device == "cuda" and error is None:
            torch.cuda.synchronize()
            self.row["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
        self.seconds = time.perf_counter() - self.start
        self.row["seconds"] = self.seconds
        if error is not None:
            self.row["error"] = f"{kind.__name__}: {str(error)[:200]}"
        return isinstance(error, RuntimeError)  # out of memory among them


def speed(args, out: Notes) -> None:
    """Sampling: every row to the limit. Training: rows of 96 + T random tokens, forward, backward and the gathering."""
    from contextlib import nullcontext

    import torch

    from harness.core.settings import LossSpec, TrainConfig
    from harness.core.types import Sampling
    from harness.training.local import logps
    from harness.training.local.logps import recomputed_layers
    from harness.training.update import Updater

    backend = load(args, "bfloat16", args.device)
    prompts, _ = worked_rows(args, backend, 4 if args.smoke else 64)
    plans = (
        [(4, 8, True), (4, 8, False)] if args.smoke else [(64, 512, True), (256, 512, True), (512, 512, True), (256, 96, False)]
    )
    sample_rows(backend, prompts[:4], 8, Sampling(1.0, 8), True, {-1})
    for rows, new, graphs in plans:
        with Clock(args.device) as clock:
            drawn = sample_rows(backend, (prompts * 8)[:rows], new, Sampling(1.0, new), graphs, {-1})
            clock.row["tokens_per_s"] = sum(len(r.tokens_T) for r in drawn) / (time.perf_counter() - clock.start)
        out.note(f"sample, {rows} rows, {new} new, graphs={graphs}", clock.row)
    updater = Updater(backend.model, TrainConfig(lr=1e-9), LossSpec(), backend.pad, 1)
    with Clock(args.device) as clock:
        for p in updater.params:
            p.grad = torch.zeros_like(p)
        updater._step()
    out.note("optimiser step", clock.row)
    generator, vocabulary, whole = torch.Generator().manual_seed(0), len(backend.tokenizer), logps.WHOLE_LOGITS
    sizes = [(4, 8)] if args.smoke else [(24, 512), (8, 2048)]
    for rows, length in sizes:
        first, second = (torch.randint(3, vocabulary, (rows, n), generator=generator).tolist() for n in (96, length))
        for way in ("chunked", "chunked, recomputed layers", "whole"):
            logps.WHOLE_LOGITS = 10**12 if way == "whole" else 0
            for turn in ("warm-up", "timed"):
                with Clock(args.device) as clock, recomputed_layers(backend.model) if "layers" in way else nullcontext():
                    one_pass(backend, first, second)
                    updater._gather()
                if turn == "timed" or "error" in clock.row:
                    break
            clock.row["tokens_per_s"] = rows * (96 + length) / clock.seconds
            out.note(f"train, {rows} rows of 96 + {length}, {way}", clock.row)
    logps.WHOLE_LOGITS = whole


def made_rows(lengths: list[tuple[int, int, int]], vocabulary: int, seed: int = 0) -> list:
    """Rows of random tokens: of each (prompt tokens, completions, tokens of each at most) one group, advantages in turn."""
    from harness.core.types import Context, Problem, Rollout
    from harness.training.metrics import Row

    draw, rows = random.Random(seed), []
    for g, (prompt, k, longest) in enumerate(lengths):
        ids = [draw.randrange(3, vocabulary) for _ in range(prompt)]
        for i in range(k):
            tokens = [draw.randrange(3, vocabulary) for _ in range(longest if seed == 0 else draw.randint(1, longest))]
            rollout = Rollout(Context.plain(str(g)), "", tokens, [-11.0] * len(tokens), prompt)
            rows.append(Row(Problem(str(g), str(g), ""), rollout, ids, 1.0 - 2 * (i % 2)))
    return rows


def update(args, out: Notes) -> None:
    """Updates at a learning rate next to nothing; rows of random tokens, of full length unless they are said to be ragged."""
    import torch
    from transformers import AutoModelForCausalLM, Qwen2Config

    from harness.core.settings import LossSpec, TrainConfig
    from harness.training.update import Updater

    backend = load(args, "bfloat16", args.device)
    vocabulary = backend.model.config.vocab_size

    def timed(name: str, model, lengths, forward_tokens: int, share: bool, recompute: bool = False, seed: int = 0) -> None:
        updater = Updater(
            model, TrainConfig(lr=1e-9), LossSpec(), backend.pad, forward_tokens, recompute=recompute, share=share
        )
        rows = made_rows(lengths, vocabulary, seed)
        norms = []
        for _ in range(2):  # the second is the one that counts
            for row in rows:
                row.old_logps_T = row.weights_T = None
            with Clock(args.device) as clock:
                norms.append(updater._update(rows)[0]["grad_norm"])
            if "error" in clock.row:
                break
        clock.row |= {
            "rollouts_per_s": len(rows) / clock.seconds,
            "grad_norms": norms,
            "passes": len(updater._micro_batches(rows)),
        }
        out.note(name, clock.row)

    small = args.smoke
    groups = [(6, 4, 5)] * 2 if small else [(100, 8, 250)] * 32
    short = [(6, 4, 3)] * 2 if small else [(100, 8, 12)] * 64
    draw = random.Random(1)
    ragged = [(draw.randint(2, 9), 4, 9) if small else (draw.randint(20, 400), 8, 500) for _ in range(2 if small else 32)]
    limit = 4096 if small else 16384
    for share in (True, False):
        way = "prompts read once" if share else "prompts read with every completion"
        timed(f"update, 32 x 8 of 100 + 250, {way}", backend.model, groups, limit, share)
        timed(f"update, 64 x 8 of 100 + 12, {way}", backend.model, short, limit, share)
        for seed in range(1, 2 if small else 5):
            timed(f"update, ragged, seed {seed}, {way}", backend.model, ragged, limit, share, seed=seed)
    keys = [(5, 4, 4)] * 2 if small else [(129, 8, 64)] * 16  # 192: what cuDNN's attention got wrong (sound_kernels)
    for share in (True, False):
        timed(
            f"update, keys of 64 more than 128{'' if share else ', prompts read with every completion'}",
            backend.model,
            keys,
            limit,
            share,
        )
    long = [(8, 2, 9)] if small else [(128, 16, 2048)]
    for recompute in (True, False):
        name = f"memory, 0.5B, 16 of 128 + 2048, 8192 tokens a pass{', recomputed layers' if recompute else ''}"
        timed(name, backend.model, long, 8192, True, recompute)
    if small:
        return
    del backend.model
    torch.cuda.empty_cache()
    sizes = dict(hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12, num_key_value_heads=2)
    with torch.device(args.device):
        config = Qwen2Config(vocab_size=vocabulary, tie_word_embeddings=True, **sizes)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
    for recompute in (True, False):
        name = f"memory, 1.5B, 16 of 128 + 4096, 8192 tokens a pass{', recomputed layers' if recompute else ''}"
        timed(name, model, [(128, 16, 4096)], 8192, True, recompute)


STAGES = {"parity": parity, "speed": speed, "update": update}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a JSON file")
    parser.add_argument("--model", default=MODEL, help="a name of `harness list models` or a folder")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--smoke", action="store_true", help="all small")
    args = parser.parse_args()
    STAGES[args.stage](args, Notes(args.out))


if __name__ == "__main__":
    main()
