"""Grading from a script of the user's own."""

import subprocess
import sys

SCRIPT = """
from harness.grading.graders import grade_many
print([grade.score for grade in grade_many([("\\\\boxed{2x}", "x+x", "math"), ("\\\\boxed{3x}", "x+x", "math")], workers=2)])
"""


def run(tmp_path, text):
    path = tmp_path / "script.py"
    path.write_text(text)
    return subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=300)


def test_a_script_without_a_main_guard_is_told_once(tmp_path):
    done = run(tmp_path, SCRIPT)
    assert done.returncode == 1
    assert done.stderr.count("put what the script does below `if __name__ == '__main__':`") == 1
    assert done.stderr.count("Traceback") == 1 and "bootstrapping" not in done.stderr


def test_a_script_with_one_is_graded(tmp_path):
    imports, call = SCRIPT.strip().split("\n")
    done = run(tmp_path, f"{imports}\nif __name__ == '__main__':\n    {call}\n")
    assert (done.returncode, done.stdout.strip()) == (0, "[1.0, 0.0]"), done.stderr
