"""Suites and training sets from outside: by path, by include path, by package; what is wrong with one breaks nothing else."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys

import pytest
import yaml

from harness.core.errors import MissingError, UsageError
from harness.core.settings import EvalConfig
from harness.data.authoring import card_text, new_suite, read_folder, to_fill_in
from harness.data.problems import render
from harness.data.suites import broken_suites, list_suites, load_suite, suite_names, suite_of_run
from harness.data.training_sets import load_training_set, resolve_bench
from harness.registry import INCLUDE, include, named
from support.settings import resolve

ROWS = [
    {"id": "a", "problem": "What is 2+3?", "answer": 5},
    {"id": "b", "problem": "What is 1/2 of 4?", "answer": "2", "cluster_id": "halves"},
]
LETTERS = [
    {"id": "a", "problem": "Which?\n(A) one\n(B) two", "answer": "B"},
    {"id": "b", "problem": "Which?\nA. one\nB. two", "answer": "A"},
]


def write(path, rows=ROWS):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A suite of one's own, as `harness suite new` leaves it."""
    new_suite("mine", write(tmp_path / "raw" / "q.jsonl"), tmp_path / "suites")
    monkeypatch.delenv(INCLUDE)
    return tmp_path / "suites" / "mine"


def edit(card, **fields):
    tree = yaml.safe_load(card.read_text()) | fields
    card.write_text(yaml.safe_dump({k: v for k, v in tree.items() if v != "gone"}))


def only(found):
    [suite] = found
    return suite


# ------------------------------------------------------------------ a data file


def test_a_data_file_is_a_suite_asked_as_the_six_are(tmp_path):
    path = write(tmp_path / "q.jsonl")
    suite = only(resolve_bench(str(path), None))
    assert (suite.name, suite.size, suite.answer_type, suite.prompt) == ("q", 2, "math", "boxed")
    for other, count in (("aime24", 30), ("math500", 500)):
        six = load_suite(other)
        many = [{"id": str(i), "problem": "?", "answer": "x"} for i in range(count)]
        found = only(resolve_bench(str(write(tmp_path / f"{other}-like.jsonl", many)), None))
        assert found.terms(EvalConfig()) == six.terms(EvalConfig())
    assert [(p.id, p.text, p.answer, p.cluster_id) for p in suite.problems(None)] == [
        ("a", render("What is 2+3?", "boxed"), "5", None),
        ("b", render("What is 1/2 of 4?", "boxed"), "2", "halves"),
    ]
    assert suite.clusters(None) == {"a": "a", "b": "halves"} and suite.deviation(None) is None


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        (LETTERS, "choice"),
        ([*LETTERS, {"id": "c", "problem": "Which?\n(A) one\n(B) two", "answer": "C"}], "math"),  # no such option
        ([*LETTERS, {"id": "c", "problem": "Solve for A.", "answer": "A"}], "math"),
        ([*LETTERS, {"id": "c", "problem": "(A) one (B) two", "answer": "(A)"}], "math"),
    ],
)
def test_letters_are_a_choice_where_every_one_is_an_option(tmp_path, rows, kind):
    suite = only(resolve_bench(str(write(tmp_path / "q.jsonl", rows)), None))
    assert (suite.answer_type, suite.prompt) == (kind, "choice" if kind == "choice" else "boxed")


def test_content_and_not_the_place_makes_the_hash(tmp_path, mine):
    """By hand: a line of JSON per problem with id, user turn, answer and its type."""
    suite = load_suite_at(mine)
    lines = [["a", render("What is 2+3?", "boxed"), "5", "math"], ["b", render("What is 1/2 of 4?", "boxed"), "2", "math"]]
    expected = hashlib.sha256("".join(json.dumps(x) + "\n" for x in lines).encode()).hexdigest()
    assert suite.data_sha256(None) == expected
    packed = tmp_path / "other.jsonl"
    packed.write_bytes(gzip.compress((tmp_path / "raw" / "q.jsonl").read_bytes()))
    assert only(resolve_bench(str(packed), None)).data_sha256(None) == expected
    edit(mine / "card.yaml", prompt="brief")
    assert load_suite("mine").data_sha256(None) != expected


def load_suite_at(folder):
    return only(resolve_bench(str(folder), None))


# ------------------------------------------------------------------ a card


@pytest.mark.parametrize("how", ["folder", "card", "data", "include", "environment"])
def test_ways_to_name_a_suite(mine, tmp_path, monkeypatch, how):
    if how == "include":
        include(mine.parent)
    if how == "environment":
        monkeypatch.setenv(INCLUDE, f"{tmp_path / 'raw'}{os.pathsep}{mine}")
    places = {"folder": f"{mine}/", "card": mine / "card.yaml", "data": mine / "q.jsonl"}
    found = resolve_bench(f"{places.get(how, 'mine')},tb-id", None)
    assert [s.name for s in found] == ["q" if how == "data" else "mine", "tb-id"]
    assert [p.answer for p in found[0].problems(None)] == ["5", "2"]
    assert found[0].name in suite_names() and found[0] in list_suites()


def test_settings_name_suites_and_never_places(mine, tmp_path):
    bench = f"tb-id,{mine},{tmp_path / 'raw' / 'q.jsonl'}"
    spec = resolve("grpo", flags={"eval": {"bench": bench}})
    assert spec.eval.bench == "tb-id,mine,q" and str(tmp_path) not in json.dumps(spec.model_dump(mode="json"))
    assert spec.hash() == resolve("grpo", flags={"eval": {"bench": "tb-id,mine,q"}}).hash()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"k": "many"}, r"Expected `int`, got `str` - at `\$\.k`"),
        ({"k": 0}, "k is 0"),
        ({"size": "gone"}, "missing required field `size`"),
        ({"temperatur": 1.0}, "unknown field 'temperatur'; did you mean 'temperature'"),
        ({"prompt": "boxd"}, "prompt is 'boxd'; did you mean 'boxed'"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"temperature": 0.0}, "temperature is 0.0, with k above 1"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"home": "/"}, "unknown field 'home'"),
        ({"name": "x"}, "unknown field 'name'"),
    ],
)
def test_a_fault_in_a_card_names_file_and_field_and_harms_no_other(mine, fields, says):
    write(mine.parent / "good.jsonl")
    edit(mine / "card.yaml", **fields)
    include(mine.parent)
    include(mine.parent / "good.jsonl")
    with pytest.raises(UsageError, match=f"{mine / 'card.yaml'}: .*{says}"):
        load_suite("mine")
    assert str(mine / "card.yaml") in broken_suites()["mine"]
    assert {"good", "tb-id"} <= {s.name for s in list_suites()} and load_suite("good").size == 2


def test_cards_that_are_no_card(mine):
    for text, says in (("[1]", "holds no fields"), ("a: [", "expected"), ("\ufefftitle: x", "missing required field")):
        (mine / "card.yaml").write_text(text)
        with pytest.raises(UsageError, match=says):
            resolve_bench(str(mine), None)


def test_a_card_that_its_data_contradict(mine):
    edit(mine / "card.yaml", size=3)
    with pytest.raises(UsageError, match=r"card.yaml: size is 3, and .*q.jsonl gives 2 problems"):
        load_suite_at(mine).problems(None)
    edit(mine / "card.yaml", size=2)
    write(mine / "q.jsonl", LETTERS)
    with pytest.raises(UsageError, match="not the file that suite 'mine' pins"):
        load_suite("mine").problems(None)
    edit(mine / "card.yaml", sha256=None)
    assert "pins no file" in load_suite("mine").deviation(None)
    (mine / "q.jsonl").rename(mine.parent / "q.jsonl")
    with pytest.raises(MissingError, match="no file"):
        load_suite("mine").problems(None)
    assert len(load_suite("mine").problems(mine.parent)) == 2, "what does not lie beside the card is in the data folder"


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("suites", "holds no card.yaml; a folder of suites goes with --include-path"),
        ("aime24.jsonl", "'aime24' is the name of one of the harness's own"),
        ("six.jsonl", "'six' is the name of one of the harness's own"),
        ("ood.jsonl", "'ood' cannot be a name"),
        ("my file.jsonl", "'my file' cannot be a name"),
        ("empty.jsonl", "holds no problems"),
        ("bad.jsonl", "bad.jsonl, line 1: field 'answer'"),
    ],
)
def test_paths_that_are_no_suite(mine, tmp_path, path, says):
    write(tmp_path / path, [] if path == "empty.jsonl" else [{"id": "a", "problem": "?"}] if path == "bad.jsonl" else ROWS) if (
        path != "suites"
    ) else None
    with pytest.raises(UsageError, match=says):
        resolve_bench(str(tmp_path / path), None)


def test_files_and_folders_that_look_like_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text("q,a\n1,2\n")
    with pytest.raises(UsageError, match=r"mine\.csv is read as a name; the name of a data file ends in \.jsonl, "):
        resolve_bench("mine.csv", None)
    with pytest.raises(UsageError, match=r"^\. holds no card\.yaml"):
        resolve_bench(".", None)
    with pytest.raises(UsageError, match="unknown suite 'mine"):
        resolve_bench("mine." + "x" * 300, None)
    (tmp_path / "aime24").write_text("")
    assert [s.name for s in resolve_bench("aime24", None)] == ["aime24"], "a name is a name"


def test_other_mistakes(mine, tmp_path):
    with pytest.raises(MissingError, match="no file or folder"):
        resolve_bench(str(tmp_path / "none.jsonl"), None)
    write(tmp_path / "mine.jsonl")
    with pytest.raises(UsageError, match="two suites have the name 'mine'"):
        resolve_bench(f"{mine},{tmp_path / 'mine.jsonl'}", None)
    with pytest.raises(UsageError, match="did you mean 'mine'"):
        resolve_bench("mien", None)


def test_the_path_of_a_suite_of_the_harness_is_its_name():
    from harness.data.suites import benchmarks_dir

    assert only(resolve_bench(str(benchmarks_dir() / "tb-id"), None)) is load_suite("tb-id")


# ------------------------------------------------------------------ harness suite new


def test_a_new_suite_says_what_is_left_to_fill_in(mine):
    suite = only(read_folder(mine))
    assert to_fill_in(suite) == ["source", "licence", "known_defects"]
    assert {p.name for p in mine.iterdir()} == {"card.yaml", "mine.yaml", "q.jsonl"}
    edit(mine / "card.yaml", source="here", licence="CC0", known_defects=[])
    assert to_fill_in(load_suite("mine")) == []
    assert suite_of_run("mine", {"mine": suite.card()}).terms(EvalConfig()) == suite.terms(EvalConfig())


def test_the_card_of_a_shipped_suite_is_what_its_file_says():
    from harness.data.suites import benchmarks_dir

    for suite in list_suites():
        said = yaml.safe_load((benchmarks_dir() / suite.name / "card.yaml").read_text())
        assert {**said, **suite.card()} == said and said.keys() - suite.card().keys() <= {"greedy", "overlap", "answer_form"}
        assert yaml.safe_load(card_text(suite)).keys() == suite.card().keys()


def test_a_new_suite_that_cannot_be(mine, tmp_path):
    data = tmp_path / "raw" / "q.jsonl"
    for name, says in (("a/b", "cannot be a name"), ("tb-id", "harness's own"), ("six", "harness's own"), ("mine", "already")):
        with pytest.raises(UsageError, match=says):
            new_suite(name, data, mine.parent)
    with pytest.raises(UsageError, match="holds no problems"):
        new_suite("other", write(tmp_path / "empty.jsonl", []), tmp_path / "new")
    assert not (tmp_path / "new").exists()
    with pytest.raises(MissingError, match=r"holds no card\.yaml"):
        read_folder(tmp_path / "raw")


# ------------------------------------------------------------------ training sets


def test_a_data_file_is_a_training_set(tmp_path):
    path = write(tmp_path / "own.jsonl")
    spec = resolve("grpo", "smollm2", sets=[f"train.set={path}"])
    assert spec.train.set == "own"
    own = load_training_set("own")
    assert [p.answer for p in own.problems(spec, None)] == ["5", "2"] and own.deviation(None) is None
    assert own.id == own.ood == () and own.world_of(spec) is None
    with pytest.raises(UsageError, match="no suite in the role 'ood'"):
        resolve_bench("ood", own)


def test_a_training_set_of_an_include_path(mine):
    file = mine.parent / "training_sets.yaml"
    entry = {"title": "Own", "source": "here", "file": "mine/q.jsonl", "sha256": None, "licence": "CC0", "answer_type": "math"}
    entry |= {"prompt": "boxed", "id": ["mine"], "ood": ["svamp"]}
    file.write_text(yaml.safe_dump({"own": entry}))
    include(mine.parent)
    own = load_training_set("own")
    assert [s.name for s in resolve_bench("all", own)] == ["mine", "svamp"] and own.role_of("mine") == "id"
    assert len(own.whole(None, None)) == 2 and "pins no file" in own.deviation(None)
    for change, says in (
        ({"promt": "x"}, "own.promt"),
        ({"world": "a:b"}, "own.world is no field"),
        ({"title": 3}, "own.title: Input should be a valid string"),
    ):
        file.write_text(yaml.safe_dump({"own": entry | change}))
        with pytest.raises(UsageError, match=f"{file}: {says}"):
            load_training_set("own")
        assert load_training_set("testbed").policy == "testbed"
    file.write_text("a: [")
    with pytest.raises(UsageError, match=rf"unknown training set 'own'.*{file} is not valid YAML"):
        load_training_set("own")


def test_paths_that_are_no_training_set(mine, tmp_path):
    for path in (mine, mine / "card.yaml"):
        with pytest.raises(UsageError, match="is no data file; a training set is one"):
            named(str(path), training_set=True)
    named(str(write(tmp_path / "gsm8k.jsonl")), training_set=True)
    with pytest.raises(UsageError, match="'gsm8k' is the name of another training set"):
        load_training_set("gsm8k")


# ------------------------------------------------------------------ packages


def test_suites_of_a_package(mine, tmp_path):
    """Installed as pip leaves it behind; the harness's own names win, and a broken package harms nothing."""
    package, info = tmp_path / "site" / "own_suites", tmp_path / "site" / "own_suites-1.0.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").write_text("")
    mine.rename(package / "mine")
    write(package / "tb-id" / "card.yaml")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-suites\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[harness.suites]\nown = own_suites\nbroken = not_there\n")
    code = (
        "import json; from harness.cli.listing import list_benches; from harness.data.suites import load_suite\n"
        "print(json.dumps([len(load_suite('mine').problems(None)), load_suite('tb-id').size, list_benches()]))"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    size, own, rows = json.loads(done.stdout)
    assert (size, own) == (2, 200)
    errors = {row["name"]: row["error"] for row in rows if row["name"] in ("mine", "broken", "tb-id")}
    assert errors["mine"] is errors["tb-id"] is None and "suites cannot be read from not_there" in errors["broken"]
