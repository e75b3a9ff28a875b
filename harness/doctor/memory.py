"""What a run takes of GPUs, main memory and disk, part by part: the arithmetic of docs/openrlhf.md as a table, in bytes.

OpenRLHF 0.11.2 trains at ZeRO stage 3 in bfloat16 with float32 masters; DeepSpeed 0.19.6's own defaults hold where OpenRLHF
says "auto" (deepspeed/runtime/zero/config.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.config import RunSpec
from harness.cost.files import files
from harness.training.local.generation import cache_bytes
from harness.training.local.memory import SHARE, Memory

GB = 1e9
LIVE, BUCKET, GROUP = 10**9, 5 * 10**8, 10**9
"""DeepSpeed's max_live_parameters, reduce_bucket_size and sub_group_size, in numbers."""
LOGIT_COPIES = 3.4
"""Most copies of a pass's logits in float32 that OpenRLHF's loss holds at once: forwards and backwards, counted on a CPU."""
CONTEXTS = 4 * GB
"""Assumed, a GPU: two CUDA contexts, NCCL's buffers, the CUDA graphs that an engine keeps while it sleeps."""
CONTEXT = 1 * GB
"""Assumed on the local backend: a CUDA context, or a Python process with torch."""
PROCESSES = 4 * GB
"""Assumed, main memory for the two processes of a GPU."""
ENGINE_WORK = 2 * GB
"""Assumed: what vLLM needs beside weights and cache."""
PROMPT = 512
"""Assumed tokens of the longest prompt on the local backend, which has no bound of its own."""


@dataclass(frozen=True)
class Part:
    """Bytes: of a GPU while it trains and while it samples, of a node's main memory, of the disk."""

    name: str
    how: str
    training: float = 0.0
    sampling: float = 0.0
    host: float = 0.0
    disk: float = 0.0


@dataclass(frozen=True)
class Needs:
    """All parts. `gpu`: whether the first two columns are of a GPU; else they are of main memory. `engine`: what vLLM needs of
    a GPU to hold its weights and one completion of full length; `cached`: how many of those its share holds."""

    parts: list[Part]
    gpu: bool
    engine: float = 0.0
    cached: float = 0.0

    @property
    def training(self) -> float:
        return sum(p.training for p in self.parts)

    @property
    def sampling(self) -> float:
        return sum(p.sampling for p in self.parts)

    @property
    def host(self) -> float:
        return sum(p.host for p in self.parts)

    @property
    def disk(self) -> float:
        return sum(p.disk for p in self.parts)


def openrlhf_needs(spec: RunSpec, model: Any, gpu_memory: float | None) -> Needs:
    """Of a run on OpenRLHF. `model`: a shape in bfloat16; `gpu_memory`: bytes of a GPU, of which the engine has a share; where
    it is not known the engine counts with the least that it takes."""
    backend, config = spec.backend, model.config.get_text_config()
    n, g = backend.nodes * backend.gpus_per_node, backend.gpus_per_node
    params = list(model.parameters())
    p, largest = sum(x.numel() for x in params), max(x.numel() for x in params)
    memory = Memory.of(model, True, 0)  # 0: FlashAttention has no mask
    tokens, off = backend.forward_tokens, backend.offload
    activations, logits = tokens * memory.token, LOGIT_COPIES * 4 * tokens * memory.vocabulary
    step = 4 * min(p / n, GROUP)
    engine_weights, row = 2 * p / backend.tensor_parallel, backend.prompt_tokens + spec.train.max_new_tokens
    row_bytes = row * cache_bytes(config, 2) / backend.tensor_parallel
    least = engine_weights + ENGINE_WORK + row_bytes
    share = least if gpu_memory is None else backend.engine_memory * gpu_memory
    told = "weights, one completion of full length" if gpu_memory is None else f"{backend.engine_memory:g} of a GPU"
    parts = [
        Part("weights", f"2 bytes x {p / 1e9:.2f}e9 / {n} GPUs", 2 * p / n, 2 * p / n),
        Part("layers gathered", "2 bytes x 1e9 at most; the largest in a sync", 2 * min(p, LIVE), 2 * largest),
        Part("gradients", f"2 bytes x {p / 1e9:.2f}e9 / {n}", 0 if off else 2 * p / n, host=2 * p / backend.nodes),
        Part("bucket of gradients", "2 bytes x 5e8", 2 * BUCKET),
        Part(
            "masters and optimiser",
            f"12 bytes x {p / 1e9:.2f}e9 / {n}" + (", backend.offload" if off else "; in main memory while sampling"),
            0 if off else 12 * p / n,
            host=12 * p / backend.nodes + (step * g if off else 0),
        ),
        Part("activations", f"{tokens:,} tokens, recomputed", activations),
        Part(
            "logits",
            f"{tokens:,} tokens x {memory.vocabulary:,} x 4 bytes x {LOGIT_COPIES}",
            max(logits, tokens * memory.layer, 0 if off else step),
        ),
        Part("engine", told, sampling=share),
        Part("engines asleep", f"weights of {g // backend.tensor_parallel} engines", host=g * engine_weights),
        Part("contexts, processes", "assumed", CONTEXTS, CONTEXTS, PROCESSES * g),
        *_files(spec, 2 * p, 14 * p),  # DeepSpeed's: bfloat16 weights, float32 masters, two moments
    ]
    room = share - engine_weights - ENGINE_WORK
    return Needs(parts, True, least, max(0.0, room / row_bytes))


def local_needs(spec: RunSpec, model: Any, gpu_memory: float | None) -> Needs:
    """Of a run on the local backend; on a GPU a pass has as many tokens as fit, at most `local.forward_tokens`."""
    gpu, cfg, local = gpu_memory is not None, spec.train, spec.local
    row = local_row(spec, model)
    memory = Memory.of(model, local.gradient_checkpointing, row)
    rows = cfg.prompts_per_batch * cfg.rollouts_per_prompt // cfg.updates_per_batch
    tokens = min(max(local.forward_tokens, row), rows * row)
    if gpu_memory is not None:
        tokens = max(row, min(tokens, memory.tokens(int(SHARE * (gpu_memory - memory.weights - CONTEXT)))))
    cached = min(local.generation_tokens, cfg.prompts_per_batch * cfg.rollouts_per_prompt * row)
    p = memory.weights // memory.itemsize
    lasting = memory.weights + memory.masters + memory.optimiser
    parts = [
        Part("weights", f"{memory.itemsize} bytes x {p / 1e9:.2f}e9", memory.weights, memory.weights),
        Part("masters and optimiser", "4 and 8 bytes of what is trained", lasting - memory.weights, lasting - memory.weights),
        Part("gradients", "4 bytes of what is trained", memory.gradients),
        Part("a pass", f"{tokens:,} tokens, forwards and backwards", memory.pass_(tokens)),
        Part(
            "cache of sampling",
            f"{cached:,} tokens",
            sampling=cached * cache_bytes(model.config.get_text_config(), memory.itemsize),
        ),
        Part("context" if gpu else "the process", "assumed", CONTEXT, CONTEXT),
        *_files(spec, memory.weights, lasting),
    ]
    return Needs(parts, gpu)


def local_row(spec: RunSpec, model: Any) -> int:
    """Tokens of the longest prompt and completion."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    row = PROMPT + spec.train.max_new_tokens
    return min(row, positions or row)


def _files(spec: RunSpec, weights: float, state: float) -> list[Part]:
    """Of disk alone, from the bytes of a policy and of a checkpoint."""
    found = files(spec, weights, state)
    return [
        Part("checkpoints", f"{found.kept} of {state / GB:.1f} GB", disk=found.kept * state),
        Part("trained policies", f"{found.seeds} seeds x {weights / GB:.1f} GB", disk=weights * found.seeds),
    ]
