"""Power against simulation with the tests themselves, against closed forms, and against the tables it was designed by."""

import json
import math

import numpy as np
import pytest
from scipy.stats import norm, ttest_ind

from harness.core.errors import UsageError
from harness.stats.power import (
    SuiteModel,
    ceiling,
    detectable,
    parse_scores,
    power,
    question_se,
    questions_needed,
    seeds_needed,
)


@pytest.mark.parametrize(("seeds", "effect", "q"), [(2, 4.0, 0.0), (3, 2.5, 0.0), (5, 1.5, 0.0), (3, 3.0, 1.2)])
def test_power_is_the_rate_at_which_the_test_rejects(seeds, effect, q):
    rng, n = np.random.default_rng(0), 20000
    question = q * rng.standard_normal((n, 1))
    a, b = effect + question + rng.standard_normal((n, seeds)), rng.standard_normal((n, seeds))
    if q:
        va, vb = a.var(1, ddof=1) / seeds, b.var(1, ddof=1) / seeds
        from scipy.stats import t

        v = va + vb + q**2
        df = v**2 / ((va**2 + vb**2) / (seeds - 1))
        rejected = np.abs(a.mean(1) - b.mean(1)) > t.ppf(0.975, df) * np.sqrt(v)
    else:
        rejected = ttest_ind(a, b, axis=1, equal_var=False).pvalue < 0.05
    assert power(effect, 1.0, seeds, q) == pytest.approx(rejected.mean(), abs=4 * math.sqrt(0.25 / n))


def test_many_seeds_are_a_z_test():
    for effect in (0.0, 0.3, 0.5):
        z = effect / math.sqrt(2 / 200)
        normal = norm.sf(1.96 - z) + norm.cdf(-1.96 - z)
        assert power(effect, 1.0, 200) == pytest.approx(normal, abs=0.01)
    assert power(2.8016, 1e-6, 50, 1.0) == pytest.approx(0.8, abs=1e-3) == ceiling(2.8016, 1.0)


DECODE = 0.43
EFFECTS = [(4.7, 0.05), (4.7, 0.01), (3.0, 0.05), (3.0, 0.01), (2.0, 0.05), (2.0, 0.01), (1.2, 0.05), (1.2, 0.01)]


@pytest.mark.parametrize(
    ("sd", "designed"),
    [
        (0.5, [3, 3, 3, 4, 4, 5, 7, 10]),
        (1.0, [3, 4, 4, 6, 6, 9, 15, 22]),
        (1.5, [4, 5, 6, 9, 11, 16, 28, 42]),
        (2.0, [5, 7, 9, 13, 18, 27, 48]),
        (2.5, [6, 9, 13, 19, 27, 40]),
        (3.0, [8, 12, 18, 26, 38, 56]),
    ],
)
def test_seeds_on_these_questions_as_designed(sd, designed):
    """The design's table was simulated; where ours differs, its number has 80% power within that simulation's error."""
    for (effect, alpha), wanted in zip(EFFECTS, designed, strict=False):
        found = seeds_needed(effect, math.hypot(sd, DECODE), 0.0, alpha)
        if found != wanted:
            assert abs(found - wanted) == 1
            assert power(effect, math.hypot(sd, DECODE), min(found, wanted), 0.0, alpha) == pytest.approx(0.8, abs=0.015)


@pytest.mark.parametrize(
    ("q", "designed", "limit"),
    [
        (1.1, [2, 3, 4, 6], 0.99),
        (1.4, [2, 4, 7, 11], 0.92),
        (1.7, [None] * 4, 0.79),
    ],
)
def test_seeds_on_new_questions_as_designed(q, designed, limit):
    assert [seeds_needed(4.7, math.hypot(sd, DECODE), q) for sd in (0.5, 1.0, 1.5, 2.0)] == designed
    assert round(ceiling(4.7, q), 2) == limit


SIX = [(30, 16, 0.50), (30, 16, 0.40), (40, 16, 0.78), (500, 1, 0.90), (272, 1, 0.44), (675, 1, 0.61)]


@pytest.mark.parametrize(
    ("correlation", "plain", "noisy"),
    [
        (0.3, 2.26, 2.34),
        (0.5, 1.99, 2.07),
        (0.7, 1.64, 1.74),
        (0.8, 1.41, 1.52),
        (0.9, 1.12, 1.26),
        (0.95, 0.92, 1.08),
    ],
)
def test_question_se_as_designed(correlation, plain, noisy):
    found = question_se([SuiteModel(n, k, b + 0.047, b) for n, k, b in SIX], correlation)
    assert [round(100 * x, 2) for x in found[:2]] == [plain, noisy]


def test_question_se_against_simulation():
    rng, n = np.random.default_rng(0), 400_000
    z = rng.standard_normal(n)
    w = 0.8 * z + 0.6 * rng.standard_normal(n)
    from scipy.special import expit

    a, b = expit(0.7 + 3 * z), expit(0.2 + 3 * w)
    model = [SuiteModel(100, 16, a.mean(), b.mean())]
    plain, noisy, [each] = question_se(model, 0.8)
    assert plain == each == pytest.approx((a - b).std() / 10, rel=0.01)
    sampled = rng.binomial(16, a) / 16 - rng.binomial(16, b) / 16
    assert noisy == pytest.approx(sampled.std() / 10, rel=0.01)
    greedy = (rng.random(n) < a) * 1.0 - (rng.random(n) < b)
    assert question_se([SuiteModel(100, 1, a.mean(), b.mean())], 0.8)[0] == pytest.approx(greedy.std() / 10, rel=0.01)


def test_inverses():
    x = detectable(1.5, 5, 0.8)
    assert power(x, 1.5, 5, 0.8) == pytest.approx(0.8, abs=1e-3)
    factor = questions_needed(4.7, 2.0, 1.5, 5)
    assert factor > 1 and power(4.7, 2.0, 5, 1.5 / math.sqrt(factor)) == pytest.approx(0.8, abs=2e-3)
    assert questions_needed(4.7, 2.0, 1.5, 3) is None, "three seeds are too few whatever the questions"
    assert questions_needed(4.7, 0.5, 0.5, 5) == 1.0
    assert seeds_needed(0.01, 5.0) is None


@pytest.mark.parametrize("text", ["aime24", "aime24=0", "aime24=x", "amie24=50", "aime24=120"])
def test_scores_are_checked(text):
    with pytest.raises(UsageError):
        parse_scores(text)


def test_command(capsys, tmp_path):
    from support.command import harness
    from support.runs import make_run

    code, out, _ = harness(capsys, "power", "--effect", 4.7, "--seed-sd", 1, "--seed-sd", 2, "--json")
    assert code == 0 and [r["seeds_these_questions"] for r in json.loads(out)["rows"]] == [3, 5]
    code, out, _ = harness(capsys, "power", "--effect", 4.7, "--seed-sd", 2, "--question-se", 1.7)
    assert code == 0 and "never" in out
    rng = np.random.default_rng(0)
    runs = [make_run(tmp_path / m, m, rng.random((3, 40, 4)) < p) for m, p in (("grpo", 0.4), ("p2o", 0.6))]
    code, out, _ = harness(capsys, "power", "--effect", 10, "--pilot", runs[0], "--pilot", runs[1], "--json")
    [macro, suite] = json.loads(out)["rows"]
    assert code == 0 and macro["seed_df"] == 4 and suite["question_se"] >= 0
    both = ["--seed-sd", 1, "--scores", "aime24=50", "--question-se", 1]
    for wrong in ([], ["--seed-sd", 1, "--pilot", runs[0]], ["--seed-sd", -1], both):
        assert harness(capsys, "power", "--effect", 4.7, *wrong)[0] == 2
    assert harness(capsys, "power", "--effect", 0, "--seed-sd", 1)[0] == 2
