"""Pairs of seeds: what the runs must show, and what follows for comparisons and claims."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace
from scipy import stats

from harness.report.comparison import to_markdown
from harness.runs.result import FirstRollouts
from harness.stats import pairing, seeds
from harness.stats.comparison import compare
from harness.stats.contrasts import ties_of
from harness.stats.intervals import question_difference, residual_variance
from harness.stats.seeds import Spread
from harness.stats.verdicts import prediction
from support.results import cells, result


def begun(r, batch="a{}", epoch="b{}"):
    """A result that says what each of its seeds began with."""
    first = {seed: FirstRollouts(batch=batch.format(seed), epoch=epoch.format(seed)) for seed in r.seeds}
    return replace(r, problems_sha256="p", first_rollouts=first)


ONE, OTHER = begun(result()), begun(result("p2o", {0: 0.45, 1: 0.56, 2: 0.64}), epoch="c{}")


def test_the_same_beginning_makes_pairs():
    assert pairing.unpaired(OTHER, ONE) is None
    assert pairing.same_epochs(OTHER, ONE) == 0 and pairing.same_epochs(ONE, ONE) == 3


def partly(r, seed):
    return replace(r, first_rollouts={**r.first_rollouts, seed: FirstRollouts(batch="else", epoch="else")})


@pytest.mark.parametrize(
    ("arm", "why"),
    [
        (begun(result("p2o", {0: 0.4, 1: 0.5})), "the seeds are 0, 1 and 0, 1, 2"),
        (begun(result("p2o", {1: 0.4, 0: 0.5, 2: 0.4})), "the seeds are 1, 0, 2 and 0, 1, 2"),
        (replace(OTHER, first_rollouts={}), "runs/p2o does not say what training began with"),
        (replace(OTHER, first_rollouts={0: OTHER.first_rollouts[0]}), "runs/p2o does not say what training began with"),
        (replace(OTHER, problems_sha256="q"), "another policy was trained, or on other problems"),
        (replace(OTHER, model="else"), "another policy was trained, or on other problems"),
        (replace(OTHER, spec={"testbed": {"world": "open"}}), "another policy was trained, or on other problems"),
        (partly(OTHER, 1), "the first batch differs in 1 of 3 seeds"),
    ],
)
def test_why_seeds_are_no_pairs(arm, why):
    assert pairing.unpaired(arm, ONE) == why


@pytest.mark.parametrize("arm", [begun(result("p2o", {0: 0.4, 1: 0.5})), replace(OTHER, first_rollouts={}), partly(OTHER, 1)])
def test_a_comparison_whose_runs_show_no_pairs_goes_without_and_says_so(arm):
    c = compare([ONE, arm], paired=True)
    why = pairing.unpaired(arm, ONE)
    assert c.arms[1].unpaired == why and c.arms[1].pairs is None
    assert c.arms[1].contrasts == compare([ONE, arm]).arms[1].contrasts, "as without --paired"
    assert f"p2o's seeds are not paired with those of grpo: {why}." in to_markdown(c)


def test_two_silent_runs_are_named():
    silent = [replace(r, first_rollouts={}) for r in (OTHER, ONE)]
    assert pairing.unpaired(*silent) == "runs/p2o and runs/grpo do not say what training began with"


def test_a_comparison_of_pairs_is_the_paired_t_test():
    apart, pairs = compare([ONE, OTHER]), compare([ONE, OTHER], paired=True)
    assert apart.arms[1].contrasts["tb-long"].rule == "Welch", "only where it is asked for"
    x = pairs.arms[1].contrasts["tb-long"]
    expected = stats.ttest_rel(list(OTHER.suites["tb-long"].per_seed.values()), list(ONE.suites["tb-long"].per_seed.values()))
    assert x.rule == "paired" and x.p == pytest.approx(expected.pvalue)
    assert x.p < 0.02 < 0.5 < apart.arms[1].contrasts["tb-long"].p
    assert (pairs.arms[1].pairs, pairs.arms[1].unpaired, pairs.arms[0].pairs) == (0, None, None)
    text = to_markdown(pairs)
    assert (
        "Seeds are paired with those of grpo, as their first batches are the same: p2o (the whole first epoch is, in 0 of 3)"
        in text
    )
    assert "paired" not in to_markdown(apart).replace("paired questions", "").replace("of paired seeds", "")


def test_ties_use_the_pairs_among_the_arms_that_have_them():
    arms = {"a": np.array([0.1, 0.5, 0.9]), "b": np.array([0.2, 0.61, 0.99]), "c": np.array([0.9, 0.2, 0.6])}
    assert len(set(ties_of(arms, Spread()).values())) == 1
    letters = ties_of(arms, Spread(), ["a", "b"])
    assert not set(letters["a"]) & set(letters["b"]) and set(letters["c"]) == set(letters["a"] + letters["b"])


def test_pairs_of_two_kinds_are_compared_by_shares_without_pairing():
    low, high = (dict(enumerate(x)) for x in ([0.1] * 7 + [0.9], [0.9] * 6 + [0.1, 0.9]))
    two = [begun(result(scores=low)), begun(result("p2o", high))]
    pairs, apart = (compare(two, paired=paired, solved_at=0.5).arms[1].contrasts["tb-long"] for paired in (True, False))
    assert pairs == apart and pairs.rule == "shares"


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_pairs_hold_the_truth_whatever_they_share(correlation):
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.02, (20_000, 5)) * np.sqrt(correlation)
    a, b = (shared + rng.normal(0, 0.02, (20_000, 5)) * np.sqrt(1 - correlation) for _ in range(2))
    low, high = seeds.difference(a, b, paired=True).interval()
    assert np.mean((low <= 0) & (0 <= high)) == pytest.approx(0.95, abs=0.005)


def test_new_questions_take_the_residual_of_the_differences():
    """Seeds move both arms alike: what is left of a pair is the noise of the single answers."""
    rng = np.random.default_rng(1)
    shared = rng.normal(0, 0.3, (6, 40))
    y, z = (0.5 + 0.1 * shared + rng.normal(0, 0.02, (6, 40)) for _ in range(2))
    these = seeds.difference(y.mean(-1), z.mean(-1), paired=True)
    new = question_difference([y], [z], these=these)
    d = y - z
    expected = d.mean(0).var(ddof=1) / 40 + max(0.0, these.se**2 - residual_variance(d))
    assert new.se**2 == pytest.approx(expected)
    low, high = new.interval()
    assert low <= these.interval()[0] and high >= these.interval()[1]


def test_what_a_publication_would_find_takes_seeds_that_are_no_pairs():
    a, b = np.array([0.50, 0.60, 0.70]), np.array([0.40, 0.51, 0.59])
    pairs, apart = seeds.difference(a, b, paired=True), seeds.difference(a, b)
    found = prediction(pairs, (3, 3), 1, apart)
    one_seed = a.var(ddof=1) + b.var(ddof=1)
    assert found.se**2 == pytest.approx(pairs.se**2 + one_seed) and found.df == 2


def test_one_seed_is_no_interval_of_pairs_either():
    one, other = begun(result(scores={0: 0.4})), begun(result("p2o", {0: 0.5}))
    c = compare([one, other], paired=True, questions=[cells([[0.4, 0.4]]), cells([[0.5, 0.5]])])
    assert c.arms[1].contrasts["tb-long"].note == "one seed: no interval"
