"""What a page and the tables of a board are made of, part by part."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from markupsafe import escape
from msgspec import structs

from harness.core.errors import HarnessError, MissingError, UsageError
from harness.leaderboard import build, groups, page
from harness.leaderboard import entries as filed
from harness.leaderboard.ancestry import template_pools as arm_pools
from harness.leaderboard.arms import Links
from harness.report import ancestry, plots
from harness.report.comparison import budget_table, protocol_table, scores_table, several_tables, tables
from harness.report.pages import overview
from harness.report.run import render_report
from harness.report.standings import answer, cost_picture, picture
from harness.runs.environment import Code
from harness.runs.filed import Curve, Rules, read_manifest
from harness.runs.logs import Template, TemplateRow
from support.boards import PROBLEMS
from support.results import sample


@pytest.fixture(scope="session")
def grouped(entries):
    [one] = groups.group(entries)
    return one


# ---------------------------------------------------------------------- sets of comparable runs


def test_runs_are_grouped_by_what_can_be_compared_best_first(entries):
    p2o, grpo = entries
    other = replace(p2o, result=structs.replace(p2o.result, model="another", run="z"))
    found = groups.group([other, grpo, p2o])
    assert [[e.result.run for e in own] for _, own in found] == [[p2o.result.run, grpo.result.run], ["z"]]
    assert groups.titles(found)[0].startswith("2 runs of model testbed, trained on testbed; suites tb-long")
    assert groups.titles(found)[1].startswith("1 run of model another, trained on testbed; suites tb-long")
    again = replace(p2o, result=structs.replace(p2o.result, run="a"))
    [(_, own)] = groups.group([p2o, again])
    assert [e.result.run for e in own] == ["a", p2o.result.run], "equal scores by name"


def test_the_margin_and_the_threshold_reach_the_comparison(entries):
    """A seed of the testbed solves it at half, as its training set says."""
    [(c, _)] = groups.group(entries, 4.0)
    assert c.margin == 0.04 and groups.group(entries)[0][0].margin == 0.01
    assert [arm.scores["macro:ood"].solved.count for arm in c.arms] == [2, 0]
    assert [groups.group([e for e in entries[:n]])[0][0].arms[0].contrasts == {} for n in (1, 2)] == [True, False]
    assert c.arms[0].scores["tb-long"].low is not None, "its questions are there"
    open_world = []
    for e in entries:
        spec = json.loads(json.dumps(e.result.spec))
        spec["testbed"]["world"] = "open"
        open_world.append(replace(e, result=structs.replace(e.result, spec=spec)))
    [(c, _)] = groups.group(open_world)
    assert [arm.scores["macro:ood"].solved for arm in c.arms] == [None, None], "that threshold is of the latent world"


def test_a_title_says_no_more_than_there_is(entries):
    [own] = groups.group(entries)
    assert groups.titles([own]) == ["2 runs of model testbed, trained on testbed; suites tb-long"]
    c = own[0]
    suites = [m for m in c.measures if m.protocol]
    several = replace(
        c, measures=[replace(suites[0], key=key) for key in ("b", "a")] + [m for m in c.measures if not m.protocol]
    )
    assert groups._what(replace(several, arms=c.arms[:1])) == "1 run of model testbed, trained on testbed; suites b, a"


def test_titles_name_what_differs(entries):
    p2o, grpo = entries
    spec = json.loads(json.dumps(p2o.result.spec))
    spec["model"]["revision"] = "b"
    other = replace(p2o, result=structs.replace(p2o.result, spec=spec, run="z"))
    found = groups.titles(groups.group([p2o, grpo, other]))
    assert [re.sub(r"^[^;]*; ", "", t) for t in found] == [
        "suites tb-long; model.revision=null",
        "suites tb-long; model.revision=b",
    ]


def test_runs_are_ranked_by_ood_then_id():
    def of(id_, ood):
        return SimpleNamespace(macro=SimpleNamespace(id=id_, ood=ood))

    found = [groups._rank(of(*x)) for x in ((0.9, 0.2), (0.9, None), (None, None), (0.5, 0.0))]
    assert found == [0.2, 0.9, 0.0, 0.0]


# ---------------------------------------------------------------------- templates and their descent


def template(candidate, parent=None, selected=False, seed=0, epoch=0, text=None, score=None):
    row = TemplateRow(
        seed=seed,
        epoch=epoch,
        template=f"t{candidate}" if text is None else text,
        selected=selected,
        mean_score=score,
        candidate=candidate,
        parent=parent,
    )
    return Template(row, {})


def pools(grouped, one, other=(), arms=2):
    c, own = grouped
    return arm_pools(c, [replace(e, templates=list(t)) for e, t in zip(own, (one, other), strict=True)], arms)


def test_pools_of_templates(grouped):
    label = grouped[0].arms[0].label
    rows = [
        template(0),
        template(1, 0, True, score=0.25),
        template(2, 0),
        template(0, seed=1, epoch=-1, selected=True, text=""),
        template(5, seed=1, epoch=2, selected=True),
    ]

    def node(number, score="unscored", selected=True, children=(), text=None):
        shown = {"text": text or f"t{number}", "number": number, "score": score, "gain": "", "selected": selected}
        return {**shown, "children": list(children)}

    assert pools(grouped, rows) == [
        {
            "arm": label,
            "pools": [
                {
                    "title": "seed 0, after epoch 1: 1 selected of 3",
                    "roots": [node(0, selected=False, children=[node(1, "25.0")])],
                },
                {
                    "title": "seed 1, before training: 1 selected of 1",
                    "roots": [node(0, text="(the empty template)")],
                },
                {
                    "title": "seed 1, after epoch 3: 1 selected of 1",
                    "roots": [node(5)],
                },
            ],
            "left": "",
        }
    ]
    assert [p["arm"] for p in pools(grouped, [], rows)] == [grouped[0].arms[1].label]


def test_pools_stop_where_the_page_is_full(grouped):
    def pool(seed, n):
        return [template(i, selected=True, seed=seed) for i in range(n)]

    [full] = pools(grouped, [*pool(0, 150), *pool(1, 50)])
    assert [p["title"] for p in full["pools"]] == [
        "seed 0, after epoch 1: 150 selected of 150",
        "seed 1, after epoch 1: 50 selected of 50",
    ]
    [full] = pools(grouped, [*pool(2, 1), *pool(0, 150), *pool(1, 51)])
    assert [p["title"][:6] for p in full["pools"]] == ["seed 0"] and full["left"] == "templates.jsonl has 2 more pools."
    [full] = pools(grouped, pool(0, 201))
    assert full["pools"] == [] and full["left"] == "templates.jsonl has 1 more pools."


def test_long_templates_are_cut(grouped):
    [[pool]] = [x["pools"] for x in pools(grouped, [template(0, selected=True, text="y" * 2000)])]
    assert 700 < len(pool["roots"][0]["text"]) < 900


def test_ancestors_stand_before_their_descendants():
    def of(*rows):
        return [(r.candidate, at) for r, at in ancestry.ancestry([template(*x).row for x in rows])]

    assert of((0,), (1, 0, True), (2, 1, True)) == [(0, None), (1, 0), (2, 1)]
    assert of((2, 1, True), (1, 0, True), (0,)) == [(0, None), (1, 0), (2, 1)], "each once"
    assert of((None, None, True), (None, 3, True), (3,)) == [(None, None), (3, None), (None, 1)]
    assert of((0, 1, True), (1, 2), (2, 0)) == [(2, None), (1, 0), (0, 1)], "a circle is cut above its first"
    assert of((4, 4, True)) == [(4, None)]
    family = [
        (template(0).row, None),
        (template(1).row, 0),
        (template(2).row, 0),
        (template(3).row, None),
        (template(4).row, 2),
    ]
    one, other = ancestry.trees(family)
    assert [c["text"] for c in one["children"]] == ["t1", "t2"] and other["children"] == []
    assert [c["text"] for c in one["children"][1]["children"]] == ["t4"]


# ---------------------------------------------------------------------- tables


def test_the_table_of_runs(grouped):
    c, own = grouped
    first = replace(
        own[0], code=Code("a1" * 20, True), started="2026-01-02T03:04:05", evidence="reproduced", again="seed 0: again"
    )
    first = replace(first, result=structs.replace(first.result, teacher="big", spec_hash="0123456789abcdef"))
    second = replace(own[1], code=None, started=None, evidence=None)
    table = page.runs_table(c, [first, second])
    assert table.title == "Runs"
    assert table.header == ("arm", "evidence", "run again", "run", "recipe", "seeds", "teacher", "code", "started", "spec")
    assert table.rows[0] == (
        "p2o",
        "reproduced",
        "seed 0: again",
        first.folder.name,
        "testbed",
        "0, 1, 2",
        "big",
        "a1a1a1a1a1a1 and local changes",
        "2026-01-02",
        "0123456789ab",
    )
    assert table.rows[1][1:3] == ("not filed", "") and table.rows[1][6:9] == ("", "unknown", "")
    assert page.runs_table(c, [replace(first, code=Code("a1" * 20, False)), second]).rows[0][7] == "a1a1a1a1a1a1"


def test_the_table_of_a_suite(grouped):
    c, own = grouped
    table = page.suite_table(c, own, "tb-long")
    assert table.title == "tb-long"
    assert table.header == (
        "arm",
        "score",
        "pass@2",
        "tokens per sample",
        "truncated",
        "unparsed",
        "grader faults",
        "seeds",
    )
    assert table.rows == [
        ("p2o", "50.0", "58.3", "4", "0.0", "0.0", "0", "0: 37.5, 1: 62.5, 2: 50.0"),
        ("grpo", "25.0", "33.3", "4", "0.0", "0.0", "0", "0: 12.5, 1: 25.0, 2: 37.5"),
    ]
    with_more = structs.replace(
        own[0].result.suites["tb-long"],
        parity_avg=0.25,
        greedy=0.75,
        pass_at={1: 0.5, 4: 0.125},
        grader_faults=3,
        unparsed=0.1,
        truncated=0.2,
        generated_tokens=960 * 1500,
    )
    more = replace(own[0], result=structs.replace(own[0].result, suites={"tb-long": with_more}))
    table = page.suite_table(c, [more, own[1]], "tb-long")
    assert table.header == (
        "arm",
        "score",
        "pass@2",
        "pass@4",
        "tokens per sample",
        "truncated",
        "unparsed",
        "grader faults",
        "parity score",
        "greedy",
        "seeds",
    )
    assert table.rows[0][1:-1] == ("50.0", "", "12.5", "1k", "20.0", "10.0", "3", "25.0", "75.0")
    assert table.rows[1][8:10] == ("", "") and table.align == "l" + "r" * 9 + "l"


def test_the_header_of_every_column_that_only_some_suites_have(grouped):
    c, own = grouped
    for field, name in (("parity_avg", "parity score"), ("disagreement", "graders differ"), ("greedy", "greedy")):
        suite = structs.replace(own[1].result.suites["tb-long"], **{field: 0.125})
        one = replace(own[1], result=structs.replace(own[1].result, suites={"tb-long": suite}))
        table = page.suite_table(c, [own[0], one], "tb-long")
        assert table.header[-3:] == ("grader faults", name, "seeds") and table.align == "l" + "r" * 7 + "l"
        assert [row[-2] for row in table.rows] == ["", "12.5"]


def test_the_table_of_pilots(entries):
    macro = SimpleNamespace(id=0.25, ood=None)
    few = [
        replace(e, result=SimpleNamespace(method=e.result.method, seeds=(0, 4), macro=macro, not_a_result=why))
        for e, why in zip(entries, (None, "a rehearsal"), strict=True)
    ]
    table = page.pilots_table(few, 5)
    assert table.title == "Pilots" and table.header == ("arm", "evidence", "run", "seeds", "ID", "OOD", "not a result")
    rows = {e.result.method: (e.result.method, "recomputed", e.folder.name, "0, 4", "25.0", "") for e in few}
    assert table.rows == [(*rows["grpo"], "a rehearsal"), (*rows["p2o"], "")], "by name of the folder"
    assert table.notes == (
        "Runs of fewer than the 5 seeds that this board asks for; they enter no comparison, tie or interval.",
    )
    assert page.pilots_table([replace(few[0], evidence=None)], 3).rows[0][1] == ""


def test_how_many_samples_a_page_shows():
    assert [page.per_suite(*x) for x in ((1, 1), (50, 1), (51, 1), (10, 10), (100, 4), (200, 4), (0, 0))] == [
        8,
        8,
        7,
        4,
        1,
        1,
        8,
    ]


# ---------------------------------------------------------------------- the page


def words_of(html, tag):
    return [re.sub(r"<[^>]+>", "", x).strip() for x in re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", html, re.DOTALL)]


def test_all_parts_of_a_page(entries):
    p2o, grpo = entries
    other = replace(p2o, result=structs.replace(p2o.result, model="another", run="z", not_a_result="it is a trial"))
    found = groups.group([p2o, grpo, other])
    html = page.page("A <title>", "Kind", found, notes=("first & note", "second"))
    assert words_of(html, "title") == ["A &lt;title&gt;"] and words_of(html, "h1") == ["A &lt;title&gt;"]
    assert "Kind" in html and "first &amp; note" in html and "second" in html
    assert [x for x in words_of(html, "p") if x in groups.titles(found)] == groups.titles(found)
    assert "it is a trial" in html and html.count("it is a trial") == page.page("t", "k", found[1:]).count("it is a trial")
    lone = page.page("t", "k", found[:1])
    c, own = found[0]
    parts = [scores_table(c), *several_tables(c), page.suite_table(c, own, "tb-long"), budget_table(c), protocol_table(c)]
    for table in (*parts, page.runs_table(c, own)):
        first = "".join(re.findall(r"<td[^>]*>(.*?)</td>", lone, re.DOTALL))
        assert f'aria-label="{table.title}"' in lone or table.title in lone, table.title
        assert all(escape(cell) in first for cell in table.rows[0]), table.title
    summaries = words_of(lone, "summary")
    parts = ["Every measure as a picture", "Learning curves", "Suites", "All tables: scores, tests, budgets, runs"]
    assert [x for x in summaries if x in (*parts, "Templates", "Samples")] == [*parts, "Templates", "Samples"]
    at = summaries.index("Templates")
    assert summaries[at + 1 : at + 3] == ["p2o", "seed 0, after epoch 1: 1 selected of 4"]
    assert summaries[3] == next(m.title for m in c.measures if m.key == "tb-long") and "macro" not in "".join(summaries)
    pictures = [p["title"] for p in (picture(c), *cost_picture(c), *overview(c), *page._curves(own))]
    assert len(pictures) >= 4 and all(escape(title) in lone for title in pictures)
    assert all(escape(text) in lone for text in answer(c)) and len(answer(c)) == 2
    bare = page.page("t", "k", [(c, [replace(e, picks={}, curves={}, templates=[]) for e in own])])
    assert not {"Learning curves", "Templates", "Samples"} & set(words_of(bare, "summary"))
    assert plots.colour(0) in lone and plots.colour(1) in lone
    asked = page.page("t", "k", found, ask="Which <one>?", links=Links(home="../up.html", runs=True))
    assert "Which &lt;one&gt;?" in asked and '<a href="../up.html">' in asked
    assert f'href="{own[0].folder.name}/manifest.json"' in asked
    assert "one&gt;?" not in html and "up.html" not in html and "manifest.json" not in html
    data = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)[1]
    samples = json.loads(data)
    assert [len(own) for own in samples] == [6, 3] and {s["arm"] for s in samples[0]} == {"p2o", "grpo"}
    script = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in html
    assert 'aria-label="Pilots"' not in html and 'aria-label="Pilots"' in page.page(
        "t", "k", found, page.pilots_table([p2o], 5)
    )


def test_the_bytes_of_samples_are_shared_by_all_of_a_page(grouped, monkeypatch):
    c, own = grouped
    asked = []
    monkeypatch.setattr(page, "_samples", lambda c, entries, most: asked.append(most) or [])
    page.page("t", "k", [(c, own)])
    page.page("t", "k", [(c, [replace(e, picks={}) for e in own])])
    page.page("t", "k", [(c, own), (c, own)])
    assert asked == [1_200_000 // 6, 1_200_000, *[1_200_000 // 12] * 2]


def test_where_a_page_is_written_and_of_what(two_runs, tmp_path):
    root = tmp_path / "study"
    runs = [shutil.copytree(two_runs[0].parents[3] / name, root / name) for name in ("p2o", "grpo")]

    def refused(error, words, *args):
        with pytest.raises(error) as e:
            page.write_page(*args)
        assert str(e.value) == words

    (tmp_path / "empty").mkdir()
    (tmp_path / "bare").mkdir()
    refused(MissingError, f"no finished run in {tmp_path / 'empty'}", [tmp_path / "empty"], None)
    both = [tmp_path / "empty", root, tmp_path / "bare"]
    refused(MissingError, f"no finished run in {both[0]}, {both[2]}", both, tmp_path / "x.html")
    refused(UsageError, "there are several runs: name the page with --out", runs, None)
    refused(UsageError, "filed runs stay as they are: name the page with --out", [two_runs[0]], None)
    refused(UsageError, "filed runs stay as they are: name the page with --out", [two_runs[0].parent], None)
    assert page.write_page(runs[:1], None) == runs[0] / "report.html"
    assert (runs[0] / "report.html").read_text() == render_report(runs[0])[0]
    deep = tmp_path / "a" / "b" / "one.html"
    assert page.write_page([runs[0], runs[0]], deep) == deep, "a run that is named twice is one"
    assert deep.read_text() == render_report(runs[0])[0]
    assert page.write_page([root], None) == root / "report.html"
    of_root = page.page("study", "Study", groups.group([filed.load_run(r, 8) for r in sorted(runs)]))
    assert (root / "report.html").read_text() == of_root
    page.write_page([root, *runs], deep)
    assert deep.read_text() == of_root.replace(">study<", ">Runs<"), "once each, under another name"
    page.write_page(runs, tmp_path / "two.html")
    in_turn = page.page("Runs", "Study", groups.group([filed.load_run(r, 8) for r in runs]))
    assert (tmp_path / "two.html").read_text() == in_turn
    board = shutil.copytree(two_runs[0].parent, tmp_path / "board")
    (board / "rules.json").write_text('{"schema": 1, "margin": 7, "why": "so"}')
    page.write_page([board], tmp_path / "board.html")
    own = [filed.load_filed(p, 8) for p in sorted(board.iterdir()) if p.is_dir()]
    assert (tmp_path / "board.html").read_text() == page.page("board", "Study", groups.group(own, 7.0))
    assert page.write_page([two_runs[0]], tmp_path / "filed.html").read_text() == page.page(
        two_runs[0].name, "Study", groups.group([filed.load_filed(two_runs[0], 8)])
    )


# ---------------------------------------------------------------------- samples


def shown(grouped, most=4000, **own):
    c, (first, _) = grouped
    row = filed.decode_filed(filed.sample_lines(filed.canonical([sample(**own)], (own.get("seed", 0),), True)), None)
    return page._samples(c, [replace(first, picks={"tb-long": row}), replace(first, picks={})], most)


def test_a_sample_on_the_page(grouped):
    own = {"problem": "p1", "prompt": "what?", "completion": "so\u202e 1", "answer": "1", "gold": "2", "seed": 4}
    [found] = shown(grouped, **own)
    assert found == {
        "arm": "p2o",
        "suite": "tb-long",
        "verdict": "wrong",
        "facts": "wrong, 5 tokens, seed 4",
        "problem": "p1",
        "completion": "so<U+202E> 1",
        "prompt": "what?",
        "answer": "1",
        "gold": "2",
    }
    [found] = shown(grouped, **own | {"score": 1.0, "answer": None, "truncated": True, "status": "unparsed", "parity": 0.0})
    assert "answer" not in found and found["verdict"] == "right"
    assert found["facts"] == "right, 5 tokens, truncated, grading unparsed, the graders differ, seed 4"
    [found] = shown(grouped, **own | {"parity": 0.0})
    assert found["facts"] == "wrong, 5 tokens, seed 4", "both say wrong"


def test_samples_of_a_page_have_their_bytes(grouped):
    long = {"problem": "p" * 9000, "prompt": "q" * 9000, "completion": "c" * 9000, "answer": "a" * 9000, "gold": "g" * 9000}
    [found] = shown(grouped, most=4000, **long)
    sizes = {key: len(found[key]) for key in long}
    assert all(abs(sizes[key] - most) < 60 for key, most in (("completion", 2000), ("prompt", 2000), ("problem", 500)))
    assert all(abs(sizes[key] - 500) < 60 for key in ("answer", "gold"))


def test_texts_are_cut_by_what_they_take_in_the_page():
    assert page._fit("abc", 5) == "abc" and page._fit("abcd", 5) != "abcd"  # two more are the quotes
    assert page._fit("a\x07", 100) == "a<U+0007>"
    fitted = page._fit("<" * 1000, 600)
    assert len(page._escaped(fitted)) < 800 and fitted.startswith("<<<<")
    assert page._escaped("</a>&\u2028\u2029") == '"\\u003c/a\\u003e\\u0026\\u2028\\u2029"' and page._escaped("é") == '"é"'
    assert str(page.data_block([{"a": "<"}])) == '[{"a": "\\u003c"}]'


def test_samples_are_sorted_by_suite_and_problem(grouped):
    c, (one, two) = grouped
    found = page._samples(c, [one, two], 4000)
    assert len(found) == 6 and [s["problem"] for s in found] == sorted(s["problem"] for s in found)
    assert [s["arm"] for s in found] == ["p2o", "grpo"] * 3


# ---------------------------------------------------------------------- pictures


def test_learning_curves_of_a_page(entries, monkeypatch):
    drawn = []
    monkeypatch.setattr(page.plots, "curves", lambda lines, unit: drawn.append((lines, unit)) or "<svg>")
    keys = list(page.CURVES)
    assert "reward" in keys and len(keys) > page.PANELS
    own = {key: [Curve(0, "batch", [1.0], [i / 9]), Curve(1, "batch", [], [])] for i, key in enumerate(keys)}
    found = page._curves([replace(entries[0], curves={}), replace(entries[1], curves=own)])
    assert [f["title"] for f in found] == [page.CURVES[key] for key in keys[: page.PANELS]] and found[0]["svg"] == "<svg>"
    assert [unit for _, unit in drawn] == [key == "reward" for key in keys[: page.PANELS]]
    assert [(line.x, line.y, line.series) for line in drawn[1][0]] == [([1.0], [1 / 9], 1)]
    assert page._curves([replace(entries[0], curves={})]) == []


# ---------------------------------------------------------------------- entries


def test_a_filed_run_as_a_page_needs_it(two_runs, entries):
    first = filed.load_filed(two_runs[0], 3)
    m = read_manifest(two_runs[0])
    assert (first.folder, first.code, first.started, first.evidence) == (two_runs[0], m.code, m.started, "recomputed")
    assert first.result.run == m.run and first.again == "" and set(first.curves) == {"reward"}
    q = first.questions["tb-long"]
    assert (len(q.ids), q.k, q.seeds) == (160, 2, (0, 1, 2))
    rows = first.picks["tb-long"]
    assert len(rows) == 3 and {(r.seed, r.index) for r in rows} == {(0, 0)}
    wanted = sorted(p.id for p in sorted(PROBLEMS, key=lambda p: hashlib.sha256(p.id.encode()).hexdigest())[:3])
    assert [r.problem for r in rows] == wanted == [r.problem for r in entries[1].picks["tb-long"]]
    assert filed.load_filed(two_runs[0]).picks == {"tb-long": []}


def test_a_run_directory_is_the_same_entry(two_runs, entries):
    run = two_runs[0].parents[3] / "p2o"
    own = filed.load_run(run, 3)
    assert own.evidence is None and own.folder == run and own.curves == entries[0].curves
    assert [r.problem for r in own.picks["tb-long"]] == [r.problem for r in entries[0].picks["tb-long"]]
    asked = {p.id: p.text for p in PROBLEMS}
    assert all(r.prompt == asked[r.problem] for r in own.picks["tb-long"]), "with prompts, which are not filed here"
    assert own.code == entries[0].code and own.started == entries[0].started and len(own.templates) == 12
    assert own.questions["tb-long"].ids == entries[0].questions["tb-long"].ids


def test_questions_and_shown_samples_are_read_from_the_named_file(two_runs, monkeypatch):
    """Of a filed run and of a run directory; without samples there are none."""
    folder, run = two_runs[0], two_runs[0].parents[3] / "p2o"
    asked = []
    real = filed.read_questions
    monkeypatch.setattr(filed, "read_questions", lambda *own: asked.append(own) or real(*own))
    monkeypatch.setattr(filed, "_pick", lambda *own: asked.append(own) or ["row"])
    m = read_manifest(folder)
    data = filed.read_packed(folder, m, "tb-long")
    at = folder / "samples" / "tb-long.jsonl.zst"
    first = filed.load_filed(folder, 5)
    q = first.questions["tb-long"]
    assert asked == [(data, at, first.result.suites["tb-long"], (0, 1, 2)), (data, q, 5, at)]
    assert first.picks == {"tb-long": ["row"]} and len(first.templates) == 12
    asked.clear()
    own = filed.load_run(run, 5)
    at = run / "samples" / "tb-long.jsonl"
    rows = filed.canonical(filed.read_samples(at), (0, 1, 2), True)
    lines = filed.sample_lines(rows)
    assert asked == [(lines, at, own.result.suites["tb-long"], own.result.seeds), (lines, own.questions["tb-long"], 5, at)]
    asked.clear()
    assert filed.load_run(run).picks == filed.load_filed(folder).picks and {x[2] for x in asked[1::2]} == {0}
    bare = structs.replace(m, files={k: f for k, f in m.files.items() if not k.startswith("samples/")})
    monkeypatch.setattr(filed, "read_manifest", lambda at: bare)
    none = filed.load_filed(folder, 5)
    assert (none.questions, none.picks, none.evidence) == ({}, {}, "self-reported")


def test_a_run_directory_without_samples_or_environment(two_runs, tmp_path):
    run = shutil.copytree(two_runs[0].parents[3] / "p2o", tmp_path / "run")
    shutil.rmtree(run / "samples")
    (run / "env.json").unlink()
    own = filed.load_run(run, 3)
    assert (own.questions, own.picks, own.code, own.started) == ({}, {}, None, None) and own.result.method == "p2o"


def test_a_shown_sample_that_cannot_be_read_is_named_with_its_file():
    q = SimpleNamespace(ids=["a", "b"], k=2)
    with pytest.raises(HarnessError, match="^board/samples/s cannot be read: "):
        filed._pick(b"{}\n" * 4, q, 1, Path("board/samples/s"))
    assert filed._pick(b"{}\n" * 4, q, 0, Path("board/samples/s")) == []


def test_sample_lines_are_ascii_one_a_row(two_runs, entries):
    rows = [structs.replace(r, completion="\u4e2d \u202e\n") for r in entries[0].picks["tb-long"]]
    data = filed.sample_lines(rows)
    assert data.isascii() and len(data.splitlines()) == 3 and data.endswith(b"}\n")
    assert filed.decode_filed(data, Path("x")) == rows


def test_curves_are_thinned_by_seed_and_kind(two_runs):
    from harness.runs.logs import MetricRow, Metrics

    def row(seed, kind, rollouts, **values):
        return Metrics(MetricRow(seed=seed, kind=kind, epoch=0, rollouts=rollouts), values)

    rows = [row(1, "batch", 2, reward=1 / 3, other=1.0), row(0, "batch", 1, reward=0.5), row(0, "epoch", 1, reward=1.0)]
    rows += [row(1, "batch", 4, reward=1.0), row(0, "batch", 3, branch_x=2.0)]
    assert filed.curves_of(rows) == {
        "branch_x": [Curve(0, "batch", [3.0], [2.0])],
        "reward": [
            Curve(0, "batch", [1.0], [0.5]),
            Curve(0, "epoch", [1.0], [1.0]),
            Curve(1, "batch", [2.0, 4.0], [0.333333, 1.0]),
        ],
    }
    [long] = filed.curves_of([row(0, "batch", i, reward=0.5) for i in range(1000)])["reward"]
    assert 30 <= len(long.x) == len(long.y) <= filed.POINTS


def test_the_boards_below_a_folder(tmp_path, monkeypatch):
    def run(*parts):
        folder = tmp_path.joinpath(*parts)
        folder.mkdir(parents=True)
        (folder / "manifest.json").touch()
        return folder

    with pytest.raises(MissingError) as e:
        filed.boards(tmp_path)
    assert str(e.value) == f"no filed run below {tmp_path}: `harness leaderboard add RUN --board {tmp_path}` files one"
    one, two, other = run("s", "m", "b"), run("s", "m", "a"), run("s", "n", "c")
    run("s", "m", ".adding-x")
    run("s", "reproductions", "d")
    assert filed.boards(tmp_path) == {one.parent: [two, one], other.parent: [other]}
    assert filed.boards(one.parent) == {one.parent: [two, one]}
    with pytest.raises(UsageError) as e:
        filed.boards(tmp_path / "s")
    assert str(e.value).startswith(f"{tmp_path / 's'} holds the boards of one training set; name one of them (")
    assert f"{one.parent}, {other.parent}" in str(e.value) and str(e.value).endswith(f"or all: {tmp_path}")
    monkeypatch.chdir(tmp_path / "s")
    with pytest.raises(UsageError, match=r"or all: \.\.$"):
        filed.boards(Path("."))
    assert filed.second_runs(one.parent) == []
    again = run("s", "m", "reproductions", "z"), run("s", "m", "reproductions", "y")
    run("s", "m", "reproductions", ".tmp")
    assert filed.second_runs(one.parent) == sorted(again)
    assert filed.boards(tmp_path) == {one.parent: [two, one], other.parent: [other]}, "second runs are no runs of the board"
    (tmp_path / "s" / "m" / "reproductions" / "file").touch()
    with pytest.raises(HarnessError, match="reproductions/file: is a link or no folder; a board holds its own files$"):
        filed.second_runs(one.parent)
    (tmp_path / "s" / "m" / "reproductions" / "file").unlink()
    (tmp_path / "s" / "m" / "reproductions" / "lost").symlink_to(tmp_path / "nowhere")
    with pytest.raises(HarnessError, match="reproductions/lost: is a link"):
        filed.second_runs(one.parent)
    (tmp_path / "t").symlink_to(tmp_path / "s")
    with pytest.raises(HarnessError) as e:
        filed.boards(tmp_path)
    assert str(e.value) == f"{tmp_path / 't'}: is a link; a board holds its own files"


# ---------------------------------------------------------------------- what is built


def test_the_first_difference_of_a_built_file_is_shown_with_its_surroundings(tmp_path):
    def said(a, b):
        with pytest.raises(HarnessError) as e:
            build._name_difference(tmp_path / "f", a, b)
        return str(e.value).removeprefix(f"{tmp_path / 'f'}, ")

    assert said("a\nbc", "a\nbd") == "line 2: published 'bc', its runs give 'bd'"
    assert said("a", "a\nb") == "line 2: published '', its runs give 'b'"
    assert said("ab", "a") == "line 1: published 'ab', its runs give 'a'"
    x = "0123456789" * 10
    assert (
        said(x + "A" + x, x + "B" + x)
        == f"line 1: published {(x[-20:] + 'A' + x[:39])!r}, its runs give {(x[-20:] + 'B' + x[:39])!r}"
    )
    assert said("\x1bX", "\x1bY") == "line 1: published '\\x1bX', its runs give '\\x1bY'"


def test_pictures_are_left_out_of_a_comparison():
    assert build._undrawn("a<svg x>\n1</svg>b<svg>2</svg>c") == "abc"


def test_names_of_files():
    assert [build._suffix(i) for i in (0, 1, 8)] == ["", "-2", "-9"]


def test_what_a_board_says_of_its_margin():
    own = "The smallest difference that matters on this board is 1 points. The harness's own margin, since the board has no "
    assert build.margin_line(Rules()) == own + "rule of its own."
    said = build.margin_line(Rules(margin=2.5, why=" It is *what* we ask. "))
    assert said == "The smallest difference that matters on this board is 2.5 points. It is *what* we ask."


def test_a_boards_tables_as_text(entries):
    p2o, grpo = entries
    other = replace(p2o, result=structs.replace(p2o.result, model="a|b", run="z", not_a_result="a *trial*"))
    found = groups.group([p2o, grpo, other])
    first, second = (what.replace("|", "\\|") for what in groups.titles(found))
    pilots = page.pilots_table([p2o], 5)
    text = build._markdown("A|B", found, pilots, "1 *point*.")
    assert text.startswith("# A\\|B\n\n1 \\*point\\*.\n\n## ") and text.endswith(f"{pilots.to_markdown()}\n{build.UNSEEN}\n")
    heads = re.findall("^## (.*)$", text, re.MULTILINE)
    assert [h for h in heads if " of model " in h] == [first, second]
    drawn = "![OOD macro average: every seed of every arm, and the mean]"
    assert re.findall(r"^!.*$", text, re.MULTILINE) == [f"{drawn}(scores.svg)", f"{drawn}(scores-2.svg)"]
    assert re.findall("^> .*$", text, re.MULTILINE) == ["> **Not a result.** p2o: a \\*trial\\*"]
    one = build._markdown("t", found[:1], None, "m")
    assert " of model " not in one and "Pilots" not in one and one.endswith(f"\n{build.UNSEEN}\n")
    c, own = found[0]
    for table in (page.runs_table(c, own), *tables(c)):
        assert f"\n{table.to_markdown()}" in one


def test_the_measure_of_a_boards_picture(grouped):
    c, _ = grouped
    keys = [m.key for m in c.measures]
    assert build.main_measure(c).key == "macro:ood" and keys[0] != "macro:ood" or keys == ["macro:ood", "tb-long"]
    own = [replace(m, role="id") if m.protocol is None else m for m in c.measures]
    assert build.main_measure(replace(c, measures=own)).role == "id"
    suites = [m for m in c.measures if m.protocol]
    assert build.main_measure(replace(c, measures=suites)) == suites[0]


def test_runs_of_a_board_share_what_they_must(two_runs):
    one, two = two_runs
    a, b = read_manifest(one), read_manifest(two)
    build._check_together({one: a, two: b})
    for key, value in (("training_set", "gsm8k"), ("model", "other")):
        with pytest.raises(HarnessError) as e:
            build._check_together({one: a, two: structs.replace(b, **{key: value})})
        assert str(e.value) == f"{two / 'manifest.json'}: {key} is {value!r}, that of the board 'testbed'"
    with pytest.raises(HarnessError) as e:
        build._check_together({one: a, two: structs.replace(b, problems_sha256="0")})
    said = f"problems_sha256 is '0', that of {one.name} {a.problems_sha256!r}, of the same training set"
    assert str(e.value) == f"{two / 'manifest.json'}: {said}"
    build._check_together({one: a, two: structs.replace(b, problems_sha256=None)})
    build._check_together({one: structs.replace(a, problems_sha256=None), two: structs.replace(b, problems_sha256="0")})
    spec = json.loads(json.dumps(b.spec))
    spec["train"]["limit"] = 5
    build._check_together({one: a, two: structs.replace(b, problems_sha256="0", spec=spec)})


def test_from_some_generation_on_all_are_siblings():
    [node] = ancestry.trees(ancestry.ancestry([template(i, i - 1 if i else None, True).row for i in range(ancestry.DEPTH + 4)]))
    texts = []
    while node["children"]:
        texts.append(node["text"])
        *_, node = parents = node["children"]
    assert texts == [f"t{i}" for i in range(ancestry.DEPTH)]
    assert [p["text"] for p in parents] == [f"t{ancestry.DEPTH + i}" for i in range(4)]
