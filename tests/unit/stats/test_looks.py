"""Levels of repeated looks against published bounds and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from harness.core.errors import UsageError
from harness.stats.looks import level_at, levels


def test_five_equal_looks_have_the_published_bounds():
    """Pocock-like spending at .05, two-sided: 2.438, 2.427, 2.410, 2.397, 2.386 (Jennison and Turnbull 2000)."""
    bounds = norm.isf(np.array(levels((2, 4, 6, 8, 10), 10)) / 2)
    assert bounds == pytest.approx([2.438, 2.427, 2.410, 2.397, 2.386], abs=2e-3)


def test_one_look_costs_nothing():
    assert levels((8,), 8) == pytest.approx((0.05,))
    assert level_at(5, ()) == 0.05


def test_the_error_of_all_looks_together():
    rng = np.random.default_rng(0)
    walks = rng.normal(size=(200_000, 8)).cumsum(1)
    looks = (3, 5, 8)
    bounds = norm.isf(np.array(levels(looks, 8)) / 2)
    z = walks[:, [n - 1 for n in looks]] / np.sqrt(looks)
    assert (np.abs(z) > bounds).any(1).mean() == pytest.approx(0.05, abs=0.0015)


def test_a_look_that_was_not_planned_is_paid_for():
    assert level_at(8, (3, 5, 8)) == levels((3, 5, 8), 8)[-1]
    assert level_at(6, (3, 5, 8)) == levels((3, 5, 6), 8)[-1] < 0.05
    assert level_at(10, (3, 5, 8)) == levels((3, 5, 8, 10), 10)[-1]


@pytest.mark.parametrize("looks", [(), (1, 3), (5, 3), (3, 9)])
def test_looks_must_rise(looks: tuple[int, ...]):
    with pytest.raises(UsageError, match="rising"):
        levels(looks, 8)
