"""`harness` in processes of its own, with the toy methods installed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

TOY = Path(__file__).parent / "toy"
TINY = (
    "--bench=tb-id",
    "--limit=4",
    "--seeds=0",
    "--backend=openrlhf",
    "--rehearse",
    "--set=train.max_rollouts=null",
    "--set=train.rollouts_per_prompt=4",
    "--set=backend.prompt_tokens=96",
    "--set=backend.forward_tokens=160",  # a batch of 64 rollouts is some twenty passes
)
"""Settings of small runs in many passes, without those that the runs differ in."""


def start(*args, inside=None, environment=None):
    """`harness ARGS` in a process of its own, with the toy methods installed; in a network
    namespace, if one is named."""
    path = os.pathsep.join(filter(None, [str(TOY), os.environ.get("PYTHONPATH")]))
    more = {"PYTHONPATH": path, "OMP_WAIT_POLICY": "PASSIVE", "HARNESS_REFLECTOR_KEY": "none", **(environment or {})}
    return subprocess.Popen(
        [
            *(["ip", "netns", "exec", inside] if inside else []),
            sys.executable,
            "-c",
            "from harness.cli import main; main()",
            *map(str, args),
        ],
        env={**os.environ, **more},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )


def finished(process):
    """Exit code, standard output and error."""
    out, err = process.communicate(timeout=1700)
    return process.returncode, out, err


def harness(*args):
    return finished(start(*args))


def p2o_command(out, server, *more):
    """P2O for two epochs of two batches with a prompt search between them; a server of reflecting.py reflects, if there is
    one."""
    reflector = "{kind: offline}"
    if server:
        reflector = f'{{kind: openai, model: thinker, base_url: "{server.url}", max_retries: 1}}'
    settings = {
        "testbed.problems": 32,
        "testbed.easy_share": 0.5,
        "train.temperature": 1.0,  # so that most groups have a gradient
        "train.prompts_per_batch": 16,
        "train.epochs": 2,
        "train.checkpoint_steps": 1,
        "toy-p2o.min_hard": 4,
        "toy-p2o.evolve": "{metric_calls: 100, dev_size: 6}",
        "toy-p2o.reflector": reflector,
        "toy-p2o.work": f"{out}/openrlhf/s0",
    }
    sets = [f"--set={name}={value}" for name, value in settings.items()]
    return ["run", "--method=toy-p2o", f"--out={out}", "--track=tensorboard", *TINY, *sets, *more]


def p2o(out, server, *more):
    return harness(*p2o_command(out, server, *more))


def left_behind(out):
    """Processes that seed 0 of the run in this folder started and that are still there."""
    from harness.training.openrlhf.backend import marked

    return marked(f"HARNESS_JOB={Path(out).resolve()}/openrlhf/s0")
