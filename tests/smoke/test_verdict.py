"""Monte Carlo: intervals cover what they say, tests err as rarely as they say, the verdict rule does what it was designed for.

The short version of tests/checks/verdict_monte_carlo.py, which prints all of it to more digits.
"""

import importlib.util
import itertools
import math

import pytest

from support.paths import ROOT

SCRIPT = ROOT / "tests" / "checks" / "verdict_monte_carlo.py"
spec = importlib.util.spec_from_file_location("verdict_monte_carlo", SCRIPT)
mc = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mc)


@pytest.mark.parametrize("design", mc.DESIGNS, ids=lambda d: "-".join(map(str, d)))
def test_intervals_cover_and_differences_are_seldom_false(design):
    """95% intervals hold the truth in 93 to 97% of experiments; without a true difference at most 5.5% exclude 0."""
    reps = 20000 if design[1] == 30 else 8000
    for gain in (0.0, 0.4):
        shares = mc.coverage(reps, 0, gain, design, "usual")
        assert all(0.93 <= share <= 0.97 for share in shares), (gain, shares)
        if gain == 0.0:  # the population's difference is 0, and its interval excludes it as often as it fails to cover
            assert 1 - shares[1] <= 0.055, shares


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("sd", [0.5, 2.0])
def test_equal_arms_are_seldom_told_apart_on_their_own_questions(seeds, sd):
    null = mc.characteristics(20000, 0, 0.0, sd, seeds)
    confirmed, contradicted = sum(null[:3]), null[4]
    assert confirmed + contradicted <= 0.055


@pytest.mark.parametrize(("questions", "k"), list(itertools.product((30, 500), (1, 16))))
def test_sign_flips_keep_their_level(questions, k):
    assert mc.wrong_on_questions(1000, 0, questions, k) <= 0.055


@pytest.mark.parametrize("key", mc.CHARACTERISTICS, ids=str)
def test_operating_characteristics_are_as_designed(key):
    """Within the rounding of the designed table and the error of both simulations, its own taken as of 4,000 runs."""
    reps = 20000
    for found, designed in zip(mc.characteristics(reps, 0, *key), mc.CHARACTERISTICS[key], strict=True):
        p = max(designed, 0.005)
        assert abs(found - designed) <= 0.005 + 3 * math.sqrt(p * (1 - p) * (1 / reps + 1 / 4000))
