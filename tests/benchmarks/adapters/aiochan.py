"""aiochan: channels as in Go; a channel for the requests, and one for each answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from ..harness import Case
from ..jobs import give_back
from .driving import Call, asyncio_case, find

NAME = "aiochan"


def case(in_flight: int, workers: int) -> Case:
    """Calls."""
    return asyncio_case(partial(open_, find("aiochan"), workers), in_flight)


@asynccontextmanager
async def open_(aiochan: Any, workers: int) -> AsyncGenerator[Call]:
    """Workers that read one channel."""
    requests = aiochan.Chan(1024)

    async def work() -> None:
        async for body, answer in requests:
            await answer.put(await give_back(body))

    async def call(body: int) -> int:
        answer = aiochan.Chan(1)
        await requests.put((body, answer))
        result: int = await answer.get()
        return result

    tasks = [asyncio.create_task(work()) for _ in range(workers)]
    yield call
    requests.close()
    await asyncio.gather(*tasks)
