"""What stands in one comparison: what must not be mixed, the baseline, names of arms, budgets."""

import pytest
from msgspec.structs import replace

from harness.core.errors import HarnessError, MissingError, UsageError
from harness.runs.result import load_result, write_result
from harness.stats.comparison import compare
from support.results import arms, cells, result


def test_questions_must_be_the_same_ones():
    results, questions = arms()
    questions[1] = cells(questions[1]["tb-long"].scores_S_Q, ids=tuple(f"q{i}" for i in range(50)))
    with pytest.raises(UsageError, match="differ in the questions of tb-long"):
        compare(results, questions=questions)
    with pytest.raises(UsageError, match="differ in the questions of tb-long"):
        compare([result("x", n=50), *results], questions=[{}, *questions])


@pytest.mark.parametrize(
    ("change", "named"),
    [({"training_set": "dapo"}, "training set"), ({"model": "qwen"}, "model"), ({"name": "tb-family"}, "suites")],
)
def test_identities_do_not_mix(change, named):
    other = result("p2o", **change) if "name" in change else replace(result("p2o"), **change)
    with pytest.raises(UsageError, match=f"differ in {named}"):
        compare([result(), other])


@pytest.mark.parametrize("suite", [{"n": 20}, {"k": 1}, {"temperature": 1.0}, {"max_new_tokens": 64}])
def test_protocols_do_not_mix(suite):
    with pytest.raises(UsageError, match=f"{next(iter(suite))} of tb-long"):
        compare([result(), result("p2o", **suite)])


def test_worlds_of_the_testbed_do_not_mix():
    specs = [{"testbed": {"world": w}, "model": {"id": "testbed"}} for w in ("latent", "absent")]
    with pytest.raises(UsageError, match="testbed.world: latent and absent"):
        compare([result(spec=specs[0]), result("p2o", spec=specs[1])])


def test_budget_outside_five_percent_is_labelled():
    off = {"rollouts": (1100, 1000), "sampled_tokens": (22_000, 20_000)}
    for rollouts, unequal in ((1000, {}), (1049, {}), (1100, off)):
        c = compare([result(), result("p2o", rollouts=rollouts)])
        assert c.arms[1].unequal == unequal
    assert c.arms[1].ratio["rollouts"] == pytest.approx(1.1)
    assert compare([result(rollouts=0), result("p2o")]).arms[1].ratio["rollouts"] is None


def test_baseline_is_grpo_unless_named():
    results = [result("p2o"), result("grpo"), result("gepa")]
    assert compare(results).baseline == 1
    assert compare(results[::2]).baseline == 0
    for name in ("gepa", 2, "runs/gepa"):
        assert compare(results, name).baseline == 2
    for wrong in ("gpro", 3, -1):
        with pytest.raises(UsageError):
            compare(results, wrong)
    with pytest.raises(UsageError, match="grpo #1, grpo #2"):
        compare([result(), result()], "grpo")
    with pytest.raises(UsageError, match="nothing to compare"):
        compare([])


def test_arms_of_one_method_are_told_apart():
    specs = [{"train": {"temperature": t}, "method_config": {"a": [1, 2]}, "seeds": [0]} for t in (0.6, 1.0)]
    c = compare([*(result(spec=s) for s in specs), result("p2o", spec=specs[0])])
    assert [a.label for a in c.arms] == ["grpo (train.temperature=0.6)", "grpo (train.temperature=1.0)", "p2o"]
    assert [a.label for a in compare([result(), result()]).arms] == ["grpo #1", "grpo #2"]


def test_load_result_says_what_is_missing(tmp_path):
    with pytest.raises(MissingError, match="no run"):
        load_result(tmp_path)
    (tmp_path / "spec.json").write_text('{"schema": 1, "hash": "0", "spec": {"method": "grpo"}}')
    with pytest.raises(HarnessError, match="--resume"):
        load_result(tmp_path)
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(HarnessError, match="cannot be read"):
        load_result(tmp_path)
    write_result(tmp_path, result())
    loaded = load_result(tmp_path)
    assert (loaded.run, loaded.spec) == (str(tmp_path), {"method": "grpo"})
