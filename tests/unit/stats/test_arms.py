"""Names of arms, the baseline, and what must be equal, one rule at a time."""

import pytest
from msgspec.structs import replace

from harness.config import resolve
from harness.core.errors import UsageError
from harness.core.ledger import Ledger
from harness.stats.arms import check_identity, distinguishing_settings, find_baseline, labels
from support.results import result, suite_scores


def arm(method="grpo", run=None, **spec):
    """A result with these sections in its spec."""
    found = result(method, spec=spec)
    return replace(found, run=run or found.run)


# ------------------------------------------------------------------ names


def test_an_arm_is_called_after_its_method_and_what_tells_it_from_others_of_that_method():
    one, other = arm(train={"lr": 0.1, "betas": [1, 2]}), arm(train={"lr": 0.1, "betas": [1, 3]})
    assert labels([one, other, arm("p2o")]) == ["grpo (train.betas=[1,2])", "grpo (train.betas=[1,3])", "p2o"]
    named = [arm(backend={"name": name}, train={"lr": lr}, seeds=[s]) for name, lr, s in (("local", 1, 0), ("local", 2, 1))]
    assert labels(named) == ["grpo (train.lr=1)", "grpo (train.lr=2)"], "seeds tell apart only what nothing else does"
    assert labels([arm(seeds=[0]), arm(seeds=[0, 1])]) == ["grpo (seeds=[0])", "grpo (seeds=[0,1])"]
    places = [arm(local={"threads": s + 1}, seeds=[s]) for s in (0, 1)]
    assert labels(places) == ["grpo (seeds=[0])", "grpo (seeds=[1])"], "of places, the seeds"
    own = [arm("p2o", method_config={"width": n}, model={"dtype": d}) for n, d in ((3, "float32"), (4, "bfloat16"))]
    assert labels(own) == ["p2o (p2o.width=3, model.dtype=float32)", "p2o (p2o.width=4, model.dtype=bfloat16)"]


def test_a_budget_names_an_arm_only_where_nothing_else_does():
    warm = arm(train={"temperature": 1.3, "max_rollouts": None, "max_sampled_tokens": 40, "epochs": 1000})
    plain = arm(train={"temperature": 1.0, "max_rollouts": 90, "max_sampled_tokens": None, "epochs": 60})
    assert labels([warm, plain]) == ["grpo (train.temperature=1.3)", "grpo (train.temperature=1.0)"]
    longer = arm(train={"temperature": 1.0, "max_rollouts": 180, "max_sampled_tokens": None, "epochs": 60})
    assert labels([plain, longer]) == ["grpo (train.max_rollouts=90)", "grpo (train.max_rollouts=180)"]
    assert labels([warm, plain, longer])[1:] == [
        "grpo (train.epochs=60, train.max_rollouts=90, train.max_sampled_tokens=null, 1 more)",
        "grpo (train.epochs=60, train.max_rollouts=180, train.max_sampled_tokens=null, 1 more)",
    ], "the temperature alone leaves two with one name"


def test_of_many_differences_three_are_shown_and_the_rest_counted():
    names = ("a", "b", "c", "d", "e")
    for n, more in ((3, ""), (4, ", 1 more"), (5, ", 2 more")):
        pair = [arm(train={name: value for name in names[:n]}) for value in (1, 2)]
        shown = [f"grpo (train.a={v}, train.b={v}, train.c={v}{more})" for v in (1, 2)]
        assert labels(pair) == shown


def test_arms_that_nothing_tells_apart_are_numbered():
    same = [arm(), arm(), arm("p2o"), arm()]
    assert labels(same) == ["grpo #1", "grpo #2", "p2o", "grpo #3"] and labels([]) == []
    assert labels([arm()]) == ["grpo"]


def test_a_run_of_no_epoch_is_called_untrained():
    long, none = arm(train={"epochs": 10}), arm(train={"epochs": 0})
    none = replace(none, ledger=Ledger())
    assert labels([long, none]) == ["grpo", "untrained"] and labels([none]) == ["untrained"]
    assert labels([long, none, none]) == ["grpo", "untrained #1", "untrained #2"]
    hot = arm(train={"epochs": 10, "temperature": 1.3, "lr": 1.0})
    assert find_baseline([none, hot], labels([none, hot]), None) == 1, "what was trained, however it differs from the recipe"
    searched = replace(none, ledger=Ledger(rollouts=8))
    assert labels([long, searched]) == ["grpo (train.epochs=10)", "grpo (train.epochs=0)"], "a search has sampled"


def test_groups_that_cannot_be_compared_are_named_by_their_policies_settings():
    pair = [arm(model={"dtype": d, "revision": "r"}, train={"limit": n, "lr": n}) for d, n in (("float32", 8), ("bfloat16", 9))]
    assert distinguishing_settings(pair) == ["model.dtype=float32, train.limit=8", "model.dtype=bfloat16, train.limit=9"]
    assert distinguishing_settings(pair[:1] * 2) == ["", ""]


# ------------------------------------------------------------------ the baseline


def test_a_baseline_by_index_label_run_folder_or_method():
    results = [arm("p2o", "runs/x/one"), arm("gepa", "runs/x/two"), arm("p2o", "runs/y/two"), arm("grpo", "other")]
    names = ["first", "second", "third", "fourth"]
    for wanted, index in ((None, 3), (0, 0), (3, 3), ("third", 2), ("runs/y/two", 2), ("one", 0), ("gepa", 1), ("grpo", 3)):
        assert find_baseline(results, names, wanted) == index
    assert find_baseline(results[:3], names[:3], None) == 0
    for wanted in (-1, 4):
        with pytest.raises(UsageError) as e:
            find_baseline(results, names, wanted)
        assert str(e.value) == f"no arm {wanted}: there are 4 arms, counted from 0"
    for wanted in ("p2o", "two"):
        with pytest.raises(UsageError) as e:
            find_baseline(results, names, wanted)
        assert str(e.value) == f"baseline {wanted!r} matches 2 arms; choose one of: first, second, third, fourth"
    with pytest.raises(UsageError, match="^no arm 'frist'; did you mean 'first'"):
        find_baseline(results, names, "frist")


def test_of_several_baselines_the_one_with_the_fewest_settings_of_its_own():
    spec = resolve("grpo", "skills").model_dump(mode="json")
    warm = {**spec, "train": {**spec["train"], "temperature": 1.3, "lr": 0.5}}
    cool = {**spec, "train": {**spec["train"], "temperature": 0.6}}
    results = [arm("p2o"), arm(**warm), arm(**cool), arm(**spec)]
    names = labels(results)
    assert find_baseline(results, names, None) == 3 and find_baseline(results[:3], names[:3], None) == 2
    assert find_baseline([arm("p2o"), arm(), arm()], ["p2o", "one", "two"], None) == 1, "without a recipe, the first"


# ------------------------------------------------------------------ what must be equal


def suites(**own):
    return {"tb-long": suite_scores({0: 0.4, 1: 0.5, 2: 0.6}, **own)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"training_set": "gsm8k"}, "training set: testbed and gsm8k"),
        ({"model": "qwen"}, "model: testbed and qwen"),
        ({"suites": {"tb-id": suites()["tb-long"]}}, 'suites: ["tb-long"] and ["tb-id"]'),
        ({"suites": suites(n=7)}, "n of tb-long: 200 and 7"),
        ({"suites": suites(k=9)}, "k of tb-long: 4 and 9"),
        ({"suites": suites(temperature=0.0)}, "temperature of tb-long: 0.6 and 0.0"),
        ({"suites": suites(max_new_tokens=5)}, "max_new_tokens of tb-long: 32 and 5"),
        ({"suites": suites(data_sha256="ab")}, "data of tb-long: null and ab"),
        ({"spec": {"model": {"dtype": "bfloat16"}}}, "model.dtype: float32 and bfloat16"),
    ],
)
def test_the_difference_is_named_with_both_values(change, said):
    one = arm(run="one", model={"dtype": "float32"})
    other = replace(one, **{"run": "other", **change})
    with pytest.raises(UsageError) as e:
        check_identity([one, other])
    assert str(e.value).startswith("one and other cannot be compared, they differ in ") and said in str(e.value)
    name = said.split(":")[0]
    if name == "suites" or name.startswith(("n of", "k of", "data of")):
        with pytest.raises(UsageError) as e:
            check_identity([one, other], [name])
        assert str(e.value) == f"{name!r} cannot be allowed to differ; the table rests on it"
    else:
        assert check_identity([one, other], [name]) == [said]


def test_all_differences_are_named_and_every_pair_is_looked_at():
    one = arm(run="one", model={"dtype": "float32"})
    two = replace(one, run="two", model="qwen", training_set="gsm8k")
    with pytest.raises(UsageError) as e:
        check_identity([one, two])
    assert str(e.value) == (
        "one and two cannot be compared, they differ in training set: testbed and gsm8k; model: testbed and qwen"
    )
    assert check_identity([one, two], ["model", "training set"]) == [
        "training set: testbed and gsm8k",
        "model: testbed and qwen",
    ]
    with pytest.raises(UsageError, match="^one and two cannot be compared, they differ in training set: testbed and gsm8k$"):
        check_identity([one, one, two], ["model"])
    assert check_identity([one]) == [] and check_identity([one, one, one]) == []


def test_training_problems_count_where_both_say_which():
    """The same training set by name, of another file: the hash of what was trained on differs."""
    one, two = (replace(arm(run=n), problems_sha256=h) for n, h in (("one", "ab"), ("two", "cd")))
    with pytest.raises(UsageError, match="^one and two cannot be compared, they differ in problems_sha256: ab and cd$"):
        check_identity([one, two])
    assert check_identity([one, two], ["problems_sha256"]) == ["problems_sha256: ab and cd"]
    older = replace(two, run="older", problems_sha256=None)
    assert check_identity([one, older]) == [] == check_identity([older, two]) == check_identity([one, one])
    with pytest.raises(UsageError, match="^one and two cannot be compared"):  # nor by way of one that does not say
        check_identity([one, older, two])


def test_identities_count_where_both_say_something():
    one, two = (replace(arm(run=n), identity={"engine": e, "extra": {"x": 1}}) for n, e in (("one", "a"), ("two", "b")))
    with pytest.raises(UsageError, match="they differ in identity.engine: a and b$"):
        check_identity([one, two])
    assert check_identity([one, replace(two, identity={})]) == [] and check_identity([replace(one, identity={}), two]) == []
    assert (
        check_identity([one, two], ["identity.engine"])
        == ["identity.engine: a and b"]
        == check_identity([one, two], ["identity"])
    )
    with pytest.raises(UsageError):
        check_identity([one, two], ["identity.extra"])
    with pytest.raises(UsageError, match="^'identity.e' cannot be allowed to differ"):
        check_identity([one, two], ["identity.e"])


def test_finished_policies_differ_by_model_revision_and_training_run():
    """Then all that belongs to the policy may differ, how it renders prompts included; of one policy nothing may."""

    def evaluated(run, model="m", revision=None, trained=None, rendering="a"):
        found = arm(run=run, engine={"name": "local"}, model={"id": model, "revision": revision}, run_=trained)
        spec = {k.rstrip("_"): v for k, v in found.spec.items()}
        return replace(found, model=model, spec=spec, identity={"rendering_sha256": rendering})

    one = evaluated("one", revision="v1")
    for other in (
        evaluated("two", "n", "v1"),
        evaluated("two", revision="v2"),
        evaluated("two", revision="v1", trained="there"),
    ):
        assert check_identity([one, replace(other, identity={"rendering_sha256": "b"})]) == []
    with pytest.raises(UsageError, match="differ in identity.rendering_sha256: a and b$"):
        check_identity([one, evaluated("two", revision="v1", rendering="b")])
    for other in (
        replace(evaluated("two", "n"), suites=suites(temperature=0.0)),
        replace(evaluated("two", "n"), suites=suites(max_new_tokens=5)),
    ):
        with pytest.raises(UsageError, match="differ in (temperature|max_new_tokens) of tb-long: "):
            check_identity([one, other])


def test_what_may_differ_is_said_once_as_the_first_pair_has_it():
    one, two = arm(run="one"), replace(arm(run="two"), model="qwen")
    assert check_identity([one, two, one], ["model"]) == ["model: testbed and qwen"]
    assert check_identity([one, one, two, replace(two, model="gemma")], ["model"]) == ["model: testbed and qwen"]


def test_an_entry_that_one_run_lacks_is_a_difference():
    one, two = (replace(arm(run=n), identity={"engine": "a", **own}) for n, own in (("one", {}), ("two", {"extra": 1})))
    for pair, said in (([one, two], "unset and 1"), ([two, one], "1 and unset")):
        with pytest.raises(UsageError, match=f"they differ in identity.extra: {said}$"):
            check_identity(pair)
