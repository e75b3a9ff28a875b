"""Per-problem estimators from n samples of which c are correct."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import comb
from statistics import fmean


def avg_at_k(scores_K: Sequence[float]) -> float:
    """avg@k: the mean score of the k samples of one problem. Raises ValueError for none."""
    if not scores_K:
        raise ValueError("avg@k of no samples")
    return sum(scores_K) / len(scores_K)


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased probability that one of k samples is correct, from c correct ones of n: 1 - C(n-c, k) / C(n, k).

    Chen et al. 2021, equation 1. Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@k needs 0 <= c <= n and 1 <= k <= n, got n={n}, c={c}, k={k}")
    return 1.0 - comb(n - c, k) / comb(n, k)


def mean_or_none(values: Iterable[float | None]) -> float | None:
    """The mean; None where there is no value, or one of them is None."""
    found = list(values)
    return None if not found or None in found else fmean(found)  # type: ignore[arg-type]
