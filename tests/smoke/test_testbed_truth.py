"""The known truth of each testbed world, stated and measured on the shipped policies (sampling at T=.6)."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest
import torch

from harness.testbed.policy import POLICIES, SHIPPED, PolicyConfig, ensure
from harness.testbed.truth import RIGHT, LoadedPolicy, hard_problems, lifted, luck
from harness.testbed.world import PHRASES, UNSEEN, Problem, suite_problems

LATENT = ["latent-s0", "latent-s1"]
EVERY = [f"{world}-s{seed}" for world, seed in sorted(SHIPPED)]
WRONG = {"A": "L", "B": "S"}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@functools.cache
def load(name: str) -> LoadedPolicy:
    return LoadedPolicy(POLICIES / name)


def meter(name: str) -> LoadedPolicy:
    """Every use starts the same stream of samples, so no measurement depends on which tests ran before."""
    load(name).generator.manual_seed(0)
    return load(name)


def hard(family: str, count: int = 30) -> list[Problem]:
    return [p for p in hard_problems(2 * count) if p.meta["family"] == family]


def success(name: str, problems: list[Problem], prompt: str, samples: int = 4) -> float:
    return meter(name).sample(problems, prompt, samples)[0].mean().item()


@pytest.mark.parametrize("name", EVERY)
def test_shipped_policies_are_small_and_of_the_recipe(name: str) -> None:
    folder = POLICIES / name
    assert sum(f.stat().st_size for f in folder.iterdir()) <= 1_100_000
    config = PolicyConfig(**json.loads((folder / "policy.json").read_text()))
    assert config.shipped and ensure(config, Path("unused")) == folder
    model = meter(name).model
    assert sum(p.numel() for p in model.parameters()) <= 1_000_000
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert meter(name).tokenizer.chat_template is None


@pytest.mark.parametrize("name", EVERY)
def test_guessing_does_not_solve_hard_problems(name: str) -> None:
    assert luck(meter(name), hard_problems(200), samples=12) < 0.02


@pytest.mark.parametrize("name", LATENT)
def test_the_right_instruction_solves_what_fails_without(name: str) -> None:
    for failing, solved in lifted(meter(name), hard_problems(60)).values():
        assert failing >= 0.9 and solved >= 0.9


@pytest.mark.parametrize("name", LATENT)
@pytest.mark.parametrize("family", ["A", "B"])
def test_other_instructions_do_not_help(name: str, family: str) -> None:
    others = [*PHRASES["R"][:2], *PHRASES["D"][:2], *PHRASES["N"][:3], *PHRASES[WRONG[family]][:2]]
    for prompt in others:
        assert success(name, hard(family), prompt) <= 0.1, prompt


@pytest.mark.parametrize("name", LATENT)
@pytest.mark.parametrize("family", ["A", "B"])
def test_unseen_paraphrases_elicit_the_style(name: str, family: str) -> None:
    for prompt in UNSEEN["S" if family == "A" else "L"]:
        assert success(name, hard(family), prompt) >= 0.9, prompt


@pytest.mark.parametrize("name", LATENT)
def test_the_right_instruction_works_out_of_distribution(name: str) -> None:
    for suite in ("tb-long", "tb-format", "tb-family"):
        problems = suite_problems(suite, 48)
        for family in sorted({p.meta["family"] for p in problems}):
            own = [p for p in problems if p.meta["family"] == family]
            assert success(name, own, "") <= 0.15, (suite, family)
            assert success(name, own, RIGHT[family]) >= 0.9, (suite, family)
    assert success(name, suite_problems("tb-family", 24), RIGHT["B"]) <= 0.1


@pytest.mark.parametrize("name", LATENT)
@pytest.mark.parametrize("family", ["A", "B"])
def test_the_right_style_is_rare_but_not_absent(name: str, family: str) -> None:
    cold, warm = (meter(name).branch_probabilities(hard(family), 2, t).prod(1).mean().item() for t in (0.6, 1.0))
    assert 0.0005 <= cold <= 0.006
    assert 0.007 <= warm <= 0.04 and warm >= 4 * cold


@pytest.mark.parametrize(("name", "at_least"), [("latent-s0", 0.9), ("latent-s1", 0.1), ("open-s0", 0.1)])
def test_the_trace_follows_from_its_header_alone(name: str, at_least: float) -> None:
    """Without an instruction; the default policy commits, the two others do so in part (docs/testbed.md)."""
    for family in "AB":
        assert meter(name).after_header(hard(family, 60), 2).mean().item() >= at_least


@pytest.mark.parametrize("name", [*LATENT, "absent-s0"])
@pytest.mark.parametrize("family", ["A", "B"])
def test_one_operation_is_solved_directly(name: str, family: str) -> None:
    easy = [p for p in suite_problems("tb-id", 600) if p.meta["n"] == 1 and p.meta["family"] == family]
    assert success(name, easy, "") >= 0.8


@pytest.mark.parametrize("family", ["A", "B"])
def test_absent_has_no_instruction_that_helps(family: str) -> None:
    for kind in (PHRASES, UNSEEN):
        for prompts in kind.values():
            for prompt in prompts[:3]:
                assert success("absent-s0", hard(family), prompt) <= 0.05, prompt


def test_open_finds_the_style_by_plain_sampling() -> None:
    rewards = meter("open-s0").sample(hard_problems(120), "", 6)[0]
    assert 0.1 <= rewards.mean().item() <= 0.5
    assert (rewards.sum(1) > 0).float().mean().item() >= 1 / 3  # of the groups; 8% in `latent`
    for family in "AB":
        assert success("open-s0", hard(family), RIGHT[family]) >= 0.75  # weaker at five operations (docs/testbed.md)
