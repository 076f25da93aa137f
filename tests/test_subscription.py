"""Receivers that select: a predicate or ids, each with a queue of its own."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs import Disconnected, Lagged, Progress
from trio_jobs._broadcast import Overflow

from .broadcast.shorthand import Asked, Item, assert_nothing_there, fail_on, is_even, open_channel, send_all

# -- select


def test_items_that_are_not_selected_neither_lag_nor_occupy_the_receiver() -> None:
    """Whatever its policy, only what it selected counts."""
    for overflow in Overflow:
        sender = open_channel(2)
        with sender.subscribe(select=is_even, overflow=overflow) as receiver:
            send_all(sender, 1, 3, 5, 7, 2, 9, 11, 4, 13)

            assert receiver.statistics().unread == 2
            assert receiver.receive_many_nowait() == [2, 4]
            assert_nothing_there(receiver)


async def test_a_task_that_waits_is_not_woken_by_what_it_did_not_select() -> None:
    """It sleeps on."""
    sender = open_channel()
    got: list[int] = []

    async def read() -> None:
        with sender.subscribe(select=is_even) as receiver:
            got.append(await receiver.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        sender.send_nowait(1)
        assert sender.statistics().tasks_waiting_receive == 1
        sender.send_nowait(2)
        assert sender.statistics().tasks_waiting_receive == 0

    assert got == [2]


async def test_a_slow_block_selection_makes_only_what_it_selects_wait() -> None:
    """Its queue is as long as the channel's buffer, and its own."""
    sender = open_channel(2)
    with sender.subscribe(select=is_even) as receiver:
        send_all(sender, 0, 2, 1, 3)
        with pytest.raises(trio.WouldBlock):
            sender.send_nowait(4)
        assert sender.statistics().full_block_receivers == 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.send, 4)
            await wait_all_tasks_blocked()
            assert receiver.receive_nowait() == 0

        assert receiver.receive_many_nowait() == [2, 4]


def test_a_slow_drop_oldest_selection_is_told_what_it_lost() -> None:
    """As one that receives everything: once, then on at the oldest kept."""
    sender = open_channel(2)
    with sender.subscribe(select=is_even, overflow=Overflow.DROP_OLDEST) as receiver:
        send_all(sender, *range(9))
        statistics = receiver.statistics()
        assert (statistics.skipped, statistics.unread) == (3, 2)

        with pytest.raises(Lagged) as caught:
            receiver.receive_nowait()
        assert caught.value.skipped == 3
        assert receiver.receive_many_nowait() == [6, 8]
        assert receiver.statistics().skipped == 3


def test_a_slow_disconnect_selection_is_cut_off() -> None:
    """Its queue is gone, its predicate is asked no more, and it counts as a receiver no more."""
    sender = open_channel(1)
    asked = Asked(is_even)
    with sender.subscribe(select=asked, overflow=Overflow.DISCONNECT) as receiver:
        send_all(sender, 0, 2, 4)

        assert asked.items == [0, 2]
        assert sender.statistics().open_receive_channels == 0
        for _ in range(2):
            with pytest.raises(Disconnected):
                receiver.receive_nowait()


async def test_a_predicate_is_asked_once_for_each_item_also_when_the_sender_has_to_wait() -> None:
    """However often room appears and is gone again."""
    sender = open_channel(1)
    asked = Asked()
    with sender.subscribe() as plain, sender.subscribe(select=asked) as selecting:
        sender.send_nowait(0)
        with pytest.raises(trio.WouldBlock):
            sender.send_nowait("not even asked about, for nobody could get it")
        async with trio.open_nursery() as nursery:
            for number in (1, 2, 3):
                nursery.start_soon(sender.send, number)
                await wait_all_tasks_blocked()
            for number in range(4):
                assert plain.receive_nowait() == number
                assert selecting.receive_nowait() == number

    assert asked.items == [0, 1, 2, 3]


async def test_who_subscribes_while_a_sender_waits_receives_its_item() -> None:
    """It was accepted after that; the new predicate is asked, the old one not again."""
    sender = open_channel(1)
    old, new = Asked(), Asked()
    with sender.subscribe(select=old) as first:
        sender.send_nowait(0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.send, 1)
            await wait_all_tasks_blocked()
            with sender.subscribe(select=new) as second:
                assert first.receive_nowait() == 0
                assert second.receive_nowait() == 1

    assert (old.items, new.items) == ([0, 1], [1])


def test_a_predicate_that_raises_breaks_only_its_own_subscription() -> None:
    """The sender and the others notice nothing; it reads what it has, then the error, a new one each time."""
    sender = open_channel(4)
    with sender.subscribe(select=fail_on(2)) as broken, sender.subscribe(select=fail_on("?")) as sound:
        send_all(sender, 0, 1, 2, 3)

        assert sender.statistics().open_receive_channels == 1
        assert broken.receive_many_nowait() == [0, 1]
        raised: list[BaseException] = []
        for _ in range(2):
            with pytest.raises(trio.BrokenResourceError) as caught:
                broken.receive_nowait()
            raised.append(caught.value)
        assert str(raised[0]) == "the select= of this receiver raised: ValueError('cannot judge 2')"
        assert isinstance(raised[0].__cause__, ValueError)
        assert raised[0] is not raised[1]
        assert sound.receive_many_nowait() == [0, 1, 2, 3]


def test_a_broken_subscription_stays_broken_when_the_channel_ends() -> None:
    """It did not come to that end."""
    sender = open_channel()
    with sender.subscribe(select=fail_on(0)) as receiver:
        sender.send_nowait(0)
        sender.close()

        with pytest.raises(trio.BrokenResourceError):
            receiver.receive_nowait()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), GeneratorExit()])
def test_nothing_that_a_predicate_raises_reaches_the_sender(error: BaseException) -> None:
    """It is not the sender's."""

    def predicate(_: object) -> bool:
        raise error

    sender = open_channel()
    with sender.subscribe(select=predicate) as receiver:
        sender.send_nowait(0)

        with pytest.raises(trio.BrokenResourceError) as caught:
            receiver.receive_nowait()
        assert caught.value.__cause__ is error


def test_an_answer_that_is_no_bool_is_taken_as_truth_and_if_it_has_none_breaks_the_subscription() -> None:
    """Arrays and the like raise when they are asked whether they are true."""

    class Neither:
        def __bool__(self) -> bool:
            raise ValueError("which?")

    sender = open_channel()
    truthy = sender.subscribe(select=Asked(lambda item: [item]))
    neither = sender.subscribe(select=Asked(lambda _: Neither()))
    with truthy, neither:
        sender.send_nowait(0)

        assert truthy.receive_nowait() == 0
        with pytest.raises(trio.BrokenResourceError, match="which"):
            neither.receive_nowait()


async def test_a_predicate_that_raises_over_progress_lets_those_go_on_who_wait_for_its_receiver() -> None:
    """To have room, or to be gone."""
    sender = open_channel(1)
    with sender.subscribe(select=fail_on(Progress(1, id="a")), progress=True) as receiver:
        sender.send_nowait(0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.send, 1)
            nursery.start_soon(sender.wait_no_receivers)
            await wait_all_tasks_blocked()
            sender._publish_progress(Progress(1, id="a"))

        assert receiver.receive_nowait() == 0


async def test_a_predicate_that_raises_wakes_its_own_task_and_lets_waiting_senders_go_on() -> None:
    """Who is broken neither waits nor is waited for."""
    sender = open_channel(1)
    full = sender.subscribe(select=fail_on(1))
    waits = sender.subscribe(select=fail_on(0))
    with full, waits:

        async def read() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await waits.receive()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await wait_all_tasks_blocked()
            sender.send_nowait(0)
        await sender.send(1)

        assert full.receive_nowait() == 0


def test_a_replay_respects_select() -> None:
    """The last n that are selected, of those that are kept for replay."""
    sender = open_channel(10, max_replay=6)
    with sender.subscribe() as slow:
        send_all(sender, *range(10))
        with sender.subscribe(select=is_even, replay=2) as two, sender.subscribe(select=is_even, replay=6) as six:
            assert two.receive_many_nowait() == [6, 8]
            assert six.receive_many_nowait() == [4, 6, 8]
        assert slow.statistics().unread == 10


def test_without_replay_a_predicate_is_not_asked_about_what_was_before() -> None:
    """And with it once for each item."""
    sender = open_channel(3)
    send_all(sender, 0, 1)
    without, with_replay = Asked(), Asked()
    with sender.subscribe(select=without), sender.subscribe(select=with_replay, replay=1):
        pass

    assert (without.items, with_replay.items) == ([], [0, 1])


def test_a_predicate_that_raises_over_the_replay_leaves_what_came_before() -> None:
    """The subscription is made, and broken."""
    sender = open_channel(3)
    send_all(sender, 0, 1, 2)
    with sender.subscribe(select=fail_on(1), replay=3) as receiver:
        assert receiver.receive_nowait() == 0
        with pytest.raises(trio.BrokenResourceError):
            receiver.receive_nowait()
        assert sender.statistics().open_receive_channels == 0


def test_a_fork_of_a_selection_has_a_queue_of_its_own() -> None:
    """The same predicate, what is unread, and what is still to be told."""
    sender = open_channel(2)
    with sender.subscribe(select=is_even, overflow=Overflow.DROP_OLDEST) as first:
        send_all(sender, 0, 2, 4)
        with first.fork() as second:
            for receiver in (first, second):
                with pytest.raises(Lagged) as caught:
                    receiver.receive_nowait()
                assert caught.value.skipped == 1
            assert first.receive_many_nowait() == [2, 4]
            send_all(sender, 5, 6)
            assert first.receive_nowait() == 6
            assert second.statistics().skipped == 2
            assert sender.statistics().drop_oldest_receivers == 2


def test_a_fork_of_a_broken_selection_is_broken() -> None:
    """After the same backlog."""
    sender = open_channel(2)
    with sender.subscribe(select=fail_on(1)) as first:
        send_all(sender, 0, 1)
        with first.fork() as second:
            assert second.receive_nowait() == 0
            with pytest.raises(trio.BrokenResourceError):
                second.receive_nowait()
        assert sender.statistics().open_receive_channels == 0


def test_after_the_end_a_selection_reads_what_it_has() -> None:
    """Then the end; a late one gets its replay first."""
    sender = open_channel()
    with sender.subscribe(select=is_even) as receiver:
        send_all(sender, 0, 1, 2)
        sender.close()
        with sender.subscribe(select=is_even, replay=1) as late:
            assert receiver.receive_many_nowait() == [0, 2]
            assert late.receive_nowait() == 2
            for ended in (receiver, late):
                with pytest.raises(trio.EndOfChannel):
                    ended.receive_nowait()


# -- ids


def test_ids_select_by_the_attribute_id() -> None:
    """What has none, or none that is a string, is not for such a receiver."""
    sender = open_channel(10)
    with sender.subscribe(ids=["a", "c", "a"]) as receiver:
        for item in (Item("a"), Item("b"), Item("c"), "a", 3, complex, Item([1]), Item("")):  # type: ignore[arg-type]
            sender.send_nowait(item)

        assert receiver.receive_many_nowait() == [Item("a"), Item("c")]


def test_without_ids_nothing_is_received() -> None:
    """An empty collection is no mistake: it may be what a program computed."""
    sender = open_channel(1)
    with sender.subscribe(ids=[]) as receiver:
        send_all(sender, Item("a"), Item(""))

        assert_nothing_there(receiver)


def test_ids_may_come_from_an_iterator() -> None:
    """They are read once, when subscribing."""
    sender = open_channel()
    with sender.subscribe(ids=(name for name in "ab"), replay=1) as receiver:
        send_all(sender, Item("b"))

        assert receiver.receive_nowait() == Item("b")


def test_ids_and_select_both_have_to_agree() -> None:
    """The predicate is only asked about items of these ids."""
    sender = open_channel()
    asked = Asked(lambda item: is_even(item.number))
    with sender.subscribe(ids=["a"], select=asked) as receiver:
        send_all(sender, Item("a", 1), Item("b", 2), Item("a", 2))

        assert receiver.receive_many_nowait() == [Item("a", 2)]
        assert asked.items == [Item("a", 1), Item("a", 2)]


def test_a_replay_respects_ids() -> None:
    """The last answer of a request that was answered before one subscribed."""
    sender = open_channel()
    send_all(sender, Item("a", 1), Item("a", 2), Item("b"))

    with sender.subscribe(ids=["a"], replay=1) as receiver:
        assert receiver.receive_many_nowait() == [Item("a", 2)]


def test_several_receivers_may_have_an_id_in_common() -> None:
    """Each gets it; when one closes the others go on."""
    sender = open_channel()
    first, second = sender.subscribe(ids=["a", "b"]), sender.subscribe(ids=["a"])
    with second:
        sender.send_nowait(Item("a", 1))
        assert first.receive_nowait() == Item("a", 1)
        first.close()
        sender.send_nowait(Item("a", 2))

        assert second.receive_many_nowait() == [Item("a", 1), Item("a", 2)]
    assert sender._channel.indexed == {}


def test_items_of_other_ids_do_not_lag_a_receiver_of_ids() -> None:
    """Nor do they fill it."""
    sender = open_channel(1)
    with sender.subscribe(ids=["a"], overflow=Overflow.DROP_OLDEST) as receiver:
        send_all(sender, Item("a", 1), *[Item("b")] * 10)
        assert receiver.statistics().skipped == 0
        send_all(sender, Item("a", 2))

        with pytest.raises(Lagged):
            receiver.receive_nowait()
        assert receiver.receive_nowait() == Item("a", 2)


def calls_of(function: Callable[[], object]) -> int:
    """How many Python and C functions are called in a call of it: what it costs, exactly."""
    events: list[str] = []
    gc.disable()
    sys.setprofile(lambda _, event, __: events.append(event))
    try:
        function()
    finally:
        sys.setprofile(None)
        gc.enable()
    return events.count("call") + events.count("c_call")


@pytest.mark.parametrize("overflow", Overflow)
def test_a_send_costs_the_same_however_many_are_behind(overflow: Overflow) -> None:
    """Nobody is visited who does not wait."""

    def cost(receivers: int) -> int:
        sender = open_channel(8)
        subscribed = [sender.subscribe(overflow=overflow) for _ in range(receivers)]
        for number in range(4 if overflow is Overflow.BLOCK else 20):
            sender.send_nowait(number)
        calls = calls_of(lambda: sender.send_nowait("measured"))
        for receiver in subscribed:
            receiver.close()
        return calls

    assert cost(1_000) == cost(1)


def test_a_send_costs_the_same_however_many_ids_are_watched() -> None:
    """One look-up finds who is meant."""

    def cost(ids: int) -> int:
        sender = open_channel(8)
        subscribed = [sender.subscribe(ids=[f"{number}"]) for number in range(ids)]
        calls = calls_of(lambda: sender.send_nowait(Item("0")))
        for receiver in subscribed:
            receiver.close()
        return calls

    assert cost(1_000) == cost(1)
