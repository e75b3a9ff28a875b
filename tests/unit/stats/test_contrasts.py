"""Differences of arms: their intervals and tests against scipy and hand arithmetic, corrections, marks and ties."""

import itertools
import json
import math
import random
import statistics

import numpy as np
import pytest
from msgspec.structs import replace
from scipy.stats import beta, binomtest, boschloo_exact, false_discovery_control, t, ttest_ind

from harness.report.comparison import tables
from harness.report.formats import render_comparison
from harness.report.tables import p_value
from harness.runs.result import Macro, RoleMeans
from harness.stats import intervals, multiple
from harness.stats.comparison import compare
from harness.stats.contrasts import Bounds, contrast, contrasts_of, ties_of
from harness.stats.questions import Questions
from harness.stats.scores import Score, cells_of, measures_of, score_of, solved
from harness.stats.seeds import Split, Spread
from harness.stats.verdicts import outcome
from support.results import arms, cells, result, suite_scores


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


# ------------------------------------------------------------------ several arms on several suites, every field by scipy

ROLES = {"x": "ood", "y": "ood", "z": "id"}


def run_of(name, level, seeds, rng, samples=True):
    """An arm on three suites with its questions; its seeds start at 5."""
    numbers = range(5, 5 + seeds)
    questions = {}
    for i, suite in enumerate(ROLES):
        y = np.clip(level + rng.normal(0, 0.03, (seeds, 1)) + rng.normal(0, 0.2, (seeds, 8 + i)), 0, 1)
        questions[suite] = Questions(tuple(f"q{j}" for j in range(8 + i)), tuple(numbers), 4, y, None)
    scores = {s: dict(zip(numbers, q.scores_S_Q.mean(1).tolist(), strict=True)) for s, q in questions.items()}
    suites = {s: suite_scores(scores[s], role=role, n=len(questions[s].ids)) for s, role in ROLES.items()}
    per = {seed: RoleMeans(id=scores["z"][seed], ood=statistics.fmean(scores[s][seed] for s in "xy")) for seed in numbers}
    macro = Macro(id=suites["z"].avg, ood=statistics.fmean(suites[s].avg for s in "xy"), per_seed=per)
    found = replace(result(name, dict.fromkeys(numbers, 0.0)), suites=suites, macro=macro)
    return found, questions if samples else {}


def by_key(questions, key):
    names = {"macro:ood": "xy", "macro:id": "z"}.get(key, key)
    return [questions[s].scores_S_Q for s in names]


def step_down(p):
    """Holm by hand."""
    out, order = {}, sorted(p, key=p.get)
    for i, key in enumerate(order):
        out[key] = max(min(1.0, (len(p) - j) * p[order[j]]) for j in range(i + 1))
    return out


def test_every_field_of_every_contrast():
    rng = np.random.default_rng(6)
    made = [run_of("a", 0.45, 3, rng), run_of("b", 0.5, 3, rng), run_of("c", 0.62, 3, rng), run_of("d", 0.47, 1, rng)]
    results, questions = [r for r, _ in made], [q for _, q in made]
    measures = measures_of(results[0])
    own = cells_of(results, questions, measures)
    apart = Spread(split=Split(at=0.5, low=0.0, high=1.0))
    scores = [{m.key: score_of(r, m.key, apart, c[m.key], "") for m in measures} for r, c in zip(results, own, strict=True)]
    found = contrasts_of(measures, scores, own, 1, {m.key: Spread() for m in measures})
    assert found[1] == {} and [set(x) for x in found if x] == [{m.key for m in measures}] * 3
    p, shares = {}, {}
    for i, m in itertools.product((0, 2, 3), measures):
        x = found[i][m.key]
        a, b = (sum(y.mean(1) for y in by_key(questions[j], m.key)) / len(by_key(questions[j], m.key)) for j in (i, 1))
        assert x.difference == pytest.approx(a.mean() - b.mean())
        shares[i, m.key] = intervals.exact_shares(int((a >= 0.5).sum()), len(a), int((b >= 0.5).sum()), len(b))
        d = [u.mean(0) - v.mean(0) for u, v in zip(by_key(questions[i], m.key), by_key(questions[1], m.key), strict=True)]
        assert x.question_test == "sign-flip" and x.question_p == pytest.approx(intervals.sign_flip([v[None] for v in d])[0])
        if i == 3:
            assert (x.fixed, x.new, x.p, x.p_adjusted, x.mde, x.verdict) == (None,) * 6 and x.note == "one seed: no interval"
            continue
        welch = ttest_ind(a, b, equal_var=False)
        assert (x.fixed.low, x.fixed.high) == pytest.approx(tuple(np.clip(welch.confidence_interval(0.95), -1, 1)))
        se = math.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
        assert (x.fixed.se, x.fixed.df, x.p, x.note) == (
            pytest.approx(se),
            pytest.approx(welch.df),
            pytest.approx(welch.pvalue),
            "",
        )
        p[i, m.key] = x.p
        new = intervals.question_difference(by_key(questions[i], m.key), by_key(questions[1], m.key))
        assert x.new == Bounds(*(pytest.approx(float(v)) for v in (*np.clip(new.interval(), -1, 1), new.se, new.df)))
        assert x.rule == "Welch" and x.verdict == outcome(intervals.seed_difference(a, b), 0.01)
        detectable = (t.ppf(0.975, welch.df) + t.ppf(0.8, welch.df)) * se
        assert x.mde == (None if x.fixed.low > 0 or x.fixed.high < 0 else pytest.approx(detectable))
    assert {x.mde is None for i in (0, 2) for x in found[i].values()} == {True, False}
    for key in ("macro:id", "macro:ood"):
        expected = step_down({i: p[i, key] for i in (0, 2)})
        assert {i: found[i][key].p_adjusted for i in (0, 2)} == pytest.approx(expected)
        assert {found[i][key].correction for i in (0, 2)} == {"Holm"} and found[3][key].correction == ""
        expected = step_down({i: shares[i, key] for i in (0, 2, 3)})
        assert {i: found[i][key].solved_p for i in (0, 2, 3)} == pytest.approx(expected)
    family = [(i, s) for i in (0, 2) for s in ROLES]
    adjusted = false_discovery_control([p[k] for k in family])
    assert [found[i][s].p_adjusted for i, s in family] == pytest.approx(list(adjusted))
    assert {found[i][s].correction for i, s in family} == {"BH"}


def test_ties_are_of_arms_with_two_seeds_by_holm_over_all_pairs():
    rng = np.random.default_rng(9)
    levels = {"a": 0.2, "b": 0.25, "c": 0.6, "d": 0.65, "e": 0.9}
    results = [run_of(n, v, {"e": 1}.get(n, 4), rng)[0] for n, v in levels.items()]
    for key in ("macro:ood", "macro:id", "x"):
        values = {r.method: [(m.ood if key == "macro:ood" else m.id) for m in r.macro.per_seed.values()] for r in results}
        if key == "x":
            values = {r.method: list(r.suites["x"].per_seed.values()) for r in results}
        several = {n: v for n, v in values.items() if len(v) > 1}
        pairs = {
            (a, b): ttest_ind(several[a], several[b], equal_var=False).pvalue for a, b in itertools.combinations(several, 2)
        }
        apart = {pair for pair, value in step_down(pairs).items() if value < 0.05}
        letters = ties_of({n: np.array(v) for n, v in values.items()}, Spread())
        assert set(letters) == set(several) and 0 < len(apart) < len(pairs)
        for a, b in pairs:
            assert bool(set(letters[a]) & set(letters[b])) == ((a, b) not in apart)
        assert "a" in letters[max(several, key=lambda n: statistics.fmean(several[n]))]
    assert ties_of({"d": np.array([0.1, 0.2]), "e": np.array([0.3])}, Spread()) == {}, "one arm is no group"
    flat = {"a": np.array([0.1, 0.1]), "b": np.array([0.9, 0.9])}
    assert ties_of(flat, Spread(floor=0.01)) == {"b": "a", "a": "b"}, "far beyond the score's own resolution"
    assert ties_of(flat, Spread(floor=0.5)) == {"b": "a", "a": "a"}


def score(values, at=None):
    per_seed = dict(enumerate(values))
    return Score(per_seed, statistics.fmean(values), None, None if at is None else solved(values, at))


def test_a_contrast_of_two_seeds_and_of_two_questions_has_intervals():
    a, b = np.array([[0.2, 0.8], [0.4, 0.5]]), np.array([[0.1, 0.4], [0.0, 0.6]])
    one, two = (score(y.mean(1).tolist(), 0.3) for y in (a, b))
    x = contrast(one, two, [Questions(("p", "q"), (0, 1), 4, a, None)], [Questions(("p", "q"), (0, 1), 4, b, None)])
    assert x.fixed and x.new and x.note == "" and (x.question_p, x.question_test, x.correction) == (None, "", "")
    single = contrast(one, two, [Questions(("p",), (0, 1), 4, a[:, :1], None)], [Questions(("p",), (0, 1), 4, b[:, :1], None)])
    assert single.fixed == x.fixed and single.new is None, "one question has no variance"
    assert contrast(one, two, None, [Questions(("p", "q"), (0, 1), 4, b, None)]).new is None
    assert contrast(one, score([0.1, 0.2])).solved_p is None and contrast(score([0.1, 0.2]), two).solved_p is None
    assert contrast(score([0.1]), two).fixed is None and contrast(one, score([0.2])).note == "one seed: no interval"
    assert contrast(one, two, of_questions=(0.25, "some")).question_test == "some"


def test_arms_that_lack_samples_or_spread_have_no_interval_on_new_questions():
    rng = np.random.default_rng(3)
    y, z = rng.random((2, 6)), rng.random((2, 6))
    asked = lambda v: [Questions(tuple("pqrstu"), (0, 1), 4, v, None)]  # noqa: E731
    flat = contrast(score([0.5, 0.5]), score([0.25, 0.25]), asked(y), asked(z))
    assert flat.fixed is None and flat.new is None and flat.note == "no spread over seeds: no interval"
    same = np.full((2, 6), 0.5)
    still = contrast(score([0.5, 0.6]), score([0.2, 0.3]), asked(same), asked(same))
    assert still.fixed and still.new == still.fixed, "what questions add is nothing here, what seeds add remains"
    runs = [result(n, {0: 0.4, 1: 0.5}, n=6) for n in ("grpo", "p2o", "gepa")]
    q = {"tb-long": asked(y)[0]}
    for questions, tested in (([q, {}, q], (False, True)), ([{}, q, q], (False, False)), ([q, q, {}], (True, False))):
        c = compare(runs, questions=questions)
        found = [c.arms[i].contrasts["tb-long"] for i in (1, 2)]
        assert [x.question_p is not None for x in found] == list(tested)
        assert [x.question_test for x in found] == ["sign-flip" if t else "" for t in tested]


def test_mcnemar_is_for_single_outcomes_on_both_sides():
    """Of an arm with one sample and one seed against a baseline with more of either, signs of means are flipped."""
    y = np.array([[1.0, 0, 1, 1, 0, 1]])
    z = np.array([[0.0, 0, 1, 0, 0, 0]])

    def test_of(arm, baseline):
        both = [{"tb-long": q} for q in (baseline, arm)]
        runs = [result(n, {0: q.scores_S_Q.mean()}, n=6) for n, q in (("grpo", baseline), ("p2o", arm))]
        x = compare(runs, questions=both).arms[1].contrasts["tb-long"]
        return x.question_test, x.question_p

    ids = tuple("pqrstu")
    one, other = Questions(ids, (0,), 1, y, None), Questions(ids, (0,), 1, z, None)
    assert test_of(one, other) == ("McNemar", pytest.approx(binomtest(3, 3).pvalue))
    assert test_of(one, Questions(ids, (0,), 4, z, None))[0] == "sign-flip"
    assert test_of(Questions(ids, (0,), 2, y, None), other)[0] == "sign-flip"
    assert test_of(one, Questions(ids, (0, 1), 1, np.vstack([z, z]), None))[0] == "sign-flip"


def test_solved_shares_of_equal_arms_are_rarely_told_apart():
    """19 arms of 8 seeds against a baseline, all of which solve in 30% of seeds: without a correction, one in four
    experiments shows some p below .05. In terminal, Markdown and JSON there is the corrected p alone."""
    rng, adjusted, plain = np.random.default_rng(7), [], []
    for _ in range(2000):
        counts = rng.binomial(8, 0.3, 20)
        p = {i: intervals.exact_shares(int(counts[i]), 8, int(counts[0]), 8) for i in range(1, 20)}
        plain.append(min(p.values()) < 0.05)
        adjusted.append(min(multiple.holm(p).values()) < 0.05)
    print(f"some p solved below .05: {np.mean(plain):.3f} plain, {np.mean(adjusted):.3f} corrected")
    assert np.mean(plain) > 0.15 and np.mean(adjusted) <= 0.05

    solved = [[0] * 8, [1] * 6 + [0] * 2, [1] * 5 + [0] * 3]
    scores = [{s: 0.1 + 0.8 * x + 0.001 * s for s, x in enumerate(own)} for own in solved]
    c = compare([result(m, own) for m, own in zip(("grpo", "p2o", "gepa"), scores, strict=True)], solved_at=0.5)
    exact = {m: boschloo_exact([[n, 0], [8 - n, 8]]).pvalue for m, n in (("p2o", 6), ("gepa", 5))}
    want = {m: p_value(p) for m, p in multiple.holm(exact).items()}
    assert want["p2o"] != p_value(exact["p2o"]) or want["gepa"] != p_value(exact["gepa"])
    tree = c.to_dict()
    for arm in tree["arms"][1:]:
        assert p_value(arm["contrasts"]["macro:ood"]["solved_p"]) == want[arm["label"]]
    tests = next(table for table in tables(c) if table.title == "Tests")
    shown = {row[1]: row[tests.header.index("p solved")] for row in tests.rows[:3]}
    assert shown == {"grpo": "", **want}
    text = render_comparison([], c, "terminal")
    for m, p in want.items():
        assert f" {p} |" in next(x for x in tests.to_markdown().splitlines() if f" {m} |" in x)
        assert any(line.split()[-1] == p for line in text.splitlines() if line.split()[:1] == [m])
