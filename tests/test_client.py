"""`call`, and the block that submitted work belongs to."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs import (
    Aborted,
    AbortReason,
    JobFailed,
    JobTooSlow,
    Processor,
    ProcessorStopped,
    Submission,
    job,
    open_client,
    open_processor,
)

from .broken_resources import raise_when_closed
from .simple_jobs import clean_up_for, fail, hang, hang_with, sleep_for, stubborn


async def test_a_time_limit_of_the_request_ends_in_too_slow_error(autojump_clock: object) -> None:
    """The job is stopped at that time, and the caller gets a subclass of Trio's error."""
    async with open_processor(hang) as processor:
        start = trio.current_time()
        with pytest.raises(trio.TooSlowError) as caught:
            await processor.call(None, time_limit=3)

        assert isinstance(caught.value, JobTooSlow)
        assert trio.current_time() - start == 3
        assert processor.statistics().running == 0


async def test_a_time_limit_of_the_caller_stops_the_job(autojump_clock: object) -> None:
    """`fail_after` around the call: Trio's way, and nothing runs on."""
    async with open_processor(hang) as processor:
        with pytest.raises(trio.TooSlowError):
            with trio.fail_after(3):
                await processor.call(None)

        assert processor.statistics().running == 0


async def test_the_caller_s_deadline_travels_with_the_request(autojump_clock: object) -> None:
    """And the earliest of all deadlines counts: scope, time limit, and that of the calling job's own request."""
    deadlines: list[float] = []

    @job
    async def outer(request: Processor[Any, Any, Any]) -> None:
        with pytest.raises(trio.TooSlowError):
            await request.call(None, time_limit=100)

    async with open_processor(hang) as inner, open_processor(outer) as processor:
        with inner.subscribe() as responses:
            start = trio.current_time()
            with trio.move_on_after(7):
                await processor.call(inner, time_limit=9)
            deadlines.append(trio.current_time() - start)
            response = await responses.receive()

    assert deadlines == [7]
    assert isinstance(response, Aborted)


async def test_cancelling_a_call_returns_when_its_job_is_gone(autojump_clock: object) -> None:
    """The job takes two seconds to clean up, and so does the cancelled call."""

    @job
    async def slow_to_leave(request: object) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(2)

    async with open_processor(slow_to_leave) as processor:
        with processor.subscribe() as responses:
            start = trio.current_time()
            with trio.move_on_after(1) as scope:
                await processor.call(None)

            assert scope.cancelled_caught
            assert trio.current_time() - start == 3
            assert processor.statistics().running == 0
            response = await responses.receive()
            assert isinstance(response, Aborted)


async def test_cancelling_a_call_that_waits_takes_it_out_of_the_queue() -> None:
    """It never starts, and others who subscribed see why."""
    async with open_processor(hang, concurrency=1) as processor:
        blocking = await processor.submit("blocks")
        await wait_all_tasks_blocked()
        with processor.subscribe() as responses:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(processor.call, "waits")
                    await wait_all_tasks_blocked()
                    scope.cancel()

            response = await responses.receive()
            assert isinstance(response, Aborted)
            assert response.reason is AbortReason.CALLER
            assert processor.statistics().waiting == 0
        await blocking.cancel()


async def test_a_call_that_is_cancelled_after_its_job_succeeded_returns_the_value() -> None:
    """As in Trio: what was done is not taken back."""
    values: list[str] = []
    async with open_processor(stubborn) as processor:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def cancel_it() -> None:
                    await wait_all_tasks_blocked()
                    scope.cancel()

                nursery.start_soon(cancel_it)
                values.append(await processor.call(None))

    assert values == ["done anyway"]


async def test_a_hundred_calls_that_time_out_leave_nothing_behind(autojump_clock: object) -> None:
    """No task, no subscription, no table entry."""
    async with open_processor(hang, concurrency=10) as processor:
        tasks = trio.lowlevel.current_statistics().tasks_living

        async def give_up() -> None:
            with trio.move_on_after(1):
                await processor.call(None)

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(give_up)
        await wait_all_tasks_blocked()

        statistics = processor.statistics()
        assert (statistics.waiting, statistics.running, statistics.publishing) == (0, 0, 0)
        assert processor.broadcast.statistics().open_receive_channels == 0
        assert not processor.broadcast._channel.sinks
        assert trio.lowlevel.current_statistics().tasks_living - tasks == statistics.workers


async def test_who_waits_when_the_processor_is_drained_is_told() -> None:
    """Running and waiting callers alike get `ProcessorStopped`; nobody hangs."""
    told: list[str] = []
    async with trio.open_nursery() as nursery:
        async with open_processor(hang, concurrency=1) as processor:

            async def ask(name: str) -> None:
                with pytest.raises(ProcessorStopped, match="processor hang is"):
                    await processor.call(name)
                told.append(name)

            for name in ("runs", "waits", "waits too"):
                nursery.start_soon(ask, name)
            await wait_all_tasks_blocked()
            await processor.drain(0)

    assert sorted(told) == ["runs", "waits", "waits too"]


async def test_who_waits_when_the_processor_fails_gets_its_error_as_the_cause() -> None:
    """A processor that dies tells everybody why."""

    causes: list[BaseException | None] = []
    async with trio.open_nursery() as nursery:
        processor = Processor(hang_with, resources=raise_when_closed(), concurrency=1)

        async def run() -> None:
            with pytest.raises(OSError, match="cannot close 1"):
                await processor.run()

        async def ask() -> None:
            with pytest.raises(ProcessorStopped) as caught:
                await processor.call(None)
            causes.append(caught.value.__cause__)

        nursery.start_soon(run)
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        await processor.drain(0)

    assert [str(cause) for cause in causes] == ["cannot close 1"]


async def test_a_failure_of_submitted_work_that_nobody_looked_at_is_raised_at_the_end() -> None:
    """Nothing goes silently."""
    with pytest.raises(JobFailed, match="ValueError: unread"):
        async with open_processor(fail) as processor:
            await processor.submit("unread")


async def test_several_unread_failures_are_raised_together() -> None:
    """As a group; a failure that was looked at is not in it."""
    with pytest.raises(ExceptionGroup) as caught:
        async with open_processor(fail) as processor:
            for name in ("one", "two"):
                await processor.submit(name)
            read = await processor.submit("read")
            await read.wait()

    assert [str(error).rpartition(": ")[2] for error in caught.value.exceptions] == ["one", "two"]


async def test_the_end_of_a_client_s_block_waits_for_submitted_work(autojump_clock: object) -> None:
    """The processor goes on after it."""
    async with open_processor(sleep_for) as processor:
        start = trio.current_time()
        async with open_client(processor.request_sender(), processor) as client:
            submission = await client.submit(2.0)

        assert trio.current_time() - start == 2
        assert (await submission.wait()).unwrap() == 2
        assert await processor.call(0.0) == 0


async def test_an_error_in_a_client_s_block_cancels_submitted_work() -> None:
    """And not what was submitted detached, nor anybody else's."""
    async with open_processor(hang) as processor:
        submissions: list[Submission[None]] = []
        with pytest.raises(LookupError):
            async with open_client(processor.request_sender(), processor) as client:
                submissions.append(await client.submit("ours"))
                submissions.append(await client.submit("detached", detached=True))
                await wait_all_tasks_blocked()
                raise LookupError

        response = await submissions[0].wait()
        assert isinstance(response, Aborted)
        assert response.reason is AbortReason.CALLER
        assert processor.statistics().running == 1
        await submissions[1].cancel()


async def test_an_unread_failure_of_a_client_is_raised_from_its_block() -> None:
    """The client's block is where it belongs."""
    async with open_processor(fail) as processor:
        with pytest.raises(JobFailed):
            async with open_client(processor.request_sender(), processor) as client:
                await client.submit("unread")


async def test_its_repr_says_how_much_it_waits_for() -> None:
    """What its block would wait for."""
    async with open_processor(hang) as processor:
        async with open_client(processor.request_sender(), processor) as client:
            submission = await client.submit("x")
            await wait_all_tasks_blocked()

            assert repr(client) == "<Client open=1>"
            await submission.cancel()


async def test_submissions_that_end_with_their_block_are_cancelled_all_at_once(autojump_clock: object) -> None:
    """It takes as long as the slowest of them takes to clean up."""
    async with open_processor(clean_up_for) as processor:
        start = trio.current_time()
        with pytest.raises(LookupError):
            async with open_client(processor.request_sender(), processor) as client:
                for seconds in (3, 1, 2):
                    await client.submit(seconds)
                await wait_all_tasks_blocked()
                raise LookupError

        assert trio.current_time() - start == 3
