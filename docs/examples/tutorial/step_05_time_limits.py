import trio
from trio.testing import MockClock

from trio_jobs import job, open_processor

SECONDS = {"may.txt": 2, "june.txt": 600}


@job
async def remote_checksum(name: str) -> str:
    """Stands for a server far away, which takes its time."""
    await trio.sleep(SECONDS[name])
    return "d2b4ccf2"


async def main() -> None:
    async with open_processor(remote_checksum, concurrency=4) as processor:
        print(await processor.call("may.txt"), "at", trio.current_time())

        with trio.move_on_after(10) as scope:
            await processor.call("june.txt")
        print("gave up" if scope.cancelled_caught else "in time", "at", trio.current_time())

        try:
            await processor.call("june.txt", time_limit=10)
        except trio.TooSlowError as error:
            print(type(error).__name__, "at", trio.current_time())

        print(processor.statistics().running, "still running")


trio.run(main, clock=MockClock(autojump_threshold=0))
