"""Sending and being answered: calls without a client, processors elsewhere, calls that can never start."""

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
    Client,
    JobAborted,
    JobFailed,
    JobTooSlow,
    Processor,
    ProcessorStopped,
    Request,
    Response,
    job,
    open_broadcast_channel,
    open_client,
    open_processor,
    open_request_channel,
    report,
    send_receive,
)
from trio_jobs._hidden_nursery import open_hidden_nursery
from trio_jobs.gates import Gate

from .lingering import Lingering
from .simple_jobs import double, hang, sleep_for


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

    async def aclose(self) -> None: ...


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
        assert processor.broadcast.statistics().open_receive_channels == 0


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
            async with client.map([5.0, 5.0]):
                await wait_all_tasks_blocked()  # and its answers find nobody
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
        ({"timeout": 1}, TypeError, r"no option 'timeout', only .* put trio.fail_after\(...\) around it"),
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


async def test_work_can_be_given_an_id_by_which_it_is_known_everywhere() -> None:
    """Its responses have it, and so does what cancels it."""
    async with open_processor(double) as processor:
        with processor.subscribe(ids=["invoice-7", "invoice-8"]) as responses:
            await processor.call(1, id="invoice-7")
            submission = await processor.submit(2, id="invoice-8")
            response = await submission.wait()
            ids = [one.id for one in await responses.receive_many()]

    assert (submission.id, response.id) == ("invoice-8", "invoice-8")
    assert ids == ["invoice-7", "invoice-8"]


async def test_an_id_that_is_not_answered_yet_cannot_be_asked_for_again() -> None:
    """The answer to the one would be taken for that to the other."""
    in_flight = "the id 'same' has not been answered yet: ids must be unique"
    async with open_processor(hang) as processor:
        first = await processor.submit(1, id="same")
        with pytest.raises(ValueError, match=in_flight):
            await processor.call(2, id="same")
        with pytest.raises(ValueError, match=in_flight):
            await processor.submit(3, id="same")
        with pytest.raises(ValueError, match=in_flight):
            async with processor.map([Request(4, id="same")]) as responses:
                await responses.receive()
        await wait_all_tasks_blocked()
        assert processor.statistics().running == 1
        await first.cancel()


async def test_an_id_that_was_answered_may_be_used_again() -> None:
    """Of a file that is sent each time it changes, say."""
    async with open_processor(double) as processor:
        assert [await processor.call(number, id="same") for number in range(3)] == [0, 2, 4]


async def test_a_whole_request_in_place_of_a_body_is_refused() -> None:
    """It would be wrapped in another, and the job would be given the Request."""
    async with open_processor(double) as processor:
        with pytest.raises(TypeError, match="give its body, and its id, key, priority and headers as options"):
            await processor.call(Request(1))  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="take whole Requests"):
            await processor.submit(Request(1))  # type: ignore[arg-type]


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
        (request_id,) = processor._engine.pool.running
        await processor.cancel(request_id)
        await wait_all_tasks_blocked()

        assert str(errors[0]) == f"request {request_id} was aborted (operator)"


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


async def test_a_processor_over_a_given_channel_can_be_called_like_any_other() -> None:
    """Its requests take the way through that channel; cancelled, they are found wherever they are."""
    sender, receiver = open_request_channel(10)
    processor = Processor(sleep_for, requests=receiver, concurrency=1, room=1)
    async with trio.open_nursery() as nursery:
        await nursery.start(processor.run)
        assert await processor.call(0.0) == 0
        submissions = [await processor.submit(float("inf")) for _ in range(4)]
        await wait_all_tasks_blocked()
        for submission in reversed(submissions):
            await submission.cancel()
        assert receiver.statistics().current_buffer_used == 0
        assert processor.statistics().running == 0
        await processor.drain(0)
    sender.close()
    receiver.close()


async def test_a_caller_whose_channel_of_responses_ends_is_told(autojump_clock: object) -> None:
    """While it still sends, and while it waits for its job to be gone."""
    sender, receiver = open_request_channel(1)
    responses: BroadcastSender[Response[float]] = open_broadcast_channel(1)
    await sender.send(Request(1.0))
    told = 0

    async def ask() -> None:
        nonlocal told
        with pytest.raises(ProcessorStopped, match="ended before the answer came"):
            await send_receive(sender, responses, 1.0)
        told += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        responses.close()
        receiver.receive_nowait()
    assert told == 1
    sender.close()
    receiver.close()


async def test_work_for_elsewhere_is_submitted_through_a_client() -> None:
    """Somebody has to wait for its answer; and its progress stays where it runs."""
    async with open_processor(sleep_for) as processor:
        sender = PlainSender(processor.request_sender())
        stray: Client[float, float] = Client(sender, Elsewhere(processor))
        with pytest.raises(RuntimeError, match=r"use open_client\(...\) around it"):
            await stray.submit(1.0)
        async with open_client(sender, Elsewhere(processor)) as client:
            submission = await client.submit(float("inf"))
            with pytest.raises(RuntimeError, match="this client sends elsewhere"):
                submission.progress()
            await wait_all_tasks_blocked()
            (request_id,) = processor._engine.pool.running
            await submission.cancel()
            await processor.cancel(request_id)


async def test_reports_of_a_job_elsewhere_are_not_its_answer() -> None:
    """They come on the same way, where the other side subscribes to them as well."""

    @job
    async def say_and_double(request: int) -> int:
        await report("on it")
        return 2 * request

    async with open_processor(say_and_double) as processor:
        sender = PlainSender(processor.request_sender())
        assert await send_receive(sender, Elsewhere(processor), 21) == 42


async def test_a_sender_of_another_kind_can_be_called_from_a_job_too() -> None:
    """Who runs its requests is not known, so no cycle is looked for; the answer is found in this process."""
    async with open_processor(double) as inner:
        sender = PlainSender(inner.request_sender())

        @job
        async def outer(request: int) -> int:
            return await send_receive(sender, inner, request)

        async with open_processor(outer) as processor:
            assert await processor.call(21) == 42


async def test_a_call_whose_job_outlives_the_channel_of_responses_still_ends_cancelled() -> None:
    """It waits for its job to be gone, and then hears that no answer will come."""
    linger = Lingering()
    responses: BroadcastSender[Response[None]] = open_broadcast_channel(1)
    processor = Processor(linger, responses=responses)
    calling = trio.CancelScope()

    async def call() -> None:
        with calling:
            await processor.call(None)

    with pytest.raises(trio.ClosedResourceError):
        async with open_hidden_nursery() as nursery:
            await nursery.start(processor.run)
            nursery.start_soon(call)
            await wait_all_tasks_blocked()
            calling.cancel()
            await wait_all_tasks_blocked()
            assert not calling.cancelled_caught
            responses.fail(OSError("the network is away"))
            await wait_all_tasks_blocked()
            assert calling.cancelled_caught
            linger.let_go.set()


async def test_a_submission_elsewhere_learns_of_the_end() -> None:
    """And one that could not be sent leaves no subscription."""
    async with trio.open_nursery() as nursery:
        async with open_processor(sleep_for) as processor:
            sender = PlainSender(processor.request_sender())

            async def submit() -> None:
                async with open_client(sender, Elsewhere(processor)) as client:
                    submission = await client.submit(float("inf"))
                    with pytest.raises(ProcessorStopped):
                        await submission.wait()
                    with pytest.raises(ProcessorStopped):
                        await client.submit(1.0)

            nursery.start_soon(submit)
            await wait_all_tasks_blocked()
            await processor.drain(0)

    assert processor.broadcast.statistics().open_receive_channels == 0


async def test_jobs_that_wait_to_send_to_their_own_processor_are_refused_when_nobody_can_make_room() -> None:
    """All slots are held by jobs that wait for room in the request buffer, which only those slots could make.

    One is refused, and in its slot there is room for what the other sends.
    """

    @job
    async def spread(depth: int) -> None:
        if depth:
            for _ in range(4):
                await processor.submit(depth - 1, detached=True)

    async with open_processor(spread, concurrency=2, request_buffer_size=2) as processor:
        async with processor.map([1, 1]) as responses:
            answers = [response async for response in responses]

    refused, completed = answers
    with pytest.raises(JobFailed, match="CallCycle"):
        refused.unwrap()
    completed.unwrap()


async def test_a_call_in_a_scope_that_is_cancelled_already_sends_nothing() -> None:
    """Cancelled did not happen."""
    async with open_processor(double) as processor:
        with processor.subscribe() as responses:
            with trio.CancelScope() as scope:
                scope.cancel()
                await processor.call(1)
            await wait_all_tasks_blocked()

            assert scope.cancelled_caught
            assert processor.statistics().claimed == 0
            with pytest.raises(trio.WouldBlock):
                responses.receive_nowait()


async def test_a_request_of_a_job_names_its_parent_and_root_and_has_at_most_their_deadline() -> None:
    """However deep; the deadline of a request is not that of a scope, so it is handed on in the message."""

    class Noting(Gate):
        """Lets everything start, and notes it."""

        def __init__(self) -> None:
            super().__init__()
            self.requests: dict[object, Request[Any]] = {}

        def ask(self, request: Request[Any], now: float) -> None: ...

        def started(self, request: Request[Any], now: float) -> None:
            self.requests[request.body] = request

        def finished(self, request: Request[Any], now: float) -> None: ...

    @job
    async def descend(depth: int) -> None:
        if depth:
            await processor.call(depth - 1, time_limit=1000)

    gate = Noting()
    async with open_processor(descend, gates=[gate]) as processor:
        await processor.call(2, time_limit=10)

    top, middle, bottom = (gate.requests[depth] for depth in (2, 1, 0))
    assert (top.parent_id, top.root_id) == (None, None)
    assert (middle.parent_id, middle.root_id) == (top.id, top.id)
    assert (bottom.parent_id, bottom.root_id) == (middle.id, top.id)
    assert top.deadline == middle.deadline == bottom.deadline


async def test_a_time_limit_holds_while_the_request_waits_for_room(autojump_clock: object) -> None:
    """It was never sent, and its answer says the same as if it had been."""
    async with open_processor(hang, concurrency=1, request_buffer_size=1) as processor:
        others = [await processor.submit(None) for _ in range(2)]
        start = trio.current_time()
        with pytest.raises(JobTooSlow):
            await processor.call(1, time_limit=3)
        assert trio.current_time() - start == 3
        late = await processor.submit(1, time_limit=3)
        assert trio.current_time() - start == 6

        response = await late.wait()
        assert isinstance(response, Aborted)
        assert response.reason is AbortReason.DEADLINE
        assert processor.statistics().waiting == 1
        for other in others:
            await other.cancel()


async def test_what_nobody_has_received_is_withdrawn_by_who_gives_it_up(autojump_clock: object) -> None:
    """From a channel that is given: a call, a submission, a map; nothing waits for answers that cannot come."""
    sender, receiver = open_request_channel(10)
    with trio.fail_after(100):
        async with open_processor(hang, requests=receiver, concurrency=1, room=1) as processor:
            async with open_client(sender, processor) as client:
                running = [await client.submit(None) for _ in range(2)]
                await wait_all_tasks_blocked()
                submission = await client.submit(None)
                with trio.move_on_after(1):
                    await client.call(None)
                async with client.map([None, None]):
                    await wait_all_tasks_blocked()
                    assert sender.statistics().current_buffer_used == 3
                assert sender.statistics().current_buffer_used == 1
                await submission.cancel()
                assert sender.statistics().current_buffer_used == 0
                for one in running:
                    await one.cancel()
            assert not processor.broadcast._channel.sinks
            await processor.drain(0)
    sender.close()
    receiver.close()

    response = await submission.wait()
    assert isinstance(response, Aborted)
    assert response.reason is AbortReason.CALLER
