"""Readings by themselves: where a figure comes from, which words pass, and every message with its line."""

from __future__ import annotations

import copy
import json

import pytest

from harness.core.errors import HarnessError
from harness.leaderboard.readings import NOT_FILED, _by_hand, _consistent, _fill, check_readings, render_readings
from harness.stats.comparison import compare
from support.results import arms

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


def study(change=lambda tree: None):
    results, questions = arms()
    compared = compare(results, None, 0.5, questions).to_dict()
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
    from dataclasses import replace

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
