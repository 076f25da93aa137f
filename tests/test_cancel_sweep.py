"""Whatever is cancelled, and wherever: nothing is lost, leaked, left subscribed or counted twice."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs import (
    Aborted,
    Job,
    PerWorker,
    Processor,
    ProcessorState,
    Request,
    Response,
    Submission,
    Succeeded,
    job,
    open_client,
    open_processor,
    send_receive,
)

from .cancel_sweep import Victim, sweep
from .simple_jobs import double


@job
async def think(request: int) -> int:
    """Two checkpoints and a second of time, with a shielded clean-up."""
    try:
        await trio.lowlevel.checkpoint()
        await trio.sleep(1)
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep(0.5)
    return 2 * request


async def check_nothing_is_left(processor: Processor[Any, Any, Any]) -> None:
    """All is answered, and nobody is subscribed or watched for."""
    await wait_all_tasks_blocked()
    statistics = processor.statistics()
    assert (statistics.waiting, statistics.running, statistics.publishing) == (0, 0, 0)
    answered = statistics.succeeded + statistics.failed + statistics.aborted
    assert statistics.claimed == answered
    assert not processor.broadcast._channel.sinks
    assert processor.broadcast.statistics().open_receive_channels == 0


def test_a_cancelled_call_leaves_nothing_behind() -> None:
    """A job that yields and one that does not; with a free slot and with all slots taken."""
    for work in (think, double):
        for busy in (False, True):

            async def scenario(victim: Victim, work: Job[int, int, Any] = work, busy: bool = busy) -> None:
                async with open_processor(work, concurrency=1) as processor:
                    if busy:
                        await processor.submit(1)
                    value = None
                    with victim:
                        value = await processor.call(21)
                    if not victim.scope.cancelled_caught:
                        assert value == 42
                    assert await processor.call(1) == 2
                    await check_nothing_is_left(processor)

            assert sweep(scenario) > 3


def test_a_cancelled_call_that_waits_to_send_sent_nothing_or_stopped_it() -> None:
    """A full request buffer: cancelled while it waits in send, the request is nowhere."""

    async def scenario(victim: Victim) -> None:
        async with open_processor(think, concurrency=1, request_buffer_size=1) as processor:
            await processor.submit(1)
            await wait_all_tasks_blocked()
            await processor.submit(2)
            with victim:
                await processor.call(21)
            assert await processor.call(1) == 2
            await check_nothing_is_left(processor)

    assert sweep(scenario) > 3


def test_a_cancelled_send_was_not_sent_or_is_answered() -> None:
    """What send returned for is answered, once; what it did not return for is not."""

    async def scenario(victim: Victim) -> None:
        async with open_processor(think, concurrency=1, request_buffer_size=1) as processor:
            sent = 0
            with processor.subscribe() as responses:
                sender = processor.request_sender()
                with victim:
                    for number in range(3):
                        await sender.send(Request(number))
                        sent += 1
                answers = [await responses.receive() for _ in range(sent)]
                await wait_all_tasks_blocked()
                assert responses.statistics().unread == 0
            assert [answer.unwrap() for answer in answers] == [2 * number for number in range(sent)]
            await check_nothing_is_left(processor)

    assert sweep(scenario) > 6


def test_a_cancelled_receive_leaves_the_response_there() -> None:
    """Whoever receives next gets it."""

    async def scenario(victim: Victim) -> None:
        async with open_processor(double) as processor:
            got: list[int] = []
            with processor.subscribe() as responses:
                for number in range(3):
                    await processor.submit(number)
                with victim:
                    for _ in range(3):
                        got.append((await responses.receive()).unwrap())
                while len(got) < 3:
                    got.append((await responses.receive()).unwrap())
            assert got == [0, 2, 4]
            await check_nothing_is_left(processor)

    assert sweep(scenario) > 4


def test_a_cancelled_submit_sent_nothing() -> None:
    """The block would wait for an answer for ever otherwise."""

    async def scenario(victim: Victim) -> None:
        async with open_processor(think, concurrency=1, request_buffer_size=1) as processor:
            async with open_client(processor.request_sender(), processor) as client:
                submissions: list[Submission[int]] = []
                with victim:
                    for number in range(3):
                        submissions.append(await client.submit(number))
            assert processor.statistics().claimed == len(submissions)
            assert [(await one.wait()).unwrap() for one in submissions] == [0, 2, 4][: len(submissions)]
            await check_nothing_is_left(processor)

    assert sweep(scenario) > 4


def test_a_cancelled_wait_for_a_submission_leaves_the_work_alone() -> None:
    """It is answered all the same."""

    async def scenario(victim: Victim) -> None:
        async with open_processor(think) as processor:
            submission = await processor.submit(4)
            with victim:
                await submission.wait()
            assert (await submission.wait()).unwrap() == 8
            await check_nothing_is_left(processor)

    assert sweep(scenario) >= 2


def test_a_cancelled_map_cancels_what_is_not_answered() -> None:
    """As completed and in order, while it feeds and while it receives."""
    for ordered in (False, True):

        async def scenario(victim: Victim, ordered: bool = ordered) -> None:
            async with open_processor(think, concurrency=2, request_buffer_size=1) as processor:
                tasks = trio.lowlevel.current_statistics().tasks_living
                got: list[Response[int]] = []
                with victim:
                    async with processor.map(range(4), ordered=ordered, max_in_flight=3) as responses:
                        async for response in responses:
                            got.append(response)
                if not victim.scope.cancelled_caught:
                    assert sorted(response.unwrap() for response in got) == [0, 2, 4, 6]
                await check_nothing_is_left(processor)
                assert trio.lowlevel.current_statistics().tasks_living - tasks <= processor.statistics().workers

        assert sweep(scenario) > 6


def test_a_cancelled_cancel_has_cancelled_or_not_and_the_request_is_answered_once() -> None:
    """The operator's patience ends before the job's clean-up does."""

    async def scenario(victim: Victim) -> None:
        async with open_processor(think, concurrency=1) as processor:
            running, waiting = await processor.submit(1), await processor.submit(2)
            await wait_all_tasks_blocked()
            with victim:
                await processor.cancel(waiting.id)
                await processor.cancel(running.id)
            for submission in (running, waiting):
                assert isinstance(await submission.wait(), Aborted | Succeeded)
            assert await processor.call(1) == 2
            await check_nothing_is_left(processor)

    assert sweep(scenario) >= 4


def test_a_cancelled_drain_can_be_finished_by_another() -> None:
    """Each request is answered, handed back, or waits; none twice."""

    async def scenario(victim: Victim) -> None:
        async with open_processor(think, concurrency=1) as processor:
            submissions = [await processor.submit(number, detached=True) for number in range(3)]
            await wait_all_tasks_blocked()
            with victim:
                await processor.drain(0.2)
            report = await processor.drain(0)
            ids = {submission.id for submission in submissions}
            statistics = processor.statistics()
            assert set(report.handed_back) | set(report.waiting) <= ids
            assert len(report.handed_back) + len(report.waiting) + statistics.succeeded == 3
            assert processor.state.value is ProcessorState.STOPPED

    assert sweep(scenario) >= 3


def test_a_cancelled_open_processor_closes_what_it_opened() -> None:
    """While it opens, while it runs, while it finishes: resources are closed, tasks are gone, all is accounted for."""

    async def scenario(victim: Victim, per_worker: bool) -> None:
        opened = closed = 0

        @asynccontextmanager
        async def resource() -> AsyncGenerator[int]:
            nonlocal opened, closed
            await trio.lowlevel.checkpoint()
            opened += 1
            try:
                yield opened
            finally:
                closed += 1
                await trio.lowlevel.checkpoint()

        @job
        async def use(request: int, number: int) -> int:
            await trio.sleep(1)
            return request

        tasks = trio.lowlevel.current_statistics().tasks_living
        processors: list[Processor[int, int, int]] = []
        with victim:
            resources: Any = PerWorker(resource) if per_worker else resource()
            async with open_processor(use, resources=resources, concurrency=2) as processor:
                processors.append(processor)
                for number in range(3):
                    await processor.submit(number)
                await processor.call(1)
        for processor in processors:
            statistics = processor.statistics()
            assert processor.state.value in (ProcessorState.STOPPED, ProcessorState.FAILED)
            assert statistics.claimed == statistics.succeeded + statistics.released + statistics.aborted
        assert opened == closed
        assert trio.lowlevel.current_statistics().tasks_living == tasks

    for per_worker in (False, True):
        assert sweep(partial(scenario, per_worker=per_worker)) > 5


def test_a_cancelled_client_block_cancels_what_it_submitted() -> None:
    """While it submits, and while its end waits."""

    async def scenario(victim: Victim) -> None:
        async with open_processor(think, concurrency=1) as processor:
            with victim:
                async with open_client(processor.request_sender(), processor) as client:
                    for number in range(2):
                        await client.submit(number)
            await check_nothing_is_left(processor)
            assert await processor.call(1) == 2

    assert sweep(scenario) > 4


def test_a_cancelled_send_receive_leaves_no_subscription() -> None:
    """Over a subscription for one id, as for a processor elsewhere."""

    class Elsewhere:
        def __init__(self, processor: Processor[Any, Any, Any]) -> None:
            self._processor = processor

        def subscribe(self, *, ids: Any) -> trio.abc.ReceiveChannel[Any]:
            return self._processor.subscribe(ids=ids)

    async def scenario(victim: Victim) -> None:
        async with open_processor(double) as processor:
            sender = processor.request_sender()
            with victim:
                await send_receive(sender, Elsewhere(processor), 4)
            await check_nothing_is_left(processor)

    assert sweep(scenario) > 2


def test_a_scenario_that_fails_says_where_it_was_cancelled() -> None:
    """Or nobody would find the place again."""

    async def scenario(victim: Victim) -> None:
        with victim:
            await trio.lowlevel.checkpoint()
        assert not victim.scope.cancelled_caught

    with pytest.raises(AssertionError) as caught:
        sweep(scenario)

    assert caught.value.__notes__ == ["cancelled at step 0, parked=False"]
