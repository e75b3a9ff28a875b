"""How often the bootstrap intervals of the robust views hold the truth, on simulated arms of six suites.

    python tests/checks/robust_coverage.py [--reps 1000] [--seed 0]

`r`: normal seeds with a standard deviation of 3 points, whose scores on two suites correlate by r. `two kinds`: a quarter of
the seeds solve all suites. The other arm is 3 points better, or solves in 40% of seeds.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from scipy.stats import norm, trim_mean

from harness.stats.robust import views

SUITES = np.array([0.12, 0.18, 0.35, 0.55, 0.70, 0.80])
SD, GAIN = 0.03, 0.03
SHARES = 0.25, 0.40
KINDS = ("r = 0", "r = .5", "r = .9", "two kinds")


def draw(kind: str, better: bool, seeds: int, rng: np.random.Generator) -> Any:
    """Scores (S, M) of an arm."""
    own = rng.standard_normal((seeds, len(SUITES)))
    if kind == "two kinds":
        solved = rng.random((seeds, 1)) < SHARES[better]
        return np.where(solved, 0.8, 0.12) * np.linspace(0.6, 1.2, len(SUITES)) + 0.02 * own
    r = float(kind.split("= ")[1])
    return SUITES + GAIN * better + SD * (np.sqrt(r) * rng.standard_normal((seeds, 1)) + np.sqrt(1 - r) * own)


def truth(kind: str, rng: np.random.Generator) -> tuple[float, float]:
    """The interquartile mean of the better arm, and its chance to beat the other."""
    if kind != "two kinds":
        chance = float(norm.cdf(GAIN / SD / np.sqrt(2)))
    else:  # both alike, one half; one of the two solved
        a, b = SHARES[1], SHARES[0]
        chance = 0.5 * (a * b + (1 - a) * (1 - b)) + a * (1 - b)
    return float(trim_mean(draw(kind, True, 400_000, rng), 0.25, axis=None)), chance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    print("| scores | seeds | IQM, whole seeds | IQM, stratified | improvement, whole seeds | improvement, stratified |")
    print("|---|---|---|---|---|---|")
    for kind in KINDS:
        targets = truth(kind, rng)
        for seeds in (3, 5, 8, 16):
            held = np.zeros((2, 2))
            for _ in range(args.reps):
                [_, arm] = views([draw(kind, False, seeds, rng), draw(kind, True, seeds, rng)], 0, replications=999)
                for i, (view, target) in enumerate(zip((arm.iqm, arm.improvement), targets, strict=True)):
                    held[i] += [low <= target <= high for low, high in ((view.low, view.high), view.stratified)]
            print(
                f"| {kind} | {seeds} | " + " | ".join(f"{100 * x:.1f}" for x in (held / args.reps).ravel()) + " |", flush=True
            )


if __name__ == "__main__":
    main()
