from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count

import trio
from trio.testing import MockClock

from trio_jobs import PerWorker, job, open_processor

numbers = count(1)


@asynccontextmanager
async def open_connection() -> AsyncGenerator[list[str]]:
    number = next(numbers)
    print("open", number)
    yield []
    print("close", number)


@job
async def query(text: str, connection: list[str]) -> int:
    connection.append(text)
    await trio.sleep(1)
    assert connection == [text]  # nobody else had it meanwhile
    connection.clear()
    return len(text)


async def main() -> None:
    async with open_processor(query, resources=PerWorker(open_connection), concurrency=2) as processor:
        async with processor.map(["one", "two", "three", "four"], ordered=True) as responses:
            print([response.unwrap() async for response in responses])


trio.run(main, clock=MockClock(autojump_threshold=0))
