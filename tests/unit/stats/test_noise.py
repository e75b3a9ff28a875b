"""Where variance comes from: questions and decoding, by the model against random questions, and from samples."""

import dataclasses
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import expit

from harness.core.errors import UsageError
from harness.data.suites import load_suite
from harness.stats.claims import find_claim
from harness.stats.noise import EDGE, SuiteModel, _accuracies, _single, parse_scores, question_se, sources

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
    a, b = expit(0.7 + 3 * z), expit(0.2 + 3 * w)
    model = [SuiteModel(100, 16, a.mean(), b.mean())]
    plain, noisy, [each] = question_se(model, 0.8)
    assert plain == each == pytest.approx((a - b).std() / 10, rel=0.01)
    sampled = rng.binomial(16, a) / 16 - rng.binomial(16, b) / 16
    assert noisy == pytest.approx(sampled.std() / 10, rel=0.01)
    greedy = (rng.random(n) < a) * 1.0 - (rng.random(n) < b)
    assert question_se([SuiteModel(100, 1, a.mean(), b.mean())], 0.8)[0] == pytest.approx(greedy.std() / 10, rel=0.01)


def test_question_se_of_two_suites_by_random_questions():
    """Both suites' accuracies, correlated between the arms, one greedy and one of four samples."""
    rng, n, rho, spread = np.random.default_rng(1), 600_000, 0.6, 2.0
    z = rng.standard_normal(n)
    w = rho * z + math.sqrt(1 - rho**2) * rng.standard_normal(n)
    a, b = expit(0.4 + spread * z), expit(-0.3 + spread * w)
    four, one = SuiteModel(50, 4, a.mean(), b.mean()), SuiteModel(200, 1, a.mean(), b.mean())
    exact = (a - b).var()
    within = (a * (1 - a) + b * (1 - b)).mean()
    plain, noisy, each = question_se([four, one], rho, spread)
    assert each == pytest.approx([math.sqrt(exact / 50), math.sqrt((exact + within) / 200)], rel=0.01)
    assert plain == pytest.approx(math.sqrt(exact / 50 + (exact + within) / 200) / 2, rel=0.01)
    assert noisy == pytest.approx(math.sqrt((exact + within / 4) / 50 + (exact + within) / 200) / 2, rel=0.01)
    assert question_se([SuiteModel(10, 2, 0.5, 0.5)], 0.5) == question_se([SuiteModel(10, 2, 0.5, 0.5)], 0.5, 3.0)
    assert question_se([SuiteModel(10, 2, 0.5, 0.5)], 1.0)[0] == pytest.approx(0, abs=1e-6), "the same questions are solved"


@pytest.mark.parametrize("text", ["aime24", "aime24=0", "aime24=x", "amie24=50", "aime24=120"])
def test_scores_are_checked(text):
    with pytest.raises(UsageError):
        parse_scores(text)


def test_scores_are_shares_of_both_arms_with_size_and_samples_of_the_card():
    aime, math500 = (load_suite(name) for name in ("aime24", "math500"))
    assert parse_scores("aime24=50, math500 =99.5") == [
        SuiteModel(aime.size, aime.k, 0.5, 0.5),
        SuiteModel(math500.size, math500.k if math500.temperature else 1, 0.995, 0.995),
    ]
    for wrong in ("aime24=0", "aime24=100", "aime24=-5", "aime24=ten", "aime24", "aime24=nan"):
        with pytest.raises(UsageError) as e:
            parse_scores(f"math500=50,{wrong}")
        assert str(e.value) == f"--scores takes SUITE=PERCENT with a percentage between 0 and 100, not {wrong!r}"


def test_a_greedy_suite_has_one_sample(monkeypatch):
    greedy = dataclasses.replace(load_suite("aime24"), temperature=0.0)
    monkeypatch.setattr("harness.data.suites.load_suite", lambda name: greedy)
    assert parse_scores("aime24=50") == [SuiteModel(greedy.size, 1, 0.5, 0.5)] and greedy.k > 1


def test_a_claim_of_greedy_answers_is_planned_with_one_a_question():
    """Not with the four samples on the cards, and more samples change nothing there."""
    matched, strict = (sources(find_claim(f"p2o-deepscaler-5k{x}"), [], [], {}, 0.8) for x in ("", "-strict"))
    assert [(n, k) for n, k, _ in matched.sizes] == [(30, 16), (30, 16), (40, 16), (500, 4), (272, 4), (675, 4)]
    assert [(n, k) for n, k, _ in strict.sizes] == [(30, 16), (30, 16), (40, 16), (500, 1), (272, 1), (675, 1)]
    assert [sampled for _, _, sampled in strict.sizes] == [True] * 3 + [False] * 3
    assert matched.samples() - strict.samples() == 3 * (500 + 272 + 675) and strict.decoding() > matched.decoding()
    assert strict.samples(4) == 4 * 100 + 500 + 272 + 675


def test_accuracies_are_the_runs_the_given_the_published_or_one_half():
    """Each arm's own where it has runs, the mean of those that were evaluated on the suite; never all or nothing."""
    bare = find_claim("p2o-deepscaler-5k")
    c = bare.model_copy(update={"scores": None})
    none = ([], [])
    assert _accuracies(c, "aime24", none, {}) == (0.5, 0.5) and _accuracies(c, "aime24", none, {"aime24": 0.3}) == (0.3, 0.3)
    assert _accuracies(c, "aime24", none, {"amc23": 0.3}) == (0.5, 0.5)
    assert _accuracies(bare, "aime24", none, {}) == (bare.scores.arm / 100, bare.scores.baseline / 100)
    for share, held in ((0.0, EDGE), (1.0, 1 - EDGE)):
        assert _accuracies(c, "aime24", none, {"aime24": share}) == (held, held)

    def run(**avg):
        return SimpleNamespace(suites={name: SimpleNamespace(avg=x, greedy=x / 2) for name, x in avg.items()})

    arm, baseline = [run(aime24=0.2), run(aime24=0.6), run(amc23=0.9)], [run(amc23=0.7)]
    assert _accuracies(c, "aime24", (arm, baseline), {"aime24": 0.3}) == (pytest.approx(0.4), 0.3)
    assert _accuracies(c, "amc23", (baseline, arm), {}) == (0.7, 0.9)
    assert _accuracies(c, "aime24", ([run(aime24=1.0)], [run(aime24=0.0)]), {}) == (1 - EDGE, EDGE)
    strict = find_claim("p2o-deepscaler-5k-strict")  # greedy on math500
    assert _accuracies(strict, "math500", ([run(math500=0.8)], [run(math500=0.6)]), {}) == (0.4, 0.3)
    no_pass = SimpleNamespace(suites={"math500": SimpleNamespace(avg=0.8, greedy=None)})
    assert _accuracies(strict, "math500", ([no_pass], [run(math500=0.6)]), {}) == (0.8, 0.3)


@pytest.mark.parametrize("k", [2, 3])
def test_the_variance_of_one_sample_is_unbiased(k):
    """Over all outcomes of k samples of a question that is right with chance p, weighted with their chances: p (1 - p)."""
    p = 0.3
    mean = 0.0
    for outcome in itertools.product((0, 1), repeat=k):
        chance = math.prod(p if x else 1 - p for x in outcome)
        mean += chance * _single([SimpleNamespace(scores_S_Q=np.array([[sum(outcome) / k]]), k=k)], False)
    assert mean == pytest.approx(p * (1 - p))
    half, sure = (SimpleNamespace(scores_S_Q=np.array([[x, x]]), k=2) for x in (0.5, 1.0))
    one = SimpleNamespace(scores_S_Q=np.array([[0.5]]), k=1)
    assert _single([half, one, sure], False) == pytest.approx(0.25), "the mean of the runs that say something"
    assert _single([half], True) is None and _single([one], False) is None and _single([], False) is None
