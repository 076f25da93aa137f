"""Work that was submitted: waiting for it, its progress, cancelling it."""

from __future__ import annotations

import gc

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs import (
    ProcessorStopped,
    Progress,
    Response,
    Succeeded,
    job,
    open_processor,
    report,
)

from .simple_jobs import double, hang, report_at_once


async def test_a_submission_can_be_waited_for_by_many() -> None:
    """Each gets the same response."""
    got: list[Response[int]] = []
    async with open_processor(double) as processor:
        submission = await processor.submit(3)

        async def wait() -> None:
            got.append(await submission.wait())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            nursery.start_soon(wait)

    assert isinstance(got[0], Succeeded)
    assert got[0] is got[1]


async def test_a_submission_tells_the_progress_of_its_job_and_ends_with_it() -> None:
    """Other requests' progress is not in it."""

    @job
    async def work(request: str) -> None:
        await ready.wait()
        for number in range(3):
            await report(f"{request}{number}")

    ready = trio.Event()
    async with open_processor(work) as processor:
        submission = await processor.submit("a")
        await processor.submit("b")
        async with submission.progress() as progress:
            ready.set()
            seen = [item async for item in progress]

    assert seen == [Progress(f"a{number}", id=submission.id) for number in range(3)]


async def test_progress_of_answered_work_ends_at_once() -> None:
    """There is nothing more to come."""
    async with open_processor(double) as processor:
        submission = await processor.submit(1)
        await submission.wait()
        async with submission.progress() as progress:
            with pytest.raises(trio.EndOfChannel):
                await progress.receive()


async def test_cancelling_the_wait_leaves_the_work_alone() -> None:
    """To wait is not to own."""
    async with open_processor(hang) as processor:
        submission = await processor.submit("x")
        with trio.move_on_after(0):
            await submission.wait()
        await wait_all_tasks_blocked()

        assert processor.statistics().running == 1
        await submission.cancel()
        assert processor.statistics().running == 0


async def test_a_job_may_wait_for_work_of_another_processor() -> None:
    """As long as that can run."""

    @job
    async def outer(request: int) -> int:
        submission = await inner.submit(request, detached=True)
        return (await submission.wait()).unwrap()

    async with open_processor(double) as inner, open_processor(outer) as processor:
        assert await processor.call(4) == 8


async def test_a_job_may_wait_for_work_that_runs_already() -> None:
    """That holds a slot, so there is no cycle to be looked for."""
    started, go_on = trio.Event(), trio.Event()

    @job
    async def slow(request: int) -> int:
        started.set()
        await go_on.wait()
        return 2 * request

    @job
    async def outer(request: int) -> int:
        submission = await inner.submit(request, detached=True)
        await started.wait()
        return (await submission.wait()).unwrap()

    async with open_processor(slow) as inner, open_processor(outer) as processor:
        answer = await processor.submit(4)
        await wait_all_tasks_blocked()
        go_on.set()

        assert (await answer.wait()).unwrap() == 8


async def test_its_repr_says_how_it_stands() -> None:
    """Open, answered, or never to be answered."""
    async with open_processor(hang, concurrency=1) as processor:
        answered, lost = await processor.submit(1), await processor.submit(2)
        await wait_all_tasks_blocked()
        assert repr(lost) == f"<Submission {lost.id} open>"
        await answered.cancel()
        await answered.cancel()
        assert repr(answered) == f"<Submission {answered.id} Aborted>"
        await processor.drain(0)

    assert repr(lost) == f"<Submission {lost.id} ended>"


async def test_with_progress_nothing_is_missed_that_the_job_reports_at_once() -> None:
    """It listens before the request is sent; whoever asks afterwards hears what comes from then on."""
    async with open_processor(report_at_once) as processor:
        submission = await processor.submit(None, progress=True)
        await submission.wait()
        with submission.progress() as progress:
            assert [item.body async for item in progress] == ["at once"]
        with submission.progress() as progress:
            assert [item.body async for item in progress] == []


async def test_what_could_not_be_sent_is_not_listened_to() -> None:
    """No subscription is left."""
    async with open_processor(double) as processor:
        await processor.drain(0)
        with pytest.raises(ProcessorStopped):
            await processor.submit(1, progress=True)
        with pytest.raises(ProcessorStopped):
            await processor.submit(1)

        assert processor.broadcast.statistics().open_receive_channels == 0


async def test_reports_that_nobody_asks_for_are_dropped_with_the_submission() -> None:
    """Without a warning, for there was nothing to close."""
    async with open_processor(report_at_once) as processor:
        submission = await processor.submit(None, progress=True)
        await submission.wait()
        assert processor.broadcast.statistics().open_receive_channels == 1
        del submission
        gc.collect()
        await wait_all_tasks_blocked()

        assert processor.broadcast.statistics().open_receive_channels == 0
