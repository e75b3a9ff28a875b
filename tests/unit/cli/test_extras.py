"""The package without its extras: every verb works, or says in one sentence what to install."""

import ast
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions

import pytest
from packaging.requirements import Requirement

from harness.core.extras import EXTRAS
from support.paths import ROOT
from support.states import finished


def brought(requirements):
    """Names of the distributions that these bring along, as installed here."""
    found, left = set(), [Requirement(r) for r in requirements]
    while left:
        r = left.pop()
        name = re.sub(r"[-_.]+", "-", r.name).lower()
        if name in found or (r.marker and not any(r.marker.evaluate({"extra": e}) for e in (r.extras or {""}))):
            continue
        try:
            more = distribution(r.name).requires or []
        except PackageNotFoundError:
            continue
        found.add(name)
        left += [q for q in map(Requirement, more) if not q.marker or q.marker.evaluate({"extra": ""})]
    return found


def modules(names):
    """Top-level modules of these distributions."""
    normal = lambda name: re.sub(r"[-_.]+", "-", name).lower()  # noqa: E731
    return {m for m, owners in packages_distributions().items() if {normal(o) for o in owners} & names}


CORE = modules(brought(r for r in distribution("p2o-harness").requires if "extra ==" not in r)) | {"harness"}
ABSENT = sorted(set(packages_distributions()) - CORE - {"_virtualenv", "pip", "setuptools", "pkg_resources"})
WITHOUT = f"""
import importlib.machinery, sys
absent = set({ABSENT!r})
class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in absent else super().find_spec(name, path, target)
sys.meta_path[:] = [Finder if f is importlib.machinery.PathFinder else f for f in sys.meta_path]
sys.argv[0] = "harness"
from harness.cli import main
main()
"""

STUDY = "title: t\nrecipe: testbed\nseeds: [0]\nbench: tb-id\narms: {grpo: {method: grpo}}\n"
TINY = ("--bench", "tb-id", "--seeds", "0", "--limit", "2", "--set", "train.epochs=0")
WORKS = [
    ("list", "methods"),
    ("list", "benches"),
    ("list", "runs"),
    ("claim", "list"),
    ("claim", "check", "testbed-latent"),
    ("power", "--effect", "2", "--seed-sd", "3"),
    ("compare", "run"),
    ("power", "--effect", "2", "--pilot", "run"),
    ("report", "run"),
    ("leaderboard", "add", "run"),
    ("export", "model-card", "run"),
    ("run", "--method", "p2o", "--bench", "tb-id", "--dry-run"),
    ("study", "plan", "study.yaml"),
    ("check", "contamination", "--train-set", "testbed"),
]
NEEDS = [
    (("run", "--method", "grpo", *TINY), "local"),
    (("run", "--method", "gepa", *TINY), "local"),
    (("run", "--method", "grpo", *TINY, "--backend", "openrlhf"), "openrlhf"),
    (("run", "--method", "sft-teacher", *TINY), "local"),
    (("run", "--method", "grpo", "--bench", "procedural", "--seeds", "0"), "procedural"),
    (("eval", "testbed", "--bench", "tb-id", "--limit", "2"), "local"),
    (("eval", "smollm2-135m-instruct", "--bench", "tb-id", "--limit", "2"), "local"),
    (("check", "golds", "--bench", "rg-chain-sum"), "procedural"),
    (("fetch", "gpqa-diamond", "--data-dir", "data"), "local"),
]


def without_extras(tmp_path, words):
    finished(tmp_path / "run")
    (tmp_path / "study.yaml").write_text(STUDY)
    return subprocess.run([sys.executable, "-c", WITHOUT, *words], cwd=tmp_path, capture_output=True, text=True)


def test_the_extras_bring_what_is_blocked():
    assert {"torch", "transformers", "lm_eval", "gepa", "math_verify", "trl"} <= set(ABSENT)
    assert {"click", "numpy", "scipy", "pydantic", "openai"} <= CORE and not CORE & set(EXTRAS)


@pytest.mark.parametrize("words", WORKS, ids=" ".join)
def test_works_without_extras(tmp_path, words):
    done = without_extras(tmp_path, words)
    assert done.returncode == 0 and done.stdout, done.stderr


@pytest.mark.parametrize(("words", "extra"), NEEDS, ids=lambda x: " ".join(x) if isinstance(x, tuple) else x)
def test_says_which_extra_is_missing(tmp_path, words, extra):
    done = without_extras(tmp_path, words)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 3 and last.startswith("error: ") and f"p2o-harness[{extra}]" in last, done.stderr
    assert "Traceback" not in done.stderr


def test_every_package_that_the_code_imports_is_a_dependency_or_has_an_extra():
    known = CORE | set(EXTRAS) | set(sys.stdlib_module_names) | {"backports", "compression"}
    for path in [*(ROOT / "harness").rglob("*.py"), *(ROOT / "methods").rglob("*.py")]:
        if "rehearsal" in path.parts:
            continue  # stand-ins, in an environment of their own
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            for name in names:
                assert name.partition(".")[0] in known, f"{path} imports {name}"
