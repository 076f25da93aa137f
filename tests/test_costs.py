"""What things cost, counted exactly: the same on every machine, so a change that makes something dearer fails here.

The bounds on calls of Python functions are what was counted when they were written, and 3 % more. When a change that is
worth it goes beyond, or one leaves much room below, write the new number, which the failing test shows. What it all
takes in time, as ratios to Trio written by hand, is measured by the benchmarks and told in docs/figures.md.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import pytest
import trio
import trio.testing

import trio_jobs
import trio_jobs.types
from tests.benchmarks import memory
from tests.benchmarks.calls import drive
from tests.benchmarks.counting import AsyncRun, StepCounter, StoppedClock, count_calls, count_steps
from tests.benchmarks.jobs import give_back_job, give_back_later_job
from trio_jobs import Job, Overflow, Processor, Request, open_processor

CALLS = 500


def calls(job: Job[int, int, object], in_flight: int, workers: int, time_limit: float = inf) -> AsyncRun:
    """So many calls, ``in_flight`` tasks at a time."""

    async def run(times: int) -> None:
        async with open_processor(job, concurrency=workers, request_buffer_size=inf) as processor:

            async def call(body: int) -> None:
                await processor.call(body, time_limit=time_limit)

            await drive(call, in_flight, times)

    return run


def queued(workers: int, job: Job[int, int, object] = give_back_job) -> AsyncRun:
    """So many requests that all wait before the first is run, and one subscriber who takes all answers there are."""

    async def run(times: int) -> None:
        processor = Processor(job, concurrency=workers, request_buffer_size=inf, response_buffer_size=inf)
        with processor.request_sender() as sender, processor.subscribe() as responses:
            for number in range(times):
                sender.send_nowait(Request(number))
            async with trio.open_nursery() as nursery:
                await nursery.start(processor.run)
                processor.close_requests()
                answers = 0
                while answers < times:
                    answers += len(await responses.receive_many())

    return run


# -- Calls


@pytest.mark.parametrize(
    ("in_flight", "workers", "job", "steps", "polls"),
    [
        (1, 1, give_back_job, 2, 2),
        (1, 1, give_back_later_job, 3, 3),
        (100, 16, give_back_job, 1.1, 0.1),
        (100, 16, give_back_later_job, 2.1, 0.1),
    ],
)
def test_a_call_takes_few_task_steps(
    in_flight: int, workers: int, job: Job[int, int, object], steps: float, polls: float
) -> None:
    """The caller and a worker wake each other, and nobody else wakes; when it is busy, workers need not be woken."""
    counted = count_steps(calls(job, in_flight, workers), CALLS)

    assert counted.tasks <= steps
    assert counted.polls <= polls


@pytest.mark.parametrize(
    ("in_flight", "workers", "time_limit", "most"),
    [
        (1, 1, inf, 38.1),
        (1, 1, 10, 42.3),
        (100, 16, inf, 30.5),
    ],
)
def test_a_call_takes_few_python_calls(in_flight: int, workers: int, time_limit: float, most: float) -> None:
    """Each is paid for by everybody, so none comes unnoticed."""
    assert count_calls(calls(give_back_job, in_flight, workers, time_limit), CALLS).own <= most


def test_a_queued_request_takes_few_python_calls() -> None:
    """Sending it, running it and receiving its answer, with nobody to be woken for it."""
    assert count_calls(queued(8), CALLS).own <= 21.9


@pytest.mark.parametrize(("job", "steps"), [(give_back_job, 0.15), (give_back_later_job, 1.15)])
def test_a_queued_request_takes_a_task_step_for_each_checkpoint_of_its_job(
    job: Job[int, int, object], steps: float
) -> None:
    """Jobs that yield need no turns of others between them."""
    assert count_steps(queued(8, job), CALLS).tasks <= steps


class Made:
    """Counts objects of Trio's that are made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        for kind in (trio.CancelScope, trio.Event):
            monkeypatch.setattr(kind, "__init__", self._counting(kind.__init__))

    def _counting(self, make: Callable[..., None]) -> Callable[..., None]:
        def counting(*args: object, **kwargs: object) -> None:
            self.count += 1
            make(*args, **kwargs)

        return counting


@pytest.mark.parametrize(
    "run",
    [
        calls(give_back_job, 1, 1),
        calls(give_back_later_job, 100, 16),
        calls(give_back_job, 100, 16, time_limit=10),
        queued(8),
    ],
    ids=["call", "calls with a checkpoint", "calls with a time limit", "queue"],
)
def test_no_request_has_a_task_or_a_scope_or_an_event_of_its_own(
    run: AsyncRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them would cost more than all the rest of a queued request."""
    made = Made(monkeypatch)
    objects: list[int] = []
    for times in (CALLS, 2 * CALLS):
        before, counter = made.count, StepCounter()
        trio.run(run, times, instruments=[counter], clock=StoppedClock())
        objects.append(counter.tasks + made.count - before)

    assert objects[1] - objects[0] <= 16 * 2  # workers that came in one run and not in the other, and their scopes


# -- Workers


def test_an_idle_processor_has_no_worker() -> None:
    """Workers come when there is work."""

    async def main() -> int:
        async with open_processor(give_back_job, concurrency=1_000) as processor:
            await trio.testing.wait_all_tasks_blocked()
            return processor.statistics().workers

    assert trio.run(main) == 0


def test_a_burst_of_jobs_that_never_yield_wakes_no_herd() -> None:
    """One worker is on its way at a time, and most of the work is done when the next could begin."""

    async def main() -> int:
        async with open_processor(give_back_job, concurrency=1_000, request_buffer_size=inf) as processor:
            await drive(processor.call, 100, 100)
            return processor.statistics().workers

    assert trio.run(main, clock=StoppedClock()) <= 5


class PacedClock(StoppedClock):
    """A clock that is moved by what runs."""

    time = 0.0

    def current_time(self) -> float:
        """As far as it was moved."""
        return self.time


def most_between_turns(workers: int, seconds: float) -> int:
    """How many jobs run at the most between two turns of a bystander, if each takes so long and never yields."""
    clock = PacedClock()
    since, counts = 0, [0]

    @trio_jobs.job
    async def work(body: int) -> None:
        nonlocal since
        since += 1
        clock.time += seconds

    async def stand_by() -> None:
        nonlocal since
        while True:
            since = 0
            await trio.lowlevel.checkpoint()
            counts.append(since)

    async def main() -> None:
        processor = Processor(work, concurrency=workers, request_buffer_size=inf)
        with processor.request_sender() as sender:
            for number in range(CALLS):
                sender.send_nowait(Request(number))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stand_by)
            async with trio.open_nursery() as running:
                await running.start(processor.run)
                processor.close_requests()
            nursery.cancel_scope.cancel()

    trio.run(main, clock=clock)
    return max(counts)


@pytest.mark.parametrize("workers", [1, 16])
@pytest.mark.parametrize(("seconds", "budget"), [(0, 32), (30e-6, 4), (1e-3, 1)])
def test_others_get_their_turn_between_jobs_that_never_yield(workers: int, seconds: float, budget: int) -> None:
    """All workers share a budget of 32 jobs or 100 microseconds a scheduler pass, whichever is used up first.

    Beyond it each runs one job at most. Between two turns there are two passes where the workers come last in one and
    first in the next.
    """
    assert 0 < most_between_turns(workers, seconds) <= 2 * (budget + (workers - 1))


def test_a_job_that_sends_to_its_own_processor_has_not_yielded_by_that() -> None:
    """Or an endless chain of jobs would never let anybody else run."""
    turns = 0

    @trio_jobs.job
    async def chain(left: int) -> None:
        if left:
            senders[0].send_nowait(Request(left - 1))

    async def stand_by() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            async with open_processor(chain, concurrency=1) as processor:
                nursery.start_soon(stand_by)
                with processor.request_sender() as sender:
                    senders.append(sender)
                    await sender.send(Request(CALLS))
                    while processor.statistics().succeeded <= CALLS:
                        await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

    senders: list[trio_jobs.types.MemoryRequestSender[int]] = []
    trio.run(main, clock=StoppedClock())

    assert turns >= CALLS / 32


# -- Broadcast


def sends(receivers: int, overflow: Overflow) -> AsyncRun:
    """So many sends to receivers that nobody reads."""

    async def run(times: int) -> None:
        sender: trio_jobs.BroadcastSender[int] = trio_jobs.open_broadcast_channel(
            inf if overflow is Overflow.BLOCK else 64
        )
        subscribed = [sender.subscribe(overflow=overflow) for _ in range(receivers)]
        for number in range(times):
            sender.send_nowait(number)
        for receiver in subscribed:
            receiver.close()

    return run


@pytest.mark.parametrize("overflow", Overflow)
def test_a_send_costs_the_same_however_many_receivers_are_behind(overflow: Overflow) -> None:
    """Receivers that do not wait are counted, not visited."""
    to_one, to_many = (count_calls(sends(receivers, overflow), CALLS).own for receivers in (1, 1_000))

    assert to_many == pytest.approx(to_one, abs=0.1)


# -- Bytes


@pytest.mark.parametrize(
    ("make", "each", "most"),
    [
        (memory.processors(1), memory.PROCESSORS, 24_000),
        (memory.processors(1_000), memory.PROCESSORS, 24_000),
        *((memory.subscribers(overflow), memory.SUBSCRIBERS, 400) for overflow in Overflow),
    ],
)
def test_what_waits_takes_few_bytes(make: memory.Make, each: int, most: float) -> None:
    """A worker that may come takes none; a subscriber is a position in the ring that all share."""
    assert memory.bytes_of(make) / each <= most


@pytest.mark.parametrize("receivers", [1, 100])
def test_an_item_is_kept_once_for_all_receivers(receivers: int) -> None:
    """However many have still to read it."""
    few, many = (memory.bytes_of(memory.kept_items(receivers, items)) for items in (1_000, 3_000))

    assert (many - few) / 2_000 <= 32
