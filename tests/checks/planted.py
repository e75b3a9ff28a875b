"""The referee on planted runs, whose true difference is known: how often each verdict comes, and an interval holds the truth.

    python tests/checks/planted.py RUN_A RUN_B [--reps 4000] [--random 0]

RUN_A and RUN_B are finished or filed runs with samples, further apart than the largest effect and its spread of seeds. Answers
are drawn as `harness plant` draws them (harness/leaderboard/planted.py), suite by suite from the shares of right answers of
the runs, and judged by the functions that `harness compare` and `harness claim check` call; `--through-files N` plants N
pairs of runs as well, and compares them. The claim is of 5 points. The macro average out of distribution counts, or that in it.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.leaderboard.planted import draw, mixture, plant, seed_weights
from harness.runs.result import load_result
from harness.stats import seeds
from harness.stats.comparison import compare_runs
from harness.stats.questions import load_questions
from harness.stats.seeds import Spread
from harness.stats.verdicts import on_claim, outcome, prediction

EFFECTS, SEEDS, SDS = (0.0, 1.0, 2.0, 5.0), (3, 5, 8), (1.0, 2.0)
MARGIN, CLAIMED = 1.0, 5.0
"""A true difference of the margin is where verdicts are wrong most often."""
BLOCK = 250
"""Planted runs drawn at once."""
VERDICTS = ("gain", "loss", "equivalent", "undecided")
ON_CLAIM = ("reproduced", "gain, below the claim", "no gain", "contradicted")

Pools = list[tuple[Any, Any, int]]
"""For every suite the shares of right answers of both sources (Q,), and the samples that a planted run has of a question."""


def pools_of(runs: Sequence[Path]) -> tuple[str, Pools]:
    """The measure and its suites. An answer drawn with replacement is right with the share of right ones, or else wrong."""
    results = [load_result(run) for run in runs]
    questions = [load_questions(r) for r in results]
    role = "ood" if results[0].macro.ood is not None else "id"
    names = [name for name, suite in results[0].suites.items() if suite.role == role]
    return f"macro:{role}", [(*(q[n].scores_S_Q.mean(0) for q in questions), results[0].suites[n].k) for n in names]


def planted_scores(pools: Pools, weight: float, sd: float, n: int, rng: np.random.Generator) -> Any:
    """Scores of `n` seeds on the macro average."""
    weights_S = seed_weights(weight, sd, n, rng)
    suites = []
    for a_Q, b_Q, k in pools:
        first, _ = draw(weights_S, len(a_Q), k, (1, 1), rng)
        suites.append((rng.random(first.shape) < np.where(first, a_Q[:, None], b_Q[:, None])).mean((1, 2)))
    return np.mean(suites, 0)


def experiments(pools: Pools, effect: float, seed_sd: float, n: int, reps: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Scores of `reps` planted pairs, (reps, n) each."""
    gap = 100 * float(np.mean([a.mean() - b.mean() for a, b, _ in pools]))
    found = mixture(gap, effect, seed_sd)
    arms = []
    for weight in found.weights:
        blocks = [planted_scores(pools, weight, found.sd, n * min(BLOCK, reps - done), rng) for done in range(0, reps, BLOCK)]
        arms.append(np.concatenate(blocks).reshape(reps, n))
    return arms[0], arms[1]


def row(pools: Pools, effect: float, seed_sd: float, n: int, reps: int, rng: np.random.Generator) -> dict[str, float]:
    """Rates of the verdicts, of those on a claim of CLAIMED points, and of intervals that hold the truth."""
    a, b = experiments(pools, effect, seed_sd, n, reps, rng)
    e = seeds.difference(a, b, Spread(floor=seeds.resolution([(len(x), k) for x, _, k in pools])))
    low, high = e.interval()
    found = outcome(e, MARGIN / 100)
    claim = on_claim(e, CLAIMED / 100, MARGIN / 100, prediction(e, (n, n), 1))
    out = {"interval": float(np.mean((low <= effect / 100) & (effect / 100 <= high)))}
    out |= {name: float(np.mean(found == name)) for name in VERDICTS}
    return out | {name: float(np.mean(claim == name)) for name in ON_CLAIM}


def through_files(runs: Sequence[Path], effect: float, seed_sd: float, n: int, reps: int, random: int) -> dict[str, float]:
    """The same rates from runs that were written, read again and compared."""
    counts = dict.fromkeys(("interval", *VERDICTS), 0)
    for i in range(reps):
        with tempfile.TemporaryDirectory() as folder:
            made = plant(runs[0], runs[1], effect, n, seed_sd, random + i, Path(folder) / "planted")
            compared = compare_runs(made.runs, baseline=1)
            x = compared.arms[0].contrasts[made.measure]
            assert x.fixed is not None and x.verdict is not None
            counts["interval"] += x.fixed.low <= made.truth[made.measure] / 100 <= x.fixed.high
            counts[x.verdict] += 1
    return {name: count / reps for name, count in counts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs=2, type=Path)
    parser.add_argument("--reps", type=int, default=4000)
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--through-files", type=int, default=0, metavar="N")
    args = parser.parse_args()
    rng = np.random.default_rng(args.random)
    measure, pools = pools_of(args.runs)
    print(f"{measure}, {args.reps:,} pairs a row, --random {args.random}; percent\n")
    columns = ("interval", *VERDICTS, *ON_CLAIM)
    print("| true difference | seed sd | seeds | " + " | ".join(columns) + " |")
    print("|" + "---:|" * (3 + len(columns)))
    for effect, sd, n in itertools.product(EFFECTS, SDS, SEEDS):
        rates = row(pools, effect, sd, n, args.reps, rng)
        print(f"| {effect:g} | {sd:g} | {n} | " + " | ".join(f"{100 * rates[c]:.1f}" for c in columns) + " |", flush=True)
    if args.through_files:
        print(f"\nThrough files, {args.through_files} pairs a row, by `compare`:\n")
        for effect in EFFECTS:
            rates = through_files(args.runs, effect, 1.0, 5, args.through_files, args.random)
            print(f"{effect:g} points, 5 seeds, sd 1: " + ", ".join(f"{k} {100 * v:.0f}" for k, v in rates.items()), flush=True)


if __name__ == "__main__":
    main()
