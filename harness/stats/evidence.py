"""The runs of both arms of a claim, question by question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.runs.result import Result
from harness.stats.claims import Claim
from harness.stats.pairing import unpaired
from harness.stats.questions import Questions, clusters_of

if TYPE_CHECKING:
    from harness.stats.intervals import Array

ArmCells = tuple[list["Array"], list["Array"]]
"""For the arm and the baseline the cells y_S_Q of every suite."""


@dataclass(frozen=True)
class Evidence:
    """The runs of both arms, and their questions suite by suite."""

    claim: Claim
    results: tuple[Result, Result]
    questions: tuple[list[Questions], list[Questions]]

    def cells(self, grader: str, without: Mapping[str, set[str]] | None = None) -> ArmCells | None:
        """The cells of both arms, leaving out the problems in `without`; None if a grade is missing or no problem left."""
        out: list[list[Array]] = []
        for arm in self.questions:
            asked = [q.answered(self.greedy(name)) for name, q in zip(self.claim.suites, arm, strict=True)]
            kept = [q.without(without[name]) if without else q for name, q in zip(self.claim.suites, asked, strict=True)]
            arrays = [q.scores_S_Q if grader == "primary" else q.parity_S_Q for q in kept]
            if any(x is None for x in arrays):
                return None
            out.append([x for x in arrays if x is not None and x.shape[-1]])
        return (out[0], out[1]) if out[0] else None

    def greedy(self, suite: str) -> bool:
        """Whether the claim is about greedy answers to this suite: those of a pass of its own, if the runs have one."""
        return self.claim.passes[suite].greedy

    @property
    def answers(self) -> list[tuple[int, int]]:
        """Problems and answers a problem behind the cells of every suite."""
        suites = self.results[0].suites
        return [(suites[name].n, 1 if self.greedy(name) else suites[name].k) for name in self.claim.suites]

    def families(self, without: Mapping[str, set[str]] | None = None) -> list[Array | None]:
        """The families of the questions of every suite that `cells` has, None where they come in none."""
        suites = zip(self.claim.suites, *self.questions, strict=True)
        kept = [[q.without(without[name]) if without else q for q in pair] for name, *pair in suites]
        return [clusters_of(one, other) for one, other in kept if one.ids]

    @property
    def counts(self) -> dict[str, int]:
        """How many families the questions of a suite come in, where they do."""
        found = zip(self.claim.suites, self.families(), strict=True)
        return {name: len(set(clusters_Q.tolist())) for name, clusters_Q in found if clusters_Q is not None}

    @property
    def pairs(self) -> bool:
        """Whether seeds are paired: the claim says so, and the runs show it."""
        return self.claim.paired and unpaired(*self.results) is None

    @property
    def own_cells(self) -> ArmCells:
        """The cells under the claim's grader, which `_gather` has found complete."""
        cells = self.cells(self.claim.grader)
        assert cells is not None
        return cells

    @property
    def flagged(self) -> dict[str, set[str]]:
        """The problems that match training problems, by suite."""
        found: dict[str, set[str]] = {}
        for name in self.claim.suites:
            found[name] = {p for r in self.results for p in r.suites[name].flagged}
        return found
