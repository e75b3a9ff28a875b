"""Prompt evolution: GEPA (Agrawal et al. 2025) with a batched beam, as P2O uses it (Lu et al. 2026, section 3.2).

The `gepa` package runs the search, unchanged; harness/search/beam.py holds what is plugged into its extension points.

Array names carry shape suffixes: C = candidate templates, V = dev problems.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from harness.core.errors import MissingError, UsageError
from harness.core.ledger import Ledger
from harness.core.method import Policy
from harness.core.seeds import derive, stream
from harness.core.settings import Strict
from harness.core.types import Problem, Sampling
from harness.search.beam import COMPONENT, Adapter, Beam, Carried, MeteredPolicy, Minibatches, Progress, Reflection, tie_counts
from harness.search.reflect import Proposer

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
    """Dev problems, at most; with fewer than twice as many hard problems, half of those."""
    keep: int = Field(16, ge=1)
    """Templates of the previous pool to start from, at most, where the pool is carried over."""

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
    metric_calls: int = 0  # rollouts sampled in this phase
    iterations: int = 0
    proposals: int = 0  # children written and tried
    accepted: int = 0  # of these: joined the pool
    duplicates: int = 0  # of these: better than their parent but already in the pool
    unpaid: int = 0  # of these: better than their parent, but the budget had no dev evaluation left
    skipped_empty: int = 0  # reflections that proposed nothing
    errors: dict[str, int] = field(default_factory=dict)  # the proposer's, and gradings that ended abnormally

    @property
    def mean_C(self) -> list[float]:
        """Mean dev score of each template."""
        return [sum(row) / len(row) for row in self.scores_C_V]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Pool:
        return cls(**data)


def split(hard: Sequence[Problem], dev_size: int, seed: int) -> tuple[list[Problem], list[Problem]]:
    """Hard problems in random order as (dev, minibatch problems): half each, but at most `dev_size` in dev.

    None in dev is asked by a suite of the run: templates are selected there, so the suite would be trained on.
    """
    order = list(hard)
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
    progress: Progress | None = None,
) -> Pool:
    """One GEPA phase (P2O release): evolve templates on the policy at its current weights. Deterministic given `seed`.

    Each iteration takes the parents of `draw_parents`, a minibatch of its own for each, one reflection per parent, and
    adds the children whose reward sum on the minibatch is strictly larger, scored on all of `dev`. Rollouts of one
    stage (parents, children, added children) are one call of the policy. The pool starts from the empty template, and
    with `start` also from that pool's templates that are best on most of its dev problems, scored anew.

    Budget: every rollout that is sampled counts, gepa's own way: V for the empty template, `minibatch` per parent and
    again per child, V per added child (plus one, and one per carried template, for entering those); it is never
    exceeded, and less than V + 2 * minibatch of it stays unspent. The release charges `minibatch` per parent and V per
    added child only, has two free iterations, and may overshoot, so at V = 300 it samples 14 to 26 % more than
    the number it is given.

    `proposer` comes from `harness.search.reflect.make_proposer` with the same ledger. Raises ValueError without problems,
    UsageError when a suite of the run asks a dev problem and when the budget does not pay for scoring the empty template,
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
    meter = MeteredPolicy(policy, sampling, seed, ledger, total, progress)
    reflection = Reflection(Carried(carried, proposer))
    beam = Beam(meter, len(dev), size, config.width, seed, len(carried))

    def stop(state: GEPAState) -> bool:
        reflection.check()
        return beam.exhausted and not (carried and state.i < 0)

    result = gepa.optimize(
        seed_candidate={COMPONENT: ""},
        trainset=list(minibatch_problems),
        valset=list(dev),
        adapter=Adapter(meter),
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
    return _pool(result, dev, meter, reflection, beam)


def _carried(start: Pool | None, keep: int, payable: int) -> list[str]:
    """The templates of `start` to begin with: first those that are best on most dev problems, ties by age."""
    if start is None:
        return []
    ties_C = tie_counts(start.scores_C_V)
    order = sorted(range(len(ties_C)), key=lambda c: -ties_C[c])
    templates = dict.fromkeys(start.templates_C[c] for c in order if start.templates_C[c])
    return list(templates)[: min(keep, max(payable, 0))]


def _pool(result: GEPAResult, dev: Sequence[Problem], meter: MeteredPolicy, reflection: Reflection, beam: Beam) -> Pool:
    parents_C = [parents[0] for parents in result.parents]
    parents_C[1 : 1 + beam.carried] = [None] * beam.carried
    return Pool(
        templates_C=[candidate[COMPONENT] for candidate in result.candidates],
        scores_C_V=[[float(scores[v]) for v in range(len(dev))] for scores in result.val_subscores],
        parents_C=parents_C,
        dev_ids=[p.id for p in dev],
        metric_calls=meter.used,
        iterations=beam.iterations,
        proposals=reflection.proposals - beam.carried,
        accepted=beam.accepted,
        duplicates=beam.duplicates,
        unpaid=beam.unpaid,
        skipped_empty=reflection.skipped_empty,
        errors=dict(meter.errors + reflection.proposer.errors),
    )
