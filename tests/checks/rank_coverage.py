"""How often all ranks of a board hold, and how wide they are: drawn scores whose true ranks are known.

    python tests/checks/rank_coverage.py [--draws 2000]

Arms are 6 or 20, seeds 3 or 8, normal with an sd of 2 points; true means are all equal, in pairs 2 points apart, or 4 points
apart each. Equal arms may have any of their places. The result is in docs/statistics.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from harness.stats.comparison import Comparison, compare  # noqa: E402
from harness.stats.contrasts import ties_of  # noqa: E402
from harness.stats.ranks import ranks_of  # noqa: E402
from harness.stats.seeds import Spread  # noqa: E402
from support.lettered import lettered  # noqa: E402
from support.results import result  # noqa: E402

KEY, SD = "macro:ood", 0.02
TRUTHS = {"equal": lambda i: 0.0, "pairs, 2 apart": lambda i: 0.02 * (i // 2), "4 apart": lambda i: 0.04 * i}


def held(plain: Comparison, truth: np.ndarray, seeds: int, rng: np.random.Generator) -> tuple[bool, float]:
    """Whether all ranks of one draw hold, and their mean number of places."""
    names = [arm.label for arm in plain.arms]
    scores = rng.normal(truth[:, None], SD, (len(truth), seeds))
    letters = ties_of(dict(zip(names, scores, strict=True)), Spread())
    found = ranks_of(lettered(plain, dict(zip(names, scores.mean(1).tolist(), strict=True)), letters, KEY), KEY)
    own = [found[name] for name in names]
    good = all(r.best <= 1 + (truth > t).sum() and r.worst >= (truth >= t).sum() for r, t in zip(own, truth, strict=True))
    return good, float(np.mean([r.worst - r.best + 1 for r in own]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=2000)
    draws, rng = parser.parse_args().draws, np.random.default_rng(0)
    for arms in (6, 20):
        plain = compare([result(f"m{i}", {0: 0.1, 1: 0.2}) for i in range(arms)])
        for seeds in (3, 8):
            for name, mean in TRUTHS.items():
                truth = np.array([mean(i) for i in range(arms)])
                rows = [held(plain, truth, seeds, rng) for _ in range(draws)]
                share, places = (np.mean(column) for column in zip(*rows, strict=True))
                print(f"{arms} arms, {seeds} seeds, {name}: all ranks hold in {100 * share:.1f}%, {places:.1f} places wide")


if __name__ == "__main__":
    main()
