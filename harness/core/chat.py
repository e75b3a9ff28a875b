"""A server that speaks OpenAI's chat completions, which may be faulty: bounded attempts with jitter, bounded answers.

Refusals that may pass (408, 409, 429, 5xx, no connection, no answer in time) are retried by the client itself, with its
growing, jittered pauses and the server's Retry-After; what is no answer at all is retried here. No error quotes what the
server said: it may hold the key.
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.core.errors import HarnessError

if TYPE_CHECKING:
    import openai

PAUSE_S = (0.5, 8.0)
"""First and longest pause before retrying a malformed response; doubled each time, then drawn between half of it and all."""
FIXED_BYTES, TOKEN_BYTES = 1 << 20, 64
"""An answer may have this many bytes, and as many more per token that was asked for (JSON writes a character in up to 12)."""


class MalformedResponse(Exception):
    """What came is no answer; another attempt may bring one."""


class ChatError(HarnessError):
    """The server failed for good; the message completes "the server ..."."""


@dataclass(frozen=True)
class Reply:
    """An answer with its bill in tokens; `truncated`: it ended at the limit."""

    text: str
    prompt_tokens: int
    tokens: int
    truncated: bool


class Chat:
    """The client of one server; `ask` may be called from many threads."""

    def __init__(self, base_url: str | None, key: str, model: str, timeout_s: float, retries: int) -> None:
        """`timeout_s`: of one attempt, the whole answer included; `retries`: further attempts."""
        import openai

        self.model, self.timeout_s, self.retries = model, timeout_s, retries
        self.client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=retries, timeout=timeout_s)

    @property
    def url(self) -> str:
        return str(self.client.base_url)

    def ask(self, prompt: str, temperature: float, max_new_tokens: int, **more: Any) -> Reply:
        """One completion of one user turn. Raises ChatError after the last attempt."""
        import openai

        pause, longest = PAUSE_S
        for left in reversed(range(self.retries + 1)):
            try:
                return self._attempt(prompt, temperature, max_new_tokens, more)
            except openai.OpenAIError as error:
                raise ChatError(_reason(error)) from None
            except MalformedResponse as error:
                if not left:
                    raise ChatError(str(error)) from None
            time.sleep(pause * random.uniform(0.5, 1.0))  # never the run's own streams: when we ask changes no result
            pause = min(2 * pause, longest)
        raise AssertionError("unreachable")

    def _attempt(self, prompt: str, temperature: float, max_new_tokens: int, more: dict[str, Any]) -> Reply:
        create = self.client.chat.completions.with_streaming_response.create
        bound, until = FIXED_BYTES + TOKEN_BYTES * max_new_tokens, time.monotonic() + self.timeout_s
        data = bytearray()
        messages = [{"role": "user", "content": prompt}]
        with create(
            model=self.model, messages=messages, temperature=temperature, max_tokens=max_new_tokens, **more
        ) as response:
            chunks = response.iter_bytes()
            while True:
                try:
                    chunk = next(chunks, None)
                except Exception:  # whatever the transport raises: reset, cut off, timed out, badly compressed
                    raise MalformedResponse("broke off in mid-answer") from None
                if chunk is None:
                    break
                data += chunk
                if len(data) > bound:
                    raise MalformedResponse(f"sent more than {bound:,} bytes for at most {max_new_tokens:,} tokens")
                if time.monotonic() > until:
                    raise MalformedResponse("did not answer in time")
        return _parse(bytes(data))

    def close(self) -> None:
        self.client.close()


def _parse(data: bytes) -> Reply:
    """Raises MalformedResponse for anything but a completion, ChatError where one comes without a token count."""
    try:
        answer = json.loads(data)
        [first, *_] = answer["choices"]
        text, finish = first["message"].get("content") or "", first.get("finish_reason")
        usage = answer.get("usage")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise MalformedResponse("sent something that is no chat completion") from None
    if usage is None:
        raise ChatError("sent no token usage (a token count), without which no budget can be kept")
    try:
        counts = usage["prompt_tokens"], usage["completion_tokens"]
    except (LookupError, TypeError):
        raise MalformedResponse("sent something that is no token count") from None
    if not isinstance(text, str) or not all(type(n) is int and 0 <= n < 1 << 40 for n in counts):
        raise MalformedResponse("sent something that is no chat completion")
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # half a pair could not be stored
    return Reply(text, *counts, finish == "length")


def _reason(error: openai.OpenAIError) -> str:
    """What went wrong in a few words."""
    import openai

    if isinstance(error, openai.APIStatusError):
        return f"answered with status {error.status_code}"
    if isinstance(error, openai.APITimeoutError):
        return "did not answer in time"
    if isinstance(error, openai.APIConnectionError):
        return "cannot be reached"
    return f"failed ({type(error).__name__})"
