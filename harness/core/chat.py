"""A server that speaks OpenAI's chat completions, which may be faulty: bounded attempts with jitter, bounded answers.

Refusals that may pass (408, 409, 429, 5xx, no connection, no answer in time) and what is no answer at all are asked again,
with growing, jittered pauses or after the server's Retry-After. All else is refused for good. What a server says of a
refusal is quoted, cut, made visible, and without the key.
"""

from __future__ import annotations

import json
import math
import os
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.core.errors import UNREADABLE, HarnessError, UsageError
from harness.core.secrets import check_address, without_secrets
from harness.core.text import visible
from harness.core.wire import Wire, WireError

DEFAULT_URL = "https://api.openai.com/v1"
"""That of the openai package, unless OPENAI_BASE_URL names another."""
PAUSE_S = (0.5, 8.0)
"""First and longest pause before asking again; doubled each time, then drawn between half of it and all."""
RETRY_AFTER_S = 60.0
"""The longest pause that a server may ask for; of longer ones our own is taken."""
FIXED_BYTES, TOKEN_BYTES = 1 << 20, 64
"""All that a server sends in one attempt, headers included, may have this many bytes, and as many more per token that was
asked for (JSON writes a character in up to 12)."""
SPARE_TOKENS, TEMPLATE_TOKENS = 16, 1 << 16
"""A count may exceed the limit of the completion, and the bytes of the prompt, by so much: servers differ in whether the end
token counts, and a chat template adds a system prompt."""
QUOTED = 300
"""Characters that are quoted of what a server says."""
CUT = {"length", "max_tokens", "max_length", "model_length", "content_filter"}
"""Finish reasons of an answer that does not end where the model ended it."""
PASSING = {408, 409, 429}
TOO_LONG = re.compile(
    r"context[ _-]?(length|size|window)|maximum[^.]{0,40}context|(prompt|input|request|message)s?[^.]{0,30} too (long|large)"
    r"|too many (input |prompt )?tokens|longer than[^.]{0,40}(model|maximum|context)"
    r"|input[^.]{0,40}exceeds?[^.]{0,20}(maximum|limit)|inputs?\W{0,2} tokens?[^.]{0,40}must (be|have)"
    r"|too large for (the )?model",
    re.IGNORECASE,
)
"""How servers say that a prompt does not fit (OpenAI, vLLM, SGLang, TGI, llama.cpp, Anthropic, Google, Mistral)."""
CONTEXT = re.compile(r"context (?:length|size|window)[^0-9.]{0,30}([0-9][0-9,]*)", re.IGNORECASE)


class MalformedResponse(Exception):
    """What came is no answer; another attempt may bring one."""


class ChatError(HarnessError):
    """The server failed for good; the message completes "the server ..."."""


class RefusedError(ChatError):
    """The server refuses the request as it is: the same request will be refused again."""


class TooLongError(ChatError):
    """The server refuses this one prompt, because it is longer than its model can read."""


@dataclass(frozen=True)
class Reply:
    """An answer with its bill in tokens; `truncated`: it was cut, as a rule at the limit; `reasoned`: there is reasoning and no
    text."""

    text: str
    prompt_tokens: int
    tokens: int
    truncated: bool
    reasoned: bool = False


class Chat:
    """The client of one server; `ask` may be called from many threads.

    `remarks` says in what the requests differ from what was asked for, because the server wanted it so.
    """

    def __init__(
        self, base_url: str | None, key: str | None, model: str, timeout_s: float, retries: int, key_name: str = ""
    ) -> None:
        """`timeout_s`: of one attempt, the whole answer included; `retries`: further attempts. Without a key none is sent;
        `key_name` is where it should have come from. Raises UsageError for an address that may hold a key."""
        import openai

        self.model, self.timeout_s, self.retries = model, timeout_s, retries
        self.key, self.key_name = (key or "").strip(), key_name
        self.limit_field, self.remarks = "max_tokens", list[str]()
        self.headers: dict[str, Any] = {} if self.key else {"Authorization": openai.Omit()}
        try:
            self.url = check_address(base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL)
        except ValueError as e:
            raise UsageError(f"the server's address: {e}") from None
        self.wire = Wire(self.url)
        client = openai.DefaultHttpxClient(transport=self.wire)  # type: ignore[arg-type, unused-ignore]
        self.client = openai.OpenAI(
            base_url=self.url, api_key=self.key or "none", max_retries=0, timeout=timeout_s, http_client=client
        )

    def ask(self, prompt: str, temperature: float, max_new_tokens: int, extra: Mapping[str, Any] | None = None) -> Reply:
        """One completion of one user turn. `extra` holds more fields of the request, and overrules the others; one that is
        None is not sent. Raises ChatError after the last attempt, TooLongError and RefusedError after the first.
        """
        import openai

        pause, longest = PAUSE_S
        left = self.retries
        while True:
            body = {"temperature": temperature, self.limit_field: max_new_tokens, **(extra or {})}
            body = {name: value for name, value in body.items() if value is not None}
            wait = None
            try:
                return self._attempt(prompt, body, max_new_tokens)
            except openai.APIStatusError as error:
                said = self._said(error.response.content)
                if self._switched(error.status_code, said, body):
                    continue
                text = f"answered with status {error.status_code}" + (f': "{said}"' if said else "")
                if error.status_code not in PASSING and error.status_code < 500:
                    raise self._refusal(error.status_code, said, text, max_new_tokens) from None
                wait = _retry_after(error.response.headers)
            except (MalformedResponse, WireError) as error:
                text = str(error)
            except (openai.OpenAIError, *self.wire.errors) as error:
                cause = error.__cause__  # some versions of the client wrap what the transport raises
                text = str(cause) if isinstance(cause, WireError) else f"failed ({type(cause or error).__name__})"
            if not left:
                raise ChatError(text) from None
            left -= 1
            time.sleep(wait or pause * random.uniform(0.5, 1.0))  # never the run's own streams: when we ask changes no result
            pause = min(2 * pause, longest)

    def _attempt(self, prompt: str, body: Mapping[str, Any], max_new_tokens: int) -> Reply:
        messages = [{"role": "user", "content": prompt}]
        create: Any = self.client.chat.completions.with_raw_response.create
        bound = FIXED_BYTES + TOKEN_BYTES * max_new_tokens
        with self.wire.bounded(bound, self.timeout_s, f"for at most {max_new_tokens:,} tokens"):
            answer = create(model=self.model, messages=messages, extra_body=dict(body), extra_headers=self.headers)
        limits = [n for name in ("max_tokens", "max_completion_tokens") if type(n := body.get(name)) is int]
        return _parse(answer.content, len(prompt.encode(errors="replace")), max([max_new_tokens, *limits]))

    def _switched(self, status: int, said: str, body: Mapping[str, Any]) -> bool:
        """Whether the server wants the limit under its newer name, which it then gets from now on."""
        wanted = "max_completion_tokens"
        if status not in (400, 422) or wanted not in said or wanted in body or "max_tokens" not in body:
            return False
        if re.search("too (large|long|many)|exceed", said):
            return False
        if self.limit_field != wanted:
            self.limit_field = wanted
            self.remarks.append(f"the server refuses max_tokens and was sent {wanted}")
        return True

    def _refusal(self, status: int, said: str, text: str, max_new_tokens: int) -> ChatError:
        """What a refusal for good means."""
        if status == 413 or (status in (400, 422) and TOO_LONG.search(said)):
            context = CONTEXT.search(said)
            if context is None or int(context[1].replace(",", "")) > max_new_tokens:
                return TooLongError(text)
            return RefusedError(f"{text} (no prompt fits beside {max_new_tokens:,} new tokens)")
        if status in (401, 403) and self.key_name:
            return RefusedError(f"{text} (the key comes from {self.key_name}{'' if self.key else ', which is not set'})")
        return RefusedError(text)

    def _said(self, data: bytes) -> str:
        """The message of an error's body, fit to be shown."""
        text = data.decode(errors="replace")
        try:
            text = _message(json.loads(data)) or text
        except UNREADABLE:
            pass
        if len(self.key) > 3:
            text = text.replace(self.key, "[key]")
        text = " ".join(without_secrets(text[: 1 << 16]).split())
        return visible(text if len(text) <= QUOTED else f"{text[:QUOTED]}...")

    def close(self) -> None:
        self.client.close()


def _message(tree: Any) -> str:
    """Where servers put what they have to say: `error.message`, `error`, `message` or `detail`, with its code."""
    found = tree.get("error") or tree.get("message") or tree.get("detail")
    if isinstance(found, Mapping):
        code = found.get("code") or found.get("type")
        message = found.get("message") or json.dumps(found)
        return f"{message} ({code})" if isinstance(code, str) and code not in message else str(message)
    return found if isinstance(found, str) else json.dumps(found) if found else ""


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait, if that is a sensible number of them."""
    try:
        if "retry-after-ms" in headers:
            asked = float(headers["retry-after-ms"]) / 1000
        else:
            asked = float(headers["retry-after"])
    except UNREADABLE:  # there is none, or it is a date
        return None
    return asked if 0 < asked <= RETRY_AFTER_S else None


def _parse(data: bytes, prompt_bytes: int, max_new_tokens: int) -> Reply:
    """Raises MalformedResponse for anything but a completion, ChatError where one comes without a token count."""
    try:
        answer = json.loads(data)
        [first, *_] = answer["choices"]
        message, finish = first["message"], first.get("finish_reason")
        text = _text(message.get("content"))
        reasoned = not text and any(message.get(name) for name in ("reasoning_content", "reasoning", "thinking"))
        usage = answer.get("usage")
    except UNREADABLE:
        raise MalformedResponse("sent something that is no chat completion") from None
    if usage is None:
        raise ChatError("sent no token usage (a token count), without which no budget can be kept")
    try:
        counts = [_whole(usage[name]) for name in ("prompt_tokens", "completion_tokens")]
    except UNREADABLE:
        raise MalformedResponse("sent something that is no token count") from None
    if counts[1] > max_new_tokens + SPARE_TOKENS:
        raise MalformedResponse(f"counted {counts[1]:,} tokens of a completion that may have {max_new_tokens:,}")
    if counts[0] > prompt_bytes + TEMPLATE_TOKENS:
        raise MalformedResponse(f"counted {counts[0]:,} tokens of a prompt of {prompt_bytes:,} bytes")
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # half a pair could not be stored
    return Reply(text, counts[0], counts[1], str(finish).lower() in CUT, reasoned)


def _text(content: Any) -> str:
    """The text of a message: a string, nothing, or parts of which those that are reasoning or a refusal are no text.

    Raises ValueError for anything else.
    """
    if content is None or isinstance(content, str):
        return content or ""
    texts = []
    for part in content if isinstance(content, list) else [content]:
        kind = "text" if isinstance(part, str) else part["type"]
        if kind in ("text", "output_text"):
            texts.append(part if isinstance(part, str) else part["text"])
        elif kind not in ("thinking", "reasoning", "redacted_thinking", "refusal"):
            raise ValueError(f"a part of type {kind!r} is no text")
    if not isinstance(content, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("no text")
    return "".join(texts)


def _whole(count: Any) -> int:
    """A count, which some servers write as 7.0. Raises ValueError for what is none."""
    if type(count) not in (int, float) or not math.isfinite(count) or count != int(count) or count < 0:
        raise ValueError("no count")
    return int(count)
