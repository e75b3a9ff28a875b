"""What is plugged into gepa: the adapter, and the strategies that turn one iteration into a batched beam.

It follows the P2O release (Lu et al. 2026), which differs from gepa's defaults: all parents of an iteration are drawn at
once, and minibatches are not reused. Used by harness/search/prompt_search.py; gepa is imported only where it is needed.

Array names carry shape suffixes: C = candidate templates, V = dev problems.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.core.hints import insert
from harness.core.ledger import Ledger
from harness.core.method import Policy
from harness.core.seeds import derive, stream
from harness.core.types import Context, Problem, Rollout, Sampling
from harness.runs.samples import OVERLONG
from harness.search.reflect import Proposer, Record, ReflectionRequest

if TYPE_CHECKING:
    from gepa.core.adapter import EvaluationBatch
    from gepa.core.data_loader import DataLoader
    from gepa.core.state import GEPAState
    from gepa.proposer.base import CandidateProposal
    from gepa.proposer.reflective_mutation.reflection_lm import ReflectionProposal
    from gepa.strategies.acceptance import AcceptanceCriterion
    from gepa.strategies.batch_sampler import BatchSampler
    from gepa.strategies.proposal_sampling import ProposalTask

COMPONENT = "template"
"""Name of the one text component that gepa evolves."""


class MeteredPolicy:
    """Samples for one search and meters every rollout; `used` of `total` metric calls are spent, and `saved` count as spent."""

    def __init__(self, policy: Policy, sampling: Sampling, seed: int, ledger: Ledger, total: int) -> None:
        self.policy, self.sampling, self.seed, self.ledger = policy, sampling, seed, ledger
        self.total, self.calls, self.errors = total, 0, Counter[str]()
        self._start, self._saved = ledger.search_rollouts, ledger.saved_rollouts

    @property
    def used(self) -> int:
        return self.ledger.search_rollouts - self._start

    @property
    def left(self) -> int:
        return self.total - self.used - self.saved

    @property
    def saved(self) -> int:
        """Metric calls that a race left out."""
        return self.ledger.saved_rollouts - self._saved

    @saved.setter
    def saved(self, calls: int) -> None:
        self.ledger.saved_rollouts = self._saved + calls

    def sample(self, pairs: Sequence[tuple[Problem, str]]) -> list[Rollout]:
        """One graded rollout per (problem, template), in one call of the policy."""
        requests = [(p, Context(insert(template, p.text), p.text, template)) for p, template in pairs]
        rollouts = self.policy.rollouts(requests, self.sampling, derive(self.seed, "evolve", self.calls))
        self.calls += 1
        self.ledger.add_rollouts(rollouts, search=True)
        self.errors.update(f"grading {r.status}" for r in rollouts if r.status in ("timeout", "error"))
        self.errors.update("prompt too long" for r in rollouts if r.status == OVERLONG)
        return rollouts


def tie_counts(scores_C_V: Sequence[Sequence[float]]) -> list[int]:
    """For each template, the number of dev problems on which no other one scores higher."""
    best_V = [max(column) for column in zip(*scores_C_V, strict=True)]
    return [sum(score == best for score, best in zip(row, best_V, strict=True)) for row in scores_C_V]


def draw_parents(ties_C: Sequence[int], width: int, rng: random.Random) -> list[int]:
    """The parents of an iteration: all templates that are best somewhere, or `width` distinct ones of them.

    They are drawn one after another without replacement, with the tie counts as weights. On a dev problem that nobody
    solves every template ties, as in the release; the paper instead keeps the non-dominated templates, weighted by mean
    dev score.
    """
    weights = {c: ties for c, ties in enumerate(ties_C) if ties}
    if len(weights) <= width:
        return list(weights)
    drawn = []
    for _ in range(width):
        [c] = rng.choices(list(weights), list(weights.values()))
        drawn.append(c)
        del weights[c]
    return drawn


def feedback(problem: Problem, rollout: Rollout) -> str:
    """What the reflector is told about a rollout. As in the release, the gold answer is always disclosed."""
    if rollout.reward >= 1.0:
        verdict = f"Right: the final answer is {problem.answer}, as it should be."
    elif rollout.status == "unparsed":
        verdict = f"Format failure: no final answer could be read. The right answer is {problem.answer}."
    else:
        verdict = f"Wrong: the final answer is not the right one, which is {problem.answer}."
    return f"{verdict} Reward: {rollout.reward:g}."


class Adapter:
    """gepa's adapter: evaluates (template, problems) pairs, all in one policy call, and phrases the feedback."""

    propose_new_texts = None  # left to the reflection strategy, which sees the whole beam

    def __init__(self, meter: MeteredPolicy) -> None:
        self.meter = meter

    def evaluate(
        self, batch: list[Problem], candidate: dict[str, str], capture_traces: bool = False
    ) -> EvaluationBatch[Record, Rollout]:
        return Adapter.batch_evaluate(self, [(candidate, batch)])[0]

    def batch_evaluate(self, items: list[tuple[dict[str, str], list[Problem]]]) -> list[EvaluationBatch[Record, Rollout]]:
        """gepa calls this once per stage of an iteration: all parents, then all children, then all accepted ones."""
        from gepa.core.adapter import EvaluationBatch

        rollouts = iter(self.meter.sample([(p, candidate[COMPONENT]) for candidate, batch in items for p in batch]))
        evaluations = []
        for _, batch in items:
            rows = [(p, next(rollouts)) for p in batch]
            # Phrased here already, because gepa swallows what make_reflective_dataset raises.
            records = [{"Inputs": p.text, "Generated Outputs": r.text, "Feedback": feedback(p, r)} for p, r in rows]
            evaluations.append(EvaluationBatch([r for _, r in rows], [r.reward for _, r in rows], records))
        return evaluations

    def children(self, written: Sequence[bool]) -> None:
        """Told between parents and children, for which parents there is one: the next evaluation is theirs."""

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: EvaluationBatch[Record, Rollout], components_to_update: list[str]
    ) -> dict[str, list[Record]]:
        return {COMPONENT: eval_batch.trajectories or []}


class Minibatches:
    """gepa's batch sampler: a shuffled queue of problems, refilled only when too few are left for a minibatch."""

    def __init__(self, size: int, rng: random.Random) -> None:
        self.size, self.rng, self.queue = size, rng, list[int]()

    def next_minibatch_ids(self, loader: DataLoader[int, Problem], state: GEPAState) -> list[int]:
        if len(self.queue) < self.size:
            self.queue = list(loader.all_ids())
            self.rng.shuffle(self.queue)
        drawn, self.queue = self.queue[: self.size], self.queue[self.size :]
        return drawn


class Reflection:
    """gepa's reflection strategy: asks the proposer for the children of a whole beam at once, and counts. `told` hears for
    which parents there is one."""

    def __init__(self, proposer: Proposer, told: Callable[[Sequence[bool]], None]) -> None:
        self.proposer, self.told = proposer, told
        self.failure: Exception | None = None
        self.proposals = self.skipped_empty = 0

    def reflect_many(
        self, jobs: list[tuple[dict[str, str], Mapping[str, list[Record]], list[str]]]
    ) -> list[tuple[ReflectionProposal, Reflection]]:
        """One proposal per parent; gepa skips a child without text. Raises what the proposer raised, also later on."""
        from gepa.proposer.reflective_mutation.reflection_lm import ReflectionProposal

        self.check()
        try:
            texts = self.proposer.propose([ReflectionRequest(parent[COMPONENT], data[COMPONENT]) for parent, data, _ in jobs])
        except Exception as error:
            self.failure = error
            raise
        self.proposals += sum(bool(text) for text in texts)
        self.skipped_empty += sum(not text for text in texts)
        self.told([bool(text) for text in texts])
        return [(ReflectionProposal({COMPONENT: text} if text else {}), self) for text in texts]

    def reflect(
        self, candidate: dict[str, str], reflective_dataset: Mapping[str, list[Record]], components: list[str]
    ) -> tuple[ReflectionProposal, Reflection]:
        return self.reflect_many([(candidate, reflective_dataset, components)])[0]

    def check(self) -> None:
        """Raise what a reflection raised: gepa only logs it and goes on, so the stop callback calls this."""
        if self.failure is not None:
            raise self.failure


class Carried:
    """A proposer whose first answers are templates of an earlier pool, one per request."""

    def __init__(self, templates: Sequence[str], proposer: Proposer) -> None:
        self.waiting, self.proposer, self.errors = list(templates), proposer, proposer.errors

    def propose(self, requests: Sequence[ReflectionRequest]) -> list[str]:
        waiting, self.waiting = self.waiting, []
        return waiting or self.proposer.propose(requests)


class Beam:
    """gepa's sampling and selection strategy: the parents of an iteration, and the children that join the pool.

    The budget is never exceeded: when it cannot pay for everything, there are fewer parents, and better children are
    turned away. `carried` templates join in the first iteration: gepa takes only one seed candidate, so they enter as
    proposals that the selection accepts unconditionally.
    """

    def __init__(self, meter: MeteredPolicy, dev_size: int, minibatch: int, width: int, seed: int, carried: int) -> None:
        self.meter, self.dev_size, self.minibatch, self.width = meter, dev_size, minibatch, width
        self.carried, self.rng = carried, stream(seed, "evolve", "parents")
        self.iterations = self.accepted = self.duplicates = self.unpaid = 0

    @property
    def exhausted(self) -> bool:
        """True when the budget no longer pays for trying and scoring another child."""
        return self.meter.left < 2 * self.minibatch + self.dev_size

    def sample_tasks(
        self, state: GEPAState, candidate_selector: Any, batch_sampler: BatchSampler, trainset: DataLoader[int, Problem]
    ) -> list[ProposalTask]:
        from gepa.strategies.proposal_sampling import ProposalTask

        if self.carried and state.i == 0:
            # One parent and problem in common, which gepa evaluates once: the detour costs a rollout each, and one.
            ids = list(trainset.all_ids())[:1]
            return [ProposalTask(0, state.program_candidates[0], ids, trainset.fetch(ids))] * self.carried
        self.iterations += 1
        ties = Counter(c for front in state.get_pareto_front_mapping().values() for c in front)
        payable = (self.meter.left - self.dev_size) // (2 * self.minibatch)
        tasks = []
        ties_C = [ties[c] for c in range(len(state.program_candidates))]
        for c in draw_parents(ties_C, min(self.width, payable), self.rng):
            ids = batch_sampler.next_minibatch_ids(trainset, state)
            tasks.append(ProposalTask(c, state.program_candidates[c], ids, trainset.fetch(ids)))
        return tasks

    def select(
        self, proposals: list[CandidateProposal], state: GEPAState, acceptance_criterion: AcceptanceCriterion
    ) -> list[CandidateProposal]:
        if self.carried and state.i == 0:
            return proposals
        better = [p for p in proposals if acceptance_criterion.should_accept(p, state)]
        known, fresh = {c[COMPONENT] for c in state.program_candidates}, []
        for p in better:
            if p.candidate[COMPONENT] not in known:
                known.add(p.candidate[COMPONENT])
                fresh.append(p)
        joining = fresh[: self.meter.left // self.dev_size]
        self.accepted += len(joining)
        self.duplicates += len(better) - len(fresh)
        self.unpaid += len(fresh) - len(joining)
        return joining
