"""Training sets and suites from a folder, through the real datasets library; the hub itself is out of reach of tests."""

import hashlib
import json
import sys
from pathlib import Path

import pytest
import yaml

from harness import registry
from harness.cli import main
from harness.core.errors import MissingError, UsageError
from harness.data import training_sets
from harness.data.fetch import fetch, find, pin_lines
from harness.data.problems import read_problems, render
from harness.data.suites import benchmarks_dir, load_suite
from harness.data.training_sets import load_training_set
from support.command import harness

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
    records = [fetch(load_training_set("deepmath-full"), tmp_path / name, source) for name in "ab"]
    assert records[0] == records[1] and (records[0]["rows"], records[0]["of"]) == (2, 5)
    path = tmp_path / "a" / "train" / "deepmath_full_ge7.jsonl"
    problems = read_problems(path, "math")
    assert sorted(p.answer for p in problems) == ["2", "5"] and [p.id for p in problems] == sorted(p.id for p in problems)
    assert all(p.solution is None for p in problems), "DeepMath's solutions are a model's, and are not taken"
    assert json.loads(path.with_name(path.name + ".source.json").read_text()) == records[0]
    assert records[0]["sha256"] in load_training_set("deepmath-full").deviation(tmp_path / "a")


def test_bad_requests(tmp_path, source, capsys):
    with pytest.raises(UsageError, match="names no hub dataset"):
        fetch(load_training_set("testbed"), tmp_path)
    with pytest.raises(MissingError, match="harness fetch deepmath-full --data-dir .* writes it"):
        load_training_set("deepmath-full").whole(None, tmp_path)
    with pytest.raises(UsageError, match="'deepmath' names no hub dataset.*all of its source is deepmath-full"):
        find("deepmath")
    with pytest.raises(UsageError, match="no column 'answer'"):
        fetch(load_training_set("deepscaler-full"), tmp_path, source)
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "deepmath_full_ge7.jsonl").touch()
    sys.argv = ["harness", "fetch", "deepmath-full", "--data-dir", str(tmp_path), "--source", source]
    with pytest.raises(SystemExit) as e:
        main()
    assert e.value.code == 2 and "already there" in capsys.readouterr().err


GPQA = [
    {"Question": f"Question {i}?\n", "Correct Answer": f"right {i}"}
    | {f"Incorrect Answer {j}": f"wrong {i}.{j}" for j in (1, 2, 3)}
    for i in range(40)
]


def test_a_suite_with_shuffled_options(tmp_path, monkeypatch):
    """The columns of GPQA, with questions of our own."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "source"
    folder.mkdir()
    blank = {**GPQA[0], "Question": "Blank?", "Incorrect Answer 2": ""}
    (folder / "train.jsonl").write_text("".join(json.dumps(r) + "\n" for r in [*GPQA, GPQA[3], blank]))
    suite = find("gpqa-diamond")
    record, again = (fetch(suite, tmp_path / name, str(folder)) for name in "ab")
    assert record == again and (record["suite"], record["rows"], record["of"]) == ("gpqa-diamond", 40, 42)
    problems = suite.problems(tmp_path / "a")
    assert len(problems) == 40 and {p.answer for p in problems} == set("ABCD")
    for problem in problems:
        question, options = problem.text.removeprefix(render("", suite.prompt)).split("\n\n")
        i = question.removeprefix("Question ").removesuffix("?")
        shown = {line[1]: line[4:] for line in options.split("\n")}
        assert list(shown) == list("ABCD") and shown[problem.answer] == f"right {i}"
        assert set(shown.values()) == {f"right {i}", *(f"wrong {i}.{j}" for j in (1, 2, 3))}
    assert record["sha256"] in suite.deviation(tmp_path / "a")


def test_what_can_be_fetched(tmp_path, monkeypatch):
    assert find("deepmath-full") is load_training_set("deepmath-full") and find("gpqa-diamond") is load_suite("gpqa-diamond")
    with pytest.raises(UsageError, match="'gsm8k' names no hub dataset"):
        find("gsm8k")
    with pytest.raises(UsageError, match="did you mean 'gpqa-diamond'"):
        find("gpqa-diamant")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "train.jsonl").write_text(json.dumps({k: v for k, v in GPQA[0].items() if k[-1] != "3"}) + "\n")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UsageError, match="no column 'Incorrect Answer 3'"):
        fetch(load_suite("gpqa-diamond"), tmp_path, str(tmp_path / "source"))


def test_a_gate_is_named(tmp_path, monkeypatch):
    import huggingface_hub

    asked = []

    class Api:
        def dataset_info(self, id_, revision):
            asked.append((id_, revision))
            raise OSError("Access to the dataset is restricted.")

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    with pytest.raises(MissingError, match="cannot fetch Idavidrein/gpqa: Access .* accept its terms"):
        fetch(load_suite("gpqa-diamond"), tmp_path)
    assert asked == [("Idavidrein/gpqa", load_suite("gpqa-diamond").revision)], "the pinned revision is asked for"


def test_the_command_says_how_to_pin_what_it_wrote(tmp_path, source, monkeypatch, capsys):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    command = ("fetch", "deepmath-full", "--source", source, "--data-dir")
    code, out, _ = harness(capsys, *command, tmp_path / "a", "--json")
    said = json.loads(out)
    sha256 = hashlib.sha256((tmp_path / "a" / said["file"]).read_bytes()).hexdigest()
    assert code == 0 and said["pin"] == [f"sha256: {sha256}"] and said["sha256"] == sha256
    assert Path(said["card"]) == benchmarks_dir() / "training_sets.yaml"
    code, out, _ = harness(capsys, *command, tmp_path / "b")
    assert code == 0 and f"says under deepmath-full\n  sha256: {sha256}\n" in out and '"not a result"' in out


def test_a_pinned_file_is_fetched_as_pinned_or_not_at_all(tmp_path, source, monkeypatch, capsys):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(training_sets, "_training_sets", training_sets._training_sets.__wrapped__)
    command = ("fetch", "deepmath-full", "--source", source, "--data-dir")
    _, out, _ = harness(capsys, *command, tmp_path / "a", "--json")
    monkeypatch.setitem(registry.training_set_fields()["deepmath-full"], "sha256", "0" * 64)
    code, _, err = harness(capsys, *command, tmp_path / "b")
    assert code == 1 and json.loads(out)["sha256"] in err and "nothing was written" in err and err.count("\n") == 1
    assert not (tmp_path / "b").exists()
    monkeypatch.setitem(registry.training_set_fields()["deepmath-full"], "sha256", json.loads(out)["sha256"])
    code, out, _ = harness(capsys, *command, tmp_path / "b")
    assert code == 0 and "as pinned" in out
    assert load_training_set("deepmath-full").deviation(tmp_path / "b") is None


def test_a_revision_is_pinned_with_the_hash(tmp_path):
    target = load_training_set("deepmath-full")
    record = {"sha256": "1a" * 32, "revision": "2b" * 20, "rows": 3}
    sha256, hub = (yaml.safe_load(line) for line in pin_lines(target, record))
    assert sha256 == {"sha256": "1a" * 32} and hub == {"hub": {**target.hub, "revision": "2b" * 20}}
    gpqa = load_suite("gpqa-diamond")
    assert pin_lines(gpqa, {**record, "revision": gpqa.revision, "rows": 198}) == [f"sha256: {'1a' * 32}"]
    assert pin_lines(gpqa, {**record, "revision": gpqa.revision, "rows": 3})[-1] == "size: 3"
    assert pin_lines(load_training_set("gsm8k"), record) == []
