r"""P2O's learning curves on the local backend and on OpenRLHF (rehearsal), same recipe and seeds, in one plot.

    harness run --method p2o --recipe testbed --bench id,ood --seeds 0,1 --set train.temperature=1.0 --out runs/local
    harness run --method p2o --recipe testbed --bench id,ood --seeds 0,1 --set train.temperature=1.0 --out runs/openrlhf \
        --backend openrlhf --rehearse
    python tests/checks/backends_side_by_side.py runs/local runs/openrlhf --out docs/backends.svg

Prints the scores of both, too. Temperature 1, because there every seed learns (docs/testbed_results.md): at 0.6 the
outcome is bimodal, and two seeds would say nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from harness.runs.result import load_result

WINDOW = 5  # batches of a moving average


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs=2, type=Path, help="run directories: local, openrlhf")
    parser.add_argument("--out", type=Path, default=Path("docs/backends.svg"))
    args = parser.parse_args()
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "backends"
    import matplotlib.pyplot as plt

    panels = {"reward": "Reward", "hint_reliance": "Reliance on the template, nats a token", "masked_tokens": "Masked tokens"}
    figure, axes = plt.subplots(1, len(panels), figsize=(12, 3.4), layout="constrained")
    for run, colour in zip(args.runs, ("#4477aa", "#cc6633"), strict=False):  # one run or two
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        for seed in sorted({r["seed"] for r in rows}):
            batches = [r for r in rows if r["kind"] == "batch" and r["seed"] == seed]
            for ax, key in zip(axes, panels, strict=True):
                points = [(r["rollouts"], r[key]) for r in batches if key in r]
                windows = [points[max(0, i - WINDOW + 1) : i + 1] for i in range(len(points))]
                ys = [sum(y for _, y in window) / len(window) for window in windows]
                label = f"{run.name}, seed {seed}" if key == "reward" else None
                ax.plot([x for x, _ in points], ys, color=colour, alpha=1 - 0.4 * (seed % 2), label=label)
        for seed, macro in load_result(run).macro.per_seed.items():
            print(f"{run.name:9} seed {seed}: ID {100 * macro.id:5.1f}  OOD {100 * macro.ood:5.1f}")
    for ax, title in zip(axes, panels.values(), strict=True):
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("rollouts, prompt search included")
        ax.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.savefig(args.out, metadata={"Date": None})
    print(f"plot: {args.out}")


if __name__ == "__main__":
    main()
