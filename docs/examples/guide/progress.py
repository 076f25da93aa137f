import trio
from trio.testing import MockClock

from trio_jobs import Progress, job, open_processor, report


@job
async def build(parts: int) -> str:
    for part in range(parts):
        await trio.sleep(60)
        await report(f"{part + 1} of {parts}")
    return "built"


async def main() -> None:
    async with open_processor(build) as processor:
        submission = await processor.submit(2, progress=True)
        with submission.progress() as steps:  # of one request
            async for step in steps:
                print(step.body)
        print((await submission.wait()).unwrap())

        with processor.subscribe(progress=True) as everything:  # of all requests, with the responses
            await processor.submit(1)
            for _ in range(2):
                item = await everything.receive()
                print(item.body if isinstance(item, Progress) else item.unwrap())


trio.run(main, clock=MockClock(autojump_threshold=0))
