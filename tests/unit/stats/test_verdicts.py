"""Verdicts by their rules, and how often each is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from harness.stats import seeds, verdicts
from harness.stats.intervals import Estimate


@pytest.mark.parametrize(
    ("value", "se", "expected"),
    [
        (4.0, 1.0, "gain"),  # 2.0 to 6.0
        (2.5, 1.0, "undecided"),  # 0.5 to 4.5: above 0, not above the margin
        (-4.0, 1.0, "loss"),
        (0.2, 0.3, "equivalent"),  # 90%: -0.3 to 0.7
        (0.2, 1.0, "undecided"),
        (1.6, 0.1, "gain"),
    ],
)
def test_an_outcome_by_hand(value: float, se: float, expected: str):
    assert verdicts.outcome(Estimate(value, se, 1e9), 1.0) == expected


@pytest.mark.parametrize(
    ("value", "se", "expected"),
    [
        (4.0, 1.0, "reproduced"),
        (7.0, 1.0, "reproduced"),  # larger than claimed
        (2.2, 0.5, "gain, below the claim"),  # up to 3.2
        (-3.0, 0.9, "contradicted"),
        (0.0, 0.5, "no gain"),  # one-sided: below 0.8
        (-0.9, 0.4, "no gain"),  # -1.7 to -0.1 is no loss of the margin
        (2.0, 1.0, "undecided"),
    ],
)
def test_a_claim_of_4_7_points_by_hand(value: float, se: float, expected: str):
    assert verdicts.on_claim(Estimate(value, se, 1e9), 4.7, 1.0) == expected


def test_a_number_published_from_one_seed_is_met_by_a_repetition():
    """With the same truth behind both, the published difference lies in the interval for a repetition in 95% of cases; in the
    interval of ours, of 8 seeds, only in half."""
    rng = np.random.default_rng(0)
    R, n = 20_000, 8
    published = 0.047 + rng.normal(0, 0.02 * np.sqrt(2), R)
    e = seeds.difference(rng.normal(0.547, 0.02, (R, n)), rng.normal(0.5, 0.02, (R, n)))
    repeated = verdicts.prediction(e, (n, n), 1).interval()
    assert np.mean((repeated[0] <= published) & (published <= repeated[1])) == pytest.approx(0.95, abs=0.01)
    assert np.mean((e.interval()[0] <= published) & (published <= e.interval()[1])) == pytest.approx(0.52, abs=0.02)


def test_wrong_verdicts_at_the_margin_keep_their_level():
    rng = np.random.default_rng(1)
    R = 40_000
    for n in (3, 8):
        e = seeds.difference(rng.normal(0.51, 0.01, (R, n)), rng.normal(0.5, 0.01, (R, n)))
        found = verdicts.outcome(e, 0.01)
        assert np.mean(found == "gain") < 0.027
        assert np.mean(found == "equivalent") < 0.053
        assert np.mean(verdicts.on_claim(e, 0.047, 0.01) == "no gain") < 0.053
