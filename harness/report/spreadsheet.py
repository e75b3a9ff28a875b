"""A comparison as CSV: a row per measure and arm, and nothing in a column of numbers but numbers.

Percent points with one decimal, as tables have them; p values with four digits. An interval is two columns, `X low` and
`X high`. What is not known is empty.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from harness.report.tables import csv_cell, points
from harness.stats.comparison import Arm, Comparison
from harness.stats.contrasts import Bounds
from harness.stats.scores import Measure

LOW, HIGH = " low", " high"
"""The ends of an interval, behind its name."""
header = (
    *("measure", "arm", "score", "sd", "seeds", "95% interval low", "95% interval high", "kind"),
    *("solved", "95% exact low", "95% exact high", "ties"),
    *("difference", "these questions low", "these questions high", "new questions low", "new questions high"),
    *("verdict", "p seeds", "p adj.", "correction", "MDE 80%", "rule", "p questions", "test", "p solved"),
    *("sampled tokens", "truncated", "unparsed", "overlong", "faults", "graders differ"),
)
"""The same for every comparison. `solved`: a number of seeds; `sampled tokens`: a multiple of the baseline's."""


def to_csv(c: Comparison) -> str:
    """All of `header`."""
    return csv_text([list(header), *(_row(c, m, arm) for m in c.measures for arm in c.arms)])


def csv_text(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text as CSV that no spreadsheet takes for formulas."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([csv_cell(cell) for cell in row] for row in rows)
    return out.getvalue()


def _row(c: Comparison, m: Measure, arm: Arm) -> list[str]:
    s, x, solved = arm.scores[m.key], arm.contrasts.get(m.key), arm.scores[m.key].solved
    row = [m.title, arm.label, points(s.mean), _points(s.sd), str(len(s.per_seed)), _points(s.low), _points(s.high), s.kind]
    row += [str(solved.count), points(solved.low), points(solved.high)] if solved else [""] * 3
    row.append(s.ties)
    if x is None:
        row += [""] * 14
    else:
        row += [points(x.difference, sign=True), *_ends(x.fixed), *_ends(x.new), x.verdict or ""]
        row += [
            _p(x.p),
            _p(x.p_adjusted),
            x.correction,
            _points(x.mde),
            x.rule,
            _p(x.question_p),
            x.question_test,
            _p(x.solved_p),
        ]
    ratio = arm.ratio["sampled_tokens"]
    row.append("" if ratio is None else f"{ratio:.2f}")
    shares = [of.get(m.key) for of in (arm.truncated, arm.unparsed)]
    counts = [of.get(m.key) for of in (arm.overlong, arm.faults)]
    return [*row, *map(_points, shares), *("" if n is None else str(n) for n in counts), _points(arm.disagreement.get(m.key))]


def _points(share: float | None) -> str:
    return "" if share is None else points(share)


def _ends(b: Bounds | None) -> tuple[str, str]:
    return ("", "") if b is None else (points(b.low, sign=True), points(b.high, sign=True))


def _p(p: float | None) -> str:
    return "" if p is None else f"{p:.4g}"
