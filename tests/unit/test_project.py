"""The project's papers agree with each other: the citation, the metadata, the addresses, both ways of running all checks."""

import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_citation_is_one_and_agrees_with_the_metadata():
    text = (ROOT / "CITATION.cff").read_text()
    cited = yaml.safe_load(text)
    # What the format's guide (Citation File Format 1.2.0) requires, and the types that it gives.
    assert {"cff-version", "message", "title", "authors"} <= set(cited) and cited["cff-version"] == "1.2.0"
    assert cited["type"] == "software" and all(isinstance(cited[key], str) for key in ("message", "title", "version"))
    assert all(set(a) <= {"name", "given-names", "family-names", "orcid", "website"} for a in cited["authors"])
    assert [a["name"] for a in cited["authors"]] == [a["name"] for a in PROJECT["authors"]]
    for key, ours in (("version", "version"), ("license", "license")):
        assert str(cited[key]) == PROJECT[ours]
    assert cited["repository-code"] == PROJECT["urls"]["Homepage"]


def test_the_project_has_one_home():
    """Every address of ours, in whatever file, lies below the home that pyproject.toml names."""
    home = PROJECT["urls"]["Homepage"]
    name = home.rsplit("/", 1)[1]
    assert all(url.startswith(home) for url in PROJECT["urls"].values())
    pages = [p for p in ROOT.glob("*") if p.suffix in (".md", ".cff", ".toml", ".yml")]
    pages += [p for d in ("docs", "methods", "benchmarks", "leaderboards", "harness") for p in (ROOT / d).rglob("*.md")]
    pages += [*(ROOT / "docs").glob("*.py"), *(ROOT / "harness").rglob("*.py"), *(ROOT / ".github").rglob("*.yml")]
    assert {"README.md", "CITATION.cff", "pyproject.toml", "ci.yml"} <= {p.name for p in pages}
    found = {u for p in pages for u in re.findall(rf"https?://[\w.]+/[\w-]+/{re.escape(name)}\b", p.read_text())}
    assert found == {home}


def targets(script):
    return re.findall(r"(?:^|; )make ([a-z-]+)\b", script, re.M)


def test_both_ways_of_running_all_checks_run_the_same():
    local = targets((ROOT / ".ci" / "run").read_text())
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    [job] = workflow["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands == ["make ${{ matrix.target }}"], "nothing but a target of the Makefile"
    assert sorted(job["strategy"]["matrix"]["target"]) == sorted(local) and len(set(local)) == len(local) >= 6
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(local) <= made and {t for t in made if t.startswith("test")} <= set(local)
    table = (ROOT / "CONTRIBUTING.md").read_text().split("## Checks")[1]
    assert {t for t in local if f"`make {t}`" not in table} == set()


def test_what_runs_at_night_is_a_target_that_is_left_out_of_every_change():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "nightly.yml").read_text())
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert commands and not set(commands) & {f"make {t}" for t in targets((ROOT / ".ci" / "run").read_text())}
    table = (ROOT / "CONTRIBUTING.md").read_text().split("## Checks")[1]
    for command in commands:
        assert f"`{command}`" in table and f"\n{command.removeprefix('make ')}:" in (ROOT / "Makefile").read_text()


def test_the_workflow_needs_no_secret_and_may_write_nothing():
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert "secrets." not in text and yaml.safe_load(text)["permissions"] == {"contents": "read"}


def test_python_m_harness_is_harness():
    script = str(Path(sys.executable).with_name("harness"))
    found = [
        subprocess.run([*words, "--help"], capture_output=True, text=True, check=True)
        for words in ([sys.executable, "-m", "harness"], [script])
    ]
    assert found[0].stdout.replace("python -m harness", "harness") == found[1].stdout and not found[0].stderr
    assert "Usage: harness" in found[1].stdout


def test_the_version_is_the_one_of_the_metadata(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["harness", "--version"])
    with pytest.raises(SystemExit):
        runpy.run_module("harness", run_name="__main__")
    assert PROJECT["version"] in capsys.readouterr().out


def test_every_package_is_in_the_wheel():
    """A folder that setuptools is not told of works in a checkout, and is missing where the wheel is installed."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {path.parent for path in (ROOT / "harness").rglob("*.py")}
    mapped = set(told["package-dir"])
    assert {".".join(f.relative_to(ROOT).parts) for f in folders} == {p for p in told["packages"] if p not in mapped}
