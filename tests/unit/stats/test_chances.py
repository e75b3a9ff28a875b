"""Planned chances against simulated scores that go through the very rules: seeds that scatter, of two kinds, several looks."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom

from harness.stats import chances, intervals, seeds
from harness.stats.chances import Kinds, Noise
from harness.stats.intervals import Estimate
from harness.stats.looks import levels
from harness.stats.seeds import Spread
from harness.stats.verdicts import on_claim, on_tokens, outcome, prediction

R = 40_000
CLOSE = 0.01  # four standard errors of R experiments: plans have to be right within two points


def rates(found):
    return {str(name): float(np.mean(found == name)) for name in np.unique(found)}


def same(planned, simulated, tolerance=CLOSE):
    names = planned.keys() | simulated.keys()
    assert {n: planned.get(n, 0.0) for n in names} == pytest.approx({n: simulated.get(n, 0.0) for n in names}, abs=tolerance)
    assert sum(planned.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("effect", "sd", "n", "published", "alpha"),
    [
        (4.7, 2.0, 3, 1, 0.05),
        (4.7, 2.0, 8, 3, 0.05),
        (2.35, 1.0, 5, 1, 0.05),
        (0.0, 1.0, 8, 1, 0.05),
        (-3.0, 1.5, 5, 1, 0.05),
        (2.35, 1.0, 16, 100, 0.02),
        (1.0, 2.0, 4, 1, 0.2),
    ],
)
def test_chances_of_a_claims_verdicts(effect, sd, n, published, alpha):
    rng = np.random.default_rng(n)
    e = seeds.difference(rng.normal(effect, sd, (R, n)), rng.normal(0, sd, (R, n)))
    found = on_claim(e, 4.7, 1.0, prediction(e, (n, n), published), alpha)
    same(chances.of_claim(effect, 4.7, 1.0, Noise(sd), n, published, alpha), rates(found))
    same(chances.of_outcome(effect, 1.0, Noise(sd), n, alpha), rates(outcome(e, 1.0, alpha)))


@pytest.mark.parametrize(("sd", "floor", "n"), [(0.2, 0.5, 3), (1.0, 1.0, 4), (0.01, 0.3, 8)])
def test_the_floor_of_the_resolution_counts(sd, floor, n):
    rng = np.random.default_rng(0)
    e = seeds.difference(rng.normal(1.6, sd, (R, n)), rng.normal(0, sd, (R, n)), Spread(floor=floor))
    same(chances.of_outcome(1.6, 1.0, Noise(sd, floor=floor), n), rates(outcome(e, 1.0)))


@pytest.mark.parametrize(
    ("share", "claimed", "effect", "n"), [(0.7, 0.7, 0.0, 5), (0.85, 0.7, 0.0, 5), (1.0, 0.7, 0.0, 8), (0.7, 0.7, -2, 4)]
)
def test_chances_of_a_claim_of_fewer_tokens(share, claimed, effect, n):
    rng = np.random.default_rng(3)
    e = seeds.difference(rng.normal(effect, 0.8, (R, n)), rng.normal(0, 0.8, (R, n)))
    t = seeds.difference(rng.normal(math.log(share), 0.1, (R, n)), rng.normal(0, 0.1, (R, n)))
    same(chances.of_tokens(share, claimed, effect, 1.0, Noise(0.8), Noise(0.1), n), rates(on_tokens(e, t, claimed, 1.0)))


def test_regions_are_those_of_the_rules():
    """Values at random: the region that one falls into is the verdict that the rule gives."""
    rng = np.random.default_rng(4)
    for _ in range(300):
        se, df, value = rng.uniform(0.05, 3), rng.uniform(1, 30), rng.normal(1, 4)
        e, n = Estimate(value, se, df), int(rng.integers(2, 10))
        cases = [
            (chances.outcome_regions(e, 1.0, 0.05), outcome(e, 1.0)),
            (chances.claim_regions(e, 4.7, 1.0, n, 2, 0.03), on_claim(e, 4.7, 1.0, prediction(e, (n, n), 2), 0.03)),
        ]
        for regions, verdict in cases:
            inside = [name for name, (low, high) in regions.items() if low < value < high]
            assert inside == ([] if verdict == "undecided" else [verdict])


@pytest.mark.parametrize(("n", "size", "k"), [(3, 60, 4), (8, 200, 1)])
def test_a_gain_on_new_questions(n, size, k):
    """Questions that differ by a known amount, seeds that move all of them alike, decoding on top."""
    rng, some, sd, spread = np.random.default_rng(5), 3000, 0.02, 0.15
    gain = 0.06 + spread * rng.standard_normal((some, 1, size))
    noise = lambda: rng.normal(0, sd, (some, n, 1)) + rng.normal(0, 0.3 / math.sqrt(k), (some, n, size))  # noqa: E731
    a, b = gain + noise(), noise()
    found = intervals.question_difference([a], [b], these=seeds.difference(a.mean(-1), b.mean(-1)))
    seed_sd = math.hypot(sd, 0.3 / math.sqrt(k * size))
    planned = chances.gain_seen(0.06, 0.01, Noise(seed_sd, spread / math.sqrt(size), question_df=size - 1), n)
    assert planned == pytest.approx(np.mean(found.interval()[0] > 0.01), abs=0.03)


SHARES = list(itertools.product([(0.375, 0.125), (0.875, 0.125), (0.25, 0.0), (0.5, 0.5)], [3, 8, 20]))


@pytest.mark.parametrize(("solving", "n"), SHARES)
def test_chances_where_seeds_are_of_two_kinds(solving, n):
    """Scores scatter within both kinds, by 2 and 3 points, which the plan takes for one sd."""
    rng, kinds = np.random.default_rng(6), Kinds(0.12, 0.80, 0.025)
    arms = [np.where(rng.random((R, n)) < p, rng.normal(0.80, 0.03, (R, n)), rng.normal(0.12, 0.02, (R, n))) for p in solving]
    e = seeds.difference(*arms, seeds.spread_of(arms, solved_at=0.5))
    rule = lambda e, n, level: outcome(e, 0.05, level)  # noqa: E731
    same(chances.of_shares(solving, kinds, n, rule), rates(rule(e, n, 0.05)), tolerance=0.02)
    claimed = lambda e, n, level: on_claim(e, 0.3, 0.05, prediction(e, (n, n), 1), level)  # noqa: E731
    same(chances.of_shares(solving, kinds, n, claimed), rates(claimed(e, n, 0.05)), tolerance=0.02)


def test_two_kinds_table_by_table():
    """The rule of Agresti and Caffo by hand: a seed of each kind on top, t with their seeds and one more of each less one."""
    from scipy.stats import t

    n, gain = 6, 0.0
    for a, b in itertools.product(range(n + 1), repeat=2):
        p, q = (a + 1) / (n + 2), (b + 1) / (n + 2)
        half = t.ppf(0.975, 2 * n + 2) * math.sqrt((p * (1 - p) + q * (1 - q)) / (n + 2))
        gain += binom.pmf(a, n, 0.9) * binom.pmf(b, n, 0.2) * (p - q - half > 0.01)
    found = chances.of_shares((0.9, 0.2), Kinds(within=0.0), n, lambda e, _, level: outcome(e, 0.01, level))
    assert found["gain"] == pytest.approx(gain, abs=1e-6)


@pytest.mark.parametrize(("a", "b", "n", "published"), [(3, 1, 8, 0.14), (7, 1, 8, 0.88)])
def test_shares_need_about_the_seeds_of_the_exact_test(a, b, n, published):
    """Boschloo's test at .05 on every table, against the chance of a gain or a loss above nothing."""
    chance = [binom.pmf(np.arange(n + 1), n, x / 8) for x in (a, b)]
    exact = sum(chance[0][x] * chance[1][y] * (intervals.exact_shares(x, n, y, n) < 0.05) for x, y in np.ndindex(n + 1, n + 1))
    found = chances.of_shares((a / 8, b / 8), Kinds(within=0.0), n, lambda e, _, level: outcome(e, 0.0, level))
    assert exact == pytest.approx(published, abs=0.006)
    assert found["gain"] + found["loss"] == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("two", [False, True])
def test_several_looks_end_at_the_first_verdict(two):
    """Against experiments of another seed that drop out with their verdict."""
    looks, rng, solving, kinds = (3, 5, 8), np.random.default_rng(7), (0.9, 0.2), Kinds(within=0.0)
    at = levels(looks, 8)
    rule = lambda e, n, level: outcome(e, 0.01 if two else 1.0, level)  # noqa: E731
    draw = chances.solving_with(solving, kinds) if two else chances.scattering(3.0, 1.5)
    planned = chances.at_looks(draw, looks, at, rule, kinds=kinds if two else None)
    if two:
        a, b = ((rng.random((R, 8)) < p) * 1.0 for p in solving)
    else:
        a, b = rng.normal(3.0, 1.5, (R, 8)), rng.normal(0, 1.5, (R, 8))
    gains = losses = 0
    for n, level, own in zip(looks, at, planned, strict=True):
        spread = seeds.spread_of([a[:, :n], b[:, :n]], solved_at=0.5) if two else Spread()
        found = rule(seeds.difference(a[:, :n], b[:, :n], spread), n, level)
        gains, losses = gains + np.sum(found == "gain"), losses + np.sum(found == "loss")
        assert own.get("gain", 0.0) == pytest.approx(gains / R, abs=0.015)
        assert own.get("loss", 0.0) == pytest.approx(losses / R, abs=0.005)
        a, b = a[found == "undecided"], b[found == "undecided"]
    assert gains / R > 0.5


def test_seeds_to_decide_are_the_fewest():
    found = chances.seeds_to_decide(4.7, 1.0, 2.0)
    assert found is not None
    assert chances.decided(4.7, 1.0, 2.0, found) >= 0.8 > chances.decided(4.7, 1.0, 2.0, found - 1)
    assert chances.seeds_to_decide(1.0, 1.0, 2.0) is None  # at the margin more seeds do not decide


def test_seeds_to_exclude_a_gain_are_the_fewest():
    found = chances.seeds_to_exclude(4.0, 2.0, wanted=0.7)
    rejects = [n for n in range(3, 60) if chances.gain_seen(4.0, 0.0, Noise(2.0), n, 0.1) >= 0.7]
    assert found == rejects[0] > 3, "a one-sided test that the gain is 4 where there is none"
    assert chances.seeds_to_exclude(0.01, 2.0) is None


def test_seeds_to_decide_between_shares_are_the_fewest():
    kinds, wanted = Kinds(0.1, 0.8), 0.6

    def decided(n):
        found = chances.of_shares((0.9, 0.3), kinds, n, lambda e, _, level: outcome(e, 0.05, level), 0.1)
        return 1 - found.get("undecided", 0.0)

    found = chances.shares_to_decide((0.9, 0.3), kinds, 0.05, 0.1, wanted)
    assert decided(found) >= wanted > decided(found - 1) and found > 3


def test_several_looks_are_simulated_from_seed_0():
    asked = []

    def draw(rng, reps, n):
        asked.append((rng.bit_generator.state, reps, n))
        return np.zeros((reps, n)) + 1.0 + rng.random((reps, n)), rng.random((reps, n))

    chances.at_looks(draw, (3, 5), (0.01, 0.05), lambda e, n, level: outcome(e, 0.1, level))
    assert asked == [(np.random.default_rng(0).bit_generator.state, chances.REPS, 5)]


def test_the_fewest_are_found_over_dips():
    enough = {6, *range(8, 201)}
    assert chances.fewest(lambda n: n in enough) == 6
    assert chances.fewest(lambda n: n in enough, wobble=5) == 8, "7 is not enough"
    assert chances.fewest(lambda n: n >= 200) == 200 and chances.fewest(lambda n: False) is None
    assert chances.fewest(lambda n: True, 3, 10) == 3 and chances.fewest(lambda n: n >= 2) == 2


@pytest.mark.parametrize(
    ("search", "chance"),
    [
        (
            lambda **more: chances.seeds_to_see(4.0, 1.0, 2.0, **more),
            lambda n, alpha: chances.gain_seen(4.0, 1.0, Noise(2.0), n, alpha),
        ),
        (
            lambda **more: chances.seeds_to_exclude(2.0, 2.0, **more),
            lambda n, alpha: chances.gain_seen(2.0, 0.0, Noise(2.0), n, 2 * alpha),
        ),
        (
            lambda **more: chances.seeds_to_decide(4.0, 1.0, 2.0, **more),
            lambda n, alpha: chances.decided(4.0, 1.0, 2.0, n, alpha),
        ),
    ],
)
def test_searches_for_seeds_find_the_fewest_at_their_level(search, chance):
    """By trying one number after another; what is wanted is enough, and three seeds are the least."""
    for alpha, wanted in ((0.05, 0.8), (0.2, 0.8), (0.05, 0.6)):
        enough = [n for n in range(3, 40) if chance(n, alpha) >= wanted]
        assert search(alpha=alpha, wanted=wanted) == enough[0] > 3
    assert search() == search(alpha=0.05, wanted=0.8)
    assert search(wanted=chance(6, 0.05)) == 6 and search(wanted=0.001) == 3


def test_three_seeds_of_two_kinds_are_the_least():
    assert chances.shares_to_decide((1.0, 0.0), Kinds(within=0.0), 0.01, wanted=0.001) == 3
