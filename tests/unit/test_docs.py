"""Every command in the README and the docs is parsed, and run as far as it goes without training."""

import re
import shlex
import sys

import pytest
import yaml

from harness.cli import main
from harness.registry import studies
from support.paths import ROOT

PAGES = [
    ROOT / "README.md",
    *sorted(p for p in (ROOT / "docs").glob("*.md") if not p.name.startswith("for_")),  # tests/smoke/test_readers.py runs those
    ROOT / "methods" / "README.md",
    *sorted((ROOT / "methods").glob("*.py")),
]
EXECUTED = re.compile(r"^## A method in an evening\n.*?(?=^## )", re.M | re.S)
"""Whose commands are about a method that is not here: tests/smoke/test_contributing.py runs them."""


def commands():
    found = {}
    for page in PAGES:
        text = EXECUTED.sub("", page.read_text()).replace("\\\n", " ")
        for line in re.findall(
            r"^(?: {4})?\$? ?(?:[A-Z_]+=\S+ )*((?:harness|make) [a-z-].*|python (?:perf|docs|tests)/.*)$", text, re.M
        ):
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
    if words[1] == "doctor":
        words.append("--help")  # what it finds is the machine's
    if words[1] == "fetch":
        return  # needs the hub; tests/unit/data/test_fetch.py runs it on a folder
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_RUN_RECIPE")
    dry = words[1] in ("run", "eval") and "--help" not in words
    sys.argv = [*words, *(["--dry-run"] if dry else [])]
    with pytest.raises(SystemExit) as e:
        main()
    err = capsys.readouterr().err
    of_runs = words[1] in ("compare", "merge", "regrade", "plant") or {"--runs", "--pilot"} & set(words)
    if e.value.code == 3 and "--data-dir" in err or of_runs:
        assert e.value.code == 3, "only the data or the runs named in the docs are missing here"
    else:
        assert e.value.code == 0, err


@pytest.mark.parametrize("package", ["search", "stats", "runs"])
def test_the_reference_has_every_module_of_a_package(package):
    shown = set(re.findall(rf"^::: harness\.{package}\.(\w+)$", (ROOT / "docs" / "api" / f"{package}.md").read_text(), re.M))
    assert shown == {p.stem for p in (ROOT / "harness" / package).glob("*.py")} - {"__init__"}


# ------------------------------------------------------------------ recipes

STRUCTURE = {"model.id", "train.set", "backend.name", "backend.nodes", "backend.gpus_per_node"}
"""What a recipe is about; its first line names it."""


def unexplained(text):
    """The settings of a recipe without a reason: no comment on the line, none above it or above its block."""
    lines, found = text.splitlines(), []

    def commented(line):
        above = lines[line - 1].strip() if line else ""
        return "#" in lines[line] or (above.startswith("#") and above != "#")

    def walk(node, name, said):
        if isinstance(node, yaml.MappingNode) and not node.flow_style:
            for key, value in node.value:
                walk(value, f"{name}.{key.value}".strip("."), said or commented(key.start_mark.line))
        elif isinstance(node, yaml.MappingNode):  # on one line
            named = {f"{name}.{key.value}" for key, _ in node.value}
            found.extend([] if said or named <= STRUCTURE else [name])
        elif not said and name not in STRUCTURE:
            found.append(name)

    walk(yaml.compose(text), "", False)
    return found


def test_a_setting_without_a_reason_is_noticed():
    text = "# About.\n\nmodel: {id: m}\ntrain:\n  lr: 1\n  epochs: 2  # short\n  # Two words.\n  set: s\nlocal: {threads: 1}\n"
    assert unexplained(text) == ["train.lr", "local"]
    assert unexplained("# About.\n\n# One block.\ntrain:\n  lr: 1\n  grad_clip: 2\n") == []


@pytest.mark.parametrize("path", sorted((ROOT / "harness" / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_setting_of_a_recipe_says_why_or_is_structure(path):
    text = path.read_text()
    assert text.startswith("# "), "the first line is the summary of `harness list recipes`"
    assert unexplained(text) == []
