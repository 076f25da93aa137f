"""Jobs in processes, real ones: what arrives there, what comes back, and what cancelling does."""

from __future__ import annotations

import functools
import math
import os
import sys
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests import process_functions
from trio_jobs import Job, MissingExtra, process_job
from trio_jobs._process_job import _call_in_process

# -- A decorated function


def test_it_is_still_the_plain_function() -> None:
    """Called as before the decorator, in this process."""
    assert process_functions.double(2) == 4
    assert process_functions.scaled(2, 5) == (10, os.getpid())
    assert process_functions.Group.halve(3) == 1.5


def test_it_looks_like_the_function() -> None:
    """Its names and its docstring are the function's."""
    assert isinstance(process_functions.double, Job)
    assert process_functions.double.name == process_functions.double.__name__ == "double"
    assert process_functions.double.__doc__ == "Twice the number."
    assert process_functions.scaled.name == "scale"
    assert repr(process_functions.scaled) == "<ProcessJob scale>"


def test_a_function_of_the_standard_library_can_be_a_job() -> None:
    """Any that is found by its name."""
    assert process_job(math.factorial).name == "factorial"


@pytest.mark.extra("parallel")
async def test_it_runs_in_another_process_with_its_resources() -> None:
    """Which it does although the job has taken the function's name."""
    value, process = await process_functions.scaled.run(2, 5)

    assert value == 10
    assert process != os.getpid()


@pytest.mark.extra("parallel")
async def test_functions_are_found_under_every_name() -> None:
    """The job's own, another than the job's, and one inside a class."""
    assert await process_functions.double.run(2, None) == 4
    assert await process_functions.renamed.run(2, None) == 6
    assert await process_functions.Group.halve.run(3, None) == 1.5
    assert await process_job(math.factorial).run(5, None) == 120


def test_the_worker_calls_the_function_and_not_the_job() -> None:
    """What runs in the worker process, tried in this one."""
    assert _call_in_process("tests.process_functions", "double", 2) == 4
    assert _call_in_process("tests.process_functions", "plain", 2) == 6
    assert _call_in_process("tests.process_functions", "Group.halve", 3) == 1.5


@pytest.mark.extra("parallel")
async def test_a_process_is_kept_for_the_next_request() -> None:
    """Starting one costs a hundred times what a call does."""
    _, first = await process_functions.scaled.run(2, 5)
    _, second = await process_functions.scaled.run(3, 5)

    assert first == second


@pytest.mark.extra("parallel")
async def test_what_it_raises_arrives() -> None:
    """With its type, its words and its traceback."""
    with pytest.raises(ValueError, match="no such thing") as caught:
        await process_functions.fail.run("no such thing", None)

    assert caught.traceback[-1].name == "fail"


@pytest.mark.extra("parallel")
async def test_a_process_that_dies_is_a_failure_of_its_request_alone() -> None:
    """The next one gets another process."""
    with pytest.raises(Exception, match="Worker died unexpectedly"):
        await process_functions.die.run(7, None)

    assert await process_functions.double.run(2, None) == 4


@pytest.mark.extra("parallel")
async def test_what_cannot_be_pickled_is_a_failure_of_its_request_alone() -> None:
    """On the way there, and on the way back."""
    with pytest.raises(Exception, match="pickle"):
        await process_functions.double.run(lambda: None, None)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(Exception, match="pickle"):
        await process_functions.return_what_cannot_be_pickled.run(None, None)

    assert await process_functions.double.run(2, None) == 4


# -- Cancelling


@pytest.mark.extra("parallel")
async def test_cancelling_kills_the_process() -> None:
    """Also one that never looks: when the job is gone, so is its process."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(process_functions.spin.run, port, None)
        stream = await listener.accept()
        process = int(await stream.receive_some())
        nursery.cancel_scope.cancel()

    assert nursery.cancel_scope.cancelled_caught
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    await stream.aclose()


@pytest.mark.extra("parallel")
async def test_cancelled_while_it_waits_for_a_process_nothing_is_called() -> None:
    """``max_processes`` is the job's own; the others wait, and may stop waiting."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(process_functions.spin.run, port, None)
        stream = await listener.accept()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as waiting:
                waiting.start_soon(process_functions.spin.run, port, None)
                await wait_all_tasks_blocked()
                assert process_functions.spin._limiter_in_force().statistics().tasks_waiting == 1
                scope.cancel()
        nursery.cancel_scope.cancel()

    assert scope.cancelled_caught
    await stream.aclose()


# -- Limits


async def test_every_core_is_used_unless_told_otherwise() -> None:
    """The limiter of a job is its own."""
    assert process_functions.double._limiter_in_force().total_tokens == os.cpu_count()
    assert process_functions.scaled._limiter_in_force().total_tokens == 1
    assert process_functions.double._limiter_in_force() is process_functions.double._limiter_in_force()


# -- Misuse


async def test_without_the_extra_running_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decorating and calling need nothing."""
    monkeypatch.setitem(sys.modules, "trio_parallel", None)

    with pytest.raises(MissingExtra) as caught:
        await process_functions.double.run(2, None)

    assert str(caught.value) == '@process_job needs the extra "parallel": pip install "trio-jobs[parallel]"'


async def async_function(request: object) -> None: ...


class Method:
    def work(self, request: object) -> None: ...

    def __call__(self, request: object) -> None: ...


def nested() -> Callable[[object], None]:
    def inner(request: object) -> None: ...

    return inner


a_lambda: Callable[[object], None] = lambda request: None  # noqa: E731  # the mistake
a_list: list[object] = []

TOP_LEVEL = "a worker process does not find it by its name: use a function at the top level of a module"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (a_lambda, f"@process_job cannot use <lambda>, {TOP_LEVEL}"),
        (nested(), f"@process_job cannot use inner, {TOP_LEVEL}"),
        (Method().work, f"@process_job cannot use work, {TOP_LEVEL}"),
        (Method(), f"@process_job cannot use Method, {TOP_LEVEL}"),
        (functools.partial(process_functions.plain), f"@process_job cannot use plain, {TOP_LEVEL}"),
        (a_list.append, f"@process_job cannot use append, {TOP_LEVEL}"),
        (async_function, "@process_job cannot use async_function, it is an async function: use @job"),
        (Method, "@process_job cannot use Method, it is a class: subclass Job, or decorate a function"),
        (Method.work, "@process_job cannot use work, it is a method: decorate the bound one: job(thing.method)"),
        (process_functions.double, "@process_job cannot use double, it is a job already: give it to a processor"),
    ],
)
def test_what_no_worker_process_finds_is_refused(function: Any, message: str) -> None:
    """When it is decorated; the message names the function, what is wrong and the mend."""
    with pytest.raises(TypeError) as caught:
        process_job(function)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_processes": 0}, ValueError, "max_processes must be at least 1, got 0"),
        ({"max_processes": 1.5}, TypeError, "max_processes must be an int, got 1.5"),
        ({"name": 3}, TypeError, "name must be a str with at least one character, got 3"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """The message names the option and what it was given."""
    with pytest.raises(error) as caught:
        process_job(**options)(process_functions.plain)

    assert str(caught.value) == message
