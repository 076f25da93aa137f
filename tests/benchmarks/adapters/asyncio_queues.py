"""asyncio by hand, nothing can be cancelled: a queue each way, a future for each call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count

from ..harness import Case
from ..jobs import give_back
from .driving import Call, asyncio_case

NAME = "asyncio queues, a job cannot be cancelled"


def case(in_flight: int, workers: int) -> Case:
    """Calls."""
    return asyncio_case(partial(open_, workers), in_flight)


@asynccontextmanager
async def open_(workers: int) -> AsyncGenerator[Call]:
    """Workers, and a task that hands out the answers."""
    requests: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
    results: asyncio.Queue[tuple[int, int | None, Exception | None]] = asyncio.Queue()
    waiting: dict[int, asyncio.Future[int]] = {}
    new_id = count().__next__

    async def work() -> None:
        while True:
            request_id, body = await requests.get()
            result: tuple[int, int | None, Exception | None]
            try:
                result = request_id, await give_back(body), None
            except Exception as error:
                result = request_id, None, error
            await results.put(result)

    async def dispatch() -> None:
        while True:
            request_id, value, error = await results.get()
            answer = waiting.pop(request_id)
            if error is not None:
                answer.set_exception(error)
            elif value is not None:
                answer.set_result(value)

    async def call(body: int) -> int:
        request_id = new_id()
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiting[request_id] = answer
        await requests.put((request_id, body))
        return await answer

    tasks = [asyncio.create_task(dispatch()), *(asyncio.create_task(work()) for _ in range(workers))]
    yield call
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
