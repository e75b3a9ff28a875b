"""The pages for authors are followed to the letter in a copy of the checkout; the map of CONTRIBUTING.md is the code's."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT
from support.structure import packages, picture

BLOCK = re.compile(r'^```(\w+)(?: title="([^"\n]+)")?\n(.*?)^```$', re.M | re.S)


def blocks(page, heading):
    """(language, file, content) of the section's blocks, in order."""
    section = (ROOT / page).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return BLOCK.findall(section)


@pytest.fixture
def copy(tmp_path):
    """The checkout as an editable install sees it: the data folders lie in the package too."""
    junk = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info")
    for name in ("harness", "methods", "benchmarks", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=junk)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in ("methods", "benchmarks"):
        (tmp_path / "harness" / name).symlink_to(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("page", "heading"), [("methods/README.md", "A method in an evening"), ("benchmarks/README.md", "A suite in an evening")]
)
def test_steps(copy, page, heading):
    folders = [Path(sys.executable).parent, *os.environ["PATH"].split(os.pathsep)]
    users = {k: v for k, v in os.environ.items() if k != "HARNESS_RUN_RECIPE"}
    env = {**users, "PYTHONPATH": str(copy), "PATH": os.pathsep.join(map(str, folders))}
    found = blocks(page, heading)
    assert [language for language, *_ in found].count("bash") >= 2
    for language, file, content in found:
        if language == "bash":
            done = subprocess.run(["bash", "-euc", content], cwd=copy, env=env, capture_output=True, text=True)
            assert done.returncode == 0, content + done.stdout[-2000:] + done.stderr[-2000:]
        else:
            assert file, "every other block is a file"
            (copy / file).parent.mkdir(parents=True, exist_ok=True)
            (copy / file).write_text(content)
    [result] = copy.glob("runs/*/result.json")
    assert result.parent.name in ("try", "capitals")


def test_the_map_names_every_package_and_the_picture_is_that_of_the_code():
    names = set(packages(ROOT)) - {"methods"}
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = text.split("## The map")[1].split("```mermaid")[0]
    assert {n for n in names if not re.search(rf"`(harness/)?{n}(\.py)?`", table)} == set()
    assert picture(ROOT).strip() in text, "draw it again: python tests/support/structure.py"
