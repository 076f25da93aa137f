import trio
from trio.testing import MockClock

from trio_jobs import JobFailed, job, open_client, open_processor


@job
async def bake(minutes: int) -> str:
    await trio.sleep(60 * minutes)
    if minutes > 50:
        raise ValueError("burnt")
    return f"done after {minutes} minutes"


async def main() -> None:
    async with open_processor(bake) as processor:
        try:
            async with open_client(processor.request_sender(), processor) as client:
                cake = await client.submit(40)
                await client.submit(60)  # and nobody looks at its answer
                print((await cake.wait()).unwrap())
        except JobFailed as failed:
            print("the block's end:", failed.error, "at", trio.current_time())


trio.run(main, clock=MockClock(autojump_threshold=0))
