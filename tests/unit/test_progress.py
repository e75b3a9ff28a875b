"""The progress line where there is no terminal: how often, how far, how long still."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

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
    assert lines == [f"p2o ood: {s}% {100 - s} s left seed 0" for s in (10, 20, 30, 40)], "a unit a second"


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


def test_how_long_is_said_in_the_unit_that_fits():
    assert [progress.spoken(s) for s in (0.4, 99, 100, 5900, 6000, 108_000)] == [
        "0 s",
        "99 s",
        "2 min",
        "98 min",
        "2 h",
        "30 h",
    ]


def in_a_terminal(command, columns):
    """What a command writes to a terminal so wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        said = b""
        try:
            while part := os.read(ours, 65536):
                said += part
        except OSError:  # EIO: nobody has it open any more
            pass
    os.close(ours)
    assert process.returncode == 0, said
    return said.decode()


@pytest.mark.parametrize("columns", [80, 120])
def test_on_a_terminal_it_is_one_line_under_its_label(columns):
    """In a terminal of a process of its own: a line of a training is whole at 80 columns."""
    text = "s0 e3 reward 0.46 entropy 0.41 212 tok 3% cut 850/s 12 GB"
    code = f"""
import time
from harness.progress import Progress
with Progress(100, "grpo [id],ood") as p:
    p.update(0)
    time.sleep(0.3)
    p.update(45, {text!r})
"""
    said = in_a_terminal([sys.executable, "-c", code], columns)
    lines = [line for line in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said).replace("\r", "\n").split("\n") if line.strip()]
    assert lines[0] == "grpo [id],ood"
    assert re.fullmatch(rf"\S+ *(\S+ )? *45% 0 s left {text}", lines[-1].strip()), lines
    assert max(map(len, lines)) <= columns
