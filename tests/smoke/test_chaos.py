"""A run, an evaluation, a study and a filing, killed at seeded moments and gone on with, equal those that nobody killed."""

import subprocess
import sys

from support.paths import ROOT

SCRIPT = ROOT / "tests" / "robustness" / "chaos.py"


def test_killed_and_resumed_is_bit_identical():
    command = [sys.executable, str(SCRIPT), "--run", "2", "--eval", "1", "--study", "1", "--add", "2", "--seed", "7", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("6 points, ") and last.endswith(", 0 differences") and ", 0 kills" not in last, done.stdout
