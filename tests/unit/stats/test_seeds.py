"""The difference over seeds against other implementations, formulas and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, special, stats

from harness.stats import seeds
from harness.stats.seeds import Split, Spread
from support.moderated import moderated, prior_of


def draw(seed: int, *size: int, at: float = 0.5, sd: float = 0.02):
    return np.random.default_rng(seed).normal(at, sd, size)


def test_equal_numbers_of_seeds_are_welch():
    a, b = draw(0, 5), draw(1, 5, sd=0.05)
    found = seeds.difference(a, b)
    expected = stats.ttest_ind(a, b, equal_var=False)
    assert found.rule == "Welch"
    assert found.p() == pytest.approx(expected.pvalue)
    assert found.interval() == pytest.approx(tuple(expected.confidence_interval()))


def test_paired_seeds_are_the_paired_t_test():
    a, b = draw(0, 5), draw(1, 5)
    found = seeds.difference(a, b, paired=True)
    expected = stats.ttest_rel(a, b)
    assert found.rule == "paired"
    assert found.p() == pytest.approx(expected.pvalue)
    assert found.interval() == pytest.approx(tuple(expected.confidence_interval()))


def test_unequal_numbers_have_the_critical_value_of_cochran_and_cox():
    a, b = draw(0, 3, sd=0.08), draw(1, 8)
    va, vb = a.var(ddof=1) / 3, b.var(ddof=1) / 8
    critical = (va * stats.t.ppf(0.975, 2) + vb * stats.t.ppf(0.975, 7)) / (va + vb)
    low, high = seeds.difference(a, b).interval()
    assert (high - low) / 2 == pytest.approx(critical * np.sqrt(va + vb), rel=1e-4)


def test_unequal_numbers_hold_the_truth_where_welch_does_not():
    """Two noisy seeds against eight quiet ones: Welch's intervals hold the truth in 89%."""
    a, b = draw(0, 20_000, 2, sd=0.04), draw(1, 20_000, 8, sd=0.01)
    low, high = seeds.difference(a, b).interval()
    assert np.mean((low <= 0) & (0 <= high)) == pytest.approx(0.943, abs=0.006)
    welch = stats.ttest_ind(a, b, axis=1, equal_var=False).pvalue
    assert np.mean(welch < 0.05) > 0.1


def test_shares_of_noughts_and_ones_are_agresti_and_caffo():
    """3 of 8 against 1 of 8, with t at 18 degrees of freedom in place of the normal quantile."""
    a, b = np.array([1.0] * 3 + [0] * 5), np.array([1.0] + [0] * 7)
    found = seeds.difference(a, b, Spread(split=Split(at=0.5, low=0.0, high=1.0)))
    p, q = 4 / 10, 2 / 10
    half = stats.t.ppf(0.975, 18) * np.sqrt(p * (1 - p) / 10 + q * (1 - q) / 10)
    assert found.rule == "shares" and found.value == pytest.approx(0.25)
    assert found.interval() == pytest.approx((p - q - half, p - q + half))


@pytest.mark.parametrize("n", [3, 5, 8, 16])
@pytest.mark.parametrize("shares", [(0.125, 0.125), (0.25, 0.0), (0.375, 0.125), (0.95, 0.05), (0.9, 0.6)])
def test_seeds_of_two_kinds_hold_the_truth(n: int, shares: tuple[float, float]):
    """Unsolved N(12, 2), solved N(80, 3) points: Welch's interval holds the truth in as little as 44%."""
    rng = np.random.default_rng(n)

    def arm(p: float):
        return np.where(rng.random((8000, n)) < p, rng.normal(0.80, 0.03, (8000, n)), rng.normal(0.12, 0.02, (8000, n)))

    a, b = arm(shares[0]), arm(shares[1])
    low, high = seeds.difference(a, b, seeds.spread_of([a, b], solved_at=0.5)).interval()
    true = 0.68 * (shares[0] - shares[1])
    assert np.mean((low <= true) & (true <= high)) > 0.93
    assert np.mean(low > true) < 0.028 and np.mean(high < true) < 0.05


def test_two_kinds_are_seen_where_they_are_and_not_in_normal_seeds():
    rng = np.random.default_rng(0)
    normal = [[rng.normal(0.5, 0.03, 8) for _ in range(2)] for _ in range(300)]
    assert sum(seeds.split_of(arms) is not None for arms in normal) <= 1
    solved = np.array([0.8, 0.82, 0.12, 0.11, 0.13, 0.79, 0.1, 0.12])
    found = seeds.split_of([solved, np.full(8, 0.12)])
    assert found is not None and 0.2 < found.at < 0.7
    assert (found.low, found.high) == pytest.approx((np.r_[solved[solved < 0.5], np.full(8, 0.12)].mean(), 0.8033), abs=1e-3)


def test_arms_that_are_far_apart_are_not_two_kinds_of_seeds():
    assert seeds.split_of([np.array([0.8, 0.81, 0.79]), np.array([0.2, 0.21, 0.22])]) is None


def test_a_kind_that_no_seed_shows_is_at_the_end_of_the_scale():
    found = seeds.split_of([np.array([0.1, 0.12]), np.array([0.11, 0.1])], solved_at=0.5)
    assert found is not None and found.high == 1.0 and found.low == pytest.approx(0.1075)


def test_scores_without_spread_are_no_more_certain_than_their_resolution():
    floor = seeds.resolution([(640, 8)])
    one_sample = seeds.difference(np.full(8, 1.0), np.full(8, 1 - 1 / 5120), Spread(floor=floor))
    assert one_sample.p() > 0.05
    apart = seeds.difference(np.full(8, 1.0), np.full(8, 0.0), Spread(floor=floor))
    low, high = apart.interval()
    assert low > 0.99 and high < 1.01
    nearly = seeds.difference(np.full(3, 0.998), np.full(3, 0.999), Spread(floor=seeds.resolution([(1000, 1)])))
    assert nearly.interval()[0] < 0 < nearly.interval()[1]


def test_the_resolution_of_a_macro_average():
    assert seeds.resolution([(100, 4)]) == pytest.approx(1 / 400)
    assert seeds.resolution([(100, 4), (30, 16)]) == pytest.approx(np.hypot(1 / 400, 1 / 480) / 2)


def test_the_prior_finds_the_variance_that_arms_share():
    """2,000 arms whose variances are 4 times 10 over a chi-square of 10 degrees of freedom."""
    rng = np.random.default_rng(0)
    sds = np.sqrt(4 * 10 / rng.chisquare(10, 2000))
    found = prior_of([rng.normal(0, sd, 5) for sd in sds])
    assert found is not None
    assert found.variance == pytest.approx(4, rel=0.06) and found.df == pytest.approx(10, rel=0.2)


def test_the_prior_solves_the_equations_of_smyth():
    """Section 6.2: excess = trigamma(d0 / 2) and the mean log variance, arms of 3 to 8 seeds; by root finding."""
    rng = np.random.default_rng(3)
    arms = [rng.normal(0, sd, n) for sd, n in zip(rng.uniform(0.5, 4, 12), [3, 5, 8, 4] * 3, strict=True)]
    d = np.array([len(x) - 1 for x in arms])
    e = np.log([x.var(ddof=1) for x in arms]) - special.digamma(d / 2) + np.log(d / 2)
    excess = ((e - e.mean()) ** 2).sum() / (len(e) - 1) - special.polygamma(1, d / 2).mean()
    d0 = optimize.brentq(lambda x: special.polygamma(1, x / 2) - excess, 1e-3, 1e6)
    found = prior_of(arms)
    assert found.df == pytest.approx(d0, rel=1e-6)
    assert found.variance == pytest.approx(np.exp(e.mean() + special.digamma(d0 / 2) - np.log(d0 / 2)), rel=1e-6)


def test_the_prior_is_the_distribution_of_the_variances():
    """The sample variances over the prior's follow F with the arms' and the prior's degrees of freedom: 4,000 arms."""
    rng = np.random.default_rng(1)
    sds = np.sqrt(2 * 6 / rng.chisquare(6, 4000))
    arms = [rng.normal(0, sd, 4) for sd in sds]
    found = prior_of(arms)
    ratios = [x.var(ddof=1) / found.variance for x in arms]
    assert stats.kstest(ratios, stats.f(3, found.df).cdf).pvalue > 0.05


def test_a_variance_is_raised_and_never_lowered():
    arms = [draw(i, 4, sd=0.02) for i in range(8)]
    prior = prior_of(arms)
    calm, wild = np.array([0.5, 0.5001, 0.4999, 0.5]), draw(9, 4, sd=0.2)
    assert moderated(calm, arms[0], prior).se > seeds.difference(calm, arms[0]).se
    assert moderated(wild, wild, prior).se == pytest.approx(float(seeds.difference(wild, wild).se))
    assert prior_of(arms[:3]) is None


def test_a_difference_does_not_depend_on_company():
    a, b = draw(0, 4, sd=0.02), draw(1, 4, sd=0.02)
    alone = seeds.difference(a, b, seeds.spread_of([a, b]))
    among = seeds.difference(a, b, seeds.spread_of([a, b, *(draw(i, 4, sd=0.01) for i in range(2, 12))]))
    assert alone.interval() == among.interval() and alone.rule == among.rule == "Welch"


@pytest.mark.parametrize("n", [2, 3, 8])
def test_counts_of_solved_seeds_say_what_their_scores_say(n):
    """Every table, those in which neither arm shows a kind included."""
    a, b = (x.ravel() for x in np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij"))
    arms = [np.where(np.arange(n) < count[:, None], 0.8, 0.12) for count in (a, b)]
    expected = seeds.difference(*arms, seeds.spread_of(arms, solved_at=0.5))
    found = seeds.counted((a, b), n, 0.12, 0.8)
    for name in ("value", "se", "df", "centre"):
        assert getattr(found, name) == pytest.approx(np.broadcast_to(getattr(expected, name), found.value.shape))
    assert found.rule == expected.rule == "shares"
    rng = np.random.default_rng(0)
    moved = [np.where(np.arange(n) < c[:, None], 0.8, 0.12) + rng.normal(0, 0.03, (4000, len(c), n)) for c in (a, b)]
    mean = (seeds.difference(*moved, seeds.spread_of(moved, solved_at=0.5)).se ** 2).mean(0)
    loose = seeds.counted((a, b), n, 0.12, 0.8, 0.03**2).se ** 2
    both = (a + b > 0) & (a + b < 2 * n)
    assert loose[both] == pytest.approx(mean[both], abs=3e-4), "with a variance within the kinds, on average"


def test_a_split_says_whether_it_was_declared():
    arms = [np.array([0.1, 0.12, 0.9, 0.88]), np.array([0.1, 0.11, 0.13, 0.91])]
    assert seeds.split_of(arms, 0.5).declared and not seeds.split_of(arms).declared


@pytest.mark.parametrize(("gap", "seen"), [(0.142, True), (0.141, False)])
def test_a_gap_counts_from_five_standard_deviations_within_its_sides(gap: float, seen: bool):
    """Sides of seeds 0.04 apart: their pooled standard deviation is 0.04 / sqrt(2), and five of them 0.1414."""
    arm = np.array([0.10, 0.14, 0.14 + gap, 0.18 + gap])
    found = seeds.split_of([arm])
    assert (found is not None) is seen
    assert not seen or found.at == pytest.approx(0.14 + gap / 2)
    wide = np.array([0.10, 0.14, 0.50])
    pooled = seeds.split_of([arm, np.array([*wide, 0.9])])
    assert pooled is None or pooled.at > 0.3, "the widest gap of all arms is the one that is looked at"


def test_sides_of_several_seeds_weigh_as_much_as_their_seeds():
    """A side of six seeds 0.03 from their mean and one of two that agree: six squares over 6 degrees of freedom are 0.03 again,
    and five of them 0.15."""
    for gap, seen in ((0.151, True), (0.149, False)):
        arm = np.array([0.10, 0.16, 0.10, 0.16, 0.10, 0.16, 0.16 + gap, 0.16 + gap])
        assert (seeds.split_of([arm]) is not None) is seen


def test_one_degree_of_freedom_shows_no_two_kinds():
    assert seeds.split_of([np.array([0.1, 0.1001, 0.9])]) is None and seeds.split_of([np.array([0.1, 0.9])]) is None
    assert seeds.split_of([np.array([0.1, 0.1001, 0.9, 0.9001])]) is not None


def test_a_gap_counts_from_ten_points():
    for top, seen in ((0.125, True), (0.1, True), (0.0999, False)):
        found = seeds.split_of([np.array([0.0, 0.0, 0.0, top, top, top])])
        assert (found is not None) is seen
        assert not seen or (found.at, found.low, found.high) == pytest.approx((top / 2, 0.0, top))


def test_the_widest_gap_within_an_arm_counts_though_one_between_arms_is_wider():
    found = seeds.split_of([np.array([0.1, 0.1, 0.3, 0.3]), np.array([0.9, 0.9])])
    assert found.at == pytest.approx(0.2) and found.low == pytest.approx(0.1)
    assert found.high == pytest.approx((0.3 * 2 + 0.9 * 2) / 4)


def test_a_spread_for_a_file_has_plain_numbers():
    arms = [np.array([0.1, 0.9]), np.array([0.2, 0.8])]
    found = seeds.spread_of(arms, 0.01, 0.5)
    plain = seeds.as_numbers(found)
    assert plain == found and plain.floor == 0.01 and plain.split.declared and plain.split.at == 0.5
    assert [type(x) for x in (plain.split.low, plain.split.high)] == [float, float]
    assert (plain.split.low, plain.split.high) == (pytest.approx(0.15), pytest.approx(0.85))
    assert seeds.as_numbers(Spread(floor=0.02)) == Spread(floor=0.02)


def test_pairs_differ_by_no_less_than_their_scores_resolve():
    """Differences without spread: each of the two scores has the floor's variance."""
    found = seeds.difference(np.full(4, 0.6), np.full(4, 0.5), Spread(floor=0.01), paired=True)
    assert found.se == pytest.approx(np.sqrt(2 * 0.01**2 / 4)) and found.value == pytest.approx(0.1)


def test_a_variance_within_the_kinds_is_that_of_the_seeds_alone():
    """Of n seeds and one of each kind on top, which have none: n of n + 2, and the mean of n + 2 once more."""
    for n in (2, 5):
        plain, loose = (seeds.counted((1, 1), n, 0.1, 0.9, within) for within in (0.0, 0.02))
        assert loose.se**2 - plain.se**2 == pytest.approx(2 * 0.02 * n / (n + 2) / (n + 2))
