"""The ranks that an arm may have, given which differences between arms are sure.

An arm that is surely better than another cannot rank below it, and one that is not told apart may stand on either side. So
the best rank of an arm is one more than the number of arms surely above it, and its worst leaves room for those surely
below it: the simultaneous confidence sets of Mogstad, Romano, Shaikh and Wilhelm (2024, Review of Economic Studies 91),
from the pairs of arms as `harness.stats.contrasts.ties_of` tests them, Holm over all. docs/statistics.md says how often all
ranks hold.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.stats.comparison import Arm, Comparison
from harness.stats.multiple import letters_of


@dataclass(frozen=True)
class Rank:
    """The best and the worst rank that the comparisons allow, from 1, among `of` arms."""

    best: int
    worst: int
    of: int

    def __str__(self) -> str:
        return str(self.best) if self.best == self.worst else f"{self.best} to {self.worst}"


def ranks_of(c: Comparison, key: str) -> dict[str, Rank]:
    """The ranks of the arms on a measure, by label; all hold together with 95% confidence.

    Arms of a single seed, which nothing is known of, and those that are not a result have none and count for nobody's.
    """
    ranked = sorted((a for a in c.arms if a.scores[key].ties and not a.not_a_result), key=lambda a: -a.scores[key].mean)
    above: dict[str, set[str]] = {}
    for i, arm in enumerate(ranked):  # whoever is above an arm that is above this one is above it, too
        direct = [a.label for a in ranked[:i] if _apart(a, arm, key)]
        above[arm.label] = set(direct).union(*(above[label] for label in direct))
    below = {label: sum(label in own for own in above.values()) for label in above}
    return {label: Rank(1 + len(above[label]), len(ranked) - below[label], len(ranked)) for label in above}


def _apart(one: Arm, other: Arm, key: str) -> bool:
    """Whether two arms are told apart: they share no letter."""
    return not letters_of(one.scores[key].ties) & letters_of(other.scores[key].ties)
