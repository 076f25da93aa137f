"""What leaves a block whose nursery nobody sees."""

from __future__ import annotations

import pytest
import trio

from trio_jobs._hidden_nursery import open_hidden_nursery


async def fail(error: BaseException) -> None:
    raise error


async def test_an_error_of_the_block_leaves_as_it_was_raised() -> None:
    """Also a group of one, which then was meant."""
    for error in (ValueError("x"), ExceptionGroup("mine", [ValueError("x")])):
        with pytest.raises(type(error)) as caught:
            async with open_hidden_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                raise error

        assert caught.value is error


async def test_the_error_of_a_task_leaves_as_itself() -> None:
    """The block is cancelled by it, and that does not show."""
    error = ValueError("x")
    with pytest.raises(ValueError, match="x") as caught:
        async with open_hidden_nursery() as nursery:
            nursery.start_soon(fail, error)
            await trio.sleep_forever()

    assert caught.value is error


async def test_errors_of_two_tasks_leave_in_one_group() -> None:
    """Not nested once more."""
    with pytest.raises(ExceptionGroup) as caught:
        async with open_hidden_nursery() as nursery:
            nursery.start_soon(fail, ValueError("x"))
            nursery.start_soon(fail, KeyError("y"))

    assert {type(error) for error in caught.value.exceptions} == {ValueError, KeyError}


async def test_errors_of_the_block_and_of_a_task_leave_together() -> None:
    """Neither hides the other."""

    async def fail_on_the_way_out() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise KeyError("task")

    with pytest.raises(BaseExceptionGroup) as caught:
        async with open_hidden_nursery() as nursery:
            nursery.start_soon(fail_on_the_way_out)
            await trio.testing.wait_all_tasks_blocked()
            raise ValueError("block")

    assert [type(error) for error in caught.value.exceptions] == [ValueError, KeyError]


async def test_a_cancellation_from_outside_goes_on_its_way() -> None:
    """It is caught where it belongs."""
    with trio.CancelScope() as scope:
        async with open_hidden_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            scope.cancel()
            await trio.sleep_forever()

    assert scope.cancelled_caught


async def test_a_block_that_ends_waits_for_its_tasks() -> None:
    """As any nursery does."""
    done = False

    async def work() -> None:
        nonlocal done
        await trio.lowlevel.checkpoint()
        done = True

    async with open_hidden_nursery() as nursery:
        nursery.start_soon(work)

    assert done
