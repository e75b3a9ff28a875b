"""P2O against GRPO in the three worlds of the testbed, at two temperatures, with and without easy problems.

    python perf/testbed_study.py --out runs/study [--seeds 0,1,2,3,4,5,6,7] [--jobs 2] [--worlds latent,absent,open]

Every cell is one `harness run` at the recipe's rollout budget; two run side by side, each on one thread. Run it again to
go on: finished cells are skipped, unfinished ones resumed. Prints the table of docs/testbed_results.md and writes
cells.json beside the runs. `--table` only prints.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

WORLDS, TEMPERATURES, EASY, METHODS = ("latent", "absent", "open"), (0.6, 1.0), (0.4, 0.0), ("p2o", "grpo")
SOLVED_SUITE = "tb-long"  # hard problems only, of both families, longer than any in training


def cells(worlds: list[str]) -> list[tuple[str, float, float, str]]:
    """(world, training temperature, share of easy problems, method), in the order of the table."""
    return list(product(worlds, TEMPERATURES, EASY, METHODS))


def folder(out: Path, cell: tuple[str, float, float, str]) -> Path:
    world, temperature, easy, method = cell
    return out / f"{world}-t{temperature}-easy{easy}-{method}"


def run(out: Path, cell: tuple[str, float, float, str], seeds: str) -> None:
    """One cell, started or resumed. Raises CalledProcessError when the run fails."""
    world, temperature, easy, method = cell
    path = folder(out, cell)
    if (path / "result.json").exists():
        return
    command = [
        sys.executable,
        "-c",
        "from harness.cli import main; main()",
        "run",
        "--method",
        method,
        "--bench",
        "all",
        "--seeds",
        seeds,
        "--out",
        str(path),
        "--set",
        f"testbed.world={world}",
        "--set",
        f"train.temperature={temperature}",
        "--set",
        f"testbed.easy_share={easy}",
        *(["--resume"] if (path / "spec.json").exists() else []),
    ]
    start = time.time()
    subprocess.run(
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
    )
    print(f"{path.name}: {time.time() - start:.0f} s", file=sys.stderr, flush=True)


def mean(values: list[float]) -> float | None:
    return statistics.fmean(values) if values else None


def summary(path: Path) -> dict[str, Any]:
    """The figures of a cell: scores per seed, and what was logged on the branch tokens."""
    from harness.runs.files import read_jsonl
    from harness.runs.formats import tree
    from harness.runs.result import load_result

    result = load_result(path)
    rows = read_jsonl(path / "metrics.jsonl")
    batches = [r for r in rows if r["kind"] == "batch"]
    epochs = [r for r in rows if r["kind"] == "epoch"]
    last = [max((r for r in epochs if r["seed"] == s), key=lambda r: r["epoch"]) for s in result.seeds]
    hard = {e: mean([r["hard_problems"] for r in epochs if r["epoch"] == e and "hard_problems" in r]) for e in range(4)}
    suites = {name: suite.per_seed for name, suite in result.suites.items()}
    return {
        "seeds": result.seeds,
        "suites": suites,
        "macro": tree(result.macro.per_seed),
        "rollouts": [x.rollouts for x in result.ledgers.values()],
        "generated_tokens": [x.generated_tokens for x in result.ledgers.values()],
        "wall_seconds": [x.wall_seconds for x in result.ledgers.values()],
        "solved": [score >= 0.5 for score in suites[SOLVED_SUITE].values()],
        "degenerate_groups_epoch_0": mean([r["degenerate_groups"] for r in batches if r["epoch"] == 0]),
        "degenerate_groups_epoch_1": mean([r["degenerate_groups"] for r in batches if r["epoch"] == 1]),
        "hard_problems": hard,
        "branch_p_joint_end": [r["branch_p_joint"] for r in last],
        **{
            key: mean([r[key] for r in batches if r["epoch"] == 1 and key in r])
            for key in (
                "branch_advantage_1_distilled",
                "branch_advantage_2_distilled",
                "branch_advantage_1_plain",
                "branch_advantage_2_plain",
                "branch_masked_1",
                "branch_masked_2",
            )
        },
    }


def table(out: Path, worlds: list[str]) -> str:
    """Markdown: a row per finished cell, scores in percent points (mean over seeds)."""
    from scipy.stats import binomtest

    lines = [
        "| world | T | easy | method | ID | OOD | long | format | family | solved seeds (95%) | rollouts |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    collected = {}
    for cell in cells(worlds):
        path = folder(out, cell)
        if not (path / "result.json").exists():
            continue
        s = summary(path)
        collected[path.name] = s
        ci = binomtest(sum(s["solved"]), len(s["solved"])).proportion_ci()
        points = [
            statistics.fmean(m["id"] for m in s["macro"].values()),
            statistics.fmean(m["ood"] for m in s["macro"].values()),
            *(statistics.fmean(s["suites"][n].values()) for n in ("tb-long", "tb-format", "tb-family")),
        ]
        lines.append(
            f"| {cell[0]} | {cell[1]} | {cell[2]} | {cell[3]} | "
            + " | ".join(f"{100 * p:.1f}" for p in points)
            + f" | {sum(s['solved'])}/{len(s['solved'])} ({ci.low:.2f}-{ci.high:.2f})"
            + f" | {statistics.fmean(s['rollouts']):,.0f} |"
        )
    (out / "cells.json").write_text(json.dumps(collected, indent=1) + "\n")
    return "\n".join(lines)


def mechanism_table(out: Path) -> str:
    """Markdown: what was logged on the branch tokens, means over seeds (and batches of the second epoch)."""
    lines = [
        "| cell | groups without gradient, epoch 1, 2 | hard problems after epoch 1, 2, 3 "
        "| net advantage on branch token 1, 2, templated groups | plain groups | masked, token 1, 2 "
        "| P(right header) at the end, per seed |",
        "|---|---|---|---|---|---|---|",
    ]

    def show(value: float | None, digits: int = 2) -> str:
        return "-" if value is None else f"{value:.{digits}f}"

    for name, s in json.loads((out / "cells.json").read_text()).items():
        pair = lambda key: ", ".join(show(s[key.format(step)]) for step in (1, 2))  # noqa: B023
        hard = ", ".join(show(s["hard_problems"][str(e)], 0) for e in range(3))
        ends = " ".join(show(p, 3) for p in sorted(s["branch_p_joint_end"]))
        lines.append(
            f"| {name} | {show(s['degenerate_groups_epoch_0'])}, {show(s['degenerate_groups_epoch_1'])} | {hard} "
            f"| {pair('branch_advantage_{}_distilled')} | {pair('branch_advantage_{}_plain')} "
            f"| {pair('branch_masked_{}')} | {ends} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", default="0,1,2,3,4,5,6,7")
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    worlds = args.worlds.split(",")
    args.out.mkdir(parents=True, exist_ok=True)
    if not args.table:
        with ThreadPoolExecutor(args.jobs) as pool:
            list(pool.map(lambda cell: run(args.out, cell, args.seeds), cells(worlds)))
    print(table(args.out, worlds))
    print()
    print(mechanism_table(args.out))


if __name__ == "__main__":
    main()
