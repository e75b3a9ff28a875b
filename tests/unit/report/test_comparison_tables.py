"""Renderings of a comparison: they cannot disagree, and show no more than the numbers do."""

import json

import pytest
from msgspec import structs

from harness.report.brief import in_text
from harness.report.comparison import tables, to_latex, to_markdown
from harness.report.tables import latex_cell, markdown_cell, points
from harness.stats.comparison import compare
from support.results import result


def test_renderings_agree_and_carry_stamps():
    c = compare([result(), result("p2o", {0: 0.5, 1: 0.55, 2: 0.8}, stamp="only 20 problems (--limit)")])
    terminal, markdown, tree = in_text(c, 300), to_markdown(c), json.loads(json.dumps(c.to_dict()))
    latex = to_latex(c)
    for table in tables(c):
        for row in table.rows:
            for cell in " ".join(row).split():
                assert cell in terminal and markdown_cell(cell) in markdown and latex_cell(cell) in latex
    x = tree["arms"][1]["contrasts"]["tb-long"]
    assert points(x["difference"], sign=True) in terminal
    assert f"{points(x['fixed']['low'], sign=True)} to {points(x['fixed']['high'], sign=True)}" in markdown
    assert tree["baseline"] == "grpo"
    assert tree["stamps"] == ["p2o: only 20 problems (--limit)"]
    assert "not a result: p2o: only 20" in terminal and "**Not a result.** p2o: only 20" in markdown


def test_bold_and_grey():
    low, high = {0: 0.40, 1: 0.41, 2: 0.42}, {0: 0.60, 1: 0.61, 2: 0.62}
    clear = compare([result(scores=low), result("p2o", high)])
    assert "**61.0**" in to_markdown(clear) and "+20.0†" in to_markdown(clear) and r"\textbf{61.0}" in to_latex(clear)
    tied = compare([result(scores={0: 0.40, 1: 0.5, 2: 0.6}), result("p2o", {0: 0.45, 1: 0.55, 2: 0.65})])
    assert "**" not in to_markdown(tied)
    single = compare([result(scores=low), result("p2o", {0: 0.9}), result("gepa", {0: 0.6, 1: 0.61})])
    assert "**" not in to_markdown(single), "a lone seed is ahead, and nobody is bold"
    assert "1 seed" in to_markdown(single) and r"\textcolor{gray}{90.0}" in to_latex(single)
    stamped = compare([result(scores=low), result("p2o", high, stamp="small")])
    assert "**61.0**" not in to_markdown(stamped)


@pytest.mark.parametrize("other", [{0: 0.7}, {0: 0.7, 5: 0.9}, {3: 0.7}])
def test_one_seed_is_said(other):
    text = to_markdown(compare([result("grpo", {0: 0.4}), result("p2o", other)]))
    assert "| one seed |" in text and "1 seed" in text


def test_solved_is_shown_only_where_asked():
    even = [result(scores={0: 0.9, 1: 0.7, 2: 0.5, 3: 0.3, 4: 0.1})]
    assert "solved" not in to_markdown(compare(even)) and "| 3/5 |" in to_markdown(compare(even, solved_at=0.5))
    results = [result(scores={0: 0.9, 1: 0.1, 2: 0.9, 3: 0.1, 4: 0.2})]
    assert "| 2/5 |" in to_markdown(compare(results)), "the two kinds of seeds are seen"
    assert "| 2/5 |" in to_markdown(compare(results, solved_at=0.5))
    two = compare([*results, result("p2o", {0: 0.1, 1: 0.2, 2: 0.9})], solved_at=0.5)
    assert "| 2/5 | 5.3 to 85.3 |" in to_markdown(two)


def test_all_seeds_solved_and_none():
    low, high = ({s: at + 0.01 * s for s in range(5)} for at in (0.1, 0.9))
    text = to_markdown(compare([result(scores=low), result("p2o", high)], solved_at=0.5))
    assert "| 5/5 |" in text and "| 0/5 |" in text


def test_an_unequal_budget_is_said():
    for rollouts, words in ((1049, ""), (1100, "rollouts 1.1k against 1k, sampled tokens 22k against 20k")):
        text = to_markdown(compare([result(), result("p2o", rollouts=rollouts)]))
        assert words in text and ("unequal budget" in text) == bool(words)


def test_scores_without_overlapping_problems_are_noted_only_where_they_differ():
    plain, other = (to_markdown(compare([r])) for r in (result("grpo"), result("p2o", flagged=["x", "y"], avg_clean=0.25)))
    assert "match training problems" not in plain
    assert "Longer chains: 2 of 200 problems match training problems; without them p2o 25.0." in other


def test_robust_views_are_in_files_of_several_arms():
    scores = {"p2o": {0: 0.5, 1: 0.7, 2: 0.65}, "gepa": {0: 0.2, 1: 0.3}}
    few, many = (compare([result(), *(result(n, scores[n]) for n in names)]) for names in (["p2o"], ["p2o", "gepa"]))
    assert "Robust views" in in_text(few, 150) and "Robust views" in in_text(many, 150)
    assert "Robust views" not in to_markdown(compare([result()]))
    [*_, views, _, _] = tables(many)
    views_of = {row[1]: row[2:] for row in views.rows}
    assert views.rows[0][0] == "OOD suites" and views_of["grpo"][0] == "50.0" and views_of["grpo"][3:] == ("baseline", "", "")
    assert (views_of["p2o"][0], views_of["p2o"][3]) == ("61.7", "83.3"), "7.5 of 9 pairs"
    assert views_of["gepa"] == ("25.0", "", "", "0.0", "", "") and views.grey == {2}, "two seeds have no interval"
    assert (
        "| 61.7 |" in to_markdown(few)
        and few.arms[1].robust == compare([result(), result("p2o", scores["p2o"])]).arms[1].robust
    )


def test_pictures_of_robust_views():
    import xml.etree.ElementTree as ET

    from harness.report.robust import robust_panels

    c = compare([result(), result("p2o", {0: 0.5, 1: 0.7, 2: 0.65}), result("gepa", {0: 0.2})])
    titles = [panel["title"] for panel in robust_panels(c, 60)]
    assert [title.split()[0] for title in titles] == ["Interquartile", "Chance", "Performance"]
    for panel in robust_panels(c, 60):
        ET.fromstring(panel["svg"].replace("xlink:href", "href"))
    assert "gepa" in robust_panels(c, 60)[0]["svg"] and "gepa" not in robust_panels(c, 2)[0]["svg"]
    assert robust_panels(compare([result()]), 60) == []


def test_what_is_compared_is_said_of_trainings_and_of_finished_policies():
    trained, finished = result("grpo", {0: 0.4, 1: 0.5}), structs.replace(result("p2o", {0: 0.5, 1: 0.6}), recipe="evaluation")
    assert "Model testbed, trained on testbed.\n" in to_markdown(compare([trained, finished]))
    alone = to_markdown(compare([finished, structs.replace(finished, run="other")]))
    assert "Finished policies, evaluated as they are.\n" in alone and "trained on" not in alone
