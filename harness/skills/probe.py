"""What is seen of single skills in training: the mean rate of the right ways, and what the ratio mask does to them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from harness.core.seeds import stream
from harness.core.world import Scorer, TrainedRow
from harness.skills.world import FAMILIES, RIGHT, SIZE, Family, family_of, problem

FOUND = 0.5
"""A skill counts as found from this rate on."""


def observe(rows: Sequence[TrainedRow]) -> dict[str, float]:
    """`way_masked`: of the right ways written under a template, the share whose gradient the ratio mask drops."""
    dropped = []
    for row in rows:
        if not row.distilled or row.weights_T is None:
            continue
        words = row.rollout.text.split()[: 2 * row.problem.meta["n"] : 2]
        for i, way in enumerate(words):
            if way == RIGHT[family_of(row.problem, i)]:
                dropped.append(float(row.weights_T[2 * i].item() == 0))
    return {"way_masked": statistics.fmean(dropped)} if dropped else {}


def rates(policy: Scorer, temperature: float = 1.0, problems: int = 4) -> dict[Family, float]:
    """P(right way) of every family without an instruction: mean over `problems` two-row problems of each.

    Families of odd rows on the first row; those of even rows on the second, after a right first one.
    """
    rng = stream("skills", "probe")
    prompts, completions, at = [], [], []
    for kind, i in FAMILIES:
        for _ in range(problems):
            other = rng.randrange(SIZE)
            drawn = problem(rng, *((i, other) if kind == "c" else (other, i)), 2, part="test")
            words = (drawn.solution or "").split()
            prompts.append(drawn.text)
            completions.append(" ".join(words[:1] if kind == "c" else words[:3]))
            at.append((kind, i))
    found: dict[Family, list[float]] = {family: [] for family in FAMILIES}
    for family, row in zip(at, policy.score(prompts, completions, temperature), strict=True):
        found[family].append(math.exp(row[-1]))
    return {family: statistics.fmean(each) for family, each in found.items()}


def probe(policy: Scorer, temperature: float) -> dict[str, float]:
    """`skill_mean`: the mean over families of P(right way), unprompted; `skills_found`: the share of families above .5."""
    each = list(rates(policy, temperature).values())
    return {"skill_mean": statistics.fmean(each), "skills_found": statistics.fmean(p > FOUND for p in each)}
