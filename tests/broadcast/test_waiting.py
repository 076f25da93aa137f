"""Who waits for what, in which order, and how it looks from outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from trio_jobs._broadcast import BroadcastSender, Overflow

from .shorthand import assert_nothing_there, open_channel, send_all, wait_to_send

# -- Order


async def test_waiting_senders_go_first_come_first_served_and_are_not_overtaken() -> None:
    """Who comes when room has just appeared waits behind those who waited; send_nowait too."""
    sender = open_channel(1)
    sent: list[object] = []
    with sender.subscribe() as receiver:
        sender.send_nowait(0)
        async with trio.open_nursery() as nursery:
            for number in (1, 2):
                nursery.start_soon(wait_to_send, sender, number, sent)
                await wait_all_tasks_blocked()
            assert receiver.receive_nowait() == 0
            assert receiver.statistics().unread == 1
            with pytest.raises(trio.WouldBlock):
                sender.send_nowait("barging")
            nursery.start_soon(wait_to_send, sender, 3, sent)
            for expected in (1, 2, 3):
                assert await receiver.receive() == expected

    assert sent == [1, 2, 3]


async def test_all_receivers_see_one_order() -> None:
    """However many senders there are."""
    sender = open_channel(2)
    seen: list[list[tuple[int, int]]] = [[], [], []]

    async def read(log: list[tuple[int, int]]) -> None:
        with sender.subscribe() as receiver:
            log.extend([item async for item in receiver])

    async def send(handle: BroadcastSender[Any], name: int) -> None:
        async with handle:
            for number in range(20):
                await handle.send((name, number))

    async with trio.open_nursery() as nursery:
        for log in seen:
            nursery.start_soon(read, log)
        await sender.wait_for_receivers(3)
        with sender:
            for name in range(4):
                nursery.start_soon(send, sender.clone(), name)

    assert len(seen[0]) == 80
    assert seen[0] == seen[1] == seen[2]
    assert [item for item in seen[0] if item[0] == 3] == [(3, number) for number in range(20)]


def test_all_receivers_share_one_object() -> None:
    """Nothing is copied: send what nobody changes."""
    sender = open_channel()
    item = object()
    with sender.subscribe() as first, sender.subscribe(select=lambda _: True) as second:
        sender.send_nowait(item)

        assert first.receive_nowait() is second.receive_nowait() is item


# -- Batches


async def test_receive_many_is_woken_once_for_a_burst() -> None:
    """It takes all that was sent before it ran."""
    sender = open_channel(100)
    batches: list[list[int]] = []

    async def read() -> None:
        with sender.subscribe() as receiver:
            while True:
                batches.append(await receiver.receive_many())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        send_all(sender, *range(50))
        await wait_all_tasks_blocked()
        send_all(sender, 50)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert batches == [list(range(50)), [50]]


async def test_receive_many_takes_no_more_than_it_was_asked_to() -> None:
    """The rest is there at once the next time."""
    sender = open_channel(10)
    with sender.subscribe() as receiver:
        send_all(sender, *range(5))

        assert await receiver.receive_many(2) == [0, 1]
        assert await receiver.receive_many(max_items=2) == [2, 3]
        assert receiver.receive_many_nowait(2) == [4]
        with pytest.raises(trio.WouldBlock):
            receiver.receive_many_nowait(2)


@pytest.mark.parametrize(
    ("max_items", "error", "message"),
    [
        (0, ValueError, "max_items must be at least 1, got 0"),
        (1.5, TypeError, "max_items must be an int, got 1.5"),
        (True, TypeError, "max_items must be an int, got True"),
    ],
)
async def test_a_max_items_that_makes_no_sense_is_refused(max_items: Any, error: type[Exception], message: str) -> None:
    """0 would never wait and never end."""
    with open_channel().subscribe() as receiver:
        with pytest.raises(error) as caught:
            await receiver.receive_many(max_items)
        assert str(caught.value) == message
        with pytest.raises(error):
            receiver.receive_many_nowait(max_items)


# -- Two tasks on one handle


async def test_a_second_task_on_one_handle_is_told_to_fork() -> None:
    """Whether it would wait or not, while the first one waits or is on its way with an item."""
    sender = open_channel()
    told: list[str] = []

    async def second(receive: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(trio.BusyResourceError) as caught:
            await receive()
        told.append(str(caught.value))

    with sender.subscribe() as receiver:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receiver.receive)
            await wait_all_tasks_blocked()
            nursery.start_soon(second, receiver.receive)
            nursery.start_soon(second, receiver.receive_many)
            await wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                receiver.receive_nowait()
            with pytest.raises(trio.BusyResourceError):
                receiver.receive_many_nowait()
            sender.send_nowait(0)
            with pytest.raises(trio.BusyResourceError):
                receiver.receive_nowait()

        assert_nothing_there(receiver)
    assert told == ["another task receives on this handle: give each task one of its own, with fork()"] * 2


# -- Checkpoints


async def test_every_async_method_is_a_checkpoint_also_where_nothing_has_to_wait() -> None:
    """A loop over them can always be cancelled."""
    sender = open_channel(10)
    receiver = sender.subscribe()

    with assert_checkpoints():
        await sender.send(0)
    with assert_checkpoints():
        assert await receiver.receive() == 0
    await sender.send(1)
    with assert_checkpoints():
        assert await receiver.receive_many() == [1]
    with assert_checkpoints():
        await sender.wait_for_receivers(1)
    with assert_checkpoints():
        await receiver.aclose()
    with assert_checkpoints():
        await sender.wait_no_receivers()
    with assert_checkpoints():
        await sender.aclose()
    with sender.subscribe() as late:
        with assert_checkpoints(), pytest.raises(trio.EndOfChannel):
            await late.receive()


class StepCounter(trio.abc.Instrument):
    """How often one task was run."""

    def __init__(self, task: trio.lowlevel.Task) -> None:
        self.task = task
        self.steps = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps += task is self.task


async def test_each_call_is_one_checkpoint() -> None:
    """What has to wait makes no second one: parking is the checkpoint."""
    sender = open_channel(10)
    counter = StepCounter(trio.lowlevel.current_task())
    with sender.subscribe() as receiver:
        async with trio.open_nursery() as nursery:
            trio.lowlevel.add_instrument(counter)
            try:
                sender.send_nowait(0)
                await receiver.receive()
                assert counter.steps == 1
                nursery.start_soon(sender.send, 1)
                await receiver.receive()
                assert counter.steps == 2
                await sender.send(2)
                assert counter.steps == 3
            finally:
                trio.lowlevel.remove_instrument(counter)


# -- Waiting for receivers, statistics


async def test_a_task_can_wait_until_there_are_receivers_and_until_there_are_none() -> None:
    """A producer starts when somebody listens, and stops when nobody does."""
    sender = open_channel()
    seen: list[str] = []

    async def produce() -> None:
        await sender.wait_for_receivers(2)
        seen.append("two")
        await sender.wait_no_receivers()
        seen.append("none")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        await wait_all_tasks_blocked()
        with sender.subscribe() as first:
            await wait_all_tasks_blocked()
            assert seen == []
            with first.fork():
                await wait_all_tasks_blocked()
                assert seen == ["two"]
            await wait_all_tasks_blocked()
            assert seen == ["two"]

    assert seen == ["two", "none"]


async def test_being_cut_off_counts_as_leaving() -> None:
    """Who gets nothing more is no receiver."""
    sender = open_channel(1)
    with sender.subscribe(overflow=Overflow.DISCONNECT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.wait_no_receivers)
            await wait_all_tasks_blocked()
            send_all(sender, 0, 1)


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [(-1, ValueError, "n must be at least 0, got -1"), ("1", TypeError, "n must be an int, got '1'")],
)
async def test_a_number_of_receivers_that_makes_no_sense_is_refused(
    n: Any, error: type[Exception], message: str
) -> None:
    """At once, not when it waits."""
    with pytest.raises(error) as caught:
        await open_channel().wait_for_receivers(n)

    assert str(caught.value) == message


async def test_statistics_tell_who_has_what_and_who_waits() -> None:
    """Of the channel, and of each receiver."""
    sender = open_channel(2)
    block = sender.subscribe()
    drop = sender.subscribe(overflow=Overflow.DROP_OLDEST)
    cut = sender.subscribe(overflow=Overflow.DISCONNECT)
    quick = sender.subscribe()
    with block, drop, cut, quick:
        send_all(sender, 0, 1)
        quick.receive_many_nowait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.clone().send, 2)
            nursery.start_soon(quick.receive)
            await wait_all_tasks_blocked()

            statistics = sender.statistics()
            assert attrs.asdict(statistics) == {
                "current_buffer_used": 2,
                "max_buffer_size": 2,
                "kept": 2,
                "open_send_channels": 2,
                "open_receive_channels": 4,
                "block_receivers": 2,
                "drop_oldest_receivers": 1,
                "disconnect_receivers": 1,
                "full_block_receivers": 1,
                "tasks_waiting_send": 1,
                "tasks_waiting_receive": 1,
            }
            of_one = quick.statistics()
            assert (of_one.unread, of_one.tasks_waiting_receive, of_one.channel) == (0, 1, statistics)
            assert block.receive_nowait() == 0

        of_one = drop.statistics()
        assert (of_one.unread, of_one.skipped, of_one.overflow) == (2, 1, Overflow.DROP_OLDEST)
        assert sender.statistics().disconnect_receivers == 0
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            statistics.kept = 0  # type: ignore[misc]  # that is the point


def test_what_everybody_has_read_does_not_count_as_used() -> None:
    """It is only kept for replay."""
    sender = open_channel(3)
    with sender.subscribe() as receiver:
        send_all(sender, 0, 1)
        assert sender.statistics().current_buffer_used == 2
        receiver.receive_many_nowait()

        statistics = sender.statistics()
        assert (statistics.current_buffer_used, statistics.kept) == (0, 2)


def test_reprs_show_state() -> None:
    """What one looks for when something does not move."""
    sender = open_channel(2)
    drop = sender.subscribe(overflow=Overflow.DROP_OLDEST)
    send_all(sender, 0)
    assert repr(sender) == "<BroadcastSender 1/2 receivers=1>"
    assert repr(drop) == "<BroadcastReceiver unread=1 overflow=DROP_OLDEST>"

    send_all(sender, 1, 2)
    assert repr(drop) == "<BroadcastReceiver unread=2 overflow=DROP_OLDEST lag=1>"

    drop.close()
    sender.close()
    assert repr(drop) == "<BroadcastReceiver closed>"
    assert repr(sender) == "<BroadcastSender closed>"


async def test_a_send_that_has_to_wait_wakes_nobody() -> None:
    """Neither who has read everything, nor who waits for a number of receivers."""
    sender = open_channel(1)
    with sender.subscribe() as full, sender.subscribe() as waiting:
        sender.send_nowait("first")
        assert waiting.receive_nowait() == "first"
        got: list[object] = []

        async def receive() -> None:
            got.append(await waiting.receive())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await wait_all_tasks_blocked()
            with pytest.raises(trio.WouldBlock):
                sender.send_nowait("second")
            await wait_all_tasks_blocked()
            assert got == []
            full.receive_nowait()
            sender.send_nowait("second")

    assert got == ["second"]
