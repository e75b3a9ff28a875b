"""Files written durably, and never through a link."""

import os
import stat

import pytest

from harness.core.errors import HarnessError
from harness.runs import files
from support.boards import make_run
from support.command import harness
from support.states import finished

TARGET = "kept as it is\n"


def test_a_file_is_replaced_and_nothing_else_is_touched(tmp_path):
    outside, path = tmp_path / "outside", tmp_path / "run" / "report.html"
    outside.write_text(TARGET)
    path.parent.mkdir()
    path.symlink_to(outside)
    (path.parent / "report.html.tmp").symlink_to(outside)
    files.write_text(path, "new")
    assert path.read_text() == "new" and not path.is_symlink() and outside.read_text() == TARGET
    files.write_bytes(path, b"\xff")
    assert path.read_bytes() == b"\xff" and sorted(p.name for p in path.parent.iterdir()) == ["report.html", "report.html.tmp"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_temporary_names_cannot_be_foreseen_and_are_left_only_by_who_is_killed(tmp_path):
    seen = set()

    def parts():
        seen.update(p.name for p in tmp_path.iterdir())
        yield "half"
        if len(seen) == 20:
            raise KeyboardInterrupt

    for _ in range(19):
        files.write_lines(tmp_path / "x", parts())
        (tmp_path / "x").unlink()
    with pytest.raises(KeyboardInterrupt):
        files.write_lines(tmp_path / "x", parts())
    assert len(seen) == 20 and not list(tmp_path.iterdir()) and all(files.LEFTOVER.fullmatch(name) for name in seen)
    for name in [*seen, ".mine.tmp", "x.tmp"]:
        (tmp_path / name).touch()
    files.sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".mine.tmp", "x.tmp"]


def test_nothing_is_added_through_a_link(tmp_path):
    (tmp_path / "outside").write_text(TARGET)
    (tmp_path / "x").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError):
        files.append_jsonl(tmp_path / "x", [{"a": 1}])
    assert (tmp_path / "outside").read_text() == TARGET


PLACES = ["report.html.tmp", "spec.json", "samples", "samples/tb-long.jsonl", "regrade.json.tmp", ".lock", "metrics.jsonl", "x"]
VERBS = {
    "report": ("report", "RUN"),
    "regrade": ("regrade", "RUN"),
    "compare": ("compare", "RUN"),
    "export": ("export", "model-card", "RUN"),
    "add": ("leaderboard", "add", "RUN", "--board", "boards"),
    "eval": ("eval", "RUN", "--bench", "tb-long", "--dry-run", "--offline"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_run_with_a_link_inside_is_refused(capsys, tmp_path, monkeypatch, verb):
    """A received run directory reads and writes nothing outside of itself."""
    monkeypatch.chdir(tmp_path)
    for place in PLACES:
        run = tmp_path / place.replace("/", "-")
        finished(run)
        target = tmp_path / "outside"
        if (run / place).exists():
            (run / place).rename(run.with_suffix(".moved"))
            target = run.with_suffix(".moved")
        else:
            target.write_text(TARGET)
        (run / place).symlink_to(target)
        before = target.read_bytes() if target.is_file() else None
        code, _, err = harness(capsys, *(str(run) if w == "RUN" else w for w in VERBS[verb]))
        assert code == 1 and "is a link" in err and err.count("\n") == 1, (place, err)
        assert before is None or target.read_bytes() == before
        assert (run / place).is_symlink()


def test_a_pipe_in_a_run_is_refused_and_a_run_behind_a_link_is_not(capsys, tmp_path):
    run = make_run(tmp_path / "run")
    (tmp_path / "link").symlink_to(run)
    files.check_plain(tmp_path / "link")
    os.mkfifo(run / "samples" / "x")
    with pytest.raises(HarnessError, match="no plain file"):
        files.check_plain(tmp_path / "link")
