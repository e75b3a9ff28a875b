"""The cost of a run by its plan and the assumptions: wall time part by part, GPU hours, tokens, reflections, money, disk.

Turns wait for their longest completion, so that few completions take as long as many: what makes a prompt search slow is its
turns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.config import RunSpec
from harness.core.ledger import Ledger
from harness.core.method import Search
from harness.cost.assumptions import CPU, Assumptions
from harness.cost.files import Files, of_parameters
from harness.plan import Plan
from harness.training.openrlhf.launch import serves_reflector

SCORE = 0.25
"""A forward pass takes this part of an update's time: 2 FLOP a parameter and token, of 8 with what is computed again."""
ON_GPUS = ("policy", "initial")
"""Reflectors whose tokens the training's own engines write."""
SILENT = ("offline", "book", "placebo", "replay")
"""Reflectors that no model answers for."""


@dataclass(frozen=True)
class Work:
    """What one seed does, in numbers of things: an expectation where completions are of average length, at the most that its
    bounds allow. `again`: turns in which groups sample again, as if one of every batch needed all it may; `plain`: rollouts of
    training and of screening; `searched`: metric calls."""

    batches: float
    again: float
    plain: float
    searched: float
    searches: float
    search: Search | None
    trained: float
    asked: float
    taught: float
    eval_samples: float
    eval_passes: float

    def times(self, factor: float) -> Work:
        """All of the training by a factor; the evaluation stays."""
        names = ("batches", "again", "plain", "searched", "searches", "trained", "asked", "taught")
        return replace(self, **{name: factor * getattr(self, name) for name in names})


@dataclass(frozen=True)
class Cost:
    """Of one seed, but for `disk`, bytes of the run with all its seeds.

    `hours` of wall time by part, of `gpus` GPUs (0: two cores of a CPU). `writer`: the kind of reflector that is asked.
    `dollars`: what a server takes for reflections; None where its price is not known.
    """

    device: str
    writer: str | None
    gpus: int
    hours: dict[str, float]
    rollouts: float
    search_rollouts: float
    generated_tokens: float
    trained_tokens: float
    eval_tokens: float
    reflection_calls: float
    reflection_prompt_tokens: float
    reflection_tokens: float
    dollars: float | None
    disk: float
    files: Files
    seeds: int

    @property
    def wall_hours(self) -> float:
        return sum(self.hours.values())

    @property
    def device_hours(self) -> float:
        """GPU hours, or hours of two cores."""
        return self.wall_hours * (self.gpus or 1)

    @property
    def unit(self) -> str:
        return "GPU hours" if self.gpus else "hours of two cores"

    @property
    def sampled_tokens(self) -> float:
        """As the ledger counts them: completions and reflections."""
        return self.generated_tokens + self.reflection_tokens


def estimate(spec: RunSpec, plan: Plan, a: Assumptions, sampled_tokens: float | None = None) -> Cost:
    """The cost of a run. `sampled_tokens`: those of the arm at whose tokens a seed stops, where it has such a budget.

    A bound in tokens is met by more rollouts than the plan's, whose completions are all of full length.
    """
    work = work_of(spec, plan)
    bound = sampled_tokens or (spec.train.max_sampled_tokens if plan.by_tokens else None)
    if bound and (planned := _tokens(spec, work, a)):
        work = work.times(bound / planned)
    return cost_of(spec, work, a)


def work_of(spec: RunSpec, plan: Plan) -> Work:
    """What a seed does by its plan."""
    cfg = spec.train
    searched = plan.searches * plan.search.rollouts if plan.search else 0
    return Work(
        batches=plan.batches,
        again=plan.batches * (plan.turns - 1),
        plain=plan.rollouts - min(searched, plan.rollouts),
        searched=min(searched, plan.rollouts),
        searches=plan.searches if plan.search else 0,
        search=plan.search,
        trained=plan.batches * cfg.prompts_per_batch * cfg.rollouts_per_prompt,
        asked=plan.asked,
        taught=plan.asked * plan.passes,
        eval_samples=plan.eval_samples,
        eval_passes=plan.eval_passes,
    )


def work_of_ledger(spec: RunSpec, ledger: Ledger, search: Search | None) -> Work:
    """What a finished seed did in training; its evaluation is on no ledger."""
    answer = ledger.generated_tokens / max(ledger.rollouts, 1)
    calls = ledger.search_rollouts if search else 0
    return Work(
        batches=ledger.optimiser_steps / spec.train.updates_per_batch,
        again=0,
        plain=ledger.rollouts - calls,
        searched=calls,
        searches=calls / search.rollouts if search else 0,
        search=search,
        trained=ledger.trained_tokens / answer if answer else 0,
        asked=0 if calls else ledger.reflection_calls,
        taught=0,
        eval_samples=0,
        eval_passes=0,
    )


def cost_of(spec: RunSpec, work: Work, a: Assumptions) -> Cost:
    """The cost of so much work."""
    kind = writer_of(spec)
    calls, turns = reflections(work, a)
    files = of_parameters(spec, a["parameters"])
    asks = kind is not None and kind not in SILENT
    return Cost(
        device=a.device,
        writer=kind if asks and calls else None,
        gpus=gpus_of(spec, a, calls),
        hours={name: seconds / 3600 for name, seconds in seconds_of(spec, work, a, calls, turns, kind).items()},
        rollouts=work.plain + work.searched,
        search_rollouts=work.searched,
        generated_tokens=work.plain * a["answer"] + work.searched * a["searched"],
        trained_tokens=(work.trained + work.taught) * a["answer"],
        eval_tokens=work.eval_samples * a["answer"],
        reflection_calls=calls if asks else 0,
        reflection_prompt_tokens=calls * a["read"] if asks else 0,
        reflection_tokens=calls * a["written"] if asks else 0,
        dollars=_dollars(spec, kind, calls, a),
        disk=files.all,
        files=files,
        seeds=len(spec.seeds),
    )


def writer_of(spec: RunSpec) -> str | None:
    """Which kind of reflector or teacher writes for the training; None for a method without one."""
    own: Mapping[str, Mapping[str, str]] = spec.method_config
    config = own.get("reflector") or own.get("teacher")
    return config["kind"] if config else None


def gpus_of(spec: RunSpec, a: Assumptions, calls: float) -> int:
    """GPUs that a run holds, among them that of a reflection server on its node if it is asked at all; 0 on a CPU."""
    if a.device == CPU:
        return 0
    return trainers_of(spec) + (bool(calls) and serves_reflector(spec))


def trainers_of(spec: RunSpec) -> int:
    """GPUs that train and sample, or the one CPU."""
    return spec.backend.nodes * spec.backend.gpus_per_node if spec.backend.name == "openrlhf" else 1


def reflections(work: Work, a: Assumptions) -> tuple[float, float]:
    """Answers of a writer, and the turns in which they come. An iteration of a search writes for all its parents at once; what
    the searches do not spend on the empty template pays for parents, children, and the children that join."""
    calls, turns = work.asked, float(work.asked > 0)
    if s := work.search:
        own = max(0.0, s.rollouts - s.dev) / (2 * s.minibatch + a["accepted"] * s.dev)
        calls, turns = calls + work.searches * own, turns + work.searches * own / min(a["parents"], s.width)
    return calls, turns


def seconds_of(spec: RunSpec, work: Work, a: Assumptions, calls: float, turns: float, kind: str | None) -> dict[str, float]:
    """Wall seconds of a seed by part."""
    n = trainers_of(spec)
    longest = a["longest"] / a["stream"]
    few = min(a["searched"], a["longest"]) / a["stream"]  # a hard problem's few completions: on average, not at the limit

    def sampling(completions: float, tokens: float, waits: float, again: float = 0.0) -> float:
        """Of completions with so many tokens, in so many turns."""
        return max(completions * tokens / (a["sample"] * n), waits * longest + again * few)

    parts = {
        "sampling": sampling(work.plain, a["answer"], work.batches, work.again),
        "search": 0.0,
        "reflection": 0.0,
        "training": (work.trained + work.taught) * (a["answer"] + a["prompt"]) / (a["train"] * n),
        "other": work.batches * a["batch"] + a["start"],
        "evaluation": sampling(work.eval_samples, a["answer"], work.eval_passes),
    }
    if a.device != CPU:
        parts["training"] *= 1 + SCORE * _scorings(spec)
    if s := work.search:
        trials = min(2 * s.minibatch * calls, work.searched)
        parts["search"] = sampling(trials, a["searched"], 2 * turns)
        parts["search"] += sampling(work.searched - trials, a["searched"], work.searches + min(turns, a["accepted"] * calls))
    if kind in ON_GPUS:
        limit = min(a["longest"], float(spec.method_config["reflector"]["max_new_tokens"]))
        parts["reflection"] = max(calls * a["written"] / (a["sample"] * n), turns * limit / a["stream"])
    elif kind == "openai":
        parts["reflection"] = turns * a["latency"]
    return parts


def _scorings(spec: RunSpec) -> int:
    """Forward passes over a batch before its updates: under the prompt of the gradient, and under that of the rollout where it
    is another one."""
    own = spec.method_config
    both = own.get("gradient_context") == "original"
    return 2 if both else int(spec.backend.name == "openrlhf" or spec.train.updates_per_batch > 1)


def _tokens(spec: RunSpec, work: Work, a: Assumptions) -> float:
    kind = writer_of(spec)
    written = reflections(work, a)[0] * a["written"] if kind and kind not in SILENT else 0.0
    return work.plain * a["answer"] + work.searched * a["searched"] + written


def _dollars(spec: RunSpec, kind: str | None, calls: float, a: Assumptions) -> float | None:
    """What a server takes that is not on the run's own node, whose GPU is counted instead."""
    if kind != "openai" or not calls or serves_reflector(spec):
        return 0.0
    if not {"price-in", "price-out"} <= a.rows.keys():
        return None
    return calls * (a["read"] * a["price-in"] + a["written"] * a["price-out"]) / 1e6
