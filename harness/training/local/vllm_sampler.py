"""vLLM as the sampler of the local backend: an engine in this process, which takes over the policy's weights in place.

Written against vLLM 0.29 and its public interface: `LLM`, `collective_rpc("reload_weights")`, `sleep`, `wake_up`.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from harness.core.errors import HarnessError, MissingError, UsageError
from harness.core.seeds import derive
from harness.core.settings import LocalConfig
from harness.core.types import Sampling
from harness.training.local.generation import SampledTokens, cache_bytes
from harness.training.vllm_requests import request_parameters, sampled

WORTH_IT = 10_000_000
"""Parameters from which on `auto` takes vLLM: below, its start costs more than its speed saves."""


def takes_vllm(setting: str, model: Any, adapters: bool) -> bool:
    """What `local.sampler` means for this model, of which all weights or `adapters` are trained.

    Raises MissingError where vLLM is asked for and not installed, UsageError where it is asked for with adapters.
    """
    if adapters:
        if setting == "vllm":
            raise UsageError("local.sampler=vllm takes over whole weights; with train.lora take local.sampler=transformers")
        return False
    installed = find_spec("vllm") is not None
    if setting == "vllm" and not installed:
        raise MissingError("local.sampler=vllm needs vLLM: pip install vllm, or take local.sampler=transformers")
    if setting != "auto":
        return setting == "vllm"
    return installed and model.device.type == "cuda" and sum(p.numel() for p in model.parameters()) >= WORTH_IT


@dataclass
class _Running:
    """The engine of this process, of which vLLM allows no second one with sleep mode: the backends of all seeds share it."""

    key: tuple[Any, ...]
    llm: Any
    folder: TemporaryDirectory[str]


_running: _Running | None = None


class VLLMSampler:
    """Completions of a model's present weights. `changed` must be called when they are about to change, or have.

    On a GPU the engine sleeps from then until the next sample: its copy of the weights and its cache take no memory.
    """

    def __init__(self, model: Any, cfg: LocalConfig) -> None:
        """Start the engine, or take over that of an earlier seed. Raises HarnessError where vLLM cannot serve the model."""
        self.llm = _engine(model, cfg)
        self.holds: Any = None
        """The model whose weights the engine has."""
        self.sleeps = model.device.type == "cuda"

    def changed(self) -> None:
        """What the engine holds is void."""
        if self.holds is not None and self.sleeps:
            self.llm.sleep(level=2)
        self.holds = None

    def sample(
        self,
        model: Any,
        prompts_B: Sequence[Sequence[int]],
        limits_B: Sequence[int],
        sampling: Sampling,
        stop: set[int],
        seed: int,
    ) -> list[SampledTokens]:
        """One completion of at most `limits_B` tokens per prompt, in order, each from random numbers of its own.

        Raises RuntimeError where the model's probabilities are no numbers, as the other samplers do.
        """
        self._load(model)
        more = {"logprobs": 0, "stop_token_ids": sorted(stop), "ignore_eos": True, "detokenize": False}
        params = [request_parameters(sampling, n, derive(seed, "row", i), **more) for i, n in enumerate(limits_B)]
        outputs = self.llm.generate([{"prompt_token_ids": list(p)} for p in prompts_B], params, use_tqdm=False)
        rows = [SampledTokens(*sampled(output)) for output in outputs]
        if not torch.tensor([p for row in rows for p in row.logps_T]).isfinite().all():
            raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
        return rows

    def _load(self, model: Any) -> None:
        """Give the engine the model's weights, if it has others."""
        if self.holds is model:
            return
        self.changed()
        if self.sleeps:
            torch.cuda.empty_cache()  # what PyTorch keeps for itself is not free for another allocator
            self.llm.wake_up(tags=["weights"])
        self.llm.collective_rpc("reload_weights", kwargs={"weights_iterator": _weights(model)})
        if self.sleeps:
            self.llm.wake_up(tags=["kv_cache"])
        self.llm.reset_prefix_cache()  # keys and values of the weights before
        self.holds = model


def _weights(model: Any) -> Iterator[tuple[str, Tensor]]:
    """As a checkpoint has them. A tied head is among them: vLLM has a layer of its own for it."""
    return iter(model.state_dict().items())


def _engine(model: Any, cfg: LocalConfig) -> Any:
    """An engine for models of this configuration, with random weights; on a GPU asleep."""
    global _running
    text, cuda = model.config.get_text_config(), model.device.type == "cuda"
    positions = getattr(text, "max_position_embeddings", None)
    room = max(cfg.generation_tokens, positions or 0) + 1024  # vLLM rounds down, to whole blocks
    key = (model.config.to_json_string(use_diff=False), model.dtype, cuda, room, cfg.cuda_graphs)
    if _running and _running.key == key:
        return _running.llm
    if _running:
        _running.llm.llm_engine.engine_core.shutdown()
        _running = None
        gc.collect()
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # read when vLLM is imported: the engine lives in this process
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    from vllm import LLM

    cache = room * cache_bytes(text, model.dtype.itemsize)
    weights = sum(p.numel() * p.dtype.itemsize for p in model.parameters())
    share = (cache + weights) / torch.cuda.get_device_properties(model.device).total_memory if cuda else 0.1
    folder = TemporaryDirectory(prefix="harness-vllm-")
    model.config.save_pretrained(folder.name)
    try:
        llm = LLM(
            model=folder.name,
            load_format="dummy",
            skip_tokenizer_init=True,
            dtype=str(model.dtype).removeprefix("torch."),
            max_model_len=positions,
            kv_cache_memory_bytes=cache,
            gpu_memory_utilization=min(share, 1.0),  # beside a cache of given size, only what must be free at the start
            enable_sleep_mode=cuda,
            enforce_eager=not (cuda and cfg.cuda_graphs),
            logprobs_mode="processed_logprobs",
            generation_config="vllm",
            disable_log_stats=True,
        )
    except (ValueError, RuntimeError, NotImplementedError, AssertionError) as e:
        reason = " ".join(str(e).split())[:300] or type(e).__name__
        raise HarnessError(f"vLLM cannot sample this model here ({reason}); local.sampler=transformers can") from None
    if cuda:
        llm.sleep(level=2)
    _running = _Running(key, llm, folder)
    return llm
