"""`harness suite`: exit codes and sentences."""

import json

import pytest

from support.command import harness


def write(path, *answers):
    path.write_text("".join(json.dumps({"id": i, "problem": f"{i}?", "answer": a}) + "\n" for i, a in enumerate(answers)))
    return path


def test_a_gold_that_is_no_answer_is_told_and_a_reason_in_the_card_settles_it(capsys, tmp_path):
    data = write(tmp_path / "q.jsonl", "5", "\\frac{1")
    code, out, err = harness(capsys, "suite", "new", "mine", "--from", data, "--out", tmp_path)
    assert code == 1 and "1: malformed, unbalanced braces" in out and "to fill in, in" in out and err.startswith("error: ")
    card = tmp_path / "mine" / "card.yaml"
    with card.open("a") as f:
        f.write('rejected_golds: {"1": "cut off in the source"}\n')
    code, out, err = harness(capsys, "suite", "check", tmp_path / "mine", "--json")
    assert code == 0, err
    found = json.loads(out.splitlines()[-1])["suites"]["mine"]
    assert found["golds"]["n"] == found["card"]["size"] == 2
    assert found["to_fill_in"] == ["source", "licence", "known_defects"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("new", "mine", "--from", "none.jsonl"), 3, "no file none.jsonl"),
        (("new", "tb-id", "--from", "q.jsonl"), 2, "'tb-id' is the name of one of the harness's own"),
        (("new", "a b", "--from", "q.jsonl"), 2, "'a b' cannot be a name"),
        (("new", "mine", "--from", "bad.jsonl"), 2, "bad.jsonl, line 2: field 'answer'"),
        (("check", "empty"), 3, "empty holds no card.yaml"),
        (("check", "none"), 3, "no file or folder none"),
        (("check", "wrong"), 2, "suite 'wrong': no grader for answer type 'maths'"),
    ],
)
def test_bad_input_is_one_sentence(capsys, tmp_path, monkeypatch, words, code, says):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "q.jsonl", "5")
    write(tmp_path / "bad.jsonl", "5", "")
    (tmp_path / "empty").mkdir()
    assert harness(capsys, "suite", "new", "wrong", "--from", "q.jsonl")[0] == 0
    card = tmp_path / "wrong" / "card.yaml"
    card.write_text(card.read_text().replace("answer_type: math ", "answer_type: maths "))
    monkeypatch.delenv("HARNESS_INCLUDE_PATH")
    found, _, err = harness(capsys, "suite", *words)
    assert found == code and says in err and err.count("\n") == 1, err
