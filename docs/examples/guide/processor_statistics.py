import trio
from trio.testing import MockClock

from trio_jobs import job, open_processor


@job
async def wait(seconds: float) -> float:
    await trio.sleep(seconds)
    return seconds


async def main() -> None:
    async with open_processor(wait, concurrency=2) as processor:
        for seconds in (1.0, 1.0, 5.0, 5.0, 5.0):
            await processor.submit(seconds)
        await trio.sleep(2)
        statistics = processor.statistics()
        print(processor)
        print(f"{statistics.claimed=} {statistics.succeeded=}")
        print(f"{statistics.running=} {statistics.waiting=}")


trio.run(main, clock=MockClock(autojump_threshold=0))
