"""Who writes new templates: random edits without a model, of known phrases or of a book's, the policy itself, or a language
model on a server.

A model gets GEPA's stock prompt for proposing instructions (Agrawal et al. 2025, appendix B), rendered and parsed by the
`gepa` package, one for each parent with its minibatch.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from harness.core.ledger import Ledger
from harness.core.method import Policy
from harness.core.replies import reply_of, template_of
from harness.core.seeds import stream
from harness.runs.files import append_jsonl
from harness.search.asking import Answer, ReflectorConfig, make_asker, prompt_sha256
from harness.search.books import phrases

Record = dict[str, str]
"""One rollout as the reflector sees it: "Inputs", "Generated Outputs" and "Feedback", the headings of GEPA's prompt."""


class ReflectionRequest(NamedTuple):
    """What a child is written from: its parent and the parent's rollouts on a minibatch."""

    template: str
    records: list[Record]


class Proposer(Protocol):
    """Writes children for a whole beam at once. `errors` counts failures that do not end the search."""

    errors: Counter[str]

    def propose(self, requests: Sequence[ReflectionRequest]) -> list[str]:
        """A child template per request; "" for no proposal."""
        ...


def make_proposer(config: ReflectorConfig, policy: Policy, pieces: Sequence[str], seed: int, ledger: Ledger) -> Proposer:
    """The proposer that `config` describes, for `harness.search.prompt_search.evolve`; its random streams derive from `seed`.

    `pieces` are the phrases that kind offline composes; the other kinds ignore them. The tokens of models, also of replayed
    ones, are metered on `ledger`. Raises MissingError without a key or a readable recording, here, and for an unreachable
    server or a prompt that was not recorded, when asked; ValueError for kind offline without pieces.
    """
    if config.kind == "offline":
        return OfflineProposer(pieces, config.max_pieces, stream(seed, "reflect"))
    if config.kind == "book" or config.kind == "placebo":
        return OfflineProposer(phrases(config.kind), config.max_pieces, stream(seed, "reflect"))
    ask = make_asker(config, policy, seed)
    return ModelProposer(ask, config.max_prompt_chars, ledger, Path(config.record) if config.record else None)


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


SHORTEST = 500
"""Characters of a prompt below which it is not shortened any more: what is asked stands at its end."""


class ModelProposer:
    """Reflection by a model: `ask` answers a list of prompts. Every answer is metered and, if `record` is set, recorded.

    A prompt is `max_prompt_chars` long at most. One that the model cannot read is shortened by a quarter and asked again:
    only the model knows its room, and how many tokens so many characters are.

    No template is made of an answer that was cut, or is reasoning without a reply: it is counted in `errors` by its fault, and
    on the ledger as dropped. An answer without a complete fenced block is counted as "unfenced"; gepa's parser then takes all
    of it.
    """

    def __init__(
        self, ask: Callable[[list[str]], list[Answer]], max_prompt_chars: int, ledger: Ledger, record: Path | None
    ) -> None:
        self.ask, self.max_prompt_chars, self.ledger, self.record = ask, max_prompt_chars, ledger, record
        self.errors: Counter[str] = Counter()

    def propose(self, requests: Sequence[ReflectionRequest]) -> list[str]:
        answers: dict[int, Answer] = {}
        limits = dict.fromkeys(range(len(requests)), self.max_prompt_chars)
        while limits:
            prompts = {i: reflection_prompt(requests[i], limit) for i, limit in limits.items()}
            answers |= zip(prompts, self._asked(list(prompts.values())), strict=True)
            shorter = {i: len(prompt) * 3 // 4 for i, prompt in prompts.items() if answers[i].overlong}
            limits = {i: limit for i, limit in shorter.items() if limit >= SHORTEST}
        for answer in answers.values():
            self.ledger.add_reflection(answer.prompt_tokens, answer.tokens)
        return [self._template(answers[i]) for i in range(len(requests))]

    def _asked(self, prompts: list[str]) -> list[Answer]:
        """The answers, recorded."""
        answers = self.ask(prompts)
        if self.record:
            append_jsonl(
                self.record,
                (
                    {
                        "prompt_sha256": prompt_sha256(prompt),
                        "answer": a.text,
                        "prompt_tokens": a.prompt_tokens,
                        "tokens": a.tokens,
                    }
                    | a.flags
                    for prompt, a in zip(prompts, answers, strict=True)
                ),
            )
        return answers

    def _template(self, answer: Answer) -> str:
        """The template in an answer; "" where there is none, which is counted."""
        from gepa.strategies.instruction_proposal import InstructionProposalSignature

        fault, reply = answer.fault, reply_of(answer.text) or ""
        template = None
        if fault is None:
            self.errors["unfenced"] += reply.count("```") < 2
            template = template_of(InstructionProposalSignature.output_extractor(reply)["new_instruction"])
            fault = "reasoning" if template is None else None
        if fault is not None:
            self.errors[fault] += 1
            self.ledger.dropped_reflections += 1
        return template or ""


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

    # gepa fills its placeholders in one after the other, so one in the template would be filled in too: the template comes
    # last, in place of a mark that no text holds.
    mark = "\ue000"
    while any(mark in text for r in request.records for text in r.values()):
        mark += "\ue000"

    def render(longest: int) -> str:
        records = [{**r, "Generated Outputs": cut_middle(r["Generated Outputs"], longest)} for r in request.records]
        text: str = InstructionProposalSignature.prompt_renderer(
            {"current_instruction_doc": mark, "dataset_with_feedback": records}
        )
        before, _, after = text.partition(mark)
        return before + request.template + after

    fits, too_long = 0, max(len(r["Generated Outputs"]) for r in request.records) + 1
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        fits, too_long = (middle, too_long) if len(render(middle)) <= max_chars else (fits, middle)
    return cut_middle(render(fits), max_chars)
