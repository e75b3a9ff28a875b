"""The built wheel, outside the checkout: one name in site-packages, with suites, recipes, policies and methods in it."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from support.paths import ROOT


def junk(folder, names):
    """What is not part of the source; `runs` and `build` are names of packages and modules, too."""
    top = {"runs", "build", "dist"} if folder == str(ROOT) else set()
    return [n for n in names if n.startswith(".") or n in top or n == "__pycache__" or n.endswith(".egg-info")]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    source = shutil.copytree(ROOT, folder / "source", ignore=junk)
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source], check=True)
    [wheel] = folder.glob("p2o_harness-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "harness/py.typed" in names, "type checkers of others read our annotations"
    tops = {n.split("/")[0] for n in names}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"harness"}
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    return folder / "site"


def test_list_and_run_from_the_wheel(site, tmp_path):
    users = {k: v for k, v in os.environ.items() if k != "HARNESS_RUN_RECIPE"}
    env = {**users, "PYTHONPATH": str(site)}

    def harness(*args):
        code = f"import harness, sys; assert harness.__file__.startswith({str(site)!r}), harness.__file__\n"
        code += "from harness.cli import main; main()"
        done = subprocess.run([sys.executable, "-P", "-c", code, *args], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    for what, word in (
        ("methods", "p2o"),
        ("studies", "testbed-main"),
        ("benches", "tb-long"),
        ("recipes", "smollm2"),
        ("models", "skills"),
    ):
        assert word in harness("list", what)
    assert "p2o-deepscaler-5k" in harness("claim", "list")
    harness(
        "run",
        "--method",
        "grpo",
        "--bench",
        "sk-id",
        "--seeds",
        "0",
        "--limit",
        "4",
        "--set",
        "train.epochs=1",
        "--set",
        "skills.problems=32",
        "--out",
        "out",
    )
    assert (tmp_path / "out" / "report.html").exists()
