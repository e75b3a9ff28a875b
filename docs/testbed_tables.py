"""The tables of docs/testbed_results.md, from the finished cells of a study on the testbed.

    harness study run testbed-temperatures --out runs/study
    python docs/testbed_tables.py runs/study

The first table has what the study's own table lacks: a column per suite. The second is of what the testbed logs about its
branch tokens, which no other training set has.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable
from pathlib import Path

from scipy.stats import binomtest

from harness.runs.logs import Metrics, read_metrics
from harness.runs.result import is_finished, load_result
from harness.study import cells_dir

SOLVED_SUITE = "tb-long"
"""Hard problems only, of both families, longer than any in training."""
SUITES = (SOLVED_SUITE, "tb-format", "tb-family")


def scores_table(cells: Iterable[Path]) -> str:
    """Markdown: a row per finished cell, scores in percent points (mean over seeds)."""
    lines = [
        "| cell | method | ID | OOD | long | format | family | solved seeds (95%) | rollouts |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for path in cells:
        r = load_result(path)
        solved = sum(score >= 0.5 for score in r.suites[SOLVED_SUITE].per_seed.values())
        ci = binomtest(solved, len(r.seeds)).proportion_ci()
        shares = [r.macro.id, r.macro.ood, *(r.suites[name].avg for name in SUITES)]
        scores = " | ".join("-" if share is None else f"{100 * share:.1f}" for share in shares)
        rollouts = statistics.fmean(ledger.rollouts for ledger in r.ledgers.values())
        condition = path.name.removesuffix(f"--{path.name.rpartition('--')[2]}")
        seeds = f"{solved}/{len(r.seeds)} ({ci.low:.2f}-{ci.high:.2f})"
        lines.append(f"| {condition} | {r.method} | {scores} | {seeds} | {rollouts:,.0f} |")
    return "\n".join(lines)


def mechanism_table(cells: Iterable[Path]) -> str:
    """Markdown: what was logged on the branch tokens, means over seeds (and batches of the second epoch)."""
    lines = [
        "| cell | groups without gradient, epoch 1, 2 | hard problems after epoch 1, 2, 3 "
        "| net advantage on branch token 1, 2, templated groups | plain groups | masked, token 1, 2 "
        "| P(right header) at the end, per seed |",
        "|---|---|---|---|---|---|---|",
    ]
    for path in cells:
        rows = read_metrics(path)
        batch = lambda key, epoch=1: _mean(rows, "batch", key, epoch)  # noqa: B023
        pair = lambda key: ", ".join(_show(batch(key.format(step))) for step in (1, 2))  # noqa: B023
        idle = ", ".join(_show(batch("degenerate_groups", epoch)) for epoch in (0, 1))
        hard = ", ".join(_show(_mean(rows, "epoch", "hard_problems", epoch), 0) for epoch in range(3))
        last = {m.row.seed: m for m in sorted(rows, key=lambda m: m.row.epoch) if m.row.kind == "epoch"}
        ends = " ".join(_show(p, 3) for p in sorted(m.values["branch_p_joint"] for m in last.values()))
        lines.append(
            f"| {path.name} | {idle} | {hard} | {pair('branch_advantage_{}_distilled')} "
            f"| {pair('branch_advantage_{}_plain')} | {pair('branch_masked_{}')} | {ends} |"
        )
    return "\n".join(lines)


def _mean(rows: Iterable[Metrics], kind: str, key: str, epoch: int) -> float | None:
    found = [m.values[key] for m in rows if m.row.kind == kind and m.row.epoch == epoch and key in m.values]
    return statistics.fmean(found) if found else None


def _show(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder of the study")
    out = parser.parse_args().study
    names = [cell["name"] for cell in json.loads((out / "study.json").read_text())["cells"]]
    cells = [cells_dir(out) / name for name in names if is_finished(cells_dir(out) / name)]
    print(scores_table(cells), mechanism_table(cells), sep="\n\n")


if __name__ == "__main__":
    main()
