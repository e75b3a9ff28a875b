"""Methods that rehearse others: many arms in one run, and P2O that dies where it is told to."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path

from harness import EpochReport, MethodConfig
from harness.config import resolve
from harness.core.ledger import Ledger
from harness.core.seeds import derive
from harness.methods.grpo import GRPO
from harness.methods.p2o import P2O, P2OConfig
from harness.registry import load_method


class ArmsConfig(MethodConfig):
    arms: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()  # for all of them


class Arms(GRPO):
    """Two epochs of each arm, one after the other, on one start of the engines: the second with what the first one's hook
    found. Arms that train nothing have their search before the first epoch, where the policy is the initial one.

    What an arm says of the run as a whole (temperature, group size) and of the loss is the run's own here.
    """

    Config = ArmsConfig

    def setup(self):
        self.arms = {}
        for name in self.config.arms:
            own = [s for s in self.config.sets if not ("reflects" in name and "reflector" in s)]  # those say who reflects
            spec = resolve(name, "testbed", sets=own)
            given = dict(train=self.train, problems=self.problems, seed=derive(self.seed, name), phrases=self.phrases)
            self.arms[name] = load_method(name)(config=spec.typed_method_config(), **given)
        self.frozen = [name for name, arm in self.arms.items() if arm.loss is None]
        self.trained = [name for name in self.arms if name not in self.frozen]
        self.epoch = 0

    @property
    def name(self):
        return self.trained[min(self.epoch // 2, len(self.trained) - 1)]

    @property
    def arm(self):
        return self.arms[self.name]

    @property
    def loss(self):
        return self.train.loss.model_copy(update={"correction": "mask", "ratio_band": (0.01, 10.0)})

    def begin(self, policy, ledger):
        metrics, templates = {}, []
        for name in self.frozen:
            report = self.arms[name].end_epoch(0, [], policy, ledger, last=True)
            metrics[name] = report.metrics
            templates += [{"arm": name, **row} for row in report.templates]
        return EpochReport(metrics | {"search_rollouts": sum(m["search_rollouts"] for m in metrics.values())}, templates)

    async def rollout_group(self, problem, k, sample, rng):
        self.arm.problems = self.problems
        return await self.arm.rollout_group(problem, k, sample, rng)

    def advantages(self, group):
        return self.arm.advantages(group)

    def end_epoch(self, epoch, groups, policy, ledger, last):
        name, arm, before = self.name, self.arm, Ledger(**ledger.to_dict())
        carries = getattr(arm.config, "carry_pool", False)
        report = arm.end_epoch(epoch, groups, policy, ledger, last=self.epoch % 2 == 1 and not carries)
        self.epoch += 1
        found = {"dropped": ledger.dropped_reflections - before.dropped_reflections}
        rows = [{"arm": name, **row} for row in report.templates]
        return EpochReport({"arm": name, **found, **report.metrics}, rows)

    def state_dict(self):
        return {"epoch": self.epoch, "arms": {name: arm.state_dict() for name, arm in self.arms.items()}}

    def load_state_dict(self, state):
        self.epoch = state["epoch"]
        for name, arm in self.arms.items():
            arm.load_state_dict(state["arms"][name])


class MortalConfig(P2OConfig):
    work: str = ""  # the seed's folder, openrlhf/s0 in the run's
    keep: bool = False  # copy the checkpoints at the end of each epoch
    dies: tuple[str, ...] = ()  # stages in which a process is killed, each once


class Mortal(P2O):
    """P2O, some of whose processes are killed once in each of the stages that `dies` names.

    rollout: the engine that samples, in the second batch. search: the driver, at the second call of the policy. update: the
    actor that holds the trained weights, once the batch is sampled. checkpoint: the driver, while DeepSpeed writes one.
    """

    Config = MortalConfig
    config: MortalConfig
    seen = 0

    def once(self, stage):
        """Whether the process of a stage is to be killed now."""
        mark = Path(self.config.work) / "died" / stage
        if stage not in self.config.dies or mark.exists():
            return False
        mark.parent.mkdir(exist_ok=True)
        mark.touch()
        return True

    def kill(self, words):
        from harness.training.openrlhf.backend import marked

        for pid in marked(f"HARNESS_JOB={Path(self.config.work).resolve()}"):
            if words in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
                return
        raise AssertionError(f"no process {words!r}")

    async def rollout_group(self, problem, k, sample, rng):
        group = await super().rollout_group(problem, k, sample, rng)
        self.seen += 1
        if self.seen == self.train.prompts_per_batch + 3 and self.once("rollout"):
            os.kill(os.getpid(), signal.SIGKILL)
        return group

    def advantages(self, group):
        if self.assigned and self.once("update"):  # in the epoch with templates
            threading.Timer(0.3, self.kill, [b"PolicyModelActor"]).start()
        return super().advantages(group)

    def state_dict(self):
        if self.assigned and "checkpoint" in self.config.dies:
            threading.Thread(target=self.watch, daemon=True).start()
        return super().state_dict()

    def watch(self):
        """Kill the driver as soon as DeepSpeed has begun to write a checkpoint of the second epoch's batches."""
        folder, until = Path(self.config.work) / "checkpoints" / "_actor", time.monotonic() + 20
        there = set(folder.glob("*"))
        while time.monotonic() < until:
            if any(p.name.startswith("e0001-b00002") for p in set(folder.glob("e*")) - there) and self.once("checkpoint"):
                self.kill(b"harness.training.openrlhf.driver")
            time.sleep(0.001)

    def end_epoch(self, epoch, groups, policy, ledger, last):
        if self.config.keep:  # of a run that is done the backend keeps none
            work = Path(self.config.work)
            shutil.copytree(work / "checkpoints", work / "kept", dirs_exist_ok=True)
        return super().end_epoch(epoch, groups, Watched(self, policy), ledger, last)


class Watched:
    """The policy, through which a method hears of its calls."""

    def __init__(self, method, policy):
        self.method, self.policy, self.calls = method, policy, 0

    def rollouts(self, requests, sampling, seed):
        self.calls += 1
        if self.calls == 2 and self.method.once("search"):
            self.method.kill(b"harness.training.openrlhf.driver")
        return self.policy.rollouts(requests, sampling, seed)

    def __getattr__(self, name):
        return getattr(self.policy, name)
