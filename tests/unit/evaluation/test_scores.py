"""The one way from samples to scores, against figures made by hand and by plain loops."""

import random
from itertools import combinations
from statistics import mean

import pytest

from harness.core.errors import HarnessError
from harness.evaluation.scores import check_complete, macro_averages, over_seeds, score_seed, score_suite
from support.results import sample


def rows_of(rng, seed, problems, k, greedy):
    rows = []
    for p in range(problems):
        for j in range(k):
            score = float(rng.random() < 0.4)
            status = rng.choice(["ok", "ok", "unparsed", "timeout", "error"]) if not score else "ok"
            parity = float(rng.random() < 0.5)
            facts = {"truncated": rng.random() < 0.3, "prompt_tokens": rng.randrange(9), "tokens": rng.randrange(99)}
            rows.append(sample(problem=f"p{p}", index=j, seed=seed, score=score, status=status, parity=parity, **facts))
    own = [sample(problem=f"p{p}", seed=seed, greedy=True, score=float(p == 0), parity=1.0, tokens=3) for p in range(problems)]
    return [*rows, *(own if greedy else [])]


@pytest.mark.parametrize("greedy", [False, True])
def test_figures_are_those_of_plain_loops(greedy):
    rng, k = random.Random(0), 4
    rows = rows_of(rng, 0, 5, k, greedy)
    sampled = [r for r in rows if not r.greedy]
    by = {p: [r for r in sampled if r.problem == p] for p in {r.problem for r in sampled}}
    f = score_seed(rows, k, flagged=["p1", "p3"])
    assert f.avg == pytest.approx(mean(mean(r.score for r in own) for own in by.values()))
    assert f.avg_clean == pytest.approx(mean(r.score for r in sampled if r.problem not in ("p1", "p3")))
    any_of = {m: mean(mean(any(r.score for r in c) for c in combinations(own, m)) for own in by.values()) for m in (1, k)}
    assert f.pass_at == pytest.approx(any_of)
    assert f.truncated == mean(r.truncated for r in sampled) and f.unparsed == mean(r.status == "unparsed" for r in sampled)
    assert f.grader_faults == sum(r.status in ("timeout", "error") for r in sampled)
    assert f.parity_avg == mean(r.parity for r in sampled) and f.disagreement == mean(r.parity != r.score for r in sampled)
    assert (f.greedy, f.greedy_parity) == ((1 / 5, 1.0) if greedy else (None, None))
    assert f.prompt_tokens == sum(r.prompt_tokens for r in rows) and f.generated_tokens == sum(r.tokens for r in rows)


def test_a_suite_is_the_mean_of_its_seeds_and_the_sum_of_faults_and_tokens():
    rng = random.Random(1)
    each = {seed: rows_of(rng, seed, 3, 2, False) for seed in (7, 5)}
    suite = score_suite([r for rows in each.values() for r in rows], 2, [7, 5])
    one, two = (score_seed(each[seed], 2) for seed in (7, 5))
    assert suite == over_seeds({7: one, 5: two}) and suite.per_seed == {7: one.avg, 5: two.avg}
    for name in ("avg", "truncated", "unparsed", "parity_avg", "disagreement"):
        assert getattr(suite, name) == pytest.approx((getattr(one, name) + getattr(two, name)) / 2)
    for name in ("grader_faults", "prompt_tokens", "generated_tokens"):
        assert getattr(suite, name) == getattr(one, name) + getattr(two, name)
    assert (suite.avg_clean, suite.per_seed_clean, suite.greedy) == (None, {}, None)


def test_macro_averages_are_unweighted_by_role():
    def suite(scores):
        rows = [sample(problem=f"p{i}", seed=s, score=v) for s, own in scores.items() for i, v in enumerate(own)]
        return score_suite(rows, 1, list(scores))

    a, b, c = suite({0: [1.0], 1: [0.0]}), suite({0: [1.0, 0.0, 0.0, 0.0], 1: [1.0] * 4}), suite({0: [1.0], 1: [1.0]})
    macro = macro_averages([("ood", a), ("ood", b), ("other", c)], [0, 1])
    assert (macro.id, macro.ood, macro.of("other")) == (None, (0.5 + 0.625) / 2, None)
    assert {s: (m.id, m.ood) for s, m in macro.per_seed.items()} == {0: (None, 0.625), 1: (None, 0.5)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows[:-1], "a greedy sample of each of 2 problems for seed 1"),
        (
            lambda rows: [r for r in rows if not (r.seed == 0 and r.problem == "p1")],
            "2 samples of each of 2 problems for seed 0",
        ),
        (lambda rows: [*rows[:1], *rows], "2 samples of each of 2 problems for seed 0"),
        (lambda rows: [r for r in rows if not (r.greedy and r.seed == 0)], None),
    ],
)
def test_incomplete_samples_are_named(change, words):
    rng = random.Random(2)
    rows = change([r for seed in (0, 1) for r in rows_of(rng, seed, 2, 2, True)])
    if words is None:
        return check_complete(rows, 2, 2, [0, 1], "file")
    with pytest.raises(HarnessError, match=f"file: does not hold {words}"):
        check_complete(rows, 2, 2, [0, 1], "file")
