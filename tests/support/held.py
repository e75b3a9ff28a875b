"""A run that waits in its midst, so that a signal finds it there, however fast or slow the machine is."""

import os
import subprocess
import time
from pathlib import Path

SITE = """\
import sys

if {out!r} in sys.orig_argv:
    import time
    from pathlib import Path

    from harness.training.seedlog import SeedLog

    real, steps = SeedLog.step, []

    def step(self, *args):
        real(self, *args)
        steps.append(1)
        if len(steps) == {batches}:
            Path({mark!r}).touch()
            time.sleep(280)

    SeedLog.step = step
"""


def holding(folder: Path, out: Path, batches: int) -> dict[str, str]:
    """The environment in which the `harness run` into `out`, in whatever process, waits after that many of its batches."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(SITE.format(out=str(out), batches=batches, mark=str(folder / "held")))
    return {**os.environ, "PYTHONPATH": str(folder)}


def wait_until_held(folder: Path, process: subprocess.Popen[str]) -> None:
    """Return once the run waits; fails where the process ends before."""
    while not (folder / "held").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
