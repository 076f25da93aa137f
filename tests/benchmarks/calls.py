"""`call`: ask for something and wait for the answer, alone or among many."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from math import inf
from typing import Any, TypeAlias

import trio

import trio_jobs

from .harness import Bench, Case, clock
from .jobs import give_back, give_back_job, give_back_later, give_back_later_job, refuse_job
from .raw import open_raw_processor

Call: TypeAlias = Callable[[int], Awaitable[object]]

LEAST_EACH = 20  # calls of each task, or what a first call costs shows


async def drive(call: Call, in_flight: int, calls: int) -> float:
    """Make so many calls, ``in_flight`` tasks at a time; the seconds they took."""
    each = max(1, calls // in_flight)

    async def make_calls() -> None:
        for number in range(each):
            await call(number)

    start = clock()
    async with trio.open_nursery() as nursery:
        for _ in range(in_flight):
            nursery.start_soon(make_calls)
    return (clock() - start) * calls / (each * in_flight)


def case(opener: Callable[[], AbstractAsyncContextManager[Any]], in_flight: int, call: Callable[[Any], Call]) -> Case:
    """Calls to what ``opener`` opens."""

    async def measure(calls: int) -> float:
        async with opener() as processor:
            return await drive(call(processor), in_flight, calls)

    def run(calls: int) -> float:
        return trio.run(measure, calls)

    return run


def plain(processor: Any) -> Call:
    """Its `call` as it is."""
    call: Call = processor.call
    return call


def with_time_limit(processor: Any) -> Call:
    """Its `call` with a time limit that does not pass."""
    return partial(processor.call, time_limit=1000)


def inside_fail_after(processor: Any) -> Call:
    """Its `call` in a scope of the caller's."""

    async def call(body: int) -> None:
        with trio.fail_after(1000):
            await processor.call(body)

    return call


def failing(processor: Any) -> Call:
    """Its `call`, whose error is expected."""

    async def call(body: int) -> None:
        try:
            await processor.call(body)
        except trio_jobs.JobFailed:
            return
        raise AssertionError

    return call


def raw(job: Callable[[int], Awaitable[int]], workers: int) -> Callable[[], AbstractAsyncContextManager[Any]]:
    """Trio by hand."""
    return partial(open_raw_processor, job, workers)


def ours(job: trio_jobs.Job[Any, Any, Any], workers: int) -> Callable[[], AbstractAsyncContextManager[Any]]:
    """A processor that makes no caller wait for room, as the one written by hand does not."""
    return partial(trio_jobs.open_processor, job, concurrency=workers, request_buffer_size=inf)


GOALS = [
    # in flight, workers, at most, with a job that has a checkpoint
    (1, 1, 0.60, 0.65),
    (10, 10, 0.45, None),
    (100, 16, 0.40, 0.45),
    (1000, 16, 0.45, None),
]


def measure(bench: Bench) -> None:
    """`call` against Trio by hand, with time limits, with failures."""
    for in_flight, workers, at_most, with_checkpoint in GOALS:
        least = LEAST_EACH * in_flight
        title = f"call, {in_flight:,} in flight, {workers} worker{'s' if workers > 1 else ''}"
        table = bench.compare(
            title,
            {
                "raw Trio": case(raw(give_back, workers), in_flight, plain),
                "trio-jobs": case(ours(give_back_job, workers), in_flight, plain),
            },
            least=least,
        )
        bench.goal(title, at_most, table["trio-jobs"].ratio, "raw Trio, same workers")
        if with_checkpoint is None:
            continue
        table = bench.compare(
            f"{title}, job with a checkpoint",
            {
                "raw Trio": case(raw(give_back_later, workers), in_flight, plain),
                "trio-jobs": case(ours(give_back_later_job, workers), in_flight, plain),
            },
            least=least,
        )
        bench.goal(
            f"{title}, job with a checkpoint", with_checkpoint, table["trio-jobs"].ratio, "raw Trio, same workers"
        )

    for in_flight, workers in [(1, 1), (100, 16)]:
        table = bench.compare(
            f"ways to call, {in_flight} in flight",
            {
                "call": case(ours(give_back_job, workers), in_flight, plain),
                "with time_limit=": case(ours(give_back_job, workers), in_flight, with_time_limit),
                "inside fail_after": case(ours(give_back_job, workers), in_flight, inside_fail_after),
                "the job fails": case(ours(refuse_job, workers), in_flight, failing),
            },
            least=LEAST_EACH * in_flight,
        )
        bench.goal(f"call with a time limit, {in_flight} in flight", 1.3, table["with time_limit="].ratio, "without")
        bench.goal(f"a failing job, {in_flight} in flight", 1.5, table["the job fails"].ratio, "a job that returns")
