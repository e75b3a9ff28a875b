"""Robust views of several arms: against rliable, full enumeration of resamples, and plain counting."""

import itertools
import json

import numpy as np
import pytest
from scipy.stats import norm, t, trim_mean

from harness.stats.comparison import Comparison, compare
from harness.stats.robust import LEAST, View, expanded, views
from support.results import result

A = np.array([[0.21, 0.40, 0.66, 0.93], [0.25, 0.47, 0.61, 0.90], [0.18, 0.52, 0.70, 0.95], [0.30, 0.44, 0.58, 0.91]])
A = np.vstack([A, [0.22, 0.49, 0.64, 0.97]])
B = np.array([[0.20, 0.38, 0.66, 0.88], [0.24, 0.41, 0.59, 0.92], [0.15, 0.47, 0.63, 0.90]])


def test_numbers_of_the_papers_library():
    """rliable 1.2.0, numpy 2.4.6, numpy.random.seed(0): 50,000 replications of the mean, 10,000 of the chance. No dependency
    of the tests, since it does not import beside the pandas that they need."""
    base, arm = views([B, A], 0)
    assert (arm.iqm.value, base.iqm.value) == pytest.approx((0.551, 0.52333333))
    assert arm.iqm.stratified == pytest.approx((0.526, 0.576), abs=0.002)
    assert base.iqm.stratified == pytest.approx((0.49666667, 0.55), abs=0.002)
    assert arm.improvement.value == pytest.approx(0.725)
    assert arm.improvement.stratified == pytest.approx((0.53333333, 0.89166667), abs=0.01)
    assert arm.profile.at == pytest.approx(np.linspace(0.15, 0.97, 41))
    assert arm.profile.share[::8] == pytest.approx((1, 0.75, 0.6, 0.35, 0.25, 0))
    assert base.profile.share[::8] == pytest.approx((0.91666667, 0.75, 0.5, 1 / 3, 0.25, 0))


def resamples(n):
    return [list(drawn) for drawn in itertools.product(range(n), repeat=n)]


def quantiles(values, level):
    return np.quantile(values, [(1 - level) / 2, (1 + level) / 2])


def test_whole_seeds_are_drawn():
    base, arm = views([B, A[:4]], 0)
    every = [trim_mean(A[:4][i], 0.25, axis=None) for i in resamples(4)]
    assert (arm.iqm.low, arm.iqm.high) == pytest.approx(quantiles(every, expanded(4)), abs=0.002)
    wins = np.mean([(A[:4, None, m] > B[:, m]) + 0.5 * (A[:4, None, m] == B[:, m]) for m in range(4)], 0)
    every = [wins[np.ix_(i, j)].mean() for i in resamples(4) for j in resamples(3)]
    assert arm.improvement.value == pytest.approx(wins.mean()) and base.improvement is None
    assert (arm.improvement.low, arm.improvement.high) == pytest.approx(quantiles(every, expanded(3)), abs=0.03)
    every = [(A[:4][i][:, :, None] > np.array(arm.profile.at)).mean((0, 1)) for i in resamples(4)]
    ends = np.quantile(every, [(1 - expanded(4)) / 2, (1 + expanded(4)) / 2], axis=0)
    assert np.abs(np.array([arm.profile.low, arm.profile.high]) - ends).max() < 0.02


def test_a_percentile_interval_of_a_mean_is_as_wide_as_that_of_t():
    for n in (3, 5, 8, 30):
        assert norm.ppf((1 + expanded(n)) / 2) * np.sqrt((n - 1) / n) == pytest.approx(t.ppf(0.975, n - 1))


def test_seeds_that_move_all_suites_alike_are_not_taken_for_as_many_trainings():
    luck = np.random.default_rng(0).normal(0, 0.03, (8, 1))
    [_, arm] = views([np.full((8, 6), 0.5) + luck[::-1], np.full((8, 6), 0.5) + luck], 0)
    for view in (arm.iqm, arm.improvement):
        [low, high] = view.stratified
        assert high - low < 0.6 * (view.high - view.low)


def test_few_seeds_have_no_interval():
    for n in (1, LEAST - 1):
        base, arm = views([B, A[:n]], 0)
        assert arm.iqm == View(pytest.approx(trim_mean(A[:n], 0.25, axis=None))) and arm.profile.low is None
        assert (arm.improvement.low, arm.improvement.stratified) == (None, None) and base.iqm.low is not None
        assert views([A[:n], B], 0)[1].improvement.low is None
    assert views([A, A], 0)[1].improvement.value == 0.5


def test_views_of_a_comparison():
    assert compare([result()]).arms[0].robust == {}
    c = compare([result(), result("p2o", {0: 0.5, 1: 0.7, 2: 0.65, 5: 0.6})])
    [base, arm] = (a.robust["macro:ood"] for a in c.arms)
    assert set(c.arms[1].robust) == {"macro:ood"} and base.improvement is None
    assert arm.iqm.value == pytest.approx(0.625) and arm.improvement.value == pytest.approx((1.5 + 3 + 3 + 2.5) / 12)
    again = Comparison.from_dict(json.loads(json.dumps(c.to_dict())))
    assert again.arms == c.arms, "numbers do not depend on when they are computed"
    assert compare([result(), result("p2o", {0: 0.5, 1: 0.7, 2: 0.65, 5: 0.6})]).arms == c.arms
