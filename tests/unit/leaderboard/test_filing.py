"""Filing a run, what second runs show of it, and what `reproduce` runs again: step by step, on the disk."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec import structs

from harness.config import EvalSpec, resolve_eval
from harness.core.errors import HarnessError, MissingError, UsageError
from harness.core.ledger import Ledger
from harness.core.text import visible
from harness.leaderboard import build, evidence, submit, verify
from harness.leaderboard.checks import Content
from harness.leaderboard.evidence import TOLERANCE, original_of, outcome
from harness.leaderboard.reproduce import Reproduced, _spec, reproduce
from harness.runs.filed import Curve, Manifest, read_curves, read_filed_templates, read_index, read_manifest
from harness.runs.packing import compress, decompress, sha256
from harness.runs.samples import FiledSample
from harness.runs.spec import typed_spec
from support.boards import make_run, sample_rows

FACTS = {"greedy": False, "answer": None, "gold": "1", "parity": None, "status": "ok", "truncated": False}
MORE = {"prompt_tokens": 3, "tokens": 5, "prompt_sha256": "0" * 64}


@pytest.fixture
def filed(two_runs, tmp_path):
    """A copy of the board, and the first run's folder there."""
    shutil.copytree(two_runs[0].parents[2], tmp_path / "boards")
    return tmp_path / "boards" / two_runs[0].relative_to(two_runs[0].parents[2])


# ---------------------------------------------------------------------- filing


def test_what_is_filed(two_runs, tmp_path):
    run = two_runs[0].parents[3] / "p2o"
    folder, new = submit.add(run, tmp_path / "boards")
    assert new and folder.name == two_runs[0].name
    m = read_manifest(folder)
    result, env = json.loads((run / "result.json").read_text()), json.loads((run / "env.json").read_text())
    assert folder.parts[-3:] == ("testbed", "testbed", m.run) and m.run.startswith(f"p2o-{m.spec_sha256[:8]}-")
    assert m.spec == result["spec"] if "spec" in result else m.spec["method"] == "p2o"
    assert (m.started, m.packages, m.code.commit) == (env["started"], env["packages"], "c" * 40)
    assert m.hardware == {"python": "3.11", "platform": "Linux x86_64", "cpus": 2} and m.stopped == {}
    for name, f in m.files.items():
        data = (folder / name).read_bytes()
        assert (f.size, f.sha256) == (len(data), sha256(data))
    packed = m.files["samples/tb-long.jsonl.zst"]
    content = decompress((folder / "samples/tb-long.jsonl.zst").read_bytes(), packed.content_bytes, folder)
    assert (packed.rows, packed.content_bytes, packed.content_sha256) == (960, len(content), sha256(content))
    assert content.isascii() and len(content.splitlines()) == 960
    own = m.files["metrics.json"]
    assert (own.rows, own.content_bytes, own.content_sha256) == (None, None, None)
    assert (folder / "metrics.json").read_text().endswith("}\n") and (folder / "training.json").read_text().endswith("}\n")
    curves = json.loads((folder / "training.json").read_text())["curves"]["reward"]
    assert [c["seed"] for c in curves] == [0, 1, 2] and len(curves[0]["x"]) == 9
    assert len((folder / "templates.jsonl").read_text().splitlines()) == 12
    assert not list(folder.parent.glob(".adding-*"))


def test_a_run_is_filed_once(filed, two_runs):
    run = two_runs[0].parents[3] / "p2o"
    assert submit.add(run, filed.parents[2]) == (filed, False)
    m = json.loads((filed / "manifest.json").read_text())
    (filed / "manifest.json").write_text(json.dumps({**m, "started": None}))
    with pytest.raises(UsageError) as e:
        submit.add(run, filed.parents[2])
    assert str(e.value) == f"{filed} holds this run with other content; remove it first if this is to take its place"
    (filed / "manifest.json").write_text("{}")
    with pytest.raises(UsageError, match="with other content"):
        submit.add(run, filed.parents[2])


def test_another_packing_of_the_same_samples_is_the_same_run(filed):
    m = read_manifest(filed)
    name = "samples/tb-long.jsonl.zst"
    repacked = structs.replace(m, files=m.files | {name: structs.replace(m.files[name], size=1, sha256="x")})
    assert submit._same(filed, repacked)
    other = structs.replace(m, files=m.files | {name: structs.replace(m.files[name], content_sha256="x")})
    assert not submit._same(filed, other)
    figures = structs.replace(m, files=m.files | {"metrics.json": structs.replace(m.files["metrics.json"], sha256="x")})
    assert not submit._same(filed, figures)


def test_all_files_are_placed_or_none(tmp_path):
    files = {"a.txt": b"1", "samples/b": b"2"}
    folder = tmp_path / "x" / "y" / "run"
    (folder.parent / ".adding-run" / "old").mkdir(parents=True)
    assert submit._place(folder, files, None) is True
    assert {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == files
    assert [p.name for p in folder.parent.iterdir()] == ["run"]
    (tmp_path / "file").touch()
    with pytest.raises(HarnessError) as e:
        submit._place(tmp_path / "file" / "run", files, None)
    assert str(e.value) == f"cannot write {tmp_path / 'file' / 'run'}: File exists"
    with pytest.raises(HarnessError, match="cannot write"):
        submit._place(tmp_path / "z" / "run", {"a/b/c": b""}, None)
    assert list((tmp_path / "z").iterdir()) == []


def test_what_add_refuses(two_runs, tmp_path):
    run = shutil.copytree(two_runs[0].parents[3] / "p2o", tmp_path / "run")
    board = tmp_path / "boards"
    text = (run / "result.json").read_text()

    def refused(words, error=HarnessError, **own):
        with pytest.raises(error) as e:
            submit.add(run, board, **own)
        assert str(e.value) == words and not board.exists()

    stamped = json.loads(text) | {"not_a_result": "a rehearsal"}
    (run / "result.json").write_text(json.dumps(stamped))
    said = f"{run} is not a result: a rehearsal. --allow-not-a-result files it with that stamp"
    refused(said, UsageError)
    spec = json.loads((run / "spec.json").read_text())
    (run / "spec.json").write_text(json.dumps(spec | {"spec": spec["spec"] | {"planted": {}}}))
    refused(f"{run} is planted, its answers are other runs'; it is never filed", UsageError, allow_stamped=True)
    (run / "spec.json").write_text(json.dumps(spec))
    wrong = json.loads(text)
    wrong["macro"]["ood"] = 0.75
    (run / "result.json").write_text(json.dumps(wrong))
    refused(f"{run / 'result.json'}: ood is 0.75, its samples give 0.5")
    wrong = json.loads(text)
    wrong["suites"]["tb-long"]["avg"] = 0.75
    wrong["macro"]["ood"] = 0.75
    (run / "result.json").write_text(json.dumps(wrong))
    refused(f"{run / 'result.json'}: tb-long.avg is 0.75, its samples give 0.5")
    (run / "result.json").write_text(text)
    (board / "testbed" / "testbed").mkdir(parents=True)
    (board / "testbed" / "testbed" / "rules.json").write_text('{"schema": 1, "least_seeds": 4}')
    with pytest.raises(UsageError) as e:
        submit.add(run, board)
    seeds = f"{run} has 3 of the 4 seeds that this board asks for; --pilot files it apart from all comparisons"
    assert str(e.value) == seeds
    assert submit.add(run, board, pilot=True)[1]
    shutil.rmtree(board)
    (run / "samples" / "tb-long.jsonl").unlink()
    missing = run / "samples" / "tb-long.jsonl"
    refused(f"{missing} is missing; without samples a run can only be filed with --numbers-only")
    folder, new = submit.add(run, board, numbers_only=True)
    assert new and sorted(p.name for p in folder.iterdir()) == [
        "manifest.json",
        "metrics.json",
        "templates.jsonl",
        "training.json",
    ]
    assert verify.verify_run(folder) == verify.Verified(run=folder.name)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["macro"]["ood"] = 0.25
    (folder / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(HarnessError) as e:
        verify._reported(folder, read_manifest(folder), None, False)
    assert str(e.value) == f"{folder / 'metrics.json'}: macro.ood is 0.25, the samples give 0.5"


def test_a_second_run_is_filed_beside(two_runs, tmp_path):
    run = two_runs[0].parents[3] / "p2o"
    folder, new = submit.add(run, tmp_path / "boards", beside=tmp_path / "board")
    assert new and folder.parent == tmp_path / "board" / "reproductions" and not (tmp_path / "boards").exists()


# ---------------------------------------------------------------------- verifying


def test_what_was_computed_again(two_runs):
    found = verify.verify_run(two_runs[0])
    metrics = json.loads((two_runs[0] / "metrics.json").read_text())

    def leaves(tree):
        return sum(map(leaves, tree.values())) if isinstance(tree, dict) else 1

    figures = leaves(metrics) - 1
    assert found == verify.Verified(run=two_runs[0].name, samples=960, figures=figures, golds=("tb-long",))


def test_errors_of_a_filed_run_name_its_folder(filed):
    def said(change, file="manifest.json"):
        tree = json.loads((filed / file).read_text())
        change(tree)
        (filed / file).write_text(json.dumps(tree))
        with pytest.raises(HarnessError) as e:
            verify.verify_run(filed)
        return str(e.value)

    assert re.fullmatch(
        f"{filed / 'metrics.json'}: bytes is [0-9]+, the manifest says [0-9]+", said(lambda t: t.clear(), "metrics.json")
    )


def test_rows_in_another_order_are_no_filed_suite(filed):
    m = read_manifest(filed)
    rows = sample_rows(filed)
    data = "".join(json.dumps(r, separators=(",", ":")) + "\n" for r in [rows[1], rows[0], *rows[2:]]).encode()
    (filed / "samples/tb-long.jsonl.zst").write_bytes(compress(data))
    name = "samples/tb-long.jsonl.zst"
    own = structs.replace(m.files[name], content_bytes=len(data), content_sha256=sha256(data))
    with pytest.raises(HarnessError) as e:
        verify._from_samples(filed, structs.replace(m, files=m.files | {name: own}), None, False)
    assert str(e.value) == f"{filed / name}: holds other rows or fields than a filed suite, or in another order"


def test_rows_that_cannot_be_read_are_named_with_their_file(filed):
    """By a verification, and by what is shown of second runs."""
    m, name = read_manifest(filed), "samples/tb-long.jsonl.zst"
    data = b'{"problem": 1}\n'
    (filed / name).write_bytes(compress(data))
    own = structs.replace(m.files[name], rows=1, content_bytes=len(data), content_sha256=sha256(data))
    damaged = structs.replace(m, files=m.files | {name: own})
    for read in (lambda: verify._from_samples(filed, damaged, None, False), lambda: evidence._rows(filed, damaged, "tb-long")):
        with pytest.raises(HarnessError, match=f"^{re.escape(str(filed / name))} cannot be read: "):
            read()


def test_a_curve_has_a_value_at_every_point(filed):
    tree = json.loads((filed / "training.json").read_text())
    tree["curves"]["reward"][1]["y"].pop()
    (filed / "training.json").write_text(json.dumps(tree))
    with pytest.raises(HarnessError) as e:
        read_curves(filed)
    at, said = filed / "training.json", "9 points have 8 values"
    assert str(e.value).startswith(f"{at} cannot be read: ") and said in str(e.value)


def test_a_wrong_figure_is_named(filed):
    metrics = json.loads((filed / "metrics.json").read_text())
    metrics["suites"]["tb-long"]["avg"] = 0.75
    (filed / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(HarnessError) as e:
        verify._from_samples(filed, read_manifest(filed), None, False)
    assert str(e.value) == f"{filed / 'metrics.json'}: suites.tb-long.avg is 0.75, the samples give 0.5"
    with pytest.raises(HarnessError) as e:
        verify._agree(Path("a\x1b"), {"b": 1}, {"b": 2})
    assert str(e.value) == visible("a\x1b: b is 1, the samples give 2") != "a\x1b: b is 1, the samples give 2"


def test_all_that_is_filed_is_held_against_the_run(two_runs, monkeypatch):
    folder, asked = two_runs[0], []
    m = read_manifest(folder)
    monkeypatch.setattr(verify, "check_run", lambda *own: asked.append(own) or "held")
    assert verify._check(folder, m, {"tb-long": ["row"]}, Path("data"), True) == "held"
    content = Content(samples={"tb-long": ["row"]}, curves=read_curves(folder), templates=read_filed_templates(folder))
    assert asked == [(folder, m, content, Path("data"), True)]
    assert set(content.curves) == {"reward"} and len(content.templates) == 12


def test_what_was_found_reaches_what_is_returned(two_runs, monkeypatch):
    folder, asked = two_runs[0], []
    m = read_manifest(folder)
    monkeypatch.setattr(verify, "_check", lambda *own: asked.append(own) or {"data": ("a", "b"), "list": ("c",), "ids": ("d",)})
    monkeypatch.setattr(verify, "confirm_grades", lambda *own: asked.append(own) or 7)
    found = verify._from_samples(folder, m, Path("data"), True)
    (where, of, samples, *rest), (graded, at) = asked
    assert (where, of, rest) == (folder, m, [Path("data"), True]) and (graded, at) == (samples, str(folder / "samples"))
    assert (found.run, found.samples, found.faults, found.golds, found.listed) == (m.run, 960, 7, ("a", "b"), ("c",))
    monkeypatch.setattr(verify, "_check", lambda *_: {"nothing": ("tb-long",)})
    found = verify._from_samples(folder, m, None, False)
    assert (found.golds, found.listed) == ((), ()), "held against nothing"


def test_a_run_is_verified_by_its_samples_where_it_has_them(two_runs, monkeypatch):
    folder, asked = two_runs[0], []
    m = read_manifest(folder)
    monkeypatch.setattr(verify, "check_files", lambda *own: asked.append(("files", *own)))
    monkeypatch.setattr(verify, "_from_samples", lambda *own: asked.append(("samples", *own)) or 1)
    monkeypatch.setattr(verify, "_reported", lambda *own: asked.append(("reported", *own)) or 2)
    assert verify.verify_run(folder) == 1 == verify.verify_run(folder, Path("data"), True)
    without = structs.replace(m, files={k: f for k, f in m.files.items() if not k.startswith("samples/")})
    monkeypatch.setattr(verify, "read_manifest", lambda at: without)
    assert not without.has_samples and verify.verify_run(folder, Path("data"), True) == 2
    given, again = (folder, m, None, False), (folder, m, Path("data"), True)
    files = ("files", folder, m)
    last = [("files", folder, without), ("reported", folder, without, Path("data"), True)]
    assert asked == [files, ("samples", *given), files, ("samples", *again), *last]


def test_errors_say_which_run_they_are_of(two_runs, monkeypatch):
    folder = two_runs[0]

    def said(error):
        def fails(*_):
            raise error

        monkeypatch.setattr(verify, "check_files", fails)
        with pytest.raises(HarnessError) as e:
            verify.verify_run(folder)
        return e.value

    named, missing = HarnessError(f"{folder / 'x'}: is wrong"), MissingError("no data")
    assert said(named) is named and said(missing) is missing
    assert str(said(HarnessError("suite \x1b is unknown"))) == visible(f"{folder}: suite \x1b is unknown")
    assert str(said(UsageError("None such"))) == f"{folder}: None such"
    assert str(said(OverflowError("too large"))) == f"{folder} cannot be read: too large"


# ---------------------------------------------------------------------- what second runs show


def second(m, **own):
    """The same run at another time."""
    ledgers = {s: replace(x, wall_seconds=x.wall_seconds + 1) for s, x in m.ledgers.items()}
    return structs.replace(
        m, started="2026-09-09T00:00:00+00:00", ledgers=ledgers, ledger=Ledger.total(ledgers.values()), **own
    )


def with_spec(m, change):
    spec = json.loads(json.dumps(m.spec))
    change(spec)
    return structs.replace(m, spec=spec)


AT = Path("board/reproductions/again")


def test_the_run_that_is_reproduced(two_runs):
    runs = {folder: read_manifest(folder) for folder in two_runs}
    one, two = two_runs
    assert original_of(second(runs[one]), runs, AT) == one and original_of(second(runs[two]), runs, AT) == two

    def refused(again, words, among=runs):
        with pytest.raises(HarnessError) as e:
            original_of(again, among, AT)
        assert str(e.value) == f"{AT}: {words}"

    none = "reproduces no run of this board, where it should be one"
    refused(with_spec(second(runs[one]), lambda s: s["train"].update(lr=0.5)), none)
    refused(second(runs[one], training_set="other"), none)
    refused(second(runs[one]), none, {two: runs[two]})
    refused(second(runs[one]), "reproduces 2 runs of this board, where it should be one", {**runs, Path("b/x"): runs[one]})
    more = with_spec(second(runs[one]), lambda s: s["train"].update(max_rollouts=10**6))
    refused(more, none)
    less = with_spec(second(runs[one]), lambda s: s["train"].update(max_rollouts=96))
    assert original_of(less, runs, AT) == one
    unbound = {**runs, one: with_spec(runs[one], lambda s: s["train"].update(max_rollouts=None))}
    assert original_of(less, unbound, AT) == one
    refused(with_spec(second(runs[one]), lambda s: s["train"].update(max_rollouts=None)), none)
    part = with_spec(second(runs[one]), lambda s: s["eval"].update(limit=3))
    assert original_of(part, runs, AT) == one, "fewer problems"
    started = runs[one].started
    same = f"started at {started!r}, as the run that it reproduces: it is no second run"
    refused(structs.replace(second(runs[one]), started=started), same)
    refused(
        structs.replace(second(runs[one]), started=None), "started at None, as the run that it reproduces: it is no second run"
    )
    copied = structs.replace(runs[one], started="x")
    refused(copied, "took 10.0 seconds, as the run that it reproduces: it is no second run")
    other_seeds = SimpleNamespace(**{name: getattr(second(runs[one]), name) for name in Manifest.__struct_fields__})
    other_seeds.seeds = (0, 7)
    refused(other_seeds, none)


def test_what_a_second_run_gives(two_runs, filed):
    folder = two_runs[0]
    m = read_manifest(folder)
    level, text = outcome(folder, m, folder, second(m))
    assert (level, text) == ("retrained", "seeds 0, 1, 2: trained and evaluated again, all 960 samples the same")
    part = with_spec(second(m), lambda s: s["train"].update(max_rollouts=96))
    level, text = outcome(folder, m, folder, part)
    points = 3 * 9
    assert (level, text) == (
        "reproduced",
        f"seeds 0, 1, 2: first 9 rollouts trained again, all {points} points of the curves the same",
    )
    lone = SimpleNamespace(**{name: getattr(part, name) for name in Manifest.__struct_fields__})
    lone.seeds = (1,)
    assert outcome(folder, m, folder, lone)[1].startswith("seed 1: first 9 rollouts trained again, all 9 points")


def rows(scores, seed=0, texts=None):
    """Two samples a problem with these scores."""
    return {
        (seed, f"p{q}", i, False): FiledSample(
            problem=f"p{q}", seed=seed, index=i, score=float(s), completion=(texts or str)(s), **FACTS, **MORE
        )
        for q, own in enumerate(scores)
        for i, s in enumerate(own)
    }


def test_scores_apart_by_more_than_sampling_lets_them():
    mine = rows([(0, 0)] * 20 + [(1, 1)] * 80)
    assert evidence._scores_apart(mine, mine, (0,)) is None
    theirs = rows([(0, 1)] * 8 + [(0, 0)] * 12 + [(1, 1)] * 80)
    differences = [0.5] * 8 + [0.0] * 92
    mean = sum(differences) / 100
    error = math.sqrt(sum((d - mean) ** 2 for d in differences) / 99 / 100)
    assert mean < TOLERANCE * error and evidence._scores_apart(mine, theirs, (0,)) is None
    theirs = rows([(1, 1)] * 12 + [(0, 0)] * 8 + [(1, 1)] * 80)
    differences = [1.0] * 12 + [0.0] * 88
    mean = sum(differences) / 100
    error = math.sqrt(sum((d - mean) ** 2 for d in differences) / 99 / 100)
    assert mean > TOLERANCE * error
    said = f"seed 0 scores +{100 * mean:.1f} points from the filed one, standard error {100 * error:.1f}"
    assert evidence._scores_apart(mine, theirs, (0,)) == said
    assert evidence._scores_apart(theirs, mine, (0,)) == said.replace("+", "-")
    assert evidence._scores_apart(mine, theirs, (1,)) is None and evidence._scores_apart(mine, theirs, (1, 0)) == said
    one, other = rows([(0, 0)]), rows([(0, 1)])
    assert evidence._scores_apart(one, other, (0,)) == "seed 0 scores +50.0 points from the filed one, standard error 0.0"
    greedy = {(0, "p0", 0, True): structs.replace(mine[0, "p0", 0, False], score=1.0, greedy=True)}
    assert evidence._scores_apart(mine, mine | greedy, (0,)) is None
    fewer = {k: v for k, v in mine.items() if k[1] != "p99"}
    assert evidence._scores_apart(fewer, mine, (0,)) is None, "problems of both alone"


def test_samples_of_two_runs(monkeypatch, two_runs):
    m = read_manifest(two_runs[0])
    runs = {}
    monkeypatch.setattr(evidence, "_rows", lambda folder, _, name: runs[folder])
    mine = rows([(0, 0)] * 20 + [(1, 1)] * 80)

    def words(theirs):
        runs.update({Path("a/first"): mine, AT: theirs})
        return evidence._same_samples(Path("a/first"), m, AT, m)

    assert words(mine) == "all 200 samples the same"
    theirs = rows([(0, 1)] * 2 + [(0, 0)] * 18 + [(1, 1)] * 80)
    assert words(theirs) == "198 of 200 samples the same, scores within 3 standard errors"
    assert words({k: v for k, v in mine.items() if k[1] == "p5"}) == "all 2 samples the same"
    with pytest.raises(HarnessError) as e:
        words({(9, *k[1:]): v for k, v in mine.items()})
    assert str(e.value) == f"{AT}: does not reproduce first: they share no sample"
    with pytest.raises(HarnessError) as e:
        words(rows([(1, 1)] * 100))
    assert str(e.value).startswith(f"{AT}: does not reproduce first: tb-long: seed 0 scores +20.0 points from the filed one")
    other = structs.replace(m, suites={})
    with pytest.raises(HarnessError) as e:
        evidence._same_samples(Path("a/first"), other, AT, m)
    assert str(e.value) == f"{AT}: evaluates tb-long, which the run that it reproduces does not"


def test_curves_of_two_runs():
    x, y = [2.0, 4.0, 6.0], [0.1, 0.2, 0.3]

    def curve(*own, seed=0, kind="batch"):
        return {"reward": [Curve(seed, kind, list(own[0]), list(own[1]))]}

    same = evidence._same_curves
    assert same(curve(x, y), curve(x, y), (0,), AT) == (3, 6.0)
    assert same(curve(x, y), curve(x[:2], y[:2]), (0,), AT) == (2, 4.0)
    assert same(curve(x, y), curve([1.0, 3.0, 4.0], [0.0, 0.2, 0.2]), (0,), AT) == (2, 4.0), "means of rows"
    assert same(curve(x, y), curve(x, [0.1, 0.2 * (1 + 9e-6), 0.3]), (0,), AT) == (3, 6.0)
    with pytest.raises(HarnessError) as e:
        same(curve(x, y), curve(x, [0.1, 0.2 * (1 + 2e-5), 0.3]), (0,), AT)
    assert str(e.value) == f"{AT}: reward of seed 0 at 4 rollouts is not that of the filed run"
    for first, again, seeds in (
        (curve(x, y), curve(x, y), (1,)),
        (curve(x, y), curve(x, y, kind="epoch"), (0,)),
        (curve(x, y, kind="epoch"), curve(x, y), (0,)),
        (curve(x, y, seed=1), curve(x, y), (0,)),
        ({}, curve(x, y), (0,)),
        (curve(x, y), curve([7.0], [0.1]), (0,)),
    ):
        with pytest.raises(HarnessError) as e:
            same(first, again, seeds, AT)
        assert str(e.value) == f"{AT}: shares no point of a learning curve with the run that it reproduces"


def test_the_best_of_several_second_runs_counts(monkeypatch, two_runs):
    found = evidence.levels(two_runs, [])
    assert found == dict.fromkeys(two_runs, ("recomputed", ""))
    order = [("retrained", "b"), ("reproduced", "a")]
    monkeypatch.setattr(evidence, "original_of", lambda *_: two_runs[0])
    for left in (order, order[::-1]):
        left = list(left)
        monkeypatch.setattr(evidence, "outcome", lambda *_, left=left: left.pop(0))
        said = "; ".join(text for _, text in left)
        found = evidence.levels(two_runs, [two_runs[0], two_runs[0]])
        assert found == {two_runs[0]: ("retrained", said), two_runs[1]: ("recomputed", "")}
    monkeypatch.setattr(evidence, "outcome", lambda *_: ("reproduced", "a"))
    assert evidence.levels(two_runs, [two_runs[0]])[two_runs[0]] == ("reproduced", "a")


# ---------------------------------------------------------------------- what is run again


def test_settings_of_a_second_run(two_runs):
    folder = two_runs[0]
    m = read_manifest(folder)
    whole = _spec(folder, m, [1], 1.0, None)
    assert whole.seeds == (1,) or list(whole.seeds) == [1]
    assert whole.train.max_rollouts == m.spec["train"]["max_rollouts"] and whole.eval.limit is None
    part = _spec(folder, m, [0, 2], 0.25, None)
    assert list(part.seeds) == [0, 2] and part.train.max_rollouts == math.ceil(0.25 * 10272) and part.eval.limit == 1
    short = structs.replace(m, ledgers=m.ledgers | {2: replace(m.ledgers[2], rollouts=1001, search_rollouts=100)})
    assert _spec(folder, short, [0, 2], 0.5, None).train.max_rollouts == 451, "the least of the seeds', its search apart"
    assert _spec(folder, short, [0], 0.5, None).train.max_rollouts == 5136
    searched = {s: replace(x, search_rollouts=x.rollouts) for s, x in m.ledgers.items()}
    with pytest.raises(UsageError) as e:
        _spec(folder, structs.replace(m, ledgers=searched), [0], 0.5, None)
    assert str(e.value) == "p2o has no learning curve by rollouts, so it is trained again as a whole: --share 1"
    for share in (0.0, -1.0, 1.01):
        with pytest.raises(UsageError) as e:
            _spec(folder, m, [0], share, None)
        assert str(e.value) == f"--share is above 0 and at most 1, got {share:g}"
    for seeds in ([], [3], [0, 3]):
        with pytest.raises(UsageError) as e:
            _spec(folder, m, seeds, 1.0, None)
        assert str(e.value) == f"{folder} has seeds 0, 1, 2"


def test_an_evaluation_is_done_again_on_its_first_problems(two_runs):
    m = read_manifest(two_runs[0])
    spec = resolve_eval(
        [], [], {"model": {"id": "testbed"}, "train_set": "testbed"}, {"eval": {"bench": "tb-long"}, "seeds": [0, 1]}
    )
    own = SimpleNamespace(**{name: getattr(m, name) for name in Manifest.__struct_fields__})
    own.spec, own.seeds = spec.model_dump(mode="json"), (0, 1)
    again = _spec(two_runs[0], own, [1], 0.101, None)
    assert isinstance(again, EvalSpec) and list(again.seeds) == [1] and again.eval.limit == math.ceil(0.101 * 160)
    assert _spec(two_runs[0], own, [1], 1, None).eval.limit is None


class Stopped(Exception):
    pass


def test_a_run_is_made_again_and_filed_beside(filed, monkeypatch, tmp_path):
    """What trains is put in place of the training: it writes the run that the settings ask for. tests/smoke/test_reproduce.py
    trains."""
    asked, more, stamp = [], {}, None

    def execute(spec, run, command):
        asked.append((spec, run.path, command))
        tree = spec.model_dump(mode="json") | more
        make_run(run.path, spec.method, (3, 5, 4)[: len(spec.seeds)], spec=tree, stamp=stamp)
        env = json.loads((run.path / "env.json").read_text())
        (run.path / "env.json").write_text(json.dumps({**env, "started": "2026-03-04T05:06:07+00:00"}))
        for name in ("result.json", "ledger.json"):
            text = (run.path / name).read_text()
            total = f"{10.0 * len(spec.seeds)}"
            text = text.replace('"wall_seconds": 10.0', '"wall_seconds": 11.0').replace(total, f"{11.0 * len(spec.seeds)}")
            (run.path / name).write_text(text)

    monkeypatch.setattr("harness.run.prepare", lambda *own: asked.append(own[1:]) or own[0])
    monkeypatch.setattr("harness.run.execute", execute)
    filed_m = read_manifest(filed)
    out = tmp_path / "again"
    found = reproduce(filed, None, 1.0, None, out, None, True, ["a", "b"])
    (offline, (spec, path, command)), asked[:] = tuple(asked), []
    assert offline == (None, True) and command == ["a", "b"] and path == out
    assert list(spec.seeds) == [0], "without seeds the first one"
    assert spec.model_dump(mode="json") == {**filed_m.spec, "seeds": [0]}
    again = read_manifest(found.folder)
    text = "seed 0: trained and evaluated again, all 320 samples the same"
    assert found == Reproduced(out, filed.parent / "reproductions" / again.run, "retrained", text)
    assert again.seeds == (0,) and again.started == "2026-03-04T05:06:07+00:00"
    with pytest.raises(UsageError) as e:
        reproduce(filed, [0], 1.0, None, tmp_path / "third", None, False, [])
    assert str(e.value) == f"{found.folder} is there already" and (tmp_path / "third" / "result.json").exists()
    assert asked[0] == (None, False)
    shutil.rmtree(found.folder)
    stamp = "half of it"
    assert reproduce(filed, [0], 1.0, None, tmp_path / "stamped", None, False, []).level == "retrained"
    more = {"train": {"lr": 0.5}}
    with pytest.raises(HarnessError, match=r"^/.*/reproductions/p2o-[^/]*: reproduces no run of this board"):
        reproduce(filed, [0], 1.0, None, tmp_path / "other", None, False, [])


def test_what_a_second_run_is_asked_for(filed, monkeypatch, tmp_path):
    asked = []

    def stop(*own):
        asked.append(own)
        raise Stopped

    monkeypatch.setattr("harness.run.prepare", stop)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Stopped):
        reproduce(filed, [2, 1], 0.5, None, None, tmp_path / "data", False, [])
    [(spec, data_dir, offline)] = asked
    assert (list(spec.seeds), spec.train.max_rollouts, spec.eval.limit) == ([2, 1], 5136, 1)
    assert (data_dir, offline) == (tmp_path / "data", False) and not (tmp_path / "runs").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").touch()
    with pytest.raises(UsageError, match="already holds files"):
        reproduce(filed, [1], 1.0, None, tmp_path / "out", None, False, [])
    prepared = []
    monkeypatch.setattr("harness.evalrun.prepare_eval", lambda *own: prepared.append(own) or "prepared")
    monkeypatch.setattr("harness.evalrun.execute_eval", stop)
    run = make_run(tmp_path / "run")
    with pytest.raises(Stopped):
        reproduce(filed, [1], 0.1, run, tmp_path / "eval", tmp_path / "data", True, ["c"])
    [(spec, data_dir, offline)] = prepared
    assert isinstance(spec, EvalSpec) and (data_dir, offline) == (tmp_path / "data", True)
    assert (spec.run, list(spec.seeds), spec.train_set) == (str(run), [1], "testbed")
    m = read_manifest(filed)
    assert spec.eval.model_dump(mode="json") == {**m.spec["eval"], "limit": 16}, "its own protocol, a tenth of 160 problems"
    what, where, command = asked[-1]
    assert (what, where.path, command) == ("prepared", tmp_path / "eval", ["c"])


# ---------------------------------------------------------------------- the index, and what is built


def test_a_board_is_built_and_verified(filed):
    root = filed.parents[2]
    assert build.build(root) == [filed.parent]
    names = {p.name for p in filed.parent.iterdir() if p.is_file()}
    assert names == {"README.md", "index.html", "index.json", "scores.csv", "scores.svg", "scores.tex"}
    found = build.verify(root)
    assert [v.run for v in found] == sorted(p.name for p in filed.parent.iterdir() if p.is_dir())
    index = read_index(filed.parent)
    for run, said in index.manifests.items():
        assert said == sha256((filed.parent / run / "manifest.json").read_bytes())
    assert set(index.manifests) == {v.run for v in found} and index.reproductions == {}
    text = (filed.parent / "README.md").read_text()
    assert text.startswith("# testbed, testbed\n\nThe smallest difference that matters on this board is 1 points. ")
    assert "\n\n![OOD macro average: every seed of every arm, and the mean](scores.svg)\n\n" in text
    assert text.endswith(f"{build.UNSEEN}\n") and "**Not a result" not in text
    assert ">Leaderboard: training set testbed, model testbed<" in (filed.parent / "index.html").read_text()
    (filed.parent / "scores-2.csv").touch()
    with pytest.raises(HarnessError) as e:
        build._check_built(filed.parent, {p: (filed.parent / p).read_text() for p in names})
    assert str(e.value) == f"{filed.parent / 'scores-2.csv'}: does not belong to this board"
    build.build(root)
    assert not (filed.parent / "scores-2.csv").exists(), "what is stale goes"
    built = {p: (filed.parent / p).read_text() for p in names}
    build._check_built(filed.parent, built)
    (filed.parent / "scores.csv").write_bytes(built["scores.csv"].encode() + b"\xff")
    with pytest.raises(HarnessError, match=r"scores.csv, line [0-9]+: published '\ufffd', its runs give ''"):
        build._check_built(filed.parent, built)
    (filed.parent / "scores.csv").write_text(built["scores.csv"])
    with pytest.raises(HarnessError) as e:
        build._check_built(filed.parent, built | {"more": ""})
    assert str(e.value) == f"{filed.parent / 'more'}: is missing"
    with pytest.raises(HarnessError, match="README.md, line 1: published '# testbed"):
        build._check_built(filed.parent, built | {"README.md": "x" + built["README.md"]})
    runs = sorted(p for p in filed.parent.iterdir() if p.is_dir())
    build._check_index(filed.parent, runs, [])
    with pytest.raises(HarnessError) as e:
        build._check_index(filed.parent, runs[:1], [])
    assert str(e.value) == f"{filed.parent / 'index.json'}: names the run {runs[1].name!r}, which is not there"
    with pytest.raises(HarnessError) as e:
        build._check_index(filed.parent, runs, runs[:1])
    at = filed.parent / "reproductions" / runs[0].name / "manifest.json"
    said = f"SHA-256 is {sha256((runs[0] / 'manifest.json').read_bytes())}, index.json says None; build it after adding a run"
    assert str(e.value) == f"{at}: {said}"
    (filed.parent / "index.json").unlink()
    with pytest.raises(HarnessError) as e:
        build._check_index(filed.parent, runs, [])
    assert str(e.value) == f"{filed.parent / 'index.json'} is missing: `harness leaderboard build` writes it"


@pytest.mark.parametrize(
    ("raised", "words"), [(KeyError("score"), "no field 'score'"), (ValueError("too\nmany digits"), "too many digits")]
)
def test_a_board_that_cannot_be_built_says_why_and_what_finds_the_run(filed, monkeypatch, raised, words):
    def fails(*_):
        raise raised

    monkeypatch.setattr(build, "group", fails)
    with pytest.raises(HarnessError) as e:
        build.build(filed.parents[2])
    assert str(e.value) == f"{filed.parent} cannot be built, `harness leaderboard verify` says which run is wrong: {words}"


def test_readings_beside_a_board_are_built_and_verified(filed):
    root, above = filed.parents[2], filed.parents[1]
    (above / "reading.md").write_text("{from testbed/scores}\n{OOD macro average; p2o; score}")
    build.build(root)
    assert (above / "README.md").read_text().endswith("\n\n50.0")
    (above / "README.md").write_text((above / "README.md").read_text().replace("50.0", "51.0"))
    with pytest.raises(HarnessError) as e:
        build.verify(root)
    assert str(e.value) == f"{above / 'README.md'}, line 3: published '51.0', its runs give '50.0'"
    other = shutil.copytree(filed.parent, above / "other")
    assert build._beside(root, [filed.parent, other]) == {above: [filed.parent, other]}
    assert build._beside(filed.parent, [filed.parent]) == {}, "above the root nothing is built"


def test_another_version_of_the_plots_draws_other_strokes_of_the_same_figures(filed):
    board = filed.parent
    build.build(filed.parents[2])
    built = {p.name: p.read_text() for p in board.iterdir() if p.is_file()}
    (board / "index.json").write_text(built["index.json"].replace('"matplotlib": "', '"matplotlib": "0.'))
    (board / "scores.svg").write_text(built["scores.svg"].replace("p2o", "P2O"))
    html = re.sub(r"(<svg.*?)</svg>", r"\1<g/></svg>", built["index.html"], count=1, flags=re.DOTALL)
    (board / "index.html").write_text(html)
    build._check_built(board, built)  # strokes are not compared
    (board / "index.html").write_text(html.replace("50.0", "50.1", 1))
    with pytest.raises(HarnessError, match=r"index.html, line [0-9]+: published .*50\.1.*its runs give .*50\.0"):
        build._check_built(board, built)
    (board / "index.html").write_text(html)
    (board / "index.json").write_text((board / "index.json").read_text() + " ")
    with pytest.raises(HarnessError, match="index.json, line "):
        build._check_built(board, built)


def test_folders_of_a_board(filed):
    runs = sorted(p for p in filed.parent.iterdir() if p.is_dir())
    (filed.parent / "reproductions").mkdir()
    build._check_folders(filed.parent, runs)
    with pytest.raises(HarnessError) as e:
        build._check_folders(filed.parent, runs[1:])
    assert str(e.value) == f"{runs[0]}: does not belong to this board"
    os.symlink(runs[0] / "manifest.json", filed.parent / "link")
    with pytest.raises(HarnessError, match="link: does not belong to this board"):
        build._check_folders(filed.parent, runs)


def test_pilots_stand_apart_and_stamps_are_shown(tmp_path):
    root = tmp_path / "boards"
    submit.add(make_run(tmp_path / "a", stamp="it is one"), root, allow_stamped=True)
    submit.add(make_run(tmp_path / "b", "grpo", (4,)), root, pilot=True)
    [folder] = build.build(root)
    text = (folder / "README.md").read_text()
    assert "> **Not a result.** " in text and "it is one" in text
    assert text.index("## Pilots" if "## Pilots" in text else "Pilots") > text.index("Not a result")
    assert "grpo" not in (folder / "scores.csv").read_text()


def test_a_figure_that_is_left_out_is_named(filed):
    metrics = json.loads((filed / "metrics.json").read_text())
    two = metrics["suites"]["tb-long"]["pass_at"].pop("2")
    (filed / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(HarnessError) as e:
        verify._from_samples(filed, read_manifest(filed), None, False)
    assert str(e.value) == f"{filed / 'metrics.json'}: suites.tb-long.pass_at.2 is None, the samples give {two!r}"


def test_whatever_cannot_be_read_is_said_with_the_folder(two_runs, monkeypatch):
    def fails(*_):
        raise ValueError("too \x1blarge")

    monkeypatch.setattr(verify, "check_files", fails)
    with pytest.raises(HarnessError) as e:
        verify.verify_run(two_runs[0])
    assert str(e.value).startswith(f"{two_runs[0]} cannot be read: ") and str(e.value).isprintable()


def test_numbers_alone_are_held_against_their_settings_too(two_runs, monkeypatch):
    asked = []
    monkeypatch.setattr(verify, "_check", lambda *own: asked.append(own))
    m = read_manifest(two_runs[0])
    for again in (True, False):
        assert verify._reported(two_runs[0], m, Path("data"), again) == verify.Verified(run=m.run)
    assert asked == [(two_runs[0], m, {}, Path("data"), again) for again in (True, False)]


def test_policies_evaluated_again_are_those_of_the_run_by_method_model_and_protocol(two_runs):
    m = read_manifest(two_runs[0])
    tree = {"model": m.spec["model"], "engine": {"name": "transformers"}, "train_set": "testbed"}
    spec = resolve_eval([], [], tree, {"eval": m.spec["eval"], "seeds": [0]}).model_copy(update={"run": "p2o-1"})
    trained = typed_spec(m.spec, two_runs[0])
    again = SimpleNamespace(seeds=(0,), training_set="testbed", method="p2o")

    def same(spec=spec, **own):
        return evidence._same_settings(spec, SimpleNamespace(**{**vars(again), **own}), trained, m)

    assert same() and same(seeds=(0, 2))
    assert not same(method="grpo") and not same(seeds=(0, 3)) and not same(training_set="gsm8k")
    assert not same(spec.model_copy(update={"eval": spec.eval.model_copy(update={"max_new_tokens": 7})}))


def test_settings_of_another_version_are_named_with_their_run(two_runs):
    """That of the board, or the second run."""
    folder = two_runs[0]
    m = read_manifest(folder)
    other = with_spec(second(m), lambda s: s["train"].update(magic=1))
    for read, where in (
        (lambda: original_of(other, {folder: m}, AT), AT),
        (lambda: original_of(second(m), {folder: other}, AT), folder),
        (lambda: outcome(folder, m, AT, other), AT),
        (lambda: outcome(folder, other, AT, second(m)), folder),
    ):
        with pytest.raises(HarnessError) as e:
            read()
        assert str(e.value) == f"the run at {where} was made by another version of the harness: train.magic"


def test_a_second_run_may_take_no_time_where_the_first_took_none(two_runs):
    folder = two_runs[0]
    m = read_manifest(folder)
    free = {s: replace(x, wall_seconds=0.0) for s, x in m.ledgers.items()}
    first = structs.replace(m, ledgers=free)
    assert original_of(structs.replace(first, started="2026-09-09T00:00:00+00:00"), {folder: first}, AT) == folder


def test_settings_of_the_method_make_another_run(two_runs):
    """Those that change what is trained, by the method's own word, and not where its search is run."""
    folder = two_runs[0]
    m = read_manifest(folder)
    spec = typed_spec(m.spec, folder)
    found = evidence._settings(spec, (evidence.Kind.ARM,))
    own = {key for key in found if key.startswith("method_config.")}
    assert own == {k for k in evidence.flatten(m.spec) if evidence.kind_of(k, "p2o") is evidence.Kind.ARM and "method_c" in k}
    everything = {k for k in evidence.flatten(m.spec) if k.startswith("method_config.")}
    assert own < everything, "others are no arm's"
    assert evidence._settings(spec, tuple(evidence.Kind)) == {k: v for k, v in evidence.flatten(m.spec).items() if k != "run"}


def test_evaluations_of_a_model_are_compared_by_all_their_settings(two_runs):
    m = read_manifest(two_runs[0])
    tree = {"model": m.spec["model"], "engine": {"name": "transformers"}, "train_set": "testbed"}
    spec = resolve_eval([], [], tree, {"eval": m.spec["eval"], "seeds": [0, 1]})
    again = SimpleNamespace(seeds=(0,), training_set="testbed", method="testbed")
    first = SimpleNamespace(seeds=(0, 1), training_set="testbed", method="testbed")
    trained = typed_spec(m.spec, two_runs[0])
    assert evidence._same_settings(spec, again, spec, first)
    longer = spec.model_copy(update={"eval": spec.eval.model_copy(update={"max_new_tokens": 7})})
    assert not evidence._same_settings(longer, again, spec, first)
    assert not evidence._same_settings(spec, again, trained, first) and not evidence._same_settings(trained, again, spec, first)
    of_a_run = spec.model_copy(update={"run": "p2o-1"})
    assert "run" not in evidence._settings(of_a_run, tuple(evidence.Kind)), "where the policies lie is no setting of theirs"


def test_what_is_compared_of_two_runs(two_runs, monkeypatch):
    folder = two_runs[0]
    m = read_manifest(folder)
    asked = []
    monkeypatch.setattr(evidence, "read_curves", lambda at: ("curves", at))
    monkeypatch.setattr(evidence, "_same_curves", lambda *own: asked.append(own) or (3, 1234.0))
    monkeypatch.setattr(evidence, "_same_samples", lambda *own: asked.append(own) or "all the same")
    part = with_spec(second(m), lambda s: s["train"].update(max_rollouts=96))
    text = "seeds 0, 1, 2: first 1,234 rollouts trained again, all 3 points of the curves the same"
    assert outcome(folder, m, AT, part) == ("reproduced", text)
    assert asked == [(("curves", folder), ("curves", AT), m.seeds, AT)]
    asked.clear()
    whole = second(m)
    assert outcome(folder, m, AT, whole) == ("retrained", "seeds 0, 1, 2: trained and evaluated again, all the same")
    assert asked == [(folder, m, AT, whole)]
    tree = {"model": m.spec["model"], "engine": {"name": "transformers"}, "train_set": "testbed"}
    spec = resolve_eval([], [], tree, {"eval": m.spec["eval"], "seeds": [1]})
    evaluated = SimpleNamespace(spec=spec.model_dump(mode="json"), seeds=(1,))
    assert outcome(folder, m, AT, evaluated) == ("reproduced", "seed 1: evaluated again, all the same")
    assert outcome(folder, evaluated, AT, whole)[0] == "retrained", "nothing of a training can be compared"


def test_samples_of_several_suites(monkeypatch):
    asked = []
    first, again = (SimpleNamespace(suites={"a": 1, "b": 2}, seeds=(0,), at=at) for at in ("first", "again"))
    mine = rows([(0, 0)] * 20 + [(1, 1)] * 80)
    apart = rows([(1, 1)] * 100)
    one = rows([(0, 1)] * 2 + [(0, 0)] * 18 + [(1, 1)] * 80)
    theirs = {"a": apart, "b": apart}

    def read(folder, m, name):
        asked.append((folder, m, name))
        return mine if m is first else theirs[name]

    monkeypatch.setattr(evidence, "_rows", read)
    with pytest.raises(HarnessError) as e:
        evidence._same_samples(Path("a/first"), first, AT, again)
    said = evidence._scores_apart(mine, apart, (0,))
    assert str(e.value) == f"{AT}: does not reproduce first: a: {said}; b: {said}"
    assert asked == [(at, m, name) for name in "ab" for at, m in ((Path("a/first"), first), (AT, again))]
    theirs |= {"a": mine, "b": one}
    words = evidence._same_samples(Path("a/first"), first, AT, again)
    assert words == "398 of 400 samples the same, scores within 3 standard errors"
    theirs |= {"a": one, "b": mine}
    assert evidence._same_samples(Path("a/first"), first, AT, again) == words


def test_two_problems_have_a_standard_error():
    mine = rows([(0, 0), (0, 0)])
    assert evidence._scores_apart(mine, rows([(0, 1), (0, 0)]), (0,)) is None, "25 points, with an error of 25"
    told = evidence._scores_apart(mine, rows([(0, 1), (0, 1)]), (0,))
    assert told == "seed 0 scores +50.0 points from the filed one, standard error 0.0"


def test_curves_of_other_seeds_and_of_nothing_do_not_end_the_comparison():
    x, y = [2.0, 4.0], [0.0, 0.2]
    filed = {"reward": [Curve(1, "epoch", x, [9.0, 9.0]), Curve(1, "batch", x, y)], "other": [Curve(1, "batch", x, y)]}
    again = {"reward": [Curve(0, "batch", x, y), Curve(1, "epoch", x, y), Curve(1, "batch", x, [1e-10, 0.2])]}
    assert evidence._same_curves(filed, again, (1,), AT) == (2, 4.0), "nothing, and next to nothing"
    more = {"new": [Curve(1, "batch", x, y)], **again, "other": [Curve(1, "batch", [1.0, 3.0, 9.0], [0.0, 0.0, 0.0])]}
    assert evidence._same_curves(filed, more, (1,), AT) == (3, 4.0)
    early = {"reward": [Curve(1, "batch", [0.5], [0.1])]}
    assert evidence._same_curves(early, early, (1,), AT) == (1, 0.5)


def test_levels_come_of_what_is_filed_and_of_every_second_run(monkeypatch):
    asked = []
    runs, again = [Path("a"), Path("b")], [Path("x"), Path("y")]
    manifests = {p: SimpleNamespace(has_samples=p == Path("a"), at=p) for p in (*runs, *again)}
    monkeypatch.setattr(evidence, "read_manifest", manifests.get)
    monkeypatch.setattr(evidence, "original_of", lambda *own: asked.append(own) or Path("b"))
    monkeypatch.setattr(evidence, "outcome", lambda *own: asked.append(own) or ("reproduced", str(own[2])))
    assert evidence.levels(runs, []) == {Path("a"): ("recomputed", ""), Path("b"): ("self-reported", "")} and asked == []
    assert evidence.levels(runs, again) == {Path("a"): ("recomputed", ""), Path("b"): ("reproduced", "x; y")}
    filed = {p: manifests[p] for p in runs}
    assert asked == [
        (manifests[Path("x")], filed, Path("x")),
        (Path("b"), manifests[Path("b")], Path("x"), manifests[Path("x")]),
        (manifests[Path("y")], filed, Path("y")),
        (Path("b"), manifests[Path("b")], Path("y"), manifests[Path("y")]),
    ]
