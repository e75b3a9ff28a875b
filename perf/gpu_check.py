"""Parity, speed, memory and learning of the local backend with a real model on one GPU, within a time limit.

    python perf/gpu_check.py --data-dir DATA --out OUT [--seconds 480] [--model qwen2.5-coder-0.5b-instruct]

Stages, each a process of its own with a limit of its own, so that one that fails leaves the others alone: `parity`, `speed`
and `update` of the engine (perf/gpu_engine.py), then GSM8K with the recipe qwen2.5-0.5b-gsm8k: `before` (the first 128
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

from gpu_engine import MODEL, RECIPE

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
    """`parity`, `speed` or `update` in a process of its own."""
    result = args.scratch / f"{name}.json"
    words = [name, "--data-dir", str(args.data_dir), "--model", args.model, "--device", args.device, "--out", str(result)]
    script = Path(__file__).with_name("gpu_engine.py")
    code = call([sys.executable, str(script), *words, *(["--smoke"] if args.smoke else [])], limit, log)
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
    parser.add_argument("--model", default=MODEL, help="a name of `harness list models` or a folder")
    parser.add_argument("--seconds", type=float, default=480, help="for all stages together")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--scratch", type=Path, help="where the runs are written; a folder in memory saves minutes")
    parser.add_argument("--skip", default="", help="stages to leave out, comma-separated")
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
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
        for name, share in (("parity", 0.15), ("speed", 0.2), ("update", 0.2)):
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
