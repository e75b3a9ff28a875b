"""Pages are pure functions of run directories, and nothing a model wrote gets out of its box."""

import csv
import json
import re
import xml.etree.ElementTree as ET

import pytest
from msgspec.structs import replace

from harness.core.errors import HarnessError, UsageError
from harness.report.comparison import tables, to_csv
from harness.report.formats import OUTPUT_FORMATS, write_comparison
from harness.report.plots import Mark, dots, thin
from harness.report.run import write_report
from harness.runs import formats
from harness.runs.environment import write_environment
from harness.runs.files import append_jsonl
from harness.runs.result import load_result
from harness.stats.comparison import compare
from support.results import environment, result, sample
from support.runs import write_run

HOSTILE = '</pre></textarea><script>alert(1)</script><img src=x onerror="a"> \u202eevil\u2066 {{ 7*7 }} \ud800 $x^{$ |`'


def make_run(path, method="p2o", templates=True, stamp=None, seeds=(0, 1)):
    """A small finished run whose model wrote hostile text wherever it could."""
    spec = {"method": method, "method_config": {}, "train": {"lr": 1e-4}, "seeds": list(seeds)}
    write_environment(path, environment(commands=[f"harness run --method {method}"]))
    for seed in seeds:
        rows = [
            {
                "seed": seed,
                "epoch": 0,
                "batch": b,
                "kind": "batch",
                "reward": 0.1 * b,
                "degenerate_groups": 0.5,
                "all_zero_groups": 0.2,
                "branch_let": 0.3,
                "rollouts": 96 * (b + 1),
            }
            for b in range(5)
        ]
        epoch = {"seed": seed, "epoch": 0, "kind": "epoch", "rollouts": 500}
        append_jsonl(path / "metrics.jsonl", [*rows, {**epoch, "hard_problems": 12} if templates else epoch])
        if templates:
            row = {"seed": seed, "epoch": 0, "template": HOSTILE, "mean_score": 0.25, "parent": 0, "selected": True}
            out = {**row, "template": "not selected", "selected": False}
            write_lines(path / "templates" / f"s{seed}.jsonl", [row, out])
    scores = {s: 0.4 + 0.1 * s for s in seeds}
    samples = [
        sample(problem=f"p{i}", prompt="q", completion=f"{i} {HOSTILE}", answer=HOSTILE, score=float(i < 10 * score), seed=s)
        for s, score in scores.items()
        for i in range(10)
    ]
    write_lines(path / "samples" / "tb-long.jsonl", map(formats.tree, samples))
    found = result(method, scores, stamp=stamp, n=10, k=1)
    return write_run(path, replace(found, spec_hash="f" * 64), spec=spec)


def write_lines(path, rows):
    """JSONL with escapes: a lone surrogate is legal there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_hostile_text_is_escaped_and_spelled_out(tmp_path):
    page = write_report(make_run(tmp_path / "r")).read_text()
    blocks = re.findall(r"<script([^>]*)>([^<]*)</script>", page)
    kinds = ['id="facts"', 'class="prompts"', 'class="texts"']
    assert [a for a, _ in blocks] == [f' type="text/plain" {kind}' for kind in kinds]
    assert page.count("<script") == 4 and all(re.fullmatch("[A-Za-z0-9+/=]+", text) for _, text in blocks)
    assert "<img" not in page and "</textarea" not in page
    assert not re.search("[\u200b-\u200f\u202a-\u202e\u2066-\u2069]", page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&lt;U+202E&gt;evil&lt;U+2066&gt;" in page and "{{ 7*7 }}" in page
    markdown = (tmp_path / "r" / "report.md").read_text()
    assert "<script" not in markdown.replace("\\<", "") and "\u202e" not in markdown


def test_a_run_without_templates_has_a_report_without_them(tmp_path):
    page = write_report(make_run(tmp_path / "r", "grpo", templates=False)).read_text()
    assert ">Templates</h2>" not in page and "Hard problems" not in page
    assert page.count("<svg") == 1, "the reward has a curve; what never changed is in a table"
    assert '<td class="l">Groups without a gradient, share</td><td class="r">0.5</td>' in page
    full = write_report(make_run(tmp_path / "s")).read_text()
    assert ">Templates</h2>" in full and "Hard problems" in full
    assert re.search(r"<pre>not selected</pre>", full), "the whole pool, not only what was selected"


def test_report_shows_scores_samples_and_command(tmp_path):
    page = write_report(make_run(tmp_path / "r")).read_text()
    assert "All 20 samples" in page
    assert "harness run --method p2o" in page and "45.0" in page
    assert "Not a result" not in page


def test_pages_are_self_contained_and_repeatable(tmp_path):
    run = make_run(tmp_path / "r")
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first
    text = first.decode()
    assert "default-src 'none'" in text and "script-src 'sha256-" in text
    assert not re.search(r'(src|href)="(?!#)', text)


def test_stamps_are_on_every_output(tmp_path):
    runs = [make_run(tmp_path / "a", "grpo"), make_run(tmp_path / "b", stamp="only 20 problems (--limit)")]
    page = write_report(runs[1])
    for path in (page, page.with_suffix(".md")):
        assert re.search(r"Not a result[.:].*only 20 problems", path.read_text())
    comparison = compare([load_result(r) for r in runs])
    for suffix in (".html", ".md", ".tex", ".txt"):
        path = write_comparison(runs, comparison, tmp_path / "out" / f"cmp{suffix}")
        assert re.search(r"(?i)not a result[.:].*p2o: only 20 problems", path.read_text())


def test_comparison_page_holds_every_cell_of_the_table(tmp_path):
    runs = [make_run(tmp_path / "a", "grpo"), make_run(tmp_path / "b"), make_run(tmp_path / "c", seeds=(7,))]
    comparison = compare([load_result(r) for r in runs])
    page = write_comparison(runs, comparison, tmp_path / "v1.2.html")
    assert write_comparison(runs, comparison, tmp_path / "v1.2", "csv").read_text() == to_csv(comparison)
    assert json.loads(write_comparison(runs, comparison, tmp_path / "c.json").read_text())["baseline"] == "grpo"
    with pytest.raises(UsageError, match="--format"):
        write_comparison(runs, comparison, tmp_path / "v1.2")
    text = page.read_text()
    for table in tables(comparison):
        for row in table.rows:
            for cell in row:
                assert cell in text
    assert text.count("<svg") == 6  # differences, seeds, three robust views, reward
    assert str(tmp_path) not in text
    assert text.count('<tr class="soft">') == 2 * 3 + 3, "one seed in two measures of three tables; fewer than three in a view"


@pytest.mark.parametrize("suffix", OUTPUT_FORMATS.values())
def test_names_in_a_comparison_are_hostile_too(tmp_path, suffix):
    runs = [make_run(tmp_path / "a", "grpo"), make_run(tmp_path / "b", seeds=(0, 1, 2))]
    results = [load_result(r) for r in runs]
    method = f"=cmd|{HOSTILE}\\input{{x}}\n\u2028% \\end{{table}}"
    results[1] = replace(results[1], not_a_result=HOSTILE, method=method)
    for r in results:
        r.suites["tb-long"] = replace(r.suites["tb-long"], title=HOSTILE)
    text = write_comparison(runs, compare(results), tmp_path / f"out{suffix}").read_text()
    assert not re.search("[\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", text)
    if suffix == ".html":
        assert "<script" not in text and "<img" not in text
    if suffix == ".md":
        assert not re.search(r"(?<!\\)<(script|img|/)", text) and not re.search(r"(?<!\\)`", text)
    if suffix == ".tex":
        assert "\\input{" not in text and text.count("\\end{table}") == 5
        for line in text.split("\n"):
            assert line.startswith("%") or not re.search(r"(?<!\\)[%#]", line.replace("\\\\", ""))
    if suffix == ".csv":
        assert any(row[1].startswith("'=cmd") for row in csv.reader(text.splitlines()))
    if suffix == ".json":
        assert json.loads(text)["arms"][1]["method"] == results[1].method, "data, as it is"


def test_an_unfinished_run_has_no_report(tmp_path):
    run = make_run(tmp_path / "r")
    (run / "result.json").unlink()
    with pytest.raises(HarnessError, match="--resume"):
        write_report(run)


def test_plots_are_well_formed_and_keep_every_seed():
    svg = dots([("a <b> $x", [Mark("arm & $y", [10.0, 20.0, 30.0], 0, 20.0)])], "score")
    root = ET.fromstring(svg)
    assert "width" not in root.attrib and "viewBox" in root.attrib
    assert svg.count("<use") >= 3
    assert thin([1.0, 2.0, 3.0, 4.0, 5.0], most=2) == [2.0, 4.5]
    assert thin([]) == []
