"""The recipe's terms in OpenRLHF's flags: one table, from which the command and the dry run are made."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.config import RunSpec
from harness.core.errors import UsageError
from harness.core.method import Method
from harness.core.seeds import derive
from harness.core.settings import LossSpec
from harness.models import holds_adapters

LOCAL = ("localhost", "127.0.0.1", "::1", "0.0.0.0")
"""Names of a machine for itself."""
NO_BOUND = 1e30
"""For the context ratio, where the correction drops nothing."""

NOT_REHEARSED = (
    "a rehearsal does not cover: weight sync by CUDA IPC and NCCL, FlashAttention kernels, CUDA graphs, real sleep and "
    "offload, tensor parallelism, several GPUs or nodes, memory limits, speed"
)


@dataclass(frozen=True)
class Flag:
    """`--name value`, and where the value comes from. A value of True is a bare flag; False and None leave it out."""

    name: str
    value: Any
    source: str

    @property
    def words(self) -> list[str]:
        if self.value is None or self.value is False:
            return []
        if self.value is True:
            return [f"--{self.name}"]
        values = self.value if isinstance(self.value, list | tuple) else [self.value]
        return [f"--{self.name}", *map(str, values)]


@dataclass(frozen=True)
class Translation:
    """All flags of a seed, and the batch arithmetic in words."""

    flags: list[Flag]
    arithmetic: list[str]

    @property
    def command(self) -> list[str]:
        return ["-m", "harness.training.openrlhf.driver", *(word for flag in self.flags for word in flag.words)]

    def lines(self) -> list[str]:
        width = max(len(f.name) for f in self.flags)
        rows = [f"--{f.name:<{width}}  {_text(f.value):<24}  {f.source}" for f in self.flags]
        return [*self.arithmetic, *rows, "command: python " + shlex.join(self.command)]


def describe(spec: RunSpec, method: Method) -> list[str]:
    """The translation of the first seed, with the paths that a run directory RUN would give."""
    seed = spec.seeds[0]
    work, final = Path(f"RUN/openrlhf/s{seed}"), Path(f"RUN/ckpt/s{seed}/final")
    lines = translate(spec, method, spec.model.id, work, final, seed, resume=False).lines()
    return [*lines, NOT_REHEARSED] if spec.backend.rehearse else lines


def _text(value: Any) -> str:
    if value is True:
        return "(set)"
    return (
        "(not set)"
        if value is None or value is False
        else " ".join(map(str, value))
        if isinstance(value, list | tuple)
        else str(value)
    )


def translate(spec: RunSpec, method: Method, source: str, work: Path, final: Path, seed: int, resume: bool) -> Translation:
    """The driver's flags. Raises UsageError when the recipe cannot be expressed, or an extra flag contradicts it."""
    _refuse(spec, method)
    train, gpus = spec.train, spec.backend.nodes * spec.backend.gpus_per_node
    problems, batches = len(method.problems), len(method.problems) // spec.train.prompts_per_batch
    samples = train.prompts_per_batch * train.rollouts_per_prompt
    per_update = samples // train.updates_per_batch
    flags = [
        *_cluster(spec, source, work, seed),
        *_batches(spec, per_update),
        *_loss(method.loss or train.loss),  # a frozen policy takes no step
        *_optimiser(spec, steps=problems * train.rollouts_per_prompt // per_update * max(train.epochs, 1)),
        Flag("ckpt.path", str(work / "checkpoints"), "run directory"),
        Flag("ckpt.output_dir", str(final), "run directory"),
        Flag("ckpt.max_num", 2, "the last checkpoint and the one before"),
        Flag("ckpt.load_enable", resume, "--resume"),
    ]
    flags += _extra(flags, spec.backend.flags)
    return Translation(
        flags,
        [
            f"batch: {train.prompts_per_batch} prompts x {train.rollouts_per_prompt} samples = {samples} samples, "
            f"{train.updates_per_batch} updates of {per_update} samples ({per_update // gpus} a GPU)",
            f"epoch: {problems} problems = {batches} batches of {train.prompts_per_batch} "
            f"({problems % train.prompts_per_batch} problems left out), {batches * train.updates_per_batch} optimiser steps",
        ],
    )


def _refuse(spec: RunSpec, method: Method) -> None:
    """Raises UsageError for what OpenRLHF cannot do."""
    train, backend, loss = spec.train, spec.backend, method.loss
    costs = method.costs()
    later = costs.epoch or costs.last  # a search before the first step has the initial weights
    if loss and later and spec.method_config.get("reflector", {}).get("kind") == "initial":
        raise UsageError(
            "the engines hold the trained weights only; to reflect with the initial ones, serve them "
            "(vllm serve MODEL) and set the reflector's kind to openai, its base_url and model"
        )
    if method.supervised:
        raise UsageError(f"{spec.method} fine-tunes on given texts, which only --backend local does")
    if train.lora.rank or any(name.startswith("ds.lora.") for name in backend.flags):
        raise UsageError(
            "OpenRLHF 0.11.2 sends adapters to vLLM under names that vLLM does not know; set train.lora.rank=0, or train with "
            "--backend local"
        )
    if holds_adapters(spec.model.id):
        raise UsageError(f"{spec.model.id} holds adapters, which only --backend local reads; name a folder of merged weights")
    if loss and loss.correction == "shaping":
        raise UsageError(
            f"OpenRLHF's loss has no policy shaping; set {spec.method}.correction to none, clip or mask, or train with "
            "--backend local"
        )
    if backend.zero_stage == 2:
        raise UsageError(
            "backend.zero_stage 2 trains on wrong gradients: with OpenRLHF's batches by tokens DeepSpeed keeps only part of an "
            "update's passes at that stage (docs/openrlhf.md); leave it at 3, on one GPU too"
        )
    address = urlsplit(spec.method_config.get("reflector", {}).get("base_url") or "").hostname
    if backend.nodes > 1 and address in LOCAL:
        raise UsageError(
            f"{spec.method}.reflector.base_url {address} is another machine on each of the {backend.nodes} nodes; give the "
            "server's name in the cluster"
        )
    gpus = backend.nodes * backend.gpus_per_node
    per_update = train.prompts_per_batch * train.rollouts_per_prompt // train.updates_per_batch
    if gpus % backend.tensor_parallel:
        raise UsageError(f"backend.tensor_parallel {backend.tensor_parallel} does not divide the {gpus} GPUs")
    if per_update % gpus:
        raise UsageError(
            f"an update of {per_update} samples (train.prompts_per_batch {train.prompts_per_batch} x "
            f"train.rollouts_per_prompt {train.rollouts_per_prompt} / train.updates_per_batch {train.updates_per_batch}) "
            f"cannot be split over {gpus} GPUs (backend.nodes x backend.gpus_per_node)"
        )


def divides(spec: RunSpec, gpus: int) -> int:
    """The most GPUs of a node, up to so many, over which an update can be split; 0 for none."""
    train, backend = spec.train, spec.backend
    per_update = train.prompts_per_batch * train.rollouts_per_prompt // train.updates_per_batch
    fits = [n for n in range(1, gpus + 1) if per_update % (n * backend.nodes) == 0 and n % backend.tensor_parallel == 0]
    return max(fits, default=0)


def _cluster(spec: RunSpec, source: str, work: Path, seed: int) -> list[Flag]:
    """Model, data, machines, precision."""
    backend, rehearse = spec.backend, spec.backend.rehearse
    gpus = backend.nodes * backend.gpus_per_node
    return [
        Flag("actor.model_name_or_path", source, "model.id"),
        Flag("train.seed", derive(seed, "openrlhf") % 2**31, "seeds, hashed"),
        Flag("train.agent_func_path", str(Path(__file__).with_name("executor.py")), "runs the method's rollout groups"),
        Flag("data.prompt_dataset", str(work / "prompts.jsonl"), "train.set; prompts are rendered by the executor"),
        Flag("actor.num_nodes", backend.nodes, "backend.nodes"),
        Flag("actor.num_gpus_per_node", backend.gpus_per_node, "backend.gpus_per_node"),
        Flag("vllm.num_engines", gpus // backend.tensor_parallel, "one per backend.tensor_parallel GPUs"),
        Flag("vllm.tensor_parallel_size", backend.tensor_parallel, "backend.tensor_parallel"),
        Flag("vllm.gpu_memory_utilization", 0.05 if rehearse else backend.engine_memory, "backend.engine_memory"),
        Flag("vllm.sync_backend", "gloo" if rehearse else "nccl", "backend.rehearse"),
        Flag("vllm.enforce_eager", rehearse, "backend.rehearse"),
        Flag("train.colocate_all", True, "trainer and engines share the GPUs"),
        Flag("vllm.enable_sleep", True, "and take turns"),
        Flag("ds.enable_sleep", True, "and take turns"),
        Flag("train.async_enable", False, "the epoch hook needs all rollouts of an epoch"),
        Flag("ds.zero_stage", backend.zero_stage, "backend.zero_stage"),
        Flag("ds.adam_offload", backend.offload, "backend.offload"),
        Flag("ds.param_dtype", "bf16", "OpenRLHF: bfloat16 weights, float32 master weights"),
        Flag("ds.packing_samples", True, "no padding in a pass"),
        Flag("train.dynamic_batch_enable", True, "passes by tokens, not rows"),
        Flag("train.max_tokens_per_gpu", backend.forward_tokens, "backend.forward_tokens"),
        Flag("actor.gradient_checkpointing_enable", not rehearse, "memory"),
    ]


def _batches(spec: RunSpec, per_update: int) -> list[Flag]:
    """Sizes of batches and of completions."""
    train = spec.train
    return [
        Flag("rollout.batch_size", train.prompts_per_batch, "train.prompts_per_batch"),
        Flag("rollout.n_samples_per_prompt", train.rollouts_per_prompt, "train.rollouts_per_prompt"),
        Flag("train.batch_size", per_update, "samples of an update"),
        Flag("train.max_epochs", 1, "passes over a batch"),
        Flag("train.num_episodes", max(train.epochs, 1), "train.epochs"),
        Flag("rollout.temperature", train.temperature, "train.temperature"),
        Flag("rollout.top_p", 1.0, "log-probabilities are of the whole distribution"),
        Flag("rollout.max_new_tokens", train.max_new_tokens, "train.max_new_tokens"),
        Flag("data.max_len", spec.backend.prompt_tokens + train.max_new_tokens, "backend.prompt_tokens + train.max_new_tokens"),
    ]


def _loss(loss: LossSpec) -> list[Flag]:
    """Advantages and policy loss."""
    band = loss.ratio_band if loss.correction == "mask" else (0.0, NO_BOUND)
    return [
        Flag("algo.advantage.estimator", "group_norm", "no critic; the method's own advantages take their place"),
        Flag("algo.kl.init_coef", 0, "no reference model"),
        Flag("algo.dynamic_filtering_enable", False, "every group is needed, for mining and the ledger"),
        Flag("actor.eps_clip_low_high", [loss.clip_low, loss.clip_high], "train.loss.clip_low, clip_high"),
        Flag("actor.dual_clip", loss.dual_clip, "train.loss.dual_clip"),
        Flag(
            "actor.loss_agg_mode",
            {"token_mean": "token-mean", "sequence_mean": "seq-mean-token-mean"}[loss.aggregation],
            "train.loss.aggregation",
        ),
        Flag("algo.advantage.is_correction_level", "token", "so that rollout log-probabilities are kept"),
        Flag("algo.advantage.is_correction_mode", "mask", "the method's correction"),
        Flag("algo.advantage.is_correction_gating", "ratio", "the method's correction"),
        Flag("algo.advantage.is_correction_threshold", list(band), f"train.loss.ratio_band, correction {loss.correction}"),
    ]


def _optimiser(spec: RunSpec, steps: int) -> list[Flag]:
    """AdamW and its schedule; `steps` as OpenRLHF counts them."""
    train = spec.train
    # OpenRLHF rounds steps x ratio up; the half keeps that from adding a step.
    warmup = max(train.warmup_steps - 0.5, 0.0) / max(steps, 1)
    return [
        Flag("actor.adam.lr", train.lr, "train.lr"),
        Flag("actor.adam.betas", list(train.betas), "train.betas"),
        Flag("actor.adam.weight_decay", train.weight_decay, "train.weight_decay"),
        Flag("actor.lr_scheduler", "constant_with_warmup", "constant after warm-up"),
        Flag("actor.lr_warmup_ratio", warmup, f"train.warmup_steps {train.warmup_steps} of {steps}"),
        Flag("actor.max_norm", train.grad_clip, "train.grad_clip"),
    ]


def _extra(ours: list[Flag], extra: dict[str, Any]) -> list[Flag]:
    """The user's own flags. Raises UsageError for one that the recipe already decides."""
    decided = {f.name: f for f in ours}
    for name, value in extra.items():
        mine = decided.get(name)
        if mine is not None and _text(value) != _text(mine.value):
            raise UsageError(
                f"backend.flags {name!r} = {_text(value)} contradicts the recipe, which says {_text(mine.value)} "
                f"({mine.source})"
            )
    return [Flag(name, value, "backend.flags") for name, value in extra.items() if name not in decided]
