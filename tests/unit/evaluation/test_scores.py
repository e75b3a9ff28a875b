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


@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_problem_in_the_place_of_another_is_found(k):
    """Where a problem has one sample, sampled or greedy, a repeated one is in order but for its name."""
    good = [("a", i) for i in range(k)] + [("b", i) for i in range(k)]
    for greedy in (False, True):
        rows = [(p, i, g) for p, i in good for g in [False]] + ([("a", 0, True), ("b", 0, True)] if greedy else [])
        make = lambda found: [sample(problem=p, index=i, greedy=g, seed=4) for p, i, g in found]
        check_complete(make(rows), 2, k, [4], "file")
        wrong = [[(p if g is not at else "a", i, g) for p, i, g in rows] for at in (False, True)[: 1 + greedy]]
        wrong += [rows[:k], [*rows, ("c", 0, greedy)], [*rows, rows[-1]], rows[1:], [(p, i + 1, g) for p, i, g in rows]]
        wrong += [sorted(rows, key=lambda r: (r[2], r[1], r[0]))] if k > 1 else []
        for found in wrong:
            with pytest.raises(HarnessError, match="^file: does not hold .* of each of 2 problems for seed 4$"):
                check_complete(make(found), 2, k, [4], "file")
    for n in (1, 3):
        with pytest.raises(HarnessError, match=f"of each of {n} problems"):
            check_complete([sample(problem=p, index=i) for p, i in good], n, k, [0], "file")
    with pytest.raises(HarnessError, match="for seed 1"):
        check_complete([sample(problem=p, index=i) for p, i in good], 2, k, [0, 1], "file")


def test_means_over_seeds_are_means_of_every_figure():
    """Of seeds that differ in all of them; the parity grader's and the greedy pass's are there for both or for neither."""
    rng = random.Random(3)
    seeds = {4: rows_of(rng, 4, 3, 2, True), 9: rows_of(rng, 9, 3, 2, True)}
    each = {s: score_seed(rows, 2, ["p1"]) for s, rows in seeds.items()}
    suite = over_seeds(each)
    for name in ("avg", "avg_clean", "truncated", "unparsed", "parity_avg", "disagreement", "greedy", "greedy_parity"):
        assert getattr(suite, name) == pytest.approx(mean(getattr(f, name) for f in each.values())), name
    assert suite.pass_at == pytest.approx({m: mean(f.pass_at[m] for f in each.values()) for m in (1, 2)})
    assert suite.per_seed_clean == {s: f.avg_clean for s, f in each.items()}
    half = over_seeds({4: each[4], 9: score_seed([r for r in seeds[9] if not r.greedy], 2, ["p0", "p1", "p2"])})
    assert (half.greedy, half.greedy_parity) == (None, None)
    assert half.per_seed_clean == {4: each[4].avg_clean} and half.avg_clean == each[4].avg_clean
    assert score_suite([r for rows in seeds.values() for r in rows], 2, [4, 9], ["p1"]) == suite
    alone = over_seeds({4: each[4]})
    assert (alone.pass_at, alone.avg, alone.grader_faults) == (each[4].pass_at, each[4].avg, each[4].grader_faults)
