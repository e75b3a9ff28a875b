"""Properties of what others file, claim, plan or answer, under arbitrary changes. HARNESS_FUZZ=N as in test_fuzz.py."""

import json
import math
import shutil
from functools import cache
from importlib.metadata import version

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from test_board import make_run, reseal
from test_fuzz import JSON, SAFE, TEXT, fuzz

from harness import board, boardpage, chat
from harness.answers import Answers, keep_answers
from harness.claims import load_claims, needs
from harness.errors import HarnessError
from harness.ledger import Ledger
from harness.reflect import Answer, Job, ModelProposer, ReflectorConfig, make_asker
from harness.rundir import append_jsonl
from harness.study import load_study, prepare_study
from harness.testbed import world

WEIRD = [10**400, 2**63, -1, 0, 1e308, 5e-324, math.inf, math.nan, True, "", "../x", "\x1b[2J\n", "\ud800", [], {}, [[]]]
VALUES = st.sampled_from(WEIRD) | JSON


def places(tree, at=()):
    """The path of every value of a JSON tree, its root's first."""
    yield at
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        yield from places(value, (*at, key))


def put(tree, at, value):
    """The tree with another value in one place."""
    if not at:
        return value
    out = dict(tree) if isinstance(tree, dict) else list(tree)
    out[at[0]] = put(out[at[0]], at[1:], value)
    return out


def one_sentence(error, *names):
    """That an error says where and what, on one line that steers no terminal."""
    text = str(error)
    assert 10 < len(text) < 5000 and text.isprintable() and all(str(name) in text for name in names), text


# ------------------------------------------------------------------ filed runs


@pytest.fixture(scope="module")
def boards(tmp_path_factory):
    """By evidence level a board of one run: (its root, the run's folder in it)."""
    root, out = tmp_path_factory.mktemp("boards"), {}
    for evidence in ("recomputed", "reported"):
        folder, _ = board.add(make_run(root / f"run-{evidence}"), root / evidence, evidence)
        boardpage.build(root / evidence)
        out[evidence] = root / evidence, folder.relative_to(root / evidence)
    return out


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The world's problems are made once."""
    monkeypatch.setattr(world, "suite_problems", cache(world.suite_problems))


def figures(folder):
    """What a page and a table show of a filed run; raises HarnessError where it is not verified."""
    board.verify_run(folder)
    entry = board.load_filed(folder, 1)
    derived = {name: board._derived(suite) for name, suite in entry.result["suites"].items()}
    return {"suites": derived, "macro": entry.result["macro"]}, entry.questions["tb-long"].scores_S_Q.tolist()


def copied(boards, evidence, tmp_path):
    root, folder = boards[evidence]
    shutil.rmtree(tmp_path / "b", ignore_errors=True)
    shutil.copytree(root, tmp_path / "b")
    return tmp_path / "b" / folder


def changed(folder, name, draw):
    """One value of one file replaced; returns the rows where these are samples."""
    path = folder / name
    if name.startswith("samples"):
        rows = board._rows(board.read_samples(folder, json.loads((folder / "manifest.json").read_text()), "tb-long"))
        at = draw(st.sampled_from([p for p in places(rows) if p]))
        return put(rows, at, draw(VALUES))
    tree = [json.loads(x) for x in path.read_text().splitlines()] if path.suffix == ".jsonl" else json.loads(path.read_text())
    tree = put(tree, draw(st.sampled_from(list(places(tree)))), draw(VALUES))
    lines = tree if path.suffix == ".jsonl" and isinstance(tree, list) else [tree]
    path.write_text("".join(json.dumps(x) + "\n" for x in lines))
    return None


def resealed(folder, rows=None):
    """As `reseal`, where the manifest can still be sealed; else the folder as it is."""
    path = folder / "manifest.json"
    before = path.read_bytes()
    try:
        m = json.loads(before)
        return reseal(folder, rows, **({"spec_sha256": board.spec_sha256(m["spec"])} if "spec" in m else {}))
    except (TypeError, KeyError, AttributeError, ValueError, OSError):
        path.write_bytes(before)
        return folder


@fuzz(120)
@given(st.sampled_from(["manifest.json"] * 3 + ["metrics.json", "samples/tb-long.jsonl.zst", "templates.jsonl", "training.json"]),
       st.booleans(), st.data())  # fmt: skip
def test_a_filed_run_with_a_value_replaced_has_the_same_figures_or_is_refused(boards, tmp_path, name, seal, data):
    folder = copied(boards, "recomputed", tmp_path)
    true = figures(folder)
    rows = changed(folder, name, data.draw)
    folder = resealed(folder, rows) if seal or rows else folder
    try:
        found = figures(folder)
    except HarnessError as e:
        one_sentence(e, folder)
        return
    assert board.difference(true[0], found[0]) is None is board.difference(found[0], true[0]) and true[1] == found[1]


@fuzz(40)
@given(st.booleans(), st.data())
def test_a_run_of_reported_numbers_is_verified_or_refused(boards, tmp_path, seal, data):
    folder = copied(boards, "reported", tmp_path)
    changed(folder, data.draw(st.sampled_from(["manifest.json", "metrics.json"])), data.draw)
    folder = resealed(folder) if seal else folder
    try:
        board.verify_run(folder)
        board.load_filed(folder)
    except HarnessError as e:
        one_sentence(e, folder)


@fuzz(12)
@given(st.data())
def test_a_flipped_bit_anywhere_is_found(boards, tmp_path, data):
    """In a filed run, and in what is built of it; but for another version of matplotlib, whose plots are not compared."""
    folder = copied(boards, data.draw(st.sampled_from(["recomputed", "reported"])), tmp_path)
    path = data.draw(st.sampled_from(sorted(p for p in (tmp_path / "b").rglob("*") if p.is_file())))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        boardpage.verify(tmp_path / "b")
    except HarnessError as e:
        one_sentence(e, folder.parent)
    else:
        assert path.name == "index.json" and json.loads(content)["matplotlib"] != version("matplotlib")


@fuzz(6)
@given(st.sampled_from(["manifest.json", "templates.jsonl", "training.json", "samples/tb-long.jsonl.zst"]), st.data())
def test_a_board_that_can_be_built_is_verified(boards, tmp_path, name, data):
    """Whatever stands in a filed run, sealed: its page is made and found again, or refused."""
    folder = copied(boards, "recomputed", tmp_path)
    resealed(folder, changed(folder, name, data.draw))
    try:
        boardpage.build(tmp_path / "b")
        page = (tmp_path / "b" / "testbed" / "testbed" / "index.html").read_bytes()
        boardpage.verify(tmp_path / "b")
    except HarnessError as e:
        one_sentence(e, tmp_path / "b")
    else:
        assert page.count(b"<script") == 2
