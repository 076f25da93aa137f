"""Receivers of progress: in order, and it gives way to items."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs import Disconnected, Lagged, Progress
from trio_jobs._broadcast import Overflow

from .shorthand import Item, fail_on, open_channel, send_all


def test_progress_comes_in_order_with_the_items_to_who_asked_for_it() -> None:
    """And to nobody else; it is not replayed."""
    sender = open_channel(5)
    with sender.subscribe(progress=True) as curious, sender.subscribe() as plain:
        sender._publish_progress(Progress(1, id="a"))
        sender.send_nowait(Item("b"))
        sender._publish_progress(Progress(2, id="a"))
        sender.send_nowait(Item("a"))

        told = [Progress(1, id="a"), Item("b"), Progress(2, id="a"), Item("a")]
        assert curious.receive_many_nowait(3) == told[:3]
        assert curious.receive_nowait() == told[3]
        assert plain.receive_many_nowait() == [Item("b"), Item("a")]
        with sender.subscribe(progress=True, replay=5) as late:
            assert late.receive_many_nowait() == [Item("b"), Item("a")]


def test_progress_respects_ids_and_select() -> None:
    """The predicate is asked about Progress as about anything else."""
    sender = open_channel(5)
    by_id = sender.subscribe(progress=True, ids=["a"])
    by_both = sender.subscribe(progress=True, ids=["a"], select=lambda item: isinstance(item, Item) or item.body > 1)
    without = sender.subscribe(ids=["a"])
    with by_id, by_both, without:
        for body, name in ((1, "a"), (2, "b"), (3, "a")):
            sender._publish_progress(Progress(body, id=name))
        sender.send_nowait(Item("a"))

        assert by_id.receive_many_nowait() == [Progress(1, id="a"), Progress(3, id="a"), Item("a")]
        assert by_both.receive_many_nowait() == [Progress(3, id="a"), Item("a")]
        assert without.receive_many_nowait() == [Item("a")]


def test_a_predicate_that_raises_over_progress_breaks_its_own_subscription() -> None:
    """As over an item."""
    sender = open_channel()
    with sender.subscribe(progress=True, select=fail_on(Progress(1, id="a"))) as receiver:
        sender._publish_progress(Progress(1, id="a"))

        with pytest.raises(trio.BrokenResourceError):
            receiver.receive_nowait()


def test_where_there_is_no_room_the_oldest_progress_is_dropped() -> None:
    """The latest is what matters; it is no lag."""
    sender = open_channel(3)
    with sender.subscribe(progress=True, overflow=Overflow.DROP_OLDEST) as receiver:
        for body in range(5):
            sender._publish_progress(Progress(body, id="a"))

        assert receiver.receive_many_nowait() == [Progress(body, id="a") for body in (2, 3, 4)]
        assert receiver.statistics().skipped == 0


@pytest.mark.parametrize("overflow", Overflow)
def test_progress_makes_room_for_items_before_any_policy_acts(overflow: Overflow) -> None:
    """A queue full of it neither holds up, nor lags, nor cuts off."""
    sender = open_channel(2)
    with sender.subscribe(progress=True, overflow=overflow) as receiver:
        for body in range(2):
            sender._publish_progress(Progress(body, id="a"))
        send_all(sender, "x")
        assert receiver.statistics().unread == 2
        send_all(sender, "y")

        assert receiver.receive_many_nowait() == ["x", "y"]


def test_items_never_give_way_to_progress() -> None:
    """Where there are only items, the new Progress is dropped; between them the oldest goes."""
    sender = open_channel(3)
    with sender.subscribe(progress=True) as receiver:
        send_all(sender, "x", "y", "z")
        sender._publish_progress(Progress(1, id="a"))
        assert receiver.receive_many_nowait() == ["x", "y", "z"]

        send_all(sender, "x")
        sender._publish_progress(Progress(1, id="a"))
        send_all(sender, "y")
        sender._publish_progress(Progress(2, id="a"))
        assert receiver.receive_many_nowait() == ["x", "y", Progress(2, id="a")]


def test_a_receiver_of_progress_lags_by_items_only() -> None:
    """And what is left stays in order."""
    sender = open_channel(2)
    with sender.subscribe(progress=True, overflow=Overflow.DROP_OLDEST) as receiver:
        send_all(sender, 0, 1, 2)
        with pytest.raises(Lagged) as caught:
            receiver.receive_nowait()
        assert caught.value.skipped == 1
        assert receiver.receive_nowait() == 1
        sender._publish_progress(Progress("late", id="a"))

        assert receiver.receive_many_nowait() == [2, Progress("late", id="a")]


def test_one_that_is_cut_off_gets_no_progress_either() -> None:
    """What it had is gone, and nothing comes."""
    sender = open_channel(2)
    with sender.subscribe(progress=True, overflow=Overflow.DISCONNECT) as receiver:
        sender._publish_progress(Progress(1, id="a"))
        send_all(sender, 0, 1, 2)
        sender._publish_progress(Progress(2, id="a"))

        with pytest.raises(Disconnected):
            receiver.receive_many_nowait()


def test_a_fork_of_a_receiver_of_progress_has_it_too() -> None:
    """In the same order, and goes on receiving it."""
    sender = open_channel(5)
    with sender.subscribe(progress=True) as first:
        send_all(sender, 0)
        first.receive_nowait()
        sender._publish_progress(Progress(1, id="a"))
        send_all(sender, 1)
        with first.fork() as second:
            first.receive_many_nowait()
            sender._publish_progress(Progress(2, id="a"))

            assert second.receive_many_nowait() == [Progress(1, id="a"), 1, Progress(2, id="a")]
            assert first.receive_many_nowait() == [Progress(2, id="a")]


def test_a_closed_receiver_keeps_neither_items_nor_progress() -> None:
    """Somebody may keep the handle for long."""
    sender = open_channel(5)
    send_all(sender, 0)
    with sender.subscribe(progress=True, replay=1) as receiver:
        send_all(sender, 1)
        sender._publish_progress(Progress(1, id="a"))

    subscription = receiver._subscription
    assert subscription.replayed is None
    assert subscription.count_new() == 0


async def test_progress_wakes_who_waits_for_it() -> None:
    """It is there to be shown at once."""
    sender = open_channel()
    got: list[object] = []

    async def read() -> None:
        with sender.subscribe(progress=True) as receiver:
            got.append(await receiver.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        sender._publish_progress(Progress("half", id="a"))

    assert got == [Progress("half", id="a")]


def test_progress_after_the_end_is_dropped() -> None:
    """The end is the end."""
    sender = open_channel()
    with sender.subscribe(progress=True) as receiver:
        sender.close()
        sender._publish_progress(Progress(1, id="a"))

        with pytest.raises(trio.EndOfChannel):
            receiver.receive_nowait()
