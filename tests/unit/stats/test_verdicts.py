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


def at(value: float) -> Estimate:
    """A difference that is known exactly."""
    return Estimate(value, 0.0, 10)


def test_at_the_very_margin_nothing_is_decided():
    """Gains and losses lie beyond the margin, what is equivalent within it."""
    found = {v: verdicts.outcome(at(v), 1.0) for v in (-1.0, 1.0, 0.999, -0.999, 1.001, -1.001)}
    assert list(found.values()) == ["undecided", "undecided", "equivalent", "equivalent", "gain", "loss"]
    assert verdicts.outcome(at(0.0), 0.0) == "undecided", "a margin of 0 leaves no room for equivalent"
    claimed = {v: verdicts.on_claim(at(v), 4.7, 1.0) for v in (-1.001, -1.0, 0.999, 1.0, 1.001, 4.699, 4.7)}
    assert list(claimed.values()) == [
        "contradicted",
        "no gain",
        "no gain",
        "undecided",
        *["gain, below the claim"] * 2,
        "reproduced",
    ]


@pytest.mark.parametrize(
    ("score", "spent", "expected"),
    [
        (0.0, 0.5, "reproduced"),
        (0.0, 0.4, "reproduced"),
        (0.0, 0.51, "gain, below the claim"),
        (0.0, 0.94, "gain, below the claim"),
        (0.0, 0.95, "undecided"),
        (0.0, 0.96, "no gain"),
        (-0.999, 0.5, "reproduced"),
        (-1.0, 0.5, "undecided"),
        (-1.001, 0.5, "contradicted"),
        (-1.0, 0.96, "no gain"),
        (3.0, 0.5, "reproduced"),
    ],
)
def test_half_the_tokens_by_hand(score: float, spent: float, expected: str):
    assert verdicts.on_tokens(at(score), at(np.log(spent)), 0.5, 1.0) == expected


def test_tokens_that_are_not_known_well():
    """By normal intervals: 1.96 standard errors of log tokens."""
    sure = at(0.0)
    for share, se, expected in (
        (0.9, 0.02, "gain, below the claim"),  # up to 0.936
        (0.9, 0.04, "undecided"),  # up to 0.973
        (1.05, 0.04, "no gain"),  # from 0.971
        (1.0, 0.03, "undecided"),  # from 0.943
        (0.55, 0.06, "reproduced"),  # from 0.489
        (0.55, 0.04, "gain, below the claim"),  # from 0.508
    ):
        assert verdicts.on_tokens(sure, Estimate(np.log(share), se, 1e9), 0.5, 1.0) == expected
    wide = Estimate(-0.5, 0.3, 1e9)  # from -1.09
    assert verdicts.on_tokens(wide, at(np.log(0.4)), 0.5, 1.0) == "undecided"
    assert verdicts.on_tokens(wide, at(np.log(0.4)), 0.5, 1.0, alpha=0.2) == "reproduced", "from -0.88"


def test_the_level_widens_every_interval():
    e = Estimate(1.0 + 1.8, 1.0, 1e9)
    assert [verdicts.outcome(e, 1.0, a) for a in (0.05, 0.1)] == ["undecided", "gain"]
    assert [verdicts.on_claim(e, 2.0, 1.0, alpha=a) for a in (0.05, 0.1)] == ["undecided", "reproduced"]
    within = Estimate(0.0, 0.7, 1e9)  # 90%: 1.15, 80%: 0.90
    assert [verdicts.outcome(within, 1.0, a) for a in (0.05, 0.1)] == ["undecided", "equivalent"]
    below = Estimate(0.0, 0.7, 1e9)
    assert [verdicts.on_claim(below, 2.0, 1.0, alpha=a) for a in (0.05, 0.1)] == ["undecided", "no gain"]
    near = Estimate(3.0, 0.5, 1e9)  # up to 3.98 or 3.82
    assert [verdicts.on_claim(near, 3.9, 1.0, alpha=a) for a in (0.05, 0.1)] == ["reproduced", "gain, below the claim"]
    far = Estimate(3.9, 0.1, 1e9)
    assert verdicts.on_claim(near, 4.0, 1.0, published=far) == "reproduced"


def test_one_verdict_is_a_word_and_many_are_an_array():
    assert type(verdicts.outcome(at(2.0), 1.0)) is str
    found = verdicts.outcome(Estimate(np.array([2.0, 0.0]), np.zeros(2), 10), 1.0)
    assert found.shape == (2,) and found.tolist() == ["gain", "equivalent"]


def test_a_repetition_scatters_by_its_own_seeds_too():
    """Of 3 and 6 seeds a standard error of 1 says that one seed's variance is 1 / (1/3 + 1/6) = 2; two arms of 4 such seeds
    add 2 * 2 / 4."""
    e = Estimate(5.0, 1.0, 7.0, "Welch", 4.0)
    found = verdicts.prediction(e, (3, 6), 4)
    assert found.se == pytest.approx(np.sqrt(1 + 1))
    assert (found.value, found.df, found.rule, found.centre) == (5.0, 7.0, "Welch", 4.0)
    paired = verdicts.prediction(e, (3, 6), 4, apart=Estimate(5.0, 3.0, 7.0))
    assert paired.se == pytest.approx(np.sqrt(1 + 9)), "seeds of a publication are no pairs"
