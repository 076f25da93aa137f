from typing import Any

import trio

from trio_jobs import CallCycle, Processor, job, open_processor


@job
async def factorial(number: int, this: list[Processor[int, int, Any]]) -> int:
    try:
        return 1 if number == 0 else number * await this[0].call(number - 1)
    except CallCycle as error:
        print("refused", number - 1, error.cycle)
        return -1


async def main() -> None:
    this: list[Processor[int, int, Any]] = []
    async with open_processor(factorial, resources=this, concurrency=3) as processor:
        this.append(processor)
        print(await processor.call(2))  # three jobs in three slots
        print(await processor.call(3))  # a fourth would wait for one of the three


trio.run(main)
