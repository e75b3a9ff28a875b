"""Settings: precedence, refusals with the nearest name, contradictions, the hash and the diff of specs."""

import pytest

from harness import config
from harness.config import RunSpec
from harness.core.errors import MissingError, UsageError
from harness.core.trees import parse_set, read_yaml
from harness.registry import DEFAULT_RECIPE, methods, recipes
from harness.study import load_study
from support.settings import resolve


@pytest.mark.parametrize("recipe", recipes())
@pytest.mark.parametrize("method", ["grpo", "p2o", "gepa"])
def test_every_shipped_recipe_resolves_for_every_method(recipe, method):
    spec = resolve(method, recipe)
    again = RunSpec(**spec.model_dump(mode="json"))
    assert again == spec and again.hash() == spec.hash() and again.typed_method_config()


def test_a_run_and_a_study_without_a_recipe_are_in_the_world_of_skills(tmp_path):
    assert DEFAULT_RECIPE == "skills"
    spec = config.resolve("p2o")
    assert (spec.recipe, spec.model.id, spec.train.set) == ("skills", "skills", "skills")
    assert spec == config.resolve("p2o", "skills") != config.resolve("p2o", "testbed")
    (tmp_path / "s.yaml").write_text("title: t\narms: {grpo: {method: grpo}}\n")
    assert load_study(str(tmp_path / "s.yaml")).recipe == "skills"


@pytest.mark.parametrize("recipe", recipes())
def test_every_recipe_names_its_policy_and_its_training_set(recipe):
    """The class defaults of both are the testbed's, as the first filed runs had them, and no recipe rests on them."""
    tree = read_yaml(recipes()[recipe])
    assert tree["model"]["id"] and tree["train"]["set"]


def test_precedence(tmp_path):
    one, two = tmp_path / "a.yaml", tmp_path / "b.yaml"
    one.write_text("train: {lr: 1e-5, grad_clip: 2}\np2o: {min_hard: 7}")
    two.write_text("train: {lr: 2e-5}")
    spec = resolve("p2o", "testbed", [one, two], ["train.grad_clip=3"], {"seeds": [4]})
    assert (spec.train.lr, spec.train.grad_clip, spec.seeds) == (2e-5, 3.0, (4,))
    assert spec.method_config["min_hard"] == 7 and spec.train.max_rollouts == 10200


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("train.lr=1e-4", 1e-4),
        ("train.max_rollouts=null", None),
        ("train.betas=[0.8, 0.9]", (0.8, 0.9)),
        ("eval.bench=id,ood", "id,ood"),
    ],
)
def test_set_values_are_typed_by_the_field(item, value):
    spec = resolve("p2o", sets=[item])
    section, name = item.split("=")[0].split(".")
    holder = spec.typed_method_config() if section == "p2o" else getattr(spec, section)
    assert getattr(holder, name) == value


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["train.learning_rate=1"], ["train.learning_rate", "unknown"]),
        (["train.epoch=1"], ["train.epoch", "epochs"]),
        (["trian.epochs=1"], ["trian", "train"]),
        (["p2o.evolve.widht=2"], ["p2o.evolve.widht", "width"]),
        (["train.lr=-1"], ["train.lr", "greater than 0"]),
        (["train.lr=fast"], ["train.lr", "fast"]),
        (["train.updates_per_batch=3"], ["updates_per_batch 3 does not divide"]),
        (["eval.decoding.kind=greedy", "eval.decoding.k=4"], ["eval.decoding.greedy.k"]),
        (
            ["eval.decoding.kind=sampled", "eval.decoding.temperature=0"],
            ["eval.decoding.sampled.temperature", "greater than 0"],
        ),
        (["eval.decoding.kind=gredy"], ["eval.decoding", "'greedy', 'sampled'"]),
        (["train.loss.correction=mask"], ["p2o.correction"]),
        (["train.loss.ratio_band=[2, 3]"], ["hold 1 between"]),
        (["p2o.gradient_context=hinted", "p2o.correction=clip"], ["no effect"]),
        (["p2o.reflector.kind=openai"], ["model"]),
        (["train.set=gsm8k"], ["testbed's words"]),
        (["seeds=[1, 1]"], ["distinct"]),
        (["no-value"], ["key=value"]),
        (["method=grpo"], ["method"]),
    ],
)
def test_refusals_are_one_sentence_that_names_the_setting(sets, words):
    with pytest.raises(UsageError) as e:
        resolve("p2o", sets=sets)
    assert e.value.exit_code == 2 and "\n" not in str(e.value)
    for word in words:
        assert word in str(e.value)


def test_unknown_names():
    with pytest.raises(UsageError, match="did you mean 'p2o'"):
        resolve("p20")
    with pytest.raises(UsageError, match="did you mean 'smollm2'"):
        resolve("p2o", "smolm2")
    with pytest.raises(MissingError) as e:
        resolve("p2o", configs=[__import__("pathlib").Path("nowhere.yaml")])
    assert e.value.exit_code == 3


def test_broken_config_file(tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("train: [1, 2")
    with pytest.raises(UsageError, match="not valid YAML"):
        resolve("p2o", configs=[bad])
    bad.write_text("- 1")
    with pytest.raises(UsageError, match="mapping"):
        resolve("p2o", configs=[bad])


def test_gradient_on_the_rollout_prompt_turns_the_mask_off():
    spec = resolve("p2o", sets=["p2o.gradient_context=hinted"])
    assert spec.typed_method_config().correction == "none"


def test_changed_fields_are_named():
    a, b = resolve("p2o"), resolve("p2o", sets=["train.lr=2e-4", "p2o.evolve.width=4"])
    assert b.changed(a.model_dump(mode="json")) == ["method_config.evolve.width", "train.lr"]
    assert a.hash() != b.hash() and a.hash() == resolve("p2o").hash()


def test_parse_set_keeps_yaml_types():
    assert parse_set("a.b.c=[1, x]") == {"a": {"b": {"c": [1, "x"]}}}


def test_registry_is_the_visible_dict():
    from harness.methods import METHODS

    assert METHODS.items() <= methods().items()
