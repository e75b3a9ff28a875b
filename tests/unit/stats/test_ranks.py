"""Ranks against all orders that the sure pairs allow, on true means that are known, and where nothing is known."""

import itertools

import numpy as np
import pytest
from scipy.stats import ttest_ind

from harness.stats import multiple
from harness.stats.comparison import compare
from harness.stats.contrasts import ties_of
from harness.stats.ranks import Rank, ranks_of
from harness.stats.seeds import Spread
from support.lettered import lettered
from support.results import result

KEY = "macro:ood"


def compared(scores_A_S, stamps=None):
    """A comparison of arms a, b, c, ... from their scores by seed; `stamps` by arm."""
    names = "abcde"[: len(scores_A_S)]
    found = [
        result(name, {s: float(v) for s, v in enumerate(scores)}, stamp=(stamps or {}).get(name))
        for name, scores in zip(names, scores_A_S, strict=True)
    ]
    return compare(found)


def with_ties(c, means, different):
    """The same with these means and these pairs of arms told apart, the others not."""
    return lettered(c, means, multiple.tie_letters(means, different), KEY)


@pytest.mark.parametrize("arms", [2, 3, 4, 5])
def test_a_rank_is_what_the_orders_allow_that_hold_every_sure_pair(arms):
    rng = np.random.default_rng(arms)
    plain = compared([[0.1, 0.2]] * arms)
    names = [a.label for a in plain.arms]
    for _ in range(60):
        means = dict(zip(names, rng.permutation(arms) / 10, strict=True))
        different = [pair for pair in itertools.combinations(names, 2) if rng.random() < rng.random()]
        sure = [(a, b) if means[a] > means[b] else (b, a) for a, b in different]
        orders = [o for o in itertools.permutations(names) if all(o.index(a) < o.index(b) for a, b in sure)]
        places = {name: [o.index(name) + 1 for o in orders] for name in names}
        want = {name: Rank(min(at), max(at), arms) for name, at in places.items()}
        assert ranks_of(with_ties(plain, means, different), KEY) == want


def told_apart_by_scipy(scores_A_S):
    """The pairs of arms that Welch's tests with Holm's correction tell apart, written out."""
    pairs = list(itertools.combinations(range(len(scores_A_S)), 2))
    p = [ttest_ind(scores_A_S[i], scores_A_S[j], equal_var=False).pvalue for i, j in pairs]
    found = []
    for step, at in enumerate(np.argsort(p)):
        if p[at] * (len(pairs) - step) >= 0.05:
            break
        found.append(pairs[at])
    return found


def test_ranks_hold_together_as_often_as_they_say():
    """True means with ties and gaps of two standard deviations of a seed: of equal arms, each may have any of their places.
    95% confidence: of 200 draws, sixteen or fewer may fail. From draw to draw the ranks are those of scipy's tests."""
    truth, rng, failed, narrow = np.array([0.5, 0.5, 0.4, 0.4, 0.3]), np.random.default_rng(1), 0, 0
    best, worst = [1 + int((truth > t).sum()) for t in truth], [int((truth >= t).sum()) for t in truth]
    names, plain = "abcde", compared([[0.1, 0.2]] * 5)
    for draw in range(200):
        scores_A_S = rng.normal(truth[:, None], 0.05, (5, 6))
        letters = ties_of(dict(zip(names, scores_A_S, strict=True)), Spread())
        means = dict(zip(names, scores_A_S.mean(1).tolist(), strict=True))
        found = ranks_of(lettered(plain, means, letters, KEY), KEY)
        failed += any(found[n].best > b or found[n].worst < w for n, b, w in zip(names, best, worst, strict=True))
        narrow += any(rank.worst - rank.best < 4 for rank in found.values())
        if draw < 20:
            apart = [(names[i], names[j]) for i, j in told_apart_by_scipy(scores_A_S)]
            assert found == ranks_of(with_ties(plain, means, apart), KEY)
    assert failed <= 16 and narrow > 150


def test_arms_without_a_test_have_no_rank_and_take_no_place():
    far = [[0.1, 0.11, 0.1], [0.5, 0.51, 0.5], [0.9, 0.91, 0.9]]
    assert ranks_of(compared(far), KEY) == {"a": Rank(3, 3, 3), "b": Rank(2, 2, 3), "c": Rank(1, 1, 3)}
    assert ranks_of(compared([*far[:2], [0.9]]), KEY) == {"a": Rank(2, 2, 2), "b": Rank(1, 1, 2)}
    assert ranks_of(compared(far, {"c": "a trial"}), KEY) == {"a": Rank(2, 2, 2), "b": Rank(1, 1, 2)}
    assert ranks_of(compared(far[:1]), KEY) == {} == ranks_of(compared([[0.1], [0.2]]), KEY)
    assert [str(Rank(*x)) for x in ((1, 1, 4), (2, 4, 4))] == ["1", "2 to 4"]
