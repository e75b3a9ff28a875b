"""`harness compare` on synthetic runs: seconds and peak memory.

    python perf/compare_throughput.py [--arms 10] [--seeds 5] [--samples 16] [--chars 300]

Six suites of 1,547 problems; every sample carries a text of `--chars` characters, as real ones do. The comparison runs in
a process of its own; making the runs is not timed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIZES = {"aime24": 30, "aime25": 30, "amc23": 40, "math500": 500, "minerva": 272, "olympiad": 675}
LEDGER = ("rollouts", "generated_tokens", "trained_tokens", "reflection_tokens", "optimiser_steps", "wall_seconds")


def make_run(path: Path, seeds: int, k: int, chars: int, rng: np.random.Generator) -> None:
    """A finished run with random outcomes."""
    (path / "samples").mkdir(parents=True)
    suites, text = {}, "x" * chars
    for name, n in SIZES.items():
        right = rng.random((seeds, n, k)) < rng.random((1, n, 1)) * (1 + 0.02 * rng.standard_normal((seeds, 1, 1)))
        with (path / "samples" / f"{name}.jsonl").open("w") as f:
            for s in range(seeds):
                for q in range(n):
                    for j in range(k):
                        f.write(
                            f'{{"suite": "{name}", "problem": "{name}-{q}", "index": {j}, "prompt": "{text[:80]}", '
                            f'"completion": "{text}", "score": {float(right[s, q, j])}, "parity": 1.0, "status": "ok", '
                            f'"truncated": false, "tokens": 99, "seed": {s}}}\n'
                        )
        per_seed = {str(s): float(right[s].mean()) for s in range(seeds)}
        suites[name] = {
            "role": "ood",
            "title": name,
            "n": n,
            "k": k,
            "temperature": 0.6,
            "max_new_tokens": 9,
            "per_seed": per_seed,
            "avg": float(right.mean()),
            "truncated": 0.0,
            "disagreement": 0.0,
            "flagged": [],
            "pass_at": {},
        }
    mean = lambda s: float(np.mean([x["per_seed"][s] for x in suites.values()]))  # noqa: E731
    macro = {str(s): {"id": None, "ood": mean(str(s))} for s in range(seeds)}
    result = {
        "run": str(path),
        "method": path.name,
        "model": "m",
        "training_set": "deepscaler",
        "seeds": list(range(seeds)),
        "suites": suites,
        "macro": {"id": None, "ood": float(np.mean([x["ood"] for x in macro.values()])), "per_seed": macro},
        "ledgers": {str(s): dict.fromkeys(LEDGER, 1000) for s in range(seeds)},
    }
    (path / "result.json").write_text(json.dumps(result))
    (path / "spec.json").write_text(json.dumps({"hash": "0" * 64, "spec": {"method": path.name}}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--chars", type=int, default=300)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = [Path(folder) / f"arm{i}" for i in range(args.arms)]
        for i, run in enumerate(runs):
            make_run(run, args.seeds, args.samples, args.chars, np.random.default_rng(i))
        size = sum(p.stat().st_size for p in Path(folder).rglob("*.jsonl"))
        code = "from harness.cli import main; main()"
        command = [sys.executable, "-c", code, "compare", *map(str, runs), "--json"]
        start = time.time()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        took = time.time() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    rows = args.arms * args.seeds * args.samples * sum(SIZES.values())
    print(f"{rows:,} samples, {size / 1e6:,.0f} MB: {took:.1f} s, {peak:,.0f} MB at most")


if __name__ == "__main__":
    main()
