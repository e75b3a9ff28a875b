"""OpenRLHF's trainer with the harness's epochs: a batch at a time, the epoch hook on the same vLLM engines.

Runs in the Ray actor where OpenRLHF keeps its own trainer; the run's log files and checkpoints are written here.

Array names carry shape suffixes: B = rollouts, T = token positions (prompts and padding included).
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
import torch
from openrlhf.trainer.ppo_trainer import PPOTrainer
from openrlhf.trainer.ppo_utils.experience_maker import RemoteExperienceMaker
from openrlhf.trainer.ray.vllm_engine import batch_vllm_engine_call

from harness.core.errors import HarnessError
from harness.core.ledger import Ledger
from harness.core.method import Method
from harness.core.seeds import derive
from harness.core.settings import LossSpec
from harness.core.types import Context, Group, Problem, Rollout, Sampling
from harness.data.training_sets import world_named
from harness.grading.strict import reward_many
from harness.runs.files import write_json
from harness.runs.rundir import RunDir
from harness.runs.samples import OVERLONG
from harness.training.loop import train_epochs
from harness.training.loss import checked_advantages, correction_weights
from harness.training.metrics import Row, batch_metrics
from harness.training.openrlhf.engine import NoRoomError, request, rollout
from harness.training.openrlhf.job import Ask, Failure, SeedJob, rollout_from, rollout_row
from harness.training.prompts import rendering
from harness.training.seedlog import SeedLog

SECONDS = {"generation": "sample", "make_experience": "score", "ppo_train": "update", "broadcast": "sync"}

NOTHING = 150.0
"""Nats; exp(-150) is 0 in float32."""


def as_weights(old_B_T: torch.Tensor, weights_B_T: torch.Tensor) -> torch.Tensor:
    """Rollout log-probabilities with which OpenRLHF's token mask multiplies by exactly these weights.

    It drops tokens whose exp(old - rollout) leaves the band and multiplies the others by it: log(weight) less makes that
    factor the weight. For weight 0, NOTHING more makes it 0, which is outside of the mask's band, and is itself the weight
    where the correction drops nothing (`clip`, a ratio that underflowed).
    """
    return torch.where(weights_B_T > 0, old_B_T - weights_B_T.log(), old_B_T + NOTHING)


def in_order(samples: list[Any], problems: list[Problem]) -> list[Any]:
    """Samples in the order of the batch and of their groups.

    OpenRLHF hands them out as they end; in that order its passes would be others each time, and the step by their rounding.
    """
    place = {p.id: i for i, p in enumerate(problems)}

    def key(sample: Any) -> tuple[int, int]:
        row = json.loads(sample.labels[0])
        return place[row["asked"]], row["index"]

    return sorted(samples, key=key)


class ContextRatio(RemoteExperienceMaker):  # type: ignore[misc]  # an untyped package
    """The method's advantages and correction in terms of OpenRLHF's unchanged loss; also keeps what the run's log needs."""

    loss: LossSpec
    advantages: list[float] = []
    distilled: list[bool] = []
    rows: list[tuple[float, torch.Tensor, torch.Tensor]] = []
    """Per rollout of the last batch: advantage, log pi_old(y|x) and token weights."""

    def compute_advantages_and_returns(self, experiences: list[Any]) -> list[Any]:
        """OpenRLHF's statistics, but the advantages that the method computed, the same for all tokens of a rollout."""
        for e in super().compute_advantages_and_returns(experiences):
            advantages_B = torch.tensor([self.advantages[i] for i in e.index])
            e.advantages = advantages_B[:, None].to(e.advantages) * e.action_mask
            e.returns = e.advantages.clone()
        return experiences

    def make_experience_batch(self, rollout_samples: list[Any]) -> list[Any]:
        experiences: list[Any] = super().make_experience_batch(rollout_samples)
        self.rows = [None] * len(rollout_samples)  # type: ignore[list-item]
        for e in experiences:
            distilled_B = torch.tensor([self.distilled[i] for i in e.index])
            old_B_T = e.action_log_probs.float()
            weights_B_T = correction_weights(old_B_T, e.rollout_log_probs, distilled_B, self.loss)
            e.rollout_log_probs, e.action_log_probs = as_weights(old_B_T, weights_B_T), old_B_T
            for b, i in enumerate(e.index):
                real_T = e.action_mask[b].bool()
                self.rows[i] = (e.advantages[b][real_T][0].item(), old_B_T[b][real_T], weights_B_T[b][real_T])
        return experiences


class Prompts:
    """The prompt loader that OpenRLHF draws from: exactly the prompts of the batch under way."""

    def __init__(self) -> None:
        self.queue: deque[tuple[Any, ...]] = deque()

    def __iter__(self) -> Prompts:
        return self

    def __next__(self) -> tuple[Any, ...]:
        if not self.queue:
            raise StopIteration
        return self.queue.popleft()


class Trainer(PPOTrainer.__ray_metadata__.modified_class):  # type: ignore[misc]  # the class itself, without Ray's wrapping
    """See the module."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.job = SeedJob.read(Path(self.args.data.prompt_dataset).parent)
        self.method = self.job.method()
        self.prompts = self.samples_generator.prompts_dataloader = Prompts()
        maker = self.experience_maker = ContextRatio(
            self.actor_model_group,
            self.critic_model_group,
            self.reward_model_group,
            self.reference_model_group,
            self.kl_ctl,
            self.strategy,
            self.tokenizer,
        )
        maker.loss = self.method.loss or self.job.spec.train.loss
        self.steps = 0
        self.tick: Callable[[int], None] = lambda done: None
        self._told = 0.0

    def fit(self, global_step: int = 0) -> None:
        """Train the seed to its end, then answer the harness's requests until it asks for no more."""
        log = SeedLog(
            run=RunDir(self.job.work.parent.parent),
            seed=self.job.seed,
            spec=self.job.spec,
            problems=self.job.problems,
            tick=self._tell,
            world=world_named(self.job.spec.train.set, self.job.spec),
        )
        log.note(rendering_sha256=rendering(self.tokenizer, self.job.spec.model))
        try:
            train_epochs(self, self.method, log)
        except HarnessError as e:  # an executor's, too, which Ray raises here with a traceback for its text
            Failure.of(getattr(e, "cause", e)).write(self.job.work)
            raise
        self._serve()

    def _tell(self, rollouts: int, text: str, force: bool = False) -> None:
        """How far we are, for the harness; at most twice a second."""
        if force or time.monotonic() - self._told > 0.5:
            self._told = time.monotonic()
            write_json(self.job.work / "progress.json", {"done": rollouts, "text": text, "trained": False})

    # ------------------------------------------------------------------ training

    def begin_epoch(self, method: Method, epoch: int) -> None:
        write_json(self.job.state(epoch), {"method": method.state_dict(), "problems": [p.id for p in method.problems]})

    def batch(
        self, method: Method, problems: list[Problem], log: SeedLog, epoch: int, batch: int
    ) -> tuple[list[Group], dict[str, Any]]:
        """The executors run the rollout groups; OpenRLHF scores, trains and sends the weights to the engines."""
        cfg = self.job.spec.train
        start = time.perf_counter()
        at = {"work": str(self.job.work), "epoch": epoch, "batch": batch, "samples": cfg.rollouts_per_prompt}
        for p in problems:
            self.prompts.queue.append((None, [p.text], [json.dumps({**at, "problem": p.id})], [None]))
        samples = in_order(self.samples_generator.generate_samples(**self.generate_kwargs)[0], problems)
        sampled = time.perf_counter() - start
        groups, rollouts = self._groups(samples, problems, log.ledger)
        advantages = {id(r): a for g in groups for r, a in zip(g.rollouts, checked_advantages(method, g), strict=True)}
        self.experience_maker.advantages = [advantages[id(r)] for _, r, _ in rollouts]
        self.experience_maker.distilled = [r.context.rollout != r.context.train for _, r, _ in rollouts]
        status, self.steps = self.train_step(samples, self.steps)
        rows = [
            Row(
                problem=problem,
                rollout=r,
                prompt_ids=[0] * prompt_tokens,
                advantage=advantage,
                old_logps_T=old_T,
                weights_T=weights_T,
            )
            for (problem, r, prompt_tokens), (advantage, old_T, weights_T) in zip(
                rollouts, self.experience_maker.rows, strict=True
            )
        ]
        log.ledger.add_update(groups, cfg.updates_per_batch)
        metrics = {
            "loss": status["policy_loss"],
            "grad_norm": status["actor_grad_norm"],
            "clipped_tokens": status["ppo_clip_ratio"],
            **batch_metrics(groups, rows),
            "lr": status["actor_lr"],
        }
        if log.world:
            metrics |= log.world.observe(rows)
        seconds = {SECONDS[k]: status[f"timing/{k}"] for k in SECONDS if f"timing/{k}" in status}
        seconds |= {"sample": sampled, "all": time.perf_counter() - start}
        return groups, metrics | {f"seconds_{k}": round(v, 4) for k, v in seconds.items()}

    def _groups(
        self, samples: list[Any], problems: list[Problem], ledger: Ledger
    ) -> tuple[list[Group], list[tuple[Problem, Rollout, int]]]:
        """Groups in the batch's order, and (problem, rollout, prompt tokens) per sample in OpenRLHF's; meters them."""
        by_id = {p.id: p for p in self.job.problems}
        groups = {p.id: Group(p, []) for p in problems}
        rollouts = []
        for sample in samples:
            row = json.loads(sample.labels[0])
            sample.labels = [""]
            real_T = sample.action_mask[0].bool()
            r = Rollout(
                context=Context(**row["context"]),
                text=row["text"],
                tokens_T=sample.sequences[0, row["start"] :].tolist(),
                logps_T=sample.rollout_log_probs[0][real_T].tolist(),
                prompt_tokens=row["prompt_tokens"],
                truncated=row["truncated"],
                reward=row["reward"],
                status=row["status"],
            )
            group = groups[row["asked"]]  # which may have turned to another problem
            group.problem = by_id[row["problem"]]
            group.refused += row["refused"]
            group.rollouts.append(r)
            group.discarded += map(rollout_from, row["discarded"])
            group.requests += map(rollout_from, row["requests"])
            rollouts.append((group.problem, r, row["start"]))
            if row["ledger"]:
                ledger.add(Ledger(**row["ledger"]))
        return list(groups.values()), rollouts

    # ------------------------------------------------------------------ the policy, for the epoch hook

    @contextmanager
    def _awake(self) -> Any:
        if self.args.vllm.enable_sleep:
            batch_vllm_engine_call(self.vllm_engines, "wake_up")
        try:
            yield
        finally:
            if self.args.vllm.enable_sleep:
                batch_vllm_engine_call(self.vllm_engines, "sleep")

    def _sample(self, contexts: Sequence[Context], sampling: Sampling, seed: int, least: int = 1) -> list[Rollout]:
        """One ungraded rollout per context, spread over the engines; empty where its prompt leaves less than `least`."""
        model, room = self.job.spec.model, self.args.data.max_len
        rollouts: dict[int, Rollout] = {}
        asked: dict[int, tuple[list[int], Any]] = {}
        for i, c in enumerate(contexts):
            try:
                asked[i] = request(self.tokenizer, model, c.rollout, sampling, room, derive(seed, i), least)
            except NoRoomError as e:
                rollouts[i] = Rollout(c, "", [], [], e.tokens, status=OVERLONG)
        with self._awake():
            engines = self.vllm_engines
            refs = {i: engines[i % len(engines)].generate.remote(ids, params) for i, (ids, params) in asked.items()}
            for i, (ids, _) in asked.items():
                rollouts[i] = rollout(self.tokenizer, contexts[i], len(ids), ray.get(refs[i]))
                self.tick(len(rollouts))
        return [rollouts[i] for i in range(len(contexts))]

    def rollouts(self, requests: Sequence[tuple[Problem, Context]], sampling: Sampling, seed: int) -> list[Rollout]:
        rollouts = self._sample([c for _, c in requests], sampling, seed)
        answers = [(r.text, p.answer, p.answer_type) for (p, _), r in zip(requests, rollouts, strict=True)]
        grades = reward_many(answers, self.job.spec.train.reward)
        for r, g in zip(rollouts, grades, strict=True):
            if r.status != OVERLONG:
                r.reward, r.status = g.score, g.status
        return rollouts

    def complete(self, prompts: Sequence[str], sampling: Sampling, seed: int, initial: bool = False) -> list[Rollout]:
        if initial and self.steps:
            raise HarnessError("the engines hold the trained weights; serve the initial policy and reflect with kind openai")
        # A reflection that would be cut is none: its prompt has to be shorter. In a small room half is for the answer.
        least = min(sampling.max_new_tokens, self.args.data.max_len // 2)
        return self._sample([Context.plain(p) for p in prompts], sampling, seed, least)

    def _serve(self) -> None:
        work = self.job.work
        done = {"trained": True, "text": "", "done": 0}
        write_json(work / "progress.json", done)
        while not (work / "stop").exists():
            for path in sorted((work / "ask").glob("*.json")):
                ask = Ask.read(path)
                self.tick = lambda n: self._told_serving(done, n)
                rollouts = self._sample([Context.plain(p) for p in ask.prompts], ask.sampling, ask.seed)
                write_json(work / "answer" / path.name, [rollout_row(r) for r in rollouts])
                path.unlink()
            time.sleep(0.05)

    def _told_serving(self, done: dict[str, Any], n: int) -> None:
        if time.monotonic() - self._told > 0.5:
            self._told = time.monotonic()
            write_json(self.job.work / "progress.json", {**done, "done": n})

    # ------------------------------------------------------------------ checkpoints

    def write_checkpoint(self, folder: Path) -> None:
        """DeepSpeed writes below the job's folder, under the name of ours; OpenRLHF keeps the one before, too."""
        tag = folder.name.removesuffix(".tmp")
        ray.get(self.actor_model_group.async_run_method("save_checkpoint", tag=tag, client_states={"tag": tag}))

    def read_checkpoint(self, folder: Path) -> None:
        """The actors have loaded DeepSpeed's already; the engines get the weights."""
        found = ray.get(self.actor_model_group.async_run_method("get_checkpoint_states"))[0].get("tag")
        if found != folder.name:
            raise HarnessError(f"DeepSpeed loaded checkpoint {found}, but the run stopped at {folder.name}")
        self.steps = 1
        self.broadcast_to_vllm()
