"""Fairness: how many jobs that never yield run between two turns of a task that has nothing to do with them.

The one measurement that reads a real clock, for so does what it measures: jobs share a slice of time.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Coroutine
from math import inf

import trio

import trio_jobs

from .harness import Bench
from .raw import RawProcessor

JOBS = 3000
MICROSECONDS = 20


class Between:
    """Counts jobs between two turns of a bystander."""

    def __init__(self) -> None:
        self.since = 0
        self.counts: list[int] = []

    async def stand_by(self) -> None:
        """Take a turn whenever there is one."""
        while True:
            self.since = 0
            await trio.lowlevel.checkpoint()
            self.counts.append(self.since)


def busy(between: Between) -> Callable[[int], Coroutine[None, None, int]]:
    """A job that keeps the processor busy."""

    async def compute(body: int) -> int:
        end = trio.current_time() + MICROSECONDS * 1e-6
        while trio.current_time() < end:
            pass
        between.since += 1
        return body

    return compute


async def raw(workers: int) -> list[int]:
    """Trio by hand."""
    between = Between()
    processor = RawProcessor(busy(between), workers)
    for number in range(JOBS):
        processor.requests.send_nowait((number, number))
    processor.requests.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(between.stand_by)
        await processor.run()
        nursery.cancel_scope.cancel()
    return between.counts


async def ours(workers: int) -> list[int]:
    """A processor."""
    between = Between()
    processor = trio_jobs.Processor(trio_jobs.job(busy(between)), concurrency=workers, request_buffer_size=inf)
    with processor.request_sender() as sender:
        for number in range(JOBS):
            sender.send_nowait(trio_jobs.Request(number))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(between.stand_by)
        async with trio.open_nursery() as inner:
            await inner.start(processor.run)
            processor.close_requests()
        nursery.cancel_scope.cancel()
    return between.counts


def measure(bench: Bench) -> None:
    """Median and most of all that were counted while there was work."""
    rows: list[tuple[str, ...]] = []
    for workers, at_most in ((1, 14), (16, 44)):
        for name, way in (("raw Trio", raw), ("trio-jobs", ours)):
            rounds = [[count for count in trio.run(way, workers) if count] for _ in range(bench.rounds)]
            median = statistics.median(statistics.median(counts) for counts in rounds)
            most = statistics.median(max(counts) for counts in rounds)
            rows.append((f"{name}, {workers} worker{'s' if workers > 1 else ''}", f"{median:g}", f"{most:g}"))
            if way is ours:
                bench.goal(
                    f"jobs of {MICROSECONDS} us between two turns of a bystander, {workers} workers",
                    at_most,
                    median,
                    "counted, the median",
                    unit="jobs",
                )
    bench.table(f"jobs of {MICROSECONDS} us between two turns of a bystander", ("", "median", "most"), rows)
