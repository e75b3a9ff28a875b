"""Who writes new templates: random edits without a model, the policy itself, or a language model on a server.

A model gets GEPA's stock prompt for proposing instructions (Agrawal et al. 2025, appendix B), rendered and parsed by the
`gepa` package, one for each parent with its minibatch.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Protocol

from pydantic import Field, model_validator

from harness.core.chat import Chat, ChatError
from harness.core.errors import UNREADABLE, MissingError, UsageError
from harness.core.kinds import Kind
from harness.core.ledger import Ledger
from harness.core.method import Policy
from harness.core.seeds import derive, stream
from harness.core.settings import Strict, Url
from harness.core.types import Sampling
from harness.runs.files import append_jsonl
from harness.search.answers import current

Record = dict[str, str]
"""One rollout as the reflector sees it: "Inputs", "Generated Outputs" and "Feedback", the headings of GEPA's prompt."""
KEYS = ("HARNESS_REFLECTOR_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the server's key; the first that is set wins. The key is never stored."""


class ReflectionRequest(NamedTuple):
    """What a child is written from: its parent and the parent's rollouts on a minibatch."""

    template: str
    records: list[Record]


class Answer(NamedTuple):
    """A model's answer to a reflection prompt, and the tokens that it took."""

    text: str
    prompt_tokens: int
    tokens: int


class Proposer(Protocol):
    """Writes children for a whole beam at once. `errors` counts failures that do not end the search."""

    errors: Counter[str]

    def propose(self, requests: Sequence[ReflectionRequest]) -> list[str]:
        """A child template per request; "" for no proposal."""
        ...


class ReflectorConfig(Strict):
    """Settings of the reflector; the defaults are those of P2O's self-reflection (release and Lu et al. 2026)."""

    kind: Literal["offline", "policy", "initial", "openai", "replay"] = "initial"
    """Random edits without a model; the policy with its current or its initial weights; a server; or recorded answers."""
    model: str | None = None
    """openai: the model's name on the server."""
    base_url: Annotated[Url, Kind.PLACE] = None
    """openai: address of the server up to /v1; null is the client's default. The key comes from HARNESS_REFLECTOR_KEY."""
    temperature: float = Field(0.6, ge=0)
    """Sampling temperature of the answers."""
    max_new_tokens: int = Field(2048, ge=1)
    """Per answer; nothing else limits the length of a template."""
    max_prompt_chars: int = Field(92160, ge=1000)  # the release's 30,720 tokens, at 3 characters each
    """Per prompt; in longer ones the responses are cut in the middle."""
    timeout_s: Annotated[float, Kind.PLACE] = Field(300, gt=0)
    """openai: seconds per attempt."""
    max_retries: Annotated[int, Kind.PLACE] = Field(5, ge=0)
    """openai: retries after a refused, failed or timed-out request, with growing pauses."""
    concurrency: Annotated[int, Kind.PLACE] = Field(64, ge=1)
    """openai: concurrent requests."""
    max_pieces: int = Field(4, ge=1)
    """offline: phrases per template, at most."""
    path: str | None = None
    """replay: the recording."""
    record: str | None = None
    """policy, initial, openai: append every answer to this file, for replay."""

    @model_validator(mode="after")
    def _contradictions(self) -> ReflectorConfig:
        if (self.kind == "openai") != (self.model is not None):
            raise ValueError(
                f"kind openai needs a model, and no other kind takes one; got kind {self.kind}, model {self.model}"
            )
        if self.base_url is not None and self.kind != "openai":
            raise ValueError(f"base_url is for kind openai, not {self.kind}")
        if (self.kind == "replay") != (self.path is not None):
            raise ValueError(f"kind replay needs a path, and no other kind takes one; got kind {self.kind}, path {self.path}")
        if self.record is not None and self.kind in ("offline", "replay"):
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


def make_proposer(config: ReflectorConfig, policy: Policy, pieces: Sequence[str], seed: int, ledger: Ledger) -> Proposer:
    """The proposer that `config` describes, for `harness.search.prompt_search.evolve`; its random streams derive from `seed`.

    `pieces` are the phrases that offline edits compose; the other kinds ignore them. The tokens of models, also of replayed
    ones, are metered on `ledger`. Raises MissingError without a key or a readable recording, here, and for an unreachable
    server or a prompt that was not recorded, when asked; ValueError for kind offline without pieces.
    """
    if config.kind == "offline":
        return OfflineProposer(pieces, config.max_pieces, stream(seed, "reflect"))
    ask = make_asker(config, policy, seed)
    return ModelProposer(ask, config.max_prompt_chars, ledger, Path(config.record) if config.record else None)


def make_asker(config: ReflectorConfig, policy: Policy, seed: int) -> Callable[[list[str]], list[Answer]]:
    """A function that answers a list of prompts, each one user turn; any kind but offline. Raises as `make_proposer`."""
    if config.kind == "openai":
        return _server(config)
    if config.kind == "replay":
        assert config.path is not None
        return _recording(Path(config.path))
    return _policy(policy, Sampling(config.temperature, config.max_new_tokens), seed, config.kind == "initial")


class OfflineProposer:
    """Genetic search, for policies that cannot reflect: a template is a list of pieces, one per line.

    A child is its parent with a piece appended, prepended, replaced or deleted, or the head of its parent joined to the tail
    of another parent of the beam.
    """

    EDITS = {"append": 0.45, "prepend": 0.15, "replace": 0.2, "delete": 0.1, "cross": 0.1}
    """Probabilities; an edit that is impossible becomes an append."""

    def __init__(self, pieces: Sequence[str], max_pieces: int, rng: random.Random) -> None:
        if not pieces:
            raise ValueError("the offline proposer needs pieces to compose templates from")
        self.pieces, self.max_pieces, self.rng = list(pieces), max_pieces, rng
        self.errors: Counter[str] = Counter()

    def propose(self, requests: Sequence[ReflectionRequest]) -> list[str]:
        parents = list(dict.fromkeys(request.template for request in requests if request.template))
        return [self._child(request.template, [p for p in parents if p != request.template]) for request in requests]

    def _child(self, parent: str, others: list[str]) -> str:
        lines, piece = parent.splitlines(), self.rng.choice(self.pieces)
        [edit] = self.rng.choices(list(self.EDITS), list(self.EDITS.values()))
        if edit == "prepend" and lines:
            return "\n".join([piece, *lines][: self.max_pieces])
        if edit == "replace" and lines:
            lines[self.rng.randrange(len(lines))] = piece
            return "\n".join(lines)
        if edit == "delete" and len(lines) > 1:
            del lines[self.rng.randrange(len(lines))]
            return "\n".join(lines)
        if edit == "cross" and lines and others:
            other = self.rng.choice(others).splitlines()
            head, tail = self.rng.randint(1, len(lines)), self.rng.randint(1, len(other))
            return "\n".join([*lines[:head], *other[-tail:]][: self.max_pieces])
        return "\n".join([*lines, piece][-self.max_pieces :])


class ModelProposer:
    """Reflection by a model: `ask` answers a list of prompts. Every answer is metered and, if `record` is set, recorded.

    An answer without a complete fenced block is counted in `errors` as "unfenced"; gepa's parser then takes all of it.
    """

    def __init__(
        self, ask: Callable[[list[str]], list[Answer]], max_prompt_chars: int, ledger: Ledger, record: Path | None
    ) -> None:
        self.ask, self.max_prompt_chars, self.ledger, self.record = ask, max_prompt_chars, ledger, record
        self.errors: Counter[str] = Counter()

    def propose(self, requests: Sequence[ReflectionRequest]) -> list[str]:
        from gepa.strategies.instruction_proposal import InstructionProposalSignature

        prompts = [reflection_prompt(request, self.max_prompt_chars) for request in requests]
        answers = self.ask(prompts)
        for answer in answers:
            self.ledger.add_reflection(answer.prompt_tokens, answer.tokens)
            self.errors["unfenced"] += answer.text.count("```") < 2
        if self.record:
            append_jsonl(
                self.record,
                (
                    {"prompt_sha256": _sha256(prompt), "answer": a.text, "prompt_tokens": a.prompt_tokens, "tokens": a.tokens}
                    for prompt, a in zip(prompts, answers, strict=True)
                ),
            )
        return [InstructionProposalSignature.output_extractor(a.text.strip())["new_instruction"] for a in answers]


def _sha256(prompt: str) -> str:
    return hashlib.sha256(prompt.encode()).hexdigest()


def cut_middle(text: str, limit: int) -> str:
    """`text` in at most `limit` characters, with a mark in place of what was cut from the middle."""
    mark = "\n[...]\n"
    if len(text) <= limit:
        return text
    kept = max(limit - len(mark), 0)
    return text[: kept - kept // 2] + mark[:limit] + text[len(text) - kept // 2 :]


def reflection_prompt(request: ReflectionRequest, max_chars: int) -> str:
    """GEPA's stock prompt for one request, in at most `max_chars` characters.

    Responses are cut in the middle to the largest common length that fits (P2O release); only if problems and feedback
    alone are too long is the prompt itself cut.
    """
    from gepa.strategies.instruction_proposal import InstructionProposalSignature

    def render(longest: int) -> str:
        records = [{**r, "Generated Outputs": cut_middle(r["Generated Outputs"], longest)} for r in request.records]
        text: str = InstructionProposalSignature.prompt_renderer(
            {"current_instruction_doc": request.template, "dataset_with_feedback": records}
        )
        return text

    fits, too_long = 0, max(len(r["Generated Outputs"]) for r in request.records) + 1
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        fits, too_long = (middle, too_long) if len(render(middle)) <= max_chars else (fits, middle)
    return cut_middle(render(fits), max_chars)


def _policy(policy: Policy, sampling: Sampling, seed: int, initial: bool) -> Callable[[list[str]], list[Answer]]:
    calls = 0

    def ask(prompts: list[str]) -> list[Answer]:
        nonlocal calls
        rollouts = policy.complete(prompts, sampling, derive(seed, "reflect", calls), initial=initial)
        calls += 1
        return [Answer(r.text, r.prompt_tokens, len(r.tokens_T)) for r in rollouts]

    return ask


def _recording(path: Path) -> Callable[[list[str]], list[Answer]]:
    """Answers by prompt; repeated prompts get their answers in the order of the recording."""
    answers: dict[str, deque[Answer]] = defaultdict(deque)
    try:
        for line in path.read_bytes().split(b"\n"):  # not splitlines: an answer may hold what that takes for a line's end
            if line:
                row = json.loads(line)
                text, *counts = answer = Answer(row["answer"], row["prompt_tokens"], row["tokens"])
                if not isinstance(text, str) or not all(type(n) is int and n >= 0 for n in counts):
                    raise ValueError("a row must be an answer with its token counts")
                answers[row["prompt_sha256"]].append(answer)
    except (OSError, *UNREADABLE) as error:
        raise MissingError(f"the reflection recording {path} cannot be read: {error!r}") from error

    def ask_one(prompt: str) -> Answer:
        key = _sha256(prompt)
        if not answers[key]:
            raise MissingError(
                f"the recording {path} has no answer left for prompt {key[:12]}: the run differs from the recorded one"
            )
        return answers[key].popleft()

    return lambda prompts: [ask_one(prompt) for prompt in prompts]


def server_key() -> str:
    """The key for a reflection server, from the environment. Raises MissingError if there is none."""
    key = next((os.environ[name] for name in KEYS if os.environ.get(name)), None)
    if key is None:
        raise MissingError(f"reflector openai needs a key in {' or '.join(KEYS)} (any text for a server without keys)")
    return key


def _server(config: ReflectorConfig) -> Callable[[list[str]], list[Answer]]:
    """Asks a server that speaks the OpenAI protocol, `concurrency` prompts at a time.

    During a run every answer is stored as it arrives (harness/search/answers.py), so that a resume continues from there.
    """
    assert config.model is not None
    chat = Chat(
        base_url=config.base_url, key=server_key(), model=config.model, timeout_s=config.timeout_s, retries=config.max_retries
    )
    answers = current()

    def ask_one(prompt: str, key: tuple[str, int] | None) -> Answer:
        if answers is not None and key is not None and (row := answers.get(key)) is not None:
            return Answer(row["text"], row["prompt_tokens"], row["tokens"])
        reply = chat.ask(prompt, config.temperature, config.max_new_tokens)
        if answers is not None and key is not None:
            answers.put(key, reply.text, reply.prompt_tokens, reply.tokens)
        return Answer(reply.text, reply.prompt_tokens, reply.tokens)

    def ask(prompts: list[str]) -> list[Answer]:
        keys = [answers.key(prompt) if answers is not None else None for prompt in prompts]
        with ThreadPoolExecutor(config.concurrency) as threads:
            futures = [threads.submit(ask_one, prompt, key) for prompt, key in zip(prompts, keys, strict=True)]
            try:
                return [future.result() for future in futures]
            except ChatError as error:
                goes_on = "; what it answered is kept, --resume continues" if answers is not None else ""
                raise MissingError(f"the reflection server at {chat.url} {error}{goes_on}") from None
            finally:
                for future in futures:
                    future.cancel()

    return ask
