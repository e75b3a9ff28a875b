"""OpenRLHF's agent: gathers the samples of one prompt, runs the method's rollout group once, and hands them out.

OpenRLHF loads this file by its path (--train.agent_func_path), one `AgentExecutor` per vLLM engine, and starts the n
samples of a prompt together in it. The label of a prompt says which job, epoch, batch and problem it is; the label that
comes back holds the rollout.
"""

from __future__ import annotations

import asyncio
import json
from itertools import count
from pathlib import Path
from typing import Any

from openrlhf.utils.agent import AgentExecutorBase

from harness.core.ledger import Ledger
from harness.core.seeds import derive, stream
from harness.core.types import Context, Group, Problem, Rollout
from harness.grading.strict import reward_many
from harness.training.openrlhf.engine import sample_one
from harness.training.openrlhf.job import SeedJob, rollout_row
from harness.training.prompts import encode


class AgentExecutor(AgentExecutorBase):  # type: ignore[misc]  # an untyped package
    """One per engine, made without arguments."""

    def __init__(self) -> None:
        self.groups: dict[str, tuple[asyncio.Task[Any], Any]] = {}
        self.jobs: dict[str, SeedJob] = {}
        self.methods: dict[tuple[str, int], Any] = {}

    async def execute(
        self,
        prompt: str,
        label: str,
        sampling_params: Any,
        max_length: int,
        hf_tokenizer: Any,
        llm_engine: Any,
        images: Any = None,
    ) -> dict[str, Any]:
        """One sample, as OpenRLHF wants it: the train prompt's tokens and the completion's, with rollout log-probs."""
        if label not in self.groups:
            group = asyncio.ensure_future(self._group(json.loads(label), max_length, hf_tokenizer, llm_engine))
            self.groups[label] = group, count()
        task, served = self.groups[label]
        index = next(served)
        at = json.loads(label)
        if index + 1 == at["samples"]:
            del self.groups[label]
        group, ledger, job = await task
        rollout = group.rollouts[index]
        x = encode(hf_tokenizer, job.spec.model, rollout.context.train)
        y = rollout.tokens_T
        first = index == 0
        row = {
            "asked": at["problem"],
            "problem": group.problem.id,
            "index": index,
            "context": vars(rollout.context),
            "text": rollout.text,
            "prompt_tokens": rollout.prompt_tokens,
            "truncated": rollout.truncated,
            "reward": rollout.reward,
            "status": rollout.status,
            "start": len(x),
            "discarded": [rollout_row(r) for r in group.discarded] if first else [],
            "requests": [rollout_row(r) for r in group.requests] if first else [],
            "refused": group.refused if first else 0,
            "ledger": ledger.to_dict() if first else None,
        }
        return {
            "prompt": prompt,
            "label": json.dumps(row),
            "images": None,
            "mm_train_inputs": None,
            "observation_tokens": x + y,
            "action_ranges": [(len(x), len(x) + len(y))],
            "rollout_log_probs": [0.0] * len(x) + rollout.logps_T,
            "truncated": rollout.truncated,
            "reward": rollout.reward,
            "scores": rollout.reward,
            "extra_logs": {},
        }

    async def _group(self, at: dict[str, Any], max_length: int, tokenizer: Any, engine: Any) -> tuple[Group, Ledger, SeedJob]:
        """Run the coroutine of one problem; every rollout it asks for is metered."""
        job, method, problem = self._method(at["work"], at["epoch"], at["problem"])
        cfg, ledger, rounds = job.spec.train, Ledger(), count(1)
        name = (job.seed, "group", at["epoch"], at["batch"])

        async def sample(contexts: list[Context], other: Problem | None = None) -> list[Rollout]:
            graded = other or problem
            round_ = next(rounds)
            drawn = await asyncio.gather(
                *(
                    sample_one(
                        engine,
                        tokenizer,
                        job.spec.model,
                        c,
                        cfg.sampling,
                        max_length,
                        derive(job.seed, "rollout", at["epoch"], at["batch"], problem.id, round_, i),
                    )
                    for i, c in enumerate(contexts)
                )
            )
            answers = [(r.text, graded.answer, graded.answer_type) for r in drawn]
            grades = await asyncio.to_thread(reward_many, answers, cfg.reward)
            for r, g in zip(drawn, grades, strict=True):
                r.reward, r.status = g.score, g.status
            ledger.add_rollouts(drawn)
            return drawn

        group = await method.rollout_group(problem, cfg.rollouts_per_prompt, sample, stream(*name, problem.id))
        if len(group.rollouts) != cfg.rollouts_per_prompt:
            raise ValueError(
                f"{job.spec.method} made a group of {len(group.rollouts)} rollouts; OpenRLHF trains on exactly "
                f"{cfg.rollouts_per_prompt}"
            )
        return group, ledger, job

    def _method(self, work: str, epoch: int, problem: str) -> tuple[SeedJob, Any, Any]:
        """The job, the method in its state of this epoch, and the problem."""
        if work not in self.jobs:
            job = self.jobs[work] = SeedJob.read(Path(work))
            self.problems = {p.id: p for p in job.problems}
        job = self.jobs[work]
        if (work, epoch) not in self.methods:
            method = job.method()
            state = json.loads(job.state(epoch).read_text())
            method.load_state_dict(state["method"])
            method.problems = [self.problems[id_] for id_ in state["problems"]]
            self.methods = {(work, epoch): method}
        return job, self.methods[work, epoch], self.problems[problem]
