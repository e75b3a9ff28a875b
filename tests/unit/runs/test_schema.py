"""JSON Schema of what is written, and what is said of a file that does not fit."""

import itertools
import json
import re

import jsonschema
import pytest

from harness.core.errors import HarnessError, UsageError
from harness.runs import formats
from harness.runs.filed import Manifest
from harness.runs.result import ResultFile, load_result
from harness.runs.schema import FORMATS, schema_of
from support.boards import make_run
from support.command import harness


@pytest.mark.parametrize("name", FORMATS)
def test_every_schema_is_one(name):
    schema = schema_of(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    [*_, model] = schema["$ref"].split("/")
    described = schema["$defs"][model]
    assert described["description"], "says what the file holds"
    if FORMATS[name].version is not None:
        assert described["properties"]["schema"] == {"enum": [FORMATS[name].version]} and "schema" in described["required"]


def test_the_command_lists_and_prints_schemas(capsys):
    code, out, _ = harness(capsys, "schema")
    assert code == 0 and all(name in out for name in FORMATS)
    code, out, _ = harness(capsys, "schema", "result")
    assert code == 0 and json.loads(out) == schema_of("result")
    code, _, err = harness(capsys, "schema", "reslt")
    assert code == 2 and "did you mean 'result'" in err
    with pytest.raises(UsageError, match="known: "):
        schema_of("zzz")


def test_a_result_that_lacks_a_field_or_has_one_more_does_not_validate(tmp_path):
    tree = json.loads((make_run(tmp_path) / "result.json").read_text())
    jsonschema.validate(tree, schema_of("result"))
    for wrong in ({**tree, "more": 1}, {k: v for k, v in tree.items() if k != "macro"}, {**tree, "schema": 2}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema_of("result"))


OLD = {
    "no version": (lambda tree: {k: v for k, v in tree.items() if k != "schema"}, "no schema version, .* reads version 1"),
    "another version": (lambda tree: {**tree, "schema": 7}, "schema version 7, .* reads version 1"),
    "a version that is none": (lambda tree: {**tree, "schema": True}, "schema version True, .* reads version 1"),
}


@pytest.mark.parametrize("name", OLD)
@pytest.mark.parametrize(
    ("file", "verb"),
    [
        *itertools.product(["result.json", "spec.json"], [["report"], ["compare"], ["regrade"], ["leaderboard", "add"]]),
        ("env.json", ["report"]),
        ("env.json", ["export", "model-card"]),
    ],
)
def test_a_file_of_another_version_is_refused_naming_both(tmp_path, capsys, name, file, verb):
    change, words = OLD[name]
    path = make_run(tmp_path / "r") / file
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    code, _, err = harness(capsys, *verb, tmp_path / "r")
    assert code == 1 and len(err.splitlines()) == 1 and file in err and re.search(words, err), err


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", "\x00", '{"schema": 1}', '{"schema": 1, "suites": {"a": 1}}', "[" * 100_000]
)
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path, text):
    run = make_run(tmp_path / "r")
    (run / "result.json").write_text(text)
    with pytest.raises(HarnessError) as e:
        load_result(run)
    assert "result.json" in str(e.value) and str(e.value).isprintable() and len(str(e.value)) < 500


def test_a_model_is_read_back_as_it_was_written(tmp_path):
    run = make_run(tmp_path / "r")
    found = formats.read(run / "result.json", ResultFile)
    formats.write(tmp_path / "again.json", found)
    assert (tmp_path / "again.json").read_bytes() == (run / "result.json").read_bytes()
    with pytest.raises(HarnessError, match="schema version 1, .* reads version 3"):
        formats.read(run / "result.json", Manifest)


def test_scores_of_other_seeds_than_the_runs_are_refused(tmp_path):
    run = make_run(tmp_path / "r")
    tree = json.loads((run / "result.json").read_text())
    for change in (
        {"seeds": [0]},
        {"ledgers": {}},
        {"seeds": []},
        {"macro": {**tree["macro"], "per_seed": {}}},
        {"suites": {"tb-long": {**tree["suites"]["tb-long"], "per_seed": {"0": 0.5}}}},
    ):
        (run / "result.json").write_text(json.dumps({**tree, **change}))
        with pytest.raises(HarnessError, match="the run has"):
            load_result(run)
