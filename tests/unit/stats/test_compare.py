"""Statistics against scipy and hand arithmetic; what must not be mixed; renderings that cannot disagree."""

import csv
import io
import json
import math
import random
import statistics

import pytest
from scipy.stats import beta, binomtest, boschloo_exact, t, ttest_ind

from harness.core.errors import HarnessError, MissingError, UsageError
from harness.core.tables import Table, compact, csv_cell, latex_cell, markdown_cell, p_value, points, visible
from harness.runs.result import load_result
from harness.stats import intervals
from harness.stats.compare import compare, solved
from support.results import arms, cells, result


def test_fixed_suite_interval_is_that_of_welch_whatever_the_seeds_are_called():
    a, b = [0.5, 0.7, 0.65, 0.6], [0.4, 0.5, 0.6]
    reference = ttest_ind(a, b, equal_var=False)
    for start in (0, 7):
        seeds = {start + i: v for i, v in enumerate(b)}
        x = compare([result("grpo", seeds), result("p2o", dict(enumerate(a)))]).arms[1].contrasts["macro:ood"]
        assert (x.fixed.low, x.fixed.high) == pytest.approx(tuple(reference.confidence_interval(0.95)))
        assert (x.p, x.p_adjusted, x.correction) == pytest.approx((reference.pvalue, reference.pvalue, "Holm"))
        assert x.difference == pytest.approx(statistics.fmean(a) - statistics.fmean(b))
        assert x.new is None and x.question_p is None, "no samples"
        # the interval holds 0: the effect that had an 80% chance of being seen
        assert x.mde == pytest.approx((t.ppf(0.975, x.fixed.df) + t.ppf(0.8, x.fixed.df)) * x.fixed.se)


def test_corrections_are_holm_over_arms_and_bh_over_suites():
    rng = random.Random(0)
    draw = lambda m: {s: m + rng.gauss(0, 0.02) for s in range(3)}  # noqa: E731
    c = compare([result(name, draw(m)) for name, m in (("grpo", 0.4), ("p2o", 0.44), ("gepa", 0.47), ("x", 0.41))])
    for key, adjust in (("macro:ood", intervals.holm), ("tb-long", intervals.benjamini_hochberg)):
        found = {a.label: a.contrasts[key] for a in c.arms[1:]}
        expected = adjust({label: x.p for label, x in found.items()})
        assert {label: x.p_adjusted for label, x in found.items()} == pytest.approx(expected)


def test_both_intervals_and_the_tests_on_questions():
    results, questions = arms()
    c = compare(results, questions=questions)
    for key in ("macro:ood", "tb-long"):  # one suite: the macro average is that suite
        x = c.arms[1].contrasts[key]
        a, b = (q["tb-long"].scores_S_Q for q in (questions[1], questions[0]))
        e = intervals.question_difference([a], [b])
        assert (x.new.low, x.new.high) == pytest.approx(e.interval())
        assert x.question_test == "sign-flip"
        assert x.question_p == intervals.sign_flip([(a.mean(0) - b.mean(0))[None]])[0]
    s = c.arms[1].scores["tb-long"]
    assert (s.low, s.high) == pytest.approx(intervals.score([a]).interval()) and s.kind == "t, seeds and questions"
    assert compare(results, questions=questions).to_dict() == c.to_dict(), "seeded"


def test_one_outcome_a_question_gets_mcnemar_and_wilson():
    results, questions = arms(seeds=1, k=1, gain=0.3)
    c = compare(results, questions=questions)
    x, s = c.arms[1].contrasts["tb-long"], c.arms[1].scores["tb-long"]
    a, b = (q["tb-long"].scores_S_Q[0] for q in (questions[1], questions[0]))
    won, lost = int((a > b).sum()), int((a < b).sum())
    assert x.question_test == "McNemar" and x.question_p == pytest.approx(binomtest(won, won + lost).pvalue)
    assert (s.low, s.high) == intervals.wilson(a.sum(), 50) and s.kind == "Wilson"
    assert x.fixed is x.new is x.p_adjusted is None and x.mark == "", "one seed proves nothing about training"


def test_questions_must_be_the_same_ones():
    results, questions = arms()
    questions[1] = cells(questions[1]["tb-long"].scores_S_Q, ids=tuple(f"q{i}" for i in range(50)))
    with pytest.raises(UsageError, match="differ in the questions of tb-long"):
        compare(results, questions=questions)
    with pytest.raises(UsageError, match="differ in the questions of tb-long"):
        compare([result("x", n=50), *results], questions=[{}, *questions])


def test_an_arm_without_samples_has_what_rests_on_seeds():
    results, questions = arms()
    c = compare(results, questions=[{}, questions[1]])
    x = c.arms[1].contrasts["tb-long"]
    assert x.fixed and x.p is not None and x.new is None and x.question_p is None
    assert c.arms[0].scores["tb-long"].low is None and c.arms[1].scores["tb-long"].low is not None


def test_scores_without_any_spread():
    flat = {0: 0.0, 1: 0.0, 2: 0.0}
    zero = cells([[0.0] * 30] * 3)
    c = compare([result(scores=flat, n=30), result("p2o", flat, n=30)], questions=[zero, zero])
    x, s = c.arms[1].contrasts["tb-long"], c.arms[1].scores["tb-long"]
    assert x.fixed is None and x.p is None and x.note == "no spread over seeds: no interval" and x.question_p == 1.0
    assert (s.low, s.high) == intervals.wilson(0, 30), "not an interval of no width"
    assert "nan" not in json.dumps(c.to_dict()).lower() and c.arms[0].scores["tb-long"].ties == "a"


def test_marks_ties_and_bold():
    clear = compare([result(scores={0: 0.40, 1: 0.41, 2: 0.42}), result("p2o", {0: 0.60, 1: 0.61, 2: 0.62})])
    assert [a.scores["tb-long"].ties for a in clear.arms] == ["b", "a"]
    assert clear.arms[1].contrasts["tb-long"].mark == "†", "no questions, so nothing about new ones"
    assert "**61.0**" in clear.to_markdown() and "+20.0†" in clear.to_markdown() and r"\textbf{61.0}" in clear.to_latex()
    tied = compare([result(scores={0: 0.40, 1: 0.5, 2: 0.6}), result("p2o", {0: 0.45, 1: 0.55, 2: 0.65})])
    assert "**" not in tied.to_markdown() and "†" not in tied.arms[1].contrasts["tb-long"].mark
    single = compare([result(scores={0: 0.40, 1: 0.41, 2: 0.42}), result("p2o", {0: 0.9}), result("gepa", {0: 0.6, 1: 0.61})])
    assert "**" not in single.to_markdown(), "a lone seed is ahead, and nobody is bold"
    assert single.arms[1].scores["tb-long"].ties == "" and "1 seed" in single.to_csv()
    assert r"\textcolor{gray}{90.0}" in single.to_latex()
    stamped = compare([result(scores={0: 0.40, 1: 0.41, 2: 0.42}), result("p2o", {0: 0.60, 1: 0.61, 2: 0.62}, stamp="small")])
    assert "**61.0**" not in stamped.to_markdown()
    results, questions = arms(gain=0.4)
    assert compare(results, questions=questions).arms[1].contrasts["tb-long"].mark == "‡"


def test_solved_shares_get_an_exact_test():
    low, high = ({s: at + 0.01 * s for s in range(5)} for at in (0.1, 0.9))
    c = compare([result(scores=low), result("p2o", high)], solved_at=0.5)
    assert c.arms[1].contrasts["tb-long"].solved_p == pytest.approx(boschloo_exact([[5, 0], [0, 5]]).pvalue)
    assert "| 5/5 |" in c.to_markdown() and "| 0/5 |" in c.to_markdown()


def test_pooled_sd_adds_degrees_of_freedom_up():
    a, b = {0: 0.1, 1: 0.2, 2: 0.3}, {0: 0.5, 1: 0.9}
    found = compare([result(scores=a), result("p2o", b), result("gepa", {0: 1.0})]).seed_sd["tb-long"]
    assert found.df == 3 and found.sd == pytest.approx(math.sqrt((2 * 0.01 + 0.08) / 3))


@pytest.mark.parametrize("other", [{0: 0.7}, {0: 0.7, 5: 0.9}, {3: 0.7}])
def test_one_seed_has_no_interval_and_says_why(other):
    c = compare([result("grpo", {0: 0.4}), result("p2o", other)])
    x = c.arms[1].contrasts["tb-long"]
    assert (x.fixed, x.new, x.p, x.note) == (None, None, None, "one seed: no interval")
    assert x.difference == pytest.approx(statistics.fmean(other.values()) - 0.4)
    assert c.arms[0].scores["tb-long"].sd is None
    assert "| one seed |" in c.to_markdown() and "1 seed" in c.to_markdown()


@pytest.mark.parametrize(("count", "n"), [(0, 3), (2, 5), (5, 5)])
def test_solved_share_has_the_clopper_pearson_interval(count, n):
    s = solved([0.5] * count + [0.49] * (n - count), at=0.5)
    assert (s.count, s.share) == (count, count / n)
    assert s.low == pytest.approx(beta.ppf(0.025, count, n - count + 1) if count else 0.0)
    assert s.high == pytest.approx(beta.ppf(0.975, count + 1, n - count) if count < n else 1.0)


def test_solved_is_shown_only_where_asked():
    results = [result(scores={0: 0.9, 1: 0.1, 2: 0.9, 3: 0.1, 4: 0.2})]
    assert "solved" not in compare(results).to_markdown()
    assert "| 2/5 |" in compare(results, solved_at=0.5).to_markdown()
    two = compare([*results, result("p2o", {0: 0.1, 1: 0.2, 2: 0.9})], solved_at=0.5)
    assert "| 2/5 | 5.3 to 85.3 |" in two.to_markdown()


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
    latex, csv_text = c.to_latex(), c.to_csv()
    for table in c.tables:
        for row in table.rows:
            for cell in " ".join(row).split():
                assert cell in terminal and markdown_cell(cell) in markdown and latex_cell(cell) in latex
    [header, *rows] = csv.reader(io.StringIO(csv_text))
    assert rows[0][:3] == ["OOD macro average", "grpo", "50.0"] and rows[1][0] == "OOD macro average"
    for table in c.tables[:2]:
        for row, line in zip(table.full_rows, rows, strict=True):
            assert all(line[header.index(name)] == csv_cell(cell) for name, cell in zip(table.header, row, strict=True))
    x = tree["arms"][1]["contrasts"]["tb-long"]
    assert points(x["difference"], sign=True) in terminal
    assert f"{points(x['fixed']['low'], sign=True)} to {points(x['fixed']['high'], sign=True)}" in markdown
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
    cells = ('=HYPERLINK("x")', "-2+3+cmd|' /C calc'!A0", "+4.7†", "-1.0 to +2.0", "a,\n\u202eb")
    bad = Table("t", ("a",), "l", [(cell,) for cell in cells])
    assert list(csv.reader(io.StringIO(bad.to_csv())))[1:] == [
        ['\'=HYPERLINK("x")'],
        ["'-2+3+cmd|' /C calc'!A0"],
        ["+4.7†"],
        ["-1.0 to +2.0"],
        ["a, <U+202E>b"],
    ]
    run = Table("t", ("a",), "l", [(r"\input{/etc/passwd} 50% $x_1^2$ #&~ {",)]).to_latex()
    assert (r"\textbackslash{}input\{/etc/passwd\} 50\% \$x\_1\textasciicircum{}2\$ \#\&\textasciitilde{} \{ \\") in run
    assert [p_value(p) for p in (None, 0.0001, 0.05, 0.99999)] == ["", "<.001", ".050", "1"]
    assert "| \\<b>x\\</b> \\| !\\[i\\](http://x) \\`c\\` # h |" in hostile
