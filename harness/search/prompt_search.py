"""Prompt evolution: GEPA (Agrawal et al. 2025) with a batched beam, as P2O uses it (Lu et al. 2026, section 3.2).

The `gepa` package runs the search, unchanged; harness/search/beam.py holds what is plugged into its extension points.

Array names carry shape suffixes: C = candidate templates, V = dev problems.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import Field

from harness.core.errors import MissingError, UsageError
from harness.core.hints import insert
from harness.core.ledger import Ledger
from harness.core.method import EpochReport, Policy, Search
from harness.core.seeds import derive, stream
from harness.core.settings import Strict
from harness.core.types import Problem, Sampling
from harness.search.asking import Fault, ReflectorConfig, check_reflector
from harness.search.beam import COMPONENT, Adapter, Beam, Carried, MeteredPolicy, Minibatches, Reflection, tie_counts
from harness.search.racing import Racer
from harness.search.reflect import Proposer, make_proposer

if TYPE_CHECKING:
    from gepa.core.result import GEPAResult
    from gepa.core.state import GEPAState


class EvolveConfig(Strict):
    """Settings of one GEPA phase; the defaults are the P2O release's."""

    metric_calls: Annotated[int, Field(ge=1)] | Literal["released"] = "released"
    """Rollouts that a phase may sample; "released" is 23 V + 4140 for V dev problems."""
    width: int = Field(16, ge=1)
    """Parents per iteration, at most."""
    minibatch: int = Field(3, ge=1)
    """Problems on which a parent and its child are compared."""
    dev_size: int = Field(300, ge=1)
    """Dev problems, at most; half of the problems, if there are fewer than twice as many."""
    racing: bool = False
    """Leave out calls on a child's minibatch once it is decided whether the child joins. The pool is the same; calls are
    made problem by problem, so that each iteration waits for more of them."""
    keep: int = Field(16, ge=1)
    """Templates of the previous pool to start from, at most, if the pool is carried over."""

    def budget(self, dev_problems: int) -> int:
        """Metric calls of a phase with this many dev problems.

        "released" is DSPy's automatic budget V + 5C + 35N + (floor((N + 1) / 5) + 1) V at C = 72 candidates and
        N = floor(1.5 C) = 108 trials, the release's "heavy_4".
        """
        return 23 * dev_problems + 4140 if self.metric_calls == "released" else self.metric_calls


@dataclass
class Pool:
    """Evolved templates with their scores on the dev problems. JSON-able; candidate 0 is the empty template."""

    templates_C: list[str]
    scores_C_V: list[list[float]]
    parents_C: list[int | None]  # None: not evolved in this phase (the empty template and carried ones)
    dev_ids: list[str]
    minibatch_ids: list[str] = field(default_factory=list)  # the problems that reflection saw, in the order of the split
    metric_calls: int = 0  # rollouts sampled in this phase
    iterations: int = 0
    proposals: int = 0  # children written and tried
    accepted: int = 0  # of these: joined the pool
    duplicates: int = 0  # of these: better than their parent but already in the pool
    unpaid: int = 0  # of these: better than their parent, but the budget had no dev evaluation left
    skipped_empty: int = 0  # reflections that proposed nothing
    errors: dict[str, int] = field(default_factory=dict)  # the proposer's, and gradings that failed

    @property
    def mean_C(self) -> list[float]:
        """Mean dev score of each template."""
        return [sum(row) / len(row) for row in self.scores_C_V]

    @property
    def best(self) -> int:
        """The candidate with the highest mean dev score, the oldest of equals."""
        return max(range(len(self.templates_C)), key=lambda c: self.mean_C[c])

    @property
    def counts(self) -> dict[str, Any]:
        """What every search logs."""
        return {
            "search_rollouts": self.metric_calls,
            "candidates": len(self.templates_C),
            "proposals": self.proposals,
            "accepted": self.accepted,
            "reflection_faults": sum(self.errors.values()) + self.skipped_empty,
            **{f"reflections_{fault}": self.errors.get(fault, 0) for fault in get_args(Fault)},
        }

    def rows(self, selected: Sequence[int]) -> list[dict[str, Any]]:
        """Rows for templates/*.jsonl: every candidate with its parent and mean score, and whether it was selected."""
        return [
            {
                "candidate": c,
                "template": z,
                "parent": self.parents_C[c],
                "mean_score": self.mean_C[c],
                "selected": c in selected,
            }
            for c, z in enumerate(self.templates_C)
        ]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Pool:
        return cls(**data)


def split(problems: Sequence[Problem], dev_size: int, seed: int) -> tuple[list[Problem], list[Problem]]:
    """Problems in random order as (dev, minibatch problems): half each, but at most `dev_size` in dev.

    No question of a suite of the run gets into dev: templates are selected there, so the suite would be trained on.
    """
    order = list(problems)
    stream(seed, "evolve", "split").shuffle(order)
    dev = [p for p in order if not p.overlapping_suites][: min(dev_size, len(order) // 2)]
    chosen = {p.id for p in dev}
    return dev, [p for p in order if p.id not in chosen]


class _Silent:
    """gepa's logger protocol, without output."""

    def log(self, message: str) -> None: ...


def evolve(
    dev: Sequence[Problem],
    minibatch_problems: Sequence[Problem],
    policy: Policy,
    proposer: Proposer,
    config: EvolveConfig,
    sampling: Sampling,
    seed: int,
    ledger: Ledger,
    start: Pool | None = None,
) -> Pool:
    """One GEPA phase (P2O release): evolve templates on the policy at its current weights. Deterministic given `seed`.

    Each iteration draws parents (`draw_parents`), gives each a minibatch of its own and one reflection, and adds the
    children whose reward sum on the minibatch is strictly larger than their parent's, scored on all of `dev`. All
    rollouts of a stage (parents, children, added children) are one call of the policy. The pool starts from the empty
    template and, with `start`, from the templates of that pool that are best on most of its dev problems, scored anew.

    Budget: every sampled rollout counts, as in gepa: V for the empty template, `minibatch` per parent and again per child,
    V per added child (plus one, and one per carried template, to enter those). It is never exceeded, and less than
    V + 2 * minibatch of it is left over. The release charges only `minibatch` per parent and V per added child, has two
    free iterations and may overshoot, so at V = 300 it samples 14 to 26 % more than the number it is given.

    `proposer` comes from `harness.search.reflect.make_proposer` with the same ledger. Raises ValueError without problems,
    UsageError if a suite of the run asks a dev problem or the budget does not pay for scoring the empty template,
    MissingError without the gepa package, and whatever policy and proposer raise.
    """
    if not dev or not minibatch_problems:
        raise ValueError("prompt evolution needs dev problems and minibatch problems")
    if shared := [p for p in dev if p.overlapping_suites]:
        suites = {s for p in shared for s in p.overlapping_suites}
        raise UsageError(
            f"{len(shared)} dev problems are questions of {', '.join(sorted(suites))}, "
            f"the first is {shared[0].id!r}; templates may not be selected on test questions"
        )
    size, total = min(config.minibatch, len(minibatch_problems)), config.budget(len(dev))
    if total < len(dev):
        raise UsageError(f"metric_calls {total} does not pay for one evaluation on {len(dev)} dev problems")
    try:
        import gepa
    except ModuleNotFoundError as error:
        raise MissingError('prompt evolution needs gepa; install it with pip install "p2o-harness[local]"') from error

    carried = _carried(start, config.keep, payable=(total - len(dev) - 1) // (len(dev) + 1))
    meter = MeteredPolicy(policy=policy, sampling=sampling, seed=seed, ledger=ledger, total=total)
    adapter = (Racer if config.racing else Adapter)(meter)
    reflection = Reflection(Carried(carried, proposer), adapter.children)
    beam = Beam(meter=meter, dev_size=len(dev), minibatch=size, width=config.width, seed=seed, carried=len(carried))

    def stop(state: GEPAState) -> bool:
        reflection.check()
        return beam.exhausted and not (carried and state.i < 0)

    result = gepa.optimize(
        seed_candidate={COMPONENT: ""},
        trainset=list(minibatch_problems),
        valset=list(dev),
        adapter=adapter,
        batch_sampler=Minibatches(size, stream(seed, "evolve", "minibatches")),
        sampling_strategy=beam,
        selection_strategy=beam,
        reflection_strategy=reflection,
        stop_callbacks=stop,
        skip_perfect_score=False,  # the release reflects on every parent
        track_best_outputs=False,
        logger=_Silent(),
        seed=derive(seed, "evolve"),
        raise_on_exception=True,
    )
    return _pool(result, dev, minibatch_problems, meter, reflection, beam)


def _carried(start: Pool | None, keep: int, payable: int) -> list[str]:
    """The templates of `start` to begin with: those that are best on most dev problems first, the older of equals."""
    if start is None:
        return []
    ties_C = tie_counts(start.scores_C_V)
    order = sorted(range(len(ties_C)), key=lambda c: -ties_C[c])
    templates = dict.fromkeys(start.templates_C[c] for c in order if start.templates_C[c])
    return list(templates)[: min(keep, max(payable, 0))]


def _pool(
    result: GEPAResult,
    dev: Sequence[Problem],
    minibatch: Sequence[Problem],
    meter: MeteredPolicy,
    reflection: Reflection,
    beam: Beam,
) -> Pool:
    parents_C = [parents[0] for parents in result.parents]
    parents_C[1 : 1 + beam.carried] = [None] * beam.carried
    return Pool(
        templates_C=[candidate[COMPONENT] for candidate in result.candidates],
        scores_C_V=[[float(scores[v]) for v in range(len(dev))] for scores in result.val_subscores],
        parents_C=parents_C,
        dev_ids=[p.id for p in dev],
        minibatch_ids=[p.id for p in minibatch],
        metric_calls=meter.used,
        iterations=beam.iterations,
        proposals=reflection.proposals - beam.carried,
        accepted=beam.accepted,
        duplicates=beam.duplicates,
        unpaid=beam.unpaid,
        skipped_empty=reflection.skipped_empty,
        errors=dict(meter.errors + reflection.proposer.errors),
    )


class PromptSearch:
    """Prompt evolution as a method uses it: settings, reflector, and the pool of the last search, which survives a resume."""

    def __init__(self, config: EvolveConfig, reflector: ReflectorConfig, phrases: Sequence[str], max_new_tokens: int) -> None:
        self.config, self.reflector, self.phrases = config, reflector, phrases
        self.sampling = Sampling(0.0, max_new_tokens)  # metric calls are greedy
        self.pool: Pool | None = None

    def check(self, problems: Sequence[Problem], must_select: bool = True) -> None:
        """Refuse, before anything runs, what could only fail at a search on these problems; `must_select`: that has to end
        in a template. Raises UsageError for settings, MissingError for a recording that is not there.
        """
        check_reflector(self.reflector, self.phrases)
        if must_select and problems and all(p.overlapping_suites for p in problems):
            raise UsageError("suites of this run ask every training problem, so no template can be selected; leave them out")
        size = min(self.config.dev_size, len(problems) // 2)
        if (total := self.config.budget(size)) < size:
            raise UsageError(f"metric_calls {total} does not pay for one evaluation on {size} dev problems")

    @property
    def reference(self) -> Literal["none", "answer"]:
        """What is told about training problems: a model that reflects gets to see the answers."""
        return "answer" if self.reflector.asks else "none"

    def budget(self, problems: int) -> int:
        """The most rollouts of a search on this many problems."""
        return self.config.budget(min(self.config.dev_size, problems // 2))

    def shape(self, problems: int) -> Search:
        """What a search on this many problems is made of, at most."""
        dev, c = min(self.config.dev_size, problems // 2), self.config
        return Search(self.budget(problems), dev, min(c.minibatch, problems - dev), c.width)

    def proposer(self, policy: Policy, seed: int, ledger: Ledger) -> Proposer:
        """Who writes templates. Raises as `make_proposer`."""
        return make_proposer(self.reflector, policy, self.phrases, seed, ledger)

    def run(
        self,
        problems: Sequence[Problem],
        policy: Policy,
        ledger: Ledger,
        seed: int,
        left: float = math.inf,
        start: Pool | None = None,
    ) -> Pool | None:
        """Search on these problems, from the empty template or from the pool `start`. Raises as `evolve`.

        None if there is nothing to select on, because suites of the run ask every problem, or if the search would not leave
        any of the `left` rollouts.
        """
        dev, minibatch = split(problems, self.config.dev_size, seed)
        if not dev or left <= self.config.budget(len(dev)):
            return None
        proposer = self.proposer(policy, seed, ledger)
        self.pool = evolve(dev, minibatch, policy, proposer, self.config, self.sampling, seed, ledger, start)
        return self.pool

    def run_for_best(self, problems: Sequence[Problem], policy: Policy, ledger: Ledger, seed: int) -> EpochReport:
        """Search for the one template that `best` then names; what to log. Raises UsageError if there is none to select."""
        pool = self.run(problems, policy, ledger, seed)
        if pool is None:
            raise UsageError("suites of this run ask every training problem, so no template can be selected; leave them out")
        scores = {"dev_score": pool.mean_C[pool.best], "dev_score_empty": pool.mean_C[0]}
        return EpochReport({**pool.counts, **scores}, pool.rows([pool.best]))

    @property
    def best(self) -> str:
        """The template with the highest mean dev score; empty before the first search."""
        return self.pool.templates_C[self.pool.best] if self.pool else ""

    def prompt(self, problem: Problem) -> str:
        """A problem with the best template inserted."""
        return insert(self.best, problem.text)

    def adopt(self, template: str) -> None:
        """Let `best` be this template, as after a search that ended with it."""
        self.pool = Pool([template], [[0.0]], [None], [])

    def state_dict(self) -> dict[str, Any]:
        return {"pool": self.pool.to_dict() if self.pool else None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.pool = Pool.from_dict(state["pool"]) if state["pool"] else None
