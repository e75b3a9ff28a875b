"""Differences of arms: their intervals and tests against scipy and hand arithmetic, corrections, marks and ties."""

import json
import random
import statistics

import pytest
from scipy.stats import beta, binomtest, boschloo_exact, t, ttest_ind

from harness.stats import intervals, multiple
from harness.stats.comparison import compare
from support.results import arms, cells, result


def test_fixed_suite_interval_is_that_of_welch_whatever_the_seeds_are_called():
    a, b = [0.5, 0.7, 0.65, 0.6], [0.4, 0.5, 0.6, 0.55]
    reference = ttest_ind(a, b, equal_var=False)
    for start in (0, 7):
        seeds = {start + i: v for i, v in enumerate(b)}
        x = compare([result("grpo", seeds), result("p2o", dict(enumerate(a)))]).arms[1].contrasts["macro:ood"]
        assert (x.fixed.low, x.fixed.high) == pytest.approx(tuple(reference.confidence_interval(0.95)))
        assert (x.p, x.p_adjusted, x.correction) == pytest.approx((reference.pvalue, reference.pvalue, "Holm"))
        assert x.difference == pytest.approx(statistics.fmean(a) - statistics.fmean(b))
        assert x.new is None and x.question_p is None, "no samples"
        # the interval holds 0: the effect that had an 80% chance of being seen
        assert x.mde == pytest.approx((t.ppf(0.975, x.fixed.df) + t.ppf(0.8, x.fixed.df)) * x.fixed.se)


def test_corrections_are_holm_over_arms_and_bh_over_suites():
    rng = random.Random(0)
    draw = lambda m: {s: m + rng.gauss(0, 0.02) for s in range(3)}  # noqa: E731
    c = compare([result(name, draw(m)) for name, m in (("grpo", 0.4), ("p2o", 0.44), ("gepa", 0.47), ("x", 0.41))])
    for key, adjust in (("macro:ood", multiple.holm), ("tb-long", multiple.benjamini_hochberg)):
        found = {a.label: a.contrasts[key] for a in c.arms[1:]}
        expected = adjust({label: x.p for label, x in found.items()})
        assert {label: x.p_adjusted for label, x in found.items()} == pytest.approx(expected)


def test_both_intervals_and_the_tests_on_questions():
    results, questions = arms()
    c = compare(results, questions=questions)
    for key in ("macro:ood", "tb-long"):  # one suite: the macro average is that suite
        x = c.arms[1].contrasts[key]
        a, b = (q["tb-long"].scores_S_Q for q in (questions[1], questions[0]))
        e = intervals.question_difference([a], [b])
        assert (x.new.low, x.new.high) == pytest.approx(e.interval())
        assert x.question_test == "sign-flip"
        assert x.question_p == intervals.sign_flip([(a.mean(0) - b.mean(0))[None]])[0]
    s = c.arms[1].scores["tb-long"]
    e, kind = intervals.score([a]), "Korn-Graubard, seeds and questions"
    n = e.value * (1 - e.value) / e.se**2 * (1.959964 / t.ppf(0.975, e.df)) ** 2  # Korn and Graubard 1998
    exact = beta.ppf(0.025, e.value * n, n - e.value * n + 1), beta.ppf(0.975, e.value * n + 1, n - e.value * n)
    assert (s.low, s.high) == pytest.approx(exact, abs=1e-6) and s.kind == kind
    assert compare(results, questions=questions).to_dict() == c.to_dict(), "seeded"


def test_one_outcome_a_question_gets_mcnemar_and_wilson():
    results, questions = arms(seeds=1, k=1, gain=0.3)
    c = compare(results, questions=questions)
    x, s = c.arms[1].contrasts["tb-long"], c.arms[1].scores["tb-long"]
    a, b = (q["tb-long"].scores_S_Q[0] for q in (questions[1], questions[0]))
    won, lost = int((a > b).sum()), int((a < b).sum())
    assert x.question_test == "McNemar" and x.question_p == pytest.approx(binomtest(won, won + lost).pvalue)
    assert (s.low, s.high) == intervals.wilson(a.sum(), 50) and s.kind == "Wilson"
    assert x.fixed is x.new is x.p_adjusted is None and x.mark == "", "one seed proves nothing about training"


def test_an_arm_without_samples_has_what_rests_on_seeds():
    results, questions = arms()
    c = compare(results, questions=[{}, questions[1]])
    x = c.arms[1].contrasts["tb-long"]
    assert x.fixed and x.p is not None and x.new is None and x.question_p is None
    assert c.arms[0].scores["tb-long"].low is None and c.arms[1].scores["tb-long"].low is not None


def test_scores_without_any_spread():
    flat = {0: 0.0, 1: 0.0, 2: 0.0}
    zero = cells([[0.0] * 30] * 3)
    c = compare([result(scores=flat, n=30), result("p2o", flat, n=30)], questions=[zero, zero])
    x, s = c.arms[1].contrasts["tb-long"], c.arms[1].scores["tb-long"]
    half = t.ppf(0.975, 4) * (2 / 3) ** 0.5 / (30 * 4)  # one sample of 30 times 4, either way
    assert (x.fixed.low, x.fixed.high) == pytest.approx((-half, half)) and x.p == x.question_p == 1.0
    assert (s.low, s.high) == pytest.approx(tuple(binomtest(0, 30).proportion_ci(0.95, "exact")))
    assert "nan" not in json.dumps(c.to_dict()).lower() and c.arms[0].scores["tb-long"].ties == "a"


def test_all_of_eight_seeds_against_none_is_a_gain_although_nothing_varies():
    best, worst = ({s: v for s in range(8)} for v in (1.0, 0.0))
    x = compare([result(scores=worst), result("p2o", best)]).arms[1]
    assert x.contrasts["macro:ood"].verdict == "gain" and x.scores["macro:ood"].ties == "a"


def test_the_verdict_follows_the_margin_and_new_questions_are_never_surer():
    results, questions = arms()
    for margin in (0.0, 1.0, 50.0):
        x = compare(results, questions=questions, margin=margin).arms[1].contrasts["macro:ood"]
        expected = "gain" if x.fixed.low > margin / 100 else "equivalent" if x.fixed.high < margin / 100 else "undecided"
        assert x.verdict == expected
        assert x.new.high - x.new.low >= x.fixed.high - x.fixed.low


def test_planned_looks_widen_the_intervals():
    results, _ = arms()
    once, thrice = compare(results), compare(results, looks=(3, 5, 8))
    assert once.alpha == 0.05 > thrice.alpha
    assert thrice.arms[1].contrasts["macro:ood"].fixed.low < once.arms[1].contrasts["macro:ood"].fixed.low


def test_marks_and_ties():
    clear = compare([result(scores={0: 0.40, 1: 0.41, 2: 0.42}), result("p2o", {0: 0.60, 1: 0.61, 2: 0.62})])
    assert [a.scores["tb-long"].ties for a in clear.arms] == ["b", "a"]
    assert clear.arms[1].contrasts["tb-long"].mark == "†", "no questions, so nothing about new ones"
    tied = compare([result(scores={0: 0.40, 1: 0.5, 2: 0.6}), result("p2o", {0: 0.45, 1: 0.55, 2: 0.65})])
    assert "†" not in tied.arms[1].contrasts["tb-long"].mark
    single = compare([result(scores={0: 0.40, 1: 0.41, 2: 0.42}), result("p2o", {0: 0.9}), result("gepa", {0: 0.6, 1: 0.61})])
    assert single.arms[1].scores["tb-long"].ties == ""
    results, questions = arms(gain=0.4)
    assert compare(results, questions=questions).arms[1].contrasts["tb-long"].mark == "‡"


def test_solved_shares_get_an_exact_test():
    low, high = ({s: at + 0.01 * s for s in range(5)} for at in (0.1, 0.9))
    c = compare([result(scores=low), result("p2o", high)], solved_at=0.5)
    assert c.arms[1].contrasts["tb-long"].solved_p == pytest.approx(boschloo_exact([[5, 0], [0, 5]]).pvalue)
    assert [arm.scores["tb-long"].solved.count for arm in c.arms] == [0, 5]


@pytest.mark.parametrize("other", [{0: 0.7}, {0: 0.7, 5: 0.9}, {3: 0.7}])
def test_one_seed_has_no_interval_and_says_why(other):
    c = compare([result("grpo", {0: 0.4}), result("p2o", other)])
    x = c.arms[1].contrasts["tb-long"]
    assert (x.fixed, x.new, x.p, x.note) == (None, None, None, "one seed: no interval")
    assert x.difference == pytest.approx(statistics.fmean(other.values()) - 0.4)
    assert c.arms[0].scores["tb-long"].sd is None
