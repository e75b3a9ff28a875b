"""A bounded pool of child processes for graders: CPU seconds are limited inside the child, for an item and for a batch.

The kernel counts (setitimer), so that a busy machine does not change what counts as too long. An item that overruns is ended
by an exception; where arithmetic holds that up, by the death of its child, which another replaces.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from multiprocessing import current_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import MissingError, UsageError

if TYPE_CHECKING:
    from pebble import ProcessFuture, ProcessPool

FIRST_TRY = 0.2
"""Share of an item's CPU seconds spent while other items run; the rest is for a second try on its own."""
GRACE = 0.2
"""CPU seconds between the exception and the kill."""
BATCH = 3
"""CPU seconds that the items of one call may lose to time-outs, in items' limits: 12 s where an item may use 4."""
LATE = 0.05
"""Share of an item's CPU seconds once a call has lost as much."""
AHEAD = 8
"""Items handed out before their turn, for each worker."""
WALL_S = 60.0
"""Wall seconds after which a child that uses no CPU is killed too."""
MEMORY = 2 << 30
"""Bytes of address space that a child may add to what it has after its imports (Linux)."""


def run_many(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], workers: int, cpu_s: float) -> list[Any]:
    """`function(*args)` for every args, in order, in at most `workers` children; from any thread.

    `cpu_s` CPU seconds per item over both tries, and `BATCH` times as much for all items of the call that overrun: once they
    have used it up, each of the others has the share LATE and no second try. In place of a result stands an exception:
    TimeoutError for an item that overran, what it raised, or a ProcessExpired where its child died. Raises MissingError
    without math-verify, UsageError where the calling script would run again in every child.
    """
    budget = BATCH * cpu_s
    outcomes: list[Any] = [None] * len(arguments)
    waiting: deque[tuple[int, float, ProcessFuture]] = deque()
    for i, args in enumerate(arguments):
        share = FIRST_TRY if budget > 0 else LATE
        waiting.append((i, share * cpu_s, _schedule(function, args, workers, share * cpu_s)))
        while len(waiting) > AHEAD * workers:
            budget -= _settle(outcomes, *waiting.popleft())
    while waiting:
        budget -= _settle(outcomes, *waiting.popleft())
    for i, outcome in enumerate(outcomes):
        if isinstance(outcome, TimeoutError | OSError) and budget > 0:  # killed, by its clock or by something else
            second = (1 - FIRST_TRY) * cpu_s
            budget -= _settle(outcomes, i, second, _schedule(function, arguments[i], workers, second))
    return outcomes


def _settle(outcomes: list[Any], i: int, cpu_s: float, future: ProcessFuture) -> float:
    """Note an item's outcome; the CPU seconds that it used where it overran, else 0."""
    outcomes[i] = _outcome(future)
    return cpu_s if isinstance(outcomes[i], TimeoutError) else 0.0


def default_workers() -> int:
    return min(4, os.cpu_count() or 1)


def _outcome(future: ProcessFuture) -> Any:
    from pebble import ProcessExpired

    try:
        return future.result()
    except ProcessExpired as e:
        return TimeoutError() if e.exitcode == -signal.SIGVTALRM else e
    except Exception as e:
        return e


def _unguarded() -> bool:
    """Whether the process runs a script that does not ask if it is the main one."""
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    if path is None or getattr(main, "__spec__", None) is not None:
        return False
    try:
        return "__main__" not in Path(path).read_text("utf-8", "replace")
    except OSError:
        return False


class OutOfTime(BaseException):
    """Raised in a child by the clock; nothing that catches an Exception holds it up."""


def _out_of_time(*_: object) -> None:
    raise OutOfTime


def _limited(function: Callable[..., Any], args: tuple[Any, ...], cpu_s: float) -> Any:
    """In a child: an item ends once it has used `cpu_s` CPU seconds, by an exception, which spares the child.

    What no Python code interrupts, a power of millions of digits, ends with the child: the kernel kills it GRACE seconds later.
    """
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s + GRACE)
    signal.setitimer(signal.ITIMER_PROF, cpu_s, GRACE / 4)
    try:
        try:
            return function(*args)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    except OutOfTime:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        raise TimeoutError from None


def _start_child() -> None:
    """Import and warm up what reads and compares before the first item's clock starts, bound the memory."""
    import resource

    from harness.grading.equivalence import verify_pair

    signal.signal(signal.SIGPROF, _out_of_time)
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    verify_pair("3x^2+\\frac{\\sqrt{2}}{2}", "\\frac{1}{\\sqrt 2}+3x\\cdot x")
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
    if getattr(current_process(), "_inheriting", False):  # a child that is only importing the calling script
        os._exit(1)
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
    if _unguarded():  # its children would never be ready
        raise UsageError(
            "grading starts child processes, and each of them runs the calling script again: "
            "put what the script does below `if __name__ == '__main__':`"
        )
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
