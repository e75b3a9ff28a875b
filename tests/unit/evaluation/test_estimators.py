"""avg@k and pass@k against brute force."""

from __future__ import annotations

from itertools import combinations

import pytest

from harness.evaluation.estimators import avg_at_k, mean_or_none, pass_at_k


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_is_the_mean_over_all_subsets(n):
    for c in range(n + 1):
        samples = [1] * c + [0] * (n - c)
        for k in range(1, n + 1):
            subsets = list(combinations(samples, k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(map(max, subsets)) / len(subsets))


def test_pass_at_1_is_avg():
    scores = [1.0, 0.0, 0.0, 1.0, 0.0]
    assert pass_at_k(5, 2, 1) == pytest.approx(avg_at_k(scores)) == pytest.approx(0.4)


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 0), (4, 2, 5)])
def test_impossible_counts_are_refused(n, c, k):
    with pytest.raises(ValueError, match="pass@k needs"):
        pass_at_k(n, c, k)


def test_avg_of_nothing_is_refused():
    with pytest.raises(ValueError, match="^avg@k of no samples$"):
        avg_at_k([])


@pytest.mark.parametrize(
    ("values", "mean"), [([], None), ([None], None), ([0.5, None], None), ([0.0], 0.0), ([0.25, 0.75, 0.5], 0.5)]
)
def test_a_mean_that_lacks_a_value_is_none(values, mean):
    assert mean_or_none(iter(values)) == mean
