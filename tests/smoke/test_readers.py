"""The page of every kind of reader: its commands, one after the other, as they stand. Trainings are short: by a file of
settings that the environment adds, which is weaker than what a command says. `make docs` runs such steps at full length."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from support.paths import DATA, ROOT

SAID = {
    "for_students.md": ["out of distribution", "seeds an arm"],
    "for_reviewers.md": ["runs verified", "exit code 1", "p2o-deepscaler-5k"],
    "for_labs.md": ["#SBATCH", "ray job submit"],
}
"""What has to be among a page's output, so that a command that says nothing is noticed."""


def commands(page):
    return re.findall(r"^```bash\n(.*?)^```$", (ROOT / "docs" / page).read_text(), re.M | re.S)


SHORT = {"train": {"max_rollouts": 800}}
"""Of a training that the student's page starts."""


@pytest.mark.timeout(900)  # a machine may be busy
@pytest.mark.parametrize("page", SAID)
def test_every_command_of_a_page_runs(page, tmp_path):
    (tmp_path / "leaderboards").symlink_to(ROOT / "leaderboards")
    folders = [str(Path(sys.executable).parent), os.environ["PATH"]]
    users = {k: v for k, v in os.environ.items() if k != "HARNESS_RUN_RECIPE"}
    env = {**users, "PATH": os.pathsep.join(folders)}
    if page == "for_students.md":
        (tmp_path / "short.yaml").write_text(yaml.safe_dump(SHORT))
        env["HARNESS_RUN_CONFIGS"] = str(tmp_path / "short.yaml")
    found = commands(page)
    assert len(found) >= 5
    said = ""
    for block in found:
        if "DATA" in block and not DATA.is_dir():
            pytest.skip("needs the data")
        block = block.replace("DATA", str(DATA))
        done = subprocess.run(["bash", "-euc", block], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, block + done.stdout[-2000:] + done.stderr[-2000:]
        said += done.stdout
    assert [words for words in SAID[page] if words not in said] == []
