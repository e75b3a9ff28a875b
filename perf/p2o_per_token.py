"""P2O's training time per generated token over GRPO's, on an embedded world, in one run (target: at most 1.1).

    python perf/p2o_per_token.py [--seeds 0,1,2] [--threads 1] [--recipe skills]

Runs both arms seed by seed, in turn, with the shipped recipe; the seconds and tokens are the ledgers', so prompt search
counts and evaluation does not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path


def seconds_per_token(method: str, seed: int, threads: int, recipe: str, out: Path) -> tuple[float, int]:
    command = [
        sys.executable,
        "-c",
        "from harness.cli import main; main()",
        "run",
        "--method",
        method,
        "--recipe",
        recipe,
        "--bench",
        "id",
        "--limit",
        "2",
        "--seeds",
        str(seed),
        "--set",
        f"local.threads={threads}",
        "--out",
        str(out),
        "--json",
    ]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    ledger = json.loads(done.stdout.splitlines()[-1])["ledger"]
    return ledger["wall_seconds"], ledger["generated_tokens"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--recipe", default="testbed")
    args = parser.parse_args()
    totals = {"p2o": [0.0, 0], "grpo": [0.0, 0]}
    with tempfile.TemporaryDirectory() as folder:
        for seed in map(int, args.seeds.split(",")):
            for method, total in totals.items():
                seconds, tokens = seconds_per_token(method, seed, args.threads, args.recipe, Path(folder) / f"{method}{seed}")
                total[0] += seconds
                total[1] += tokens
                print(f"seed {seed} {method:5} {seconds:6.1f} s {tokens:8,} tokens  {1e3 * seconds / tokens:.3f} ms a token")
    per = {m: s / t for m, (s, t) in totals.items()}
    print(f"ratio p2o / grpo: {per['p2o'] / per['grpo']:.2f} seconds per generated token")


if __name__ == "__main__":
    main()
