"""What a manifest's checks are made of, where the testbed's runs alone would not tell."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from harness.config import RunSpec, resolve_eval
from harness.core.errors import HarnessError, MissingError
from harness.core.hints import Coverage
from harness.core.ledger import Ledger
from harness.core.trees import merge
from harness.data.problems import content_sha256
from harness.data.suites import load_suite
from harness.data.training_sets import load_training_set
from harness.leaderboard import declared
from harness.leaderboard.declared import check_declared, method_of, problems_of
from harness.runs.spec import typed_spec
from support.boards import PROBLEMS, SUITE
from support.forgeries import field, without_seed


@pytest.fixture
def spec(held_p2o):
    return typed_spec(held_p2o.m["spec"], held_p2o.folder)


def changed(spec, **own):
    """The settings with these others."""
    return RunSpec(**merge(spec.model_dump(mode="json"), own))


def test_problems_of_a_file_come_from_the_data():
    suite = SimpleNamespace(name="s", file="s.jsonl", problems=lambda data_dir: [data_dir])
    assert problems_of(suite, "data") == ["data"] and problems_of(SUITE, None) == PROBLEMS


def test_every_fact_of_a_suite_is_held(held_p2o, spec):
    training_set = load_training_set("testbed")
    found = declared._of_suite(held_p2o.manifest(), spec, SUITE, training_set)
    sha = SUITE.sha256
    own = [("role", "ood"), ("title", SUITE.title), ("n", 160), ("k", 2), ("temperature", 0.6), ("max_new_tokens", 32)]
    expected = [*((key, value, value) for key, value in own), ("data_sha256", sha, sha), ("data_sha256", False, False)]
    assert found == [(f"suites.tb-long.{key}", a, b) for key, a, b in expected]


def test_families_of_questions_are_those_of_the_suite(held_p2o, tmp_path, monkeypatch):
    monkeypatch.setitem(held_p2o.m["suites"]["tb-long"], "clusters", {"p1": "f", "p2": "f"})
    with pytest.raises(HarnessError, match=r"suites\.tb-long\.clusters is .* its settings give {}"):
        check_declared(held_p2o.folder, held_p2o.manifest())
    rows = [{"id": str(i), "problem": "x", "answer": "1", "cluster_id": "f"} for i in range(2)]
    (tmp_path / "s.jsonl").write_text("\n".join(map(json.dumps, rows)))
    suite = replace(load_suite("aime24"), file="s.jsonl", sha256=None, name="tb-long")
    [(key, said, found)] = declared._of_families(held_p2o.manifest(), suite, tmp_path)
    assert (key, said, found) == ("suites.tb-long.clusters", {"p1": "f", "p2": "f"}, {"0": "f", "1": "f"})
    assert declared._of_families(held_p2o.manifest(), suite, None) == [], "the data are not at hand"


def test_data_and_training_set_reach_what_asks_for_them(held_p2o, monkeypatch, tmp_path):
    asked = []
    told, problems = declared.what_was_told, declared.problems_of

    def what_was_told(spec, training_set, method):
        asked.append(training_set.name)
        return told(spec, training_set, method)

    def recorded(suite, data_dir):
        asked.append((suite.name, data_dir))
        return problems(suite, data_dir)

    monkeypatch.setattr(declared, "what_was_told", what_was_told)
    monkeypatch.setattr(declared, "problems_of", recorded)
    check_declared(held_p2o.folder, held_p2o.manifest(), tmp_path)
    assert asked == ["testbed", ("tb-long", tmp_path)]


def test_all_that_is_derived_is_held_against_the_manifest(held_p2o, spec, monkeypatch, tmp_path):
    """Each part of the check gets the manifest, the settings, and the data that were said; its errors name the folder."""
    asked = []

    def record(name):
        real = getattr(declared, name)
        monkeypatch.setattr(declared, name, lambda *own: asked.append((name, own)) or real(*own))

    m, training_set = held_p2o.manifest(), load_training_set("testbed")
    for name in ("_of_suite", "_of_families", "_training_problems", "_check_flagged", "_other_problems", "_check_stamp"):
        record(name)
    found, count = check_declared(held_p2o.folder, m, tmp_path)
    problems = training_set.problems(spec, None)
    assert (found, count) == (spec, len(problems))
    assert asked == [
        ("_of_suite", (m, spec, SUITE, training_set)),
        ("_of_families", (m, SUITE, tmp_path)),
        ("_training_problems", (spec, training_set, tmp_path)),
        ("_check_flagged", (held_p2o.folder, m, spec, [SUITE], problems, tmp_path)),
        ("_other_problems", (m, spec, training_set, problems)),
        ("_check_stamp", (held_p2o.folder, m, spec, [None, None])),
    ]


def test_what_is_said_otherwise_is_named_with_the_manifest(held_p2o):
    folder = held_p2o.folder
    for change, words in (
        (field("spec.seeds", [0, 1]), "seeds is [0, 1, 2], its settings give [0, 1]"),
        (without_seed(0), "seeds is [1, 2], its settings give [0, 1]"),
        (field("training_set", "gsm8k"), "training_set is 'gsm8k', its settings give 'testbed'"),
        (field("spec.eval.bench", "tb-long,tb-id"), "suites is ['tb-long'], its settings give ['tb-id', 'tb-long']"),
        (field("teacher_tokens", 1), "teacher_tokens is 1, its settings give 0"),
    ):
        with pytest.raises(HarnessError) as e:
            check_declared(folder, held_p2o.changed(change).manifest())
        assert str(e.value) == f"{folder / 'manifest.json'}: {words}"
    with pytest.raises(HarnessError) as e:
        check_declared(folder, held_p2o.changed(field("spec.train.magic", 1)).manifest())
    assert str(e.value) == f"the run at {folder} was made by another version of the harness: train.magic"


def test_a_method_is_made_of_its_settings(spec, monkeypatch):
    monkeypatch.setattr(declared, "load_method", lambda name: lambda **own: (name, own))
    name, own = method_of(spec, 3, 2)
    problems = own.pop("problems")
    phrases = load_training_set("testbed").pieces()
    expected = {"config": spec.typed_method_config(), "train": spec.train, "seed": 3, "phrases": phrases}
    assert (name, own) == ("p2o", expected) and len(problems) == 2
    assert all((p.hints, p.answer, p.solution) == ((), "1", "1") for p in problems)
    _, own = method_of(spec)
    assert own["seed"] == 0 and len(own["problems"]) == 1
    skills = changed(spec, model={"id": "skills"}, train={"set": "skills"}, skills={"lift": 0})
    _, own = method_of(skills, problems=1)
    neutral, all_of_them = (load_training_set("skills").pieces(s) for s in (skills, None))
    assert own["phrases"] == neutral != all_of_them, "what its world's settings let a search compose"
    assert len(own["problems"][0].hints) == 1, "a set with hints"


def test_what_a_training_was_told(spec):
    """Written by the policy's own model it is no teacher; by another one, all that it wrote is the teacher's."""
    names = ["method", "recipe", "reference", "reference_source", "teacher", "teacher_tokens"]
    m = SimpleNamespace(**{name: f"said {name}" for name in names}, ledger=Ledger(reflection_tokens=7))

    def found(spec):
        rows = declared._of_training(m, spec, load_training_set("testbed"))
        assert [(key, said) for key, said, _ in rows] == [(name, f"said {name}") for name in names]
        return [value for _, _, value in rows]

    def reflected(model):
        return changed(spec, method_config={"reflector": {"kind": "openai", "model": model, "base_url": "http://x/v1"}})

    assert found(spec) == ["p2o", "testbed", "none", "none", None, 0]
    assert found(reflected("testbed")) == ["p2o", "testbed", "answer", "none", None, 0]
    assert found(reflected("big")) == ["p2o", "testbed", "answer", "none", "big", 7]


def test_a_suite_without_a_role_or_a_pinned_file(held_p2o, spec):
    m = held_p2o.manifest()

    def found(suite, training_set="testbed", said=m.suites["tb-long"]):
        own = SimpleNamespace(suites={"tb-long": said})
        rows = declared._of_suite(own, spec, suite, load_training_set(training_set))
        return {key.rpartition(".")[2]: value for key, _, value in rows[:-1]}, rows[-1]

    assert found(SUITE, "gsm8k")[0]["role"] == "other"
    other = SimpleNamespace(**{name: getattr(m.suites["tb-long"], name) for name in m.suites["tb-long"].__struct_fields__})
    other.data_sha256 = "1" * 64
    assert found(SUITE, said=other)[0]["data_sha256"] == SUITE.sha256
    unpinned = replace(SUITE, sha256=None)
    assert found(unpinned, said=other)[0]["data_sha256"] == "1" * 64, "nobody knows better"
    other.data_sha256 = None
    assert found(unpinned, said=other)[1] == ("suites.tb-long.data_sha256", True, False)
    assert declared._unpinned(SUITE) is None and declared._unpinned(unpinned) == "suite 'tb-long' pins no file"


def test_training_problems_are_made_once_for_all_runs_of_the_same_settings(spec, monkeypatch, tmp_path):
    monkeypatch.setattr(declared, "_MADE", {})
    asked = []

    def found(spec, name="testbed", file=None):
        """What is found, and whether the training set was asked for it."""
        before = len(asked)
        own = SimpleNamespace(name=name, file=file, problems=lambda *given: asked.append(given) or [len(asked)])
        made = declared._training_problems(spec, own, tmp_path)
        assert asked[before:] in ([], [(spec, tmp_path)])
        return made, len(asked) > before

    assert found(spec) == ([1], True) and found(changed(spec, train={"lr": 0.5})) == ([1], False)
    assert found(changed(spec, train={"limit": 7})) == ([2], True), "a part of them"
    assert found(changed(spec, train={"with_solutions": True})) == ([3], True), "those with solutions"
    assert found(changed(spec, testbed={"easy_share": 0.1})) == ([4], True), "another world"
    assert found(spec, "skills") == ([5], True) and found(spec, "skills") == ([5], False)
    assert found(spec, "gsm8k", "f.jsonl") == ([6], True) and found(spec, "gsm8k", "f.jsonl") == ([7], True), (
        "a file may change"
    )
    assert found(spec) == ([1], False)


def test_how_many_problems_had_a_hint_is_counted_again(spec, tmp_path):
    """What a run says of it is what its method finds in the problems; older runs say nothing."""
    problems, own = PROBLEMS[:4], load_training_set("testbed")
    solved = [replace(p, solution="a b c" if i else None) for i, p in enumerate(problems)]
    ladder = RunSpec(**{**spec.model_dump(mode="json"), "method": "prefix-ladder", "method_config": {}})
    evaluation = resolve_eval([], [], {"model": {"id": "testbed"}, "engine": {"name": "transformers"}}, {"seeds": [0]})

    def check(hints, spec=ladder, problems=solved):
        declared._check_hints(tmp_path, SimpleNamespace(hints=hints), spec, own, problems)

    for said in (None, Coverage(4, 3, 3)):
        check(said)
    for said in (Coverage(4, 4, 4), Coverage(4, 3, 2), Coverage(5, 3, 3)):
        with pytest.raises(HarnessError, match="manifest.json: hints is .* its settings give 3 of 4 training problems"):
            check(said)
        check(said, problems=None)  # not at hand
        for other in (spec, evaluation):
            with pytest.raises(HarnessError, match="its settings give None"):
                check(said, other)


def test_training_problems_that_are_not_at_hand(spec, tmp_path):
    gsm8k = load_training_set("gsm8k")
    assert declared._training_problems(changed(spec, model={"id": "qwen"}, train={"set": "gsm8k"}), gsm8k, tmp_path) is None
    assert declared._training_problems(spec, load_training_set("testbed"), None) == load_training_set("testbed").problems(
        spec, None
    )
    evaluation = resolve_eval([], [], {"model": {"id": "testbed"}, "engine": {"name": "transformers"}}, {"seeds": [0]})
    assert declared._training_problems(evaluation, load_training_set("testbed"), None) is None


def test_whose_training_problems_they_are(spec, monkeypatch):
    published = {"testbed": "a" * 64}
    monkeypatch.setattr(declared, "read_training_list", lambda: published)

    def why(sha256, problems=None, spec=spec):
        return declared._other_problems(SimpleNamespace(problems_sha256=sha256), spec, load_training_set("testbed"), problems)

    other = "its training problems are not those of the set 'testbed'"
    assert why(content_sha256(PROBLEMS), PROBLEMS) is None
    assert why(content_sha256(PROBLEMS[1:]), PROBLEMS) == why("a" * 64, PROBLEMS) == why(None, PROBLEMS) == other
    assert why("a" * 64) is None and why("b" * 64) == why(None) == other, "held against what is published of the whole set"
    part = changed(spec, train={"limit": 5})
    assert why("b" * 64, spec=part) is None and why(None, spec=part) == other, "of a part nothing is published"
    published.clear()
    assert why("b" * 64) is None and why(None) == other
    evaluation = resolve_eval([], [], {"model": {"id": "testbed"}, "engine": {"name": "transformers"}}, {"seeds": [0]})
    assert why(None, spec=evaluation) is None and why("a" * 64, spec=evaluation) == "an evaluation has no training problems"


def test_test_problems_that_match_training_problems_are_flagged(held_p2o, spec):
    """Of the problems that were evaluated, those that are trained on word for word; nothing is said without the data."""
    folder = held_p2o.folder
    train = [replace(p, overlap="exact") for p in (PROBLEMS[5], PROBLEMS[2], PROBLEMS[90])]

    def check(flagged, problems=train, spec=spec, suite=SUITE):
        m = SimpleNamespace(suites={"tb-long": SimpleNamespace(flagged=flagged)})
        declared._check_flagged(folder, m, spec, [suite], problems, None)

    def refused(flagged, given, **own):
        with pytest.raises(HarnessError) as e:
            check(flagged, **own)
        said = f"suites.tb-long.flagged is {flagged!r}, the training problems give {given!r}"
        assert str(e.value) == f"{folder / 'manifest.json'}: {said}"

    ids = [PROBLEMS[i].id for i in (2, 5, 90)]
    check(ids)
    refused([], ids)
    refused(ids[:2], ids)
    first = changed(spec, eval={"limit": 6})
    check(ids[:2], spec=first)
    refused(ids, ids[:2], spec=first)
    refused(ids, [], problems=[])
    check(["whatever"], problems=None)

    def missing(data_dir):
        raise MissingError("not here")

    check(["whatever"], suite=SimpleNamespace(name="tb-long", file="f.jsonl", problems=missing))
    evaluation = resolve_eval([], [], {"model": {"id": "testbed"}, "engine": {"name": "transformers"}}, {"seeds": [0]})
    check([], None, evaluation)
    refused(["tb"], [], problems=None, spec=evaluation)
    check(["whatever"], None, evaluation.model_copy(update={"run": "p2o-1"}))  # what the run was trained on is not known


def test_every_reason_against_a_result_must_be_stamped(held_p2o, spec):
    where = held_p2o.folder / "manifest.json"

    def check(stamp=None, *deviations, stopped=(), spec=spec):
        m = SimpleNamespace(not_a_result=stamp, stopped=dict.fromkeys(stopped, "NaN"))
        declared._check_stamp(held_p2o.folder, m, spec, deviations)

    def refused(words, *args, **own):
        with pytest.raises(HarnessError) as e:
            check(*args, **own)
        assert str(e.value) == f"{where}: not_a_result is {words}"

    part = changed(spec, eval={"limit": 3}, backend={"rehearse": True})
    few = "only the first 3 problems of each suite were evaluated (--limit)"
    rehearsed = "it is a rehearsal of the backend (--rehearse)"
    check()
    check(None, None, None)
    refused("None, but the data differ", None, None, "the data differ")
    refused("None, but the training of seed 2 was stopped", stopped=[2])
    refused(f"None, but {few}; {rehearsed}; a; the training of seed 0 was stopped", None, "a", spec=part, stopped=[0])
    check("the data differ", "the data differ", stopped=[1])
    check(f"{few}; {rehearsed}", spec=part)
    check(f"{rehearsed}, and {few}; more", "other", spec=part)
    refused(f"'half of it', without: {few}", "half of it", spec=part)
    refused(f"{few!r}, without: {rehearsed}", few, spec=part)


def evaluated(held_p2o, **own):
    """An evaluation of a model as it is filed, and its settings."""
    tree = {"model": {"id": "testbed"}, "engine": {"name": "transformers"}, "train_set": "testbed"}
    spec = resolve_eval([], [], tree, {"eval": held_p2o.m["spec"]["eval"], "seeds": [0]})
    facts = {"model": "testbed", "training_set": "testbed", "method": "testbed", "recipe": "evaluation", "teacher": None}
    more = {"seeds": (0,), "identity": {"engine": "transformers"}, "problems_sha256": None, "stopped": {}, "not_a_result": None}
    facts["hints"] = None
    suites = held_p2o.manifest().suites
    return SimpleNamespace(**{"spec": spec.model_dump(mode="json"), "suites": suites, **facts, **more, **own}), spec


def test_an_evaluation_of_a_model_was_trained_on_nothing(held_p2o):
    folder = held_p2o.folder
    m, spec = evaluated(held_p2o)
    assert check_declared(folder, m) == (spec, None)
    for own, words in (
        ({"method": "p2o"}, "method is 'p2o', its settings give 'testbed'"),
        ({"recipe": "testbed"}, "recipe is 'testbed', its settings give 'evaluation'"),
        ({"teacher": "big"}, "teacher is 'big', its settings give None"),
        ({"identity": {"engine": "vllm"}}, "identity.engine is 'vllm', its settings give 'transformers'"),
        ({"problems_sha256": "0" * 64}, "not_a_result is None, but an evaluation has no training problems"),
    ):
        with pytest.raises(HarnessError) as e:
            check_declared(folder, evaluated(held_p2o, **own)[0])
        assert str(e.value) == f"{folder / 'manifest.json'}: {words}"
    assert check_declared(folder, evaluated(held_p2o, identity={})[0]) == (spec, None), "filed before it was kept"
