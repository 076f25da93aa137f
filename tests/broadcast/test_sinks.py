"""Callers in this process that are told synchronously, and slow receivers that are given up."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs import Disconnected
from trio_jobs._broadcast import Asked, Overflow

from .shorthand import Item, Log, is_even, open_channel, send_all

# -- Sinks


def test_a_sink_gets_one_item_of_its_id_with_the_cause() -> None:
    """One answer each; a plain send has no cause."""
    sender = open_channel()
    cause = ValueError()
    with_cause, without = Log(), Log()
    sender._watch("a", with_cause)
    sender._watch("b", without)

    sender._publish_nowait(Item("c"), cause, {})
    sender._publish_nowait(Item("a", 1), cause, {})
    sender._publish_nowait(Item("a", 2), cause, {})
    sender.send_nowait(Item("b"))

    assert with_cause.told == [(Item("a", 1), cause)]
    assert without.told == [(Item("b"), None)]
    assert sender._channel.sinks == {}


async def test_a_sink_gets_its_item_exactly_when_it_is_accepted() -> None:
    """Not while the sender waits, and not if it gave up; and it never holds one up itself."""
    sender = open_channel(1)
    sink = Log()
    sender._watch("a", sink)
    with sender.subscribe() as receiver:
        sender.send_nowait("first")
        with pytest.raises(trio.WouldBlock):
            sender._publish_nowait(Item("a"), None, {})
        with trio.move_on_after(0):
            await sender.send(Item("a"))
        async with trio.open_nursery() as nursery:
            asked: Asked = {}
            nursery.start_soon(sender._publish, Item("a"), None, asked)
            await wait_all_tasks_blocked()
            assert sink.told == []
            receiver.receive_nowait()
            assert sink.told == [(Item("a"), None)]


def test_a_second_sink_for_an_id_is_refused() -> None:
    """The first has it still, and when that has its item the next may come."""
    sender = open_channel()
    first, second = Log(), Log()
    sender._watch("a", first)
    with pytest.raises(ValueError, match="a request with the id 'a' has not been answered yet: ids must be unique"):
        sender._watch("a", second)
    sender.send_nowait(Item("a", 1))
    sender._watch("a", second)
    sender.send_nowait(Item("a", 2))

    assert (first.told, second.told) == ([(Item("a", 1), None)], [(Item("a", 2), None)])


def test_a_sink_and_receivers_of_one_id_all_get_it() -> None:
    """The sink once, the receivers go on."""
    sender = open_channel()
    sink = Log()
    with sender.subscribe(ids=["a"]) as receiver:
        sender._watch("a", sink)
        send_all(sender, Item("a", 1), Item("a", 2))

        assert receiver.receive_many_nowait() == [Item("a", 1), Item("a", 2)]
    assert sink.told == [(Item("a", 1), None)]


def test_a_sink_that_was_taken_back_gets_nothing() -> None:
    """Taking back what is gone already, or was never there, is no error and takes nobody else's."""
    sender = open_channel()
    gone, stays = Log(), Log()
    sender._watch("a", gone)
    sender._unwatch("a", gone)
    sender._watch("a", stays)
    sender._unwatch("a", gone)
    sender._unwatch("b", gone)
    sender.send_nowait(Item("a"))
    sender._unwatch("a", stays)

    assert gone.told == []
    assert stays.told == [(Item("a"), None)]
    assert sender._channel.sinks == {}


@pytest.mark.parametrize("error", [None, ValueError()])
def test_when_the_channel_ends_every_sink_that_is_left_is_told_once(error: ValueError | None) -> None:
    """Also one that watches many ids; and one that comes later, at once."""
    sender = open_channel()
    one, many, late = Log(), Log(), Log()
    sender._watch("a", one)
    sender._watch("b", many)
    sender._watch("c", many)

    if error is None:
        sender.close()
    else:
        sender.fail(error)
    sender._watch("a", late)

    for sink in (one, many, late):
        assert sink.told == [("end", error)]


def test_who_watches_one_id_can_be_told_that_nothing_will_come() -> None:
    """The channel goes on for the others."""
    sender = open_channel()
    told, other = Log(), Log()
    error = ValueError()
    sender._watch("a", told)
    sender._watch("b", other)
    sender._end_watcher("a", error)
    sender._end_watcher("a", error)
    sender.send_nowait(Item("a"))

    assert told.told == [("end", error)]
    assert other.told == []


# -- BLOCK receivers that are given up


async def test_block_receivers_in_the_way_can_be_turned_so_that_senders_go_on() -> None:
    """Who was not in the way stays as it was, also if it has no room now: it had no turn to read yet."""
    sender = open_channel(2)
    slow, selecting, quick = sender.subscribe(), sender.subscribe(select=is_even), sender.subscribe()
    other = sender.subscribe(select=is_even, overflow=Overflow.DROP_OLDEST)
    with slow, selecting, quick, other:
        send_all(sender, 0, 2)
        quick.receive_many_nowait()
        async with trio.open_nursery() as nursery:
            for number in (4, 6):
                nursery.start_soon(sender.send, number)
            await wait_all_tasks_blocked()
            assert sender._disconnect_blocking() == 2

        for receiver in (slow, selecting):
            with pytest.raises(Disconnected):
                receiver.receive_nowait()
        assert sorted(quick.receive_many_nowait()) == [4, 6]
        assert quick.statistics().overflow is Overflow.BLOCK
        assert other.statistics().overflow is Overflow.DROP_OLDEST


def test_without_waiting_senders_those_in_the_way_of_the_next_are_turned() -> None:
    """They are cut off only if they are still in its way when it comes."""
    sender = open_channel(1, max_replay=0)
    catches_up, stays_slow, free = sender.subscribe(), sender.subscribe(), sender.subscribe()
    with catches_up, stays_slow, free:
        sender.send_nowait(0)
        free.receive_nowait()
        assert sender._disconnect_blocking() == 2
        assert sender._disconnect_blocking() == 0
        assert catches_up.receive_nowait() == 0
        sender.send_nowait(1)

        assert catches_up.receive_nowait() == 1
        assert free.receive_nowait() == 1
        with pytest.raises(Disconnected):
            stays_slow.receive_nowait()
        assert sender.statistics().disconnect_receivers == 1


def test_the_last_reader_that_is_turned_keeps_its_place() -> None:
    """What it has still to read is not let go on the way from one policy to the other."""
    sender = open_channel(2, max_replay=0)
    with sender.subscribe() as receiver:
        send_all(sender, 0, 1)
        assert sender._disconnect_blocking() == 1

        assert receiver.receive_many_nowait() == [0, 1]
        assert sender.statistics().kept == 0
