"""Properties of what others file, claim, plan or answer, under arbitrary changes. HARNESS_FUZZ=N as in test_fuzz.py."""

import json
import math
import shutil
from functools import cache
from importlib.metadata import version
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.core import chat
from harness.core.errors import HarnessError
from harness.core.ledger import Ledger
from harness.leaderboard import build, submit
from harness.leaderboard.entries import load_filed
from harness.leaderboard.verify import verify_run
from harness.runs.result import load_result
from harness.search.answers import Answers
from harness.search.asking import Answer, ReflectorConfig, make_asker
from harness.search.reflect import ModelProposer
from harness.stats.claims import load_claims
from harness.stats.needs import needs
from harness.stats.questions import load_questions
from harness.study import load_study, prepare_study
from harness.testbed import world
from support.boards import make_run, sample_rows
from support.fuzzing import JSON, TEXT, fuzz
from support.hostile import CLAIM, JOB, REPLY, STUDY, figures, places, put, resealed

WEIRD = [10**400, 2**63, -1, 0, 1e308, 5e-324, math.inf, math.nan, True, "", "../x", "\x1b[2J\n", "\ud800", [], {}, [[]]]
VALUES = st.sampled_from(WEIRD) | JSON | TEXT
SEALED = st.sampled_from([True, True, False])
SAMPLES = "samples/tb-long.jsonl.zst"


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
        folder, _ = submit.add(make_run(root / f"run-{evidence}"), root / evidence, numbers_only=evidence == "reported")
        build.build(root / evidence)
        out[evidence] = root / evidence, folder.relative_to(root / evidence)
    return out


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The world's problems are made once."""
    monkeypatch.setattr(world, "suite_problems", cache(world.suite_problems))


@pytest.fixture(scope="module")
def true(boards):
    """The figures before any change."""
    root, folder = boards["recomputed"]
    return figures(root / folder)


def copied(boards, evidence, tmp_path):
    root, folder = boards[evidence]
    shutil.rmtree(tmp_path / "b", ignore_errors=True)
    shutil.copytree(root, tmp_path / "b")
    return tmp_path / "b" / folder


def changed(folder, name, draw):
    """One value of one file replaced; returns the rows where these are samples."""
    path = folder / name
    if name.startswith("samples"):
        rows = sample_rows(folder)
        at = draw(st.sampled_from([p for p in places(rows) if p]))
        return put(rows, at, draw(VALUES))
    tree = [json.loads(x) for x in path.read_text().splitlines()] if path.suffix == ".jsonl" else json.loads(path.read_text())
    tree = put(tree, draw(st.sampled_from(list(places(tree)))), draw(VALUES))
    lines = tree if path.suffix == ".jsonl" and isinstance(tree, list) else [tree]
    path.write_text("".join(json.dumps(x) + "\n" for x in lines))
    return None


@fuzz(50)
@given(
    st.sampled_from(["manifest.json"] * 3 + ["metrics.json", "templates.jsonl", "training.json", SAMPLES]), SEALED, st.data()
)
def test_a_filed_run_with_a_value_replaced_has_the_same_figures_or_is_refused(boards, true, tmp_path, name, seal, data):
    folder = copied(boards, "recomputed", tmp_path)
    rows = changed(folder, name, data.draw)
    folder = resealed(folder, rows) if seal or rows else folder
    try:
        found = figures(folder)
    except HarnessError as e:
        one_sentence(e, folder)
        return
    assert submit.difference(true[0], found[0]) is None is submit.difference(found[0], true[0]) and true[1] == found[1]


@fuzz(20)
@given(SEALED, st.data())
def test_a_run_of_reported_numbers_is_verified_or_refused(boards, tmp_path, seal, data):
    folder = copied(boards, "reported", tmp_path)
    changed(folder, data.draw(st.sampled_from(["manifest.json", "metrics.json"])), data.draw)
    folder = resealed(folder) if seal else folder
    try:
        assert verify_run(folder).samples == 0 and load_filed(folder).questions == {}
    except HarnessError as e:
        one_sentence(e, folder)


@fuzz(25)
@given(
    st.sampled_from(["recomputed", "reported"]), st.sampled_from(["manifest.json", "metrics.json", SAMPLES]), SEALED, st.data()
)
def test_a_filed_run_is_read_for_a_comparison_or_refused(boards, tmp_path, evidence, name, seal, data):
    folder = copied(boards, evidence, tmp_path)
    rows = changed(folder, name if evidence == "recomputed" else "metrics.json", data.draw)
    folder = resealed(folder, rows) if seal or rows else folder
    try:
        result = load_result(folder)
        assert set(load_questions(result)) <= set(result.suites)
    except HarnessError as e:
        one_sentence(e, folder)


@fuzz(8)
@given(st.data())
def test_a_flipped_bit_anywhere_is_found(boards, tmp_path, data):
    """In a filed run, and in what is built of it; but for another version of matplotlib, whose plots are not compared."""
    copied(boards, data.draw(st.sampled_from(["recomputed", "reported"])), tmp_path)
    path = data.draw(st.sampled_from(sorted(p for p in (tmp_path / "b").rglob("*") if p.is_file())))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        build.verify(tmp_path / "b")
    except HarnessError as e:
        one_sentence(e, tmp_path / "b")
    else:
        assert path.name == "index.json" and json.loads(content)["matplotlib"] != version("matplotlib")


@fuzz(4)
@given(st.sampled_from(["manifest.json", "templates.jsonl", "training.json", SAMPLES]), st.data())
def test_a_board_that_can_be_built_is_verified(boards, tmp_path, name, data):
    """Whatever stands in a filed run, sealed: its page is made and found again, or refused."""
    folder = copied(boards, "recomputed", tmp_path)
    resealed(folder, changed(folder, name, data.draw))
    try:
        build.build(tmp_path / "b")
        page = (tmp_path / "b" / "testbed" / "testbed" / "index.html").read_bytes()
        build.verify(tmp_path / "b")
    except HarnessError as e:
        one_sentence(e, tmp_path / "b")
    else:
        assert page.count(b"<script") == 2


# ------------------------------------------------------------------ claims and studies

NAMES = st.sampled_from(["train.lr", "train", "p2o", "a=b", "", ".", "a..b", '"', '"a.b"', "seeds", "eval.bench", "x\ny", 3])
SETTINGS = VALUES | st.floats(0.1, 99) | st.dictionaries(NAMES | TEXT, VALUES | st.dates(), max_size=2)


@pytest.fixture
def short(tmp_path, monkeypatch):
    """A short recipe and few problems: these take most of the time."""
    (tmp_path / "recipe.yaml").write_text("train: {epochs: 3, prompts_per_batch: 16}\np2o: {}\n")
    monkeypatch.setattr("harness.config.sources.recipes", lambda: {"testbed": tmp_path / "recipe.yaml"})
    few = world.train_problems(4, 0.4, 0)
    monkeypatch.setattr(world, "train_problems", lambda *a: few)


def rewritten(tree, draw):
    """The YAML of a tree with another value in one place."""
    tree = put(tree, draw(st.sampled_from(list(places(tree)))), draw(SETTINGS))
    try:
        return yaml.safe_dump(tree, sort_keys=False)
    except yaml.YAMLError:
        return json.dumps(tree, default=str)


@fuzz(40)
@given(st.data())
def test_a_claim_is_read_and_priced_or_refused(tmp_path, short, data):
    (tmp_path / "c").mkdir(exist_ok=True)
    path = tmp_path / "c" / "mine.yaml"
    path.write_text(rewritten(CLAIM, data.draw))
    try:
        [claim] = load_claims(tmp_path / "c").values()
        assert all(isinstance(line, str) for line in needs(claim))
    except HarnessError as e:
        one_sentence(e, path)


@fuzz(25)
@given(st.data())
def test_a_study_is_read_and_resolved_or_refused(tmp_path, short, monkeypatch, data):
    plan = SimpleNamespace(generated_tokens=9)
    monkeypatch.setattr("harness.run.prepare", lambda *a: SimpleNamespace(plan=plan, overlaps={}))
    path = tmp_path / "study.yaml"
    path.write_text(rewritten(STUDY, data.draw))
    try:
        cells = prepare_study(load_study(str(path)), None)
        assert len({cell.name for cell in cells}) == len(cells) and json.dumps([cell.spec.hash() for cell in cells])
    except HarnessError as e:
        one_sentence(e)


# ------------------------------------------------------------------ answers of servers


@fuzz(150)
@given(
    st.binary(max_size=60)
    | st.builds(lambda at, v: json.dumps(put(REPLY, at, v)).encode(), st.sampled_from(list(places(REPLY))), VALUES)
)
def test_an_answer_is_taken_with_its_bill_or_refused(data):
    try:
        reply = chat._parse(data, 100, 64)
    except (chat.MalformedResponse, chat.ChatError) as e:
        assert str(e).startswith(("sent ", "counted ")) and len(str(e)) < 200
        return
    reply.text.encode()
    assert type(reply.prompt_tokens) is type(reply.tokens) is int and reply.prompt_tokens >= 0 <= reply.tokens


@fuzz(60)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    | st.lists(st.sampled_from(["```", "\n", "a", "\u2028", "\x85"])).map("".join)
)
def test_an_answer_becomes_the_same_template_when_it_is_recorded_and_replayed(tmp_path, text):
    ledgers, path = (Ledger(), Ledger()), tmp_path / "recording.jsonl"
    path.unlink(missing_ok=True)
    first = ModelProposer(lambda prompts: [Answer(text, 7, 5) for _ in prompts], 5000, ledgers[0], path).propose([JOB])
    ask = make_asker(ReflectorConfig(kind="replay", path=str(path)), None, 0)
    assert ModelProposer(ask, 5000, ledgers[1], None).propose([JOB]) == first and ledgers[0] == ledgers[1]


@fuzz(60)
@given(
    st.binary(max_size=40)
    | st.lists(
        st.dictionaries(
            st.sampled_from(["prompt_sha256", "nth", "epoch", "answer", "text", "prompt_tokens", "tokens"]), VALUES | st.just(0)
        ),
        max_size=2,
    ).map(lambda rows: "".join(json.dumps(row) + "\n" for row in rows).encode())
)
def test_a_recording_or_kept_answers_are_read_or_refused(tmp_path, data):
    path = tmp_path / "x.jsonl"
    path.write_bytes(data)
    for read in (lambda: make_asker(ReflectorConfig(kind="replay", path=str(path)), None, 0), lambda: Answers(path, 0)):
        try:
            read()
        except HarnessError as e:
            assert str(path) in str(e)
