"""The batched beam against gepa's sequential default, at the same number of metric calls.

    python perf/gepa_beam.py                    a stand-in policy: a fixed latency per call plus a cost per rollout
    python perf/gepa_beam.py --policy FOLDER    a testbed policy on the local backend

Both searches use the same problems, proposer and budget. The default is gepa's own: one parent per iteration, its own
minibatches, and no `batch_evaluate`. The ratio is that of seconds per metric call. Exit code 1 below `--target`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gepa

from harness.core.ledger import Ledger
from harness.core.method import Policy
from harness.core.types import Context, Problem, Rollout, Sampling
from harness.search.asking import ReflectorConfig
from harness.search.beam import COMPONENT, Adapter, MeteredPolicy, Reflection
from harness.search.prompt_search import EvolveConfig, evolve
from harness.search.reflect import Proposer, make_proposer
from harness.testbed.world import HARD, MAX_NEW_TOKENS, PHRASES, pieces, train_problems

SAMPLING = Sampling(0.0, MAX_NEW_TOKENS)


@dataclass
class Timing:
    """What one search took: wall seconds, metric calls, calls of the policy, and the best mean dev score it found."""

    seconds: float
    metric_calls: int
    policy_calls: int
    best: float


class CountingPolicy:
    """Passes rollouts on and counts the calls."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self.calls = policy, 0

    def rollouts(self, requests: Sequence[tuple[Problem, Context]], sampling: Sampling, seed: int) -> list[Rollout]:
        self.calls += 1
        return self.policy.rollouts(requests, sampling, seed)


class SequentialAdapter(Adapter):
    """The same evaluations, one (template, minibatch) pair at a time."""

    batch_evaluate = None


class Silent:
    def log(self, message: str) -> None: ...


def _proposer(policy: Policy, seed: int) -> Proposer:
    return make_proposer(ReflectorConfig(kind="offline"), policy, pieces(), seed, Ledger())


def beam(policy: Policy, dev: list[Problem], train: list[Problem], metric_calls: int, seed: int) -> Timing:
    """The beam of harness/search/prompt_search.py."""
    counted, start = CountingPolicy(policy), time.perf_counter()
    config = EvolveConfig(metric_calls=metric_calls)
    pool = evolve(dev, train, counted, _proposer(policy, seed), config, SAMPLING, seed, Ledger())
    return Timing(time.perf_counter() - start, pool.metric_calls, counted.calls, max(pool.mean_C))


def sequential(policy: Policy, dev: list[Problem], train: list[Problem], metric_calls: int, seed: int) -> Timing:
    """gepa with its own sampling strategy, batch sampler and stopper."""
    counted, start = CountingPolicy(policy), time.perf_counter()
    meter = MeteredPolicy(counted, SAMPLING, seed, Ledger(), metric_calls)
    adapter = SequentialAdapter(meter)
    result = gepa.optimize(
        seed_candidate={COMPONENT: ""},
        trainset=train,
        valset=dev,
        adapter=adapter,
        reflection_strategy=Reflection(_proposer(policy, seed), adapter.children),
        max_metric_calls=metric_calls,
        track_best_outputs=False,
        logger=Silent(),
        seed=seed,
    )
    return Timing(time.perf_counter() - start, meter.used, counted.calls, max(result.val_aggregate_scores))


SEARCHES = (sequential, beam)


def compare(policy: Policy, problems: list[Problem], metric_calls: int, seed: int, repeats: int) -> float:
    """Runs both searches in turn, `repeats` times, with half of `problems` as dev set, and prints the fastest of each.

    Returns how much faster the beam is per metric call.
    """
    half = len(problems) // 2
    policy.rollouts([(p, Context.plain(p.text)) for p in problems[:2]], SAMPLING, seed)  # warm up
    cost = {}
    dev, train = problems[:half], problems[half:]
    timings = [[search(policy, dev, train, metric_calls, seed) for search in SEARCHES] for _ in range(repeats)]
    for search, runs in zip(SEARCHES, zip(*timings, strict=True), strict=True):
        t = min(runs, key=lambda run: run.seconds)  # the least disturbed by what else the machine does
        cost[search] = t.seconds / t.metric_calls
        print(
            f"{search.__name__:10} {t.seconds:7.2f} s, {t.metric_calls:5} metric calls in {t.policy_calls:4} calls,",
            f"{1e3 * cost[search]:6.2f} ms each, best dev score {t.best:.2f}",
        )
    return cost[sequential] / cost[beam]


class StandIn:
    """Solves a problem when the template holds a word of its style; a call takes `latency + rows * per_row` s."""

    def __init__(self, latency: float, per_row: float) -> None:
        self.latency, self.per_row = latency, per_row
        self.words = {style: {w for phrase in PHRASES[style] for w in phrase.split()} for style in "SL"}

    def rollouts(self, requests: Sequence[tuple[Problem, Context]], sampling: Sampling, seed: int) -> list[Rollout]:
        time.sleep(self.latency + self.per_row * len(requests))
        return [
            Rollout(c, "", [0], [0.0], 1, reward=float(bool(self.words[p.meta["right"]] & set(c.template.split()))))
            for p, c in requests
        ]


def load(folder: Path) -> Policy:
    """A testbed policy on the local backend, with its default settings."""
    from harness.config import RunSpec
    from harness.training.local.backend import LocalBackend

    return LocalBackend(RunSpec(method="grpo", recipe="testbed"), offline=True, model=folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", type=Path, help="folder of a testbed policy")
    parser.add_argument("--problems", type=int, default=80, help="hard problems, half of them dev")
    parser.add_argument("--metric-calls", type=int, help="default: the released budget for this dev set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=1, help="runs of each search; the fastest counts")
    parser.add_argument("--latency", type=float, default=0.03, help="stand-in: seconds per call")
    parser.add_argument("--per-row", type=float, default=0.0003, help="stand-in: seconds per rollout")
    parser.add_argument("--target", type=float, default=3.0, help="smallest acceptable ratio")
    args = parser.parse_args()
    policy = load(args.policy) if args.policy else StandIn(args.latency, args.per_row)
    hard = [p for p in train_problems(4 * args.problems, 0.4, args.seed) if p.meta["n"] >= HARD][: args.problems]
    metric_calls = args.metric_calls or EvolveConfig().budget(len(hard) // 2)
    ratio = compare(policy, hard, metric_calls, args.seed, args.repeats)
    print(f"beam: {ratio:.1f} times as fast per metric call (target {args.target:g})")
    return 0 if ratio >= args.target else 1


if __name__ == "__main__":
    raise SystemExit(main())
