"""Engines: who answers the user turns of an evaluation. A block of turns is drawn from one random stream.

`BackendEngine` wraps a training backend (this process, or the engines of OpenRLHF); the others exist for `harness eval`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from harness.core.chat import Chat, ChatError, RefusedError, TooLongError
from harness.core.errors import HarnessError, MissingError, UsageError
from harness.core.settings import EngineConfig, ModelConfig
from harness.core.types import Rollout, Sampling
from harness.models import holds_adapters
from harness.runs.samples import OVERLONG
from harness.training.prompts import encode, rendering
from harness.training.vllm_requests import request_parameters, vllm_version

if TYPE_CHECKING:
    from harness.config import EvalSpec

KEY = "HARNESS_ENGINE_KEY"
"""The environment variable that holds a server's key; without it none is sent."""
NOT_SENT = "not sent"
"""What a result says of a field of the request that `engine.extra` has turned off."""


@dataclass(frozen=True)
class Block:
    """User turns whose completions are drawn side by side from the stream of `seed`."""

    prompts: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class Completion:
    """An answer, ungraded. Token counts include the end token where one was drawn.

    `overlong`: there is none, because the prompt is longer than the model can read; all else is empty then.
    """

    text: str
    tokens: int
    prompt_tokens: int
    truncated: bool
    overlong: bool = False


UNREAD = Completion("", 0, 0, truncated=False, overlong=True)
"""In place of an answer to a prompt that is too long."""


class Engine(Protocol):
    """A policy that answers. `tick`, which the caller sets, is told how many completions of a call are done."""

    tick: Callable[[int], None]

    def block_size(self, sampling: Sampling) -> int | None:
        """Turns of a block; None: all of them are one block."""
        ...

    def complete(self, blocks: Sequence[Block], sampling: Sampling) -> Iterator[tuple[int, list[Completion]]]:
        """(position of the block, its completions in order) as blocks are done, in any order."""
        ...

    def identity(self) -> dict[str, Any]:
        """What tells this engine's samples from another's: its name and version, number format, prompt rendering."""
        ...

    def remarks(self) -> list[str]:
        """In what its requests differed from what was asked for, in words; known once it has answered."""
        ...

    def close(self) -> None:
        """End what it has started."""
        ...


class BackendEngine:
    """A backend's policy at its present weights. Blocks are as large as the backend samples side by side anyway."""

    def __init__(
        self,
        generate: Callable[[Sequence[str], Sampling, int], list[Rollout]],
        identity: dict[str, Any] | None = None,
        tokens: int | None = None,
    ) -> None:
        """`generate` and `identity` of a backend; `tokens`: new tokens that a block may have at most, None is no bound."""
        self.generate, self.tokens, self.known = generate, tokens, identity or {}
        self.tick: Callable[[int], None] = lambda done: None

    def block_size(self, sampling: Sampling) -> int | None:
        return self.tokens and max(1, self.tokens // sampling.max_new_tokens)

    def complete(self, blocks: Sequence[Block], sampling: Sampling) -> Iterator[tuple[int, list[Completion]]]:
        for i, block in enumerate(blocks):
            rollouts = self.generate(block.prompts, sampling, block.seed)
            yield i, [UNREAD if r.status == OVERLONG else _completion(r) for r in rollouts]

    def identity(self) -> dict[str, Any]:
        return self.known

    def remarks(self) -> list[str]:
        return []

    def close(self) -> None:
        """The backend belongs to the caller."""


def _completion(r: Rollout) -> Completion:
    return Completion(r.text, len(r.tokens_T), r.prompt_tokens, r.truncated)


class VLLM:
    """vLLM in this process: blocks of one turn each, handed to it by the thousand; needs the package vllm."""

    BATCH = 1024
    """Turns between two writes of the finished ones."""

    def __init__(self, source: str, model: ModelConfig, cfg: EngineConfig) -> None:
        """Load the policy of a folder or hub id. Raises MissingError without vLLM."""
        try:
            from vllm import LLM
        except ImportError:
            raise MissingError("engine.name=vllm needs vLLM: pip install vllm, or take engine.name=transformers") from None
        self.model = model
        self.engine = LLM(
            model=source,
            revision=model.revision,
            dtype=model.dtype,
            max_model_len=cfg.max_model_len,
            tensor_parallel_size=cfg.tensor_parallel,
            gpu_memory_utilization=cfg.memory,
            generation_config="vllm",
            disable_log_stats=True,
            **cfg.extra,
        )
        self.tokenizer = self.engine.get_tokenizer()
        self.longest: int = self.engine.llm_engine.model_config.max_model_len
        self.tick: Callable[[int], None] = lambda done: None

    def block_size(self, sampling: Sampling) -> int | None:
        return 1

    def complete(self, blocks: Sequence[Block], sampling: Sampling) -> Iterator[tuple[int, list[Completion]]]:
        for start in range(0, len(blocks), self.BATCH):
            batch = list(enumerate(blocks[start : start + self.BATCH], start))
            ids = {i: encode(self.tokenizer, self.model, b.prompts[0]) for i, b in batch}
            yield from ((i, [UNREAD]) for i, _ in batch if len(ids[i]) >= self.longest)  # vLLM would refuse the whole batch
            batch = [(i, b) for i, b in batch if len(ids[i]) < self.longest]
            prompts = [{"prompt_token_ids": ids[i]} for i, _ in batch]
            params = [request_parameters(sampling, sampling.max_new_tokens, b.seed, detokenize=False) for _, b in batch]
            for (i, _), out in zip(batch, self.engine.generate(prompts, params, use_tqdm=False), strict=True):
                done = out.outputs[0]
                text = self.tokenizer.decode(done.token_ids, skip_special_tokens=True)
                cut = done.finish_reason == "length"
                yield i, [Completion(text, len(done.token_ids), len(out.prompt_token_ids), cut)]
            self.tick(start + len(ids))

    def identity(self) -> dict[str, Any]:
        return {
            "engine": "vllm",
            "version": vllm_version(),
            "dtype": self.model.dtype,
            "rendering_sha256": rendering(self.tokenizer, self.model),
        }

    def remarks(self) -> list[str]:
        return []

    def close(self) -> None:
        """Its processes must go before this one ends: multiprocessing waits for them at exit."""
        self.engine.llm_engine.engine_core.shutdown()


class Server:
    """A server that speaks OpenAI's chat completions. It renders the prompt: which template it uses stays its secret."""

    def __init__(self, model: ModelConfig, cfg: EngineConfig) -> None:
        """Raises MissingError without the package openai."""
        if find_spec("openai") is None:
            raise MissingError("engine.name=openai needs the package openai: pip install 'p2o-harness[local]'")
        self.model, self.cfg = model, cfg
        self.chat = Chat(
            base_url=cfg.base_url,
            key=os.environ.get(KEY),
            model=model.id,
            timeout_s=cfg.timeout_s,
            retries=cfg.retries,
            key_name=KEY,
        )
        self.pause = _Pace(cfg.requests_per_minute)
        self.tick: Callable[[int], None] = lambda done: None

    def block_size(self, sampling: Sampling) -> int | None:
        return 1

    def complete(self, blocks: Sequence[Block], sampling: Sampling) -> Iterator[tuple[int, list[Completion]]]:
        """Raises HarnessError when a request has failed for good; what is done by then has been yielded."""
        from concurrent.futures import ThreadPoolExecutor, as_completed

        with ThreadPoolExecutor(self.cfg.concurrency) as pool:
            futures = {pool.submit(self._ask, block, sampling): i for i, block in enumerate(blocks)}
            try:
                for done, future in enumerate(as_completed(futures), 1):
                    yield futures[future], [future.result()]
                    self.tick(done)
            finally:
                for future in futures:
                    future.cancel()

    def _ask(self, block: Block, sampling: Sampling) -> Completion:
        self.pause.wait()
        options = {"chat_template_kwargs": self.model.chat_options} if self.model.chat_options else {}
        fields = {"n": 1, "top_p": 1.0, "seed": block.seed % 2**31, **options, **self.cfg.extra}
        try:
            reply = self.chat.ask(block.prompts[0], sampling.temperature, sampling.max_new_tokens, fields)
        except TooLongError:
            return UNREAD
        except RefusedError as e:
            kept = "what was answered is kept, but --resume will not help until that is changed"
            raise HarnessError(f"{self.cfg.base_url} failed for good: it {e}; {kept}") from None
        except ChatError as e:
            kept = "what was answered is kept, --resume continues"
            raise HarnessError(f"{self.cfg.base_url} failed for good: it {e}; {kept}") from None
        return Completion(reply.text, reply.tokens, reply.prompt_tokens, reply.truncated)

    def identity(self) -> dict[str, Any]:
        extra = {name: NOT_SENT if value is None else value for name, value in self.cfg.extra.items()}
        return {"engine": "openai", "version": None, "chat_options": self.model.chat_options, "extra": extra}

    def remarks(self) -> list[str]:
        return self.chat.remarks

    def close(self) -> None:
        self.chat.close()


class _Pace:
    """At most so many starts a minute, evenly spread; from any thread."""

    def __init__(self, per_minute: float | None) -> None:
        self.every_s = 60 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + self.every_s
        if start > now:
            time.sleep(start - now)


def make_engine(spec: EvalSpec, source: str, offline: bool) -> Engine:
    """The engine of a spec for the policy at `source`. Raises MissingError where something that it needs is not there."""
    if spec.engine.name == "openai":
        if offline:
            raise UsageError("--offline and a server do not go together")
        return Server(spec.model, spec.engine)
    if spec.engine.name == "vllm":
        if holds_adapters(source):
            raise UsageError(
                f"{source} holds adapters, which only engine.name=transformers reads; name a folder of merged weights"
            )
        return VLLM(source, spec.model, spec.engine)
    from harness.training.local.backend import LocalBackend

    backend = LocalBackend(spec, offline, source)
    engine = BackendEngine(backend.generate, backend.identity(), spec.local.generation_tokens)
    backend.tick = lambda done: engine.tick(done)
    return engine
