"""What a manifest's checks are made of, where the testbed's runs alone would not tell."""

from __future__ import annotations

from types import SimpleNamespace

from harness.data.training_sets import load_training_set
from harness.leaderboard import declared
from harness.leaderboard.declared import check_declared, problems_of
from harness.runs.spec import typed_spec
from support.boards import PROBLEMS, SUITE


def test_problems_of_a_file_come_from_the_data():
    suite = SimpleNamespace(name="s", file="s.jsonl", problems=lambda data_dir: [data_dir])
    assert problems_of(suite, "data") == ["data"] and problems_of(SUITE, None) == PROBLEMS


def test_every_fact_of_a_suite_is_held(held_p2o):
    spec, training_set = typed_spec(held_p2o.m["spec"], held_p2o.folder), load_training_set("testbed")
    found = declared._of_suite(held_p2o.manifest(), spec, SUITE, training_set)
    sha = SUITE.sha256
    own = [("role", "ood"), ("title", SUITE.title), ("n", 160), ("k", 2), ("temperature", 0.6), ("max_new_tokens", 32)]
    expected = [*((key, value, value) for key, value in own), ("data_sha256", sha, sha), ("data_sha256", False, False)]
    assert found == [(f"suites.tb-long.{key}", a, b) for key, a, b in expected]


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
