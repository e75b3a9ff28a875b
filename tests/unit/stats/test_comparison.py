"""What stands in one comparison: what must not be mixed, the baseline, names of arms, budgets."""

import json

import numpy as np
import pytest
from msgspec.structs import replace

from harness.core.errors import HarnessError, MissingError, UsageError
from harness.core.ledger import Ledger
from harness.runs.result import load_result, write_result
from harness.stats.comparison import Comparison, compare, compare_runs
from harness.stats.questions import load_questions
from support.results import arms, cells, result
from support.runs import make_run


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


def test_every_field_of_an_arm_and_of_the_comparison():
    spent = Ledger(rollouts=10, generated_tokens=50, reflection_calls=3, dropped_reflections=1)
    two = {0: 0.5, 1: 0.7}
    one = result("grpo", {0: 0.2, 1: 0.4}, rollouts=20, disagreement=None)
    other = result("p2o", two, stamp="too few", ledger=spent, truncated=0.25, unparsed=0.125, overlong=2, disagreement=0.0625)
    c = compare([replace(x, model="qwen", training_set="gsm8k", run=f"runs/{i}") for i, x in enumerate((one, other))])
    assert (c.model, c.training_set, c.baseline, c.allowed) == ("qwen", "gsm8k", 0, ())
    assert [m.key for m in c.measures] == ["macro:ood", "tb-long"] and set(c.seed_sd) == {"macro:ood", "tb-long"}
    grpo, p2o = c.arms
    assert (p2o.label, p2o.method, p2o.run, p2o.seeds, p2o.not_a_result) == ("p2o", "p2o", "runs/1", (0, 1), "too few")
    assert p2o.scores["tb-long"].per_seed == two and p2o.contrasts["tb-long"].difference == pytest.approx(0.3)
    assert (p2o.truncated, p2o.unparsed, p2o.overlong) == ({"tb-long": 0.25}, {"tb-long": 0.125}, {"tb-long": 2})
    assert (p2o.disagreement, grpo.disagreement) == ({"tb-long": 0.0625}, {})
    assert (p2o.reflections, p2o.dropped, grpo.reflections, grpo.dropped) == (6, 2, 0, 0), "in all seeds"
    assert (p2o.budget["rollouts"], grpo.budget["rollouts"], p2o.ratio["rollouts"]) == (10, 20, 0.5)
    assert grpo.contrasts == {} and grpo.unequal == {} and set(p2o.unequal) == {"rollouts", "sampled_tokens"}
    tree = c.to_dict()
    assert tree["stamps"] == ["p2o: too few"] == c.stamps and tree["baseline"] == "grpo" and tree["model"] == "qwen"
    assert len(tree["arms"]) == 2 and tree["arms"][1]["scores"]["tb-long"]["mean"] == pytest.approx(0.6)
    alone = compare([one])
    assert alone.baseline == 0 and len(alone.arms) == 1 and alone.model == "testbed"
    with pytest.raises(UsageError, match="^nothing to compare: name at least one run$"):
        compare([])


def test_run_directories_are_compared_with_their_samples_and_their_sets_threshold(tmp_path):
    rng = np.random.default_rng(0)
    runs = [make_run(tmp_path / m, m, rng.random((2, 12, 2)) < p) for m, p in (("grpo", 0.3), ("p2o", 0.7))]
    found = compare_runs(runs, "p2o")
    assert found.baseline == 1 and [a.run for a in found.arms] == list(map(str, runs))
    loaded = [load_result(run) for run in runs]
    expected = compare(loaded, "p2o", 0.5, [load_questions(r) for r in loaded])
    assert found.to_dict() == expected.to_dict()
    x = found.arms[0].contrasts["tb-long"]
    assert x.question_p is not None and x.solved_p is not None and found.arms[1].scores["tb-long"].solved.at == 0.5
    with pytest.raises(UsageError, match="cannot be allowed to differ"):
        compare_runs(runs, None, ["nothing.here"])


def test_what_is_allowed_to_differ_is_kept():
    one, other = result(), replace(result("p2o"), model="qwen")
    assert compare([one, other], allow=["model"]).allowed == ("model: testbed and qwen",)


@pytest.mark.parametrize(
    ("scores", "two"),
    [([{0: 0.1, 1: 0.9, 2: 0.1}] * 2, True), ([{s: 0.5 + 0.01 * s * i for s in range(4)} for i in range(1, 6)], False)],
)
def test_what_is_known_of_the_spread_goes_into_a_file_and_back(scores, two):
    c = compare([result(f"m{i}", own) for i, own in enumerate(scores)])
    assert (c.spreads["macro:ood"].split is not None) == two
    again = Comparison.from_dict(json.loads(json.dumps(c.to_dict())))
    assert again.spreads == c.spreads and again.arms == c.arms
