from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock

from trio_jobs import ProcessorStopped, job, open_processor


@asynccontextmanager
async def open_line() -> AsyncGenerator[str]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(break_down)
        yield "line"


async def break_down() -> None:
    await trio.sleep(3)
    raise OSError("the line is dead")


@job
async def listen(number: int, line: str) -> None:
    await trio.sleep_forever()


async def main() -> None:
    try:
        async with open_processor(listen, resources=open_line()) as processor:
            try:
                await processor.call(1)
            except ProcessorStopped as stopped:
                print("the caller:", stopped)
                raise
    except OSError as error:
        print("the block:", error)


trio.run(main, clock=MockClock(autojump_threshold=0))
