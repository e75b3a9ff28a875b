"""Every command in the README and the docs is parsed, and run as far as it goes without training."""

import re
import shlex
import sys

import pytest

from harness.cli import main
from harness.registry import studies
from support.paths import ROOT

PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "methods" / "README.md",
    *sorted((ROOT / "methods").glob("*.py")),
]


def commands():
    found = {}
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        for line in re.findall(r"^(?: {4})?\$? ?(?:[A-Z_]+=\S+ )*((?:harness|make) [a-z-].*|python perf/.*)$", text, re.M):
            found[line.split("  #")[0].strip()] = page.name
    return sorted(found)


def test_there_are_commands():
    assert {"make run", "make test"} <= set(commands()) and any(c.startswith("harness run") for c in commands())


@pytest.mark.parametrize("command", commands())
def test_command(command, capsys, monkeypatch, tmp_path):
    words = shlex.split(command)
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
        assert all(w in targets or "=" in w for w in words[1:])
        return
    if words[0] == "python":
        assert (ROOT / words[1]).exists()
        options = {w.split("=")[0] for w in words[2:] if w.startswith("--")}
        assert all(f'"{o}"' in (ROOT / words[1]).read_text() for o in options), options
        return
    if words[1] == "study":
        assert words[3] in studies() or words[3].endswith(".yaml")
        words.append("--help")
    if words[1] == "fetch":
        return  # needs the hub; tests/unit/data/test_fetch.py runs it on a folder
    monkeypatch.chdir(tmp_path)
    dry = words[1] in ("run", "eval") and "--help" not in words
    sys.argv = [*words, *(["--dry-run"] if dry else [])]
    with pytest.raises(SystemExit) as e:
        main()
    err = capsys.readouterr().err
    if e.value.code == 3 and "--data-dir" in err or words[1] in ("compare", "regrade"):
        assert e.value.code == 3, "only the data or the runs named in the docs are missing here"
    else:
        assert e.value.code == 0, err


def test_every_setting_of_a_recipe_says_why_or_is_structure():
    """A deviation from a default carries its source or reason on the line or in the comment above its block."""
    for path in (ROOT / "harness" / "recipes").glob("*.yaml"):
        assert path.read_text().startswith("# "), "the first line is the summary of `harness list recipes`"
