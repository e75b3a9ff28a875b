"""Statistics against scipy and hand arithmetic; what must not be mixed; renderings that cannot disagree."""

import json
import math
import statistics

import pytest
from scipy.stats import beta, ttest_ind, ttest_rel

from harness.compare import compare, load_result, solved
from harness.errors import HarnessError, MissingError, UsageError
from harness.ledger import Ledger
from harness.tables import Table, compact, markdown_cell, points, visible


def result(method="grpo", scores=None, rollouts=1000, stamp=None, spec=None, **suite):
    """A result of one OOD suite whose score per seed is given."""
    scores = scores or {0: 0.4, 1: 0.5, 2: 0.6}
    per_seed = {str(s): v for s, v in scores.items()}
    mean = statistics.fmean(scores.values())
    ledgers = {s: Ledger(rollouts=rollouts, generated_tokens=20 * rollouts).to_dict() for s in per_seed}
    return {
        "run": f"runs/{method}", "method": method, "model": "testbed", "recipe": "testbed", "training_set": "testbed",
        "spec_hash": "0" * 64, "seeds": list(scores), "not_a_result": stamp,
        "suites": {"tb-long": {
            "role": "ood", "title": "Longer chains", "avg": mean, "n": 200, "k": 4, "temperature": 0.6,
            "max_new_tokens": 32, "per_seed": per_seed, "pass_at": {"1": mean}, "truncated": 0.0, "unparsed": 0.0,
            "grader_faults": 0, "generated_tokens": 96, **suite,
        }},
        "macro": {"id": None, "ood": mean, "per_seed": {s: {"id": None, "ood": v} for s, v in per_seed.items()}},
        "ledger": Ledger.total(Ledger(**x) for x in ledgers.values()).to_dict(), "ledgers": ledgers,
        **({"spec": spec} if spec else {}),
    }  # fmt: skip


def test_paired_interval_is_that_of_scipy_and_of_hand_arithmetic():
    a, b = [0.5, 0.7, 0.65], [0.4, 0.5, 0.6]
    x = compare([result("grpo", dict(enumerate(b))), result("p2o", dict(enumerate(a)))]).arms[1].contrasts["tb-long"]
    reference = ttest_rel(a, b).confidence_interval(0.95)
    assert (x.low, x.high) == pytest.approx((reference.low, reference.high))
    # differences .10 .20 .05: mean .35/3, sd .076376; t(.975, 2) = 4.302653
    assert x.difference == pytest.approx(0.35 / 3)
    assert x.high - x.difference == pytest.approx(4.302653 * 0.0763763 / math.sqrt(3), rel=1e-5)
    assert (x.kind, x.seeds, x.note) == ("paired", (0, 1, 2), "")


def test_only_shared_seeds_are_paired():
    c = compare([result("grpo", {0: 0.4, 1: 0.5, 7: 0.0}), result("p2o", {1: 0.6, 0: 0.5, 2: 0.9, 3: 0.9})])
    x = c.arms[1].contrasts["tb-long"]
    assert x.seeds == (0, 1)
    assert x.difference == pytest.approx(0.1)
    assert c.arms[1].scores["tb-long"].mean == pytest.approx(2.9 / 4)  # the score keeps all seeds
    assert "2 shared seeds" in c.to_markdown()


def test_no_shared_seed_gives_the_welch_interval():
    a, b = [0.5, 0.7, 0.65, 0.6], [0.4, 0.5]
    arm = compare([result("grpo", {8: b[0], 9: b[1]}), result("p2o", dict(enumerate(a)))]).arms[1]
    x = arm.contrasts["macro:ood"]
    reference = ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (x.low, x.high) == pytest.approx((reference.low, reference.high))
    assert x.kind == "Welch" and "no seed in common" in x.note


@pytest.mark.parametrize("other", [{0: 0.7}, {0: 0.7, 5: 0.9}, {3: 0.7}])
def test_one_seed_has_no_interval_and_says_why(other):
    c = compare([result("grpo", {0: 0.4}), result("p2o", other)])
    x = c.arms[1].contrasts["tb-long"]
    assert (x.low, x.high, x.note) == (None, None, "one seed: no interval")
    assert x.difference == pytest.approx(0.3)
    assert c.arms[0].scores["tb-long"].sd is None
    assert "one seed: no interval" in c.to_markdown()


@pytest.mark.parametrize(("count", "n"), [(0, 3), (2, 5), (5, 5)])
def test_solved_share_has_the_clopper_pearson_interval(count, n):
    s = solved([0.5] * count + [0.49] * (n - count), at=0.5)
    assert (s.count, s.share) == (count, count / n)
    assert s.low == pytest.approx(beta.ppf(0.025, count, n - count + 1) if count else 0.0)
    assert s.high == pytest.approx(beta.ppf(0.975, count + 1, n - count) if count < n else 1.0)


def test_solved_is_shown_only_where_asked():
    results = [result(scores={0: 0.9, 1: 0.1, 2: 0.9, 3: 0.1, 4: 0.2})]
    assert "solved" not in compare(results).to_markdown()
    assert "| 2/5 | 5.3 to 85.3 |" in compare(results, solved_at=0.5).to_markdown()


@pytest.mark.parametrize(
    ("change", "named"),
    [({"training_set": "dapo"}, "training set"), ({"model": "qwen"}, "model"), ({"suites": {}}, "suites")],
)
def test_identities_do_not_mix(change, named):
    with pytest.raises(UsageError, match=f"differ in {named}"):
        compare([result(), {**result("p2o"), **change}])


@pytest.mark.parametrize("suite", [{"n": 20}, {"k": 1}, {"temperature": 1.0}, {"max_new_tokens": 64}])
def test_protocols_do_not_mix(suite):
    with pytest.raises(UsageError, match=f"{next(iter(suite))} of tb-long"):
        compare([result(), result("p2o", **suite)])


def test_worlds_of_the_testbed_do_not_mix():
    specs = [{"testbed": {"world": w}, "model": {"id": "testbed"}} for w in ("latent", "absent")]
    with pytest.raises(UsageError, match="testbed.world: latent and absent"):
        compare([result(spec=specs[0]), result("p2o", spec=specs[1])])


def test_budget_outside_five_percent_is_labelled():
    for rollouts, label in ((1000, ""), (1049, ""), (1100, "rollouts 1.1k against 1k, sampled tokens 22k against 20k")):
        c = compare([result(), result("p2o", rollouts=rollouts)])
        assert c.arms[1].unequal == label
        assert ("unequal budget" in c.to_markdown()) == bool(label)
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


def test_renderings_agree_and_carry_stamps():
    from rich.console import Console

    c = compare([result(), result("p2o", {0: 0.5, 1: 0.55, 2: 0.8}, stamp="only 20 problems (--limit)")])
    console = Console(width=300, record=True, file=open("/dev/null", "w"))
    console.print(c.to_rich())
    terminal, markdown, tree = console.export_text(), c.to_markdown(), json.loads(json.dumps(c.to_dict()))
    for table in c.tables:
        for row in table.rows:
            for cell in " ".join(row).split():
                assert cell in terminal and markdown_cell(cell) in markdown
    x = tree["arms"][1]["contrasts"]["tb-long"]
    assert points(x["difference"], sign=True) in terminal
    assert f"{points(x['low'], sign=True)} to {points(x['high'], sign=True)}" in markdown
    assert tree["baseline"] == "grpo"
    assert tree["stamps"] == ["p2o: only 20 problems (--limit)"]
    assert "not a result: p2o: only 20" in terminal and "**Not a result.** p2o: only 20" in markdown


def test_load_result_says_what_is_missing(tmp_path):
    with pytest.raises(MissingError, match="no run"):
        load_result(tmp_path)
    (tmp_path / "spec.json").write_text('{"hash": "0", "spec": {"method": "grpo"}}')
    with pytest.raises(HarnessError, match="--resume"):
        load_result(tmp_path)
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(HarnessError, match="cannot be read"):
        load_result(tmp_path)
    (tmp_path / "result.json").write_text(json.dumps(result()))
    loaded = load_result(tmp_path)
    assert (loaded["run"], loaded["spec"]) == (str(tmp_path), {"method": "grpo"})


def test_text_of_numbers_and_hostile_cells():
    assert [points(x) for x in (0.4325, -0.0001, 1)] == ["43.2", "0.0", "100.0"]
    assert [compact(x) for x in (950, 999.9, 10240, 1_254_000)] == ["950", "1k", "10.2k", "1.25M"]
    assert visible("a\u202eb\x1b[2J\ud800\nc") == "a<U+202E>b<U+001B>[2J<U+D800>\nc"
    hostile = Table("t", ("a",), "l", [("<b>x</b> | ![i](http://x) `c`\n# h",)]).to_markdown()
    assert "| \\<b>x\\</b> \\| !\\[i\\](http://x) \\`c\\` # h |" in hostile
