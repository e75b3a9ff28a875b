"""`harness` in processes of its own, with the toy method installed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

TOY = Path(__file__).parent / "toy"


def start(*args):
    """`harness ARGS` in a process of its own, with the toy method installed."""
    env = {**os.environ, "PYTHONPATH": str(TOY), "OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.Popen(
        [sys.executable, "-c", "from harness.cli import main; main()", *map(str, args)],
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )


def harness(*args):
    process = start(*args)
    out, err = process.communicate(timeout=420)
    return process.returncode, out, err


def left_behind(out):
    """Processes that seed 0 of the run in this folder started and that are still there."""
    from harness.training.openrlhf.backend import marked

    return marked(f"HARNESS_JOB={Path(out).resolve()}/openrlhf/s0")
