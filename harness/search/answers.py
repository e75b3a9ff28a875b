"""Answers of a paid server, stored as they arrive: a search that is interrupted does not ask or pay for them again.

A language model's answers cannot be drawn again from a seed. So when an interrupted epoch hook starts over, it finds the
answers it already had, by prompt and by how often the prompt was asked before; the restored ledger counts them once.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError, reason
from harness.core.ledger import Ledger
from harness.runs.files import append_jsonl, read_jsonl


class Answers:
    """The answers of one epoch hook, in a file that all hooks of a seed share. Thread-safe."""

    def __init__(self, path: Path, epoch: int) -> None:
        self.path, self.epoch = path, epoch
        try:
            self._rows = {(r["prompt_sha256"], r["nth"]): r for r in read_jsonl(path) if r["epoch"] == epoch}
        except (KeyError, TypeError) as e:
            raise HarnessError(f"{path} cannot be read: {reason(e)}") from None
        self._asked: Counter[str] = Counter()
        self._used: set[tuple[str, int]] = set()
        self._lock = threading.Lock()

    def key(self, prompt: str) -> tuple[str, int]:
        """The key of the next question; to be called in the order of asking."""
        sha256 = hashlib.sha256(prompt.encode()).hexdigest()
        self._asked[sha256] += 1
        return sha256, self._asked[sha256]

    def get(self, key: tuple[str, int]) -> dict[str, Any] | None:
        """`text`, `prompt_tokens`, `tokens` and flags of the answer that an earlier attempt got."""
        with self._lock:
            self._used.add(key)
            return self._rows.get(key)

    def put(self, key: tuple[str, int], text: str, prompt_tokens: int, tokens: int, **flags: bool) -> None:
        """Keep an answer; `flags` say what is wrong with it (`truncated`, `reasoned`)."""
        row = {"epoch": self.epoch, "prompt_sha256": key[0], "nth": key[1], "text": text}
        with self._lock:
            append_jsonl(self.path, [row | {"prompt_tokens": prompt_tokens, "tokens": tokens} | flags])

    def unused(self) -> list[dict[str, Any]]:
        """Answers that an earlier attempt got and this one did not ask for."""
        return [row for key, row in self._rows.items() if key not in self._used]


_kept: ContextVar[Answers | None] = ContextVar("answers", default=None)


def current() -> Answers | None:
    """The store of the running hook; None outside of a run."""
    return _kept.get()


@contextmanager
def keep_answers(path: Path, epoch: int, ledger: Ledger) -> Iterator[None]:
    """Store the answers of servers asked inside. What an earlier attempt got and this one did not need is metered too."""
    answers = Answers(path, epoch)
    token = _kept.set(answers)
    try:
        yield
    finally:
        _kept.reset(token)
    for row in answers.unused():
        ledger.add_reflection(row["prompt_tokens"], row["tokens"])
