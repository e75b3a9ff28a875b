"""Hints that the policy writes for itself, in three levels, for problems that fail as a group (after SAGE, arXiv 2602.03143).

    harness run --method self-hint --bench ood

When all k rollouts of a problem fail, the current policy writes three hints, each more specific than the one before, from
the problem and its reference solution; the group is sampled again with the first, then the second, then the third, until
one succeeds, and the last group is kept. All rollouts of a group have the same hint. Modes: `light` carries a level per
problem from epoch to epoch and hints before the first attempt; `told=answer` shows the writer only the answer (after NuRL,
arXiv 2509.25666). Differs from the paper: numbered lines instead of JSON, and no second call if they cannot be read; a hint
that states the answer is refused, and so is an answer that was cut or is reasoning without a reply; `writer=offline`, for a
policy that cannot write, takes the three hints that come with the problem, or where there are none composes random ones of the
training set's phrases (level n has n; `told` has no effect then).
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from harness.core.errors import UsageError
from harness.core.hints import HintedConfig, HintedMethod, require_solutions
from harness.core.leaks import leaks
from harness.core.ledger import Ledger
from harness.core.method import Costs, EpochReport, Policy
from harness.core.replies import reply_of
from harness.core.types import Context, Group, Problem, Rollout, Sample

LEVELS = 3
RAISE_BELOW, LOWER_ABOVE = 0.1, 0.35
"""`light`: accuracies below and above which a problem's level goes up and down (SAGE's code)."""

PROMPT = """A student could not solve the problem below. Write three hints for it, each more helpful than the one before:
1. the idea or concept that the problem rests on
2. the method, or the first step
3. the course of the solution, up to but without its result
Never state the final answer. {told}

Problem:
{problem}

Write three lines that start with "1.", "2." and "3." and nothing after them."""
TOLD = {
    "solution": "You are given a correct solution:\n{reference}",
    "answer": "The correct answer is {reference}. First work out why it holds, then take the hints from that.",
}


class SelfHintConfig(HintedConfig):
    """Settings of self-written hints."""

    light: bool = False
    """A level per problem, carried over epochs, instead of up to three further groups at once."""
    told: Literal["solution", "answer"] = "solution"
    """What the writer is shown."""
    writer: Literal["policy", "offline"] = "policy"
    """Who writes: the current policy, or for one that cannot the training set's own hints, failing these random phrases."""


class SelfHint(HintedMethod):
    """Plain groups first; a hint of its own where they fail, then a stronger one."""

    Config = SelfHintConfig
    config: SelfHintConfig

    def setup(self) -> None:
        ready = any(p.hints for p in self.problems)
        self.reference = self.config.told if self.config.writer == "policy" else "solution" if ready else "none"
        if self.config.writer == "policy" and self.reference == "solution":
            require_solutions("self-hint (told=solution)", self.problems)
        if self.config.writer == "offline" and not ready and not self.phrases:
            raise UsageError(
                "self-hint.writer=offline needs a training set with hints or phrases, which only embedded ones have"
            )
        self.levels: dict[str, int] = {}  # light: problem -> level, 0 if absent

    def usable(self, problem: Problem) -> bool:
        """What the policy will write is not known; hints that come with a problem are."""
        if self.config.writer == "policy":
            return bool(problem.solution)
        return any(hint.strip() and not leaks(hint, problem.answer) for hint in problem.hints)

    def costs(self) -> Costs:
        k = self.train.rollouts_per_prompt
        return Costs(group=1 + (k if self.config.light else k * (1 + LEVELS)))

    async def rollout_group(self, problem: Problem, k: int, sample: Sample, rng: random.Random) -> Group:
        level = self.levels.get(problem.id, 0)
        if self.config.light and level:
            hints, requests = await self.write(problem, sample, rng)
            group = await self.hinted(Group(problem, [], requests=requests), k, sample, hints[level - 1], "hint")
            if not group.rollouts:  # the hint was unreadable or refused
                group.rollouts = await sample([Context.plain(problem.text)] * k)
            return group
        group = await self.plain(problem, k, sample)
        if group.successes or self.config.light:
            return group
        hints, group.requests = await self.write(problem, sample, rng)
        for hint in hints:
            if group.successes:
                break
            group = await self.hinted(group, k, sample, hint, "hint")
        return group

    async def write(self, problem: Problem, sample: Sample, rng: random.Random) -> tuple[list[str], list[Rollout]]:
        """One hint per level, "" if there is none, and the rollouts that wrote them."""
        if self.config.writer == "offline" and problem.hints:
            return list(problem.hints), []
        if self.config.writer == "offline":
            return [" ".join(rng.choices(self.phrases, k=level)) for level in range(1, LEVELS + 1)], []
        reference = problem.solution if self.config.told == "solution" else problem.answer
        if not reference:
            return [""] * LEVELS, []
        prompt = PROMPT.format(told=TOLD[self.config.told].format(reference=reference), problem=problem.text)
        requests = await sample([Context.plain(prompt)])
        return parse(reply_of(requests[0].text, requests[0].truncated) or ""), requests

    def end_epoch(self, epoch: int, groups: Sequence[Group], policy: Policy, ledger: Ledger, last: bool) -> EpochReport:
        if not self.config.light:
            return EpochReport()
        for g in groups:
            accuracy, level = g.successes / len(g.rollouts), self.levels.get(g.problem.id, 0)
            level += (accuracy < RAISE_BELOW) - (accuracy > LOWER_ABOVE)
            self.levels[g.problem.id] = min(max(level, 0), LEVELS)
        return EpochReport({f"level_{n}": sum(level == n for level in self.levels.values()) for n in range(LEVELS + 1)})

    def state_dict(self) -> dict[str, Any]:
        return {"levels": self.levels}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.levels = dict(state["levels"])


def parse(text: str) -> list[str]:
    """The hints of an answer by level: what follows "1.", "2.", "3." on a line of its own, the last of each."""
    found = {int(n): hint.strip() for n, hint in re.findall(r"^\s*([1-3])[.)]\s*(\S.*)$", text, re.MULTILINE)}
    return [found.get(level, "") for level in range(1, LEVELS + 1)]
