"""The local backend: a compact loop of our own on torch and transformers, for a CPU or one GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from harness.backends.gather import gather_groups
from harness.backends.generation import Sampled, completion_logps, sample
from harness.backends.update import Updater
from harness.config import RunSpec
from harness.errors import MissingError, UsageError
from harness.grading import grade_many
from harness.method import Method
from harness.models import locate
from harness.rundir import SeedLog
from harness.seeds import derive, stream
from harness.settings import TrainConfig
from harness.types import Context, Group, Problem, Rollout, Sampling

disable_progress_bar()  # of loading and saving weights; the run has a progress display of its own


class LocalBackend:
    """A Hugging Face causal language model that samples, trains and reflects in this process.

    `tick` may be set to a function that is told, while completions are sampled, how many of the call's are done.
    """

    def __init__(self, spec: RunSpec, offline: bool = False, model: str | Path | None = None) -> None:
        """Load the policy. Raises MissingError (no such model) or UsageError (a folder that is not a policy)."""
        self.spec = spec
        if spec.local.threads:
            torch.set_num_threads(spec.local.threads)
        device = spec.local.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        elif device == "cuda" and not torch.cuda.is_available():
            raise MissingError("local.device is cuda, but torch sees no GPU; use local.device=auto")
        self.source = str(model or locate(spec, offline))
        self.tokenizer, self.model = load_policy(self.source, spec.model.revision, spec.model.dtype, offline)
        self.model.to(device).eval()
        if self.tokenizer.eos_token_id is None:
            raise UsageError(f"the tokenizer of {self.source} names no end-of-text token, so completions cannot end")
        self.pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else 0
        ends = self.model.generation_config.eos_token_id
        self.stop = {self.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends] if ends else [])}
        self._initial: dict[str, torch.Tensor] | None = None
        self.tick: Callable[[int], None] = lambda done: None

    # ------------------------------------------------------------------ sampling

    def encode(self, prompt: str) -> list[int]:
        """Token ids of one user turn, chat template and generation prompt included where the tokenizer has one."""
        if self.tokenizer.chat_template and self.spec.model.chat_template:
            turn = [{"role": "user", "content": prompt}]
            options = self.spec.model.chat_options
            return self.tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=False, **options)
        return self.tokenizer(prompt, add_special_tokens=True)["input_ids"]

    def _sample(self, prompts: Sequence[str], sampling: Sampling, seed: int) -> list[tuple[Sampled, str, int]]:
        """(completion, its text, prompt tokens) per prompt."""
        cached = {p: self.encode(p) for p in dict.fromkeys(prompts)}
        generator = torch.Generator(device=self.model.device).manual_seed(seed)
        rows = sample(
            self.model, [cached[p] for p in prompts], sampling, self.stop, self.pad, generator,
            self.spec.local.generation_tokens, self.tick,
        )
        texts = self.tokenizer.batch_decode([r.tokens_T for r in rows], skip_special_tokens=True)
        return [(r, t, len(cached[p])) for r, t, p in zip(rows, texts, prompts)]

    def generate(self, prompts: Sequence[str], sampling: Sampling, seed: int) -> list[Rollout]:
        return [
            Rollout(Context.plain(p), text, s.tokens_T, s.logps_T, n, s.truncated)
            for p, (s, text, n) in zip(prompts, self._sample(prompts, sampling, seed))
        ]

    def rollouts(self, requests: Sequence[tuple[Problem, Context]], sampling: Sampling, seed: int) -> list[Rollout]:
        drawn = self._sample([c.rollout for _, c in requests], sampling, seed)
        grades = grade_many([(text, p.answer, p.answer_type) for (p, _), (_, text, _) in zip(requests, drawn)])
        return [
            Rollout(c, text, s.tokens_T, s.logps_T, n, s.truncated, g.score, g.status)
            for (_, c), (s, text, n), g in zip(requests, drawn, grades)
        ]

    def complete(
        self, prompts: Sequence[str], sampling: Sampling, seed: int, initial: bool = False
    ) -> list[Rollout]:
        if not initial or self._initial is None:
            return self.generate(prompts, sampling, seed)
        trained = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.model.load_state_dict(self._initial)
        try:
            return self.generate(prompts, sampling, seed)
        finally:
            self.model.load_state_dict(trained)

    @torch.inference_mode()
    def score(self, prompts: Sequence[str], completions: Sequence[str], temperature: float) -> list[list[float]]:
        """Log-probability of every token of a completion given a user turn, at `temperature`; no end token."""
        ids = [self.tokenizer(c, add_special_tokens=False)["input_ids"] for c in completions]
        logps_B_T, _ = completion_logps(self.model, [self.encode(p) for p in prompts], ids, temperature, self.pad)
        return [row[: len(i)].tolist() for row, i in zip(logps_B_T, ids)]

    # ------------------------------------------------------------------ training

    def train(self, method: Method, log: SeedLog) -> None:
        """All epochs of one seed; checkpoints after every epoch hook and every `checkpoint_steps` batches."""
        cfg = self.spec.train
        self._initial = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        updater = Updater(self.model, cfg, method.loss, self.pad, self.spec.local.forward_tokens)
        at: dict[str, Any] = {"epoch": 0, "batch": 0, "done": False}
        if restored := log.restore():
            folder, at = restored
            self._load_weights(folder)
            updater.load(folder / "optimizer.pt")
            method.load_state_dict(at["method"])

        def checkpoint(epoch: int, batch: int, done: bool = False) -> None:
            position = {"epoch": epoch, "batch": batch, "done": done, "method": method.state_dict()}
            log.checkpoint(position, lambda folder: (self.save(folder), updater.save(folder / "optimizer.pt")))

        epoch, batch, done = at["epoch"], at["batch"], at["done"]
        while not done:
            if method.loss is not None:
                with log.ledger.clock():
                    for batch in self._epoch(method, updater, log, epoch, batch):
                        if batch % cfg.checkpoint_steps == 0:
                            checkpoint(epoch, batch)
                checkpoint(epoch, batch)
            done = method.loss is None or epoch + 1 >= cfg.epochs or self._spent(log)
            self.tick = lambda n: log.tick(log.ledger.rollouts + n, f"seed {log.seed} after epoch {epoch + 1}: searching")
            with log.ledger.clock():
                metrics = method.end_epoch(epoch, log.groups, self, log.ledger, last=done)
                if log.probe:
                    metrics = {**metrics, **log.probe(self)}
            self.tick = lambda n: None
            log.epoch(epoch, metrics, method.templates())
            epoch, batch = epoch + 1, 0
            checkpoint(epoch, 0, done)
        self.save(log.final)

    def _spent(self, log: SeedLog) -> bool:
        bound = self.spec.train.max_rollouts
        return bound is not None and log.ledger.rollouts >= bound

    def _epoch(self, method: Method, updater: Updater, log: SeedLog, epoch: int, start: int):
        """Train the batches of one epoch from number `start`; yields how many are done after each."""
        cfg: TrainConfig = self.spec.train
        order = sorted(log.problems, key=lambda p: p.id)
        stream(log.seed, "order", epoch).shuffle(order)
        for batch in range(start, len(order) // cfg.prompts_per_batch):
            if self._spent(log):
                return
            problems = order[batch * cfg.prompts_per_batch : (batch + 1) * cfg.prompts_per_batch]
            groups = self._sample_groups(method, problems, log, epoch, batch)
            rows, metrics = updater.step(groups, self.encode)
            log.ledger.optimiser_steps += cfg.updates_per_batch
            log.ledger.trained_tokens += sum(len(r.rollout.tokens_T) for r in rows)
            if log.observe:
                metrics |= log.observe(rows)
            log.step(epoch, batch, groups, metrics)
            yield batch + 1

    def _sample_groups(
        self, method: Method, problems: list[Problem], log: SeedLog, epoch: int, batch: int
    ) -> list[Group]:
        cfg = self.spec.train
        rounds = iter(range(1_000_000))

        def serve(requests: list[tuple[Problem, Context]]) -> list[Rollout]:
            rollouts = self.rollouts(requests, cfg.sampling, derive(log.seed, "rollout", epoch, batch, next(rounds)))
            log.ledger.add_rollouts(rollouts)
            return rollouts

        name = (log.seed, "group", epoch, batch)
        groups = gather_groups(method, problems, cfg.rollouts_per_prompt, serve, name)
        for group in groups:
            log.ledger.add_discarded(group)
        return groups

    # ------------------------------------------------------------------ weights

    def save(self, folder: Path) -> None:
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def _load_weights(self, folder: Path) -> None:
        self.model.load_state_dict(AutoModelForCausalLM.from_pretrained(folder, dtype=self.model.dtype).state_dict())


def load_policy(source: str, revision: str | None, dtype: str, offline: bool) -> tuple[Any, Any]:
    """(tokenizer, model) of a folder or hub id; one clear sentence when either is not there."""
    options = {"revision": revision, "local_files_only": offline or Path(source).is_dir()}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
    except (OSError, ValueError) as e:
        raise _not_a_policy(source, "tokenizer", e) from None
    try:
        model = AutoModelForCausalLM.from_pretrained(source, dtype=getattr(torch, dtype), **options)
    except (OSError, ValueError) as e:
        raise _not_a_policy(source, "causal language model", e) from None
    return tokenizer, model


def _not_a_policy(source: str, what: str, error: Exception) -> Exception:
    reason = str(error).strip().split("\n")[0]
    if Path(source).is_dir():
        return UsageError(f"the model folder {source} holds no usable {what}: {reason}")
    return MissingError(f"cannot load the {what} of model {source!r} (no such folder; hub: {reason})")
