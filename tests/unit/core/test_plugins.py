"""An installed package adds methods and presets by entry points, without a line of its own in this repository."""

import json
import os
import subprocess
import sys

import pytest

METHOD = '''
"""Leave-one-out baselines."""

from harness import Group, MethodConfig
from harness.methods.grpo import GRPO


class Config(MethodConfig):
    scale: float = 1.0
    """Factor of every advantage."""


class LeaveOneOut(GRPO):
    """REINFORCE with a leave-one-out baseline."""

    Config = Config

    def advantages(self, group: Group) -> list[float]:
        total, k = sum(group.rewards_K), len(group.rollouts)
        return [self.config.scale * (r - (total - r) / (k - 1)) for r in group.rewards_K]
'''
PRESETS = """
rloo-hot:
  method: rloo
  summary: at temperature 1.0
  set: {train: {temperature: 1.0}, rloo: {scale: 2.0}}
rloo-more:
  method: rloo
  summary: twice the rollouts
  times: {train.rollouts_per_prompt: 2}
grpo-t1:
  method: rloo
  summary: the harness has a preset of this name already
"""


@pytest.fixture
def installed(tmp_path):
    """Makes a distribution in a folder for sys.path, as pip leaves one behind; runs code with it."""

    def install(presets=PRESETS, package="rloo_plugin"):
        folder, info = tmp_path / "rloo_plugin", tmp_path / "rloo_plugin-1.0.dist-info"
        folder.mkdir()
        info.mkdir()
        (folder / "__init__.py").write_text("")
        (folder / "rloo.py").write_text(METHOD)
        (folder / "presets.yaml").write_text(presets)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rloo-plugin\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(
            "[harness.methods]\nrloo = rloo_plugin.rloo:LeaveOneOut\nbroken = not_there:X\n\n"
            f"[harness.presets]\nrloo-plugin = {package}\n"
        )

    def run(code):
        env = {**os.environ, "PYTHONPATH": str(tmp_path)}
        return subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True)

    return install, run


LIST = "import json; from harness.cli.listing import list_methods; print(json.dumps(list_methods()))"


def test_methods_and_presets_of_a_package(installed):
    install, run = installed
    install()
    rows = {r["name"]: r for r in json.loads(run(LIST).stdout)}
    assert rows["rloo"]["summary"] == "Leave-one-out baselines." and "not_there" in rows["broken"]["error"]
    assert rows["rloo-hot"]["summary"] == "rloo: at temperature 1.0"
    assert rows["grpo-t1"]["summary"].startswith("grpo: "), "the presets of the harness win"
    code = """
import json
from harness.config import resolve
hot, more = resolve("rloo-hot", sets=["rloo.scale=3"]), resolve("rloo-more")
print(json.dumps([hot.train.temperature, hot.method_config, more.train.rollouts_per_prompt, more.method_config]))
"""
    assert json.loads(run(code).stdout) == [1.0, {"scale": 3.0}, 12, {"scale": 1.0}]


@pytest.mark.parametrize(
    ("presets", "package", "words"),
    [
        ("a: {method: rloo}", "rloo_plugin", "preset 'a' needs method and summary"),
        ("a: [", "rloo_plugin", "presets cannot be read from rloo_plugin"),
        ("", "rloo_plugin", "presets cannot be read from rloo_plugin"),
        (PRESETS, "no_such_package", "presets cannot be read from no_such_package: No module named"),
    ],
)
def test_broken_presets_are_named_and_stop_nothing_else(installed, presets, package, words):
    install, run = installed
    install(presets, package)
    rows = {r["name"]: r for r in json.loads(run(LIST).stdout)}
    assert words in rows["rloo-plugin"]["error"] and rows["grpo-t1"]["error"] is None and rows["rloo"]["error"] is None
