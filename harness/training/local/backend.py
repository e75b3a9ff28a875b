"""The local backend: a compact loop of our own on torch and transformers, for a CPU or one GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any, cast

import torch

from harness.config import PolicySpec, RunSpec
from harness.core.errors import HarnessError, MissingError, UsageError
from harness.core.extras import require
from harness.core.method import Finetuned, Method
from harness.core.seeds import derive
from harness.core.settings import LossSpec, RewardRule
from harness.core.types import Context, Group, Problem, Rollout, Sampling
from harness.grading.strict import reward_many
from harness.models import locate
from harness.runs.samples import OVERLONG
from harness.training.gather import gather_groups
from harness.training.local.adapter import Adapter
from harness.training.local.attention import sound_kernels
from harness.training.local.generation import SampledTokens, sample, shares_prompts
from harness.training.local.loading import load_policy, load_weights
from harness.training.local.logps import completion_logps
from harness.training.local.memory import fitting_tokens, free_bytes, peak_bytes
from harness.training.local.vllm_sampler import VLLMSampler, takes_vllm
from harness.training.loop import train_epochs
from harness.training.loss import checked_advantages
from harness.training.prompts import encode, rendering
from harness.training.seedlog import SeedLog, writing
from harness.training.update import Updater
from harness.training.vllm_requests import vllm_version


class LocalBackend:
    """A Hugging Face causal language model that samples, trains and reflects in this process.

    `tick` may be set to a function that is told, while completions are sampled, how many of the call's are done.
    """

    def __init__(self, spec: PolicySpec, offline: bool = False, model: str | Path | None = None) -> None:
        """Load the policy; only one of a RunSpec can be trained. Raises MissingError (no such model) or UsageError (a
        folder that is not a policy)."""
        self.spec, self.offline = spec, offline
        self.adapter: Adapter | None = None
        if isinstance(spec, RunSpec) and spec.train.lora.rank:
            require("peft")
        self.reward: RewardRule = spec.train.reward if isinstance(spec, RunSpec) else "evaluation"
        if spec.local.threads:
            torch.set_num_threads(spec.local.threads)
        device = spec.local.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        elif device == "cuda" and not torch.cuda.is_available():
            raise MissingError("local.device is cuda, but torch sees no GPU; use local.device=auto")
        sound_kernels()
        self.source = str(model or locate(spec, offline))
        self.tokenizer, self.model = self._load(spec.model.revision)
        rendering(self.tokenizer, spec.model)  # a template that cannot render a turn is found before anything is written
        self.model.to(device).eval()
        self.commit: str | None = getattr(self.model.config, "_commit_hash", None)  # of the hub; None for a folder
        self.pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else 0
        ends = self.model.generation_config.eos_token_id
        self.stop = {self.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends] if ends else [])}
        self.positions: int | None = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        self.share = shares_prompts(self.model, spec.local.shared_prompts)
        self._initial: Any = None
        self.vllm: VLLMSampler | None = None  # an evaluation says which engine it wants itself
        if isinstance(spec, RunSpec) and takes_vllm(spec.local.sampler, self.model, spec.train.lora.rank > 0):
            self.vllm = VLLMSampler(self.model, spec.local)
        self.tick: Callable[[int], None] = lambda done: None

    def _load(self, revision: str | None) -> tuple[Any, Any]:
        return load_policy(self.source, revision, self.spec.model.dtype, self.offline, self._locate)

    def _locate(self, name: str) -> str | Path:
        """Where the model of this name is, which adapters are for."""
        model = self.spec.model.model_copy(update={"id": name, "revision": None})
        return locate(self.spec.model_copy(update={"model": model}), self.offline)

    # ------------------------------------------------------------------ sampling

    def encode(self, prompt: str) -> list[int]:
        """Token ids of one user turn."""
        return encode(self.tokenizer, self.spec.model, prompt)

    def _sample(
        self, prompts: Sequence[str], sampling: Sampling, seed: int, model: Any = None
    ) -> list[tuple[SampledTokens, str, int]]:
        """(completion, its text, prompt tokens) per prompt; `model` in the policy's place.

        Completions end with the model's positions. A prompt that leaves no position has a completion without tokens.
        """
        cached = {p: self.encode(p) for p in dict.fromkeys(prompts)}
        room = {p: len(ids) + sampling.max_new_tokens for p, ids in cached.items()}
        if self.positions is not None:
            room = {p: self.positions - len(ids) for p, ids in cached.items()}
        read = [p for p in prompts if room[p] > 0]
        ids = [cached[p] for p in read]
        try:
            if self.vllm:
                limits = [min(room[p], sampling.max_new_tokens) for p in read]
                rows = self.vllm.sample(model or self.model, ids, limits, sampling, self.stop, seed)
                self.tick(len(rows))
            else:
                rows = sample(
                    model or self.model,
                    ids,
                    sampling,
                    self.stop,
                    self.pad,
                    torch.Generator(device=self.model.device).manual_seed(seed),
                    self.spec.local.generation_tokens,
                    self.tick,
                    self.spec.local.cuda_graphs,
                    self.share,
                )
        except torch.OutOfMemoryError as e:
            raise HarnessError(f"out of GPU memory while sampling; lower local.generation_tokens: {e}") from None
        except RuntimeError as e:
            if "probability tensor contains" in str(e):
                raise HarnessError("the policy's probabilities are NaN or infinite: its weights are broken") from None
            raise
        drawn = iter(rows)
        rows = [_cut(next(drawn), room[p]) if room[p] > 0 else SampledTokens([], [], False) for p in prompts]
        texts = self.tokenizer.batch_decode([r.tokens_T for r in rows], skip_special_tokens=True)
        return [(r, t, len(cached[p])) for r, t, p in zip(rows, texts, prompts, strict=True)]

    def generate(self, prompts: Sequence[str], sampling: Sampling, seed: int, model: Any = None) -> list[Rollout]:
        return [
            Rollout(
                context=Context.plain(p),
                text=text,
                tokens_T=s.tokens_T,
                logps_T=s.logps_T,
                prompt_tokens=n,
                truncated=s.truncated,
                status="ok" if s.tokens_T else OVERLONG,
            )
            for p, (s, text, n) in zip(prompts, self._sample(prompts, sampling, seed, model), strict=True)
        ]

    def rollouts(self, requests: Sequence[tuple[Problem, Context]], sampling: Sampling, seed: int) -> list[Rollout]:
        drawn = self._sample([c.rollout for _, c in requests], sampling, seed)
        answers = [(text, p.answer, p.answer_type) for (p, _), (_, text, _) in zip(requests, drawn, strict=True)]
        grades = reward_many(answers, self.reward)
        return [
            Rollout(
                context=c,
                text=text,
                tokens_T=s.tokens_T,
                logps_T=s.logps_T,
                prompt_tokens=n,
                truncated=s.truncated,
                reward=g.score if s.tokens_T else 0.0,
                status=g.status if s.tokens_T else OVERLONG,
            )
            for (_, c), (s, text, n), g in zip(requests, drawn, grades, strict=True)
        ]

    def complete(self, prompts: Sequence[str], sampling: Sampling, seed: int, initial: bool = False) -> list[Rollout]:
        if not initial:
            return self.generate(prompts, sampling, seed)
        if self.adapter:
            with self.adapter.off():
                return self.generate(prompts, sampling, seed)
        if self._initial is None:  # read again: most methods never ask for it
            self._initial = self._load(self.commit or self.spec.model.revision)[1].eval()
        try:
            return self.generate(prompts, sampling, seed, self._initial.to(self.model.device))
        finally:
            self._initial.to("cpu")  # a GPU's memory is the training's until it is asked again

    def count_tokens(self, text: str) -> int:
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def finetune(self, examples: Sequence[tuple[str, str]], lr: float, epochs: int, batch: int, seed: int) -> Finetuned:
        """Each completion is followed by the end token. Raises MissingError without trl."""
        from harness.training.local.sft import finetune

        self._weights_change()
        end = [self.tokenizer.eos_token_id]
        pairs = [(self.encode(x), self.tokenizer(y, add_special_tokens=False)["input_ids"] + end) for x, y in examples]
        return finetune(self.model, self.tokenizer, pairs, lr, epochs, batch, seed)

    @torch.inference_mode()
    def score(self, prompts: Sequence[str], completions: Sequence[str], temperature: float) -> list[list[float]]:
        """Log-probability of every token of a completion given a user turn, at `temperature`; no end token."""
        ids = [self.tokenizer(c, add_special_tokens=False)["input_ids"] for c in completions]
        texts = [self.encode(p) for p in prompts]
        logps_B_T, _ = completion_logps(self.model, texts, ids, temperature, self.pad, self.share)
        return [row[: len(i)].tolist() for row, i in zip(logps_B_T, ids, strict=True)]

    def identity(self) -> dict[str, Any]:
        return {
            "engine": "vllm" if self.vllm else "transformers",
            "version": vllm_version() if self.vllm else version("transformers"),
            "dtype": self.spec.model.dtype,
            "rendering_sha256": rendering(self.tokenizer, self.spec.model),
        }

    # ------------------------------------------------------------------ training

    def train(self, method: Method, log: SeedLog) -> None:
        """All epochs of one seed; the trained policy ends up in the log's `final` folder, adapters beside it too.

        Adapters are part of the policy's weights then, in this process as in the folder.
        """
        cfg, local = cast(RunSpec, self.spec).train, self.spec.local
        loss = method.loss or LossSpec()  # a method without one takes no step
        advantages = partial(checked_advantages, method)
        if cfg.lora.rank:
            self.adapter = Adapter(self.model, cfg.lora, derive(log.seed, "lora"), self.spec.model.id)
        self._updater = Updater(
            model=self.model,
            cfg=cfg,
            loss=loss,
            pad=self.pad,
            forward_tokens=self._forward_tokens(method),
            advantages=advantages,
            recompute=local.gradient_checkpointing,
            share=self.share,
        )
        self._check_lengths(method.problems)
        log.note(rendering_sha256=rendering(self.tokenizer, self.spec.model), model_revision=self.commit)
        train_epochs(self, method, log)
        if self.adapter:
            writing(log.adapter, self.adapter.save)
            self.adapter.merge()
            self.adapter = None
        writing(log.final, self.save)
        del self._updater  # of a GPU's memory, what it takes is the evaluation's

    def _forward_tokens(self, method: Method) -> int:
        """Of a pass, as memory allows. Raises HarnessError where an update would not fit."""
        cfg, local = cast(RunSpec, self.spec).train, self.spec.local
        if method.loss is None or not method.problems:
            return local.forward_tokens
        row = len(self.encode(max((p.text for p in method.problems), key=len))) + cfg.max_new_tokens
        device = self.model.device
        lower = device.type == "cuda"  # on a CPU, what else is in memory must not change a run's numbers
        return fitting_tokens(self.model, cfg, local, min(row, self.positions or row), free_bytes(device), lower)

    def _check_lengths(self, problems: Sequence[Problem]) -> None:
        """Raises UsageError where the model cannot read a training problem."""
        if self.positions is None:
            return
        spare = self.positions - len(self.encode(""))
        long = [p for p in problems if len(p.text.encode(errors="replace")) >= spare]  # a token has a byte at least
        if long := [p for p in long if len(self.encode(p.text)) >= (self.positions or 0)]:
            raise UsageError(
                f"{len(long)} of {len(problems)} training problems leave no room for an answer: the prompt of {long[0].id!r} "
                f"has {len(self.encode(long[0].text)):,} tokens, and the model reads {self.positions:,}; leave them out of the "
                "training set, or take a model with a longer context"
            )

    def begin_epoch(self, method: Method, epoch: int) -> None:
        """Nothing to hand over: the method lives in this process."""

    def batch(
        self, method: Method, problems: list[Problem], log: SeedLog, epoch: int, batch: int
    ) -> tuple[list[Group], dict[str, Any]]:
        """Sample the groups of a batch side by side and take the optimiser steps on them."""
        cfg = cast(RunSpec, self.spec).train
        rounds = count(1)

        def serve(requests: list[tuple[Problem, Context]]) -> list[Rollout]:
            rollouts = self.rollouts(requests, cfg.sampling, derive(log.seed, "rollout", epoch, batch, next(rounds)))
            log.ledger.add_rollouts(rollouts)
            if over := next((r for r in rollouts if r.status == OVERLONG), None):
                raise HarnessError(
                    f"a rollout's prompt has {over.prompt_tokens:,} tokens, and the model reads {self.positions:,}; what a "
                    "method adds to a problem must be shorter (the reflector's max_new_tokens), or the model's context longer"
                )
            return rollouts

        groups = gather_groups(method, problems, cfg.rollouts_per_prompt, serve, (log.seed, "group", epoch, batch))
        self._weights_change()
        try:
            rows, metrics = self._updater.step(groups, self.encode)
        except torch.OutOfMemoryError as e:
            hint = "lower local.forward_tokens or set local.gradient_checkpointing=true"
            raise HarnessError(f"out of GPU memory in a training pass; {hint}: {e}") from None
        log.ledger.add_update(groups, cfg.updates_per_batch)
        if log.world:
            metrics |= log.world.observe(rows)
        return groups, metrics | {"memory_gb": peak_bytes(self.model.device) / 1e9}

    # ------------------------------------------------------------------ weights

    def save(self, folder: Path) -> None:
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def _weights_change(self) -> None:
        """To be called before they do."""
        if self.vllm:
            self.vllm.changed()

    def write_checkpoint(self, folder: Path) -> None:
        (self.adapter or self).save(folder)
        self._updater.save(folder / "optimizer.pt")

    def read_checkpoint(self, folder: Path) -> None:
        self._weights_change()
        if self.adapter:
            self.adapter.load(folder)
        else:
            self.model.load_state_dict(load_weights(folder, self.model.dtype).state_dict())
        self._updater.load(folder / "optimizer.pt")

    def __enter__(self) -> LocalBackend:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing runs outside this process. An engine of vLLM is the next seed's too."""
        self._weights_change()


def _cut(row: SampledTokens, room: int) -> SampledTokens:
    """The first `room` tokens of a completion."""
    if len(row.tokens_T) <= room:
        return row
    return SampledTokens(row.tokens_T[:room], row.logps_T[:room], True)
