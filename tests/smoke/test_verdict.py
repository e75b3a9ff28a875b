"""The page of calibration in small: no rate of a verdict or interval misses its goal, but for those that the page explains.

tests/checks/calibration.py writes all of it, with more experiments.
"""

import importlib.util
import sys

import numpy as np
import pytest

from support.paths import ROOT

SCRIPT = ROOT / "tests" / "checks" / "calibration.py"
spec = importlib.util.spec_from_file_location("calibration", SCRIPT)
calibration = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = calibration  # dataclasses look their module up
spec.loader.exec_module(calibration)

REPS = 3000
EXPLAINED = {"too few seeds show both kinds", "one seed: its own luck is not in the interval", "seeds are exactly alike"}


@pytest.mark.parametrize("table", calibration.TABLES, ids=lambda table: table[0])
def test_rates_keep_their_goals(table):
    title, rows, header = table
    reps = 200 if title in ("Seeds of two kinds, seen or not", "One arm", "New questions") else REPS
    red = []
    for row in rows(reps, np.random.default_rng([1, len(title)])):
        assert len(row) == len(header)
        red += [(row, x) for x in row if isinstance(x, calibration.Cell) and "<b" in x.text(reps) and x.why not in EXPLAINED]
    assert not red


def test_a_rate_beyond_its_goal_is_red():
    cell = calibration.Cell
    assert cell(0.95, 0.94, 0.97).text(2000) == "95.0" and cell(0.025, high=0.025).text(2000) == "2.5"
    assert "c00" in cell(0.90, 0.94, 0.97).text(2000) and "c00" in cell(0.99, 0.94, 0.97).text(2000)
    assert cell(0.5, high=0.025, why="a reason").text(100).endswith("</b> (a reason)")
