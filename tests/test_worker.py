"""What a job does to others: nothing. Each fault of a job is tried beside a good job that must not notice."""

from __future__ import annotations

import gc
import traceback
import weakref
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs import (
    Aborted,
    AbortReason,
    Failed,
    Job,
    JobFailed,
    Lagged,
    Overflow,
    Processor,
    Request,
    Response,
    Succeeded,
    job,
    open_processor,
    report,
)
from trio_jobs._worker import BUDGET

from .simple_jobs import double, hang, stubborn

variable: ContextVar[object] = ContextVar("variable", default="clean")


async def answer_beside_a_good_job(bad: Job[Any, Any, Any], body: object = None) -> Response[Any]:
    """Run ``bad`` while another request of the same processor waits inside its job; both must be answered."""
    go_on = trio.Event()

    @job
    async def both(request: tuple[str, object]) -> object:
        which, body = request
        if which == "good":
            await go_on.wait()
            return "good"
        return await bad.run(body, None)

    async with open_processor(both, concurrency=2) as processor:
        good = await processor.submit(("good", None))
        await wait_all_tasks_blocked()
        response = await (await processor.submit(("bad", body))).wait()
        go_on.set()

        assert (await good.wait()).unwrap() == "good"
        assert await processor.call(("good", None)) == "good"  # and the workers still work
    return response


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), GeneratorExit(), BaseException("odd")])
async def test_whatever_a_job_raises_is_its_own_failure(error: BaseException) -> None:
    """Also what is no Exception; only KeyboardInterrupt is meant for the program."""

    @job
    async def bad(request: object) -> None:
        raise error

    response = await answer_beside_a_good_job(bad)

    assert isinstance(response, Failed)
    assert response.error.type_name == type(error).__name__


async def test_a_stray_cancelled_is_a_failure_of_that_job_alone() -> None:
    """A kept Cancelled that is raised later would end a nursery without a word."""
    kept: list[trio.Cancelled] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep_forever()
        except trio.Cancelled as error:
            kept.append(error)
            raise

    @job
    async def bad(request: object) -> None:
        raise kept[0]

    response = await answer_beside_a_good_job(bad)

    assert isinstance(response, Failed)
    assert response.error.type_name == "trio_jobs.StrayCancelled"


async def test_a_group_of_nothing_but_stray_cancelleds_is_a_failure() -> None:
    """The same, wrapped by a nursery."""
    kept: list[trio.Cancelled] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep_forever()
        except trio.Cancelled as error:
            kept.append(error)
            raise

    @job
    async def bad(request: object) -> None:
        raise BaseExceptionGroup("old", [kept[0]])

    response = await answer_beside_a_good_job(bad)

    assert isinstance(response, Failed)
    assert response.error.type_name == "trio_jobs.StrayCancelled"


async def test_a_cancelled_that_came_with_an_error_leaves_the_error() -> None:
    """A mixed group from a job that was not cancelled: what was raised is what failed."""

    @job
    async def bad(request: object) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.lowlevel.checkpoint()
            raise ValueError("real")

    response = await answer_beside_a_good_job(bad)

    assert isinstance(response, Failed)
    assert response.error.type_name == "ExceptionGroup"
    assert [str(member) for member in response.error.errors] == ["ValueError: real"]


async def test_clean_up_that_raises_after_a_deadline_is_a_failure_with_the_deadline_noted(
    autojump_clock: object,
) -> None:
    """Trio's scope says "caught" in this case; the error must not get lost in it."""

    @job
    async def bad(request: object) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                await trio.sleep_forever()
        finally:
            raise ValueError("clean-up failed")

    async with open_processor(bad) as processor:
        response = await (await processor.submit(None, time_limit=1)).wait()

    assert isinstance(response, Failed)
    assert response.error.message == "clean-up failed"
    assert "it was being stopped at the time: deadline" in response.error.notes


async def test_a_mixed_group_of_a_cancelled_job_is_a_failure_too(autojump_clock: object) -> None:
    """A child is cancelled, another one's clean-up raises: the error counts."""

    async def fail_on_the_way_out() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("clean-up failed")

    @job
    async def bad(request: object) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail_on_the_way_out)
            await trio.sleep_forever()

    async with open_processor(bad) as processor:
        response = await (await processor.submit(None, time_limit=1)).wait()

    assert isinstance(response, Failed)
    assert [str(member) for member in response.error.errors] == ["ValueError: clean-up failed"]


async def test_a_job_that_eats_its_cancellation_and_returns_has_succeeded(autojump_clock: object) -> None:
    """It did what it was asked for; nothing else would be true."""
    async with open_processor(stubborn, concurrency=1) as processor:
        response = await (await processor.submit(None, time_limit=1)).wait()

        assert isinstance(response, Succeeded)
        assert response.value == "done anyway"
        assert isinstance(await (await processor.submit(None, time_limit=1)).wait(), Succeeded)


async def test_a_job_that_ends_without_a_checkpoint_after_its_deadline_has_succeeded(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The deadline stops waiting, not computing."""

    @job
    async def compute(request: object) -> str:
        autojump_clock.jump(10)
        return "computed"

    async with open_processor(compute) as processor:
        response = await (await processor.submit(None, time_limit=1)).wait()

    assert isinstance(response, Succeeded)


def test_keyboard_interrupt_in_a_job_ends_the_program_and_hands_back_the_rest() -> None:
    """It is meant for the program, so it leaves through the processor as itself."""
    processors: list[Processor[Any, Any, Any]] = []

    @job
    async def work(request: str) -> None:
        if request == "interrupted":
            raise KeyboardInterrupt
        await trio.sleep_forever()

    async def main() -> None:
        async with open_processor(work) as processor:
            processors.append(processor)
            await processor.submit("other")
            await processor.submit("interrupted")
            await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    statistics = processors[0].statistics()
    assert (statistics.claimed, statistics.released) == (2, 2)


def test_keyboard_interrupt_inside_a_group_is_one_too() -> None:
    """A nursery inside the job wraps it."""

    @job
    async def work(request: str) -> None:
        raise BaseExceptionGroup("from a nursery", [ValueError("also"), KeyboardInterrupt()])

    async def main() -> None:
        async with open_processor(work) as processor:
            await processor.call("x")

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)


async def test_a_context_variable_set_by_one_job_is_not_seen_by_the_next() -> None:
    """The worker whose context was changed retires; the next job starts clean."""
    seen: list[object] = []

    @job
    async def change(request: object) -> None:
        seen.append(variable.get())
        variable.set(request)

    async with open_processor(change, concurrency=1) as processor:
        values: list[object] = [1, 1.0, [], []]
        for value in values:  # equal values too: only the very same object counts as unchanged
            await processor.call(value)

    assert seen == ["clean"] * 4


async def test_a_context_variable_that_nobody_had_set_is_not_seen_by_the_next_job() -> None:
    """Wherever it stands among the others, for they have an order of their own."""
    variables = [ContextVar[int](f"new {number}", default=0) for number in range(30)]
    seen: list[int] = []

    @job
    async def set_one(request: int) -> None:
        seen.extend(variable.get() for variable in variables)
        variables[request].set(1)

    async with open_processor(set_one, concurrency=1) as processor:
        for number in range(30):
            await processor.call(number)

    assert not any(seen)


async def test_a_context_variable_that_is_put_back_does_not_cost_a_worker() -> None:
    """The usual `set` and `reset` pair leaves the context as it was."""
    tasks: set[object] = set()

    @job
    async def change(request: object) -> None:
        tasks.add(trio.lowlevel.current_task())
        token = variable.set(request)
        await trio.lowlevel.checkpoint()
        variable.reset(token)

    async with open_processor(change, concurrency=1) as processor:
        for number in range(5):
            await processor.call(number)

    assert len(tasks) == 1


async def test_a_job_sees_the_context_of_the_processor_and_not_that_of_its_caller() -> None:
    """Who happens to send the request that starts a worker must not show in its jobs."""

    @job
    async def look(request: object) -> object:
        return variable.get()

    variable.set("of the processor")
    async with open_processor(look) as processor:
        variable.set("of the caller")

        assert await processor.call(None) == "of the processor"
        assert await processor.call(None) == "of the processor"


async def test_an_async_generator_left_open_does_not_disturb_the_next_job() -> None:
    """Trio complains of it to the author of the job; others go on."""

    async def numbers() -> AsyncIterator[int]:
        try:
            while True:
                yield 0
        finally:
            await trio.lowlevel.cancel_shielded_checkpoint()

    @job
    async def leave_open(request: object) -> int:
        return await anext(numbers())

    async with open_processor(leave_open, concurrency=1) as processor:

        async def call_and_collect() -> int:
            number = await processor.call(None)
            gc.collect()
            await wait_all_tasks_blocked()
            return number

        with pytest.warns(ResourceWarning, match="Async generator"):
            assert await call_and_collect() == 0

        assert not processor.statistics().failed


async def test_one_exception_raised_ten_thousand_times_does_not_grow() -> None:
    """A job that raises the same object again and again, and callers that unwrap the same response."""
    error = ValueError("always the same")

    @job
    async def bad(request: object) -> None:
        raise error

    async with trio.open_nursery() as nursery:
        processor = Processor(bad)
        await nursery.start(processor.run)
        responses = processor.subscribe(overflow=Overflow.DROP_OLDEST)
        for _ in range(10_000):
            with pytest.raises(JobFailed):
                await processor.call(None)
        processor.close_requests()

    assert len(list(traceback.walk_tb(error.__traceback__))) == 2  # the worker and the job, of the last raise
    with responses:
        with pytest.raises(Lagged):
            responses.receive_nowait()
        response = responses.receive_nowait()
    for _ in range(10_000):
        with pytest.raises(JobFailed) as caught:
            response.unwrap()
        assert caught.value.__cause__ is None
        assert len(list(traceback.walk_tb(caught.value.__traceback__))) == 2


async def test_the_traceback_of_a_failure_begins_in_the_job() -> None:
    """What lies outside of it is the same for all, and not of the job's making."""

    @job
    async def bad(request: object) -> None:
        raise ValueError(request)

    async with open_processor(bad) as processor:
        with pytest.raises(JobFailed) as caught:
            await processor.call(None)

    assert [frame.function.rpartition(".")[2] for frame in caught.value.error.frames] == ["bad"]


async def test_a_kept_failure_does_not_keep_the_job_s_locals() -> None:
    """A ring full of failures must not pin as many bodies."""

    class Big:
        pass

    refs: list[weakref.ref[Big]] = []

    @job
    async def bad(request: object) -> None:
        big = Big()
        refs.append(weakref.ref(big))
        raise ValueError("with locals")

    async with open_processor(bad) as processor:
        with processor.subscribe() as responses:
            async with processor.request_sender() as sender:
                await sender.send(Request(None))
            response = await responses.receive()
            gc.collect()

            assert refs[0]() is None
            assert isinstance(response, Failed)


async def test_an_idle_worker_keeps_neither_its_last_request_nor_its_last_response_alive() -> None:
    """What was answered and read can be collected."""

    class Body:
        pass

    @job
    async def same(request: Body) -> Body:
        return request

    async with open_processor(same, response_buffer_size=1) as processor:
        body = Body()
        ref = weakref.ref(body)
        await processor.call(body)
        del body
        await processor.call(Body())
        await wait_all_tasks_blocked()
        gc.collect()

        assert ref() is None


async def test_jobs_that_never_yield_leave_others_their_turn(autojump_clock: object) -> None:
    """A bystander that only does checkpoints is passed by at most two budgets of jobs between its turns."""
    done = 0
    most = 0

    @job
    async def quick(request: int) -> None:
        nonlocal done
        done += 1

    async def bystander() -> None:
        nonlocal most
        while done < 1_000:
            before = done
            await trio.lowlevel.checkpoint()
            most = max(most, done - before)

    async with open_processor(quick, concurrency=16, request_buffer_size=2_000) as processor:
        processor.pause()
        for number in range(1_000):
            await processor.submit(number, detached=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bystander)
            await trio.lowlevel.checkpoint()
            processor.resume()

    assert done == 1_000
    assert most <= 96


async def test_a_burst_of_quick_jobs_does_not_wake_a_herd(autojump_clock: object) -> None:
    """Jobs that do not wait are drained by a few workers, however many there may be."""

    @job
    async def quick(request: int) -> None:
        pass

    async with open_processor(quick, concurrency=1_000, request_buffer_size=1_000) as processor:
        sender = processor.request_sender()
        for number in range(500):
            sender.send_nowait(Request(number))
        await wait_all_tasks_blocked()

        assert processor.statistics().succeeded == 500
        assert processor.statistics().workers <= 500 / BUDGET + 2  # one more a scheduler pass at the most


async def test_an_idle_processor_has_no_workers() -> None:
    """They come when there is work."""

    @job
    async def quick(request: int) -> None: ...

    async with open_processor(quick, concurrency=10_000) as processor:
        await wait_all_tasks_blocked()

        assert processor.statistics().workers == 0


async def test_a_task_that_escaped_from_its_job_cannot_report_for_the_next_one() -> None:
    """Its job is over; the worker runs another request by now."""
    outcomes: list[str] = []
    go = trio.Event()

    async def escaped() -> None:
        await go.wait()
        try:
            await report("from the grave")
        except RuntimeError as error:
            outcomes.append(str(error))

    async with trio.open_nursery() as nursery:

        @job
        async def work(request: str) -> None:
            if request == "first":
                nursery.start_soon(escaped)
            else:
                go.set()
                await wait_all_tasks_blocked()

        async with open_processor(work, concurrency=1) as processor:
            await processor.call("first")
            await processor.call("second")

    assert len(outcomes) == 1


async def test_who_cancels_what_is_known_in_the_reason(autojump_clock: object) -> None:
    """Deadline, caller, operator: three ways to be stopped, told apart."""

    reasons: list[AbortReason] = []
    async with open_processor(hang) as processor:
        with processor.subscribe() as responses:
            await processor.submit("x", time_limit=1)
            caller = await processor.submit("y")
            operator = await processor.submit("z")
            await caller.cancel()
            await processor.cancel(operator.id)
            for _ in range(3):
                response = await responses.receive()
                assert isinstance(response, Aborted)
                reasons.append(response.reason)

    assert set(reasons) == {AbortReason.DEADLINE, AbortReason.CALLER, AbortReason.OPERATOR}


async def test_a_context_variable_that_was_there_and_is_changed_is_not_seen_by_the_next_job() -> None:
    """The worker retires, and another one goes on with what waits."""
    seen: list[object] = []

    @job
    async def change(request: object) -> None:
        seen.append(variable.get())
        variable.set(request)

    variable.set("of the processor")
    async with open_processor(change, concurrency=1) as processor, processor.map(range(5)) as responses:
        async for _ in responses:
            pass

    assert seen == ["of the processor"] * 5


async def test_the_time_that_an_answer_waits_to_be_published_is_not_that_of_the_next_job(
    autojump_clock: object,
) -> None:
    """That has not begun: it waits."""
    async with open_processor(double, concurrency=1, response_buffer_size=1) as processor:
        with processor.subscribe() as slow:
            submissions = [await processor.submit(number) for number in range(3)]
            await wait_all_tasks_blocked()
            await trio.sleep(10)
            await slow.receive()
        responses = [await submission.wait() for submission in submissions]

    assert [(response.waited, response.ran) for response in responses] == [(0, 0), (0, 0), (10, 0)]


async def test_a_context_variable_set_by_a_job_that_was_cancelled_is_not_seen_by_the_next() -> None:
    """The scope is renewed, and the context as well."""
    seen: list[object] = []

    @job
    async def change(request: object) -> None:
        seen.append(variable.get())
        variable.set(request)
        await trio.sleep_forever()

    async with open_processor(change, concurrency=1) as processor:
        for number in range(2):
            submission = await processor.submit(number)
            await wait_all_tasks_blocked()
            await submission.cancel()

    assert seen == ["clean", "clean"]


async def test_a_worker_that_retires_leaves_no_request_waiting() -> None:
    """Another is sent for in its place, though nothing new arrives."""

    @job
    async def change(request: object) -> None:
        variable.set(request)

    async with open_processor(change, concurrency=1) as processor:
        processor.pause()
        submissions = [await processor.submit(number) for number in range(3)]
        processor.resume()
        for submission in submissions:
            await submission.wait()

        assert processor.statistics().succeeded == 3
