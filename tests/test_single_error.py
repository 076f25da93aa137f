"""Leaving a nursery with the one error that happened in it."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Iterator

import pytest
import trio

from trio_jobs._single_error import single_error


@pytest.fixture
def no_gc() -> Iterator[None]:
    """Nothing is collected but by reference counts."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def cancelled() -> trio.Cancelled:
    """A Cancelled as Trio raises one."""

    raised: list[trio.Cancelled] = []

    async def be_cancelled() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as error:
                raised.append(error)

    trio.run(be_cancelled)
    return raised.pop()  # not left there: it would be a cycle


def group(*errors: BaseException) -> BaseExceptionGroup[BaseException]:
    return BaseExceptionGroup("of a nursery", errors)


def raised_for(error: BaseException) -> BaseException | None:
    """What leaves the block that ``error`` is raised in."""
    try:
        with single_error():
            raise error
    except BaseException as left:
        return left


def test_no_error_leaves_no_error() -> None:
    """A block that ends ends."""
    with single_error():
        pass


def test_an_error_without_a_group_passes() -> None:
    """There is nothing to unwrap."""
    error = ValueError()

    assert raised_for(error) is error


def test_the_only_error_of_a_group_is_raised_instead() -> None:
    """The very object, so that callers can catch it by its class."""
    error = ValueError()

    assert raised_for(group(error)) is error


def test_the_only_error_of_nested_groups_is_raised_instead() -> None:
    """However many nurseries it came through."""
    error = KeyboardInterrupt()

    assert raised_for(group(group(group(error)))) is error


@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
def test_a_group_of_several_errors_passes(nested: bool) -> None:
    """None of them is more to the point than the others."""
    one, other = ValueError(), KeyError()
    several = group(group(one), other) if nested else group(one, other)

    assert raised_for(several) is several


def test_cancelled_beside_the_only_error_is_dropped() -> None:
    """The siblings were cancelled because of the error."""
    error = ValueError()

    assert raised_for(group(cancelled(), group(error, cancelled()))) is error


def test_cancelled_beside_several_errors_stays() -> None:
    """What passes, passes as it is."""
    several = group(ValueError(), cancelled(), KeyError())

    assert raised_for(several) is several


def test_cancelled_alone_is_raised_once() -> None:
    """The scope that it belongs to catches it."""
    one = cancelled()

    assert raised_for(group(group(one), cancelled())) is one


async def test_a_cancelled_nursery_in_it_ends_quietly() -> None:
    """The scope around sees a Cancelled and catches it."""
    with trio.move_on_after(0) as scope:
        with single_error():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                nursery.start_soon(trio.sleep_forever)

    assert scope.cancelled_caught


@pytest.mark.parametrize("suppressed", [False, True], ids=["context", "cause"])
def test_what_led_to_the_error_is_kept_and_the_group_is_not_shown(suppressed: bool) -> None:
    """The group is an accident of the implementation, what the error was raised in or from is not."""
    first = KeyError("first")
    error = ValueError("then")
    try:
        try:
            raise first
        except KeyError:
            raise error from (first if suppressed else None)
    except ValueError:
        pass
    error.__suppress_context__ = suppressed

    left = raised_for(group(error))

    assert left is not None
    assert left.__context__ is first
    assert left.__suppress_context__ is suppressed
    assert "Group" not in "".join(traceback.format_exception(left))


def test_an_error_without_context_gets_none() -> None:
    """Nothing led to it."""
    left = raised_for(group(ValueError()))

    assert left is not None
    assert left.__context__ is None


@pytest.mark.usefixtures("no_gc")
def test_the_raised_error_is_freed_with_its_last_reference() -> None:
    """No frame in its traceback holds it, nor the group."""

    class Marked(Exception):
        pass

    def block() -> None:
        with single_error():
            raise ExceptionGroup("of a nursery", [Marked()])

    with pytest.raises(Marked):
        block()

    assert not [thing for thing in gc.get_objects() if isinstance(thing, Marked)]
