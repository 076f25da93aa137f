"""A full queue: what each request costs that nobody has to wait for, sending it included where nothing else is said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf
from typing import Any

import trio

import trio_jobs

from .harness import Bench, Case, clock
from .jobs import give_back, give_back_job, give_back_later, give_back_later_job
from .raw import RawProcessor

LONG = 200_000
SHORT = 1_000


def raw(job: Callable[[int], Awaitable[int]], workers: int, *, sending: bool = True) -> Case:
    """Trio by hand: one task reads the results."""

    async def measure(requests: int) -> float:
        processor = RawProcessor(job, workers)
        start = clock()
        for number in range(requests):
            processor.requests.send_nowait((number, number))
        processor.requests.close()
        if not sending:
            start = clock()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(processor.work)
            answers = 0
            async for _ in processor.results:
                answers += 1
        assert answers == requests
        return clock() - start

    return lambda requests: trio.run(measure, requests)


def ours(job: trio_jobs.Job[Any, Any, Any], workers: int, *, sending: bool = True, time_limit: float = inf) -> Case:
    """A processor, and one subscriber who takes all there is each time."""

    async def measure(requests: int) -> float:
        processor = trio_jobs.Processor(job, concurrency=workers, request_buffer_size=inf, response_buffer_size=inf)
        answers = 0
        with processor.request_sender() as sender, processor.subscribe() as responses:
            deadline = trio.current_time() + time_limit
            start = clock()
            for number in range(requests):
                sender.send_nowait(trio_jobs.Request(number, deadline=deadline))
            if not sending:
                start = clock()
            async with trio.open_nursery() as nursery:
                await nursery.start(processor.run)
                processor.close_requests()
                while answers < requests:
                    answers += len(await responses.receive_many())
        return clock() - start

    return lambda requests: trio.run(measure, requests)


def only_jobs(job: Callable[[int], Awaitable[int]]) -> Case:
    """The job awaited, and nothing else."""

    async def measure(requests: int) -> float:
        start = clock()
        for number in range(requests):
            await job(number)
        return clock() - start

    return lambda requests: trio.run(measure, requests)


def measure(bench: Bench) -> None:
    """Requests that wait, with and without deadlines, few and many."""
    table = bench.compare(
        "a request sent into a queue and run from there, 8 workers",
        {
            "raw Trio": raw(give_back, 8),
            "trio-jobs": ours(give_back_job, 8),
            "trio-jobs, each with a deadline": ours(give_back_job, 8, time_limit=1000),
            "the job awaited, nothing else": only_jobs(give_back),
        },
        least=SHORT,
    )
    what, base = "a request from a full queue, 8 workers", "raw Trio, same workers"
    bench.goal(what, 0.25, table["trio-jobs"].ratio, base)
    deadlines = table["trio-jobs, each with a deadline"].ratio
    bench.goal(f"{what}, each with a deadline of its own", 0.45, deadlines, "raw Trio without deadlines")
    for job, by_hand, name in (
        (give_back_job, give_back, "which is full already"),
        (give_back_later_job, give_back_later, "which is full already, job with a checkpoint"),
    ):
        for workers in (1, 8, 100):
            bench.compare(
                f"a request run from a queue {name}, {workers} workers",
                {
                    "raw Trio": raw(by_hand, workers, sending=False),
                    "trio-jobs": ours(job, workers, sending=False),
                },
                least=SHORT,
            )
    long = LONG // 20 if bench.quick else LONG
    few = ours(give_back_job, 8)
    table = bench.compare(
        f"a request sent into a queue and run from there, {long:,} in it",
        {
            f"{SHORT:,} in it, so often": lambda requests: sum(few(SHORT) for _ in range(requests // SHORT)),
            f"{long:,} in it": ours(give_back_job, 8),
        },
        operations=long,
    )
    bench.goal(f"a request from a queue of {long:,}", 1.25, table[f"{long:,} in it"].ratio, f"from one of {SHORT:,}")
