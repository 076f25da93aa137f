from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio

from trio_jobs import Shared, job, open_processor


@asynccontextmanager
async def open_database() -> AsyncGenerator[dict[str, str]]:
    print("open")
    yield {"tea": "2.50"}
    print("close")


@job
async def look_up(item: str, database: dict[str, str]) -> str:
    return database[item]


async def main() -> None:
    async with open_processor(look_up, resources=Shared(open_database)) as processor:
        print(await processor.call("tea"))


trio.run(main)
