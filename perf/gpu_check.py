"""Parity, speed, memory and learning of the local backend with a real model on one GPU, within a time limit.

    python perf/gpu_check.py --data-dir DATA --out OUT [--seconds 480] [--model qwen2.5-coder-0.5b-instruct]

Stages, each a process of its own with a limit of its own, so that one that fails leaves the others alone: `parity` (loss,
log-probabilities and gradient of one batch of worked solutions against this CPU's float32), `speed` (tokens per second
of sampling and of training, peak memory), then GSM8K with the recipe qwen2.5-0.5b-gsm8k: `before` (the first 128
problems of GSM8K and SVAMP, greedy, untrained), `grpo` and `p2o` for what is left of the time. OUT gets gpu_check.json,
log.txt, and runs.tgz with the run directories, without weights; stages that a gpu_check.json there holds already are not
repeated. `--smoke` does it all small, on a CPU in a minute or two.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from functools import partial
from pathlib import Path

RECIPE = "qwen2.5-0.5b-gsm8k"
CODE = "from harness.cli import main; main()"
SMOKE = {
    "train.prompts_per_batch": 4,
    "train.rollouts_per_prompt": 2,
    "train.max_new_tokens": 8,
    "eval.max_new_tokens": 8,
    "p2o.min_hard": 2,
    "p2o.evolve.metric_calls": 12,
    "p2o.evolve.dev_size": 2,
    "p2o.reflector.max_new_tokens": 8,
    "train.limit": 8,
    "local.threads": 1,
}


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


def harness(args, name: str, seconds: float, limit: float, log, *sets: str) -> dict:
    """One `harness run` of at most `limit` seconds, of which at most `seconds` train; its result, and how it learnt."""
    method = "grpo" if name == "before" else name
    settings = {"model.id": args.model, "train.max_seconds": max(1.0, seconds), "local.device": args.device}
    settings |= SMOKE if args.smoke else {}
    given = [f"--set={k}={v}" for k, v in settings.items() if not k.startswith("p2o.") or method == "p2o"]
    run = args.scratch / name
    words = ["run", "--method", method, "--recipe", RECIPE, "--data-dir", str(args.data_dir)]
    words += ["--bench", "tb-id,tb-long" if args.smoke else "gsm8k,svamp"]
    words += ["--limit", "4" if args.smoke else "128", "--out", str(run), *given, *(f"--set={s}" for s in sets)]
    code = call([sys.executable, "-c", CODE, *words], limit, log)
    out: dict = {"exit_code": code, "settings": list(sets)}
    if (run / "result.json").exists():
        result = json.loads((run / "result.json").read_text())
        out |= {k: result[k] for k in ("ledger", "stopped")}
        kept = ("n", "avg", "truncated", "generated_tokens")
        out["suites"] = {name: {k: row[k] for k in kept} for name, row in result["suites"].items()}
    if (run / "metrics.jsonl").exists():
        steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        out["reward"] = [round(s["reward"], 4) for s in steps if "reward" in s]
        out["sampler_gap"] = [round(s["sampler_gap"], 5) for s in steps if "sampler_gap" in s]
    return out


def call(command: list[str], limit: float, log) -> int:
    """The exit code; 124 where it ran past `limit` seconds and was ended."""
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        return process.wait(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return 124


def stage(args, name: str, limit: float, log) -> dict:
    """`parity` or `speed` in a process of its own."""
    result = args.scratch / f"{name}.json"
    words = ["--stage", name, "--result", str(result), "--data-dir", str(args.data_dir), "--model", args.model]
    words += ["--device", args.device, "--out", str(args.out), *(["--smoke"] if args.smoke else [])]
    code = call([sys.executable, __file__, *words], limit, log)
    return {"exit_code": code} | (json.loads(result.read_text()) if result.exists() else {})


def pack(args) -> None:
    """The run directories without weights, in one archive."""

    def kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if "/ckpt" in entry.name or entry.name.endswith((".safetensors", ".pt")) else entry

    with tarfile.open(args.out / "runs.tgz", "w:gz") as archive:
        for name in ("before", "grpo", "p2o"):
            if (args.scratch / name).exists():
                archive.add(args.scratch / name, name, filter=kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b-instruct", help="a name of `harness list models` or a folder")
    parser.add_argument("--seconds", type=float, default=480, help="for all stages together")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--scratch", type=Path, help="where the runs are written; a folder in memory saves minutes")
    parser.add_argument("--skip", default="", help="stages to leave out, comma-separated")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--stage", choices=["parity", "speed"], help=argparse.SUPPRESS)
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stage:
        {"parity": parity, "speed": speed}[args.stage](args, Notes(args.result))
        return
    args.out.mkdir(parents=True, exist_ok=True)
    made = args.scratch is None
    args.scratch = args.scratch or Path(tempfile.mkdtemp())
    args.scratch.mkdir(parents=True, exist_ok=True)
    try:
        run_all(args)
    finally:
        if made:
            shutil.rmtree(args.scratch)


def run_all(args) -> None:
    """Every stage in turn; what is known is written after each."""
    start, written = time.monotonic(), args.out / "gpu_check.json"
    found: dict[str, dict] = json.loads(written.read_text()) if written.exists() else {}
    # A run takes some 20 s to start, 15 to evaluate, and as long to write its last checkpoint; packing takes a few.
    around = 10.0 if args.smoke else 50.0

    def left() -> float:
        return args.seconds - (time.monotonic() - start) - 5

    def add(name: str, made) -> None:
        began = time.monotonic()
        try:
            found[name] = made()
        except Exception as e:
            found[name] = {"error": f"{type(e).__name__}: {e}"}
        found[name]["stage_seconds"] = round(time.monotonic() - began, 1)
        written.write_text(json.dumps(found, indent=1))
        print(name, json.dumps(found[name])[:1500], flush=True)

    with (args.out / "log.txt").open("w") as log:
        skip = {*args.skip.split(","), *(name for name, stage in found.items() if stage.get("exit_code") == 0)}
        for name, share in (("parity", 0.2), ("speed", 0.25)):
            if name not in skip:
                add(name, partial(stage, args, name, min(left(), share * args.seconds), log))
        if "before" not in skip:
            add("before", partial(harness, args, "before", 1, min(left(), 0.2 * args.seconds), log, "train.epochs=0"))
        graphs = "local.cuda_graphs=" + ("true" if trusted(found.get("parity", {})) else "false")
        methods = [m for m in ("grpo", "p2o") if m not in skip]
        for i, method in enumerate(methods):
            share = left() / (len(methods) - i)
            limit = left() if method == methods[-1] else share + around / 2
            problems = problems_for(share - around, found.get("speed", {}))
            more = [graphs, f"train.epochs={2 if args.smoke else 50}", "train.checkpoint_steps=1000"]
            more += [] if args.smoke else [f"train.limit={problems}"]
            add(method, partial(harness, args, method, share - around, limit, log, *more))
        pack(args)
    print(f"done in {time.monotonic() - start:.0f} s", flush=True)


def trusted(found: dict) -> bool:
    """Whether the replayed sampler's log-probabilities are the trainer's, as nearly as the plain sampler's are."""
    replayed, plain = (found.get(f"sampler_gap, graphs={g}", {}).get("mean") for g in (True, False))
    return replayed is None or plain is None or replayed <= 2 * plain + 0.01


def problems_for(seconds: float, found: dict) -> int:
    """Problems of an epoch, so that P2O's search comes before half of the time is over: 64 for each batch that fits."""
    sampling = found.get("sample, 512 rows, 512 new, graphs=True", {}).get("seconds", 15.0)
    training = found.get("train, 24 rows of 96 + 512, chunked", {}).get("tokens_per_s", 30_000.0)
    batch = sampling + 2 + 512 * 350 / training  # rows of 350 tokens, grading
    return 64 * min(12, max(4, int(0.35 * seconds / batch)))


if __name__ == "__main__":
    main()
