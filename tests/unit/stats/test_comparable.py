"""What makes runs comparable: a kind on every setting, one rule for compare, studies and claims."""

import itertools
import json
from types import SimpleNamespace
from typing import Annotated

import numpy as np
import pytest
from msgspec.structs import replace

from harness.config import EvalSpec, RunSpec, resolve_eval
from harness.core.errors import UsageError
from harness.core.kinds import Kind, leaves
from harness.core.method import Method
from harness.core.settings import MethodConfig
from harness.core.trees import flatten, merge, parse_set
from harness.leaderboard.groups import group
from harness.registry import load_method, methods, recipes, worlds
from harness.report.comparison import scores_table, to_markdown
from harness.stats.arms import check_identity, labels
from harness.stats.comparable import CLAIMED, SHARED, differing, kind_of, of_policy, settings_of
from harness.stats.comparison import compare
from support.command import harness
from support.results import result
from support.runs import make_run
from support.settings import resolve

SPECS = {
    f"{method} {recipe}": resolve(method, recipe).model_dump(mode="json")
    for method in ("grpo", "p2o", "gepa", "sft-teacher", "self-hint")
    for recipe in recipes()
}


def run(spec, **more):
    """A result of a run with this spec."""
    training_set = spec["train"]["set"] if "train" in spec else spec["train_set"]
    found = result(spec.get("method", "m"), spec=spec)
    return replace(found, model=spec["model"]["id"], training_set=training_set, **more)


# ------------------------------------------------------------------ the declarations


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("model.dtype", Kind.POLICY),
        ("model.chat_options.enable_thinking", Kind.POLICY),
        ("train.set", Kind.POLICY),
        ("train.limit", Kind.POLICY),
        ("train.reward", Kind.POLICY),
        ("testbed.world", Kind.POLICY),
        ("eval.decoding.k", Kind.PROTOCOL),
        ("eval.max_new_tokens", Kind.PROTOCOL),
        ("engine.extra.top_k", Kind.PROTOCOL),
        ("eval.bench", Kind.COVERAGE),
        ("eval.limit", Kind.COVERAGE),
        ("backend.name", Kind.COVERAGE),
        ("method", Kind.ARM),
        ("train.lr", Kind.ARM),
        ("train.loss.clip_low", Kind.ARM),
        ("backend.flags.actor.entropy_coef", Kind.ARM),
        ("p2o.evolve.width", Kind.ARM),
        ("p2o.reflector.model", Kind.ARM),
        ("p2o.reflector.base_url", Kind.ACCESS),
        ("sft-teacher.teacher.concurrency", Kind.ACCESS),
        ("backend.zero_stage", Kind.PLACE),
        ("local.threads", Kind.PLACE),
        ("engine.base_url", Kind.ACCESS),
        ("seeds", Kind.PLACE),
        ("recipe", Kind.PLACE),
        ("nobody.knows", Kind.ARM),
    ],
)
def test_kinds_of_settings(key, kind):
    assert kind_of(key) is kind


def test_every_setting_has_a_kind():
    """Sections of a spec say one; below them a field may say another. Only a method's and a world's own have a default."""
    for spec in (RunSpec, EvalSpec):
        assert [name for name, kind in leaves(spec) if kind is None] == []
        assert all(kind is kind_of(name) for name, kind in leaves(spec) if not name.startswith("method_config"))
    for name in methods():
        for key, kind in leaves(load_method(name).Config, Kind.ARM):
            assert kind is kind_of(f"{name}.{key}") is kind_of(f"method_config.{key}", name)
            assert kind in (Kind.ARM, Kind.PLACE, Kind.ACCESS)
    for section, world in worlds().items():
        assert all(kind is kind_of(f"{section}.{key}") for key, kind in leaves(world.Config, Kind.POLICY))


class PluginConfig(MethodConfig):
    width: int = 3
    """Makes the arm."""
    cache: Annotated[str, Kind.PLACE] = "here"
    """Where it keeps things."""
    adapter: Annotated[str, Kind.POLICY] = "none"
    """Which policy it trains."""


class Plugin(Method):
    Config = PluginConfig


def test_a_plug_in_declares_its_own_and_makes_the_arm_where_it_is_not_installed(monkeypatch):
    from harness import methods as registry

    monkeypatch.setitem(registry.METHODS, "plug", f"{__name__}:Plugin")
    one = resolve("plug").model_dump(mode="json")
    other = resolve("plug", sets=["plug.cache=there", "plug.width=4"]).model_dump(mode="json")
    assert differing(one, other, {Kind.PLACE}) == ["method_config.cache"]
    assert differing(one, other, CLAIMED) == ["method_config.width"]
    monkeypatch.delitem(registry.METHODS, "plug")
    assert differing(one, other, CLAIMED) == ["method_config.cache", "method_config.width"]
    assert kind_of("method_config.cache", "plug") is Kind.ARM


def test_a_plug_in_may_say_which_policy_it_trains(monkeypatch):
    from harness import methods as registry

    monkeypatch.setitem(registry.METHODS, "plug", f"{__name__}:Plugin")
    found = of_policy(resolve("plug", sets=["plug.adapter=there"]).model_dump(mode="json"), "gsm8k")
    assert found["method_config.adapter"] == "there" and {"method_config.cache", "method_config.width"}.isdisjoint(found)


def test_what_an_older_spec_lacks_is_its_default():
    new = SPECS["p2o testbed"]
    old = json.loads(json.dumps(new))
    del old["train"]["guards"], old["model"]["chat_template"], old["method_config"]["evolve"]["width"], old["testbed"]["world"]
    assert settings_of(old) == settings_of(new) == flatten(new)
    assert differing(old, new, Kind) == [] and check_identity([run(old), run(new)]) == []
    other = merge(new, {"model": {"chat_template": False}})
    assert differing(old, other, Kind) == ["model.chat_template"]


# ------------------------------------------------------------------ as the lists that stood for it


def old_shared(key):
    shared = ("model.", "testbed.", "eval.", "backend.name", "train.set", "train.limit", "train.reward", "train.with_solutions")
    return key.startswith(shared)


def old_claimed(key):
    ignored = ("seeds", "recipe", "backend.", "local.", "eval.bench", "eval.limit")
    return not key.startswith(ignored) and not key.endswith(("base_url", "timeout_s", "max_retries", "concurrency"))


def old_identity(key, training_set):
    own = ("model.", "testbed.") if training_set == "testbed" else ("model.",)
    return key in ("train.limit", "train.reward", "train.with_solutions") or (key.startswith(own) and key != "model.id")


@pytest.mark.parametrize("name", [name for name in SPECS if not name.endswith(" skills")])  # a world that the lists knew not
def test_every_setting_of_the_shipped_recipes_counts_as_it_did(name):
    """Changed alone, on both sides: studies, claims and comparisons say what the three lists of prefixes said."""
    spec = SPECS[name]
    for key, value in flatten(spec).items():
        if key in ("train.set", "model.id", "method"):  # results name these themselves
            continue
        assert (kind_of(key, spec["method"]) in SHARED) == old_shared(key)
        assert (kind_of(key, spec["method"]) in CLAIMED) == old_claimed(key)
        tree = f"other than {value}"
        for part in reversed(key.split(".")):
            tree = {part: tree}
        other = merge(spec, tree)
        assert differing(spec, other, SHARED) == [key] * old_shared(key)
        assert differing(spec, other, CLAIMED) == [key] * old_claimed(key)
        refused = False
        try:
            check_identity([run(spec), run(other)])
        except UsageError as e:
            refused = f"differ in {key}: " in str(e)
        assert refused == old_identity(key, spec["train"]["set"]), key


def test_recipes_are_told_apart_as_they_were():
    """Every pair of shipped recipes under one method: refused by the old rule, refused by this one."""
    for one, other in itertools.combinations([s for n, s in SPECS.items() if n.startswith("p2o ")], 2):
        a, b = flatten(one), flatten(other)
        old = {k for k in a if k in b and a[k] != b[k] and old_identity(k, one["train"]["set"])}
        old |= {k for k in ("train.set", "model.id") if a[k] != b[k]}
        if old:
            with pytest.raises(UsageError, match="cannot be compared"):
                check_identity([run(one), run(other)])
        else:
            assert check_identity([run(one), run(other)]) == []


# ------------------------------------------------------------------ on one side only


def evaluation(model="half", run=None, sets=(), identity=None):
    base = {"model": {"id": model}, **({"run": run} if run else {})}
    spec = resolve_eval([], sets, base, {}).model_dump(mode="json")
    identity = {"engine": "openai", "version": None, "chat_options": {}, "extra": {}, **(identity or {})}
    return replace(result(model, spec=spec), model=model, identity=identity)


def test_what_stands_on_one_side_only_is_different():
    extra = evaluation(identity={"extra": {"top_k": 20}})
    for pair, words in (((evaluation(), extra), "unset and 20"), ((extra, evaluation()), "20 and unset")):
        with pytest.raises(UsageError, match=f"differ in identity.extra.top_k: {words}$"):
            check_identity(pair)
    thinking = SPECS["grpo qwen3-4b-deepscaler-5k"]
    default = {**thinking, "model": {**thinking["model"], "chat_options": {}}}
    with pytest.raises(UsageError, match="differ in model.chat_options.enable_thinking: false and unset"):
        check_identity([run(thinking), run(default)])
    flags = merge(thinking, {"backend": {"flags": {"actor.entropy_coef": 0.001}}})
    assert differing(thinking, flags, CLAIMED) == ["backend.flags.actor.entropy_coef"]


def test_a_section_that_a_spec_does_not_have_says_nothing():
    """A trained policy beside its base model, which was evaluated only: there is no `train` that could differ."""
    spec = resolve("grpo", "testbed", sets=["train.limit=8"]).model_dump(mode="json")
    base = resolve_eval([], [], {"model": {"id": "testbed"}, "train_set": "testbed"}, {}).model_dump(mode="json")
    assert check_identity([run(spec), run(base)]) == []
    assert check_identity([run(spec), replace(run(spec), spec={})]) == []
    assert check_identity([run(spec, identity={"engine": "x"}), run(spec)]) == []


def test_finished_policies_each_have_their_own_template_and_one_policy_has_one():
    off = "model.chat_options.enable_thinking=false"
    rendered = {"rendering_sha256": "y", "chat_options": {"enable_thinking": False}}
    plain = {"rendering_sha256": "x"}
    assert check_identity([evaluation(identity=plain), evaluation("other", sets=[off], identity=rendered)]) == []
    assert check_identity([evaluation(run="a", identity=plain), evaluation(run="b", sets=[off], identity=rendered)]) == []
    with pytest.raises(UsageError) as e:
        check_identity([evaluation(identity=plain), evaluation(sets=[off], identity=rendered)])
    for key in ("model.chat_options.enable_thinking", "identity.chat_options.enable_thinking", "identity.rendering_sha256"):
        assert f"{key}: " in str(e.value)
    with pytest.raises(UsageError, match="cannot be compared"):  # whatever stands first
        check_identity([evaluation("other"), evaluation(identity=plain), evaluation(sets=[off], identity=rendered)])


# ------------------------------------------------------------------ the override


def test_an_allowed_difference_is_named_in_the_footnote():
    pair = [evaluation(), evaluation(identity={"extra": {"top_k": 20}, "engine": "vllm"})]
    with pytest.raises(UsageError, match="identity.engine: openai and vllm$"):
        compare(pair, allow=["identity.extra.top_k"])
    for allow in (["identity.extra", "identity.engine"], ["identity"]):
        c = compare(pair, allow=allow)
        assert c.allowed == ("identity.engine: openai and vllm", "identity.extra.top_k: unset and 20")
    assert [
        n for n in scores_table(c).notes if "differ in identity.extra.top_k: unset and 20" in n and "--allow-different" in n
    ]
    assert "differ in identity.engine: openai and vllm" in to_markdown(c)
    assert c.to_dict()["allowed"] == c.allowed
    assert compare(pair[:1] * 2, allow=["identity"]).allowed == (), "nothing differs"


def test_a_policy_s_settings_can_be_allowed_too():
    one, other = SPECS["grpo testbed"], resolve("grpo", sets=["testbed.world=open", "train.limit=8"]).model_dump(mode="json")
    found = check_identity([run(one), run(other)], ["testbed", "train.limit"])
    assert found == ["train.limit: null and 8", "testbed.world: latent and open"]
    assert labels([run(one), run(other)]) == [
        "grpo (testbed.world=latent, train.limit=null)",
        "grpo (testbed.world=open, train.limit=8)",
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("identity.exta.top_k", "did you mean 'identity.extra.top_k'"),
        ("trian.limit", "cannot be allowed to differ"),
        ("suites", "the table rests on it"),
        ("k of tb-long", "the table rests on it"),
        ("train.lr", "cannot be allowed to differ"),
    ],
)
def test_a_name_that_cannot_be_allowed_is_refused(name, words):
    pair = [evaluation(), evaluation(identity={"extra": {"top_k": 20}})]
    with pytest.raises(UsageError, match=words):
        compare(pair, allow=[name])


def test_harness_compare_asks_for_the_field_by_its_name(capsys, tmp_path):
    right_S_Q_K = np.random.default_rng(0).integers(0, 2, (2, 10, 4))
    specs = [resolve("grpo", sets=[f"testbed.world={w}"]).model_dump(mode="json") for w in ("latent", "open")]
    pair = [make_run(tmp_path / str(i), "grpo", right_S_Q_K, spec=spec) for i, spec in enumerate(specs)]
    code, _, err = harness(capsys, "compare", *pair)
    assert code == 2 and "differ in testbed.world: latent and open" in err
    code, _, err = harness(capsys, "compare", *pair, "--allow-different", "testbed.wrold")
    assert code == 2 and "did you mean 'testbed.world'" in err
    code, out, _ = harness(capsys, "compare", *pair, "--allow-different", "testbed.world", "--format", "markdown")
    assert code == 0 and "The arms differ in testbed.world: latent and open" in out


def test_boards_know_no_permission():
    """What cannot be compared without the option stands in tables of its own there."""
    other = resolve("grpo", sets=["testbed.world=open"]).model_dump(mode="json")
    entries = [SimpleNamespace(result=run(spec), questions={}) for spec in (SPECS["grpo testbed"], other)]
    assert [len(members) for _, members in group(entries)] == [1, 1]


def test_labels_say_what_makes_the_arm_before_where_it_ran():
    specs = [
        resolve("grpo", sets=[f"local.threads={n}", *more]).model_dump(mode="json")
        for n, more in ((1, []), (2, ["train.lr=1e-3"]))
    ]
    assert labels([run(s) for s in specs]) == ["grpo (train.lr=0.0001)", "grpo (train.lr=0.001)"]
    specs = [merge(specs[0], parse_set(f"local.threads={n}")) for n in (1, 2)]
    assert labels([run(s) for s in specs]) == ["grpo (local.threads=1)", "grpo (local.threads=2)"]
