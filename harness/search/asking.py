"""Who answers a reflection prompt: the policy itself, a language model on a server, or a recording of either."""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from harness.core.chat import Chat, ChatError, RefusedError, TooLongError
from harness.core.errors import UNREADABLE, MissingError, UsageError
from harness.core.kinds import Kind
from harness.core.method import Policy
from harness.core.replies import reply_of
from harness.core.seeds import derive
from harness.core.settings import Extra, Strict, Url
from harness.core.types import Sampling
from harness.runs.samples import OVERLONG
from harness.search.answers import current

KEYS = ("HARNESS_REFLECTOR_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the server's key; the first that is set wins. The key is never stored."""


class Answer(NamedTuple):
    """A model's answer to a reflection prompt, and the tokens that it took.

    `truncated`: it ended at its limit; `reasoned`: it is reasoning without a reply; `overlong`: there is none, because the
    prompt is longer than the model can read.
    """

    text: str
    prompt_tokens: int
    tokens: int
    truncated: bool = False
    reasoned: bool = False
    overlong: bool = False

    @property
    def fault(self) -> Fault | None:
        """Why nothing can be made of it."""
        if self.overlong:
            return "overlong"
        if self.truncated:
            return "cut"
        return "reasoning" if self.reasoned or reply_of(self.text) is None else None

    @property
    def flags(self) -> dict[str, bool]:
        """Those that are set, as files of answers have them beside text and tokens."""
        return {name: True for name in FLAGS if getattr(self, name)}


Fault = Literal["cut", "reasoning", "overlong"]
"""Why an answer is dropped; a proposer counts them under these names."""
FLAGS = ("truncated", "reasoned", "overlong")


class ReflectorConfig(Strict):
    """Settings of the reflector; the defaults are those of P2O's self-reflection (release and Lu et al. 2026)."""

    kind: Literal["offline", "book", "placebo", "policy", "initial", "openai", "replay"] = "initial"
    """Random edits of the set's phrases, published or neutral ones; the policy, now or at first; a server; recorded answers."""
    model: str | None = None
    """openai: the model's name on the server."""
    base_url: Annotated[Url, Kind.ACCESS] = None
    """openai: address of the server up to /v1; null is OpenAI's own. The key, if it wants one, is in HARNESS_REFLECTOR_KEY."""
    temperature: float = Field(0.6, ge=0)
    """Sampling temperature of the answers."""
    max_new_tokens: int = Field(2048, ge=1)
    """Per answer; nothing else limits the length of a template."""
    max_prompt_chars: int = Field(92160, ge=1000)  # the release's 30,720 tokens, at 3 characters each
    """Per prompt; in longer ones the responses are cut in the middle, and further where a model cannot read so many tokens."""
    timeout_s: Annotated[float, Kind.ACCESS] = Field(300, gt=0)
    """openai: seconds per attempt."""
    max_retries: Annotated[int, Kind.ACCESS] = Field(5, ge=0)
    """openai: retries after a refused, failed or timed-out request, with growing pauses."""
    concurrency: Annotated[int, Kind.ACCESS] = Field(64, ge=1)
    """openai: concurrent requests."""
    extra: Extra = {}
    """openai: more fields of the request, e.g. `{chat_template_kwargs: {enable_thinking: false}}`; null: do not send it."""
    max_pieces: int = Field(4, ge=1)
    """offline, book, placebo: phrases per template, at most."""
    path: str | None = None
    """replay: the recording."""
    record: str | None = None
    """policy, initial, openai: append every answer to this file, for replay."""

    @property
    def asks(self) -> bool:
        """Whether a model writes, or wrote: it is shown problems, their answers and attempts."""
        return self.kind not in ("offline", "book", "placebo")

    @model_validator(mode="after")
    def _contradictions(self) -> ReflectorConfig:
        if (self.kind == "openai") != (self.model is not None):
            raise ValueError(
                f"kind openai needs a model, and no other kind takes one; got kind {self.kind}, model {self.model}"
            )
        if self.base_url is not None and self.kind != "openai":
            raise ValueError(f"base_url is for kind openai, not {self.kind}")
        if self.kind != "openai" and (names := [name for name, value in self.extra.items() if value is not None]):
            raise ValueError(f"extra is for kind openai, not {self.kind}; set extra.{names[0]} to null")
        if (self.kind == "replay") != (self.path is not None):
            raise ValueError(f"kind replay needs a path, and no other kind takes one; got kind {self.kind}, path {self.path}")
        if self.record is not None and (not self.asks or self.kind == "replay"):
            raise ValueError(f"kind {self.kind} gives no answers to record")
        return self


def check_reflector(config: ReflectorConfig, pieces: Sequence[str]) -> None:
    """Refuse what could only fail when the first template is asked for. `pieces` as for `make_proposer`.

    Raises UsageError for settings that do not go together, MissingError for a recording that cannot be read.
    """
    if config.kind == "offline" and not pieces:
        raise UsageError("reflector.kind=offline composes templates from phrases, and this training set has none")
    if config.kind == "replay":
        assert config.path is not None
        _recording(Path(config.path))
    if config.record is not None:
        path = Path(config.record)
        above = next(p for p in (path, *path.absolute().parents) if p.exists())
        if path.is_dir() or not os.access(above, os.W_OK) or (above != path and not above.is_dir()):
            raise UsageError(f"reflector.record {path} cannot be written")


def make_asker(config: ReflectorConfig, policy: Policy, seed: int) -> Callable[[list[str]], list[Answer]]:
    """A function that answers a list of prompts, each one user turn; for kinds that ask a model. Raises as `make_proposer`."""
    if config.kind == "openai":
        return _server(config)
    if config.kind == "replay":
        assert config.path is not None
        return _recording(Path(config.path))
    return _policy(policy, Sampling(config.temperature, config.max_new_tokens), seed, config.kind == "initial")


def prompt_sha256(prompt: str) -> str:
    return hashlib.sha256(prompt.encode()).hexdigest()


def _policy(policy: Policy, sampling: Sampling, seed: int, initial: bool) -> Callable[[list[str]], list[Answer]]:
    calls = 0

    def ask(prompts: list[str]) -> list[Answer]:
        nonlocal calls
        rollouts = policy.complete(prompts, sampling, derive(seed, "reflect", calls), initial=initial)
        calls += 1
        return [Answer(r.text, r.prompt_tokens, len(r.tokens_T), r.truncated, overlong=r.status == OVERLONG) for r in rollouts]

    return ask


def _recording(path: Path) -> Callable[[list[str]], list[Answer]]:
    """Answers by prompt; repeated prompts get their answers in the order of the recording."""
    answers: dict[str, deque[Answer]] = defaultdict(deque)
    try:
        for line in path.read_bytes().split(b"\n"):  # not splitlines: an answer may hold what that takes for a line's end
            if line:
                row = json.loads(line)
                flags = {name: bool(row.get(name)) for name in FLAGS}
                answer = Answer(row["answer"], row["prompt_tokens"], row["tokens"], **flags)
                counts = answer.prompt_tokens, answer.tokens
                if not isinstance(answer.text, str) or not all(type(n) is int and n >= 0 for n in counts):
                    raise ValueError("a row must be an answer with its token counts")
                answers[row["prompt_sha256"]].append(answer)
    except (OSError, *UNREADABLE) as error:
        raise MissingError(f"the reflection recording {path} cannot be read: {error!r}") from error

    def ask_one(prompt: str) -> Answer:
        key = prompt_sha256(prompt)
        if not answers[key]:
            raise MissingError(
                f"the recording {path} has no answer left for prompt {key[:12]}: the run differs from the recorded one"
            )
        return answers[key].popleft()

    return lambda prompts: [ask_one(prompt) for prompt in prompts]


def open_server(config: ReflectorConfig) -> Chat:
    """The client of a reflection server. Raises UsageError for an address of the environment that may hold a key,
    MissingError without a key for OpenAI's own server."""
    assert config.model is not None
    key = next((os.environ[name] for name in KEYS if os.environ.get(name)), None)
    if key is None and config.base_url is None and not os.environ.get("OPENAI_BASE_URL"):
        raise MissingError(f"reflector openai without a base_url needs a key in {' or '.join(KEYS)}")
    return Chat(
        base_url=config.base_url,
        key=key,
        model=config.model,
        timeout_s=config.timeout_s,
        retries=config.max_retries,
        key_name=KEYS[0],
    )


def _server(config: ReflectorConfig) -> Callable[[list[str]], list[Answer]]:
    """Asks a server that speaks the OpenAI protocol, `concurrency` prompts at a time.

    During a run every answer is stored as it arrives (harness/search/answers.py), so that a resume continues from there.
    """
    chat = open_server(config)
    answers = current()

    def ask_one(prompt: str, key: tuple[str, int] | None) -> Answer:
        if answers is not None and key is not None and (row := answers.get(key)) is not None:
            return Answer(row["text"], row["prompt_tokens"], row["tokens"], **{n: bool(row.get(n)) for n in FLAGS})
        try:
            reply = chat.ask(prompt, config.temperature, config.max_new_tokens, config.extra)
        except TooLongError:
            return Answer("", 0, 0, overlong=True)
        answer = Answer(reply.text, reply.prompt_tokens, reply.tokens, reply.truncated, reply.reasoned)
        if answers is not None and key is not None:
            renamed = {"max_completion_tokens": True} if chat.remarks else {}
            answers.put(key, answer.text, answer.prompt_tokens, answer.tokens, **answer.flags, **renamed)
        return answer

    def ask(prompts: list[str]) -> list[Answer]:
        keys = [answers.key(prompt) if answers is not None else None for prompt in prompts]
        with ThreadPoolExecutor(config.concurrency) as threads:
            futures = [threads.submit(ask_one, prompt, key) for prompt, key in zip(prompts, keys, strict=True)]
            try:
                return [future.result() for future in futures]
            except ChatError as error:
                goes_on = "--resume continues"
                if isinstance(error, RefusedError):
                    goes_on = "but --resume will not help until that is changed"
                kept = f"; what it answered is kept, {goes_on}" if answers is not None else ""
                raise MissingError(f"the reflection server at {chat.url} {error}{kept}") from None
            finally:
                for future in futures:
                    future.cancel()

    return ask
