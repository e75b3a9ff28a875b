"""The known truth of the world of skills, held against its shipped policies (sampling at T=1)."""

from __future__ import annotations

import functools
import math
import statistics

import pytest
import torch

from harness.skills.policy import POLICIES, SHIPPED, PolicyConfig
from harness.skills.probe import rates
from harness.skills.truth import LoadedPolicy, Truth
from harness.skills.world import RIGHT, SUITES, base_rate, family_of, known, right_phrases, suite_problems

SAMPLES = 2
WITHIN = 0.02
"""Of what is known; beside it, three standard errors of the sampling."""
ERRORS = 3


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@functools.cache
def load(floor: float, seed: int) -> LoadedPolicy:
    return LoadedPolicy(POLICIES / PolicyConfig(floor=floor, seed=seed).name)


def within(stated: float, found: float) -> bool:
    return abs(stated - found) <= WITHIN + ERRORS * (stated * (1 - stated) / (288 * SAMPLES)) ** 0.5


@pytest.mark.parametrize("shipped", sorted(SHIPPED))
@pytest.mark.parametrize("suite", SUITES)
def test_success_is_what_the_formula_says(shipped: tuple[float, int], suite: str) -> None:
    meter, problems = load(*shipped), suite_problems(suite, 288)
    for told in ("", "think step by step", "derive shapes derive colours", "prove everything"):
        assert abs(known(problems, told, shipped[0]) - meter.success(problems, told)) <= WITHIN, told
        found, odd = meter.sample(problems, told, SAMPLES)
        assert within(known(problems, told, shipped[0]), found), told
        assert odd < 0.005
    eight = [right_phrases(p, 0.9, 8) for p in problems]
    stated = statistics.fmean(known([p], z, shipped[0]) for p, z in zip(problems, eight, strict=True))
    assert abs(stated - meter.success(problems, eight)) <= WITHIN, "several phrases at once"
    named = [" ".join(RIGHT[family_of(p, row)] for row in range(p.meta["n"])) for p in problems]
    stated = statistics.fmean(known([p], z, shipped[0]) for p, z in zip(problems, named, strict=True))
    assert within(stated, meter.sample(problems, named, SAMPLES)[0])


@pytest.mark.parametrize("shipped", sorted(SHIPPED))
def test_every_family_has_its_rate(shipped: tuple[float, int]) -> None:
    meter = load(*shipped)
    truth = Truth(shipped[0], {}, {}, 0.0, rates(meter))
    assert statistics.median(truth.log_errors) < 0.1
    off = {f: abs(math.log(p / base_rate(f))) for f, p in truth.rates.items()}
    assert max(e for f, e in off.items() if base_rate(f) >= 0.005) < 0.3
    assert max(off.values()) < 0.7, "the rarest may be off by a factor of two (docs/skills.md)"
