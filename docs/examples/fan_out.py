"""One stream of answers, three who follow it, each slow in a way of its own.

A subscription chooses what happens when it is a whole buffer behind: the archive makes everybody wait, the display
skips what it missed and is told how many, the mirror is cut off. In virtual time, so it takes none.
"""

import trio
from trio.testing import MockClock

from trio_jobs import BroadcastReceiver, Disconnected, Lagged, Overflow, Response, job, open_processor


@job
async def measure(number: int) -> int:
    """A measurement takes a second."""
    await trio.sleep(1)
    return 10 * number


async def follow(answers: BroadcastReceiver[Response[int]], seconds: float, log: list[str]) -> None:
    """Receive until the end, busy with each answer for so many seconds."""
    with answers:
        while True:
            try:
                answer = await answers.receive()
                log.append(str(answer.unwrap()))
                await trio.sleep(seconds)
            except Lagged as lagged:
                log.append(f"[missed {lagged.skipped}]")
            except Disconnected:
                log.append("[cut off]")
                return
            except trio.EndOfChannel:
                return


async def main() -> None:
    archive: list[str] = []
    display: list[str] = []
    mirror: list[str] = []
    async with trio.open_nursery() as nursery:
        async with open_processor(measure, concurrency=1, response_buffer_size=2) as processor:
            nursery.start_soon(follow, processor.subscribe(overflow=Overflow.BLOCK), 1.7, archive)
            nursery.start_soon(follow, processor.subscribe(overflow=Overflow.DROP_OLDEST), 4.1, display)
            nursery.start_soon(follow, processor.subscribe(overflow=Overflow.DISCONNECT), 4.1, mirror)
            for number in range(1, 10):
                await processor.submit(number)
        print(f"9 measurements took {trio.current_time():g} seconds: the archive held them up")
    print("archive:", *archive)
    print("display:", *display)
    print("mirror: ", *mirror)


if __name__ == "__main__":
    trio.run(main, clock=MockClock(autojump_threshold=0))
