"""OpenRLHF's command line, unchanged, with our trainer in the place of its own.

    python -m harness.training.openrlhf.driver <flags of openrlhf.cli.train_ppo_ray>

Ends itself when the process that started it is gone, so that no Ray process outlives the harness.
"""

from __future__ import annotations

import os
import runpy
import signal
import threading
import time


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.killpg(os.getpgid(0), signal.SIGKILL)  # Ray's own processes watch the driver and follow


def main() -> None:
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    import openrlhf.trainer.ppo_trainer as ppo_trainer
    import ray

    from harness.training.openrlhf.trainer import Trainer

    ppo_trainer.PPOTrainer = ray.remote(Trainer)  # OpenRLHF's train() looks the name up when it is called
    runpy.run_module("openrlhf.cli.train_ppo_ray", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
