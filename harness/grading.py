"""Graders: how a completion is compared with the gold answer. One visible dict, `GRADERS`, by answer type.

math-verify runs in child processes only: it may hang inside arithmetic that no alarm interrupts, and its own alarms
work on the main thread alone. A child that overruns is killed and its item tried once more with nothing beside it.
"""

from __future__ import annotations

import atexit
import os
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from typing import TYPE_CHECKING, Literal

from harness.errors import MissingError
from harness.testbed import world

if TYPE_CHECKING:
    from pebble import ProcessFuture, ProcessPool

Status = Literal["ok", "unparsed", "timeout", "error"]
Pair = tuple[str, str]
"""Completion (or extracted answer) and gold answer."""


@dataclass(frozen=True)
class Grade:
    """`score` is 0.0 or 1.0; `answer` is what was extracted from the completion, None where nothing was.

    Status: ok; unparsed (no answer to be found or read); timeout and error (the grader failed, not the completion).
    """

    score: float
    status: Status
    answer: str | None


def grade_many(
    items: Sequence[tuple[str, str, str]], workers: int | None = None, timeout_s: float = 5.0
) -> list[Grade]:
    """Grade (completion, gold, answer type) items, in order; from any thread.

    `workers` child processes at most (default: the cores, up to 4), `timeout_s` wall seconds per item in its child.
    Raises ValueError for an unknown answer type, MissingError without math-verify where it is needed.
    """
    by_type: dict[str, list[int]] = {}
    for i, (_, _, answer_type) in enumerate(items):
        by_type.setdefault(answer_type, []).append(i)
    grades: dict[int, Grade] = {}
    for answer_type, indices in by_type.items():
        if answer_type not in GRADERS:
            raise ValueError(f"no grader for answer type {answer_type!r}; known: {', '.join(GRADERS)}")
        graded = GRADERS[answer_type]([items[i][:2] for i in indices], workers or _default_workers(), timeout_s)
        grades |= zip(indices, graded, strict=True)
    return [grades[i] for i in range(len(items))]


def grade_testbed(pairs: Sequence[Pair], workers: int, timeout_s: float) -> list[Grade]:
    """The words after the last `ans`, compared exactly (harness/testbed/world.py). Needs no child."""
    grades = []
    for text, gold in pairs:
        _, found, tail = f" {' '.join(text.split())} ".rpartition(" ans ")
        status, answer = ("ok", tail.strip()) if found else ("unparsed", None)
        grades.append(Grade(world.grade(text, gold), status, answer))
    return grades


def grade_math(pairs: Sequence[Pair], workers: int, timeout_s: float) -> list[Grade]:
    """The last `\\boxed{}` against the gold answer by math-verify; an answer that equals it as text needs no child."""
    answers = [last_boxed(text) for text, _ in pairs]
    todo = {(a, gold.strip()) for a, (_, gold) in zip(answers, pairs, strict=True) if a and a != gold.strip()}
    verdicts = verify_many(sorted(todo), workers, timeout_s)
    grades = []
    for answer, (_, gold) in zip(answers, pairs, strict=True):
        if not answer:
            grades.append(Grade(0.0, "unparsed", None))
        elif answer == gold.strip():
            grades.append(Grade(1.0, "ok", answer))
        else:
            verdict = verdicts[answer, gold.strip()]
            status: Status = "ok" if verdict in ("right", "wrong") else verdict
            grades.append(Grade(float(verdict == "right"), status, answer))
    return grades


GRADERS: dict[str, Callable[[Sequence[Pair], int, float], list[Grade]]] = {
    "math": grade_math,
    "testbed": grade_testbed,
}
"""By answer type: (completion, gold) pairs, workers, seconds -> grades."""


def last_boxed(text: str) -> str | None:
    """The content of the last `\\boxed{...}`, stripped; None where there is no box or its braces do not close."""
    starts = [m.end() for m in re.finditer(r"\\boxed\s*\{", text)]
    if not starts:
        return None
    depth, i = 1, starts[-1]
    while i < len(text):
        if text[i] == "\\":  # an escaped brace is a character, not a bracket
            i += 2
            continue
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return text[starts[-1] : i].strip()
        i += 1
    return None


# ---------------------------------------------------------------------- math-verify, in child processes

Verdict = Literal["right", "wrong", "unparsed", "timeout", "error"]

_E_NOTATION = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))[eE]([+-]?\d+)")


def _latex(answer: str) -> str:
    """What math-verify is given. It reads 4.5e33 as 4.5 times Euler's number times 33, hence the rewriting."""
    number = _E_NOTATION.fullmatch(answer)
    if number:
        answer = f"{number[1]} \\times 10^{{{int(number[2])}}}"
    return f"\\boxed{{{answer}}}"


def _start_child() -> None:
    """Import math-verify before the first item's clock starts, and silence its notes on switched-off alarms."""
    import logging

    import math_verify  # noqa: F401

    logging.getLogger("math_verify").setLevel(logging.ERROR)


def _verify(answer: str, gold: str) -> Verdict:
    """Compare in a child. Both sides go in as one LaTeX box, gold first: math-verify is not symmetric."""
    from math_verify import parse, verify
    from math_verify.parser import LatexExtractionConfig

    boxed = [LatexExtractionConfig(boxed_match_priority=0)]
    gold_forms = parse(_latex(gold), boxed, parsing_timeout=None, raise_on_error=True)
    try:
        answer_forms = parse(_latex(answer), boxed, parsing_timeout=None, raise_on_error=True)
    except Exception:
        answer_forms = []
    if not gold_forms:
        return "error"
    if not answer_forms:
        return "unparsed"
    failed = False
    for g, a in product(gold_forms, answer_forms):
        try:
            if verify(g, a, timeout_seconds=None, raise_on_error=True):
                return "right"
        except Exception:
            failed = True
    return "error" if failed else "wrong"


def verify_many(pairs: Sequence[Pair], workers: int, timeout_s: float) -> dict[Pair, Verdict]:
    """Verdicts of distinct (extracted answer, gold) pairs; what timed out is tried once more, one at a time."""
    futures = {pair: _schedule(pair, workers, timeout_s) for pair in pairs}
    verdicts = {pair: _verdict(future) for pair, future in futures.items()}
    for pair in pairs:
        if verdicts[pair] == "timeout":
            verdicts[pair] = _verdict(_schedule(pair, workers, timeout_s))
    return verdicts


def _verdict(future: ProcessFuture) -> Verdict:
    try:
        return future.result()
    except TimeoutError:
        return "timeout"
    except Exception:  # raised by math-verify, or the child died
        return "error"


_lock = threading.Lock()
_pool: ProcessPool | None = None
_pool_workers = 0


def _default_workers() -> int:
    return min(4, os.cpu_count() or 1)


def _schedule(pair: Pair, workers: int, timeout_s: float) -> ProcessFuture:
    """Hand a pair to the pool, which is made on first use and kept; another number of workers replaces it."""
    global _pool, _pool_workers
    with _lock:
        if _pool is not None and (_pool_workers != workers or not _pool.active):
            _pool.close()  # another thread may still wait for its items
            _pool.join()
            _pool = None
        if _pool is None:
            _pool, _pool_workers = _new_pool(workers), workers
        return _pool.schedule(_verify, args=pair, timeout=timeout_s)


def _new_pool(workers: int) -> ProcessPool:
    if find_spec("math_verify") is None:
        raise MissingError("grading mathematics needs math-verify: pip install 'p2o-harness[local]'")
    from multiprocessing import get_context

    from pebble import ProcessPool

    # Registered after multiprocessing's own exit handler, so that it runs before it.
    atexit.unregister(close)
    atexit.register(close)
    # Not forked: the parent may hold threads and an accelerator.
    return ProcessPool(workers, initializer=_start_child, context=get_context("spawn"))


def close() -> None:
    """Stop the children; the next grading starts new ones."""
    global _pool
    with _lock:
        if _pool is not None:
            _pool.stop()
            _pool.join()
            _pool = None
