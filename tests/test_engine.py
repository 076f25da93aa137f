"""What becomes of a request when something goes wrong between its job and its settlement."""

from __future__ import annotations

import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from math import inf
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs import (
    Aborted,
    BroadcastSender,
    ConservationError,
    Disconnected,
    DrainReport,
    Failed,
    JobTooSlow,
    LeaseLost,
    Overflow,
    Processor,
    ProcessorState,
    ProcessorStopped,
    Request,
    RequestReceiver,
    Response,
    Submission,
    Succeeded,
    job,
    open_broadcast_channel,
    open_processor,
    open_request_channel,
    send_receive,
)
from trio_jobs._hidden_nursery import open_hidden_nursery
from trio_jobs.gates import Gate, Hold

from .broken_resources import raise_when_closed
from .simple_jobs import clean_up_for, double, fail, hang, hang_with, sleep_for


class Transport(RequestReceiver[Any]):
    """A few requests, and settlements that go as a test wants them to."""

    def __init__(self, *requests: Request[Any], error: Exception | None = None, takes: float = 0) -> None:
        self._requests = list(requests)
        self._error = error
        self._takes = takes
        self.settled: list[tuple[str, str]] = []

    async def receive(self) -> Request[Any]:
        await trio.lowlevel.checkpoint()
        if not self._requests:
            raise trio.EndOfChannel
        return self._requests.pop(0)

    async def _settle(self, verb: str, request: Request[Any]) -> None:
        await trio.sleep(self._takes)
        if self._error is not None:
            raise self._error
        self.settled.append((verb, request.id))

    async def ack(self, request: Request[Any]) -> None:
        await self._settle("ack", request)

    async def release(self, request: Request[Any], delay: float = 0, *, charge: bool = False) -> None:
        await self._settle(f"release: {delay=}, {charge=}", request)

    async def reject(self, request: Request[Any], reason: str) -> None:
        await self._settle(f"reject: {reason}", request)

    async def extend(self, request: Request[Any], seconds: float) -> None: ...

    async def aclose(self) -> None: ...


async def test_each_response_is_settled_by_the_table() -> None:
    """Succeeded is acknowledged, Failed is rejected with its error."""
    for work, settlement in ((double, "ack"), (fail, "reject: ValueError: 1")):
        transport = Transport(Request(1, id="r1"))
        await Processor(work, requests=transport).run()

        assert transport.settled == [(settlement, "r1")]


async def test_an_aborted_request_of_a_transport_is_acknowledged(autojump_clock: object) -> None:
    """Whoever asked for it does not want it any more."""
    transport = Transport(Request(1, id="r1", deadline=trio.current_time() + 3))
    await Processor(hang, requests=transport).run()

    assert transport.settled == [("ack", "r1")]


async def test_what_a_drain_hands_back_is_released_there() -> None:
    """At once, and no attempt is counted."""
    transport = Transport(Request(1, id="r1"))
    processor = Processor(hang, requests=transport)
    async with trio.open_nursery() as nursery:
        await nursery.start(processor.run)
        await wait_all_tasks_blocked()
        await processor.drain(0)

    assert transport.settled == [("release: delay=0, charge=False", "r1")]


async def test_a_lost_lease_is_counted_and_does_no_harm() -> None:
    """Somebody else holds the request by now, and will answer it as well."""
    processor = Processor(double, requests=Transport(Request(1, id="r1"), error=LeaseLost("r1")))
    await processor.run()

    statistics = processor.statistics()
    assert (statistics.claimed, statistics.lost, statistics.succeeded) == (1, 1, 0)


async def test_a_settlement_that_raises_fails_the_processor_and_leaves_the_request() -> None:
    """What was not recorded is not said to be settled: its lease ends, and it runs again."""
    processor = Processor(double, requests=Transport(Request(1, id="r1"), error=OSError("store is away")))
    with pytest.raises(OSError, match="store is away") as caught:
        await processor.run()

    assert processor.state.value is ProcessorState.FAILED
    assert processor.statistics().left == 1
    assert not hasattr(caught.value, "__notes__")


async def test_a_settlement_that_hangs_is_given_up_at_the_clean_up_limit(autojump_clock: object) -> None:
    """A drain ends in bounded time."""
    processor = Processor(double, requests=Transport(Request(1, id="r1"), takes=inf), cleanup_limit=5)
    async with trio.open_nursery() as nursery:
        await nursery.start(processor.run)
        await wait_all_tasks_blocked()
        start = trio.current_time()
        await processor.drain(3)

        assert trio.current_time() - start == 8
    assert processor.statistics().left == 1


async def test_a_duplicate_id_of_a_transport_is_rejected_there() -> None:
    """With the reason."""
    transport = Transport(Request(1, id="same"), Request(2, id="same"))
    processor = Processor(hang, requests=transport)
    async with trio.open_nursery() as nursery:
        await nursery.start(processor.run)
        await wait_all_tasks_blocked()
        await processor.cancel("same")

    assert transport.settled == [("reject: a request of the same id runs already", "same"), ("ack", "same")]


async def test_a_transport_without_senders_here_says_where_to_get_one() -> None:
    """The processor cannot make one."""
    processor = Processor(double, requests=Transport())

    with pytest.raises(RuntimeError, match="open a sender of that transport instead"):
        processor.request_sender()


async def test_a_paused_processor_claims_nothing_more() -> None:
    """What others could do is not taken from them."""
    transport = Transport(*(Request(number, id=f"r{number}") for number in range(4)))
    processor = Processor(double, requests=transport, concurrency=1, room=1)
    async with trio.open_nursery() as nursery:
        await nursery.start(processor.run)
        processor.pause()
        await wait_all_tasks_blocked()

        assert processor.statistics().waiting <= 1
        processor.resume()
    assert len(transport.settled) == 4


def test_an_interrupt_in_the_middle_of_a_publish_does_not_cut_it_in_two() -> None:
    """Ctrl-C between publish and settlement: both have happened, then the program ends."""
    processors: list[Processor[Any, Any, Any]] = []
    seen: list[Response[Any]] = []

    def interrupt(response: Response[Any]) -> bool:
        signal.raise_signal(signal.SIGINT)
        seen.append(response)
        return True

    async def main() -> None:
        async with open_processor(double) as processor:
            processors.append(processor)
            with processor.subscribe(select=interrupt):
                await processor.submit(1)
                await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert len(seen) == 1
    statistics = processors[0].statistics()
    assert (statistics.claimed, statistics.succeeded) == (1, 1)


async def test_a_call_that_is_cancelled_while_its_answer_waits_for_a_slow_subscriber_returns_at_once() -> None:
    """There is no job to stop any more; the others still get the answer."""
    async with open_processor(double, response_buffer_size=1) as processor:
        with processor.subscribe() as slow:
            await processor.call(1)
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(processor.call, 2)
                    await wait_all_tasks_blocked()
                    assert processor.statistics().publishing == 1
                    scope.cancel()

            assert scope.cancelled_caught
            assert [(await slow.receive()).unwrap() for _ in range(2)] == [2, 4]


async def test_several_publishes_that_wait_are_all_out_after_the_publish_limit(autojump_clock: object) -> None:
    """Each cuts off whoever is in its way, in their order."""
    async with open_processor(double, response_buffer_size=1, publish_limit=1) as processor:
        with processor.subscribe(), processor.subscribe():
            for number in range(5):
                await processor.submit(number)
            await trio.sleep(2)

            assert processor.statistics().succeeded == 5


async def test_an_abort_whose_answer_must_wait_is_answered_when_there_is_room() -> None:
    """The subscriber is slow, and cancel does not wait for it."""
    async with open_processor(hang, concurrency=1, response_buffer_size=1) as processor:
        running = await processor.submit("runs")
        await wait_all_tasks_blocked()
        waiting = [await processor.submit("waits") for _ in range(3)]
        with processor.subscribe() as slow:
            for submission in waiting:
                assert await processor.cancel(submission.id)
            assert processor.statistics().publishing == 2
            ids = {(await slow.receive()).id for _ in range(3)}

        assert ids == {submission.id for submission in waiting}
        await running.cancel()


async def test_an_abort_before_it_runs_that_nobody_reads_is_left() -> None:
    """Nothing can wait for the subscriber yet; the books say so."""
    processor = Processor(double, response_buffer_size=1)
    with processor.subscribe():
        sender = processor.request_sender()
        for request_id in ("a", "b"):
            await sender.send(Request(1, id=request_id))
            assert await processor.cancel(request_id)

        assert (processor.statistics().aborted, processor.statistics().left) == (1, 1)


class NotBefore(Gate):
    """Lets nothing start before a time."""

    def __init__(self, time: float) -> None:
        super().__init__()
        self.time = time

    def ask(self, request: Request[Any], now: float) -> Hold | None:
        return None if now >= self.time else Hold("time", f"not before {self.time}", until=self.time)

    def started(self, request: Request[Any], now: float) -> None: ...

    def finished(self, request: Request[Any], now: float) -> None: ...


async def test_a_gate_that_waits_for_a_time_is_asked_again_at_that_time(autojump_clock: object) -> None:
    """Nobody has to poke the processor, and the request holds no slot meanwhile."""
    start = trio.current_time()
    async with open_processor(double, gates=[NotBefore(start + 7)]) as processor:
        submission = await processor.submit(1)
        await wait_all_tasks_blocked()
        assert processor.statistics().running == 0
        response = await submission.wait()

    assert isinstance(response, Succeeded)
    assert response.waited == 7


async def test_a_deadline_before_the_time_that_a_gate_waits_for_holds(autojump_clock: object) -> None:
    """One alarm serves both, and rings for the earlier."""
    start = trio.current_time()
    async with open_processor(double, gates=[NotBefore(start + 60)]) as processor:
        with pytest.raises(JobTooSlow):
            await processor.call(1, time_limit=5)

        assert trio.current_time() - start == 5


async def test_a_failure_whose_answer_must_wait_is_a_dead_letter_once_it_is_published(autojump_clock: object) -> None:
    """In memory that is all that there is to settle."""
    async with open_processor(fail, response_buffer_size=1) as processor, processor.request_sender() as sender:
        with processor.subscribe() as slow:
            for number in range(2):
                await sender.send(Request(number))
            await wait_all_tasks_blocked()
            before = processor.dead_letters()
            await slow.receive()
            await wait_all_tasks_blocked()

    assert [letter.request.body for letter in before] == [0]
    assert [letter.request.body for letter in processor.dead_letters()] == [0, 1]


async def test_books_that_do_not_balance_are_an_error() -> None:
    """Each time a processor closes."""
    with pytest.raises(ConservationError, match="claimed=1 "):
        async with open_processor(double) as processor:
            processor._engine.ledger.claimed += 1


async def test_books_that_do_not_balance_are_a_note_on_an_error_in_flight() -> None:
    """They must not hide it."""

    with pytest.raises(OSError, match="cannot close 1") as caught:
        async with open_processor(hang_with, resources=raise_when_closed()) as processor:
            processor._engine.ledger.claimed += 1

    assert "claimed requests do not add up" in caught.value.__notes__[0]


async def test_a_job_that_publishes_makes_no_call_cycle() -> None:
    """Its slot becomes free as soon as somebody reads, so the others may wait for it."""

    @job
    async def again(depth: int) -> int:
        return depth if depth == 0 else await processor.call(depth - 1)

    async with open_processor(again, concurrency=2, response_buffer_size=1) as processor:
        with processor.subscribe() as slow:
            for _ in range(2):
                await processor.submit(0)
            await wait_all_tasks_blocked()
            assert processor.statistics().publishing == 1
            nested = await processor.submit(1)
            await wait_all_tasks_blocked()
            for _ in range(4):
                await slow.receive()

            assert (await nested.wait()).unwrap() == 0


async def test_a_request_that_was_handed_over_as_the_drain_began_is_released(autojump_clock: object) -> None:
    """It was claimed, so it goes back; it is no error."""
    sender, receiver = open_request_channel(10)
    processor = Processor(double, requests=receiver)
    async with trio.open_nursery() as nursery:
        await nursery.start(processor.run)
        await wait_all_tasks_blocked()
        sender.send_nowait(Request(1, id="r1"))  # handed to the processor, which has not run since
        await processor.drain(0)

    assert receiver.receive_nowait().id == "r1"
    sender.close()
    receiver.close()


async def test_a_duplicate_with_a_deadline_touches_neither_the_first_nor_the_books(autojump_clock: object) -> None:
    """The deadline is that of what was rejected."""
    async with open_processor(hang) as processor, processor.request_sender() as sender:
        await sender.send(Request("first", id="same"))
        await wait_all_tasks_blocked()
        await sender.send(Request("second", id="same", deadline=trio.current_time() + 1))
        await trio.sleep(2)

        statistics = processor.statistics()
        assert (statistics.waiting, statistics.running, statistics.rejected) == (0, 1, 1)
        await processor.cancel("same")


async def test_a_call_cancelled_over_a_shared_channel_is_aborted_once(autojump_clock: object) -> None:
    """By the processor that has it, not by the others."""
    sender, receiver = open_request_channel(10)
    responses: BroadcastSender[Response[None]] = open_broadcast_channel(10)
    async with trio.open_nursery() as nursery:
        processors = [Processor(hang, requests=receiver.clone(), responses=responses, concurrency=1) for _ in range(2)]
        for processor in processors:
            await nursery.start(processor.run)
        with responses.subscribe() as seen:
            for _ in range(4):
                with trio.move_on_after(1):
                    await send_receive(sender, responses, "x")
            await wait_all_tasks_blocked()

            assert seen.statistics().unread == 4
            assert [processor.statistics().waiting for processor in processors] == [0, 0]
        for processor in processors:
            await processor.drain(0)
    for handle in (sender, receiver, responses):
        handle.close()


async def test_a_last_request_that_is_late_when_its_turn_comes_does_not_keep_the_processor_from_ending(
    autojump_clock: object,
) -> None:
    """Its slot and its deadline come at the same moment, and chance decides which is seen first."""
    for _ in range(20):
        with trio.fail_after(100):
            async with open_processor(sleep_for, concurrency=1) as processor:
                await processor.submit(1, detached=True)
                late = await processor.submit(1, time_limit=1, detached=True)
        response = await late.wait()

        assert isinstance(response, Aborted)


async def test_leases_lost_while_it_ends_hide_no_error_and_leave_no_caller_waiting(autojump_clock: object) -> None:
    """Its channel is closed under it: that is its error, and what it held belongs to somebody else."""
    sender, receiver = open_request_channel(8)
    processor = Processor(sleep_for, requests=receiver, concurrency=1, room=5)
    told: list[str] = []

    async def call() -> None:
        with pytest.raises(ProcessorStopped) as caught:
            await processor.call(1)
        told.append(str(caught.value))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(call)
        with pytest.raises(trio.ClosedResourceError):
            async with open_hidden_nursery() as running:
                await running.start(processor.run)
                await wait_all_tasks_blocked()
                receiver.close()
    sender.close()

    assert told == [f"processor {processor.name} is failed"] * 3
    statistics = processor.statistics()
    assert (statistics.claimed, statistics.lost) == (3, 3)


async def test_what_is_not_released_within_the_clean_up_limit_is_left(autojump_clock: object) -> None:
    """Its lease ends by itself; the books balance all the same."""
    transport = Transport(Request(1, id="r1"), Request(2, id="r2"), takes=inf)
    processor = Processor(hang, requests=transport, concurrency=1, room=2, cleanup_limit=5)
    async with trio.open_nursery() as nursery:
        await nursery.start(processor.run)
        await wait_all_tasks_blocked()
        await processor.drain(0)

    statistics = processor.statistics()
    assert (statistics.claimed, statistics.released, statistics.left) == (2, 0, 2)


async def test_room_that_one_subscriber_makes_may_fill_another_and_the_answer_is_still_out(
    autojump_clock: object,
) -> None:
    """At the publish limit the first is cut off, what waited longer goes before, and the second is full then."""
    async with open_processor(sleep_for, concurrency=4, response_buffer_size=3, publish_limit=1) as processor:
        with processor.subscribe() as stuck, processor.subscribe() as slow:
            for _ in range(3):
                await processor.submit(0)
            await wait_all_tasks_blocked()
            await slow.receive()
            answers = [await processor.submit(seconds) for seconds in (0, 0.1, 0.2)]
            for answer in answers:
                await answer.wait()
            with pytest.raises(Disconnected):
                stuck.receive_nowait()


async def test_an_answer_given_after_the_grace_waits_for_no_slow_subscriber(autojump_clock: object) -> None:
    """A job may answer while it cleans up; who is in the way of that is cut off as at the grace itself."""

    @job
    async def fail_when_stopped(request: object) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            raise ValueError(request)

    processor = Processor(fail_when_stopped, response_buffer_size=1, cleanup_limit=10)
    with processor.subscribe() as stuck:
        async with trio.open_nursery() as nursery:
            await nursery.start(processor.run)
            first, second = [await processor.submit(number, detached=True) for number in range(2)]
            await wait_all_tasks_blocked()
            start = trio.current_time()
            report = await processor.drain(0)

            assert trio.current_time() - start == 1
            assert report.left == ()
            assert isinstance(await first.wait(), Failed)
            assert isinstance(await second.wait(), Failed)
        with pytest.raises(Disconnected):
            stuck.receive_nowait()


@pytest.mark.parametrize("deliveries", [2, 3])
async def test_a_request_that_a_transport_delivers_again_and_again_is_rejected_each_time(
    deliveries: int, autojump_clock: object
) -> None:
    """Also while an earlier one is being rejected, and when the job ends meanwhile."""
    requests = [Request(1.0, id="same") for _ in range(deliveries)]
    transport = Transport(*requests, takes=5)
    await Processor(sleep_for, requests=transport, concurrency=deliveries).run()

    rejected = ("reject: a request of the same id runs already", "same")
    assert sorted(transport.settled) == [("ack", "same"), *[rejected] * (deliveries - 1)]


@pytest.mark.parametrize("given", [False, True])
async def test_a_request_that_is_handed_back_and_then_aborted_by_its_caller_counts_once(
    given: bool, autojump_clock: object
) -> None:
    """It is answered, so nobody is told that it is to be run again."""
    channel = open_request_channel(8)
    processor = Processor(clean_up_for, requests=channel.receiver if given else None)

    async def call() -> None:
        with trio.move_on_after(2):
            await processor.call(0)

    async with trio.open_nursery() as nursery:
        await nursery.start(processor.run)
        await processor.submit(3, detached=True)
        nursery.start_soon(call)
        await trio.sleep(1)
        report = await processor.drain(0)

    statistics = processor.statistics()
    assert len(report.handed_back) == 1
    assert (statistics.claimed, statistics.released, statistics.aborted) == (2, 1, 1)
    channel.sender.close()
    channel.receiver.close()


async def test_a_call_that_gives_up_does_not_stop_another_request_of_its_id() -> None:
    """Somebody else has sent one with the same id, and that runs."""
    async with open_processor(hang) as processor, processor.request_sender() as sender:
        await sender.send(Request(1, id="same"))
        await wait_all_tasks_blocked()
        with trio.move_on_after(0):
            await processor.call(2, id="same")
        async with trio.open_nursery() as nursery:
            calling = trio.CancelScope()

            async def call() -> None:
                with calling:
                    await processor.call(2, id="same")

            nursery.start_soon(call)
            await wait_all_tasks_blocked()
            calling.cancel()
        assert calling.cancelled_caught
        statistics = processor.statistics()
        assert (statistics.running, statistics.rejected, statistics.waiting) == (1, 1, 0)
        await processor.cancel("same")


async def test_a_request_that_is_aborted_while_it_waits_makes_room_for_the_next_of_its_channel() -> None:
    """As one that starts does."""
    sender, receiver = open_request_channel(10)
    processor = Processor(hang, requests=receiver, concurrency=1, room=1)
    async with trio.open_nursery() as nursery:
        await nursery.start(processor.run)
        submissions = [await processor.submit(number, detached=True) for number in range(3)]
        await wait_all_tasks_blocked()
        assert (processor.statistics().waiting, receiver.statistics().current_buffer_used) == (1, 1)
        await submissions[1].cancel()
        await wait_all_tasks_blocked()

        assert (processor.statistics().waiting, receiver.statistics().current_buffer_used) == (1, 0)
        await processor.drain(0)
    sender.close()
    receiver.close()


async def test_the_deadline_of_a_request_holds_though_a_duplicate_with_a_later_one_came(autojump_clock: object) -> None:
    """The duplicate is rejected, and takes nothing along."""
    start = trio.current_time()
    async with open_processor(hang) as processor, processor.request_sender() as sender:
        with trio.fail_after(50), processor.subscribe() as responses:
            await sender.send(Request(1, id="same", deadline=start + 5))
            await wait_all_tasks_blocked()
            await sender.send(Request(2, id="same", deadline=start + 100))
            response = await responses.receive()

    assert isinstance(response, Aborted)
    assert trio.current_time() - start == 5


async def test_a_processor_ends_when_the_last_that_waits_is_aborted(autojump_clock: object) -> None:
    """Nothing of it will ever run, and nobody else would notice."""
    async with trio.open_nursery() as nursery:
        with trio.fail_after(50):
            async with open_processor(double, gates=[NotBefore(inf)]) as processor:
                submission = await processor.submit(1)
                nursery.start_soon(cancel_after, 5, submission)

    assert isinstance(await submission.wait(), Aborted)


async def cancel_after(seconds: float, submission: Submission[int]) -> None:
    await trio.sleep(seconds)
    await submission.cancel()


async def call_child(processor: Processor[str, None, object]) -> None:
    await processor.call("child")


async def map_children(processor: Processor[str, None, object]) -> None:
    async with processor.map(["child", "child"]) as responses:
        await responses.receive()


@pytest.mark.parametrize("ask", [call_child, map_children])
@pytest.mark.parametrize("stop", ["cancel", "drain", "error"])
async def test_a_job_that_waits_for_others_of_its_own_processor_holds_up_no_stop(
    stop: str, ask: Callable[[Processor[str, None, object]], Awaitable[None]], autojump_clock: object
) -> None:
    """It is interrupted and gives them up, and they are gone as well: answered to nobody, not to be run again."""

    @job
    async def work(request: str) -> None:
        if request == "parent":
            await ask(processor)
        await trio.sleep_forever()

    processor = Processor(work)
    with trio.fail_after(100), suppress(OSError):
        async with open_hidden_nursery() as nursery:
            await nursery.start(processor.run)
            parent = await processor.submit("parent", detached=True)
            await wait_all_tasks_blocked()
            if stop == "drain":
                report = await processor.drain(0)
                assert report == DrainReport(handed_back=(parent.id,), waiting=(), left=())
            elif stop == "cancel":
                nursery.cancel_scope.cancel()
            else:
                raise OSError

    statistics = processor.statistics()
    assert statistics.released == 1
    assert statistics.aborted == statistics.claimed - 1 > 0


async def test_a_deadline_that_a_waiting_request_has_from_its_parent_is_kept_once(autojump_clock: object) -> None:
    """Stopping the parent takes back what it asked for, which is due at the same moment."""

    @job
    async def work(request: str) -> None:
        if request == "parent":
            await processor.call("child")
        await trio.sleep_forever()

    async with open_processor(work, concurrency=2) as processor:
        with processor.subscribe() as responses:
            other = await processor.submit("other")
            with pytest.raises(JobTooSlow):
                await processor.call("parent", time_limit=1)
            aborted = await responses.receive_many()
            statistics = processor.statistics()
            await other.cancel()

    assert len({response.id for response in aborted}) == len(aborted) == 2
    assert (statistics.waiting, statistics.running, statistics.aborted) == (0, 1, 2)


@asynccontextmanager
async def close_slowly() -> AsyncGenerator[None]:
    yield
    await trio.sleep(4.5)


@pytest.mark.parametrize("given", [False, True])
async def test_while_its_resources_close_nothing_is_aborted_and_nothing_accepted(
    given: bool, autojump_clock: object
) -> None:
    """Nobody is left who could publish an answer; callers are told, or go."""
    sender, receiver = open_request_channel(8)
    processor = Processor(hang_with, resources=close_slowly(), requests=receiver if given else None, concurrency=1)
    told: list[str] = []

    async def call(time_limit: float) -> None:
        try:
            with trio.move_on_after(time_limit):
                await processor.call(None)
            told.append("gave up")
        except ProcessorStopped as error:
            told.append(str(error))

    running = trio.CancelScope()

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        with running:
            await processor.run(task_status=task_status)

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        with processor.subscribe():
            for time_limit in (inf, 3, 3):
                nursery.start_soon(call, time_limit)
            await trio.sleep(1)
            running.cancel()
            await trio.sleep(3)
            assert told == ["gave up", "gave up"]
            assert not await processor.cancel("unknown")
            if not given:
                with pytest.raises(ProcessorStopped, match="processor hang_with is ending"):
                    await processor.call(None)
    sender.close()
    receiver.close()

    assert told[2:] == ["processor hang_with is failed"]
    assert processor.statistics().publishing == 0


async def test_a_processor_that_is_cancelled_after_a_waiting_call_was_ends_at_once() -> None:
    """What was dropped stands in line still, and is no reason to send for a worker."""
    processor = Processor(double)
    async with trio.open_nursery() as nursery:
        await nursery.start(processor.run)
        processor.pause()
        await (await processor.submit(1)).cancel()
        processor.resume()
        await wait_all_tasks_blocked()
        assert not processor._room.may_start
        nursery.cancel_scope.cancel()

    assert processor.state.value is ProcessorState.FAILED


async def test_resuming_a_processor_that_is_being_cancelled_starts_nothing_again(autojump_clock: object) -> None:
    """What was handed back stays where it is, for somebody else."""
    started: list[float] = []

    @job
    async def work(seconds: float) -> None:
        started.append(seconds)
        await clean_up_for(seconds)

    processor = Processor(work, concurrency=2)
    async with trio.open_nursery() as nursery:
        await nursery.start(processor.run)
        for seconds in (0, 5):
            await processor.submit(seconds, detached=True)
        await wait_all_tasks_blocked()
        processor.pause()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.sleep(1)
            processor.resume()
            await trio.sleep(1)

    assert sorted(started) == [0, 5]
    assert processor.statistics().released == 2


async def test_a_predicate_is_asked_once_however_long_a_response_waits_to_be_published() -> None:
    """What it said before the wait is remembered."""
    ids = ["first", "second"]
    asked: list[str] = []

    def note(response: Response[int]) -> bool:
        asked.append(response.id)
        return True

    async with open_processor(double, response_buffer_size=1) as processor:
        with processor.subscribe(select=note, overflow=Overflow.DROP_OLDEST), processor.subscribe(ids=ids) as slow:
            for request_id in ids:
                await processor.submit(1, id=request_id)
            await wait_all_tasks_blocked()
            for _ in ids:
                await slow.receive()

    assert asked == ids


async def test_a_processor_that_is_told_to_close_while_it_starts_ends_when_it_has_started(
    autojump_clock: object,
) -> None:
    """Nothing else will tell it that there is nothing to do."""
    processor = Processor(hang_with, resources=open_slowly())
    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(processor.run)
            await wait_all_tasks_blocked()
            processor.close_requests()

    assert processor.state.value is ProcessorState.STOPPED


@asynccontextmanager
async def open_slowly() -> AsyncGenerator[None]:
    await trio.sleep(5)
    yield


async def test_a_request_that_was_handed_over_as_the_end_began_is_answered() -> None:
    """Its channel has let go of it already."""
    sender, receiver = open_request_channel(1)
    processor = Processor(double, requests=receiver)
    async with trio.open_nursery() as nursery:
        await nursery.start(processor.run)
        await wait_all_tasks_blocked()
        sender.send_nowait(Request(1))
        processor.close_requests()
    sender.close()
    receiver.close()

    assert processor.statistics().succeeded == 1
