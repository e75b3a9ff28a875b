"""P2O: joint policy and prompt optimization (Lu et al. 2026, arXiv 2603.21877, Algorithm 1), as released.

    harness run --method p2o --bench ood

Each epoch is GRPO, except that the problems that were hard in the previous epoch are rolled out with evolved templates,
while the gradient is taken on the original prompt (context distillation). After each epoch but the last, the hard problems
are mined and GEPA evolves templates for them on the frozen policy: greedy decoding, one rollout per metric call.

Where the released code and the paper differ, the default is the code, and the paper's version is a setting:
- success is measured on the rollouts that were made, templated ones included (paper, Eq. 3: on the original prompt):
  `mining=plain`, which pays for k extra plain rollouts of every templated problem;
- the 0/1 mask on pi_old(y|x) / pi_old(y|x~) outside [0.01, 10] is not in the paper's Eq. 4: `correction=none`;
- at least 100 hard problems before templates are evolved (paper: one): `min_hard=2`, the fewest that can be split;
- the gradient on the templated prompt, the paper's ablation without distillation: `gradient_context=hinted`.
Differs from the release: every random stream is seeded; every sampled rollout counts as a metric call; if no dev problem
is solved, the templates are cleared and the run goes on; more in docs/release.md.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from harness.core.budget import rollouts_left
from harness.core.hints import HintedConfig, insert
from harness.core.ledger import Ledger
from harness.core.method import Costs, EpochReport, Policy
from harness.core.seeds import derive, stream
from harness.core.settings import Correction, LossSpec, TrainConfig
from harness.core.types import Context, Group, Problem, Sample
from harness.search.asking import ReflectorConfig
from harness.search.prompt_search import EvolveConfig, Pool, PromptSearch
from harness.search.templates import unsearched

from .grpo import GRPO  # relative, so that mypy finds it in this folder as well


class P2OConfig(HintedConfig):
    """Settings of P2O; the defaults are those of the release."""

    hard_below: int = Field(2, ge=1)
    """A problem is hard below this many successes of its group (the paper's threshold tau, as a count)."""
    min_hard: int = Field(100, ge=2)
    """With fewer hard problems, no templates are evolved and the old ones are cleared."""
    mining: Literal["templated", "plain"] = "templated"
    """Measure success on the rollouts that were made, or on k plain ones."""
    gradient_context: Literal["hinted", "original"] = "original"
    """The prompt in the loss: `original` is context distillation."""
    correction: Correction = "mask"
    """For the tokens of templated rollouts, by pi_old(y|x) / pi_old(y|x~)."""
    same_template_in_group: bool = False
    """One template for all rollouts of a group (the paper's ablation) instead of one each."""
    plain_share: float = Field(0.0, ge=0, lt=1)
    """Share of a hard problem's rollouts that stay untemplated."""
    carry_pool: bool = False
    """Start each evolution from the previous pool instead of the empty template."""
    templates: Literal["gepa", "reflection", "random", "generic", "none"] = "gepa"
    """Where templates come from: GEPA; one reflection per hard problem on its own failures (the paper's single-turn
    ablation); or one of three controls: random words, the same hint for all, no template at all."""
    evolve: EvolveConfig = EvolveConfig()
    """The GEPA phase."""
    reflector: ReflectorConfig = ReflectorConfig()
    """Who writes templates."""


class P2O(GRPO):
    """Mine hard problems, evolve templates for them, roll out with a template, take the gradient without it."""

    Config = P2OConfig
    config: P2OConfig
    packages = ("gepa",)

    def setup(self) -> None:
        c = self.config
        self.search = PromptSearch(c.evolve, c.reflector, self.phrases, self.train.max_new_tokens)
        self.reference: Literal["none", "answer", "solution"] = "none"
        if c.templates in ("gepa", "reflection"):
            self.search.check(self.problems, must_select=False)
            self.reference = self.search.reference
        self.assigned: dict[str, list[str]] = {}  # hard problem -> its k templates of the next epoch

    @classmethod
    def check(cls, config: P2OConfig, train: TrainConfig) -> None:
        if config.hard_below > train.rollouts_per_prompt:
            raise ValueError(f"hard_below {config.hard_below} exceeds the {train.rollouts_per_prompt} rollouts of a group")
        if config.plain_share and not 1 <= round(config.plain_share * train.rollouts_per_prompt):
            raise ValueError(f"plain_share {config.plain_share} leaves no rollout of a group untemplated")

    def costs(self) -> Costs:
        """One search at the largest dev set, or a reflection per problem; plain mining adds at most k rollouts per problem."""
        k = self.train.rollouts_per_prompt
        plain = len(self.problems) * k if self.config.mining == "plain" else 0
        if self.config.templates == "gepa":
            search = self.search.shape(len(self.problems))
            return Costs(k, epoch=plain + search.rollouts, search=search)
        return Costs(k, epoch=plain, asked=len(self.problems) if self.config.templates == "reflection" else 0)

    @property
    def loss(self) -> LossSpec:
        return self.config.loss(self.train.loss)

    async def rollout_group(self, problem: Problem, k: int, sample: Sample, rng: random.Random) -> Group:
        templates_K = self.assigned.get(problem.id, [""] * k)
        return Group(problem, await sample([self.context(problem, z) for z in templates_K]))

    def context(self, problem: Problem, z: str) -> Context:
        """T(x, z) for the rollout and x itself for the gradient: that is all there is to context distillation."""
        return self.config.context(problem, insert(z, problem.text), z)

    def end_epoch(self, epoch: int, groups: Sequence[Group], policy: Policy, ledger: Ledger, last: bool) -> EpochReport:
        """Mine the hard problems, evolve templates for them, cover the dev problems, draw a template for each rollout."""
        hard = self.mine(epoch, groups, policy, ledger)
        metrics: dict[str, Any] = {"hard_problems": len(hard), "seen_problems": len(groups)}
        if last:
            return EpochReport(metrics)
        self.assigned = {}
        metrics["search_rollouts"] = 0
        if len(hard) < self.config.min_hard:
            return EpochReport(metrics)
        seed = derive(self.seed, "p2o", epoch)
        if self.config.templates != "gepa":
            return EpochReport(metrics, self.assign_unsearched(hard, groups, policy, ledger, seed))
        start = self.search.pool if self.config.carry_pool else None
        pool = self.search.run(hard, policy, ledger, seed, rollouts_left(self.train, ledger), start)
        if pool is None:  # nothing to select on, or no rollout left to use the templates in
            return EpochReport(metrics)
        cover = greedy_cover(pool)
        self.assigned = self.draw(pool, cover, seed)
        return EpochReport({**metrics, **pool.counts, **cover_metrics(pool, cover)}, pool.rows(cover))

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

    def draw(self, pool: Pool, cover: Sequence[int], seed: int) -> dict[str, list[str]]:
        """K templates per hard problem, with replacement, weighted by mean dev score (floor 1e-6); none without a cover.

        A dev problem draws from the templates of the cover that solve it, every other problem from the whole cover.
        """
        rng, assigned = stream(seed, "draw"), {}
        for i, problem in enumerate([*pool.dev_ids, *pool.minibatch_ids] if cover else []):
            solving = [c for c in cover if i < len(pool.dev_ids) and pool.scores_C_V[c][i] >= 1.0] or list(cover)
            drawn = rng.choices(solving, [max(pool.mean_C[c], 1e-6) for c in solving], k=self.count)
            assigned[problem] = self.fill([pool.templates_C[c] for c in drawn])
        return assigned

    @property
    def plain(self) -> int:
        """How many of a hard problem's K rollouts stay without a template."""
        return round(self.config.plain_share * self.train.rollouts_per_prompt)

    @property
    def count(self) -> int:
        """How many templates a hard problem draws: one for each of its other rollouts, or one for all of them."""
        return 1 if self.config.same_template_in_group else self.train.rollouts_per_prompt - self.plain

    def fill(self, templates: list[str]) -> list[str]:
        """K templates from `count` of them or from a single one: the empty ones of the plain rollouts come first."""
        templated = self.train.rollouts_per_prompt - self.plain
        return [""] * self.plain + (templates * templated)[:templated]

    def assign_unsearched(
        self, hard: Sequence[Problem], groups: Sequence[Group], policy: Policy, ledger: Ledger, seed: int
    ) -> list[dict[str, Any]]:
        """The ablation and the controls: templates from a source that needs no search; rows for templates/*.jsonl."""
        assert self.config.templates != "gepa"
        pieces = self.phrases or sorted({word for p in self.problems for word in p.text.split()})
        found, rows = unsearched(self.config.templates, hard, groups, self.search, policy, ledger, seed, pieces, self.count)
        self.assigned = {problem: self.fill(templates) for problem, templates in found.items()}
        return rows

    def state_dict(self) -> dict[str, Any]:
        return {"assigned": self.assigned, **self.search.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.assigned = dict(state["assigned"])
        self.search.load_state_dict(state)


def greedy_cover(pool: Pool) -> list[int]:
    """The fewest templates (greedily, ties to the lowest index) that solve every dev problem that any template solves.

    The empty template may be among them, as in the release; if no dev problem is solved, the cover is empty.
    """
    solves_C = [{v for v, score in enumerate(row_V) if score >= 1.0} for row_V in pool.scores_C_V]
    left: set[int] = set().union(*solves_C)
    cover: list[int] = []
    while left:
        best = max(range(len(solves_C)), key=lambda c: len(solves_C[c] & left))
        cover.append(best)
        left -= solves_C[best]
    return cover


def cover_metrics(pool: Pool, cover: Sequence[int]) -> dict[str, Any]:
    """What is logged of a search besides its counts."""
    return {
        "cover": len(cover),
        "dev_solved": sum(max(column) > 0 for column in zip(*pool.scores_C_V, strict=True)) / len(pool.dev_ids),
    }
