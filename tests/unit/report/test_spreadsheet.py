"""A comparison as CSV: every column of numbers can be read as numbers, and they are those of the comparison."""

import csv
import io

import numpy as np
import pytest

from harness.report.spreadsheet import to_csv
from harness.stats.comparison import compare
from support.results import result

TEXT = {"measure", "arm", "kind", "ties", "verdict", "correction", "rule", "test"}

CASES = {
    "one arm": [result()],
    "ahead": [result(scores={0: 0.40, 1: 0.41, 2: 0.42}), result("p2o", {0: 0.60, 1: 0.61, 2: 0.62})],
    "one seed": [result(), result("p2o", {0: 0.9})],
    "two kinds": [result(scores=dict.fromkeys(range(5), 0.9)), result("p2o", {i: 0.1 + 0.8 * (i > 2) for i in range(5)})],
    "dearer": [result(), result("p2o", rollouts=1100, unparsed=1.0, grader_faults=7, overlong=2)],
}


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_numbers(name):
    c = compare(CASES[name])
    [header, *rows] = csv.reader(io.StringIO(to_csv(c)))
    assert len(rows) == len(c.measures) * len(c.arms) and {len(row) for row in rows} == {len(header)}
    for row in rows:
        for column, cell in zip(header, row, strict=True):
            assert column in TEXT or cell == "" or np.isfinite(float(cell)), (column, cell)


@pytest.mark.parametrize("name", CASES)
def test_they_are_those_of_the_comparison(name):
    c = compare(CASES[name])
    rows = list(csv.DictReader(io.StringIO(to_csv(c))))
    for row, (m, arm) in zip(rows, [(m, a) for m in c.measures for a in c.arms], strict=True):
        s, x = arm.scores[m.key], arm.contrasts.get(m.key)
        assert (row["measure"], row["arm"], int(row["seeds"])) == (m.title, arm.label, len(s.per_seed))
        assert float(row["score"]) == pytest.approx(100 * s.mean, abs=0.051)
        want = {} if x is None else {"difference": x.difference}
        want |= (
            {} if x is None or x.fixed is None else {"these questions low": x.fixed.low, "these questions high": x.fixed.high}
        )
        for key, value in want.items():
            assert float(row[key]) == pytest.approx(100 * value, abs=0.051)
        assert (row["verdict"] or None) == (x.verdict if x else None)
        if x and x.p is not None:
            assert float(row["p seeds"]) == pytest.approx(x.p, rel=1e-3)
    if name == "dearer":
        assert rows[1]["sampled tokens"] == "1.10" and {row["unparsed"] for row in rows if row["arm"] == "p2o"} == {"", "100.0"}
        assert [row["faults"] for row in rows if row["arm"] == "p2o"] == ["", "7"]
