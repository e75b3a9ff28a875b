"""A search that races makes fewer calls and finds the same: against the whole search, and the decision against all outcomes."""

import itertools
from collections import Counter

import pytest

from harness.core.ledger import Ledger
from harness.core.seeds import stream
from harness.core.types import Problem, Rollout, Sampling
from harness.search.prompt_search import EvolveConfig, evolve
from harness.search.racing import _decided

GREEDY = Sampling(0.0, 8)
DEV, TRAIN = ([Problem(f"{kind}{i}", f"question {kind}{i}", "1") for i in range(n)] for kind, n in (("d", 12), ("t", 20)))


class Drawn:
    """Rewards drawn once for each problem and template, likelier the longer the template; keeps every call."""

    def __init__(self, seed):
        self.seed, self.calls = seed, []

    def rollouts(self, requests, sampling, seed):
        self.calls.append([(p.id, c.template) for p, c in requests])
        return [
            Rollout(c, "", [1, 2], [0.0] * 2, 5, reward=float(stream(self.seed, p.id, c.template).random() < self.level(c)))
            for p, c in requests
        ]

    def level(self, context):
        return 0.2 + 0.04 * len(context.template.split())


class Writer:
    """A word more than the parent has; every fifth time nothing, every seventh what it wrote before."""

    def __init__(self, seed):
        self.rng, self.count, self.errors, self.last, self.beams = stream(seed, "words"), 0, Counter(), "", []

    def propose(self, jobs):
        self.beams.append(list(jobs))
        return [self.write(job.template) for job in jobs]

    def write(self, parent):
        self.count += 1
        if self.count % 5 == 0:
            return ""
        if self.count % 7:
            self.last = f"{parent} w{self.rng.randrange(50)}".strip()
        return self.last


def searched(seed, racing, start=None, **more):
    policy, writer, ledger = Drawn(seed), Writer(seed), Ledger(saved_rollouts=7)
    config = EvolveConfig(metric_calls=400, minibatch=3, width=4, racing=racing, **more)
    pool = evolve(DEV, TRAIN, policy, writer, config, GREEDY, seed, ledger, start)
    return pool, policy, writer, ledger


@pytest.mark.parametrize("seed", range(6))
def test_same_search_with_fewer_calls(seed):
    whole, policy, writer, paid = searched(seed, False)
    raced, fast, same, ledger = searched(seed, True)
    for name in ("templates_C", "scores_C_V", "parents_C", "iterations", "proposals", "accepted", "duplicates", "unpaid"):
        assert getattr(raced, name) == getattr(whole, name), name
    assert same.beams == writer.beams, "the same parents, shown with the same answers"
    assert raced.accepted > 2 and raced.skipped_empty > 0
    saved = ledger.saved_rollouts - 7
    assert saved > 0 and raced.metric_calls + saved == whole.metric_calls
    assert ledger.search_rollouts == ledger.rollouts == raced.metric_calls == sum(map(len, fast.calls))
    assert paid.saved_rollouts == 7 and paid.search_rollouts == whole.metric_calls
    left = Counter(itertools.chain(*policy.calls))
    left.subtract(itertools.chain(*fast.calls))
    assert min(left.values()) >= 0 and sum(left.values()) == saved, "nothing is asked that the whole search does not ask"
    assert all(problem.startswith("t") for (problem, _), n in left.items() if n), "every dev problem is asked"


def test_same_search_from_a_pool():
    start = searched(1, False)[0]
    whole, raced = (searched(2, racing, start)[0] for racing in (False, True))
    assert raced.templates_C == whole.templates_C and raced.scores_C_V == whole.scores_C_V
    assert raced.parents_C == whole.parents_C and raced.parents_C.count(None) > 1


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_decided_means_that_no_outcome_of_the_rest_changes_it(size):
    def rollouts(rewards):
        return [Rollout(None, "", [], [], 0, reward=float(r)) for r in rewards]

    for asked in range(size + 1):
        for rewards in itertools.product((0, 1), repeat=asked):
            for goal in range(size + 1):
                ends = {sum(rewards) + sum(rest) > goal for rest in itertools.product((0, 1), repeat=size - asked)}
                assert _decided(rollouts(rewards), size, goal) == (len(ends) == 1)


def test_no_recipe_races():
    from harness.registry import recipes
    from support.settings import resolve

    assert recipes()
    for recipe in recipes():
        for method in ("p2o", "gepa"):
            assert resolve(method, recipe).typed_method_config().evolve.racing is False
