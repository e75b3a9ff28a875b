"""How many of a prompt search's calls a race could save, and whether the same templates are then selected.

    python tests/checks/racing.py --simulated 200 --testbed 20

Each search is run whole, by `harness.search.prompt_search.evolve`, and again to the same budget, with what was saved counted as
spent:

- `exact`, `evolve.racing`: a child's calls on its minibatch stop where it can no longer beat its parent, or has beaten it;
- `halving`: besides, a newcomer is scored on a quarter of the dev problems, then on half, then on all, and leaves where it is
  in the lower half (or, `--keep`, not in that upper share) of pool and newcomers by its sum so far;
- `replayed`: the same race among the newcomers of the whole search, in their order, as if parents were drawn as before. What it
  selects is what halving alone changes, without what follows from it.

`off the front` is the share of the pool that is best on no dev problem in the end: no exact rule could stop another one early.
Printed: share of calls made, and share of searches that select the same set of templates (`greedy_cover`).
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections import Counter
from contextlib import contextmanager
from statistics import mean

from harness.config import resolve
from harness.core.ledger import Ledger
from harness.core.seeds import derive, stream
from harness.core.types import Problem, Rollout, Sampling
from harness.data.training_sets import load_training_set
from harness.methods.p2o import greedy_cover
from harness.search import prompt_search
from harness.search.beam import COMPONENT, Beam
from harness.search.prompt_search import EvolveConfig, Pool, evolve, split
from harness.search.racing import Racer
from harness.search.reflect import make_proposer
from harness.testbed.world import HARD
from harness.training.local.backend import LocalBackend

GREEDY = Sampling(0.0, 32)
SHARES = (0.25, 0.5)
"""Of the dev problems, after which `halving` lets newcomers go."""


class Simulated:
    """Templates with an ability that children inherit up to a draw; a problem is solved where ability, its own ease and
    their match, all drawn from texts and seed, are more than 0 together. Hard problems: the empty template solves few."""

    def __init__(self, seed):
        self.seed, self.ability = seed, {"": 0.0}
        self.errors = Counter()

    def draw(self, *key):
        return random.Random(derive(self.seed, *key)).gauss(0, 1)

    def rollouts(self, requests, sampling, seed):
        out = []
        for p, c in requests:
            level = self.ability[c.template] - 1.3 + self.draw("ease", p.id) + 0.7 * self.draw("match", p.id, c.template)
            out.append(Rollout(c, "", [1], [0.0], 1, reward=float(level > 0)))
        return out

    def propose(self, jobs):
        texts = []
        for job in jobs:
            seen = " ".join(record["Inputs"] for record in job.records)
            text = f"t{derive(self.seed, 'child', job.template, seen) % 10**12}"
            self.ability.setdefault(text, self.ability[job.template] + 0.05 + 0.35 * self.draw("child", text))
            texts.append(text)
        return texts


class Halved(Racer):
    """Scores no (template, dev problem) twice: the race has paid for some already."""

    known = {}

    def batch_evaluate(self, items):
        from gepa.core.adapter import EvaluationBatch

        if self._goals:
            return super().batch_evaluate(items)
        out = []
        for candidate, batch in items:
            known = self.known.get(candidate[COMPONENT], {})
            if all(p.id in known for p in batch) and len(batch) == len(known):
                out.append(EvaluationBatch([None] * len(batch), [known[p.id] for p in batch], None))
            else:
                out += super().batch_evaluate([(candidate, batch)])
        return out


class Halving(Beam):
    """The newcomers that a race on growing parts of the dev problems leaves."""

    dev = ()
    keep = 0.5

    def __init__(self, **own):
        super().__init__(**own)
        self.order = list(range(own["dev_size"]))
        stream(own["seed"], "race").shuffle(self.order)
        Halved.known = {}

    def select(self, proposals, state, acceptance_criterion):
        joining, before = super().select(proposals, state, acceptance_criterion), 0
        for share in (*SHARES, 1.0):
            upto = max(math.ceil(share * len(self.order)), 1)
            part, new = self.order[:upto], self.order[before:upto]
            before = upto
            if not joining:
                break
            pairs = [(self.dev[v], p.candidate[COMPONENT]) for p in joining for v in new]
            for (problem, text), r in zip(pairs, self.meter.sample(pairs), strict=True):
                Halved.known.setdefault(text, {})[problem.id] = r.reward
            if share == 1.0:
                break
            theirs = [sum(scores[v] for v in part) for scores in state.prog_candidate_val_subscores]
            sums = [sum(Halved.known[p.candidate[COMPONENT]][self.dev[v].id] for v in part) for p in joining]
            left = [p for p, s in zip(joining, sums, strict=True) if s >= bar([*theirs, *sums], self.keep)]
            gone = (len(joining) - len(left)) * (len(self.order) - upto)
            self.meter.saved += gone
            joining = left
        return joining


def bar(sums, keep):
    """The least sum that is in the upper share `keep`."""
    return sorted(sums)[min(int((1 - keep) * len(sums)), len(sums) - 1)]


@contextmanager
def plugged(adapter, beam):
    before = prompt_search.Racer, prompt_search.Beam
    prompt_search.Racer, prompt_search.Beam = adapter, beam
    try:
        yield
    finally:
        prompt_search.Racer, prompt_search.Beam = before


def selected(pool):
    return frozenset(pool.templates_C[c] for c in greedy_cover(pool))


def replayed(pool, keep, seed):
    """The pool that is left of `pool` where newcomers race one by one, and the dev calls that this saves."""
    V = len(pool.dev_ids)
    order = list(range(V))
    stream(seed, "race").shuffle(order)
    kept, saved = [0], 0
    for c in range(1, len(pool.templates_C)):
        for share in SHARES:
            part = order[: math.ceil(share * V)]
            sums = [sum(pool.scores_C_V[d][v] for v in part) for d in (*kept, c)]
            if sums[-1] < bar(sums, keep):
                saved += V - len(part)
                break
        else:
            kept.append(c)
    rows = ([rows[c] for c in kept] for rows in (pool.templates_C, pool.scores_C_V, pool.parents_C))
    return Pool(*rows, pool.dev_ids), saved


def search(problems, policy, proposer, config, seed, keep):
    """One search in all ways: shares of calls made, whether the selection is the same, what was found."""
    dev, minibatch = split(problems, config.dev_size, seed)
    raced = config.model_copy(update={"racing": True})

    def run(config):
        return evolve(dev, minibatch, policy, proposer(), config, GREEDY, seed, Ledger())

    whole, exact = run(config), run(raced)
    Halving.dev, Halving.keep = dev, keep
    with plugged(Halved, Halving):
        halved = run(raced)
    again, saved = replayed(whole, keep, seed)
    columns = list(zip(*whole.scores_C_V, strict=True))
    off = sum(all(row[v] < max(columns[v]) for v in range(len(dev))) for row in whole.scores_C_V)
    return {
        "calls": whole.metric_calls,
        "templates": len(whole.templates_C),
        "off the front": off / len(whole.templates_C),
        "selected": len(selected(whole)),
        "dev solved": sum(max(c) > 0 for c in columns) / len(dev),
        "dev solved, halving": sum(max(c) > 0 for c in zip(*halved.scores_C_V, strict=True)) / len(dev),
        "calls made, exact": exact.metric_calls / whole.metric_calls,
        "calls made, halving": halved.metric_calls / whole.metric_calls,
        "calls made, replayed": 1 - saved / whole.metric_calls,
        "same selected, exact": selected(exact) == selected(whole) and exact.templates_C == whole.templates_C,
        "same selected, halving": selected(halved) == selected(whole),
        "same selected, replayed": selected(again) == selected(whole),
    }


def simulated(count, dev, keep):
    config = EvolveConfig(metric_calls=23 * dev + 14 * dev, dev_size=dev)
    for seed in range(count):
        world = Simulated(seed)
        problems = [Problem(f"p{i}", f"q{i}", "1") for i in range(2 * dev)]
        yield search(problems, world, lambda world=world: world, config, seed, keep)


class Remembered:
    """Greedy answers of frozen weights do not change: each is asked for once."""

    def __init__(self, policy):
        self.policy, self.known = policy, {}

    def rollouts(self, requests, sampling, seed):
        new = list({(p.id, c.rollout): (p, c) for p, c in requests if (p.id, c.rollout) not in self.known}.values())
        for (p, c), r in zip(new, self.policy.rollouts(new, sampling, seed) if new else [], strict=True):
            self.known[p.id, c.rollout] = r
        return [self.known[p.id, c.rollout] for p, c in requests]


def testbed(count, keep):
    """P2O's search of the testbed's recipe on its policy's initial weights, among the hard problems, with another seed each."""
    spec = resolve("p2o", "testbed")
    settings, training_set = spec.typed_method_config(), load_training_set("testbed")
    hard = [p for p in training_set.problems(spec, None) if p.meta["n"] >= HARD]
    with LocalBackend(spec, offline=True) as backend:
        policy = Remembered(backend)
        for seed in range(count):

            def proposer(seed=seed):
                return make_proposer(settings.reflector, policy, training_set.pieces(spec), seed, Ledger())

            yield search(hard, policy, proposer, settings.evolve, seed, keep)


def say(title, rows):
    found = []
    for row in rows:
        found.append(row)
        print(".", end="", file=sys.stderr, flush=True)
    rows = found
    print(f"{title}: {len(rows)} searches")
    for key in rows[0]:
        print(f"  {key:24} {mean(row[key] for row in rows):.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulated", type=int, default=200)
    parser.add_argument("--dev", type=int, default=100, help="dev problems of a simulated search")
    parser.add_argument("--testbed", type=int, default=20)
    parser.add_argument("--keep", type=float, default=0.5, help="share of pool and newcomers that halving keeps")
    args = parser.parse_args()
    if args.simulated:
        say("simulated", simulated(args.simulated, args.dev, args.keep))
    if args.testbed:
        say("testbed", testbed(args.testbed, args.keep))
