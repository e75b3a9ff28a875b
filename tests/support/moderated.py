"""A variance over seeds that many arms share, after Smyth (2004): what was tried for comparisons of many arms, and is not used.

docs/statistics.md says why; tests/checks/calibration.py measures it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.stats.intervals import Array, Estimate

LEAST_ARMS = 4
"""Arms of two seeds or more from which a common variance is estimated."""


@dataclass(frozen=True)
class Prior:
    """The variance of a seed's score that a comparison's arms share, worth `df` degrees of freedom (Smyth 2004)."""

    variance: Any
    df: Any


def prior_of(arms: Sequence[Array]) -> Prior | None:
    """The common variance of at least LEAST_ARMS arms by the moments of log variances, after Smyth (2004), section 6.2.

    Arms without any spread are left out: they say nothing of the logarithm. None for too few arms.
    """
    from scipy.special import digamma, polygamma

    several = [(x.var(-1, ddof=1), x.shape[-1] - 1) for x in arms if x.shape[-1] > 1]
    several = [(v, df) for v, df in several if np.all(v > 1e-18)]
    if len(several) < LEAST_ARMS:
        return None
    logs = np.stack([np.log(v) - digamma(df / 2) + np.log(df / 2) for v, df in several], -1)
    excess = logs.var(-1, ddof=1) - np.mean([polygamma(1, df / 2) for _, df in several])
    d0 = 2 * _trigamma_inverse(np.maximum(excess, 1e-8))
    return Prior(variance=np.exp(logs.mean(-1) + digamma(d0 / 2) - np.log(d0 / 2)), df=d0)


def _trigamma_inverse(x: Any) -> Any:
    """The y with trigamma(y) = x, by Newton's method on 1 / trigamma (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    y = 0.5 + 1 / x
    for _ in range(30):
        value = polygamma(1, y)
        y = y + value * (1 - value / x) / polygamma(2, y)
    return y


def moderated(a_S: Array, b_S: Array, prior: Prior) -> Estimate:
    """The difference of two arms, each with its variance raised to what it is together with the prior, and never lowered."""
    parts = []
    for x in (a_S, b_S):
        v, n = x.var(-1, ddof=1), x.shape[-1]
        together = (prior.df * prior.variance + (n - 1) * v) / (prior.df + n - 1)
        parts.append((np.maximum(v, together) / n, np.where(together > v, prior.df + n - 1, n - 1)))
    (va, da), (vb, db) = parts
    return Estimate(a_S.mean(-1) - b_S.mean(-1), np.sqrt(va + vb), (va + vb) ** 2 / (va**2 / da + vb**2 / db), "moderated")
