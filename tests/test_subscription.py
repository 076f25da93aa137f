"""Receivers that select, receivers of progress, and sinks: what has a queue of its own, or none at all."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs import Disconnected, Lagged, Progress
from trio_jobs._broadcast import BroadcastReceiver, BroadcastSender, Overflow, open_broadcast_channel


@attrs.frozen
class Item:
    """What has an id."""

    id: str
    number: int = 0


def open_channel(max_buffer_size: float = 3, *, max_replay: int | None = None) -> BroadcastSender[Any]:
    return open_broadcast_channel(max_buffer_size, max_replay=max_replay)


def send_all(sender: BroadcastSender[Any], *items: object) -> None:
    for item in items:
        sender.send_nowait(item)


def is_even(number: int) -> bool:
    return number % 2 == 0


class Asked:
    """A predicate that remembers what it was asked."""

    def __init__(self, answer: Callable[[Any], object] = lambda _: True) -> None:
        self.items: list[Any] = []
        self._answer = answer

    def __call__(self, item: Any) -> bool:
        self.items.append(item)
        return self._answer(item)  # type: ignore[return-value]  # some tests answer with anything


def fail_on(bad: object) -> Callable[[Any], bool]:
    def predicate(item: Any) -> bool:
        if item == bad:
            raise ValueError(f"cannot judge {bad}")
        return True

    return predicate


def assert_nothing_there(receiver: BroadcastReceiver[Any]) -> None:
    with pytest.raises(trio.WouldBlock):
        receiver.receive_nowait()


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
        assert sender.statistics().open_receivers == 0
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

        assert sender.statistics().open_receivers == 1
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
        assert sender.statistics().open_receivers == 0


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
        assert sender.statistics().open_receivers == 0


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


# -- Progress


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


# -- Sinks


class Log:
    """A sink that remembers what it was told."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.told: list[tuple[object, object]] = []
        self._then = then

    def deliver(self, item: Any, cause: BaseException | None) -> None:
        self.told.append((item, cause))
        self._then()

    def end(self, error: BaseException | None) -> None:
        self.told.append(("end", error))
        self._then()


def test_a_sink_gets_one_item_of_its_id_with_the_cause() -> None:
    """One answer each; a plain send has no cause."""
    sender = open_channel()
    cause = ValueError()
    with_cause, without = Log(), Log()
    sender._watch("a", with_cause)
    sender._watch("b", without)

    sender._publish_nowait(Item("c"), cause)
    sender._publish_nowait(Item("a", 1), cause)
    sender._publish_nowait(Item("a", 2), cause)
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
            sender._publish_nowait(Item("a"), None)
        with trio.move_on_after(0):
            await sender.send(Item("a"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender._publish, Item("a"), None)
            await wait_all_tasks_blocked()
            assert sink.told == []
            receiver.receive_nowait()
            assert sink.told == [(Item("a"), None)]


def test_several_sinks_of_one_id_all_get_it() -> None:
    """In the order in which they came; receivers of that id get it as well, and go on."""
    sender = open_channel()
    order: list[int] = []
    sinks = [Log(lambda number=number: order.append(number)) for number in range(3)]  # type: ignore[misc]
    with sender.subscribe(ids=["a"]) as receiver:
        for sink in sinks:
            sender._watch("a", sink)
        send_all(sender, Item("a", 1), Item("a", 2))

        assert receiver.receive_many_nowait() == [Item("a", 1), Item("a", 2)]
    assert order == [0, 1, 2]


def test_a_sink_that_was_taken_back_gets_nothing() -> None:
    """Its siblings still do; taking back what is gone already is no error."""
    sender = open_channel()
    gone, stays = Log(), Log()
    sender._watch("a", gone)
    sender._watch("a", stays)
    sender._unwatch("a", gone)
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
    sender._watch("a", many)
    sender._watch("b", many)

    if error is None:
        sender.close()
    else:
        sender.fail(error)
    sender._watch("c", late)

    for sink in (one, many, late):
        assert sink.told == [("end", error)]


def test_those_who_watch_one_id_can_be_told_that_nothing_will_come() -> None:
    """The channel goes on for the others."""
    sender = open_channel()
    told, other = Log(), Log()
    error = ValueError()
    sender._watch("a", told)
    sender._watch("b", other)
    sender._end_watchers("a", error)
    sender._end_watchers("a", error)
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


# -- Predicates and sinks that do something


def test_a_receiver_may_be_closed_in_its_own_predicate() -> None:
    """It gets nothing, whatever it answers."""
    sender = open_channel(1)
    receiver: BroadcastReceiver[Any]

    def close_and_agree(_: object) -> bool:
        receiver.close()
        return True

    receiver = sender.subscribe(select=close_and_agree)
    send_all(sender, 0, 1)

    assert sender.statistics().open_receivers == 0
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
        assert sender.statistics().open_receivers == 0


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
    sender._end_watchers("d", None)
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
