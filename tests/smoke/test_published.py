"""What is published in this repository follows from its samples, under the graders and the tables of today."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_published_boards_verify():
    command = [Path(sys.executable).with_name("harness"), "leaderboard", "verify", str(ROOT / "leaderboards")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "20 runs verified" in done.stdout
