"""The operator's stop: bounded in time, nothing lost, and what was left is named."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs import (
    BroadcastSender,
    DrainReport,
    Processor,
    ProcessorState,
    ProcessorStopped,
    Request,
    Response,
    job,
    open_broadcast_channel,
    open_processor,
    open_request_channel,
)

from .simple_jobs import hang_with, sleep_for


@job
async def hang_in_a_shield(release: trio.Event) -> None:
    with trio.CancelScope(shield=True):
        await release.wait()


async def test_what_ends_within_the_grace_is_answered(autojump_clock: object) -> None:
    """And drain returns as soon as it has."""
    async with open_processor(sleep_for) as processor:
        with processor.subscribe() as responses:
            await processor.submit(3)
            await wait_all_tasks_blocked()
            start = trio.current_time()
            report = await processor.drain(10)

            assert trio.current_time() - start == 3
            assert report == DrainReport(handed_back=(), waiting=(), left=())
            assert (await responses.receive()).unwrap() == 3


async def test_a_drain_does_not_wait_for_what_may_not_start_any_more(autojump_clock: object) -> None:
    """It returns when what runs has ended, however much is waiting."""
    async with open_processor(sleep_for, concurrency=1) as processor:
        await processor.submit(3)
        waiting = await processor.submit(3, detached=True)
        await wait_all_tasks_blocked()
        start = trio.current_time()
        report = await processor.drain(10)

        assert trio.current_time() - start == 3
        assert report == DrainReport(handed_back=(), waiting=(waiting.id,), left=())


async def test_what_does_not_is_handed_back_and_named(autojump_clock: object) -> None:
    """Interrupted is not failed: no answer, no attempt charged."""
    async with open_processor(sleep_for, concurrency=2) as processor:
        quick = await processor.submit(1)
        slow = await processor.submit(100)
        waiting = await processor.submit(1)
        await wait_all_tasks_blocked()
        start = trio.current_time()
        report = await processor.drain(5)

        assert trio.current_time() - start == 5
        assert report == DrainReport(handed_back=(slow.id,), waiting=(waiting.id,), left=())
        assert (await quick.wait()).unwrap() == 1
        with pytest.raises(ProcessorStopped):
            await slow.wait()
        assert processor.statistics().failed == 0


async def test_nothing_starts_and_nothing_is_accepted_during_the_grace(autojump_clock: object) -> None:
    """Whoever sends is told, also who was waiting to send."""
    async with open_processor(sleep_for, concurrency=1, request_buffer_size=1) as processor:
        sender = processor.request_sender()
        refused: list[str] = []

        async def send(name: str) -> None:
            with pytest.raises(ProcessorStopped, match="is draining"):
                await sender.send(Request(1))
            refused.append(name)

        await sender.send(Request(3))
        await wait_all_tasks_blocked()
        await sender.send(Request(3))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, "was waiting")
            await wait_all_tasks_blocked()
            nursery.start_soon(processor.drain, 5)
            await wait_all_tasks_blocked()
            nursery.start_soon(send, "came later")

        assert refused == ["was waiting", "came later"]
        assert processor.statistics().succeeded == 1
        assert processor.statistics().waiting == 1


async def test_a_job_that_hangs_in_a_shield_is_named_after_the_clean_up_limit(autojump_clock: object) -> None:
    """Drain returns in grace plus clean-up limit although the job does not end."""
    release = trio.Event()
    async with open_processor(hang_in_a_shield, cleanup_limit=5) as processor:
        submission = await processor.submit(release)
        await wait_all_tasks_blocked()
        start = trio.current_time()
        report = await processor.drain(10)

        assert trio.current_time() - start == 15
        assert report.left == (submission.id,)
        assert processor.state.value is ProcessorState.DRAINING
        release.set()


async def test_a_drain_can_be_asked_for_again_and_by_many(autojump_clock: object) -> None:
    """Each with its own grace; whoever's ends first decides."""
    async with open_processor(sleep_for) as processor:
        submission = await processor.submit(100)
        await wait_all_tasks_blocked()
        start = trio.current_time()
        reports: list[tuple[float, DrainReport]] = []

        async def drain(grace: float) -> None:
            report = await processor.drain(grace)
            reports.append((trio.current_time() - start, report))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain, 10)
            nursery.start_soon(drain, 2)

        assert [time for time, _ in reports] == [2, 2]
        assert all(report.handed_back == (submission.id,) for _, report in reports)


async def test_a_drain_of_a_stopped_processor_returns_at_once() -> None:
    """With the report of what there was."""
    async with open_processor(sleep_for) as processor:
        await processor.drain(0)

    assert await processor.drain(5) == DrainReport(handed_back=(), waiting=(), left=())


async def test_a_drain_that_is_cancelled_goes_on_when_it_is_asked_for_again(autojump_clock: object) -> None:
    """What it began stays so: nothing is accepted any more."""
    async with open_processor(sleep_for) as processor:
        await processor.submit(4)
        await wait_all_tasks_blocked()
        with trio.move_on_after(1):
            await processor.drain(100)
        with pytest.raises(ProcessorStopped):
            await processor.call(0)
        start = trio.current_time()
        await processor.drain(100)

        assert trio.current_time() - start == 3


async def test_at_the_grace_a_slow_blocking_subscriber_is_cut_off_and_the_answer_is_out(
    autojump_clock: object,
) -> None:
    """A response that exists is not thrown away because somebody does not read."""
    async with open_processor(sleep_for, response_buffer_size=1) as processor:
        slow = processor.subscribe()
        await processor.submit(0)
        await processor.submit(0)
        await wait_all_tasks_blocked()
        assert processor.statistics().publishing == 1
        start = trio.current_time()
        report = await processor.drain(3)

        assert trio.current_time() - start == 3
        assert report == DrainReport(handed_back=(), waiting=(), left=())
        assert processor.statistics().succeeded == 2
        with slow, pytest.raises(trio.BrokenResourceError):
            await slow.receive()


async def test_requests_of_a_given_channel_are_released_to_it(autojump_clock: object) -> None:
    """Running ones and claimed ones that had not started: somebody else gets them, uncharged."""
    sender, receiver = open_request_channel(10)
    processor = Processor(sleep_for, requests=receiver, concurrency=1, room=2)
    async with trio.open_nursery() as nursery:
        await nursery.start(processor.run)
        for number in range(5):
            await sender.send(Request(100, id=f"r{number}"))
        await wait_all_tasks_blocked()
        report = await processor.drain(0)

    assert report.handed_back == ("r0",)
    assert receiver.statistics().unsettled == 0
    got = [receiver.receive_nowait() for _ in range(5)]
    assert {request.id for request in got} == {f"r{number}" for number in range(5)}
    assert all(request.attempt == 1 for request in got)
    sender.close()
    receiver.close()


async def test_a_grace_of_zero_cancels_at_once(autojump_clock: object) -> None:
    """The short way out."""
    async with open_processor(sleep_for) as processor:
        submission = await processor.submit(100)
        await wait_all_tasks_blocked()
        start = trio.current_time()
        report = await processor.drain(0)

        assert trio.current_time() == start
        assert report.handed_back == (submission.id,)


async def test_cancel_by_id_works_during_a_drain(autojump_clock: object) -> None:
    """An operator may single out the one that holds everything up."""
    async with open_processor(sleep_for) as processor:
        submission = await processor.submit(100)
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(processor.drain, 50)
            await trio.sleep(1)
            start = trio.current_time()
            assert await processor.cancel(submission.id)

        assert trio.current_time() == start


@pytest.mark.parametrize(
    ("grace", "error", "message"),
    [
        (-1, ValueError, "grace must be at least 0 seconds, got -1"),
        ("soon", TypeError, "grace must be a number of seconds, got 'soon'"),
    ],
)
async def test_a_wrong_grace_is_refused(grace: object, error: type[Exception], message: str) -> None:
    """Before anything is stopped."""
    async with open_processor(sleep_for) as processor:
        with pytest.raises(error, match=message):
            await processor.drain(grace)  # type: ignore[arg-type]  # that is the point

        assert processor.state.value is ProcessorState.RUNNING


async def test_a_drain_while_it_is_still_starting_ends_it_as_soon_as_it_has(autojump_clock: object) -> None:
    """Its resources are opened, and closed again."""
    events: list[str] = []

    class Slow:
        async def __aenter__(self) -> None:
            await trio.sleep(3)
            events.append("opened")

        async def __aexit__(self, *_: object) -> None:
            events.append("closed")

    processor = Processor(hang_with, resources=Slow())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(processor.run)
        await wait_all_tasks_blocked()
        states = [processor.state.value]
        await processor.drain(10)
        states.append(processor.state.value)

    assert events == ["opened", "closed"]
    assert states == [ProcessorState.STARTING, ProcessorState.STOPPED]


async def test_callers_over_a_shared_channel_of_responses_are_told_as_well() -> None:
    """The channel goes on for the other processor; those who wait for this one do not wait for ever."""
    responses: BroadcastSender[Response[float]] = open_broadcast_channel(10)
    async with trio.open_nursery() as nursery:
        async with open_processor(sleep_for, responses=responses) as other:
            async with open_processor(sleep_for, responses=responses, concurrency=1) as processor:

                async def ask(seconds: float) -> None:
                    with pytest.raises(ProcessorStopped):
                        await processor.call(seconds)

                nursery.start_soon(ask, float("inf"))
                nursery.start_soon(ask, 1.0)
                await wait_all_tasks_blocked()
                await processor.drain(0)
            assert await other.call(0.0) == 0
    responses.close()


async def test_subscribers_of_a_drained_processor_get_what_is_kept_and_then_the_end() -> None:
    """It has stopped in order: that some requests were handed back is no failure of what they read."""
    async with open_processor(sleep_for) as processor:
        with processor.subscribe() as responses:
            await processor.submit(0)
            await processor.submit(float("inf"))
            await wait_all_tasks_blocked()
            await processor.drain(0)

            assert [response.unwrap() async for response in responses] == [0]
