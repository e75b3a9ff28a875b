"""Runs the rollout-group coroutines of a batch concurrently and serves their `sample` calls with batched generation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from harness.core.method import Method
from harness.core.seeds import stream
from harness.core.types import Context, Group, Problem, Rollout, Sample

Generate = Callable[[list[tuple[Problem, Context]]], list[Rollout]]


def gather_groups(
    method: Method, problems: Sequence[Problem], k: int, generate: Generate, stream_name: tuple[object, ...]
) -> list[Group]:
    """One group per problem. Each round, one call of `generate` serves the requests of all waiting coroutines.

    Each coroutine gets a random stream of its own, named by `stream_name` and the problem. An exception in a coroutine or in
    `generate` cancels the others and propagates.
    """
    loop = asyncio.new_event_loop()  # not asyncio.run: its Ctrl-C waits for the end of a batch, minutes on a large model
    try:
        return loop.run_until_complete(_gather(method, problems, k, generate, stream_name))
    except BaseExceptionGroup as group:  # the first error is the cause, the rest are its echo
        raise group.exceptions[0] from None
    finally:
        loop.close()


async def _gather(
    method: Method, problems: Sequence[Problem], k: int, generate: Generate, stream_name: tuple[object, ...]
) -> list[Group]:
    waiting: list[tuple[Problem, list[Context], asyncio.Future[list[Rollout]]]] = []

    def sampler(own: Problem) -> Sample:
        async def sample(contexts: Sequence[Context], problem: Problem | None = None) -> list[Rollout]:
            answer: asyncio.Future[list[Rollout]] = asyncio.get_running_loop().create_future()
            waiting.append((problem or own, list(contexts), answer))
            return await answer

        return sample

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(method.rollout_group(p, k, sampler(p), stream(*stream_name, p.id))) for p in problems]
        while not all(t.done() for t in tasks):
            await _settle(waiting)
            if not waiting:
                await asyncio.sleep(0.001)  # a coroutine is waiting for something other than `sample`
                continue
            batch, waiting[:] = waiting[:], []
            rollouts = iter(generate([(p, c) for p, contexts, _ in batch for c in contexts]))
            for _, contexts, answer in batch:
                answer.set_result([next(rollouts) for _ in contexts])
    return [t.result() for t in tasks]


async def _settle(waiting: list[Any]) -> None:
    """Let the coroutines run until all of them wait, that is until the queue has not grown for three turns of the loop."""
    quiet, size = 0, -1
    while quiet < 3:
        await asyncio.sleep(0)
        quiet, size = (quiet + 1, size) if len(waiting) == size else (0, len(waiting))
