"""Axes end where scores and their differences do."""

import re
import xml.etree.ElementTree as ET

import pytest

from harness.report import plots
from harness.report.pages import overview
from harness.stats.comparison import compare
from support.results import result


def ticks(svg):
    """The numbers written in a plot."""
    found = [
        text for e in ET.fromstring(svg.replace("xlink:href", "href")).iter() if e.tag.endswith("text") and (text := e.text)
    ]
    numbers = [re.fullmatch(r"[-−+]?\d+(\.\d+)?", text.strip()) for text in found]
    return [float(m[0].replace("−", "-")) for m in numbers if m]


@pytest.mark.parametrize("possible", [plots.PERCENT, plots.DIFFERENCE])
def test_a_bar_that_reaches_beyond_what_is_possible_does_not_take_the_axis_along(possible):
    low, high = possible
    far = plots.Mark("arm", [], 0, high - 1, low - 300, high + 300, outer=(low - 400, high + 400))
    shown = ticks(plots.dots([("m", [far])], "points", possible=possible))
    assert shown and min(shown) >= low and max(shown) <= high


def test_axes_of_a_narrow_range_stay_narrow():
    shown = ticks(plots.dots([("m", [plots.Mark("arm", [40.0, 42.0], 0, 41.0)])], "score"))
    assert 39 <= min(shown) and max(shown) <= 43


def test_a_score_near_the_end_has_no_axis_behind_it():
    spots = [plots.Spot(1e5, 99.0, [98.0, 100.0], 0, 90.0, 100.0), plots.Spot(2e5, 3.0, [0.0, 6.0], 1, 0.0, 9.0)]
    shown = [t for t in ticks(plots.scatter(spots, "tokens", "score")) if abs(t) < 1000]
    assert min(shown) >= 0 and max(shown) <= 100


def test_two_seeds_far_apart_on_a_page():
    c = compare([result(scores={0: 0.1, 1: 0.9}), result("p2o", {0: 0.0, 1: 1.0})])
    differences, seeds, *_ = overview(c)
    assert all(abs(t) <= 100 for t in ticks(str(differences["svg"])))
    assert all(0 <= t <= 100 for t in ticks(str(seeds["svg"])))


def test_of_more_arms_than_colours_the_baseline_has_one():
    few, many = len(plots.PALETTE), len(plots.PALETTE) + 1
    assert [plots.series_of(i, few, 2) for i in range(few)] == list(range(few))
    assert [plots.series_of(i, many, 2) for i in range(many)] == [0, 0, 1, *[0] * (many - 3)]
