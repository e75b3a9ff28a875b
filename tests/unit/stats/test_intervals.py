"""Statistics against scipy, hand arithmetic, brute force and closed forms."""

import itertools
import math
import statistics

import numpy as np
import pytest
from scipy import stats as sp

from harness.stats import intervals

RNG = np.random.default_rng(7)


def test_seed_difference_is_welch():
    a, b = [0.5, 0.7, 0.65, 0.6], [0.4, 0.5]
    e = intervals.seed_difference(np.array(a), np.array(b))
    reference = sp.ttest_ind(a, b, equal_var=False)
    assert e.interval() == pytest.approx(tuple(reference.confidence_interval(0.95)))
    assert (e.p(), e.df) == pytest.approx((reference.pvalue, reference.df))
    # many degrees of freedom: 1.960 + 0.842 standard errors
    assert intervals.Estimate(0.0, 1.0, 1e9).mde() == pytest.approx(2.8016, abs=1e-3)


def test_batches_agree_with_single_calls():
    a, b = RNG.random((4, 3, 20)), RNG.random((4, 5, 20))
    together = intervals.question_difference([a, a[..., :7]], [b, b[..., :7]])
    for i in range(4):
        one = intervals.question_difference([a[i], a[i][:, :7]], [b[i], b[i][:, :7]])
        assert (one.value, one.se, one.df) == pytest.approx((together.value[i], together.se[i], together.df[i]))
    a_S, b_S = a.mean(-1), b.mean(-1)
    together, scores = intervals.seed_difference(a_S, b_S), intervals.score([a, a[..., :7]])
    for i in range(4):
        one, alone = intervals.seed_difference(a_S[i], b_S[i]), intervals.score([a[i], a[i][:, :7]])
        assert (one.value, one.se, one.df) == pytest.approx((together.value[i], together.se[i], together.df[i]))
        assert (alone.value, alone.se, alone.df) == pytest.approx((scores.value[i], scores.se[i], scores.df[i]))


def test_residual_is_that_of_a_two_way_analysis_of_variance():
    y = RNG.random((3, 5))
    table = [(s, q, y[s, q]) for s in range(3) for q in range(5)]
    design = np.array([[1, *(s == i for i in (1, 2)), *(q == i for i in (1, 2, 3, 4))] for s, q, _ in table], float)
    values = np.array([v for *_, v in table])
    squares = ((values - design @ np.linalg.lstsq(design, values, rcond=None)[0]) ** 2).sum()
    assert intervals.residual_variance(y) == pytest.approx(squares / (2 * 4) / 15)


def test_question_difference_by_hand():
    a = np.array([[1.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0]])
    b = np.array([[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    # seeds: a .75 .75, b .25 .5; v_seeds = 0 + .03125/2. Differences of question means 1 .5 0 0: variance .2291667, / 4.
    # residuals: a +-0 in columns 1 and 3 and +-.5 in 2 and 4: squares 1, / 3 / 8; b: columns -.125.. see the analysis above
    e = intervals.question_difference([a], [b])
    shared = intervals.residual_variance(a) + intervals.residual_variance(b)
    v = 0.2291667 / 4 + max(0.03125 / 2 - shared, 0)
    assert e.value == pytest.approx(0.375)
    assert e.se**2 == pytest.approx(max(v, 0.03125 / 2), rel=1e-6)
    assert shared == pytest.approx((1 / 3 + 0.375 / 3) / 8)
    assert e.df == pytest.approx(3)  # the seeds vary by less than the residual explains


def test_two_suites_weigh_the_same_whatever_their_size():
    a, b = [RNG.random((3, 30)), RNG.random((3, 300))], [RNG.random((3, 30)), RNG.random((3, 300))]
    e = intervals.question_difference(a, b)
    assert e.value == pytest.approx(np.mean([x.mean() - y.mean() for x, y in zip(a, b, strict=True)]))


def test_seeds_are_counted_once():
    """Without any question effect the new-questions SE is that of the seeds; without any seed effect, of the questions."""
    seeds = RNG.random((3, 1)) * np.ones((1, 40))
    none = np.zeros((3, 40)) + RNG.random((3, 1))
    assert intervals.question_difference([seeds], [none]).se == pytest.approx(
        intervals.seed_difference(seeds.mean(1), none.mean(1)).se
    )
    questions = np.ones((3, 1)) * RNG.random((1, 40))
    e = intervals.question_difference([questions], [np.zeros((3, 40))])
    assert e.interval() == pytest.approx(tuple(sp.ttest_1samp(questions[0], 0).confidence_interval(0.95)))


def test_score_of_one_seed_is_a_t_interval_over_questions():
    y = RNG.random((1, 25))
    assert intervals.score([y]).interval() == pytest.approx(tuple(sp.ttest_1samp(y[0], 0).confidence_interval(0.95)))
    two = [RNG.random((1, 25)), RNG.random((1, 9))]
    assert intervals.score(two).se == pytest.approx(np.sqrt(sum(x.var(ddof=1) / x.size for x in two)) / 2)


def test_score_covers_with_new_seeds_and_questions():
    rng = np.random.default_rng(5)
    y = rng.normal(0, 1, (4000, 1, 40)) + rng.normal(0, 0.2, (4000, 4, 1)) + rng.normal(0, 0.5, (4000, 4, 40))
    low, high = intervals.score([y]).interval()
    assert 0.93 <= np.mean((low <= 0) & (0 <= high)) <= 0.97


def test_sign_flips_against_all_of_them():
    d = RNG.normal(0.3, 1, 10)
    exact = np.mean([abs(np.dot(s, d)) >= abs(d.sum()) - 1e-12 for s in itertools.product((-1, 1), repeat=10)])
    reference = sp.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert reference.pvalue == pytest.approx(exact)
    p = intervals.sign_flip([np.stack([d, 0 * d, np.full(10, 0.2)])])
    assert abs(p[0] - exact) < 4 * np.sqrt(exact * (1 - exact) / intervals.RESAMPLES)
    assert p[1] == 1.0
    assert abs(p[2] - 2 / 1024) < 4 * np.sqrt(2 / 1024 / intervals.RESAMPLES)
    assert list(intervals.sign_flip([d[None]])) == list(intervals.sign_flip([d[None]], 0)), "seeded"
    assert len({float(intervals.sign_flip([d[None]], seed)[0]) for seed in range(4)}) > 1


def test_no_permutation_p_is_zero():
    """The observed assignment is one of those counted: p >= 1 / (1 + resamples) (Phipson and Smyth 2010), here exactly."""
    d = np.stack([np.full(200, 0.5), np.full(200, -0.5)])
    assert intervals.RESAMPLES == 9999
    assert intervals.sign_flip([d]).tolist() == [1e-4, 1e-4], "none of the 9,999 gives a sum as large"
    assert intervals.sign_flip([np.zeros((1, 200))]).tolist() == [1.0], "all of them do"
    tiny = [np.full((1, 20), 6e-7)] * 2
    assert intervals.sign_flip(tiny).tolist() == [1.0], "what float32 cannot tell from 0 is no difference"
    [p] = intervals.sign_flip([np.full((1, 1), 0.3)])
    assert p == 1.0, "either sign of one difference is as large as the other"


def test_sign_flips_of_a_macro_average_weigh_suites():
    d = [RNG.normal(0.5, 1, 6), RNG.normal(0.5, 1, 4)]
    flips = itertools.product((-1, 1), repeat=10)
    value = lambda s: (np.dot(s[:6], d[0]) / 6 + np.dot(s[6:], d[1]) / 4) / 2
    exact = np.mean([abs(value(s)) >= abs(value((1,) * 10)) - 1e-12 for s in flips])
    [p] = intervals.sign_flip([x[None] for x in d])
    assert abs(p - exact) < 4 * np.sqrt(exact * (1 - exact) / intervals.RESAMPLES)


def test_mcnemar_is_a_sign_test_of_the_questions_that_differ():
    a, b = np.array([1] * 9 + [0] * 3 + [1] * 20), np.array([0] * 9 + [1] * 3 + [1] * 20)
    # 2 * (C(12,0) + C(12,1) + C(12,2) + C(12,3)) / 2^12
    assert intervals.mcnemar(a, b) == pytest.approx(2 * (1 + 12 + 66 + 220) / 4096)
    assert intervals.mcnemar(a, a) == 1.0


def test_wilson_by_its_formula():
    z, n, p = sp.norm.ppf(0.975), 30, 0.1
    centre, half = (p + z**2 / 2 / n) / (1 + z**2 / n), z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / 4 / n**2)
    assert intervals.wilson(3, 30) == pytest.approx((centre - half, centre + half))


@pytest.mark.parametrize("n", [3, 5])
def test_exact_test_of_shares_keeps_its_level(n):
    """Its size, by full enumeration, is at most 5% whatever the common share; and it is no weaker than Fisher's."""
    p = {(i, j): intervals.exact_shares(i, n, j, n) for i in range(n + 1) for j in range(n + 1)}
    for share in np.linspace(0.02, 0.98, 49):
        pmf = sp.binom.pmf(np.arange(n + 1), n, share)
        assert sum(pmf[i] * pmf[j] for (i, j), value in p.items() if value <= 0.05) <= 0.05 + 1e-9
    assert all(value <= sp.fisher_exact([[i, j], [n - i, n - j]]).pvalue + 1e-6 for (i, j), value in p.items())
    assert p[n, n] == p[0, 0] == 1.0
    if n == 3:  # three of three against none: 2 (1/2)^3 (1/2)^3
        assert p[3, 0] == pytest.approx(1 / 32)


def test_question_variance_takes_noise_out():
    rng = np.random.default_rng(3)
    true = rng.normal(0, 0.3, 4000)
    a, b = true + rng.normal(0, 0.4, (3, 4000)), rng.normal(0, 0.4, (3, 4000))
    assert intervals.question_variance([a], [b]) == pytest.approx(0.09 / 4000, rel=0.1)
    assert intervals.question_variance([b], [b]) == 0.0


# ------------------------------------------------------------------ by definition, one number at a time


def squares(values):
    return sum((v - statistics.fmean(values)) ** 2 for v in values)


def residual(cells):
    """Variance of the grand mean from what is left of (S, Q) without row and column means: an F table by hand."""
    rows, columns = [statistics.fmean(r) for r in cells], [statistics.fmean(c) for c in zip(*cells, strict=True)]
    grand, S, Q = statistics.fmean(rows), len(rows), len(columns)
    left = sum((cells[i][j] - rows[i] - columns[j] + grand) ** 2 for i in range(S) for j in range(Q))
    return left / ((S - 1) * (Q - 1)) / (S * Q)


def seeds_part(arm):
    """Variance of the macro average over seeds, with its degrees of freedom."""
    per_seed = [statistics.fmean(statistics.fmean(suite[s]) for suite in arm) for s in range(len(arm[0]))]
    return statistics.variance(per_seed) / len(per_seed), len(per_seed) - 1


def combined(seeds, questions, shared):
    """Standard error and Satterthwaite's degrees of freedom of components (variance, df); the rule of docs/statistics.md."""
    v_seeds, v_questions = sum(v for v, _ in seeds), sum(v for v, _ in questions)
    v = max(v_questions + max(v_seeds - shared, 0), v_seeds)
    parts = [*seeds, *questions] if v_seeds > shared else questions
    whole = v if v_seeds > shared else v_questions
    spread = sum(x**2 / df for x, df in parts)
    return math.sqrt(v), whole**2 / spread if spread else min(df for _, df in questions)


def suites(rng, seeds, sizes, seed_sd):
    """Cells of an arm on several suites: its own level for every seed, question and cell."""
    level = rng.normal(0, seed_sd, (seeds, 1))
    return [rng.normal(0.5, 0.2, (1, q)) + level + rng.normal(0, 0.1, (seeds, q)) for q in sizes]


@pytest.mark.parametrize("seed_sd", [0.0, 0.02, 0.5])
@pytest.mark.parametrize("sizes", [(9,), (5, 12), (4, 7, 20)])
@pytest.mark.parametrize("seeds", [(2, 2), (3, 5)])
def test_two_way_errors_by_definition(seed_sd, sizes, seeds):
    rng = np.random.default_rng([len(sizes), *seeds, int(100 * seed_sd)])
    a, b = (suites(rng, n, sizes, seed_sd) for n in seeds)
    m = len(sizes)
    columns = lambda x: x.mean(0).tolist()  # noqa: E731
    pairs = [[u - v for u, v in zip(columns(x), columns(y), strict=True)] for x, y in zip(a, b, strict=True)]
    noise = [residual(x.tolist()) + residual(y.tolist()) for x, y in zip(a, b, strict=True)]
    questions = [(squares(d) / (len(d) - 1) / len(d) / m**2, len(d) - 1) for d in pairs]
    found = intervals.question_difference(a, b)
    se, df = combined([seeds_part(a), seeds_part(b)], questions, sum(noise) / m**2)
    assert found.value == pytest.approx(statistics.fmean(statistics.fmean(d) for d in pairs))
    assert (found.se, found.df) == pytest.approx((se, df))
    plain = [squares(d) / (len(d) - 1) / len(d) for d in pairs]
    expected = max(0.0, sum(v - n for v, n in zip(plain, noise, strict=True)) / m**2)
    assert intervals.question_variance(a, b) == pytest.approx(expected)
    own = [(squares(columns(x)) / (x.shape[1] - 1) / x.shape[1] / m**2, x.shape[1] - 1) for x in a]
    found = intervals.score(a)
    assert found.value == pytest.approx(statistics.fmean(x.mean() for x in a))
    assert (found.se, found.df) == pytest.approx(combined([seeds_part(a)], own, sum(residual(x.tolist()) for x in a) / m**2))


def test_question_variance_of_single_seeds_takes_nothing_out():
    """The noise of decoding cannot be told from questions with one seed: only that of the arm with two is taken out."""
    one, two = RNG.random((1, 8)), RNG.normal(0, 5, (2, 8))
    d = one[0] - two.mean(0)
    assert intervals.question_variance([one], [one[:, ::-1]]) == pytest.approx((one[0] - one[0, ::-1]).var(ddof=1) / 8)
    assert intervals.question_variance([one], [two]) == pytest.approx(max(0, d.var(ddof=1) / 8 - residual(two.tolist())))


@pytest.mark.parametrize("way", [intervals.question_difference, intervals.question_variance])
def test_arms_with_other_suites_are_not_paired(way):
    a = RNG.random((2, 5))
    for x, y in (([a], [a, a]), ([a, a], [a])):
        with pytest.raises(ValueError):
            way(x, y)


@pytest.mark.parametrize(("df", "alpha", "power"), [(4.0, 0.05, 0.8), (2.5, 0.01, 0.9), (30.0, 0.2, 0.5)])
def test_both_ends_of_the_interval_p_and_detectable_effect(df, alpha, power):
    e = intervals.Estimate(0.3, 0.2, df)
    assert e.interval(alpha) == pytest.approx(sp.t(df, 0.3, 0.2).interval(1 - alpha))
    assert e.p() == pytest.approx(sp.t(df).sf(1.5) + sp.t(df).cdf(-1.5)) == intervals.Estimate(-0.3, 0.2, df).p()
    assert e.mde(alpha, power) == pytest.approx(0.2 * (sp.t(df).isf(alpha / 2) + sp.t(df).isf(1 - power)))
    assert e.mde() == pytest.approx(0.2 * (sp.t(df).isf(0.025) + sp.t(df).isf(0.2)))
    assert e.interval() == pytest.approx(sp.t(df, 0.3, 0.2).interval(0.95))
    low, high = e.interval(e.p())  # by a quantile, which scipy finds to ten digits or so
    assert low == pytest.approx(0, abs=1e-8 * high), "p is the level at which the interval ends at 0"


def test_a_spread_begins_beyond_the_last_digits():
    assert [bool(intervals.Estimate(0.0, se, 3).spread) for se in (0.0, 1e-9, 1.1e-9, 1e-3)] == [False, False, True, True]


@pytest.mark.filterwarnings("error")
def test_no_spread_has_the_least_degrees_of_freedom():
    flat = lambda n: np.full(n, 0.5)  # noqa: E731
    e = intervals.seed_difference(flat(3), flat(6))
    assert (e.value, e.se, e.df) == (0.0, 0.0, 2)
    one = intervals.seed_difference(np.array([0.1, 0.3]), flat(6))
    assert (one.se, one.df) == pytest.approx((0.1, 1.0)), "all spread is the first arm's"
    none = intervals.question_difference([np.full((2, 4), 0.5)], [np.full((3, 4), 0.25)])
    assert (none.value, none.se, none.df) == (0.25, 0.0, 3)


@pytest.mark.parametrize("table", [(0, 3, 0, 5), (3, 3, 5, 5), (0, 3, 5, 5), (1, 3, 2, 5), (3, 3, 0, 5), (1, 4, 0, 2)])
def test_exact_shares_of_arms_of_different_sizes(table):
    a, n, b, m = table
    found = intervals.exact_shares(*table)
    if a + b in (0, n + m):
        assert found == 1.0
    else:
        assert found == pytest.approx(min(1, sp.boschloo_exact([[a, b], [n - a, m - b]]).pvalue))
    assert 0 < found <= 1 and found == pytest.approx(intervals.exact_shares(b, m, a, n), abs=1e-6)
    assert found == pytest.approx(intervals.exact_shares(n - a, n, m - b, m), abs=1e-6)


def test_mcnemar_counts_in_both_directions():
    a, b = np.array([1, 1, 1, 0, 0, 1, 0]), np.array([0, 0, 0, 0, 1, 1, 0])
    assert intervals.mcnemar(a, b) == intervals.mcnemar(b, a) == pytest.approx(sp.binomtest(3, 4).pvalue) == 0.625
    assert intervals.mcnemar(a[:1], b[:1]) == 1.0


def test_wilson_rounds_and_reaches_the_ends():
    assert intervals.wilson(2.9999999, 30) == intervals.wilson(3, 30) and intervals.wilson(3.4, 30) == intervals.wilson(3, 30)
    z2 = sp.norm.isf(0.025) ** 2
    assert intervals.wilson(0, 10) == pytest.approx((0, z2 / (10 + z2)))
    assert intervals.wilson(10, 10) == pytest.approx((10 / (10 + z2), 1))
