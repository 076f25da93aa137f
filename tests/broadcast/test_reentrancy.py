"""Predicates and sinks that do something: foreign code in the middle of a send or a receive."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs import Progress
from trio_jobs._broadcast import BroadcastReceiver

from .shorthand import Item, Log, is_even, open_channel, send_all


def test_a_receiver_may_be_closed_in_its_own_predicate() -> None:
    """It gets nothing, whatever it answers."""
    sender = open_channel(1)
    receiver: BroadcastReceiver[Any]

    def close_and_agree(_: object) -> bool:
        receiver.close()
        return True

    receiver = sender.subscribe(select=close_and_agree)
    send_all(sender, 0, 1)

    assert sender.statistics().open_receive_channels == 0
    with pytest.raises(trio.ClosedResourceError):
        receiver.receive_nowait()


def test_a_predicate_may_close_its_receiver_and_raise() -> None:
    """Closed is closed."""
    sender = open_channel(1)
    receiver: BroadcastReceiver[Any]

    def close_and_raise(_: object) -> bool:
        receiver.close()
        raise ValueError

    receiver = sender.subscribe(select=close_and_raise)
    sender.send_nowait(0)

    with pytest.raises(trio.ClosedResourceError):
        receiver.receive_nowait()


def test_another_receiver_may_be_closed_in_a_predicate() -> None:
    """It gets nothing, and does not hold up the send that asks."""
    sender = open_channel(1)
    full = sender.subscribe(select=lambda _: True)
    sender.send_nowait(0)

    with sender.subscribe(select=lambda _: full.close() is None) as receiver:
        sender.send_nowait(1)

        assert receiver.receive_nowait() == 1


def test_another_receiver_of_progress_may_be_closed_in_a_predicate() -> None:
    """It is not given what was on its way."""
    sender = open_channel(1)
    other: BroadcastReceiver[Any]
    with sender.subscribe(select=lambda _: other.close() is None, progress=True) as receiver:
        other = sender.subscribe(progress=True)
        sender._publish_progress(Progress(1, id="a"))

        assert receiver.receive_nowait() == Progress(1, id="a")
        assert other._subscription.count_new() == 0


def test_who_subscribes_in_a_predicate_receives_the_item_that_is_asked_about() -> None:
    """It was not accepted yet."""
    sender = open_channel(1)
    made: list[BroadcastReceiver[Any]] = []

    def subscribe_both(_: object) -> bool:
        made.append(sender.subscribe())
        made.append(sender.subscribe(select=lambda _: True))
        return True

    with sender.subscribe(select=subscribe_both):
        sender.send_nowait(0)

    for receiver in made:
        assert receiver.receive_nowait() == 0
        receiver.close()


def test_what_is_sent_in_a_predicate_comes_before_the_item_that_is_asked_about() -> None:
    """One order for all, and room is looked for after that."""
    sender = open_channel(2)

    def send_first(item: object) -> bool:
        if item != "first":
            sender.send_nowait("first")
        return True

    with sender.subscribe(select=send_first) as receiver, sender.subscribe() as plain:
        sender.send_nowait("second")
        with pytest.raises(trio.WouldBlock):
            sender.send_nowait("third")

        assert receiver.receive_many_nowait() == plain.receive_many_nowait() == ["first", "second"]


@pytest.mark.parametrize("failing", [False, True])
def test_a_channel_that_ends_in_a_predicate_does_not_accept_the_item(failing: bool) -> None:
    """The sender is told that it is closed."""
    sender = open_channel()

    def end(_: object) -> bool:
        if failing:
            sender.fail(ValueError())
        else:
            sender.close()
        return True

    with sender.subscribe(select=end) as receiver:
        with pytest.raises(trio.ClosedResourceError):
            sender.send_nowait(0)

        with pytest.raises(trio.BrokenResourceError if failing else trio.EndOfChannel):
            receiver.receive_nowait()


async def test_a_waiting_sender_that_is_cancelled_in_a_predicate_has_not_sent() -> None:
    """Although it was its turn."""
    sender = open_channel(1)
    scope = trio.CancelScope()

    def cancel(item: object) -> bool:
        if item == "cancelled":
            scope.cancel()
        return True

    async def send() -> None:
        with scope:
            await sender.send("cancelled")
        await sender.send("sent")

    with sender.subscribe() as plain:
        sender.send_nowait(0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await wait_all_tasks_blocked()
            with sender.subscribe(select=cancel) as receiver:
                assert plain.receive_nowait() == 0
                await wait_all_tasks_blocked()

                assert plain.receive_nowait() == "sent"
                assert receiver.receive_nowait() == "sent"


async def test_room_that_is_made_in_a_predicate_is_used_by_the_sender_that_asks() -> None:
    """And by nobody twice."""
    sender = open_channel(1)
    with sender.subscribe(select=lambda _: True) as full:
        full_fork = full.fork()
        send_all(sender, 0)
        full_fork.close()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.send, 1)
            await wait_all_tasks_blocked()
            with sender.subscribe(select=lambda _: full.receive_nowait() == 0) as receiver:
                sender._channel.admit()

                assert receiver.receive_many_nowait() == [1]
        assert full.receive_many_nowait() == [1]


async def test_a_receiver_may_be_closed_while_it_receives() -> None:
    """It makes room, a waiting sender goes on, and somebody who hears of that closes it: it returns what it took."""
    for select in (None, bool):
        sender = open_channel(1)
        receiver = sender.subscribe(select=select)
        sender._watch("a", Log(receiver.close))
        sender.send_nowait("taken")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.send, Item("a"))
            await wait_all_tasks_blocked()

            assert await receiver.receive() == "taken"
        assert sender.statistics().open_receive_channels == 0


async def test_nothing_that_changes_a_channel_is_torn_by_ctrl_c() -> None:
    """Whatever it calls sees itself protected: an interrupt comes before or after."""
    sender = open_channel(1)
    protected: list[bool] = []

    def note(_: object) -> bool:
        protected.append(trio.lowlevel.currently_ki_protected())
        return True

    def sink() -> Log:
        return Log(lambda: note(None) and None)

    assert not trio.lowlevel.currently_ki_protected()
    sender.send_nowait(0)
    plain = sender.subscribe()
    with sender.subscribe(select=note, replay=1, progress=True):
        sender._watch("a", sink())
        sender.send_nowait(Item("a"))
        sender._publish_progress(Progress(1, id="a"))
        sender._watch("b", sink())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.send, Item("b"))
            await wait_all_tasks_blocked()
            sender._disconnect_blocking()
    plain.close()
    sender._watch("c", sink())
    await sender.send(Item("c"))
    sender._watch("d", sink())
    sender._end_watcher("d", None)
    sender._watch("e", sink())
    sender.close()
    sender._watch("f", sink())

    assert len(protected) == 10
    assert all(protected)


async def test_when_the_first_waiting_sender_gives_up_the_next_may_go_on() -> None:
    """Its item was not wanted by who was in the way."""
    sender = open_channel(1)
    with sender.subscribe(select=is_even) as receiver:
        sender.send_nowait(0)
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as inner:
                    inner.start_soon(sender.send, 2)
                    await wait_all_tasks_blocked()
                    nursery.start_soon(sender.send, 3)
                    await wait_all_tasks_blocked()
                    assert sender.statistics().tasks_waiting_send == 2
                    scope.cancel()
            await wait_all_tasks_blocked()
            assert sender.statistics().tasks_waiting_send == 0

        assert receiver.receive_many_nowait() == [0]


async def test_when_the_first_waiting_sender_is_closed_the_next_may_go_on() -> None:
    """As when it gives up."""
    sender = open_channel(1)
    clone = sender.clone()

    async def wait_in_vain() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await clone.send(2)

    with sender.subscribe(select=is_even):
        sender.send_nowait(0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_in_vain)
            await wait_all_tasks_blocked()
            nursery.start_soon(sender.send, 3)
            await wait_all_tasks_blocked()
            clone.close()


def test_a_sink_may_do_anything() -> None:
    """It is told last, when everything else is as it will be."""
    sender = open_channel(2)
    receiver = sender.subscribe()
    seen: list[object] = []

    def act() -> None:
        seen.append(receiver.receive_nowait())
        receiver.close()
        with sender.subscribe(replay=1) as late:
            seen.append(late.receive_nowait())
        sender.send_nowait("more")
        sender._watch("a", Log(sender.close))

    sender._watch("a", Log(act))
    send_all(sender, Item("a"))
    assert seen == [Item("a"), Item("a")]
    send_all(sender, Item("a"))

    with pytest.raises(trio.ClosedResourceError):
        sender.send_nowait(0)


async def test_a_sink_may_cancel_the_sender_whose_item_it_gets() -> None:
    """Too late: what was accepted was sent."""
    sender = open_channel(1)
    scope = trio.CancelScope()
    sender._watch("a", Log(scope.cancel))
    returned = False

    async def send() -> None:
        nonlocal returned
        with scope:
            await sender.send(Item("a"))
            returned = True

    with sender.subscribe() as receiver:
        sender.send_nowait(0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await wait_all_tasks_blocked()
            receiver.receive_nowait()

        assert returned
        assert receiver.receive_nowait() == Item("a")
