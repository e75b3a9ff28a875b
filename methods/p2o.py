"""P2O: joint policy and prompt optimization (Lu et al. 2026, arXiv 2603.21877, Algorithm 1), as released.

    harness run --method p2o --bench ood

Each epoch is GRPO, except that hard problems of the previous epoch are rolled out with evolved templates while the
gradient is taken on the original prompt (context distillation). After each epoch but the last, the hard problems are
mined and GEPA evolves templates for them on the frozen policy, greedily decoded, one rollout per metric call.

Where the released code and the paper differ, the default is the code and the paper's reading is a switch:
- success is measured on the rollouts made, templated ones included (paper, Eq. 3: on the original prompt):
  `mining=plain`, which pays for k extra plain rollouts of every templated problem;
- the 0/1 mask on pi_old(y|x) / pi_old(y|x~) outside [0.01, 10] is not in the paper's Eq. 4: `correction=none`;
- at least 100 hard problems before templates are evolved (paper: one): `min_hard=1`;
- the gradient on the templated prompt, the paper's ablation without distillation: `gradient_context=hinted`.
Differs from the release: every random stream is seeded; metric calls count every rollout that is sampled; an empty
set of solved dev problems clears the templates instead of ending the run.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from harness.core.budget import rollouts_left
from harness.core.hints import HintedConfig, insert
from harness.core.leaks import leaks
from harness.core.ledger import Ledger
from harness.core.method import Policy
from harness.core.seeds import derive, stream
from harness.core.settings import Correction, LossSpec
from harness.core.types import Context, Group, Problem, Sample, Sampling
from harness.methods.grpo import GRPO
from harness.search.beam import feedback
from harness.search.prompt_search import EvolveConfig, Pool, evolve, split
from harness.search.reflect import ReflectionRequest, ReflectorConfig, make_proposer

GENERIC = "think step by step"
"""The one hint of `templates=generic` (Kojima et al. 2022, zero-shot chain of thought)."""


class P2OConfig(HintedConfig):
    """Settings of P2O; the defaults are the release's."""

    hard_below: int = Field(2, ge=1)
    """A problem is hard below this many successes of its group (the paper's threshold tau, as a count)."""
    min_hard: int = Field(100, ge=2)
    """With fewer hard problems no template is evolved and all are cleared."""
    mining: Literal["templated", "plain"] = "templated"
    """Measure success on the rollouts made, or on k plain ones."""
    gradient_context: Literal["hinted", "original"] = "original"
    """The prompt in the loss: original is context distillation."""
    correction: Correction = "mask"
    """Of tokens of templated rollouts by pi_old(y|x) / pi_old(y|x~)."""
    same_template_in_group: bool = False
    """One template for all rollouts of a group (the paper's ablation) instead of one each."""
    plain_share: float = Field(0.0, ge=0, lt=1)
    """Share of a hard problem's rollouts that stay untemplated."""
    carry_pool: bool = False
    """Start each evolution from the previous pool instead of the empty template."""
    templates: Literal["gepa", "reflection", "random", "generic", "none"] = "gepa"
    """Where they come from: GEPA; one reflection per hard problem on its own failures (the paper's single-turn ablation);
    and three controls: random words, one hint for all, no template at all."""
    evolve: EvolveConfig = EvolveConfig()
    """The GEPA phase."""
    reflector: ReflectorConfig = ReflectorConfig()
    """Who writes templates."""


class P2O(GRPO):
    """Mine hard problems, evolve templates for them, roll out with a template, take the gradient without."""

    Config = P2OConfig
    config: P2OConfig

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.assigned: dict[str, list[str]] = {}  # hard problem -> its k templates of the next epoch
        self.pool: Pool | None = None
        self._rows: list[dict[str, Any]] = []

    @classmethod
    def check(cls, config: P2OConfig, train: Any) -> None:
        if config.hard_below > train.rollouts_per_prompt:
            raise ValueError(f"hard_below {config.hard_below} exceeds the {train.rollouts_per_prompt} rollouts of a group")
        if config.plain_share and not 1 <= round(config.plain_share * train.rollouts_per_prompt):
            raise ValueError(f"plain_share {config.plain_share} leaves no rollout of a group untemplated")

    @property
    def loss(self) -> LossSpec:
        return self.config.loss(self.train.loss)

    async def rollout_group(self, problem: Problem, k: int, sample: Sample, rng: random.Random) -> Group:
        templates_K = self.assigned.get(problem.id, [""] * k)
        return Group(problem, await sample([self.context(problem, z) for z in templates_K]))

    def context(self, problem: Problem, z: str) -> Context:
        """T(x, z) for the rollout; for the gradient x itself, which is all there is to context distillation."""
        return self.config.context(problem, insert(z, problem.text), z)

    @property
    def reference(self) -> str:
        """A model that reflects is told the answers."""
        told = self.config.templates in ("gepa", "reflection") and self.config.reflector.kind != "offline"
        return "answer" if told else "none"

    def search_budget(self) -> int:
        """Metric calls of one phase at the largest dev set; plain mining adds k per training problem."""
        dev = min(self.config.evolve.dev_size, len(self.problems) // 2)
        plain = len(self.problems) * self.train.rollouts_per_prompt if self.config.mining == "plain" else 0
        return plain + (self.config.evolve.budget(dev) if self.config.templates == "gepa" else 0)

    def end_epoch(self, epoch: int, groups: Sequence[Group], policy: Policy, ledger: Ledger, last: bool) -> dict[str, Any]:
        self._rows = []
        hard = self.mine(epoch, groups, policy, ledger)
        metrics: dict[str, Any] = {"hard_problems": len(hard), "seen_problems": len(groups)}
        if last:
            return metrics
        self.assigned = {}
        seed, config = derive(self.seed, "p2o", epoch), self.config.evolve
        if self.config.templates != "gepa":
            if len(hard) >= self.config.min_hard:
                self.assigned = self.without_search(hard, groups, policy, ledger, seed)
            return {**metrics, "search_rollouts": 0}
        dev, minibatch = split(hard, config.dev_size, seed)
        left = rollouts_left(self.train, ledger)
        if len(hard) < self.config.min_hard or not dev or left <= config.budget(len(dev)):  # too few, or no rollout left
            return {**metrics, "search_rollouts": 0}
        proposer = make_proposer(self.config.reflector, policy, self.phrases, seed, ledger)
        greedy = Sampling(0.0, self.train.max_new_tokens)
        start = self.pool if self.config.carry_pool else None
        self.pool = evolve(dev, minibatch, policy, proposer, config, greedy, seed, ledger, start)
        cover = greedy_cover(self.pool)
        if cover:
            self.assigned = self.draw(cover, dev, minibatch, seed)
        self._rows = pool_rows(self.pool, cover)
        return {
            **metrics,
            "search_rollouts": self.pool.metric_calls,
            "candidates": len(self.pool.templates_C),
            "proposals": self.pool.proposals,
            "accepted": self.pool.accepted,
            "cover": len(cover),
            "reflection_faults": sum(self.pool.errors.values()) + self.pool.skipped_empty,
            "dev_solved": sum(max(column) > 0 for column in zip(*self.pool.scores_C_V, strict=True)) / len(dev),
        }

    def mine(self, epoch: int, groups: Sequence[Group], policy: Policy, ledger: Ledger) -> list[Problem]:
        """Problems with fewer than `hard_below` successes (release: on the rollouts made; paper, Eq. 3: on x)."""
        successes = {g.problem.id: g.successes for g in groups}
        if self.config.mining == "plain":
            k = self.train.rollouts_per_prompt
            again = [g.problem for g in groups if any(r.context.template for r in g.rollouts)]
            requests = [(p, Context.plain(p.text)) for p in again for _ in range(k)]
            rollouts = policy.rollouts(requests, self.train.sampling, derive(self.seed, "mine", epoch)) if again else []
            ledger.add_rollouts(rollouts, search=True)
            for i, p in enumerate(again):
                successes[p.id] = sum(r.reward >= 1.0 for r in rollouts[i * k : (i + 1) * k])
        return [g.problem for g in groups if successes[g.problem.id] < self.config.hard_below]

    def without_search(
        self, hard: Sequence[Problem], groups: Sequence[Group], policy: Policy, ledger: Ledger, seed: int
    ) -> dict[str, list[str]]:
        """K templates per hard problem from the sources that need no metric calls.

        A reflection is made of up to `evolve.minibatch` failed rollouts of the problem, whose answer the reflector is
        told; one that gives it away is refused. Random templates have one to four pieces: phrases, where the training
        set has any, else words of its problems.
        """
        k, source, rng = self.train.rollouts_per_prompt, self.config.templates, stream(seed, "templates")
        plain = round(self.config.plain_share * k)

        def group(templates: list[str]) -> list[str]:
            """K of them; a single one is everybody's."""
            return [""] * plain + (templates * (k - plain))[: k - plain]

        if source == "none":
            return {}
        if source == "generic":
            return {p.id: group([GENERIC]) for p in hard}
        if source == "random":
            pieces = self.phrases or sorted({word for p in self.problems for word in p.text.split()})
            count = 1 if self.config.same_template_in_group else k - plain
            return {p.id: group([" ".join(rng.choices(pieces, k=rng.randint(1, 4))) for _ in range(count)]) for p in hard}
        failed = {g.problem.id: [r for r in g.rollouts if r.reward < 1.0] for g in groups}
        jobs = [
            ReflectionRequest(
                "",
                [
                    {"Inputs": p.text, "Generated Outputs": r.text, "Feedback": feedback(p, r)}
                    for r in failed[p.id][: self.config.evolve.minibatch]
                ],
            )
            for p in hard
        ]
        written = make_proposer(self.config.reflector, policy, self.phrases, seed, ledger).propose(jobs)
        refused = {p.id for p, z in zip(hard, written, strict=True) if leaks(z, p.answer)}
        ledger.refused_hints += len(refused)
        self._rows = [
            {"candidate": i, "template": z, "parent": None, "mean_score": None, "selected": p.id not in refused}
            for i, (p, z) in enumerate(zip(hard, written, strict=True))
        ]
        return {p.id: group([z]) for p, z in zip(hard, written, strict=True) if z and p.id not in refused}

    def draw(
        self, cover: Sequence[int], dev: Sequence[Problem], minibatch: Sequence[Problem], seed: int
    ) -> dict[str, list[str]]:
        """K templates per hard problem, with replacement, weighted by mean dev score (floor 1e-6).

        A dev problem draws among the cover's templates that solve it, every other problem among the whole cover.
        """
        pool, k = self.pool, self.train.rollouts_per_prompt
        plain = round(self.config.plain_share * k)
        mean_C = pool.mean_C
        rng = stream(seed, "draw")
        assigned = {}
        for i, problem in enumerate([*dev, *minibatch]):
            solving = [c for c in cover if i < len(dev) and pool.scores_C_V[c][i] >= 1.0] or list(cover)
            weights = [max(mean_C[c], 1e-6) for c in solving]
            drawn = rng.choices(solving, weights, k=1 if self.config.same_template_in_group else k - plain)
            drawn = drawn * (k - plain) if self.config.same_template_in_group else drawn
            assigned[problem.id] = [""] * plain + [pool.templates_C[c] for c in drawn]
        return assigned

    def templates(self) -> list[dict[str, Any]]:
        return self._rows

    def state_dict(self) -> dict[str, Any]:
        return {"assigned": self.assigned, "pool": self.pool.to_dict() if self.pool else None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.assigned = dict(state["assigned"])
        self.pool = Pool.from_dict(state["pool"]) if state["pool"] else None


def greedy_cover(pool: Pool) -> list[int]:
    """Fewest templates (greedily, ties to the lowest index) that solve every dev problem some template solves.

    The empty template may be picked, as in the release; with no solved dev problem the cover is empty.
    """
    dev_V = range(len(pool.dev_ids))
    solves_C = [{v for v in dev_V if row[v] >= 1.0} for row in pool.scores_C_V]
    left, cover = set().union(*solves_C), []
    while left:
        best = max(range(len(solves_C)), key=lambda c: len(solves_C[c] & left))
        cover.append(best)
        left -= solves_C[best]
    return cover


def pool_rows(pool: Pool, selected: Sequence[int]) -> list[dict[str, Any]]:
    """Rows for templates/*.jsonl: every candidate with its ancestry and scores."""
    return [
        {"candidate": c, "template": z, "parent": pool.parents_C[c], "mean_score": pool.mean_C[c], "selected": c in selected}
        for c, z in enumerate(pool.templates_C)
    ]
