"""Coverage, false positives and operating characteristics of the statistics, on simulated and on real runs.

    python perf/verdict_monte_carlo.py [--reps 20000] [--seed 0]
    python perf/verdict_monte_carlo.py --runs runs/a runs/b

The first prints the tables of docs/statistics.md and compares with those that the rule was designed by. The second is an
A/A experiment: the seeds of every run are split in two in all ways, and the halves compared as if they were two arms.
"""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from harness.stats import intervals
from harness.stats.assess import verdict
from harness.stats.claims import VERDICTS
from harness.stats.power import SuiteModel, power, question_se, seeds_needed

WORLDS = {
    "alike": dict(seed_sd=0.05, cell_sd=0.5, correlation=0.85),
    "usual": dict(seed_sd=0.2, cell_sd=0.5, correlation=0.85),
    "wild": dict(seed_sd=0.5, cell_sd=1.0, correlation=0.95),
    "still": dict(seed_sd=0.0, cell_sd=0.0, correlation=1.0),
}
"""How far seeds move every question (logits), how far they move each one on its own, and how alike the arms' difficulties
are. On a suite of mean 55% a seed sd of .2 is about 2 points."""
SPREAD = 3.0
"""Of difficulties, in logits."""
DESIGNS = list(itertools.product((3, 5), (30, 500), (1, 16)))
"""Seeds per arm, questions, samples."""

CHARACTERISTICS = {
    (4.7, 1, 3): (0.88, 0.02, 0.02, 0, 0, 0.08),
    (4.7, 1, 5): (0.96, 0.02, 0.02, 0, 0, 0),
    (4.7, 2, 3): (0.44, 0.01, 0.02, 0.01, 0, 0.53),
    (4.7, 2, 5): (0.84, 0.01, 0.02, 0.01, 0, 0.12),
    (2.35, 1, 3): (0.23, 0.19, 0, 0.23, 0, 0.36),
    (2.35, 1, 5): (0.16, 0.66, 0, 0.17, 0, 0.01),
    (0, 1, 3): (0, 0.02, 0, 0.89, 0.02, 0.07),
    (0, 1, 5): (0, 0.02, 0, 0.96, 0.02, 0),
    (0, 2, 3): (0.01, 0.01, 0, 0.44, 0.02, 0.53),
    (0, 2, 5): (0.01, 0.01, 0, 0.84, 0.02, 0.12),
}
"""Designed: (true effect, seed sd, seeds) to the shares of VERDICTS but the last, for a claim of 4.7 points."""
DECODE_SD = 0.43
"""Points that decoding adds to the spread of a seed's macro average in those tables."""
TABLE_B = {
    0.5: (3, 3, 3, 4, 4, 5, 7, 10),
    1.0: (3, 4, 4, 6, 6, 9, 15, 22),
    1.5: (4, 5, 6, 9, 11, 16, 28, 42),
    2.0: (5, 7, 9, 13, 18, 27, 48, None),
    2.5: (6, 9, 13, 19, 27, 40, None, None),
    3.0: (8, 12, 18, 26, 38, 56, None, None),
}
"""Seeds by seed sd for effects 4.7, 3, 2, 1.2, each at alpha .05 and .01; None is more than 60."""
TABLE_C = {1.1: (2, 3, 4, 6), 1.4: (2, 4, 7, 11), 1.7: (None,) * 4}
"""Seeds by question SE for seed sd .5, 1, 1.5, 2: effect 4.7 on new questions."""
TABLE_A = {0.3: (2.26, 2.34), 0.5: (1.99, 2.07), 0.7: (1.64, 1.74), 0.8: (1.41, 1.52), 0.9: (1.12, 1.26), 0.95: (0.92, 1.08)}
"""Macro SE from questions, without and with decoding noise, by correlation of difficulties."""
TABLE_D = {1.3: (8.5, 18.5, 31, 41, 57), 1.8: (6.8, 12, 21, 29, 44)}
"""False positives, percent, of a 5% test on questions alone with one seed per arm: by question SE, seed sd .5, 1, 1.5, 2, 3."""
SUITES = ((30, 16, 0.50), (30, 16, 0.40), (40, 16, 0.78), (500, 1, 0.90), (272, 1, 0.44), (675, 1, 0.61))


def simulate(
    rng: np.random.Generator,
    reps: int,
    seeds: int,
    questions: int,
    k: int,
    gain: float = 0.0,
    *,
    seed_sd: float,
    cell_sd: float,
    correlation: float,
) -> tuple[Any, Any, Any, float]:
    """Two arms of `reps` experiments: cells (reps, S, Q) of each, the true difference on those questions and on all.

    `gain` shifts the first arm, in logits. Truths are means over seeds (and questions), by quadrature.
    """
    from scipy.special import expit

    nodes, weights = np.polynomial.hermite_e.hermegauss(11)
    weights = weights / weights.sum()
    within = np.hypot(seed_sd, cell_sd)
    shared_R_Q = rng.standard_normal((reps, questions))
    cells, truths = [], []
    for shift in (gain, 0.0):
        own_R_Q = np.sqrt(1 - correlation) * rng.standard_normal((reps, questions))
        logit_R_Q = 0.3 + shift + SPREAD * (np.sqrt(correlation) * shared_R_Q + own_R_Q)
        truths.append(sum(w * expit(logit_R_Q + within * x) for x, w in zip(nodes, weights, strict=True)).mean(-1))
        moved = seed_sd * rng.standard_normal((reps, seeds, 1)) + cell_sd * rng.standard_normal((reps, seeds, questions))
        cells.append(rng.binomial(k, expit(logit_R_Q[:, None, :] + moved)) / k)
    everywhere = np.hypot(SPREAD, within)
    fine, fine_weights = np.polynomial.hermite_e.hermegauss(101)
    population = [float(fine_weights @ expit(0.3 + s + everywhere * fine) / fine_weights.sum()) for s in (gain, 0.0)]
    return cells[0], cells[1], truths[0] - truths[1], population[0] - population[1]


def coverage(reps: int, seed: int, gain: float, design: tuple[int, int, int], world: str) -> tuple[float, float]:
    """How often the 95% intervals hold the truth: on these questions, and on new ones."""
    rng = np.random.default_rng([seed, *design, list(WORLDS).index(world), int(100 * gain)])
    inside = np.zeros(2)
    left, chunk = reps, max(1, 2_000_000 // (design[0] * design[1]))
    while left:
        n = min(left, chunk)
        a, b, fixed, population = simulate(rng, n, *design, gain, **WORLDS[world])
        for i, (e, truth) in enumerate(
            ((intervals.seed_difference(a.mean(-1), b.mean(-1)), fixed), (intervals.question_difference([a], [b]), population))
        ):
            low, high = e.interval()
            inside[i] += np.sum((low <= truth) & (truth <= high))
        left -= n
    return inside[0] / reps, inside[1] / reps


def wrong_on_questions(reps: int, seed: int, questions: int, k: int) -> float:
    """How often the sign-flip test at 5% tells two checkpoints apart that are as good as each other on every question."""
    rng = np.random.default_rng([seed, questions, k])
    difficulty = 1 / (1 + np.exp(-(0.3 + SPREAD * rng.standard_normal((reps, questions)))))
    a, b = (rng.binomial(k, difficulty) / k for _ in range(2))
    return float(np.mean(intervals.sign_flip([a - b], seed) < 0.05))


def characteristics(reps: int, seed: int, effect: float, seed_sd: float, seeds: int, claimed: float = 4.7) -> tuple[float, ...]:
    """Share of each verdict but "not assessable", for a true effect."""
    rng = np.random.default_rng([seed, int(100 * effect), int(10 * seed_sd), seeds])
    sd = np.hypot(seed_sd, DECODE_SD)
    a, b = effect + sd * rng.standard_normal((reps, seeds)), sd * rng.standard_normal((reps, seeds))
    low, high = intervals.seed_difference(a, b).interval()
    count = Counter(verdict(x, y, claimed) for x, y in zip(low, high, strict=True))
    return tuple(count[name] / reps for name in VERDICTS[:-1])


def split_halves(runs: list[Path]) -> str:
    """The A/A experiment, Markdown: every run's seeds in two halves, all ways, every suite. Shares of false differences,
    each of which would be a false verdict on any claim: `reproduced` or `contradicted`."""
    from harness.runs.result import load_result
    from harness.stats.questions import load_questions

    lines = ["| run | splits x suites | these questions | new questions |", "|---|---|---|---|"]
    total = np.zeros(3)
    for path in runs:
        result = load_result(path)
        cells = [q.scores_S_Q for q in load_questions(result).values()]
        S = len(result.seeds)
        found = np.zeros(3)
        for first in itertools.combinations(range(S), S // 2):
            if S % 2 == 0 and 0 not in first:
                continue  # the other half of a split seen already
            rest = [s for s in range(S) if s not in first]
            for y in cells:
                a, b = y[list(first)], y[rest]
                fixed, new = intervals.seed_difference(a.mean(-1), b.mean(-1)), intervals.question_difference([a], [b])
                ends = [e.interval() for e in (fixed, new)]
                found += (1, *(fixed.spread and (low > 0 or high < 0) for low, high in ends))
        total += found
        lines.append(_row(path.name, found))
    return "\n".join([*lines, _row("all", total)])


def _row(name: str, found: Any) -> str:
    n = int(found[0])
    return f"| {name} | {n} | " + " | ".join(f"{100 * x / n:.1f}%" for x in found[1:]) + " |"


def tables(reps: int, seed: int) -> str:
    """All simulated tables, Markdown."""
    from scipy.stats import norm

    lines = ["| seeds | questions | k | world | no gain: these questions | new | gain: these | new |", "|---" * 8 + "|"]
    for design in DESIGNS:
        for world in WORLDS:
            shares = [x for gain in (0.0, 0.4) for x in coverage(reps, seed, gain, design, world)]
            shown = " | ".join(f"{100 * x:.1f}" for x in shares)
            lines.append(f"| {' | '.join(map(str, design))} | {world} | {shown} |")
            print(lines[-1], flush=True)
    lines += ["", "| questions | k | sign-flip test at 5% |", "|---|---|---|"]
    for q, k in itertools.product((30, 500), (1, 16)):
        lines.append(f"| {q} | {k} | {100 * wrong_on_questions(min(reps, 4000), seed, q, k):.1f}% |")
    lines += ["", f"| effect, seed sd, seeds | {' | '.join(VERDICTS[:-1])} | designed |", "|---|" + "---|" * len(VERDICTS)]
    for key, designed in CHARACTERISTICS.items():
        shares = " | ".join(f"{x:.3f}" for x in characteristics(5 * reps, seed, *key))
        lines.append(f"| {', '.join(map(str, key))} | {shares} | {' '.join(f'{x:g}' for x in designed)} |")
    lines += ["", "| seed sd | seeds for 4.7, 3, 2, 1.2 at .05 and .01 | designed |", "|---|---|---|"]
    for sd, designed in TABLE_B.items():
        needed = [seeds_needed(e, np.hypot(sd, DECODE_SD), 0.0, a) for e in (4.7, 3.0, 2.0, 1.2) for a in (0.05, 0.01)]
        lines.append(f"| {sd} | {needed} | {designed} |")
    lines += ["", "| question SE | seeds for 4.7 at seed sd .5, 1, 1.5, 2 | designed |", "|---|---|---|"]
    for q, designed in TABLE_C.items():
        lines.append(f"| {q} | {[seeds_needed(4.7, np.hypot(sd, DECODE_SD), q) for sd in (0.5, 1, 1.5, 2)]} | {designed} |")
    lines += ["", "| correlation | macro SE without and with decoding | designed |", "|---|---|---|"]
    for rho, designed in TABLE_A.items():
        plain, noisy, _ = question_se([SuiteModel(n, k, b + 0.047, b) for n, k, b in SUITES], rho)
        lines.append(f"| {rho} | {100 * plain:.2f}, {100 * noisy:.2f} | {designed} |")
    lines += ["", "| question SE | false positives of one seed, seed sd .5, 1, 1.5, 2, 3 | designed |", "|---|---|---|"]
    for q, designed in TABLE_D.items():
        false = [200 * norm.sf(norm.isf(0.025) * q / np.hypot(q, np.sqrt(2) * sd)) for sd in (0.5, 1, 1.5, 2, 3)]
        lines.append(f"| {q} | {', '.join(f'{x:.1f}' for x in false)} | {designed} |")
    shares = ", ".join(f"{power(4.7, np.hypot(1, DECODE_SD), s):.2f}" for s in (2, 3, 4, 5, 8))
    return "\n".join([*lines, "", f"Power for 4.7 at seed sd 1 with 2, 3, 4, 5, 8 seeds: {shares} (designed .33 .92 1 1 1)"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reps", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, nargs="+")
    args = parser.parse_args()
    print(split_halves(args.runs) if args.runs else tables(args.reps, args.seed))


if __name__ == "__main__":
    main()
