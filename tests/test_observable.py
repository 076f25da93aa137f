"""The typed face of trio-util's AsyncValue: what it promises is there."""

from __future__ import annotations

from contextlib import aclosing

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from trio_jobs._observable import observable


def test_it_has_a_value_that_can_be_set() -> None:
    """Without a run, too."""
    state = observable("new")
    assert state.value == "new"
    state.value = "running"

    assert state.value == "running"


async def test_a_value_can_be_waited_for() -> None:
    """It is returned as soon as it is there, at once if it is there already."""
    state = observable("new")
    seen: list[str] = []

    async def wait() -> None:
        seen.append(await state.wait_value("running"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        state.value = "paused"
        await wait_all_tasks_blocked()
        assert seen == []
        state.value = "running"

    assert seen == ["running"]
    with assert_checkpoints():
        assert await state.wait_value("running") == "running"


async def test_a_predicate_can_be_waited_for() -> None:
    """What fulfilled it is returned, although it has changed since."""
    count = observable(0)
    seen: list[int] = []

    async def wait() -> None:
        seen.append(await count.wait_value(lambda value: value >= 2))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        count.value = 1
        count.value = 2
        count.value = 0

    assert seen == [2]


async def test_a_value_can_be_waited_for_until_it_has_lasted(autojump_clock: MockClock) -> None:
    """``held_for`` seconds."""
    state = observable("up")
    with trio.fail_after(4):
        await state.wait_value("up", held_for=3)

    assert trio.current_time() == 3


async def test_a_wait_can_be_cancelled() -> None:
    """And leaves nothing behind that a later value would find."""
    state = observable("new")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(state.wait_value, "running")
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    state.value = "running"

    assert state.value == "running"


async def test_a_reader_sees_the_present_value_and_the_latest_of_the_later() -> None:
    """Those that came and went unseen are left out."""
    count = observable(1)
    seen: list[int] = []

    async def read() -> None:
        async with aclosing(count.eventual_values()) as values:
            async for value in values:  # pragma: no branch  # the values never end
                seen.append(value)
                if value == 4:
                    break

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        count.value = 2
        count.value = 3
        await wait_all_tasks_blocked()
        count.value = 4

    assert seen == [1, 3, 4]


def test_what_it_starts_as_has_to_be_said() -> None:
    """There is no value for none."""
    with pytest.raises(TypeError):
        observable()  # type: ignore[call-arg]  # the mistake
