"""A submission: what `add` files, in a folder of its own, with a text whose ticks hold."""

import shutil

import pytest

from harness.leaderboard import submit
from support.boards import make_run
from support.command import harness


def files(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_it_holds_what_add_files_and_says_what_was_checked(tmp_path, capsys):
    run, board, out = make_run(tmp_path / "run"), tmp_path / "leaderboards", tmp_path / "out"
    code, said, err = harness(capsys, "leaderboard", "submit", run, "--board", board, "--out", out)
    assert code == 0, err
    folder, _ = submit.add(run, tmp_path / "again" / "leaderboards")
    found = files(out)
    text = found.pop("PULL_REQUEST.md").decode()
    assert found == files(tmp_path / "again") and not board.exists()
    assert "- [x] 960 samples of 1 suites were graded again, and every grade agrees" in text  # 160 problems x 2 x 3 seeds
    assert "- [x] 3 seeds; the board asks for 3" in text and "- [x] nothing keeps it from being a result" in text
    assert "- [x] prompts and gold answers of tb-long are those of the data" in text
    assert f"Filed as `leaderboards/testbed/testbed/{folder.name}`" in text
    assert str(tmp_path) not in text
    shutil.copytree(out / "leaderboards", board)
    for verb in ("build", "verify"):
        code, said, err = harness(capsys, "leaderboard", verb, board)
        assert code == 0, err
    code, _, err = harness(capsys, "leaderboard", "submit", run, "--board", board, "--out", tmp_path / "second")
    assert code == 2 and "it is on the board already" in err and not (tmp_path / "second").exists()


def test_what_does_not_hold_is_not_ticked(tmp_path, capsys):
    run = make_run(tmp_path / "run", right=(3, 5))
    words = ["leaderboard", "submit", run, "--board", tmp_path / "boards", "--out", tmp_path / "out"]
    code, _, err = harness(capsys, *words)
    assert code == 2 and "2 of the 3 seeds" in err and not (tmp_path / "out").exists()
    code, _, err = harness(capsys, *words, "--pilot")
    assert code == 0, err
    assert "- [ ] 2 seeds; the board asks for 3, so this is a pilot" in (tmp_path / "out" / "PULL_REQUEST.md").read_text()


def test_the_boards_own_rules_hold(tmp_path, capsys):
    run, rules = make_run(tmp_path / "run"), tmp_path / "boards" / "testbed" / "testbed" / "rules.json"
    rules.parent.mkdir(parents=True)
    rules.write_text('{"schema": 1, "least_seeds": 5}')
    code, _, err = harness(capsys, "leaderboard", "submit", run, "--board", tmp_path / "boards", "--out", tmp_path / "out")
    assert code == 2 and "3 of the 5 seeds" in err


@pytest.mark.parametrize("in_the_way", ["file", "folder"])
def test_nothing_is_written_over(tmp_path, capsys, in_the_way):
    run, out = make_run(tmp_path / "run"), tmp_path / "out"
    out.touch() if in_the_way == "file" else (out / "x").mkdir(parents=True)
    code, _, err = harness(capsys, "leaderboard", "submit", run, "--out", out)
    assert code == 2 and "already holds files; name another --out" in err
