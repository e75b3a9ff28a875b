"""Filed runs: what is filed is what the run was, and whatever is changed afterwards is found and named."""

import hashlib
import json
import os
import re
import shutil
import tracemalloc

import pytest

from harness.core.errors import HarnessError, MissingError, UsageError
from harness.leaderboard import build, submit
from harness.leaderboard.entries import load_filed
from harness.leaderboard.verify import verify_run
from harness.report.ancestry import DEPTH, ancestry, trees
from harness.runs.filed import read_manifest
from harness.runs.files import write_json
from harness.runs.logs import TemplateRow
from harness.runs.packing import compress, decompress
from harness.runs.result import load_result
from harness.stats.questions import load_questions
from support.boards import HOSTILE, id_of, make_run, reseal, sample_rows, tree
from support.command import harness

MACHINE = {"python": "3.11", "platform": "Linux x86_64", "cpus": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two runs `a` and `b`, and a built board of them; the folder of the first."""
    root = tmp_path_factory.mktemp("made")
    folder, new = submit.add(make_run(root / "a"), root / "boards")
    assert new
    submit.add(make_run(root / "b", "grpo", (1, 2, 3)), root / "boards")
    build.build(root / "boards")
    return folder.relative_to(root), root


@pytest.fixture
def filed(made, tmp_path):
    """A copy of it."""
    shutil.copytree(made[1], tmp_path, dirs_exist_ok=True)
    return tmp_path / made[0]


def test_a_filed_run_verifies_and_holds_no_paths_and_no_more_than_it_should(filed, capsys):
    root = filed.parents[2]
    code, out, err = harness(capsys, "leaderboard", "verify", root)
    assert code == 0, err
    assert "960 regraded samples" in out and "gold answers of tb-long match the suites" in out and "2 runs verified" in out
    m = json.loads((filed / "manifest.json").read_text())
    assert filed.relative_to(root).parts[:2] == ("testbed", "testbed") and filed.name == m["run"]
    assert (m["code"]["commit"], m["hardware"], m["seeds"]) == ("c" * 40, MACHINE, [0, 1, 2])
    assert "somebody" not in (filed / "manifest.json").read_text(), "commands hold paths"
    metrics = json.loads((filed / "metrics.json").read_text())
    assert metrics["suites"]["tb-long"]["per_seed"] == {"0": 3 / 8, "1": 5 / 8, "2": 4 / 8} and metrics["macro"]["ood"] == 0.5
    assert metrics["suites"]["tb-long"]["pass_at"] == {"1": 0.5, "2": 7 / 12}  # 2, 3 and 2 of 4 problems have a right one
    assert set(m["files"]) == {"metrics.json", "training.json", "templates.jsonl", "samples/tb-long.jsonl.zst"}


def test_filing_again_changes_nothing_and_other_content_is_refused(filed, tmp_path, capsys):
    before = tree(filed.parents[2])
    code, out, _ = harness(capsys, "leaderboard", "add", tmp_path / "a", "--board", filed.parents[2], "--json")
    assert code == 0 and json.loads(out) == {"folder": str(filed), "new": False}
    assert tree(filed.parents[2]) == before
    manifest = json.loads((filed / "manifest.json").read_text())
    (filed / "manifest.json").write_text(json.dumps({**manifest, "started": None}))
    before = tree(filed.parents[2])
    with pytest.raises(UsageError, match="with other content"):
        submit.add(tmp_path / "a", filed.parents[2])
    assert tree(filed.parents[2]) == before


def test_same_input_same_bytes_whatever_the_order(filed, tmp_path):
    for run in ("b", "a"):
        path = tmp_path / run / "samples" / "tb-long.jsonl"
        path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
        submit.add(tmp_path / run, tmp_path / "again")
    build.build(tmp_path / "again")
    assert tree(tmp_path / "again") == tree(filed.parents[2])


def test_what_is_no_result_is_refused_or_stamped(tmp_path, capsys):
    run = make_run(tmp_path / "r", stamp="seed 1 was stopped")
    code, _, err = harness(capsys, "leaderboard", "add", run, "--board", tmp_path / "b")
    assert code == 2 and "seed 1 was stopped" in err and not (tmp_path / "b").exists()
    assert harness(capsys, "leaderboard", "add", run, "--board", tmp_path / "b", "--allow-not-a-result")[0] == 0
    [folder] = build.build(tmp_path / "b")
    for name in ("README.md", "index.html"):
        assert re.search(r"Not a result[.:].*seed 1 was stopped", (folder / name).read_text())


def test_a_run_whose_scores_do_not_come_out_of_its_samples_is_not_filed(tmp_path):
    run = make_run(tmp_path / "r")
    result = json.loads((run / "result.json").read_text())
    for change, words in (
        (lambda s: s | {"pass_at": {"1": 0.5, "2": 0.75}}, "pass_at.2 is 0.75, its samples give 0.583"),
        (lambda s: s | {"per_seed": {"0": 0.5, "1": 0.5, "2": 0.5}}, "per_seed.0 is 0.5, its samples give 0.375"),
        (lambda s: s | {"generated_tokens": 1}, "generated_tokens is 1, its samples give 3840"),
    ):
        write_json(run / "result.json", {**result, "suites": {"tb-long": change(result["suites"]["tb-long"])}})
        with pytest.raises(HarnessError, match=words):
            submit.add(run, tmp_path / "b")
    write_json(run / "result.json", result)
    path = run / "samples" / "tb-long.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    first = next(r for r in rows if r["score"] == 1.0)
    first["completion"] = "ans no"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    with pytest.raises(
        HarnessError,
        match=f"problem {first['problem']}, seed 0, sample {first['index']}: score is 1.0, the graders here .* 0.0",
    ):
        submit.add(run, tmp_path / "b")
    path.unlink()
    with pytest.raises(HarnessError, match="only be filed with --numbers-only"):
        submit.add(run, tmp_path / "b")
    folder, _ = submit.add(run, tmp_path / "b", numbers_only=True)
    assert not (folder / "samples").exists()
    [built] = build.build(tmp_path / "b")
    assert [v.samples for v in build.verify(tmp_path / "b")] == [0] and "self-reported" in (built / "README.md").read_text()


def change_metrics(folder):
    path = folder / "metrics.json"
    path.write_text(path.read_text().replace("0.58333", "0.59333", 1))


def change_score(folder):
    rows = sample_rows(folder)
    next(r for r in rows if r["score"] == 0.0)["score"] = 1.0
    return rows


def change_completion(folder):
    rows = sample_rows(folder)
    next(r for r in rows if r["score"] == 1.0)["completion"] = "ans no"
    return rows


def change_gold(folder):
    rows = sample_rows(folder)
    rows[-1] |= {"gold": "no", "score": 1.0}
    return rows


FORGERIES = {  # what is changed, whether hashes are made to fit, and what verify says
    "a digit of a metric": (change_metrics, False, "metrics.json: sha256"),
    "a digit of a metric, resealed": (
        change_metrics,
        True,
        r"metrics.json: suites.tb-long.pass_at.2 is 0.59333.*, .* give 0.58333",
    ),
    "a score, resealed": (change_score, True, "score is 1.0, the graders here"),
    "a completion, resealed": (change_completion, True, "score is 1.0, the graders here"),
    "a gold answer and its score, resealed": (change_gold, True, "gold is 'no', the suite says"),
    "a sample left out, resealed": (lambda f: sample_rows(f)[:-1], True, "manifest.json: suites.tb-long is wrong"),
    "another in its place, resealed": (
        lambda f: [*sample_rows(f)[:-1], sample_rows(f)[-2]],
        True,
        "does not hold 2 samples of each of 160 problems for seed 2",
    ),
    "a sample twice, resealed": (lambda f: [*sample_rows(f), sample_rows(f)[-1]], True, "does not hold 2 samples"),
    "a template": (lambda f: (f / "templates.jsonl").write_text("{}\n"), False, "templates.jsonl: bytes"),
    "a curve": (lambda f: (f / "training.json").write_text("{}\n"), False, "training.json: bytes"),
    "a file less": (lambda f: (f / "templates.jsonl").unlink(), False, "templates.jsonl: is missing"),
    "a file more": (lambda f: (f / "samples" / "x").touch(), False, "x: is not in the manifest"),
    "a table": (
        lambda f: (f.parent / "README.md").write_text((f.parent / "README.md").read_text().replace("50.0", "50.1", 1)),
        False,
        "README.md, line .*50.1.* its runs give .*50.0",
    ),
    "a page": (
        lambda f: (f.parent / "index.html").write_text((f.parent / "index.html").read_text() + "<p>x"),
        False,
        "index.html, line",
    ),
    "the front page": (
        lambda f: (f.parents[2] / "index.html").write_text(
            (f.parents[2] / "index.html").read_text().replace("50.0", "50.1", 1)
        ),
        False,
        "boards/index.html, line .*50.1.* its runs give .*50.0",
    ),
    "no front page": (lambda f: (f.parents[2] / "index.html").unlink(), False, "boards/index.html is missing"),
    "a picture": (
        lambda f: (f.parent / "scores.svg").write_text((f.parent / "scores.svg").read_text().replace("p2o", "P2O")),
        False,
        "scores.svg, line",
    ),
    "a built file less": (lambda f: (f.parent / "scores.csv").unlink(), False, "scores.csv: is missing"),
    "a built file more": (lambda f: (f.parent / "scores-9.csv").touch(), False, "scores-9.csv: does not belong to this board"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forgeries_are_named(filed, name, capsys):
    change, sealed, words = FORGERIES[name]
    rows = change(filed)
    if sealed:
        reseal(filed, rows if isinstance(rows, list) else None)
    code, _, err = harness(capsys, "leaderboard", "verify", filed.parents[2])
    assert code == 1 and re.search(words, err), err


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("hardware", {}, "manifest.json: SHA-256 is"),
        ("started", "2020-01-01", "manifest.json: SHA-256 is"),
    ],
)
def test_a_manifest_that_is_not_the_built_one_is_named(filed, field, value, words):
    path = filed / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(HarnessError, match=words):
        build.verify(filed.parents[2])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["files"].update({"../../../x": {"bytes": 1, "sha256": ""}}), "no name for a filed file"),
        (lambda m: m["files"].update({"/etc/passwd": {"bytes": 1, "sha256": ""}}), "no name for a filed file"),
        (lambda m: m["files"].update({"samples/..": {"bytes": 1, "sha256": ""}}), "no name for a filed file"),
        (lambda m: m["suites"].update({"../x": m["suites"]["tb-long"]}), r"files is .*samples/../x"),
        (lambda m: m["suites"]["tb-long"].update(k=10**12), "suites.tb-long is wrong"),
        (lambda m: m["files"]["samples/tb-long.jsonl.zst"].update(content_bytes=1 << 40), "more than the"),
        (lambda m: m["files"].pop("samples/tb-long.jsonl.zst"), "run is"),
        (lambda m: m["spec"].update(lr=1), "spec_sha256 is"),
        (lambda m: m["ledgers"]["0"].update(rollouts=1), "ledger.rollouts is wrong"),
        (lambda m: m["ledgers"].pop("0"), "ledgers are of seeds"),
        (lambda m: m.update(schema=1), "manifest.json has schema version 1, this version of the harness reads version 3"),
        (lambda m: m.update(files=[]), "cannot be read"),
        (lambda m: m.update(evidence="retrained"), "cannot be read: .*evidence"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(filed, change, words):
    path = filed / "manifest.json"
    m = json.loads(path.read_text())
    change(m)
    if "samples/tb-long.jsonl.zst" in m["files"]:
        m["run"] = id_of(m)
    path.write_text(json.dumps(m))
    with pytest.raises(HarnessError, match=words):
        read_manifest(filed)


DEEP = "[" * 100_000
UNREADABLE = {  # by the fuzzers: the file, what becomes of its JSON (or its text), whether it is sealed, and what is said
    "a hash that steers a terminal": (
        "manifest.json",
        lambda m: m["files"]["samples/tb-long.jsonl.zst"].update(content_sha256="\x1b[2J\n"),
        True,
        r"the manifest says '\\x1b\[2J\\n'",
    ),
    "another, unsealed": (
        "manifest.json",
        lambda m: m["files"]["metrics.json"].update(sha256="\x1b[2J\n"),
        False,
        r"sha256 is .* the manifest says '\\x1b\[2J\\n'",
    ),
    "no size": (
        "manifest.json",
        lambda m: m["files"]["metrics.json"].pop("bytes"),
        False,
        "cannot be read: .*missing required field `bytes`",
    ),
    "a number beyond floats": (
        "manifest.json",
        lambda m: m["ledger"].update(rollouts=10**400),
        False,
        "manifest.json cannot be read: ",
    ),
    "hardware that is no mapping": ("manifest.json", lambda m: m.update(hardware=7), False, "cannot be read: .*hardware"),
    "a deep manifest": ("manifest.json", DEEP, False, "manifest.json cannot be read"),
    "deep metrics": ("metrics.json", DEEP, True, "metrics.json cannot be read"),
    "deep curves": ("training.json", DEEP, True, "training.json cannot be read"),
    "deep templates": ("templates.jsonl", DEEP, True, "cannot be read"),
    "a figure under a name with a newline": (
        "metrics.json",
        lambda m: m["macro"].update({"a\x1b\n\U0003134b": 1}),
        True,
        r"unknown field `a\\x1b\\n\\U0003134b`",
    ),
    "a figure beyond floats": (
        "metrics.json",
        lambda m: m["suites"]["tb-long"].update(avg=10**400),
        True,
        "metrics.json cannot be read: ",
    ),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_filed_run_is_refused_in_a_sentence(filed, name):
    file, change, sealed, words = UNREADABLE[name]
    text = change
    if not isinstance(change, str):
        tree = json.loads((filed / file).read_text())
        change(tree)
        text = json.dumps(tree)
    (filed / file).write_text(text)
    folder = reseal(filed) if sealed else filed
    with pytest.raises(HarnessError, match=words) as e:
        verify_run(folder)
        load_filed(folder)
    assert str(folder) in str(e.value) and str(e.value).isprintable()


@pytest.mark.parametrize(
    "metrics",
    [
        "{}",
        "[]",
        '{"suites": {}}',
        '{"suites": {"tb-long": 3}, "macro": 1}',
        '{"suites": {"tb-long": {}}, "macro": {}}',
    ],
)
def test_metrics_of_another_form_are_refused_where_a_filed_run_is_compared(filed, metrics):
    (filed / "metrics.json").write_text(metrics)
    with pytest.raises(HarnessError, match="has no schema version|cannot be read"):
        load_questions(load_result(filed))


@pytest.mark.parametrize("change", [lambda m: m.clear(), lambda m: m["suites"].clear(), lambda m: m.update(suites=[1])])
def test_reported_metrics_of_another_form_are_refused(tmp_path, change):
    folder, _ = submit.add(make_run(tmp_path / "a"), tmp_path / "b", numbers_only=True)
    build.build(tmp_path / "b")
    metrics = json.loads((folder / "metrics.json").read_text())
    change(metrics)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    folder = reseal(folder)
    with pytest.raises(HarnessError, match=f"{folder / 'metrics.json'} (has no schema version|cannot be read)"):
        verify_run(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: "[]", "index.json cannot be read"),
        (lambda text: DEEP, "index.json cannot be read"),
        (lambda text: text.replace(": 3", ": 1", 1), "index.json has schema version 1, .* reads version 3"),
        (lambda text: text.replace('"matplotlib": "', ' "matplotlib": "0.'), "index.json, line 3"),
        (lambda text: text.replace("matplotlib", "mutplotlib"), "index.json cannot be read"),
    ],
)
def test_an_index_of_another_form_is_refused(filed, change, words):
    """With other strokes than those here, an index was not looked at beyond its hashes."""
    path = filed.parent / "index.json"
    path.write_text(change(path.read_text()))
    with pytest.raises(HarnessError, match=words):
        build.verify(filed.parents[2])


def test_plots_of_another_version_are_not_compared(filed):
    path = filed.parent / "index.json"
    path.write_text(path.read_text().replace('"matplotlib": "', '"matplotlib": "0.'))
    assert build.verify(filed.parents[2])


def test_an_index_in_another_encoding_is_read_or_refused(filed):
    path = filed.parent / "index.json"
    path.write_text(path.read_text(), encoding="utf-16")
    with pytest.raises(HarnessError, match="index.json"):
        build.verify(filed.parents[2])


def test_links_are_not_followed(filed, tmp_path):
    (filed / "templates.jsonl").rename(tmp_path / "elsewhere")
    (filed / "templates.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HarnessError, match="templates.jsonl: is not a plain file"):
        verify_run(filed)


def test_no_more_is_unpacked_than_the_manifest_says(tmp_path):
    bomb = compress(b"\0" * 50_000_000)
    assert len(bomb) < 10_000
    with pytest.raises(HarnessError, match="does not unpack to the 1,000 bytes"):
        decompress(bomb, 1000, tmp_path / "x")
    assert decompress(compress(b"abc"), 3, tmp_path / "x") == b"abc"
    for bad in (b"abc", compress(b"abc")[:-1], compress(b"abc") + b"x"):
        with pytest.raises(HarnessError):
            decompress(bad, 3, tmp_path / "x")


def test_an_archive_takes_little_memory_and_time_whatever_it_claims(tmp_path):
    """As large as the manifest says, and yet refused: by its ratio, its size or its rows."""
    zeros, row = compress(b"\0" * (200 << 20)), b'{"problem":"a","seed":0,"index":0,"score":1,"parity":null,"greedy":false}\n'
    cases = (
        (zeros, 200 << 20, "more than are read"),
        (zeros, 4 << 30, "more than are read"),
        (compress(b"\n" * (100 << 20)), 100 << 20, "more than 2,000,000 rows"),
        (os.urandom(5 << 20), 4 << 30, "more than are read"),
    )
    tracemalloc.start()
    for data, size, said in cases:
        with pytest.raises(HarnessError, match=said):
            decompress(data, size, tmp_path / "x")
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()
    assert len(decompress(compress(row * 100_000), len(row) * 100_000, tmp_path / "x", 100_000)) == len(row) * 100_000
    with pytest.raises(HarnessError, match="holds 3 rows, the manifest says 4"):
        decompress(compress(row * 3), len(row) * 3, tmp_path / "x", 4)


def test_unverified_or_unbuilt_boards_say_what_to_do(tmp_path):
    with pytest.raises(MissingError, match="leaderboard add"):
        build.verify(tmp_path)
    submit.add(make_run(tmp_path / "a"), tmp_path / "b")
    with pytest.raises(HarnessError, match="leaderboard build"):
        build.verify(tmp_path / "b")


# ---------------------------------------------------------------------- the page


def test_nothing_a_model_wrote_gets_out_of_its_box(tmp_path):
    submit.add(make_run(tmp_path / "a", text=HOSTILE, template=HOSTILE), tmp_path / "b")
    submit.add(make_run(tmp_path / "c", "grpo", (1, 2, 2), spec={"backend": {"flags": {"note": HOSTILE}}}), tmp_path / "b")
    [folder] = build.build(tmp_path / "b")
    page = (folder / "index.html").read_text()
    assert len(re.findall("<script", page)) == 2 == len(re.findall("</script", page)), "the data block and ours"
    assert "<img" not in page and "<!--" not in page and not re.search("[\u0007\u202a-\u202e\u2066-\u2069]", page)
    block, script = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    [samples] = json.loads(block)
    shown = next(s for s in samples if s["arm"] == "p2o")
    assert shown["completion"].startswith("</script><script>window.hit=1") and "<U+202E>evil" in shown["completion"]
    import base64

    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    links = [link for link in re.findall(r'href="([^"]*)"', page) if not link.startswith("#")]
    assert (
        links
        and all((folder / link).is_file() for link in links)
        and not re.search(r"<[^<>]* src=", page)
        and not re.search(r"<[^>]*\son[a-z]+=", page.replace(block, ""))
    )
    assert build.verify(tmp_path / "b")


def test_the_page_holds_what_a_board_needs(filed):
    page = (filed.parent / "index.html").read_text()
    for words in (
        "these questions",
        "new questions",
        "ties",
        "over cost",
        "All seeds",
        "out of distribution",
        ">rank<",
        "Learning curves",
        "recomputed",
        "0: 37.5, 1: 62.5, 2: 50.0",
        "a hint more",
        "Difference from grpo",
    ):
        assert words in page, words
    assert "lonely" not in page, "neither selected nor an ancestor"
    assert page.index("a hint</pre>") < page.index("a hint more</pre>")
    [samples] = json.loads(re.search(r'id="samples">(.*?)</script>', page)[1])
    asked = {arm: [(s["suite"], s["problem"]) for s in samples if s["arm"] == arm] for arm in ("p2o", "grpo")}
    assert asked["p2o"] == asked["grpo"] and len(asked["p2o"]) == 8, "the same problems of both arms"


def test_pages_stay_small_whatever_models_write(tmp_path):
    for i, method in enumerate(("p2o", "grpo")):
        text = ("\u4e2d<\u202e" if i else "x") * 60_000
        submit.add(make_run(tmp_path / method, method, (1 + i, 2, 3), text=text, template=text), tmp_path / "b")
    [folder] = build.build(tmp_path / "b")
    assert (folder / "index.html").stat().st_size < 3_000_000


def test_runs_that_cannot_be_compared_stand_apart(filed, tmp_path):
    submit.add(make_run(tmp_path / "c", "gepa", (1, 2, 2), spec={"model": {"revision": "other"}}), filed.parents[2])
    build.build(filed.parents[2])
    assert (filed.parent / "scores-2.csv").exists()
    assert (filed.parent / "index.html").read_text().count("<section") == 2
    said = (filed.parent / "README.md").read_text()
    assert said.count("model.revision=") == 2 and "model.revision=other" in said and "](scores-2.svg)" in said
    assert build.verify(filed.parents[2])


def test_ancestry():
    def row(i, parent, selected=False):
        return TemplateRow(seed=0, epoch=0, template=str(i), candidate=i, parent=parent, selected=selected)

    found = ancestry([row(0, None), row(1, 0), row(2, 1, True), row(3, 0), row(4, 1, True), row(5, 9, True)])
    assert [(r.candidate, at) for r, at in found] == [(0, None), (1, 0), (2, 1), (4, 1), (5, None)]
    assert len(ancestry([row(0, 1, True), row(1, 0)])) == 2, "a circle ends"
    deep = [row(i, i - 1 if i else None, True) for i in range(500)]
    [node] = trees(ancestry(deep))
    depth = 0
    while node["children"]:
        node, depth = node["children"][0], depth + 1
    assert depth == DEPTH


def test_exports(tmp_path, capsys):
    import yaml

    run = make_run(tmp_path / "a")
    code, out, _ = harness(capsys, "export", "hf-eval-results", run)
    assert code == 0 and yaml.safe_load(out) == [] and "Omitted, their datasets on the hub are not known" in out
    args = ("--dataset", "tb-long=me/chains:main", "--url", "https://example.org/board")
    code, out, _ = harness(capsys, "export", "hf-eval-results", run, *args)
    [row] = yaml.safe_load(out)
    assert row["dataset"] == {"id": "me/chains", "task_id": "main"} and row["value"] == 50.0 and row["date"] == "2026-01-02"
    assert row["source"]["url"] == "https://example.org/board" and "Left out" not in out
    assert "avg@2 at temperature 0.6, 160 problems; 3 seeds, sd 12.5; 95% " in row["notes"]  # 3/8, 5/8, 4/8
    code, _, _ = harness(capsys, "export", "model-card", run, "--out", tmp_path / "card" / "README.md")
    _, head, body = (tmp_path / "card" / "README.md").read_text().split("---\n", 2)
    [entry] = yaml.safe_load(head)["model-index"]
    assert entry["results"][0]["metrics"] == [{"type": "accuracy", "name": "avg@2", "value": 50.0}]
    assert "| OOD macro average | p2o | 50.0 | 12.5 | 3 |" in body and "There is no link to the samples." in body
    for bad, words in (("tb-long", "is not SUITE=ID"), ("x=a/b", "no suite 'x'")):
        code, _, err = harness(capsys, "export", "hf-eval-results", run, "--dataset", bad)
        assert code == 2 and words in err
    stamped = make_run(tmp_path / "s", stamp="4 problems")
    assert harness(capsys, "export", "model-card", stamped)[0] == 2


def test_report_of_a_run_and_of_a_study(tmp_path, capsys):
    runs = [make_run(tmp_path / "study" / "a"), make_run(tmp_path / "study" / "b", "grpo", (1, 2, 2))]
    code, _, err = harness(capsys, "report", runs[0])
    assert code == 0 and "<summary>Ledger</summary>" in (runs[0] / "report.html").read_text(), err
    assert harness(capsys, "report", tmp_path / "study")[0] == 0
    page = (tmp_path / "study" / "report.html").read_text()
    assert "Difference from grpo" in page and "not filed" in page and str(tmp_path) not in page
    assert harness(capsys, "report", *runs)[0] == 2
    assert harness(capsys, "report", *runs, "--out", tmp_path / "x" / "o.html")[0] == 0
    assert harness(capsys, "report", tmp_path / "x")[0] == 3


def test_report_of_filed_runs_leaves_the_board_as_it_is(filed, tmp_path, capsys):
    before = tree(filed.parents[2])
    for path in (filed, filed.parent):
        code, _, err = harness(capsys, "report", path)
        assert code == 2 and "name the page with --out" in err
        assert harness(capsys, "report", path, "--out", tmp_path / "page.html")[0] == 0
        assert "recomputed" in (tmp_path / "page.html").read_text()
    assert tree(filed.parents[2]) == before
