"""Scores: their spread over seeds, and the share of seeds that solve a suite."""

import math

import pytest
from scipy.stats import beta

from harness.stats.comparison import compare
from harness.stats.scores import solved
from support.results import result


def test_pooled_sd_adds_degrees_of_freedom_up():
    a, b = {0: 0.1, 1: 0.2, 2: 0.3}, {0: 0.5, 1: 0.9}
    found = compare([result(scores=a), result("p2o", b), result("gepa", {0: 1.0})]).seed_sd["tb-long"]
    assert found.df == 3 and found.sd == pytest.approx(math.sqrt((2 * 0.01 + 0.08) / 3))


@pytest.mark.parametrize(("count", "n"), [(0, 3), (2, 5), (5, 5)])
def test_solved_share_has_the_clopper_pearson_interval(count, n):
    s = solved([0.5] * count + [0.49] * (n - count), at=0.5)
    assert (s.count, s.share) == (count, count / n)
    assert s.low == pytest.approx(beta.ppf(0.025, count, n - count + 1) if count else 0.0)
    assert s.high == pytest.approx(beta.ppf(0.975, count + 1, n - count) if count < n else 1.0)
