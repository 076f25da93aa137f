"""anyio on Trio, by hand: a stream of requests, a stream of results, an event for each call."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from math import inf
from typing import Any

from .. import calls
from ..harness import Case
from ..jobs import give_back
from .driving import find

NAME = "anyio streams on Trio, a scope for each job"


def case(in_flight: int, workers: int) -> Case:
    """Calls."""
    return calls.case(partial(open_, find("anyio"), workers), in_flight, lambda call: call)


@asynccontextmanager
async def open_(anyio: Any, workers: int) -> AsyncGenerator[calls.Call]:
    """Workers, and a task that hands out the answers."""
    requests, to_do = anyio.create_memory_object_stream(inf)
    done, results = anyio.create_memory_object_stream(inf)
    answered: dict[int, Any] = {}
    answers: dict[int, tuple[Any, Exception | None]] = {}
    running: dict[int, Any] = {}
    new_id = count().__next__

    async def work() -> None:
        async for request_id, body in to_do:
            result: tuple[int, int | None, Exception | None]
            with anyio.CancelScope() as scope:
                running[request_id] = scope
                try:
                    result = request_id, await give_back(body), None
                except Exception as error:
                    result = request_id, None, error
                finally:
                    del running[request_id]
            await done.send(result)

    async def dispatch() -> None:
        async for request_id, value, error in results:
            answers[request_id] = value, error
            answered.pop(request_id).set()

    async def call(body: int) -> Any:
        request_id = new_id()
        event = answered[request_id] = anyio.Event()
        await requests.send((request_id, body))
        await event.wait()
        value, error = answers.pop(request_id)
        if error is not None:
            raise error
        return value

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(dispatch)
        for _ in range(workers):
            tasks.start_soon(work)
        yield call
        tasks.cancel_scope.cancel()
    for stream in (requests, to_do, done, results):
        stream.close()
