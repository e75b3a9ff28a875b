"""The picture of README's real model: training reward over rollouts, of filed runs.

    python docs/learning_curves.py leaderboards/drills/smollm2-135m-instruct --out docs/drills.svg

A pale line per seed and, per arm, their mean over steps of rollouts. The prompt search of an arm moves it to the right. An
arm that trains with hints is rewarded for answers under hints, which are no scores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np

from harness.leaderboard.entries import load_filed
from harness.runs.filed import read_curves
from harness.stats.arms import labels

STEP = 256
"""Rollouts that a point of an arm's mean is taken over."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("board", type=Path, help="folder of filed runs")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "harness", "svg.fonttype": "none", "font.size": 9})
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3))
    runs = sorted(path.parent for path in args.board.glob("*/manifest.json"))
    names = labels([load_filed(run).result for run in runs])
    for i, (run, name) in enumerate(zip(runs, names, strict=True)):
        curves = read_curves(run).get("reward", [])
        for curve in curves:
            axes.plot(curve.x, [100 * y for y in curve.y], color=f"C{i}", alpha=0.15, linewidth=0.8)
        if curves:
            x, y = (np.concatenate([getattr(curve, of) for curve in curves]) for of in ("x", "y"))
            steps = np.unique(x // STEP)
            means = [100 * y[x // STEP == step].mean() for step in steps]
            axes.plot((steps + 0.5) * STEP, means, color=f"C{i}", linewidth=2, label=name)
    axes.set(xlabel="rollouts, prompt search included", ylabel="training reward, percent", ylim=(0, 100))
    axes.legend(frameon=False)
    figure.savefig(args.out, metadata={"Date": None}, bbox_inches="tight")
    print(f"written: {args.out}")


if __name__ == "__main__":
    main()
