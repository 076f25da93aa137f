"""The same job for many bodies."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs import (
    Aborted,
    AbortReason,
    Failed,
    JobFailed,
    Overflow,
    ProcessorStopped,
    Request,
    Response,
    Succeeded,
    job,
    open_processor,
)

from .simple_jobs import double, hang, sleep_for


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
                    ...


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


@job
async def sleep_one_second(request: int) -> int:
    await trio.sleep(1)
    return request


@pytest.mark.parametrize("ordered", [False, True])
async def test_a_map_over_a_processor_that_drains_still_gives_what_was_running(
    ordered: bool, autojump_clock: object
) -> None:
    """The grace is for those jobs to end; their answers come before the error."""
    got: list[int] = []
    async with open_processor(sleep_one_second, concurrency=3) as processor, trio.open_nursery() as nursery:
        with pytest.raises(ProcessorStopped):
            async with processor.map(range(10), max_in_flight=4, ordered=ordered) as responses:
                await wait_all_tasks_blocked()
                nursery.start_soon(processor.drain, 5)
                async for response in responses:
                    got.append(response.unwrap())

    assert sorted(got) == [0, 1, 2]


async def test_an_ordered_map_gives_what_comes_after_an_answer_that_will_not_come(autojump_clock: object) -> None:
    """Only the one that was interrupted is missing."""
    got: list[float] = []
    async with open_processor(sleep_for, concurrency=3) as processor, trio.open_nursery() as nursery:
        with pytest.raises(ProcessorStopped):
            async with processor.map([1.0, 100.0, 2.0], ordered=True) as responses:
                await wait_all_tasks_blocked()
                nursery.start_soon(processor.drain, 5)
                async for response in responses:
                    got.append(response.unwrap())

    assert got == [1, 2]


async def test_a_time_limit_of_a_map_holds_for_whole_requests_too(autojump_clock: object) -> None:
    """Unless they have an earlier deadline of their own."""
    bodies = [Request(None, id="limited"), Request(None, id="own", deadline=trio.current_time() + 1)]
    times: dict[str, float] = {}
    start = trio.current_time()
    async with open_processor(hang) as processor, processor.map(bodies, time_limit=5) as responses:
        async for response in responses:
            assert isinstance(response, Aborted)
            assert response.reason is AbortReason.DEADLINE
            times[response.id] = trio.current_time() - start

    assert times == {"own": 1, "limited": 5}


async def abort_reason_of_the_rest(leave_by: type[Exception]) -> AbortReason:
    """Why the second of two is aborted where the answer to the first raises, or something else does."""

    @job
    async def fail_or_hang(request: str) -> None:
        if request == "fail":
            raise ValueError(request)
        await trio.sleep_forever()

    async with open_processor(fail_or_hang) as processor:
        with processor.subscribe(overflow=Overflow.DROP_OLDEST) as everything:
            with pytest.raises(leave_by):
                async with processor.map(["fail", "hang"]) as responses:
                    first: Response[None] = await responses.receive()
                    await wait_all_tasks_blocked()
                    if leave_by is not JobFailed:
                        raise leave_by
                    first.unwrap()
            _, aborted = await everything.receive_many()
    assert isinstance(aborted, Aborted)
    return aborted.reason


async def test_a_failure_that_ends_a_map_aborts_the_rest_as_its_siblings() -> None:
    """Who reads the log sees that they fell with another; any other error is the caller's affair."""
    with_failure = await abort_reason_of_the_rest(JobFailed)
    with_other = await abort_reason_of_the_rest(LookupError)

    assert (with_failure, with_other) == (AbortReason.SIBLING, AbortReason.CALLER)


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


async def test_what_a_map_holds_can_be_seen() -> None:
    """How many are on their way, how many are there to be received."""
    async with open_processor(double) as processor, processor.map(range(3)) as responses:
        await wait_all_tasks_blocked()

        assert repr(responses) == "<responses in_flight=0 to_receive=3>"


async def test_a_closed_map_receives_nothing_more() -> None:
    """As any channel."""
    async with open_processor(double) as processor, processor.map(range(3)) as responses:
        await responses.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await responses.receive()


async def test_a_map_that_feeds_while_the_processor_stops_says_so_too() -> None:
    """It feeds nothing more, and reads no more of its input."""
    taken: list[int] = []

    async def numbers() -> AsyncGenerator[int]:
        while True:
            taken.append(len(taken))
            yield taken[-1]

    async with open_processor(hang, concurrency=1, request_buffer_size=1) as processor:
        with pytest.raises(ProcessorStopped):
            async with aclosing(numbers()) as bodies, processor.map(bodies) as responses:
                await wait_all_tasks_blocked()
                await processor.drain(0)
                await responses.receive()

    assert len(taken) == 3


async def test_what_cannot_be_iterated_is_refused() -> None:
    """A single body is a call."""
    async with open_processor(double) as processor:
        with pytest.raises(TypeError, match="bodies must be an iterable or an async iterable, got 3"):
            async with processor.map(3):  # type: ignore[arg-type]  # that is the point
                ...
        with pytest.raises(ValueError, match="max_in_flight must be at least 1, got 0"):
            async with processor.map([], max_in_flight=0):
                ...
