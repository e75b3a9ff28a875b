"""Readings by themselves: where a figure comes from, which words pass, and every message with its line."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs
from scipy.stats import t, ttest_ind, ttest_rel

from harness.core.errors import HarnessError
from harness.leaderboard.readings import (
    NOT_FILED,
    _by_hand,
    _consistent,
    _estimate,
    _fill,
    _judged,
    check_readings,
    render_readings,
)
from harness.runs.result import Macro, RoleMeans
from harness.stats.claims import load_claims
from harness.stats.comparison import compare
from support.results import arms, result, suite_scores

TABLES = {
    "m/scores": [
        ["measure", "arm", "score", "note"],
        ["OOD", "p2o", "50.0", "a|b"],
        ["OOD", "grpo", "25.0", ""],
        ["ID", "p2o", "75.0", "best"],
    ],
    "other": [["name", "value"], ["x", "1"], ["x", "2"], ["y", "3"]],
}
HEAD = "<!-- Built from reading.md, which is written by hand; every figure comes from the tables it names. -->\n\n"


def filled(tmp_path, text):
    return _fill(tmp_path / "reading.md", text, TABLES)


def test_figures_are_the_cells_that_they_name(tmp_path):
    text = "# Words\n{from m/scores}\nP2O has {OOD; p2o; score}, in ID { ID ;p2o;  score }, {ID; p2o; note}, {OOD; p2o; note}."
    assert filled(tmp_path, text) == f"{HEAD}# Words\nP2O has 50.0, in ID 75.0, best, a\\|b."
    assert filled(tmp_path, "  {from other}  \n{y; value}\n{from m/scores}\n{ID; score}") == f"{HEAD}3\n75.0"
    assert filled(tmp_path, "no figure\n") == f"{HEAD}no figure\n"


def test_a_line_of_every_arm(tmp_path):
    text = "{from m/scores}\n| {arm} | {OOD; arm; score} |\nend"
    assert filled(tmp_path, text) == f"{HEAD}| p2o | 50.0 |\n| grpo | 25.0 |\nend"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a\n{from m/score}", 2, "there is no table 'm/score'; did you mean 'm/scores'?"),
        ("{score}", 1, "there is no column 'score': no {from TABLE} stands before it"),
        ("{from other}\n\n{y; score}", 3, "there is no column 'score': columns are name, value"),
        ("{from other}\n{x; value}", 2, "{x; value} names 2 rows, and must name one"),
        ("{from other}\n{z; value}", 2, "{z; value} names 0 rows, and must name one"),
        ("{from other}\n{value}", 2, "{value} names 3 rows, and must name one"),
        ("{from m/scores}\n{OOD; arm; score}", 2, "{OOD; arm; score} names 0 rows, and must name one"),
        ("{from other}\n{arm}", 2, "there is no column 'arm': columns are name, value"),
        ("It has 12 points.", 1, "the figure '12' is written by hand; name the table, row and column that it stands in"),
        ("\na <b>", 2, "'<b>': a reading is prose, tables and links, without HTML or pictures"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, text, line, words):
    with pytest.raises(HarnessError) as e:
        filled(tmp_path, text)
    assert str(e.value) == f"{tmp_path / 'reading.md'}, line {line}: {words}"


@pytest.mark.parametrize(
    "line",
    [
        "P2O and grpo-t1, A-2b",
        "[table](testbed/scores-2.csv) of it",
        "{x; 7; value}",
        "a - b | c",
        "it's (so)",
        "x_y z*",
        "a-1-b",
    ],
)
def test_words_that_pass(line):
    _by_hand(line)


@pytest.mark.parametrize("line", ["7", "(7)", "½", "x 3%", "a.5", "5a", "-1", "٣", "[7](x)", "(x7 y.1)", "P2O 1"])
def test_figures_by_hand(line):
    with pytest.raises(HarnessError, match="is written by hand"):
        _by_hand(line)


@pytest.mark.parametrize("line", ["<br>", "&#x35;", "a}b", "{a", "![x](y)", "x!["])
def test_what_could_hide_a_figure(line):
    with pytest.raises(HarnessError, match="without HTML or pictures"):
        _by_hand(line)


# ---------------------------------------------------------------------- studies


def study(change=lambda tree: None, margin=1.0):
    results, questions = arms()
    compared = compare(results, None, 0.5, questions, margin=margin).to_dict()
    tree = {"study": {"title": "A|study", "text": "Of *two* arms."}, "results": {"comparisons": {"": compared}}}
    tree = json.loads(json.dumps(tree, default=lambda x: x.item()))
    change(tree)
    return tree


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "set").mkdir()
    return tmp_path / "set"


def test_the_page_of_a_study(folder):
    (folder / "small.json").write_text(json.dumps(study()))
    built = render_readings(folder, [])
    assert set(built) == {"small.md"}, "without a reading.md there is no README.md"
    first = "# A\\|study\n\nOf \\*two\\* arms.\n\n" + NOT_FILED + "\n\n"
    assert built["small.md"].startswith(first) and "Comparison" in built["small.md"]
    assert "OOD macro average" in built["small.md"]


def test_a_reading_takes_figures_of_studies_and_boards(folder):
    tree = study()
    one = tree["results"]["comparisons"].pop("")
    tree["results"]["comparisons"] = {"first": one, "second": one}
    (folder / "small.json").write_text(json.dumps(tree))
    board = folder / "model"
    board.mkdir()
    (board / "scores.csv").write_text("a,b\nx,1\n")
    (board / "scores-2.csv").write_text("a,b\nx,2\n")
    (board / "other.csv").write_text("a,b\nx,3\n")
    text = "{from small/first}\n{OOD macro average; grpo; score}\n{from model/scores}\n{x; b}\n{from model/scores-2}\n{x; b}"
    (folder / "reading.md").write_text(text)
    mean = one["arms"][0]["scores"]["macro:ood"]["mean"]
    built = check_readings(folder, [board])
    assert set(built) == {"small.md", "README.md"}
    assert built["README.md"] == f"{HEAD}{100 * mean:.1f}\n1\n2"
    assert "first" in built["small.md"] and "second" in built["small.md"] and "Comparison\n" not in built["small.md"]
    (folder / "reading.md").write_text("{from model/other}")
    with pytest.raises(HarnessError, match="no table 'model/other'"):
        render_readings(folder, [board])


def test_files_that_are_built_from_nothing_are_named(folder):
    (folder / "board").mkdir()
    (folder / ".hidden").touch()
    (folder / "reading.md").write_text("words")
    (folder / "README.md").touch()
    check_readings(folder, [folder / "board"])
    with pytest.raises(HarnessError) as e:
        check_readings(folder, [])
    assert str(e.value) == f"{folder / 'board'}: nothing checks its figures; write reading.md, from which README.md is built"
    (folder / "README.json").write_text(json.dumps(study()))
    with pytest.raises(HarnessError) as e:
        render_readings(folder, [])
    assert str(e.value) == f"{folder / 'README.md'}: is the reading's; name the study's file otherwise"


def _arm(tree, key="macro:ood"):
    return tree["results"]["comparisons"][""]["arms"][1]["scores"][key]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("study"), "'study'"),
        (lambda t: t["results"].update(comparisons=[]), "it has another form"),
        (lambda t: _arm(t).update(mean=0.9), "mean of p2o on macro:ood is 0.9, its seeds give 0."),
        (lambda t: _arm(t).update(sd=0.9), "sd of p2o on macro:ood is 0.9, its seeds give 0."),
        (lambda t: _arm(t)["solved"].update(count=0), "solved of p2o on macro:ood is 0, its seeds give 3"),
    ],
)
def test_a_study_that_contradicts_itself_is_refused(folder, change, words):
    (folder / "small.json").write_text(json.dumps(study(change)))
    with pytest.raises(HarnessError) as e:
        render_readings(folder, [])
    assert str(e.value).startswith(f"{folder / 'small.json'} is no study's file: ") and words in str(e.value)


def test_differences_follow_from_the_seeds():
    results, questions = arms()
    c = compare(results, None, 0.5, questions)
    _consistent(c)
    arm = next(a for a in c.arms if a.contrasts)
    key, x = next(iter(arm.contrasts.items()))
    means = [sum(a.scores[key].per_seed.values()) / 3 for a in (arm, c.arms[c.baseline])]
    for wrong in (2e-9, -2e-9, 0.1):
        changed = copy.copy(arm.contrasts) | {key: replace(x, difference=x.difference + wrong)}
        arms_ = [replace(a, contrasts=changed) if a is arm else a for a in c.arms]
        with pytest.raises(
            ValueError, match=f"difference of {arm.label} on {key} is .*its seeds give {means[0] - means[1]:.6f}"
        ):
            _consistent(replace(c, arms=arms_))
    near = copy.copy(arm.contrasts) | {key: replace(x, difference=x.difference + 5e-10)}
    _consistent(replace(c, arms=[replace(a, contrasts=near) if a is arm else a for a in c.arms]))


# ---------------------------------------------------------------------- what follows from the seeds


def several(*scores, training_set="testbed"):
    """Results, each of two OOD suites of different sizes and an ID one: `scores` by seed, for each of the three suites."""
    sizes = {"a": ("ood", 4, 1), "b": ("ood", 25, 4), "c": ("id", 100, 1)}
    out = []
    for name, own in zip(("grpo", "p2o", "gepa"), scores, strict=False):
        one = result(name, dict(enumerate(own[0])))
        suites = {
            key: suite_scores(dict(enumerate(values)), role=role, n=n, k=k)
            for (key, (role, n, k)), values in zip(sizes.items(), own, strict=True)
        }
        a, b, c = (np.array(values) for values in own)
        per_seed = {s: RoleMeans(id=c[s], ood=(a[s] + b[s]) / 2) for s in range(len(a))}
        macro = Macro(id=c.mean(), ood=(a + b).mean() / 2, per_seed=per_seed)
        out.append(structs.replace(one, suites=suites, macro=macro, training_set=training_set))
    return out


FLAT = [[(0.4, 0.4, 0.4), (0.3, 0.3, 0.3), (0.7, 0.7, 0.7)], [(0.6, 0.6, 0.6), (0.34, 0.34, 0.34), (0.71, 0.71, 0.71)]]
"""Seeds without spread: their intervals are as wide as one sample of each suite of the measure, and no other, makes them."""
TWO_KINDS = [
    [(0.1, 0.11, 0.1, 0.9), (0.1, 0.1, 0.12, 0.88), (0.1, 0.1, 0.1, 0.9)],
    [(0.1, 0.9, 0.91, 0.9), (0.1, 0.9, 0.9, 0.88), (0.12, 0.9, 0.9, 0.9)],
]
NOISY = [
    [(0.40, 0.44, 0.48), (0.30, 0.35, 0.28), (0.70, 0.72, 0.69)],
    [(0.60, 0.62, 0.55), (0.34, 0.31, 0.36), (0.71, 0.74, 0.73)],
    [(0.20, 0.22, 0.25), (0.31, 0.30, 0.38), (0.41, 0.44, 0.43)],
]


@pytest.mark.parametrize("scores", [FLAT, NOISY, TWO_KINDS])
@pytest.mark.parametrize("at", [0.5, None])
def test_what_a_comparison_says_of_several_suites_is_consistent(scores, at):
    c = compare(several(*scores), None, at)
    _consistent(c)
    rules = {x.rule for arm in c.arms for x in arm.contrasts.values()}
    assert rules == ({"shares"} if at or scores is TWO_KINDS else {"Welch"})
    if scores is FLAT and at is None:
        half = {m.key: c.arms[1].contrasts[m.key].fixed.high - c.arms[1].contrasts[m.key].difference for m in c.measures}
        floor = {"a": 1 / 4, "b": 1 / 100, "c": 1 / 100, "macro:ood": np.hypot(1 / 4, 1 / 100) / 2, "macro:id": 1 / 100}
        df = 4
        for key, f in floor.items():
            assert half[key] == pytest.approx(t.ppf(0.975, df) * f * np.sqrt(2 / 3)), key


@pytest.mark.parametrize("scores", [FLAT, NOISY, TWO_KINDS])
@pytest.mark.parametrize("margin", [0.01, 5.0, 60.0])
def test_verdicts_by_another_margin_are_those_of_a_comparison_by_it(scores, margin):
    found = _judged(compare(several(*scores), None, 0.5), margin / 100)
    expected = compare(several(*scores), None, 0.5, margin=margin)
    assert found.margin == expected.margin and found.alpha == expected.alpha
    for own, other in zip(found.arms, expected.arms, strict=True):
        assert own == replace(other, contrasts=own.contrasts), "nothing else changes"
        assert {k: (x.verdict, x.fixed) for k, x in own.contrasts.items()} == {
            k: (x.verdict, x.fixed) for k, x in other.contrasts.items()
        }
    lone = compare([structs.replace(r, seeds=(0,)) for r in several(*[[x[:1] for x in own] for own in scores])], None, 0.5)
    assert all(x.fixed is None for arm in lone.arms for x in arm.contrasts.values())
    assert _judged(lone, margin / 100) == replace(lone, margin=margin / 100)
    _consistent(lone)


def test_seeds_that_a_study_paired_are_compared_as_pairs():
    c = compare(several(*NOISY), None, None)
    arms_ = [replace(a, contrasts={k: replace(x, rule="paired") for k, x in a.contrasts.items()}) for a in c.arms]
    own = replace(c, arms=arms_)
    for key, at in (("b", 1), ("c", 2), ("macro:id", 2)):  # those whose seeds differ by more than their samples resolve
        for arm, scores in zip(own.arms[1:], NOISY[1:], strict=True):
            expected = ttest_rel(scores[at], NOISY[0][at]).confidence_interval()
            assert _estimate(own, arm, key).interval() == pytest.approx((expected.low, expected.high))


def with_contrast(c, key, **own):
    def changed(x):
        return replace(x, fixed=replace(x.fixed, **ends), **rest)

    ends = {k: v for k, v in own.items() if k in ("low", "high")}
    rest = {k: v for k, v in own.items() if k not in ends}
    arms_ = [replace(a, contrasts={k: changed(x) if k == key else x for k, x in a.contrasts.items()}) for a in c.arms]
    return replace(c, arms=arms_)


def test_everything_that_contradicts_the_seeds_is_named():
    c = compare(several(*NOISY[:2]), None, None)
    welch = ttest_ind(NOISY[1][2], NOISY[0][2], equal_var=False)
    low, high = welch.confidence_interval()
    for key, x in (("low", low), ("high", high), ("p", welch.pvalue)):
        with pytest.raises(ValueError, match=f"^{key} of p2o on c is 0.3, its seeds give ") as e:
            _consistent(with_contrast(c, "c", **{key: 0.3}))
        assert float(str(e.value).split()[-1]) == pytest.approx(x)
    with pytest.raises(ValueError, match="^p of p2o on c is 0.0, its seeds give "):
        _consistent(with_contrast(c, "c", p=None))
    with pytest.raises(ValueError) as e:
        _consistent(with_contrast(c, "c", verdict="loss"))
    assert str(e.value) == "verdict of p2o on c is loss, its seeds give undecided"
    for key, x in (("low", low), ("high", high), ("p", welch.pvalue)):
        _consistent(with_contrast(c, "c", **{key: x + 9e-10}))
        for wrong in (x + 2e-9, x - 2e-9):
            with pytest.raises(ValueError, match=f"^{key} of p2o on c is "):
                _consistent(with_contrast(c, "c", **{key: wrong}))
    assert compare(several(*NOISY[:2]), None, None).alpha == 0.05
    for alpha in (0.0, -0.01, 0.050001, 1.0):
        with pytest.raises(ValueError) as e:
            _consistent(replace(c, alpha=alpha))
        assert str(e.value) == f"alpha is {alpha}, and intervals are 95% or wider"
    _consistent(compare(several(*NOISY[:2]), None, None, looks=(3, 5)))


# ---------------------------------------------------------------------- files


def test_a_reading_may_take_the_verdicts_on_claims(two_runs, tmp_path):
    """No claim is about the training set of these two runs; the one about DeepMath finds none of its own among them."""
    of_testbed = shutil.copytree(two_runs[0].parents[1], tmp_path / "testbed")
    other = shutil.copytree(of_testbed, tmp_path / load_claims()["p2o-deepmath-5k"].training_set)
    for folder in (of_testbed, other):
        (folder / "reading.md").write_text("{from claims}\n{p2o-deepmath-5k; verdict}, {p2o-deepmath-5k; claimed}")
    assert render_readings(other, [])["README.md"] == f"{HEAD}not assessable, +9.4"
    with pytest.raises(HarnessError, match=r"reading.md, line 2: \{p2o-deepmath-5k; verdict\} names 0 rows"):
        render_readings(of_testbed, [])
    (other / "reading.md").write_text("from claims\n{from nothing}")
    with pytest.raises(HarnessError, match=r"there is no table 'nothing'; known: $"):
        render_readings(other, [])


def test_bytes_that_are_no_text_are_shown_as_such(folder):
    (folder / "reading.md").write_bytes(b"words \xff")
    assert render_readings(folder, [])["README.md"] == f"{HEAD}words \ufffd"


def test_a_study_is_judged_by_the_margin_of_its_models_board(folder):
    """The board is the folder of the model's name, as `leaderboard add` has it; without one the harness's own margin is."""
    (folder / "small.json").write_text(json.dumps(study(margin=50.0)))
    assert "beyond 1.0 points" in render_readings(folder, [])["small.md"]
    (folder / "testbed").mkdir()
    (folder / "testbed" / "rules.json").write_text('{"schema": 1, "margin": 7, "why": "so"}')
    assert "beyond 7.0 points" in render_readings(folder, [])["small.md"]
    (folder / "testbed" / "rules.json").write_text("{")
    with pytest.raises(HarnessError, match="rules.json"):
        render_readings(folder, [])
