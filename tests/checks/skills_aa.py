"""How often two halves of one and the same thing are told apart: pairs of GRPO runs with other seeds, through the whole chain.

    python tests/checks/skills_aa.py --out runs/skills-aa [--pairs 20] [--seeds 5] [--policy-seed 0] [--set KEY=VALUE]

Every run is made by `harness run` and every pair judged by `harness compare`, as a user would; what is there is resumed. No
seed is in two runs. The true difference is 0, so every gain and every loss is false: one pair in twenty may have one. Ends with
1 where there are more than chance allows at that rate (one time in a hundred), out of distribution or in distribution.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from scipy.stats import binom

HARNESS = [sys.executable, "-c", "from harness.cli import main; main()"]


def run(folder: Path, seeds: range, policy_seed: int, sets: list[str]) -> Path:
    """The run of these seeds, made or resumed if it is not there."""
    if not (folder / "result.json").exists():
        command = [*HARNESS, "run", "--method", "grpo", "--recipe", "skills", "--bench", "id,ood", "--out", str(folder)]
        command += ["--seeds", ",".join(map(str, seeds)), "--set", f"skills.policy_seed={policy_seed}"]
        command += [word for item in sets for word in ("--set", item)]
        command += ["--resume"] if (folder / "spec.json").exists() else []
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return folder


def verdicts(one: Path, other: Path) -> dict[str, tuple[str, float]]:
    """The verdict and the difference in percent points of every measure, by `harness compare`."""
    command = [*HARNESS, "compare", str(one), str(other), "--json"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    arms = json.loads(done.stdout.splitlines()[-1])["arms"]
    arm = next(arm for arm in arms if arm["contrasts"])  # the baseline has none
    return {key: (x["verdict"], 100 * x["difference"]) for key, x in arm["contrasts"].items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--policy-seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], dest="sets")
    args = parser.parse_args()
    found: dict[str, Counter[str]] = {}
    for pair in range(args.pairs):
        halves = []
        for half in (0, 1):
            number = 2 * pair + half
            seeds = range(number * args.seeds, (number + 1) * args.seeds)
            halves.append(run(args.out / f"run-{number:02d}", seeds, args.policy_seed, args.sets))
        judged = verdicts(*halves)
        for key, (verdict, _) in judged.items():
            found.setdefault(key, Counter())[verdict] += 1
        verdict, difference = judged["macro:ood"]
        print(f"pair {pair}: out of distribution {difference:+.1f} points, {verdict}", flush=True)
    words = ["gain", "loss", "equivalent", "undecided"]
    print(f"\n| measure | {' | '.join(words)} |\n|---|{'---|' * len(words)}")
    for key, counts in found.items():
        print(f"| {key} | {' | '.join(str(counts[word]) for word in words)} |")
    most = int(binom.ppf(0.99, args.pairs, 0.05))
    false = {key: found[key]["gain"] + found[key]["loss"] for key in ("macro:ood", "macro:id")}
    print(f"\n{args.pairs} pairs of {args.seeds} seeds each side; false verdicts {false}, of which {most} may be chance.")
    sys.exit(max(false.values()) > most)


if __name__ == "__main__":
    main()
