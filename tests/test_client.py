"""Asking for work: `call`, `send_receive`, `open_client` and the block that submitted work belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs import (
    Aborted,
    AbortReason,
    BroadcastSender,
    CallCycle,
    Failed,
    JobAborted,
    JobFailed,
    JobTooSlow,
    Processor,
    ProcessorStopped,
    Progress,
    Request,
    Response,
    Succeeded,
    job,
    open_broadcast_channel,
    open_client,
    open_processor,
    open_request_channel,
    report,
    send_receive,
)


@job
async def double(request: int) -> int:
    return 2 * request


@job
async def sleep_for(seconds: float) -> float:
    await trio.sleep(seconds)
    return seconds


@job
async def fail(request: str) -> None:
    raise ValueError(request)


@job
async def hang(request: object) -> None:
    await trio.sleep_forever()


class Elsewhere:
    """Responses of a processor as another process would see them: subscriptions, and nothing else."""

    def __init__(self, processor: Processor[Any, Any, Any]) -> None:
        self._processor = processor
        self.subscribed = 0

    def subscribe(self, *, ids: Iterable[str]) -> trio.abc.ReceiveChannel[Any]:
        self.subscribed += 1
        return self._processor.subscribe(ids=ids, progress=True)


class PlainSender(trio.abc.SendChannel[Request[Any]]):
    """A sender that leads anywhere, as far as the client knows."""

    def __init__(self, sender: trio.abc.SendChannel[Request[Any]]) -> None:
        self._sender = sender

    async def send(self, value: Request[Any]) -> None:
        await self._sender.send(value)

    async def aclose(self) -> None:
        await self._sender.aclose()


# --- call


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

    @job
    async def stubborn(request: object) -> str:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            return "done anyway"

    async with open_processor(stubborn) as processor:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def cancel_it() -> None:
                    await wait_all_tasks_blocked()
                    scope.cancel()

                nursery.start_soon(cancel_it)
                value = await processor.call(None)

    assert value == "done anyway"


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
        assert processor.broadcast.statistics().open_receivers == 0
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

    class Broken:
        async def __aenter__(self) -> None: ...

        async def __aexit__(self, *_: object) -> None:
            raise OSError("disk on fire")

    causes: list[BaseException | None] = []
    async with trio.open_nursery() as nursery:
        processor = Processor(hang, resources=Broken(), concurrency=1)

        async def run() -> None:
            with pytest.raises(OSError, match="disk on fire"):
                await processor.run()

        async def ask() -> None:
            with pytest.raises(ProcessorStopped) as caught:
                await processor.call(None)
            causes.append(caught.value.__cause__)

        nursery.start_soon(run)
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        await processor.drain(0)

    assert [str(cause) for cause in causes] == ["disk on fire"]


# --- cycles


async def test_a_job_that_calls_its_own_processor_is_refused_when_no_slot_can_become_free() -> None:
    """With one slot the first nested call can never start."""

    @job
    async def recurse(depth: int) -> int:
        return 0 if depth == 0 else 1 + await processor.call(depth - 1)

    async with open_processor(recurse, concurrency=3, name="recurse") as processor:
        assert await processor.call(2) == 2
        with pytest.raises(JobFailed) as caught:
            await processor.call(3)

    error: BaseException | None = caught.value
    while isinstance(error, JobFailed):
        error = error.__cause__
    assert isinstance(error, CallCycle)
    assert error.cycle == ("recurse", "recurse")
    assert str(error).startswith("this call can never start: recurse -> recurse; every slot holds a job that waits")


async def test_two_processors_that_call_each_other_are_refused_when_both_are_full() -> None:
    """The newest call closes the cycle, and is the one that is refused."""

    @job
    async def ping(depth: int) -> int:
        return 0 if depth == 0 else await pong_processor.call(depth - 1)

    @job
    async def pong(depth: int) -> int:
        return 0 if depth == 0 else await ping_processor.call(depth - 1)

    async with (
        open_processor(ping, concurrency=1) as ping_processor,
        open_processor(pong, concurrency=1) as pong_processor,
    ):
        assert await ping_processor.call(1) == 0
        with pytest.raises(JobFailed) as caught:
            await ping_processor.call(3)

    error: BaseException | None = caught.value
    while isinstance(error, JobFailed):
        error = error.__cause__
    assert isinstance(error, CallCycle)
    assert error.cycle == ("ping", "pong", "ping")


async def test_load_alone_is_no_cycle(autojump_clock: object) -> None:
    """As long as one slot is held by a job that waits for nobody, everything gets through."""

    @job
    async def outer(request: int) -> int:
        return await inner_processor.call(request)

    @job
    async def inner(request: int) -> int:
        await trio.sleep(1)
        return request

    async with (
        open_processor(inner, concurrency=1) as inner_processor,
        open_processor(outer, concurrency=4) as outer_processor,
    ):
        async with outer_processor.map(range(12), ordered=True) as responses:
            assert [response.unwrap() async for response in responses] == list(range(12))


async def test_a_job_that_waits_for_submitted_work_of_its_own_processor_is_refused_too() -> None:
    """Waiting for an answer is waiting for a slot, whichever way it was asked for."""

    @job
    async def split(depth: int) -> int:
        if depth == 0:
            return 0
        submission = await processor.submit(depth - 1, detached=True)
        return (await submission.wait()).unwrap()

    async with open_processor(split, concurrency=1) as processor:
        with pytest.raises(JobFailed) as caught:
            await processor.call(1)

    assert isinstance(caught.value.__cause__, CallCycle)


async def test_a_job_that_maps_over_its_own_processor_is_refused_when_it_is_full() -> None:
    """The same for many at once."""

    @job
    async def spread(depth: int) -> int:
        if depth == 0:
            return 1
        async with processor.map([depth - 1] * 3) as responses:
            return sum([response.unwrap() async for response in responses])

    async with open_processor(spread, concurrency=2) as processor:
        assert await processor.call(1) == 3
        with pytest.raises(JobFailed):
            await processor.call(2)


# --- submit


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
        with pytest.raises(LookupError):
            async with open_client(processor.request_sender(), processor) as client:
                ours = await client.submit("ours")
                detached = await client.submit("detached", detached=True)
                await wait_all_tasks_blocked()
                raise LookupError

        response = await ours.wait()
        assert isinstance(response, Aborted)
        assert response.reason is AbortReason.CALLER
        assert processor.statistics().running == 1
        await detached.cancel()


async def test_an_unread_failure_of_a_client_is_raised_from_its_block() -> None:
    """The client's block is where it belongs."""
    async with open_processor(fail) as processor:
        with pytest.raises(JobFailed):
            async with open_client(processor.request_sender(), processor) as client:
                await client.submit("unread")


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


# --- map


async def test_map_gives_responses_as_they_are_completed(autojump_clock: object) -> None:
    """The quickest first."""
    async with open_processor(sleep_for) as processor, processor.map([3.0, 1.0, 2.0]) as responses:
        values = [response.unwrap() async for response in responses]

    assert values == [1, 2, 3]


async def test_map_in_order_keeps_the_order_of_its_input(autojump_clock: object) -> None:
    """However long each takes."""
    async with open_processor(sleep_for) as processor, processor.map([3.0, 1.0, 2.0], ordered=True) as responses:
        values = [response.unwrap() async for response in responses]

    assert values == [3, 1, 2]


async def test_map_reads_its_input_no_faster_than_answers_are_received() -> None:
    """An endless input is no problem."""
    taken = 0

    def endless() -> Iterable[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    async with open_processor(double) as processor, processor.map(endless(), max_in_flight=5) as responses:
        await wait_all_tasks_blocked()
        assert taken <= 6
        for _ in range(10):
            await responses.receive()
        await wait_all_tasks_blocked()
        assert taken <= 16


async def test_map_takes_an_async_iterable_and_whole_requests() -> None:
    """A Request among the bodies is sent as it is, so the answer carries its id."""
    send, receive = trio.open_memory_channel[Request[int]](10)
    for number in range(3):
        send.send_nowait(Request(number, id=f"line {number}"))
    send.close()

    async with open_processor(double) as processor, processor.map(receive) as responses:
        answers = {response.id: response.unwrap() async for response in responses}

    assert answers == {"line 0": 0, "line 1": 2, "line 2": 4}


async def test_leaving_a_map_early_cancels_what_is_not_answered() -> None:
    """And waits until that is gone."""
    async with open_processor(hang, concurrency=3) as processor:
        async with processor.map(range(100)):
            await wait_all_tasks_blocked()
            assert processor.statistics().running == 3

        statistics = processor.statistics()
        assert (statistics.running, statistics.waiting) == (0, 0)


async def test_an_input_that_raises_ends_the_map_with_its_error() -> None:
    """As itself, not in a group."""

    def broken() -> Iterable[int]:
        yield 1
        raise LookupError("no more")

    async with open_processor(double) as processor:
        with pytest.raises(LookupError, match="no more"):
            async with processor.map(broken()) as responses:
                async for _ in responses:
                    pass


async def test_a_map_over_a_processor_that_stops_says_so() -> None:
    """What came before is received first."""
    got: list[int] = []

    @job
    async def work(request: int) -> int:
        if request == 3:
            await trio.sleep_forever()
        return request

    async with open_processor(work, concurrency=1) as processor:
        with pytest.raises(ProcessorStopped):
            async with processor.map(range(10)) as responses:
                await wait_all_tasks_blocked()
                await processor.drain(0)
                async for response in responses:
                    got.append(response.unwrap())

    assert got == [0, 1, 2]


async def test_failures_in_a_map_are_responses_like_any_other() -> None:
    """The block decides what to do about them."""

    @job
    async def picky(request: int) -> int:
        if request % 2:
            raise ValueError(request)
        return request

    async with open_processor(picky) as processor, processor.map(range(4), ordered=True) as responses:
        kinds = [type(response) async for response in responses]

    assert kinds == [Succeeded, Failed, Succeeded, Failed]


# --- send_receive, and processors elsewhere


async def test_send_receive_needs_no_client_around_it() -> None:
    """One call, over a sender and anything that can be subscribed to."""
    async with open_processor(double) as processor, processor.request_sender() as sender:
        assert await send_receive(sender, processor, 21) == 42
        assert await send_receive(sender, processor.broadcast, 21) == 42


async def test_send_receive_over_responses_from_elsewhere_subscribes_for_one_id_and_leaves_nothing(
    autojump_clock: object,
) -> None:
    """However it ends: answered, failed, too slow, cancelled."""
    async with open_processor(sleep_for, concurrency=1) as processor:
        elsewhere = Elsewhere(processor)
        sender = PlainSender(processor.request_sender())

        assert await send_receive(sender, elsewhere, 1.0) == 1
        with pytest.raises(JobTooSlow):
            await send_receive(sender, elsewhere, 10.0, time_limit=2)
        with trio.move_on_after(1) as scope:
            await send_receive(sender, elsewhere, 10.0)
        with pytest.raises(JobFailed):
            await send_receive(sender, elsewhere, "no number")

        assert scope.cancelled_caught
        assert elsewhere.subscribed == 4
        assert processor.broadcast.statistics().open_receivers == 0


async def test_an_end_of_the_responses_is_an_error_at_once_and_not_a_time_out(autojump_clock: object) -> None:
    """The Rust original waited out the whole time limit."""
    sender, receiver = open_request_channel(1)
    broadcast: BroadcastSender[Response[int]] = open_broadcast_channel(1)

    class Given:
        def subscribe(self, *, ids: Iterable[str]) -> trio.abc.ReceiveChannel[Any]:
            return broadcast.subscribe(ids=ids)

    start = trio.current_time()
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            with pytest.raises(ProcessorStopped):
                await send_receive(sender, Given(), 1, time_limit=100)

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        broadcast.close()

    assert trio.current_time() == start
    sender.close()
    receiver.close()


async def test_a_client_for_elsewhere_submits_and_maps(autojump_clock: object) -> None:
    """The same methods, over subscriptions."""
    async with open_processor(sleep_for) as processor:
        sender = PlainSender(processor.request_sender())
        async with open_client(sender, Elsewhere(processor)) as client:
            submission = await client.submit(2.0)
            late = await client.submit(9.0, time_limit=4)
            async with client.map([3.0, 1.0]) as responses:
                values = [response.unwrap() async for response in responses]
            first, second = await submission.wait(), await late.wait()

    assert values == [1, 3]
    assert first.unwrap() == 2
    assert isinstance(second, Aborted)


async def test_a_client_that_waits_in_send_does_not_hold_back_the_workers() -> None:
    """Small buffers everywhere and many callers: a client that were a blocking subscriber would deadlock here."""
    async with open_processor(double, concurrency=1, request_buffer_size=1, response_buffer_size=1) as processor:
        sender = processor.request_sender()
        got: list[int] = []

        async def ask(number: int) -> None:
            got.append(await send_receive(sender, Elsewhere(processor), number))

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(ask, number)

    assert sorted(got) == [2 * number for number in range(50)]


async def test_an_open_receiver_in_place_of_responses_is_refused() -> None:
    """The message says what to give instead."""
    async with open_processor(double) as processor, processor.request_sender() as sender:
        with processor.subscribe() as receiver:
            with pytest.raises(TypeError, match="never an open receiver"):
                await send_receive(sender, receiver, 1)  # type: ignore[arg-type]  # that is the point
        with pytest.raises(TypeError, match="sender must be a channel to send into"):
            await send_receive(processor, processor, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"time_limit": -1}, ValueError, "time_limit must be at least 0 seconds, got -1"),
        ({"time_limit": "soon"}, TypeError, "time_limit must be a number of seconds, got 'soon'"),
        ({"key": 3}, TypeError, "key must be a str or None, got 3"),
        ({"priority": 1.5}, TypeError, "priority must be an int, got 1.5"),
        ({"headers": {"a": 1}}, TypeError, "headers must be a mapping of str to str, got 'a': 1"),
        ({"prority": 1}, TypeError, "prority"),
    ],
)
async def test_wrong_options_of_a_call_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """Before anything is sent."""
    async with open_processor(double) as processor:
        with pytest.raises(error, match=message):
            await processor.call(1, **options)

        assert processor.statistics().claimed == 0


async def test_an_aborted_call_says_by_whom() -> None:
    """An operator's cancel is no failure of the job."""
    async with trio.open_nursery() as nursery, open_processor(hang) as processor:
        sent = processor.request_sender()
        errors: list[JobAborted] = []

        async def ask() -> None:
            with pytest.raises(JobAborted) as caught:
                await send_receive(sent, processor, None)
            errors.append(caught.value)

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        (request_id,) = processor._pool.running
        await processor.cancel(request_id)
        await wait_all_tasks_blocked()

        assert str(errors[0]) == f"request {request_id} was aborted (operator)"
