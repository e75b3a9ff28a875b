"""Presets: a method with settings under a name of its own, shown and resolved like a method."""

import pytest

from harness.cli.listing import list_methods
from harness.core.errors import UsageError
from harness.core.method import Method
from harness.core.types import Problem
from harness.registry import load_method, methods, presets
from support.settings import resolve


@pytest.mark.parametrize("name", presets())
def test_every_preset_resolves_to_its_method_and_changes_something(name):
    preset = presets()[name]
    assert name not in methods() and issubclass(load_method(name), Method)
    changed = []
    for recipe in ("testbed", "qwen3-4b-deepscaler-5k", "smollm2"):
        spec, plain = resolve(name, recipe), resolve(preset.method, recipe)
        changed += [set(spec.changed(plain.model_dump(mode="json"))) > {"method"}]
        load_method(name).check(spec.typed_method_config(), spec.train)
    assert sum(changed) >= 2, "a recipe may have for a default what the preset sets: smollm2 trains at T = 1"


def test_twice_the_recipes_rollouts_whatever_they_are():
    assert resolve("grpo-2x").train.rollouts_per_prompt == 12
    assert resolve("grpo-2x", "smollm2").train.rollouts_per_prompt == 16


def test_a_preset_stands_between_the_recipe_and_the_command_line(tmp_path):
    config = tmp_path / "a.yaml"
    config.write_text("p2o: {min_hard: 7}")
    spec = resolve("p2o-tau-4", configs=[config], sets=["p2o.evolve.width=3"])
    typed = spec.typed_method_config()
    assert (typed.hard_below, typed.min_hard, typed.evolve.width) == (4, 7, 3)
    assert typed.evolve.metric_calls == 800, "the recipe's section of the method holds for its presets"
    assert resolve("grpo-t1", sets=["train.temperature=0.8"]).train.temperature == 0.8
    assert spec.method == "p2o-tau-4" and type(spec).model_validate(spec.model_dump(mode="json")) == spec


def test_listed_and_near_misses_named():
    rows = {r["name"]: r["summary"] for r in list_methods()}
    assert all(rows[name] == f"{p.method}: {p.summary}" for name, p in presets().items())
    with pytest.raises(UsageError, match="did you mean 'grpo-t1'"):
        resolve("grpo-t")
    with pytest.raises(UsageError, match="p2o-tau-4"):
        resolve("p2o", sets=["p2o-tau-4.min_hard=3"])


def test_the_method_says_what_it_is_told():
    def told(*sets):
        spec = resolve("p2o", sets=sets)
        return load_method("p2o")(spec.typed_method_config(), spec.train, [Problem("a", "x", "1")], 0, ["w"]).reference

    assert told() == "none", "the testbed's proposer sees no answer"
    assert told("p2o.reflector.kind=policy") == "answer"
    assert told("p2o.reflector.kind=policy", "p2o.templates=random") == "none"
