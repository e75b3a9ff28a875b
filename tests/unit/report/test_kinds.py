"""Seeds of two kinds in tables, words and plots: they say the same."""

from __future__ import annotations

import re

import pytest

from harness.report import comparison as tables
from harness.report import kinds, plots
from harness.report.pages import overview
from harness.stats.chances import Kinds, shares_to_decide
from harness.stats.comparison import compare
from support.results import result

LOW = {0: 0.9, 1: 0.1, 2: 0.12, 3: 0.1, 4: 0.11, 5: 0.13, 6: 0.1, 7: 0.12}
HIGH = {seed: 0.9 + seed / 200 for seed in range(8)}
EVEN = {seed: 0.5 + seed / 100 for seed in range(8)}


def two(solved_at=None, low=LOW, high=HIGH):
    return compare([result(scores=low), result("p2o", high)], solved_at=solved_at)


def column(table, name):
    i = table.header.index(name)
    return [row[i] for row in table.rows]


@pytest.mark.parametrize("solved_at", [None, 0.5])
def test_the_sentence_says_what_the_columns_say(solved_at):
    c = two(solved_at)
    assert column(tables.scores_table(c), "solved") == ["1/8", "8/8"] * 2
    tests = tables.tests_table(c)
    p = column(tests, "p solved")[1]
    assert f"OOD macro average: grpo solves in 1 of 8 seeds; p2o 8 of 8 (more, p {p})." in tests.notes
    [note] = kinds.what_solves(c)
    if solved_at:
        assert note.startswith("Solved: seeds that score at least 50.0, as the training set declares")
    else:
        assert note.startswith("Solved: the scores show two kinds of seeds (a gap of 10 points and 5 standard deviations")
        assert "part on OOD macro average at 51.5, Longer chains at 51.5;" in note


def test_fewer_and_not_told_apart():
    c = compare([result(scores=HIGH), result("p2o", LOW), result("gepa", dict(HIGH) | {7: 0.1})], solved_at=0.5)
    [note] = kinds.who_solves(c)
    said = r"grpo solves in 8 of 8 seeds; p2o 1 of 8 \(fewer, p <?\.0\d\d\), gepa 7 of 8 \(not told apart, p .*\)\."
    assert re.fullmatch(f"OOD macro average: {said}", note)


def test_without_kinds_nothing_is_said():
    c = two(low=EVEN, high={k: v + 0.02 for k, v in EVEN.items()})
    assert kinds.what_solves(c) == kinds.who_solves(c) == [] and "solved" not in tables.scores_table(c).header


def test_a_measure_without_kinds_beside_one_with_keeps_its_columns():
    c = two()
    bare = [dict(arm.scores) for arm in c.arms]
    for arm, own in zip(c.arms, bare, strict=True):
        own["tb-long"] = type(own["tb-long"])(**{**vars(own["tb-long"]), "solved": None})
        object.__setattr__(arm, "scores", own)
    for table in (tables.scores_table(c), tables.tests_table(c)):
        assert {len(row) for row in table.rows} == {len(table.header)}
    assert (
        column(tables.scores_table(c), "solved") == ["1/8", "8/8", "", ""]
        and column(tables.tests_table(c), "p solved")[3] == ""
    )


def test_what_would_decide_is_planned_by_shares():
    c = compare([result(scores=LOW), result("p2o", dict(LOW) | {1: 0.91, 2: 0.93})], solved_at=0.5)
    assert c.arms[1].contrasts["macro:ood"].verdict == "undecided" and c.arms[1].contrasts["macro:ood"].rule == "shares"
    split = c.spreads["macro:ood"].split
    n = shares_to_decide((4 / 10, 2 / 10), Kinds(float(split.low), float(split.high)), 0.01)
    assert kinds.would_decide(c, c.arms[1], "macro:ood") == n
    assert any(f"p2o on OOD macro average {n or 'more than 200'}." in note for note in tables.scores_table(c).notes)


def test_plots_show_both_kinds_and_the_share_but_no_mean():
    solved = plots.Share(50.0, 1, 12.5, 0.3, 52.7)
    points = [100 * v for v in LOW.values()]
    plain = plots.dots([("m", [plots.Mark("arm", points, 0, 20.0)])], "score")
    split = plots.dots([("m", [plots.Mark("arm", points, 0, 20.0, solved=solved)])], "score")
    assert "solved, % of seeds" in split and "1/8" in split and "solved" not in plain
    shade = plots.colour(0)
    hollow = f"fill-opacity: 0; stroke: {shade}"
    assert hollow in split and hollow not in plain
    titles = [panel["title"] for panel in overview(two(0.5))]
    assert titles[1] == "All seeds; full: solved, hollow: not; to the right the share solved, 95% exact"
    assert [panel["title"] for panel in overview(two(low=EVEN, high=EVEN))][1] == "All seeds; bar: mean"
    spot = plots.scatter([plots.Spot(1e5, 30.0, points, 0, two_kinds=True)], "tokens", "score")
    assert spot != plots.scatter([plots.Spot(1e5, 30.0, points, 0)], "tokens", "score")
