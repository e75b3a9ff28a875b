"""Scores: their spread over seeds, and the share of seeds that solve a suite."""

import math
import statistics

import numpy as np
import pytest
from msgspec.structs import replace
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import beta, norm, t

from harness.core.errors import UsageError
from harness.runs.result import Macro, RoleMeans
from harness.stats.comparison import compare
from harness.stats.questions import Questions
from harness.stats.scores import (
    Measure,
    Solved,
    cells_of,
    measures_of,
    pooled_sd,
    score_interval,
    score_of,
    scores_by_seed,
    solved,
)
from harness.stats.seeds import Split, Spread
from support.results import result, suite_scores

SUITES = {  # of an arm of two seeds: role, title and score per seed
    "b": ("ood", "Suite B", {3: 0.2, 8: 0.4}),
    "a": ("id", "Suite A", {3: 0.5, 8: 0.9}),
    "d": ("other", "Suite D", {3: 0.0, 8: 1.0}),
    "c": ("ood", "Suite C", {3: 0.6, 8: 0.6}),
}


def arm(names=tuple(SUITES), **more):
    """A result on these suites; the protocol of each is its own."""
    suites = {
        name: suite_scores(
            SUITES[name][2],
            role=SUITES[name][0],
            title=SUITES[name][1],
            n=10 + i,
            k=2 + i,
            flagged=["p0"] * i,
            avg_clean=0.1 * i if i else None,
        )
        for i, name in enumerate(names)
    }

    def mean(role, seed=None):
        own = [s.avg if seed is None else s.per_seed[seed] for s in suites.values() if s.role == role]
        return statistics.fmean(own) if own else None

    per_seed = {seed: RoleMeans(id=mean("id", seed), ood=mean("ood", seed)) for seed in (3, 8)}
    return replace(
        result(scores={3: 0.0, 8: 0.0}), suites=suites, macro=Macro(id=mean("id"), ood=mean("ood"), per_seed=per_seed), **more
    )


def cell(y_S_Q, k=4, ids=None):
    y = np.array(y_S_Q, float)
    return Questions(ids or tuple(f"p{i}" for i in range(y.shape[1])), tuple(range(len(y))), k, y, None)


def test_measures_go_role_by_role_with_the_macro_average_first():
    found = measures_of(arm())
    assert [m.key for m in found] == ["macro:ood", "b", "c", "macro:id", "a", "d"], "no macro average of other suites"
    assert found[3] == Measure("macro:id", "ID macro average", "id", None, 0)
    assert found[0] == Measure("macro:ood", "OOD macro average", "ood", None)
    protocol = {"n": 13, "k": 5, "temperature": 0.6, "max_new_tokens": 32}
    assert found[2] == Measure("c", "Suite C", "ood", protocol, 3) and found[1].flagged == 0
    assert [m.key for m in measures_of(arm(["d"]))] == ["d"]


def test_scores_by_seed_of_a_suite_and_of_a_role():
    assert scores_by_seed(arm(), "b") == {3: 0.2, 8: 0.4}
    assert scores_by_seed(arm(), "macro:ood") == pytest.approx({3: 0.4, 8: 0.5})
    assert scores_by_seed(arm(), "macro:id") == {3: 0.5, 8: 0.9} and scores_by_seed(arm(["d"]), "macro:ood") == {}


def test_cells_of_a_measure_are_those_of_its_suites_and_of_all_or_none():
    own = {name: cell(np.full((2, 3), i)) for i, name in enumerate("abcd")}
    measures = measures_of(arm())
    [found] = cells_of([arm()], [own], measures)
    assert found == {
        "macro:id": [own["a"]],
        "a": [own["a"]],
        "macro:ood": [own["b"], own["c"]],
        "b": [own["b"]],
        "c": [own["c"]],
        "d": [own["d"]],
    }
    [some] = cells_of([arm()], [{"c": own["c"]}], measures)
    assert set(some) == {"c"}, "a macro average needs all of its suites"
    assert cells_of([arm(), arm()], [], measures) == [{}, {}]
    with pytest.raises(ValueError):
        cells_of([arm(), arm()], [own], measures)


def test_arms_must_have_been_asked_the_same_questions():
    first, second, third = arm(run="one"), arm(run="two"), arm(run="three")
    same, other = {"a": cell([[1, 2]]), "b": cell([[1, 2]])}, {"a": cell([[1, 2]]), "b": cell([[1, 2]], ids=("p0", "q"))}
    measures = measures_of(first)
    assert len(cells_of([first, second], [same, dict(same)], measures)) == 2
    with pytest.raises(UsageError, match="^two and three cannot be compared, they differ in the questions of b$"):
        cells_of([first, second, third], [{}, same, other], measures)
    swapped = {"a": cell([[1, 2]]), "b": cell([[1, 2]], ids=("x", "y"))}
    assert cells_of([first], [swapped], measures), "suites do not share their questions"


def test_every_figure_of_a_score():
    questions = [cell(np.random.default_rng(1).random((2, 30)))]
    s = score_of(arm(), "b", Spread(split=Split(at=0.4, low=0.0, high=1.0)), questions, "ab")
    assert (s.per_seed, s.mean, s.sd, s.ties) == ({3: 0.2, 8: 0.4}, pytest.approx(0.3), pytest.approx(0.1 * 2**0.5), "ab")
    assert s.solved == solved([0.2, 0.4], 0.4) and s.clean is None
    assert (s.low, s.high, s.kind) == score_interval(questions) and s.kind == "Korn-Graubard, seeds and questions"
    assert score_of(arm(), "c", Spread(), None, "").clean == pytest.approx(0.3)
    bare = score_of(arm(), "macro:ood", Spread(), None, "")
    assert (bare.solved, bare.clean, bare.low, bare.high, bare.kind) == (None, None, None, None, "")
    assert (bare.mean, bare.sd) == pytest.approx((0.45, 0.1 / 2**0.5))
    assert score_of(result(scores={3: 0.2}, name="b"), "b", Spread(), None, "").sd is None


def wilson(p, n):
    z = norm.isf(0.025)
    middle, half = (p + z**2 / 2 / n) / (1 + z**2 / n), z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / 4 / n**2)
    return pytest.approx((middle - half, middle + half))


def exact(successes, n):
    """Clopper and Pearson (1934), as quantiles of beta distributions."""
    low = beta.ppf(0.025, successes, n - successes + 1) if successes else 0.0
    high = beta.ppf(0.975, successes + 1, n - successes) if successes < n else 1.0
    return pytest.approx((low, high))


def over_questions(cells):
    """Over questions, all suites with the same weight, after Satterthwaite; then Korn and Graubard (1998)."""
    means = [np.asarray(c.scores_S_Q)[0] for c in cells]
    parts = [(x.var(ddof=1) / len(x) / len(cells) ** 2, len(x) - 1) for x in means]
    v = sum(p for p, _ in parts)
    df = v**2 / sum(p**2 / df for p, df in parts)
    share = float(np.mean([x.mean() for x in means]))
    n = share * (1 - share) / v * (norm.isf(0.025) / t.isf(0.025, df)) ** 2
    return exact(share * n, n)


def test_which_interval_a_score_has():
    rng = np.random.default_rng(0)
    many, few = rng.random((1, 12)), rng.random((1, 2))
    once = cell([[0.0, 1.0] * 6], k=1)
    low, high, kind = score_interval([once])
    assert (low, high) == wilson(0.5, 12) and kind == "Wilson"
    for cells in ([cell(many)], [once, cell(rng.random((1, 9)) > 0.5, k=1)], [cell(many), cell(few)]):
        low, high, kind = score_interval(cells)
        assert (low, high) == over_questions(cells) and kind == "Korn-Graubard, questions"
    for k in (1, 4):
        assert score_interval([cell(rng.uniform(0.45, 0.55, (2, 12)), k=k)])[2] == "Korn-Graubard, seeds and questions"


def test_without_five_questions_worth_of_either_kind_every_question_counts_once():
    for cells in ([cell([[0.25]])], [cell([[0.25] * 3])], [cell([[0.0, 0.5]]), cell([[0.25]])], [cell([[0.0, 1.0] * 4])]):
        n = sum(len(c.ids) for c in cells)
        low, high, kind = score_interval(cells)
        mean = float(np.mean([np.mean(c.scores_S_Q) for c in cells]))
        assert (low, high) == exact(mean * n, n) and kind == "Clopper-Pearson, questions"
    assert score_interval([cell([[0.0, 1.0] * 5])])[2].startswith("Korn-Graubard")


@pytest.mark.parametrize("value", [0, 1])
def test_intervals_of_scores_end_at_none_and_all(value):
    low, high, _ = score_interval([cell(np.full((1, 6), float(value)))])
    assert (low, high) == exact(6 * value, 6) and (low == 0.0 if value == 0 else high == 1.0) and low < high


def test_pooled_sd_needs_two_seeds_somewhere():
    assert pooled_sd([[0.1], [0.7]]) is None and pooled_sd([]) is None
    found = pooled_sd(iter([[0.1], [0.2, 0.6]]))
    assert (found.sd, found.df) == (pytest.approx(0.4 / 2**0.5), 1)


def test_solved_counts_from_the_threshold_on():
    assert solved([0.5, 0.4999999, 0.9], 0.5) == Solved(
        at=0.5, count=2, share=2 / 3, low=pytest.approx(beta.ppf(0.025, 2, 2)), high=pytest.approx(beta.ppf(0.975, 3, 1))
    )


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


def test_intervals_of_weak_models_hold_the_truth():
    """Right in 3% of samples, of 30 questions that differ by 3 logits, and of their mirror image: a t interval holds 77%."""
    rng, k, spread, within = np.random.default_rng(4), 16, 3.0, (0.2, 0.5)
    wide = np.hypot(spread, np.hypot(*within))
    nodes, weights = np.polynomial.hermite_e.hermegauss(121)
    weights = weights / weights.sum()
    mean = brentq(lambda m: weights @ expit(m + wide * nodes) - 0.03, -60, 60)
    shown = {}
    for seeds in (1, 3, 5):
        z = rng.standard_normal((600, 1, 30)) * spread + within[0] * rng.standard_normal((600, seeds, 1))
        y = rng.binomial(k, expit(mean + z + within[1] * rng.standard_normal((600, seeds, 30)))) / k
        for truth, scores in ((0.03, y), (0.97, 1 - y)):
            ends = [score_interval([cell(own, k=k)])[:2] for own in scores]
            shown[truth, seeds] = float(np.mean([low <= truth <= high for low, high in ends]))
    print("share of 95% intervals that hold the truth, by truth and seeds:", shown)
    assert min(shown.values()) > 0.94, shown
    assert shown[0.03, 3] == shown[0.97, 3], "both ends are alike"
