"""Jobs in threads: what they see there, and what becomes of the thread when the job is cancelled."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs import Job, Processor, Progress, Request, open_processor, report, thread_job

from .fake_runner import FakeRunner

variable: ContextVar[str] = ContextVar("variable", default="outside")


class Blocked:
    """A blocking function that tells when its thread is in it, and stays there until it is let go."""

    def __init__(self, then: Callable[[], Any] = lambda: "done") -> None:
        self.entered = trio.Event()
        self.let_go = threading.Event()
        self._then = then

    def __call__(self, request: object) -> Any:
        trio.from_thread.run_sync(self.entered.set)
        self.let_go.wait()
        return self._then()


@pytest.fixture
def blocked() -> Iterator[Blocked]:
    """One whose thread does not outlive the test."""
    function = Blocked()
    yield function
    function.let_go.set()


def raise_value_error() -> None:
    raise ValueError("from the thread")


async def end_of(limiter: trio.CapacityLimiter) -> None:
    """Wait until the one token is back, so until no thread is left."""
    async with limiter:
        pass


# -- A decorated function


@thread_job
def double(number: int) -> int:
    """Twice the number."""
    return number * 2


def test_it_is_still_the_plain_function() -> None:
    """Called as before the decorator, in the thread that calls it."""

    @thread_job
    def where(request: object) -> threading.Thread:
        return threading.current_thread()

    assert double(2) == 4
    assert where(None) is threading.current_thread()


def test_it_looks_like_the_function() -> None:
    """Its names and its docstring are the function's."""
    assert isinstance(double, Job)
    assert double.name == double.__name__ == "double"
    assert double.__doc__ == "Twice the number."
    assert repr(double) == "<ThreadJob double>"


async def test_it_runs_in_a_thread_of_its_name() -> None:
    """Not in Trio's own."""

    @thread_job(name="renderer")
    def where(request: object) -> tuple[int, str]:
        return threading.get_ident(), threading.current_thread().name

    ident, name = await where.run(None, None)

    assert ident != threading.get_ident()
    assert name == "renderer"


async def test_it_is_given_the_resources_if_it_takes_them() -> None:
    """As a job of an async function is."""

    @thread_job
    def scaled(number: int, factor: int) -> int:
        return number * factor

    assert await scaled.run(2, 5) == 10
    assert await double.run(2, 5) == 4


async def test_context_variables_are_visible_in_the_thread() -> None:
    """Those of whoever runs the job; what the thread sets does not come back."""

    @thread_job
    def look(request: object) -> str:
        seen = variable.get()
        variable.set("set in the thread")
        return seen

    variable.set("here")

    assert await look.run(None, None) == "here"
    assert variable.get() == "here"


async def test_it_reports_progress_from_the_thread() -> None:
    """Through ``trio.from_thread.run``."""

    @thread_job
    def halves(number: int) -> int:
        trio.from_thread.run(report, "half")
        return number

    async with open_processor(halves) as processor:
        with processor.subscribe(progress=True) as progress:
            request = Request(2)
            await processor.request_sender().send(request)

            received: object = await progress.receive()

    assert received == Progress("half", id=request.id)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), BaseExceptionGroup("g", [KeyboardInterrupt()])])
async def test_what_it_raises_arrives(error: BaseException) -> None:
    """The very exception, and nothing hangs on to it."""

    @thread_job
    def fail(request: object) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        await fail.run(None, None)

    assert caught.value is error
    assert error.__context__ is None


async def test_an_error_holds_no_cycle() -> None:
    """What a failed function had in its hands is freed at once, not when the garbage is next collected."""

    class Large:
        """Something that ought to be freed."""

    seen: list[weakref.ref[Large]] = []

    @thread_job
    def fail(request: object) -> None:
        large = Large()
        seen.append(weakref.ref(large))
        raise ValueError("no")

    gc.collect()
    gc.disable()
    try:
        with suppress(ValueError):
            await fail.run(None, None)
        await trio.lowlevel.checkpoint()

        assert seen[0]() is None
    finally:
        gc.enable()


async def test_a_coroutine_is_no_response() -> None:
    """A sync function that returns what should have been awaited is told to be an async one."""

    @thread_job
    def wrong(request: object) -> object:
        return trio.sleep_forever()  # noqa: ASYNC105  # the mistake

    with pytest.raises(TypeError, match="the function of a @thread_job returned a coroutine: use @job"):
        await wrong.run(None, None)


# -- Cancelling


async def test_cancelled_it_waits_for_the_thread_and_returns_its_value(blocked: Blocked) -> None:
    """As Trio does: what was done was done, the cancellation comes at the next checkpoint."""
    response = None
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def let_go() -> None:
                await blocked.entered.wait()
                scope.cancel()
                with trio.CancelScope(shield=True):
                    await wait_all_tasks_blocked()
                assert response is None
                blocked.let_go.set()

            nursery.start_soon(let_go)
            response = await thread_job(blocked).run(None, None)

    assert response == "done"
    assert scope.cancel_called


async def responses_when_cancelled(function: Blocked) -> list[object]:
    """Run it, cancel it while its thread is in it, and let the thread go: what it returned, if anything."""
    responses: list[object] = []
    async with trio.open_nursery() as nursery:

        async def let_go() -> None:
            await function.entered.wait()
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await wait_all_tasks_blocked()
            function.let_go.set()

        nursery.start_soon(let_go)
        responses.append(await thread_job(function).run(None, None))
    return responses


async def test_cancelled_it_raises_what_the_thread_raises() -> None:
    """An error is not lost because the request was cancelled; and it does not pretend to come from that."""
    with pytest.raises(ExceptionGroup) as caught:
        await responses_when_cancelled(Blocked(raise_value_error))

    (error,) = caught.value.exceptions
    assert str(error) == "from the thread"
    assert error.__context__ is None


async def test_cancelled_it_ends_where_the_thread_looks() -> None:
    """``check_cancelled`` raises in the thread, and the job is then just cancelled."""
    assert await responses_when_cancelled(Blocked(trio.from_thread.check_cancelled)) == []


async def test_a_thread_that_looks_in_a_loop_ends() -> None:
    """The way it is meant to be used."""
    entered = trio.Event()

    @thread_job
    def poll(request: object) -> None:
        trio.from_thread.run_sync(entered.set)
        while True:
            trio.from_thread.check_cancelled()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll.run, None, None)
        await entered.wait()
        nursery.cancel_scope.cancel()

    assert nursery.cancel_scope.cancelled_caught


async def test_a_cancelled_without_cancellation_is_the_functions_own() -> None:
    """Whoever runs the job tells a stray Cancelled from a real one; it must see it for that."""
    kept: list[trio.Cancelled] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as error:
            kept.append(error)
            raise

    @thread_job
    def stray(request: object) -> None:
        raise kept[0]

    with pytest.raises(trio.Cancelled) as caught:
        await stray.run(None, None)

    assert caught.value is kept[0]


async def test_abandoned_it_returns_at_once_and_the_thread_keeps_its_token(blocked: Blocked) -> None:
    """``abandon_on_cancel=True``: the wait ends, the thread goes on and counts until it is gone."""
    limiter = trio.CapacityLimiter(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(thread_job(limiter=limiter, abandon_on_cancel=True)(blocked).run, None, None)
        await blocked.entered.wait()
        nursery.cancel_scope.cancel()

    assert limiter.borrowed_tokens == 1

    blocked.let_go.set()
    await end_of(limiter)


@pytest.mark.parametrize("abandon_on_cancel", [True, False])
async def test_cancelled_while_it_waits_for_a_thread_nothing_is_called(abandon_on_cancel: bool) -> None:
    """There is no thread to wait for then."""
    called: list[object] = []
    limiter = trio.CapacityLimiter(1)
    waiting = thread_job(limiter=limiter, abandon_on_cancel=abandon_on_cancel)(called.append)
    async with limiter, trio.open_nursery() as nursery:
        nursery.start_soon(waiting.run, "request", None)
        await wait_all_tasks_blocked()
        assert limiter.statistics().tasks_waiting == 1
        nursery.cancel_scope.cancel()

    assert called == []
    assert limiter.borrowed_tokens == 0


async def test_cancelled_before_it_began_nothing_is_called() -> None:
    """It is a checkpoint."""
    called: list[object] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        await thread_job(called.append).run("request", None)

    assert scope.cancelled_caught
    assert called == []


async def test_whoever_runs_it_can_end_the_wait(blocked: Blocked) -> None:
    """The thread is then left to itself, and its token with it."""
    limiter = trio.CapacityLimiter(1)
    runner = FakeRunner()
    with runner.run(Request(None)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(thread_job(limiter=limiter)(blocked).run, None, None)
            await blocked.entered.wait()
            assert runner.shields == set()
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await wait_all_tasks_blocked()
            (shield,) = runner.shields
            shield.cancel()

    assert nursery.cancel_scope.cancelled_caught
    assert runner.shields == set()
    assert limiter.borrowed_tokens == 1

    blocked.let_go.set()
    await end_of(limiter)


async def test_a_drain_does_not_wait_for_a_thread_longer_than_the_clean_up_limit(
    blocked: Blocked, autojump_clock: trio.testing.MockClock
) -> None:
    """The request is handed back, the thread is left to itself."""
    limiter = trio.CapacityLimiter(1)
    async with trio.open_nursery() as nursery:
        processor = Processor(thread_job(limiter=limiter)(blocked))
        await nursery.start(processor.run)
        request = Request(None)
        await processor.request_sender().send(request)
        await blocked.entered.wait()
        started = trio.current_time()
        drained = await processor.drain(2)

    assert drained.handed_back == (request.id,)
    assert drained.left == ()
    assert trio.current_time() - started == 2 + 5

    blocked.let_go.set()
    await end_of(limiter)


# -- Limiters


async def test_no_more_threads_than_were_allowed() -> None:
    """``max_threads`` is the job's own; the others wait."""
    first, second = Blocked(), Blocked()

    @thread_job(max_threads=1)
    def run(function: Blocked) -> Any:
        return function(None)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run.run, first, None)
        await first.entered.wait()
        nursery.start_soon(run.run, second, None)
        await wait_all_tasks_blocked()
        assert run._limiter_in_force().statistics().tasks_waiting == 1

        second.let_go.set()
        first.let_go.set()

    assert second.entered.is_set()


async def test_a_job_does_not_use_the_threads_of_trio() -> None:
    """Trio's own limiter, which its files and its name look-ups use, is left alone."""
    others = trio.to_thread.current_default_thread_limiter()

    @thread_job
    def look(request: object) -> int:
        return others.borrowed_tokens

    assert await look.run(None, None) == 0


def test_every_run_of_trio_starts_with_all_threads(blocked: Blocked) -> None:
    """A thread that was abandoned in an earlier run holds no token in the next."""

    @thread_job(max_threads=1, abandon_on_cancel=True)
    def run(function: Callable[[object], Any]) -> Any:
        return function(None)

    async def abandon() -> None:
        blocked.entered = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.run, blocked, None)
            await blocked.entered.wait()
            nursery.cancel_scope.cancel()

    trio.run(abandon)

    assert trio.run(run.run, repr, None) == "None"


async def test_jobs_may_share_a_limiter() -> None:
    """Two jobs that press the same thing are limited together."""
    limiter = trio.CapacityLimiter(3)

    @thread_job(limiter=limiter)
    def one(request: object) -> int:
        return limiter.borrowed_tokens

    @thread_job(limiter=limiter)
    def other(request: object) -> int:
        return limiter.borrowed_tokens

    assert await one.run(None, None) == await other.run(None, None) == 1


# -- Misuse


async def async_function(request: object) -> None: ...


async def async_generator(request: object) -> AsyncIterator[object]:
    yield request  # pragma: no cover  # it is refused before it runs


class Method:
    def work(self, request: object) -> None: ...


def no_parameter() -> None: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (async_function, "@thread_job cannot use async_function, it is an async function: use @job"),
        (async_generator, "@thread_job cannot use async_generator, it is an async generator: a job returns one"),
        (Method, "@thread_job cannot use Method, it is a class: subclass Job, or decorate a function"),
        (Method.work, "@thread_job cannot use work, it is a method: decorate the bound one"),
        (double, "@thread_job cannot use double, it is a job already"),
        (None, "@thread_job cannot use None, it is not callable"),
        (no_parameter, "@thread_job cannot use no_parameter, it takes no request"),
    ],
)
def test_what_cannot_run_in_a_thread_is_refused(function: Any, message: str) -> None:
    """The message names the function, what is wrong and the mend."""
    with pytest.raises(TypeError) as caught:
        thread_job()(function)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_threads": 0}, ValueError, "max_threads must be at least 1, got 0"),
        ({"max_threads": "3"}, TypeError, "max_threads must be an int, got '3'"),
        ({"max_threads": True}, TypeError, "max_threads must be an int, got True"),
        ({"limiter": 3}, TypeError, "limiter must be a trio.CapacityLimiter, for a number use max_threads, got 3"),
        (
            {"limiter": trio.CapacityLimiter(1), "max_threads": 1},
            TypeError,
            "max_threads goes with the job's own limiter, give only one of max_threads and limiter",
        ),
        ({"abandon_on_cancel": "no"}, TypeError, "abandon_on_cancel must be True or False, got 'no'"),
        ({"name": ""}, TypeError, "name must be a str with at least one character, got ''"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """The message names the option and what it was given."""
    with pytest.raises(error) as caught:
        thread_job(**options)(double.__wrapped__)

    assert str(caught.value) == message
