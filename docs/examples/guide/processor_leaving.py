import trio
from trio.testing import MockClock

from trio_jobs import job, open_processor


@job
async def wait(seconds: float) -> float:
    await trio.sleep(seconds)
    return seconds


async def main() -> None:
    async with open_processor(wait, concurrency=2) as processor:
        for seconds in (1.0, 2.0, 3.0):
            await processor.submit(seconds)
    print("block end:", processor.statistics().succeeded, "answered at", trio.current_time())

    async with open_processor(wait, concurrency=2) as processor:
        for seconds in (3.0, 60.0, 60.0):
            await processor.submit(seconds)
        report = await processor.drain(grace=5)
        print("drain:", processor.statistics().succeeded, "answered at", trio.current_time())
        print(len(report.handed_back), "handed back,", len(report.waiting), "never started")


trio.run(main, clock=MockClock(autojump_threshold=0))
