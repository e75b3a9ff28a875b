"""Costs against arithmetic by hand, against the doctor's tables, and against what filed runs took."""

import math
import statistics

import pytest

from harness.config import RunSpec, resolve
from harness.core.ledger import Ledger
from harness.core.method import Search
from harness.cost.assumptions import GPUS, PARAMETERS, assumptions
from harness.cost.estimate import SILENT, cost_of, estimate, reflections, work_of, work_of_ledger
from harness.cost.files import of_parameters
from harness.cost.throughput import given, ratio
from harness.doctor.machine import Machine
from harness.doctor.memory import openrlhf_needs
from harness.doctor.room import needs_of
from harness.doctor.shapes import config_of, shape
from harness.plan import without_data
from harness.registry import recipes, studies
from harness.runs.result import load_result, runs_below
from harness.study.file import as_sets, load_study
from support.paths import ROOT

PAPER = "qwen3-4b-deepscaler-5k"
SIZES = {"gsm8k": 7473}
"""Problems of training sets of which a recipe takes all, and that lie in files."""


MAIN = ("grpo", "p2o", "gepa", "gepa-grpo", "critique-refine", "self-hint", "prefix-ladder")


def arms(name):
    """(name, recipe, method, settings): the main arms of a recipe, or every arm of a shipped study."""
    if name in recipes():
        yield from ((f"{name} {method}", name, method, []) for method in MAIN)
        return
    study = load_study(name)
    for condition, common in (study.conditions or {"": {}}).items():
        for arm, own in study.arms.items():
            sets = [item for tree in (study.settings, common, own.settings) for item in as_sets(tree)]
            yield f"{name} {condition} {arm}", study.recipe, own.method, sets


def planned(recipe, method, sets=()):
    spec = resolve(method, recipe, sets=sets)
    if spec.train.limit is None and spec.train.set in SIZES:
        spec = resolve(method, recipe, sets=[*sets, f"train.limit={SIZES[spec.train.set]}"])
    return spec, without_data(spec)


@pytest.mark.parametrize("of", [*recipes(), *studies()])
def test_every_arm_of_every_recipe_and_study_has_a_sane_cost(of):
    for name, recipe, method, sets in arms(of):
        spec, plan = planned(recipe, method, sets)
        a = assumptions(spec)
        assert plan is not None and not a.lacking, name
        c = estimate(spec, plan, a)
        numbers = [*c.hours.values(), c.generated_tokens, c.trained_tokens, c.eval_tokens, c.reflection_tokens, c.disk]
        assert all(math.isfinite(x) and x >= 0 for x in numbers), name
        assert c.gpus in ((0,) if a.device == "CPU" else (1, 8, 9, 16, 17)), name
        assert (8 if c.gpus else 0.001) < c.wall_hours < 1000, name
        assert c.disk > 0 and c.device_hours == pytest.approx(c.wall_hours * max(c.gpus, 1)), name
        if not plan.by_tokens:
            assert c.rollouts == plan.rollouts and c.generated_tokens <= plan.generated_tokens * 1.001, name
            assert c.search_rollouts <= plan.search_rollouts, name
        assert bool(c.reflection_calls) == (c.writer is not None) and c.writer not in SILENT, name


def test_grpo_at_the_papers_scale_by_hand():
    """128 x 6 answers of 4,000 tokens on eight engines of 3,000 a second are there before the longest, at 80 a second."""
    spec, plan = planned(PAPER, "grpo")
    c = estimate(spec, plan, assumptions(spec))
    assert (plan.batches, c.gpus) == (520, 8)
    turn = max(768 * 4000 / 8 / 3000, 12_288 / 80)
    update = 768 * 4200 / (12_300 * 8)
    assert turn == 153.6 and 3600 * c.hours["sampling"] == pytest.approx(520 * turn)
    assert 3600 * c.hours["training"] == pytest.approx(520 * update * 1.25)
    assert 3600 * c.hours["other"] == pytest.approx(520 * 7 + 300)
    assert c.generated_tokens == 520 * 768 * 4000 == c.trained_tokens
    assert not c.hours["search"] and not c.reflection_calls and not c.dollars


def test_a_search_at_the_papers_scale_by_hand():
    """(11,040 - 300) / (6 + a tenth of 300) children, seven at a time; two turns try them, another scores those that join."""
    spec, plan = planned(PAPER, "p2o")
    c = estimate(spec, plan, assumptions(spec))
    children = (11_040 - 300) / (6 + 30)
    assert plan.searches == 9 and c.reflection_calls == pytest.approx(9 * children)
    assert c.search_rollouts == 99_360 == 9 * 11_040
    trying, scoring = 2 * children / 7, 1 + children / 10  # of 43 iterations 30 bring a template that joins
    busy = (11_040 - 6 * children) * 6000 / 24_000
    assert 3600 * c.hours["search"] == pytest.approx(9 * (trying * 153.6 + max(busy, scoring * 153.6)))
    assert trying + scoring == pytest.approx(116, abs=1), "turns of a search"
    assert c.gpus == 9, "the reflector has a GPU of its own"


def test_metric_calls_are_paid_for_and_a_server_elsewhere_has_a_price():
    teacher = ["p2o.reflector.base_url=null", "p2o.reflector.model=x/y"]
    spec, plan = planned(PAPER, "p2o", teacher)
    a = assumptions(spec)
    assert estimate(spec, plan, a).dollars is None and estimate(spec, plan, a).gpus == 8
    c = estimate(spec, plan, given(spec, ["price-in=1,price-out=4"]))
    assert c.dollars == pytest.approx(c.reflection_prompt_tokens / 1e6 + 4 * c.reflection_tokens / 1e6)
    grpo = estimate(*planned(PAPER, "grpo"), assumptions(spec))
    assert c.rollouts == pytest.approx(grpo.rollouts, rel=0.002), "the recipe equalises rollouts"
    assert c.trained_tokens == pytest.approx(grpo.trained_tokens * 390 / 520)


def test_groups_that_sample_again_wait_again():
    """Two turns a batch for critique-refine; an answer's hint and every level of it one after another for self-hint."""
    hours = {m: estimate(*planned(PAPER, m), assumptions(resolve(m, PAPER))) for m in ("critique-refine", "self-hint")}
    for method, turns in (("critique-refine", 2), ("self-hint", 5)):
        _, plan = planned(PAPER, method)
        assert plan.turns == turns
        assert 3600 * hours[method].hours["sampling"] == pytest.approx(plan.batches * (153.6 + (turns - 1) * 6000 / 80))


def test_tokens_that_bound_a_seed_are_what_it_costs():
    spec, plan = planned("testbed", "p2o", ["train.max_sampled_tokens=50000", "train.max_rollouts=null", "train.epochs=1000"])
    c = estimate(spec, plan, assumptions(spec))
    assert plan.by_tokens and c.sampled_tokens == pytest.approx(50_000)
    assert estimate(spec, plan, assumptions(spec), 20_000).sampled_tokens == pytest.approx(20_000)


def test_children_that_join_cost_calls_that_others_lack():
    spec, plan = planned(PAPER, "p2o")
    a, work = assumptions(spec), work_of(*planned(PAPER, "p2o"))
    none, all_ = (reflections(work, a.changed({"accepted": x}, "")) for x in (0, 1))
    assert none[0] == pytest.approx(9 * 10_740 / 6) and all_[0] == pytest.approx(9 * 10_740 / 306)
    narrow = work.search._replace(width=2)
    assert reflections(work_of(spec, plan).__class__(**{**vars(work), "search": narrow}), a)[1] == pytest.approx(
        reflections(work, a)[0] / 2
    )


@pytest.mark.parametrize("recipe", [PAPER, "qwen3-4b-deepscaler-1gpu", "smollm2", "testbed", "qwen2.5-0.5b-words"])
def test_disk_and_parameters_are_the_doctors(recipe):
    spec = resolve("grpo", recipe)
    model = shape(config_of(spec, True), spec.model.dtype)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[spec.model.id]
    if spec.backend.name == "openrlhf":
        needs = openrlhf_needs(spec, model, 80e9)
    else:
        needs = needs_of(spec, Machine(gpus=0, host_memory_gb=100), model)
    assert of_parameters(spec, PARAMETERS[spec.model.id]).all == pytest.approx(needs.disk, rel=1e-6)


@pytest.mark.parametrize(("world", "low", "high"), [("skills", 0.4, 1.8), ("testbed", 0.3, 2.0)])
def test_filed_runs_took_about_what_the_plan_says(world, low, high):
    """In sample: their speeds come from these. Half of the spread is the machine's, which other work shared."""
    found = []
    for path in runs_below(ROOT / "leaderboards" / world):
        r = load_result(path)
        if r.ledger.rollouts:
            spec = RunSpec.model_validate(r.spec)
            found.append(ratio(spec, list(r.ledgers.values()), assumptions(spec)))
    assert len(found) > 20 and 0.9 < statistics.median(found) < 1.1
    assert low < min(found) and max(found) < high


def test_a_plan_counts_what_the_filed_p2o_did():
    """Rollouts and optimiser steps of the plan, against the ledgers of runs at equal rollouts."""
    for path in runs_below(ROOT / "leaderboards" / "skills"):
        r = load_result(path)
        if r.method != "p2o":
            continue
        spec = RunSpec.model_validate(r.spec)
        plan = without_data(spec)
        c = estimate(spec, plan, assumptions(spec))
        seeds = len(r.seeds)
        assert c.generated_tokens == pytest.approx(r.ledger.generated_tokens / seeds, rel=0.05)
        assert c.trained_tokens == pytest.approx(r.ledger.trained_tokens / seeds, rel=0.15)


def test_the_rule_for_other_gpus_and_sizes_is_a_rule_of_thumb():
    """From 4B on an H100 to what was measured of 0.5B on an H200: 35,000 of 43,000 tokens/s sampled, 100,000 for 63,000."""
    small, gpu = PARAMETERS["qwen2.5-coder-0.5b-instruct"], "H200"
    smaller = PARAMETERS["Qwen/Qwen3-4B"] / small
    assert 3000 * smaller * GPUS[gpu].bandwidth / GPUS["H100"].bandwidth == pytest.approx(35_000, rel=0.01)
    assert 12_300 * smaller * GPUS[gpu].tflops / GPUS["H100"].tflops == pytest.approx(100_000, rel=0.01)
    spec = resolve("grpo", "qwen2.5-0.5b-gsm8k")
    assert [assumptions(spec, gpu)[name] for name in ("sample", "train")] == [43_000, 63_000], "as measured"
    half = assumptions(spec, "A100")
    assert half["train"] == pytest.approx(63_000 * 312 / 989, rel=0.01)
    assert half["sample"] == pytest.approx(43_000 * 2.04 / 4.8, rel=0.01)


def test_a_finished_seed_is_work_too():
    spec = resolve("p2o", "testbed")
    ledger = Ledger(rollouts=1000, search_rollouts=400, generated_tokens=9000, trained_tokens=5400, optimiser_steps=7)
    work = work_of_ledger(spec, ledger, Search(800, 40, 3, 16))
    assert (work.plain, work.searched, work.searches, work.trained, work.batches) == (600, 400, 0.5, 600, 7)
    assert cost_of(spec, work, assumptions(spec)).hours["evaluation"] == 0
