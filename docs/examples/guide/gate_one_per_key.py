from typing import Any

import trio
from trio.testing import MockClock

from trio_jobs import Request, job, open_processor
from trio_jobs.gates import Gate, Hold


class OnePerKey(Gate):
    """At most one request of a key runs at a time; those without a key are not held."""

    def __init__(self) -> None:
        super().__init__()
        self.running: set[str] = set()

    def ask(self, request: Request[Any], now: float) -> Hold | None:
        if request.key in self.running:
            return Hold(request.key, f"waits for key {request.key!r}")
        return None

    def started(self, request: Request[Any], now: float) -> None:
        if request.key is not None:
            self.running.add(request.key)

    def finished(self, request: Request[Any], now: float) -> None:
        if request.key is not None:
            self.running.discard(request.key)
            self.free(request.key)


@job
async def write(line: str) -> None:
    await trio.sleep(5 if line.startswith("b") else 2)
    print(trio.current_time(), line)


async def main() -> None:
    async with open_processor(write, gates=[OnePerKey()]) as processor:
        for line in ("a1", "a2", "b1", "a3", "b2"):
            await processor.submit(line, key=line[0])


trio.run(main, clock=MockClock(autojump_threshold=0))
