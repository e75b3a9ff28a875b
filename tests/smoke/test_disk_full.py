"""A disk that is really full: a run on a small file system ends with a sentence and, given room, goes on to the same end."""

import subprocess

import pytest

from support.command import harness
from support.smoke import comparable

RUN = (
    "run --method p2o --bench tb-id --seeds 0 --limit 6 --set testbed.problems=48 --set train.epochs=2 "
    "--set train.prompts_per_batch=16 --set train.max_rollouts=600 --set train.checkpoint_steps=1 --set p2o.min_hard=6 "
    "--set p2o.evolve.metric_calls=60 --set p2o.evolve.dev_size=8 --set local.threads=1"
).split()


@pytest.fixture
def small(tmp_path):
    """A file system of 6 MB, less than two checkpoints, and a function that gives it room."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o"]
    try:
        subprocess.run([*mount, "size=6m", "tmpfs", folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a file system")
    yield folder, lambda: subprocess.run([*mount, "remount,size=200m", "tmpfs", folder], check=True)
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_loses_nothing(capsys, small, tmp_path):
    folder, give_room = small
    code, _, err = harness(capsys, *RUN, "--out", folder / "run")
    assert code == 1 and "No space left on device" in err and "--resume" in err and "Traceback" not in err
    give_room()
    assert harness(capsys, *RUN, "--out", folder / "run", "--resume")[0] == 0
    assert harness(capsys, *RUN, "--out", tmp_path / "whole")[0] == 0
    assert comparable(folder / "run") == comparable(tmp_path / "whole")
