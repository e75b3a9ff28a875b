"""Training sets from a dataset folder, through the real datasets library; the hub itself is out of reach of tests."""

import json
import sys

import pytest

from harness.cli import main
from harness.errors import UsageError
from harness.fetch import fetch
from harness.suites import load_training_set, read_problems

ROWS = [
    {"question": "Find x.", "final_answer": "2", "difficulty": 8.0, "r1_solution_1": "..."},
    {"question": "Find y.", "final_answer": "3", "difficulty": 5.5, "r1_solution_1": "..."},
    {"question": "Find x.", "final_answer": "2", "difficulty": 8.0, "r1_solution_1": "again"},
    {"question": "Find z.", "final_answer": "", "difficulty": 9.0, "r1_solution_1": "no answer"},
    {"question": "Find w.", "final_answer": "5", "difficulty": 7.0, "r1_solution_1": "..."},
]


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps(r) + "\n" for r in ROWS))
    return str(folder)


def test_filtered_deduplicated_sorted_and_the_same_each_time(tmp_path, source, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    records = [fetch(load_training_set("deepmath"), tmp_path / name, source) for name in "ab"]
    assert records[0] == records[1] and (records[0]["rows"], records[0]["of"]) == (2, 5)
    path = tmp_path / "a" / "train" / "deepmath_ge7.jsonl"
    problems = read_problems(path, "math")
    assert sorted(p.answer for p in problems) == ["2", "5"] and [p.id for p in problems] == sorted(p.id for p in problems)
    assert all(p.solution is None for p in problems), "DeepMath's solutions are a model's, and are not taken"
    assert json.loads(path.with_name(path.name + ".source.json").read_text()) == records[0]
    assert "pins" in load_training_set("deepmath").deviation(tmp_path / "a")


def test_bad_requests(tmp_path, source, capsys):
    with pytest.raises(UsageError, match="names no hub dataset"):
        fetch(load_training_set("testbed"), tmp_path)
    with pytest.raises(UsageError, match="no column 'answer'"):
        fetch(load_training_set("deepscaler"), tmp_path, source)
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "deepmath_ge7.jsonl").touch()
    sys.argv = ["harness", "fetch", "deepmath", "--data-dir", str(tmp_path), "--source", source]
    with pytest.raises(SystemExit) as e:
        main()
    assert e.value.code == 2 and "already there" in capsys.readouterr().err
