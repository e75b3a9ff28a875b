"""Every fuzzing target takes the inputs that it begins with: what tests/robustness/fuzz.py stands on has not moved."""

import ast
import subprocess
import sys

import pytest

from support.paths import ROOT

FOLDER = ROOT / "tests" / "robustness"
CODE = """
import sys, tempfile
from pathlib import Path
sys.path[:0] = [{tests!r}, {folder!r}]
import fuzz_targets as t
with tempfile.TemporaryDirectory() as folder:
    target, seeds, words = t.{name}(Path(folder))
    refused = 0
    for seed in seeds:
        try:
            target(seed)
        except t.HarnessError:
            refused += 1
print(len(seeds), refused)
"""


def targets():
    """As fuzz.py lists them."""
    tree = ast.parse((FOLDER / "fuzz.py").read_text())
    return next(ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Assign) and n.targets[0].id == "TARGETS")


def test_every_target_is_listed():
    tree = ast.parse((FOLDER / "fuzz_targets.py").read_text())
    made = [n.name for n in tree.body if isinstance(n, ast.FunctionDef) and getattr(n.returns, "id", "") == "Target"]
    assert made == list(targets())


@pytest.mark.parametrize("name", targets())
def test_its_own_inputs(name):
    """In a process of its own: targets replace what is slow."""
    code = CODE.format(tests=str(ROOT / "tests"), folder=str(FOLDER), name=name)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    tried, refused = map(int, done.stdout.split())
    assert tried and refused < tried, "at least one is accepted, and so looked at whole"
