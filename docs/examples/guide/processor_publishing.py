import trio
from trio.testing import MockClock

from trio_jobs import Disconnected, job, open_processor


@job
async def double(number: int) -> int:
    return 2 * number


async def main() -> None:
    async with open_processor(double, response_buffer_size=1, publish_limit=60) as processor:
        with processor.subscribe() as never_reads:
            for number in (1, 2, 3):
                print(await processor.call(number), "at", trio.current_time())
            try:
                await never_reads.receive()
            except Disconnected:
                print("cut off")


trio.run(main, clock=MockClock(autojump_threshold=0))
