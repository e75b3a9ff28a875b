"""A method that uses everything a backend promises: two prompts, a retry, a state that moves between epochs."""

import shutil
from pathlib import Path

from harness import Context, EpochReport, Group, LossSpec, MethodConfig, Problem
from harness.methods.grpo import GRPO

TEMPLATES = ["please show running values", "work backwards now"]  # of epoch 0 and 1
AGAIN = "step by step"  # of a retry
BAND = (0.2, 3.0)


class ToyConfig(MethodConfig):
    keep: str | None = None  # copy this folder of checkpoints at the end of the first epoch


class Toy(GRPO):
    Config = ToyConfig
    level = 0

    @property
    def loss(self) -> LossSpec:
        return self.train.loss.model_copy(update={"correction": "mask", "ratio_band": BAND})

    @staticmethod
    def context(problem: Problem, template: str) -> Context:
        return Context(f"{template}\n\n{problem.text}", problem.text, template)

    async def rollout_group(self, problem, k, sample, rng):
        contexts = [Context.plain(problem.text), *[self.context(problem, TEMPLATES[self.level])] * (k - 1)]
        group = Group(problem, await sample(contexts))
        if group.successes == 0:
            group = group.replaced_by(await sample([Context.plain(problem.text), *[self.context(problem, AGAIN)] * (k - 1)]))
        return group

    def end_epoch(self, epoch, groups, policy, ledger, last):
        if epoch == 0 and self.config.keep:
            keep = Path(self.config.keep)
            shutil.copytree(keep, keep.parent / "kept")
        self.level += 1
        return EpochReport({"level": self.level, "seen": len(groups)})

    def state_dict(self):
        return {"level": self.level}

    def load_state_dict(self, state):
        self.level = state["level"]


class LengthAware(Toy):
    """Leave-one-out (Ahmadian et al. 2024), divided by the completion's length (Shao et al. 2024, Eq. 3)."""

    def advantages(self, group):
        total, k = sum(group.rewards_K), len(group.rollouts)
        return [(r - (total - r) / (k - 1)) / n for r, n in zip(group.rewards_K, group.lengths_K, strict=True)]
