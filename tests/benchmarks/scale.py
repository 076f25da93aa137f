"""Scale: what is flat at a thousand must be flat at ten thousand and at a million.

Trio itself grows dearer with many tasks, for they do not fit into the processor's caches. So the measure is the ratio
to bare Trio waking as many tasks, and how it grows.
"""

from __future__ import annotations

import trio
import trio.testing
from trio.lowlevel import Abort, RaiseCancelT, Task, current_task, reschedule, wait_task_rescheduled

from . import broadcast, calls, queue
from .harness import Bench, Case, Cost
from .jobs import give_back, give_back_job

AT_MOST = 1.5  # times the ratio at a thousand
FEW = 1_000
CALLS_EACH = 20


def bare_calls(in_flight: int) -> Case:
    """Tasks that park in a queue, and one task that takes them out and wakes them: a `call` that does nothing."""

    async def measure(calls_: int) -> float:
        waiting: dict[Task, None] = {}
        server: Task | None = None

        def leave(_: RaiseCancelT) -> Abort:
            return Abort.SUCCEEDED

        async def serve() -> None:
            nonlocal server
            while True:
                server = current_task()
                await wait_task_rescheduled(leave)
                for task in waiting:
                    reschedule(task)
                waiting.clear()

        async def call(_: int) -> None:
            nonlocal server
            waiting[current_task()] = None
            if server is not None:
                reschedule(server)
                server = None
            await wait_task_rescheduled(leave)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            await trio.testing.wait_all_tasks_blocked()
            seconds = await calls.drive(call, in_flight, calls_)
            nursery.cancel_scope.cancel()
        return seconds

    return lambda calls_: trio.run(measure, calls_)


def growth(bench: Bench, what: str, at: str, few: Cost, many: Cost) -> None:
    """Note how a ratio to bare Trio has grown."""
    bench.goal(f"{what}: ratio at {at} to that at {FEW:,}", AT_MOST, many.ratio / few.ratio, "ratios to bare Trio")


def measure(bench: Bench) -> None:
    """Calls in flight, receivers, queued requests."""
    many = 2_000 if bench.quick else 10_000
    in_flight = [
        bench.compare(
            f"call, {number:,} in flight, 16 workers",
            {
                "bare wake-ups": bare_calls(number),
                "trio-jobs": calls.case(calls.ours(give_back_job, 16), number, calls.plain),
                "raw Trio": calls.case(calls.raw(give_back, 16), number, calls.plain),
            },
            least=CALLS_EACH * number,
        )["trio-jobs"]
        for number in (FEW, many)
    ]
    growth(bench, "calls in flight", f"{many:,}", *in_flight)

    receivers = [
        bench.compare(
            f"an item to {number:,} waiting receivers, for each",
            {
                "bare wake-ups": broadcast.to_waiting(broadcast.wake_ups, number),
                "trio-jobs": broadcast.to_waiting(broadcast.ours(broadcast.one_of), number),
                "raw Trio": broadcast.to_waiting(broadcast.raw_awaited, number),
            },
            per=number,
            least=20,
        )["trio-jobs"]
        for number in (FEW, many)
    ]
    growth(bench, "receivers that wait", f"{many:,}", *receivers)

    a_lot = 20_000 if bench.quick else 1_000_000
    queued = [
        bench.compare(
            f"a request from a full queue of {number:,}, 8 workers",
            {
                "raw Trio": queue.raw(give_back, 8),
                "trio-jobs": queue.ours(give_back_job, 8),
            },
            operations=number,
            rounds=None if number == FEW else 3,  # each takes a minute
        )["trio-jobs"]
        for number in (FEW, a_lot)
    ]
    growth(bench, "requests that are queued", f"{a_lot:,}", *queued)
