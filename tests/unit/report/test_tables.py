"""Text of numbers, and cells that nothing hostile gets out of."""

import csv
import io

from harness.core.text import visible
from harness.report.tables import Table, compact, p_value, points


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
