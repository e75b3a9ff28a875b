"""The progress line where there is no terminal: how often, how far, how long still."""

import pytest

from harness import progress


@pytest.fixture
def clock(monkeypatch):
    """Seconds, set by hand."""
    at = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: at[0])
    return at


def test_a_line_every_ten_seconds_with_the_time_left(clock, capsys):
    with progress.Progress(100, "p2o ood") as p:
        for seconds in range(0, 41):
            clock[0] = float(seconds)
            p.update(seconds, "seed 0")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"p2o ood: {s}%, about {100 - s} s left  seed 0" for s in (10, 20, 30, 40)], "a unit a second"


def test_what_was_done_before_a_resume_is_no_speed(clock, capsys):
    with progress.Progress(100, "x") as p:
        clock[0] = 1.0
        p.update(80)
        assert p.left_s is None and p.done == 80
        clock[0] = 6.0
        p.update(90)
        assert p.left_s == pytest.approx(5.0), "ten in five seconds, ten to go"
    assert capsys.readouterr().err == "", "not ten seconds yet"


def test_more_than_was_planned_is_all_of_it(clock):
    with progress.Progress(0, "x") as p:
        p.update(5)
        assert (p.done, p.total) == (1, 1)
