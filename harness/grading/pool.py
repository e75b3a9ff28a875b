"""A bounded pool of child processes for graders: CPU seconds are limited inside the child, which dies when it overruns.

The kernel counts and kills (setitimer with SIGPROF), so neither a busy machine nor arithmetic that no Python handler
interrupts changes what counts as too long, and no half-finished state of a killed item reaches the next one.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from harness.core.errors import MissingError

if TYPE_CHECKING:
    from pebble import ProcessFuture, ProcessPool

FIRST_TRY = 0.2
"""Share of an item's CPU seconds spent while other items run; the rest is for a second try on its own."""
WALL_S = 60.0
"""Wall seconds after which a child that uses no CPU is killed too."""
MEMORY = 2 << 30
"""Bytes of address space that a child may add to what it has after its imports (Linux)."""


def run_many(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], workers: int, cpu_s: float) -> list[Any]:
    """`function(*args)` for every args, in order, in at most `workers` children; from any thread.

    `cpu_s` CPU seconds per item over both tries. In place of a result stands an exception: TimeoutError for an item
    that overran, what it raised, or a ProcessExpired where its child died. Raises MissingError without math-verify.
    """
    first, second = FIRST_TRY * cpu_s, (1 - FIRST_TRY) * cpu_s
    futures = [_schedule(function, args, workers, first) for args in arguments]
    outcomes = [_outcome(future) for future in futures]
    for i, outcome in enumerate(outcomes):
        if isinstance(outcome, TimeoutError | OSError):  # killed, by its clock or by something else
            outcomes[i] = _outcome(_schedule(function, arguments[i], workers, second))
    return outcomes


def default_workers() -> int:
    return min(4, os.cpu_count() or 1)


def _outcome(future: ProcessFuture) -> Any:
    from pebble import ProcessExpired

    try:
        return future.result()
    except ProcessExpired as e:
        return TimeoutError() if e.exitcode == -signal.SIGPROF else e
    except Exception as e:
        return e


def _limited(function: Callable[..., Any], args: tuple[Any, ...], cpu_s: float) -> Any:
    """In a child: the kernel ends the process once this call has used `cpu_s` CPU seconds."""
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        return function(*args)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _start_child() -> None:
    """Import and warm up math-verify before the first item's clock starts, silence it, bound the memory."""
    import logging
    import resource
    from pathlib import Path

    from math_verify import parse

    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    parse("\\boxed{\\frac{1}{2}}", parsing_timeout=None)
    statm = Path("/proc/self/statm")
    if statm.exists():
        size = int(statm.read_text().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard == resource.RLIM_INFINITY or hard > size + MEMORY:
            resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, hard))


_lock = threading.Lock()
_pool: ProcessPool | None = None
_pool_workers = 0


def _schedule(function: Callable[..., Any], args: tuple[Any, ...], workers: int, cpu_s: float) -> ProcessFuture:
    """Hand an item to the pool, which is made on first use and kept; another number of workers replaces it."""
    global _pool, _pool_workers
    with _lock:
        if _pool is not None and (_pool_workers != workers or not _pool.active):
            _pool.close()  # another thread may still wait for its items
            _pool.join()
            _pool = None
        if _pool is None:
            _pool, _pool_workers = _new_pool(workers), workers
        return _pool.schedule(_limited, args=(function, args, cpu_s), timeout=WALL_S)


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
    """Stop the children; the next item starts new ones."""
    global _pool
    with _lock:
        if _pool is not None:
            _pool.stop()
            _pool.join()
            _pool = None
