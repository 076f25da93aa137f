"""More work than fits anywhere: requests are made no faster than answers are taken, and the rest never is.

In virtual time: a fetch takes a second, and the program none.
"""

from collections.abc import Iterator
from itertools import count

import trio
from trio.testing import MockClock

from trio_jobs import Succeeded, job, open_processor

AHEAD = 100


@job
async def fetch(address: str) -> tuple[str, bool]:
    """The address, and whether what we look for is there."""
    await trio.sleep(1)
    return address, address.endswith("/777")


class Addresses:
    """An endless supply, which knows how many were taken."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[str]:
        for self.taken in count(1):
            yield f"https://example.org/{self.taken}"


async def main() -> None:
    addresses = Addresses()
    answers = 0
    async with open_processor(fetch, concurrency=50) as processor:
        async with processor.map(addresses, max_in_flight=AHEAD) as responses:
            async for response in responses:
                answers += 1
                assert addresses.taken <= answers + AHEAD
                match response:
                    case Succeeded(value=(address, True)):
                        print(f"found after {trio.current_time():g} seconds: {address}")
                        break  # what is still asked for is cancelled, and gone when the block has been left
                    case _:
                        pass
        print("left behind:", processor.statistics().running, "running,", processor.statistics().waiting, "waiting")


if __name__ == "__main__":
    trio.run(main, clock=MockClock(autojump_threshold=0))
