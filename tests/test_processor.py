"""The processor: what it does with requests, from the outside."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs import (
    MISS,
    Aborted,
    AbortReason,
    BroadcastSender,
    Failed,
    Job,
    JobFailed,
    Overflow,
    PerWorker,
    Processor,
    ProcessorState,
    ProcessorStopped,
    Progress,
    Request,
    Response,
    Shared,
    Succeeded,
    job,
    open_broadcast_channel,
    open_processor,
    open_request_channel,
    report,
)
from trio_jobs.gates import Concurrency

from .broken_resources import raise_when_opened
from .lingering import Lingering
from .simple_jobs import double, fail, hang, sleep_for

# --- requests and responses


async def test_a_call_returns_what_the_job_returns() -> None:
    """The shortest way through: body in, value out."""
    async with open_processor(double) as processor:
        assert await processor.call(21) == 42


async def test_a_sent_request_is_answered_to_all_who_subscribed() -> None:
    """A request sent as a message has no caller, only subscribers."""
    async with open_processor(double) as processor:
        with processor.subscribe() as first, processor.subscribe() as second:
            async with processor.request_sender() as sender:
                await sender.send(Request(4, id="r1"))
            one, other = await first.receive(), await second.receive()

    assert isinstance(one, Succeeded)
    assert (one.value, one.id, one.attempt) == (8, "r1", 1)
    assert other is one


async def test_a_response_says_how_long_it_waited_and_ran(autojump_clock: object) -> None:
    """With one slot the second request waits for as long as the first one runs."""
    async with open_processor(sleep_for, concurrency=1) as processor:
        with processor.subscribe() as responses:
            await processor.submit(3)
            await processor.submit(2)
            first, second = await responses.receive(), await responses.receive()

    assert (first.waited, first.ran) == (0, 3)
    assert (second.waited, second.ran) == (3, 2)


async def test_a_failing_job_is_answered_and_its_request_becomes_a_dead_letter() -> None:
    """Failed for good: the answer first, then the dead letter with the reason."""
    async with open_processor(fail) as processor:
        with processor.subscribe() as responses:
            async with processor.request_sender() as sender:
                await sender.send(Request("no such thing", id="r1"))
            response = await responses.receive()
        (letter,) = processor.dead_letters()

    assert isinstance(response, Failed)
    assert str(response.error) == "ValueError: no such thing"
    assert letter.request.id == "r1"
    assert letter.reason == "ValueError: no such thing"


async def test_who_calls_gets_the_original_exception_as_the_cause() -> None:
    """In one process nothing of the error is lost for the one caller."""
    async with open_processor(fail) as processor:
        with pytest.raises(JobFailed, match="failed with ValueError: no") as caught:
            await processor.call("no")

    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.error.frames[-1].function == "fail"


async def test_no_more_than_concurrency_requests_run_at_the_same_time(autojump_clock: object) -> None:
    """Six jobs of a second each in three slots take two seconds."""
    running = most = 0

    @job
    async def count(request: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.sleep(1)
        running -= 1

    start = trio.current_time()
    async with open_processor(count, concurrency=3) as processor:
        for number in range(6):
            await processor.submit(number)

    assert most == 3
    assert trio.current_time() - start == 2


async def test_send_waits_while_the_request_buffer_is_full(autojump_clock: object) -> None:
    """Backpressure: two running, two waiting, and the fifth sender waits until one has ended."""
    async with (
        open_processor(sleep_for, concurrency=2, request_buffer_size=2) as processor,
        processor.request_sender() as sender,
    ):
        for _ in range(2):
            await sender.send(Request(1.0))
        await wait_all_tasks_blocked()
        for _ in range(2):
            await sender.send(Request(1.0))
        before = trio.current_time()
        await sender.send(Request(1.0))

        assert trio.current_time() - before == 1
        assert processor.statistics().waiting == 1


async def test_requests_start_in_the_order_in_which_they_were_accepted() -> None:
    """First come, first served."""
    order: list[int] = []

    @job
    async def note(request: int) -> None:
        order.append(request)
        await trio.lowlevel.checkpoint()

    async with open_processor(note, concurrency=1) as processor:
        for number in range(20):
            await processor.submit(number)

    assert order == list(range(20))


async def test_requests_that_were_sent_before_it_runs_are_run() -> None:
    """A processor can be filled before it is started."""
    processor = Processor(double)
    sender = processor.request_sender()
    with processor.subscribe() as responses:
        await sender.send(Request(1))
        async with trio.open_nursery() as nursery:
            await nursery.start(processor.run)
            response = await responses.receive()
            processor.close_requests()

    assert response.unwrap() == 2


async def test_an_id_that_runs_already_is_rejected_and_not_run_again() -> None:
    """Two answers for one id could reach the wrong caller, so the second becomes a dead letter."""
    async with open_processor(hang) as processor, processor.request_sender() as sender:
        await sender.send(Request("first", id="same"))
        await wait_all_tasks_blocked()
        await sender.send(Request("second", id="same"))
        await wait_all_tasks_blocked()
        (letter,) = processor.dead_letters()
        await processor.cancel("same")

        assert letter.request.body == "second"
        assert letter.reason == "a request of the same id runs already"
        assert processor.statistics().rejected == 1


async def test_an_id_whose_answer_waits_to_be_published_is_not_run_again_either() -> None:
    """Its job has ended, and its one answer is on the way."""
    started: list[object] = []

    @job
    async def note(request: object) -> None:
        started.append(request)

    async with open_processor(note, response_buffer_size=1) as processor, processor.request_sender() as sender:
        with processor.subscribe() as slow:
            for body, request_id in [(1, "published"), (2, "waits"), (3, "waits")]:
                await sender.send(Request(body, id=request_id))
                await wait_all_tasks_blocked()
            ids = [(await slow.receive()).id for _ in range(2)]

    assert ids == ["published", "waits"]
    assert started == [1, 2]
    assert [letter.request.body for letter in processor.dead_letters()] == [3]


# --- resources, cache, progress


async def test_a_resource_is_opened_before_the_first_request_and_closed_after_the_last_answer() -> None:
    """The job gets what the context manager gives, and finds it open."""
    events: list[str] = []

    @asynccontextmanager
    async def open_database() -> AsyncGenerator[str]:
        events.append("opened")
        yield "database"
        events.append("closed")

    @job
    async def query(request: str, database: str) -> str:
        events.append(request)
        return f"{request} in {database}"

    async with open_processor(query, resources=open_database()) as processor:
        answer = await processor.call("select")
        events.append("answered")

    assert answer == "select in database"
    assert events == ["opened", "select", "answered", "closed"]


async def test_a_shared_resource_is_one_for_all(autojump_clock: object) -> None:
    """`Shared(factory)` is called once."""
    made: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    @job
    async def which(request: int, resource: object) -> object:
        await trio.sleep(1)
        return resource

    async with open_processor(which, resources=Shared(make)) as processor:
        async with processor.map(range(5)) as responses:
            seen = [response.unwrap() async for response in responses]

    assert seen == [made[0]] * 5


async def test_a_resource_per_worker_is_never_used_by_two_at_once(autojump_clock: object) -> None:
    """`PerWorker(factory)` makes at most as many as run at once, and lends each to one job at a time."""
    made: list[list[int]] = []

    def make() -> list[int]:
        made.append([])
        return made[-1]

    @job
    async def use(request: int, users: list[int]) -> int:
        users.append(request)
        await trio.sleep(1)
        assert users == [request]
        users.clear()
        return request

    async with open_processor(use, resources=PerWorker(make), concurrency=3) as processor:
        async with processor.map(range(12), ordered=True) as responses:
            values = [response.unwrap() async for response in responses]

    assert values == list(range(12))
    assert len(made) == 3


async def test_a_resource_that_cannot_be_opened_fails_the_processor() -> None:
    """And it is that error that leaves, not a group around it."""

    @job
    async def use(request: object, host: object) -> None: ...

    block = open_processor(use, resources=raise_when_opened())
    with pytest.raises(OSError, match="no such host"):
        await block.__aenter__()


class Cached(Job[int, "int | None", None]):
    """Knows the even numbers."""

    def __init__(self) -> None:
        self.ran: list[int] = []

    async def run(self, request: int, resources: None) -> int:
        self.ran.append(request)
        return request

    async def get_cached(self, request: int, resources: None) -> Any:
        if request == 13:
            raise ConnectionError("the cache is away")
        return None if request % 2 == 0 else MISS


async def test_a_job_that_defines_a_cache_is_asked_first() -> None:
    """None is a response like any other; only MISS is a miss."""
    cached = Cached()
    async with open_processor(cached) as processor:
        assert await processor.call(2) is None
        assert await processor.call(3) == 3

    assert cached.ran == [3]


async def test_a_failing_cache_is_a_miss_and_not_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    """The job runs, the failure is counted and logged."""
    async with open_processor(Cached()) as processor:
        assert await processor.call(13) == 13
        assert processor.statistics().cache_failures == 1

    assert "its cache failed, the job runs instead" in caplog.text


async def test_progress_is_seen_by_those_who_asked_for_it() -> None:
    """Others get the response and nothing else."""

    @job
    async def work(request: str) -> str:
        await report("half")
        await report("nearly")
        return "done"

    async with open_processor(work) as processor:
        with processor.subscribe(progress=True) as curious, processor.subscribe() as plain:
            async with processor.request_sender() as sender:
                await sender.send(Request("x", id="r1"))
            seen = [await curious.receive() for _ in range(3)]
            answer = await plain.receive()

    assert seen == [Progress("half", id="r1"), Progress("nearly", id="r1"), answer]


# --- cancelling


async def test_cancel_returns_when_the_job_and_its_children_are_gone(autojump_clock: object) -> None:
    """Clean-up takes a second, and cancel takes as long."""
    gone: list[str] = []

    async def child() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            gone.append("child")

    @job
    async def parent(request: str) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)

    async with open_processor(parent) as processor:
        with processor.subscribe() as responses:
            submission = await processor.submit("x")
            await wait_all_tasks_blocked()
            found = await processor.cancel(submission.id)

            assert found
            assert gone == ["child"]
            response = await responses.receive()
            assert isinstance(response, Aborted)
            assert response.reason is AbortReason.OPERATOR
            assert response.ran == 1


async def test_cancel_of_a_waiting_request_answers_it_at_once() -> None:
    """It is never started."""
    async with open_processor(hang, concurrency=1) as processor:
        running = await processor.submit("runs")
        await wait_all_tasks_blocked()
        waiting = await processor.submit("waits")

        assert await processor.cancel(waiting.id)
        response = await waiting.wait()
        assert isinstance(response, Aborted)
        assert response.reason is AbortReason.OPERATOR
        assert processor.statistics().waiting == 0
        await running.cancel()


async def test_cancel_of_an_unknown_id_has_no_later_effect() -> None:
    """A request that gets this id afterwards runs as any other."""
    async with open_processor(double) as processor, processor.request_sender() as sender:
        with processor.subscribe() as responses:
            assert not await processor.cancel("later")
            await sender.send(Request(1, id="later"))

            assert (await responses.receive()).unwrap() == 2


async def test_cancel_after_the_end_finds_nothing() -> None:
    """What was handed back is no longer this processor's."""
    processor = Processor(hang, concurrency=1)
    async with trio.open_nursery() as nursery:
        await nursery.start(processor.run)
        submissions = [await processor.submit(number, detached=True) for number in range(2)]
        await wait_all_tasks_blocked()
        await processor.drain(0)
    before = processor.statistics()

    assert [await processor.cancel(submission.id) for submission in submissions] == [False, False]
    assert processor.statistics() == before


async def test_all_who_cancel_the_same_job_return_when_it_is_gone() -> None:
    """It is cancelled once."""
    linger = Lingering()
    returned = 0
    async with open_processor(linger) as processor, trio.open_nursery() as nursery:
        submission = await processor.submit(None)
        await wait_all_tasks_blocked()

        async def cancel() -> None:
            nonlocal returned
            assert await processor.cancel(submission.id)
            returned += 1

        nursery.start_soon(cancel)
        nursery.start_soon(cancel)
        await wait_all_tasks_blocked()
        assert returned == 0
        linger.let_go.set()
        await wait_all_tasks_blocked()
        assert returned == 2


async def test_a_used_scope_does_not_reach_the_next_job() -> None:
    """After a cancelled job the same worker runs on, in a fresh scope."""
    async with open_processor(sleep_for, concurrency=1) as processor:
        submission = await processor.submit(math.inf)
        await wait_all_tasks_blocked()
        await processor.cancel(submission.id)

        assert await processor.call(0) == 0


# --- deadlines


async def test_a_deadline_holds_while_the_job_runs(autojump_clock: object) -> None:
    """At the tick, not before and not after."""
    async with open_processor(hang) as processor:
        with processor.subscribe() as responses:
            start = trio.current_time()
            await processor.submit("x", time_limit=5)
            response = await responses.receive()

    assert isinstance(response, Aborted)
    assert response.reason is AbortReason.DEADLINE
    assert response.ran == 5
    assert trio.current_time() - start == 5


async def test_a_deadline_holds_while_the_request_waits(autojump_clock: object) -> None:
    """It is answered at its deadline although nobody had come to it."""
    async with open_processor(hang, concurrency=1) as processor:
        blocking = await processor.submit("blocks")
        waiting = await processor.submit("waits", time_limit=5)
        start = trio.current_time()
        response = await waiting.wait()
        await blocking.cancel()

    assert isinstance(response, Aborted)
    assert (response.reason, response.waited, response.ran) == (AbortReason.DEADLINE, 5, 0)
    assert trio.current_time() - start == 5


async def test_a_request_that_was_late_when_it_was_sent_is_never_started() -> None:
    """Whether its worker or the alarm comes first, which is for chance to decide."""
    async with open_processor(double) as processor, processor.request_sender() as sender:
        for number in range(30):
            await sender.send(Request(number, deadline=trio.current_time() - 1))
            await wait_all_tasks_blocked()

    assert (processor.statistics().aborted, processor.statistics().succeeded) == (30, 0)


async def test_a_request_that_is_late_already_is_not_started(autojump_clock: object) -> None:
    """Its deadline passed before it was sent; the next is."""
    ran: list[object] = []

    @job
    async def note(request: object) -> None:
        ran.append(request)

    async with open_processor(note) as processor, processor.request_sender() as sender:
        with processor.subscribe() as responses:
            await trio.sleep(10)
            await sender.send(Request("late", deadline=5))
            response = await responses.receive()
            await sender.send(Request("in time", deadline=15))

    assert isinstance(response, Aborted)
    assert response.reason is AbortReason.DEADLINE
    assert ran == ["in time"]


async def test_many_deadlines_are_kept_by_one_task(autojump_clock: object) -> None:
    """Different deadlines, waiting and running, each at its tick."""
    async with open_processor(hang, concurrency=5) as processor:
        ended: dict[str, float] = {}
        start = trio.current_time()
        submissions = [await processor.submit(number, time_limit=20 - number) for number in range(15)]

        async def wait(submission: Any) -> None:
            await submission.wait()
            ended[submission.id] = trio.current_time() - start

        async with trio.open_nursery() as nursery:
            for submission in submissions:
                nursery.start_soon(wait, submission)

    assert [ended[submission.id] for submission in submissions] == [20 - number for number in range(15)]


# --- life


async def test_its_state_can_be_waited_for() -> None:
    """From new to stopped, by way of running and finishing."""
    processor = Processor(double)
    seen = [processor.state.value]

    async def watch() -> None:
        for state in (ProcessorState.RUNNING, ProcessorState.STOPPED):
            seen.append(await processor.state.wait_value(state))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await nursery.start(processor.run)
        await wait_all_tasks_blocked()
        processor.close_requests()

    assert seen == [ProcessorState.NEW, ProcessorState.RUNNING, ProcessorState.STOPPED]


async def test_paused_it_accepts_requests_and_starts_none() -> None:
    """Resumed, it starts them."""
    async with open_processor(double) as processor:
        processor.pause()
        submission = await processor.submit(1)
        await wait_all_tasks_blocked()

        assert processor.state.value is ProcessorState.PAUSED
        assert processor.statistics().waiting == 1
        processor.resume()
        assert (await submission.wait()).unwrap() == 2


async def test_the_end_of_the_block_answers_everything_that_was_accepted(autojump_clock: object) -> None:
    """As a nursery waits for its tasks."""
    async with open_processor(sleep_for, concurrency=2) as processor:
        responses = processor.subscribe()
        for _ in range(5):
            await processor.submit(1)

    with responses:
        assert [response.unwrap() async for response in responses] == [1] * 5


async def test_a_paused_processor_resumes_to_finish() -> None:
    """Else the end of the block would never come."""
    async with open_processor(double) as processor:
        processor.pause()
        submission = await processor.submit(1)

    assert (await submission.wait()).unwrap() == 2


async def test_while_finishing_only_its_own_jobs_may_still_send() -> None:
    """A crawler's jobs ask for more jobs; a stranger is told that it is too late."""
    depth_reached: list[int] = []
    at_the_end = trio.Event()

    @job
    async def descend(depth: int) -> None:
        depth_reached.append(depth)
        if depth == 0:
            await at_the_end.wait()
        if depth < 3:
            await processor.submit(depth + 1, detached=True)

    async with trio.open_nursery() as nursery:
        async with open_processor(descend) as processor:
            await processor.submit(0, detached=True)
            await wait_all_tasks_blocked()

            async def be_late() -> None:
                await processor.state.wait_value(ProcessorState.FINISHING)
                with pytest.raises(ProcessorStopped, match="processor descend is finishing"):
                    await processor.call(7)
                at_the_end.set()

            nursery.start_soon(be_late)

    assert depth_reached == [0, 1, 2, 3]


async def test_an_error_in_the_block_leaves_as_itself_and_drains_at_once(autojump_clock: object) -> None:
    """What runs is cancelled, nothing is waited for."""
    start = trio.current_time()
    processors: list[Processor[object, None, object]] = []
    with pytest.raises(LookupError, match="of the block"):
        async with open_processor(hang) as processor:
            processors.append(processor)
            await processor.submit("x")
            await wait_all_tasks_blocked()
            raise LookupError("of the block")

    assert trio.current_time() == start
    assert processors[0].state.value is ProcessorState.STOPPED
    assert processors[0].statistics().released == 1


async def test_a_cancelled_block_drains_at_once(autojump_clock: object) -> None:
    """And the cancellation goes on its way."""
    processors: list[Processor[object, None, object]] = []
    with trio.move_on_after(1) as scope:
        async with open_processor(hang) as processor:
            processors.append(processor)
            await processor.submit("x")
            await trio.sleep_forever()

    assert scope.cancelled_caught
    assert processors[0].statistics().released == 1


async def test_it_runs_only_once() -> None:
    """What ran cannot be run again; make another one."""
    async with open_processor(double) as processor:
        pass

    with pytest.raises(RuntimeError, match="cannot start a processor that is stopped"):
        await processor.run()


async def test_a_stopped_processor_says_so_to_whoever_calls() -> None:
    """`ProcessorStopped` is Trio's BrokenResourceError, so code for channels handles it."""
    async with open_processor(double) as processor:
        sender = processor.request_sender()

    with pytest.raises(ProcessorStopped, match="processor double is stopped"):
        await processor.call(1)
    with pytest.raises(trio.BrokenResourceError):
        await sender.send(Request(1))


# --- other channels


async def test_requests_can_come_from_a_channel_that_is_given(autojump_clock: object) -> None:
    """It ends when that channel does, with everything answered and settled."""
    sender, receiver = open_request_channel(10)
    processor = Processor(sleep_for, requests=receiver, concurrency=2)
    with processor.subscribe() as responses:
        async with trio.open_nursery() as nursery:
            await nursery.start(processor.run)
            async with sender:
                for seconds in (1, 2, 3):
                    await sender.send(Request(seconds))
        values = [response.unwrap() async for response in responses]

    assert sorted(values) == [1, 2, 3]
    assert receiver.statistics().unsettled == 0
    assert processor.state.value is ProcessorState.STOPPED


async def test_two_processors_share_one_request_channel(autojump_clock: object) -> None:
    """They compete for the requests, and each is answered once."""
    sender, receiver = open_request_channel(100)
    responses: BroadcastSender[Response[float]] = open_broadcast_channel(100)
    answers = responses.subscribe()
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            processor = Processor(sleep_for, requests=receiver.clone(), responses=responses, concurrency=1)
            await nursery.start(processor.run)
        responses.close()
        async with sender:
            start = trio.current_time()
            for _ in range(10):
                await sender.send(Request(1.0))

    with answers:
        assert len([response async for response in answers]) == 10
    assert trio.current_time() - start == 5
    receiver.close()


async def test_a_failure_is_rejected_on_the_channel_it_came_from() -> None:
    """The dead letter lies where the request came from."""
    sender, receiver = open_request_channel(10)
    processor = Processor(fail, requests=receiver)
    async with trio.open_nursery() as nursery:
        await nursery.start(processor.run)
        async with sender:
            await sender.send(Request("bad", id="r1"))

    assert [letter.request.id for letter in receiver.dead_letters()] == ["r1"]


async def test_with_a_gate_that_is_shared_two_processors_keep_one_limit(autojump_clock: object) -> None:
    """Whoever waits for the gate holds no slot, and is woken when the other processor frees it."""
    gate = Concurrency(2)
    start = trio.current_time()
    async with (
        open_processor(sleep_for, gates=[gate]) as first,
        open_processor(sleep_for, gates=[gate]) as second,
    ):
        for _ in range(3):
            await first.submit(1)
            await second.submit(1)
        await wait_all_tasks_blocked()

        assert first.statistics().running + second.statistics().running == 2

    assert trio.current_time() - start == 3


async def test_a_slow_subscriber_that_blocks_holds_the_processor_up(autojump_clock: object) -> None:
    """Backpressure goes all the way: nothing is lost, and slots stay taken until their responses are out."""
    async with open_processor(double, concurrency=1, response_buffer_size=2) as processor:
        with processor.subscribe() as slow:
            for number in range(4):
                await processor.submit(number)
            await wait_all_tasks_blocked()

            statistics = processor.statistics()
            assert (statistics.succeeded, statistics.publishing, statistics.waiting) == (2, 1, 1)
            assert [(await slow.receive()).unwrap() for _ in range(4)] == [0, 2, 4, 6]


async def test_after_the_publish_limit_a_slow_subscriber_is_cut_off(autojump_clock: object) -> None:
    """The limit is the operator's way to say that no subscriber stops the work."""
    async with open_processor(double, response_buffer_size=1, publish_limit=7) as processor:
        with processor.subscribe() as slow:
            assert await processor.call(1) == 2
            start = trio.current_time()
            assert await processor.call(2) == 4

            assert trio.current_time() - start == 7
            with pytest.raises(trio.BrokenResourceError):
                await slow.receive()


async def test_a_subscriber_that_drops_holds_nobody_up() -> None:
    """Overflow is the subscription's own choice."""
    async with open_processor(double, response_buffer_size=1) as processor:
        with processor.subscribe(overflow=Overflow.DROP_OLDEST):
            async with processor.map(range(100)) as responses:
                assert len([response async for response in responses]) == 100


# --- misuse


SHARED: BroadcastSender[Any] = open_broadcast_channel(1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"concurrency": 0}, ValueError, "concurrency must be at least 1, got 0"),
        ({"concurrency": 1.5}, TypeError, "concurrency must be an int or math.inf, got 1.5"),
        ({"concurrency": True}, TypeError, "concurrency must be an int or math.inf, got True"),
        ({"request_buffer_size": 0}, ValueError, "request_buffer_size must be at least 1, got 0"),
        ({"response_buffer_size": "9"}, TypeError, "response_buffer_size must be an int or math.inf, got '9'"),
        ({"room": 3}, TypeError, "room goes with requests; without them"),
        ({"publish_limit": -1}, ValueError, "publish_limit must be at least 0 seconds, got -1"),
        ({"grace": math.nan}, ValueError, "grace must be at least 0 seconds, got nan"),
        ({"cleanup_limit": None}, TypeError, "cleanup_limit must be a number of seconds, got None"),
        ({"gates": [3]}, TypeError, "gates must be a sequence of Gate, got 3 in it"),
        ({"requests": trio.open_memory_channel[Any](1)[1]}, TypeError, "requests must be a RequestReceiver, which"),
        ({"responses": object()}, TypeError, "responses must come from open_broadcast_channel"),
        (
            {"requests": open_request_channel(1).receiver, "request_buffer_size": 9},
            TypeError,
            "request_buffer_size is of a buffer of its own; with requests use room",
        ),
        (
            {"responses": SHARED, "response_buffer_size": 9},
            TypeError,
            "response_buffer_size is of a channel of its own; with responses that is its max_buffer_size",
        ),
        ({"name": 3}, TypeError, "name must be a str with at least one character, got 3"),
        ({"resources": 3}, TypeError, "job double takes no resources: give it a second parameter, or leave resources"),
    ],
)
def test_wrong_options_are_refused_with_name_and_value(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """At construction, where the mistake is."""
    with pytest.raises(error, match=message):
        Processor(double, **options)


def test_a_plain_function_is_no_job() -> None:
    """The message gives the mend."""

    async def plain(request: int) -> None: ...

    with pytest.raises(TypeError, match="job must be a Job, put @job above the function, got <function"):
        Processor(plain)  # type: ignore[arg-type]  # that is the point


async def test_what_needs_a_running_processor_says_so() -> None:
    """A processor that was never started cannot be paused or drained, and says why."""
    processor = Processor(double)

    with pytest.raises(RuntimeError, match="cannot pause a processor that is new"):
        processor.pause()
    with pytest.raises(RuntimeError, match="cannot drain a processor that is new"):
        await processor.drain()


async def test_its_repr_shows_what_it_does() -> None:
    """Name, state, how much waits and runs."""
    async with open_processor(hang, concurrency=1) as processor:
        for _ in range(3):
            await processor.submit("x", detached=True)
        await wait_all_tasks_blocked()

        assert repr(processor) == "<Processor hang running waiting=2 running=1/1>"
        await processor.drain(0)


def test_a_job_that_takes_resources_must_be_given_some() -> None:
    """Or each of its requests would fail."""

    @job
    async def needs(request: int, resource: str) -> None: ...

    with pytest.raises(TypeError, match=r"job needs takes resources, give them with resources=\.\.\."):
        Processor(needs)
