"""The broadcast channel as its users see it: the table of its contract, row by row."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf, nan
from typing import Any

import attrs
import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from trio_jobs import Disconnected, Lagged
from trio_jobs._broadcast import BroadcastReceiver, BroadcastSender, Overflow, open_broadcast_channel


def open_channel(max_buffer_size: float = 3, *, max_replay: int | None = None) -> BroadcastSender[Any]:
    return open_broadcast_channel(max_buffer_size, max_replay=max_replay)


def everything(_: object) -> bool:
    return True


def send_all(sender: BroadcastSender[Any], *items: object) -> None:
    for item in items:
        sender.send_nowait(item)


def assert_nothing_there(receiver: BroadcastReceiver[Any]) -> None:
    with pytest.raises(trio.WouldBlock):
        receiver.receive_nowait()


def assert_ended(receiver: BroadcastReceiver[Any]) -> None:
    with pytest.raises(trio.EndOfChannel):
        receiver.receive_nowait()


def assert_nothing_left_unread(receiver: BroadcastReceiver[Any]) -> None:
    """A closed handle that somebody keeps must not keep items."""
    subscription = receiver._subscription
    assert not subscription.replayed
    assert not getattr(subscription, "items", None)


def assert_lagged(receiver: BroadcastReceiver[Any], skipped: int) -> None:
    with pytest.raises(Lagged) as caught:
        receiver.receive_nowait()

    assert caught.value.skipped == skipped


# -- Capacity


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 100])
def test_the_capacity_is_exact(size: int) -> None:
    """As many as asked for, also where that is no power of two; the next has to wait."""
    sender = open_channel(size)
    with sender.subscribe() as receiver:
        send_all(sender, *range(size))

        with pytest.raises(trio.WouldBlock):
            sender.send_nowait(size)
        assert receiver.receive_nowait() == 0
        sender.send_nowait(size)
        assert receiver.receive_many_nowait() == list(range(1, size + 1))


def test_an_infinite_channel_never_makes_a_sender_wait() -> None:
    """Nothing is lost either, whatever the policy."""
    sender = open_channel(inf)
    with sender.subscribe() as receiver, sender.subscribe(overflow=Overflow.DROP_OLDEST) as other:
        send_all(sender, *range(10_000))

        assert receiver.receive_many_nowait() == list(range(10_000))
        assert other.receive_many_nowait() == list(range(10_000))
        assert sender.statistics().kept == 0


@pytest.mark.parametrize(
    ("size", "error", "message"),
    [
        (0, ValueError, "max_buffer_size must be at least 1, got 0"),
        (-1, ValueError, "max_buffer_size must be at least 1, got -1"),
        (-inf, TypeError, "max_buffer_size must be an int or math.inf, got -inf"),
        (nan, TypeError, "max_buffer_size must be an int or math.inf, got nan"),
        (2.0, TypeError, "max_buffer_size must be an int or math.inf, got 2.0"),
        (True, TypeError, "max_buffer_size must be an int or math.inf, got True"),
        ("3", TypeError, "max_buffer_size must be an int or math.inf, got '3'"),
    ],
)
def test_a_capacity_that_makes_no_sense_is_refused(size: Any, error: type[Exception], message: str) -> None:
    """0 would be a rendezvous, which has no meaning with many receivers, or with none."""
    with pytest.raises(error) as caught:
        open_broadcast_channel(size)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("max_replay", "error", "message"),
    [
        (-1, ValueError, "max_replay must be at least 0, got -1"),
        (1.0, TypeError, "max_replay must be an int, got 1.0"),
        (4, ValueError, "max_replay must be at most max_buffer_size, which is 3, got 4"),
    ],
)
def test_a_max_replay_that_makes_no_sense_is_refused(max_replay: Any, error: type[Exception], message: str) -> None:
    """What does not fit into the buffer cannot be kept."""
    with pytest.raises(error) as caught:
        open_broadcast_channel(3, max_replay=max_replay)

    assert str(caught.value) == message


# -- No receivers


async def test_with_no_receivers_a_send_succeeds_at_once() -> None:
    """Nobody is no error, before the first receiver and after the last."""
    sender = open_channel(1)
    for _ in range(3):
        await sender.send("unheard")
    with sender.subscribe() as receiver:
        await sender.send("heard")
        assert receiver.receive_nowait() == "heard"
    for _ in range(3):
        await sender.send("unheard")


def test_with_no_receivers_the_last_items_stay_for_replay() -> None:
    """As many as the buffer holds, by default."""
    sender = open_channel(3)
    send_all(sender, *range(10))

    with sender.subscribe(replay=2) as two, sender.subscribe(replay=3) as three:
        assert two.receive_many_nowait() == [8, 9]
        assert three.receive_many_nowait() == [7, 8, 9]


# -- Slow receivers


async def test_a_slow_block_receiver_makes_the_sender_wait_and_loses_nothing() -> None:
    """The sender is never more than the buffer ahead of it."""
    sender = open_channel(2)
    got: list[int] = []
    async with trio.open_nursery() as nursery:
        receiver = sender.subscribe()

        async def send_ten() -> None:
            with sender:
                for number in range(10):
                    await sender.send(number)
                    assert number - len(got) < 2

        nursery.start_soon(send_ten)
        with receiver:
            async for number in receiver:
                got.append(number)
                await wait_all_tasks_blocked()

    assert got == list(range(10))


def test_a_slow_drop_oldest_receiver_is_told_once_and_goes_on_at_the_oldest_kept() -> None:
    """Nobody waits for it; what it lost is counted exactly."""
    sender = open_channel(3)
    with sender.subscribe(overflow=Overflow.DROP_OLDEST) as receiver:
        send_all(sender, *range(10))

        assert_lagged(receiver, 7)
        assert receiver.receive_many_nowait() == [7, 8, 9]
        assert_nothing_there(receiver)


def test_lagging_again_before_the_next_receive_is_told_in_one_number() -> None:
    """One Lagged for all that was lost since the last."""
    sender = open_channel(2)
    with sender.subscribe(overflow=Overflow.DROP_OLDEST) as receiver:
        send_all(sender, 0, 1, 2)
        assert receiver.statistics().skipped == 1
        send_all(sender, 3, 4)

        assert_lagged(receiver, 3)
        assert receiver.receive_nowait() == 3


def test_lagging_again_after_being_told_is_told_again() -> None:
    """The counts of both add up with what was received."""
    sender = open_channel(2)
    with sender.subscribe(overflow=Overflow.DROP_OLDEST) as receiver:
        send_all(sender, 0, 1, 2)
        assert_lagged(receiver, 1)
        send_all(sender, 3)
        assert_lagged(receiver, 1)

        assert receiver.receive_many_nowait() == [2, 3]
        assert receiver.statistics().skipped == 2


def test_lagging_on_the_very_last_item_is_told_before_the_end() -> None:
    """First the loss, then what is kept, then the end."""
    sender = open_channel(1)
    with sender.subscribe(overflow=Overflow.DROP_OLDEST) as receiver:
        send_all(sender, 0, 1)
        sender.close()

        assert_lagged(receiver, 1)
        assert receiver.receive_nowait() == 1
        assert_ended(receiver)
        assert receiver.statistics().skipped == 1


def test_a_lagging_receiver_that_closes_keeps_its_count() -> None:
    """Told or not, what it has lost stays in its statistics; what it left unread was not skipped."""
    sender = open_channel(2)
    for select in (None, everything):
        with sender.subscribe(overflow=Overflow.DROP_OLDEST, select=select) as receiver:
            send_all(sender, 0, 1, 2)
            assert_lagged(receiver, 1)
            send_all(sender, 3)
        send_all(sender, 4)

        statistics = receiver.statistics()
        assert (statistics.skipped, statistics.unread) == (2, 0)
        assert_nothing_left_unread(receiver)
    assert sender.statistics().open_receivers == 0


def test_lag_does_not_depend_on_how_quick_the_others_are() -> None:
    """It still gets the last items of a whole buffer, although everybody else has read them and nothing is replayed."""
    sender = open_channel(3, max_replay=0)
    with sender.subscribe() as quick, sender.subscribe(overflow=Overflow.DROP_OLDEST) as slow:
        for number in range(10):
            sender.send_nowait(number)
            assert quick.receive_nowait() == number

        assert_lagged(slow, 7)
        assert slow.receive_many_nowait() == [7, 8, 9]


def test_a_slow_disconnect_receiver_is_cut_off_with_a_clear_error() -> None:
    """At once and for ever; it counts no more as a receiver, and each error is a new one."""
    sender = open_channel(2)
    with sender.subscribe(overflow=Overflow.DISCONNECT) as receiver:
        send_all(sender, 0, 1)
        assert sender.statistics().open_receivers == 1
        send_all(sender, 2)
        assert sender.statistics().open_receivers == 0
        assert receiver.statistics().unread == 0

        with pytest.raises(Disconnected, match="it was a whole buffer behind when the next item came") as first:
            receiver.receive_nowait()
        with pytest.raises(Disconnected) as second:
            receiver.receive_nowait()
        assert first.value is not second.value
        assert isinstance(first.value, trio.BrokenResourceError)


def test_a_disconnect_receiver_that_keeps_up_is_never_cut_off() -> None:
    """A whole buffer behind is not too slow yet."""
    sender = open_channel(2)
    with sender.subscribe(overflow=Overflow.DISCONNECT) as receiver:
        for number in range(0, 20, 2):
            send_all(sender, number, number + 1)
            assert receiver.receive_many_nowait() == [number, number + 1]


def test_mixed_policies_on_one_channel_behave_each_as_alone() -> None:
    """BLOCK limits the sender, DROP_OLDEST loses, DISCONNECT is cut off; none of it shows in another."""
    sender = open_channel(3)
    block = sender.subscribe()
    drop = sender.subscribe(overflow=Overflow.DROP_OLDEST)
    cut = sender.subscribe(overflow=Overflow.DISCONNECT)
    with block, drop, cut:
        send_all(sender, 0, 1, 2)
        with pytest.raises(trio.WouldBlock):
            sender.send_nowait(3)
        assert block.receive_nowait() == 0
        send_all(sender, 3)

        assert block.receive_many_nowait() == [1, 2, 3]
        assert_lagged(drop, 1)
        assert drop.receive_many_nowait() == [1, 2, 3]
        with pytest.raises(Disconnected):
            cut.receive_nowait()


# -- Replay


def test_a_replay_never_makes_a_sender_wait() -> None:
    """What was accepted before a receiver came is no part of its buffer."""
    sender = open_channel(3)
    send_all(sender, 0, 1, 2)
    with sender.subscribe(replay=3) as receiver:
        send_all(sender, 3, 4, 5)
        with pytest.raises(trio.WouldBlock):
            sender.send_nowait(6)

        assert receiver.statistics().unread == 6
        assert receiver.receive_many_nowait() == [0, 1, 2, 3, 4, 5]


def test_a_replay_cannot_lag() -> None:
    """It comes first, then the loss of what came after it, then the rest."""
    sender = open_channel(2)
    send_all(sender, 0, 1)
    with sender.subscribe(replay=2, overflow=Overflow.DROP_OLDEST) as receiver:
        send_all(sender, 2, 3, 4)

        assert receiver.receive_many_nowait() == [0, 1]
        assert_lagged(receiver, 1)
        assert receiver.receive_many_nowait() == [3, 4]


def test_a_replay_is_read_before_being_cut_off_shows() -> None:
    """The replay is the receiver's own; only what came after it is lost."""
    sender = open_channel(2)
    send_all(sender, 0, 1)
    with sender.subscribe(replay=2, overflow=Overflow.DISCONNECT) as receiver:
        send_all(sender, 2, 3, 4)

        assert receiver.receive_many_nowait() == [0, 1]
        with pytest.raises(Disconnected):
            receiver.receive_nowait()


def test_a_replay_and_new_items_come_in_one_batch_up_to_the_limit() -> None:
    """Where one ends and the other begins does not show."""
    sender = open_channel(3)
    send_all(sender, 0, 1, 2)
    with sender.subscribe(replay=3) as receiver:
        send_all(sender, 3, 4)

        assert receiver.receive_many_nowait(2) == [0, 1]
        assert receiver.receive_many_nowait(2) == [2, 3]
        assert receiver.receive_many_nowait() == [4]


@pytest.mark.parametrize("select", [None, callable])
async def test_a_replay_is_there_without_waiting(select: Callable[[Any], bool] | None) -> None:
    """Although nothing new has come; as much as was asked for, and the rest."""
    sender = open_channel(3)
    send_all(sender, print, repr)
    with sender.subscribe(replay=2, select=select) as receiver:
        assert await receiver.receive() is print
        sender.send_nowait(str)
        assert await receiver.receive_many(1) == [repr]
        assert await receiver.receive_many(1) == [str]
    assert_nothing_left_unread(receiver)


def test_a_replay_of_more_than_there_was_is_what_there_was() -> None:
    """It asks for at most so many."""
    sender = open_channel(3)
    send_all(sender, 0)

    with sender.subscribe(replay=3) as receiver:
        assert receiver.receive_many_nowait() == [0]


def test_no_more_than_max_replay_is_kept_of_what_everybody_has_read() -> None:
    """On an infinite channel nothing, unless it is asked for."""
    sender = open_channel(inf, max_replay=2)
    with sender.subscribe() as receiver:
        send_all(sender, *range(10))
        assert sender.statistics().kept == 10
        receiver.receive_many_nowait()

        assert sender.statistics().kept == 2
        with sender.subscribe(replay=2) as late:
            assert late.receive_many_nowait() == [8, 9]


# -- Forks


def test_a_fork_is_an_independent_receiver_at_the_same_position() -> None:
    """It gets all that the first one still had to read, the rest of a replay too."""
    sender = open_channel(3)
    send_all(sender, 0, 1)
    with sender.subscribe(replay=2) as first:
        assert first.receive_nowait() == 0
        sender.send_nowait(2)
        with first.fork() as second:
            sender.send_nowait(3)

            assert first.receive_many_nowait() == [1, 2, 3]
            assert_nothing_there(first)
            assert second.receive_many_nowait() == [1, 2, 3]


def test_a_fork_holds_senders_up_on_its_own() -> None:
    """Closing the first one does not close it."""
    sender = open_channel(1)
    first = sender.subscribe()
    sender.send_nowait(0)
    with first.fork() as second:
        first.close()
        with pytest.raises(trio.WouldBlock):
            sender.send_nowait(1)

        assert second.receive_nowait() == 0
        sender.send_nowait(1)


def test_a_fork_of_one_that_lags_lags_as_much() -> None:
    """The same position, so the same loss; told to each."""
    sender = open_channel(2)
    with sender.subscribe(overflow=Overflow.DROP_OLDEST) as first:
        send_all(sender, 0, 1, 2)
        with first.fork() as second:
            assert_lagged(first, 1)
            assert first.receive_many_nowait() == [1, 2]
            assert_lagged(second, 1)
            assert second.receive_many_nowait() == [1, 2]
            assert sender.statistics().drop_oldest_receivers == 2
    assert sender.statistics().drop_oldest_receivers == 0


@pytest.mark.parametrize("told", [False, True])
def test_a_fork_of_one_that_was_cut_off_is_cut_off(told: bool) -> None:
    """Whether that one knows already or not."""
    sender = open_channel(1)
    with sender.subscribe(overflow=Overflow.DISCONNECT) as first:
        send_all(sender, 0, 1)
        if told:
            with pytest.raises(Disconnected):
                first.receive_nowait()
        with first.fork() as second, pytest.raises(Disconnected):
            second.receive_nowait()
        assert sender.statistics().open_receivers == 0


def test_a_closed_receiver_cannot_be_forked() -> None:
    """It has no position any more."""
    receiver = open_channel().subscribe()
    receiver.close()

    with pytest.raises(trio.ClosedResourceError):
        receiver.fork()


# -- Who stands in a sender's way goes away


async def wait_to_send(sender: BroadcastSender[Any], item: object, sent: list[object]) -> None:
    await sender.send(item)
    sent.append(item)


async def test_when_the_slowest_closes_a_waiting_sender_goes_on() -> None:
    """It was all that held it up."""
    sender = open_channel(1)
    sent: list[object] = []
    slow, quick = sender.subscribe(), sender.subscribe()
    with slow, quick:
        await sender.send(0)
        quick.receive_nowait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_to_send, sender, 1, sent)
            await wait_all_tasks_blocked()
            assert sent == []
            slow.close()
            await wait_all_tasks_blocked()

            assert sent == [1]
        assert quick.receive_nowait() == 1


async def test_when_the_task_of_the_slowest_is_cancelled_a_waiting_sender_goes_on() -> None:
    """Its `with` closes the receiver."""
    sender = open_channel(1)
    sent: list[object] = []
    scope = trio.CancelScope()

    async def subscribe_and_sleep() -> None:
        with scope, sender.subscribe():
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(subscribe_and_sleep)
        await sender.wait_for_receivers(1)
        sender.send_nowait(0)
        nursery.start_soon(wait_to_send, sender, 1, sent)
        await wait_all_tasks_blocked()
        assert sent == []
        scope.cancel()

    assert sent == [1]


async def test_many_waiting_senders_go_on_together_when_the_slowest_closes() -> None:
    """As far as the next slow one allows, in their order."""
    sender = open_channel(2)
    sent: list[object] = []
    with sender.subscribe() as other:
        slow = sender.subscribe()
        send_all(sender, 0, 1)
        other.receive_many_nowait()
        async with trio.open_nursery() as nursery:
            for number in range(2, 6):
                nursery.start_soon(wait_to_send, sender, number, sent)
                await wait_all_tasks_blocked()
            slow.close()
            await wait_all_tasks_blocked()
            assert sorted(map(str, sent)) == ["2", "3"]
            assert other.receive_many_nowait() == [2, 3]
            assert other.receive_many_nowait() == [4, 5]


# -- Closing handles


@pytest.mark.parametrize("many", [False, True])
async def test_closing_ones_own_handle_ends_the_wait_on_it_and_no_other(many: bool) -> None:
    """That task gets ClosedResourceError, siblings notice nothing."""
    sender = open_channel()
    own, sibling = sender.subscribe(), sender.subscribe()
    got: list[object] = []

    async def wait_in_vain() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await (own.receive_many() if many else own.receive())

    async def wait() -> None:
        got.append(await sibling.receive())

    with sibling:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_in_vain)
            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            own.close()
            await wait_all_tasks_blocked()
            assert sender.statistics().tasks_waiting_receive == 1
            sender.send_nowait("still there")

    assert got == ["still there"]


async def test_closing_ones_own_handle_while_its_task_is_being_woken_takes_nothing() -> None:
    """Neither is the item lost for a fork, nor does the closed one get it."""
    sender = open_channel()
    own = sender.subscribe()

    async def wait_in_vain() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await own.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_in_vain)
        await wait_all_tasks_blocked()
        sender.send_nowait(0)
        with own.fork() as twin:
            own.close()
            assert twin.receive_nowait() == 0


async def test_every_use_of_a_closed_receiver_raises_closed_resource_error() -> None:
    """And closing it again does nothing."""
    sender = open_channel()
    receiver = sender.subscribe()
    await receiver.aclose()
    receiver.close()

    with pytest.raises(trio.ClosedResourceError):
        receiver.receive_nowait()
    with pytest.raises(trio.ClosedResourceError):
        receiver.receive_many_nowait()
    with pytest.raises(trio.ClosedResourceError):
        await receiver.receive()
    with pytest.raises(trio.ClosedResourceError):
        await receiver.receive_many()


async def test_every_sending_use_of_a_closed_sender_raises_closed_resource_error() -> None:
    """Asking and subscribing still work: they are about the channel."""
    sender = open_channel()
    other = sender.clone()
    await sender.aclose()
    sender.close()

    with pytest.raises(trio.ClosedResourceError):
        sender.send_nowait(0)
    with pytest.raises(trio.ClosedResourceError):
        await sender.send(0)
    with pytest.raises(trio.ClosedResourceError):
        sender.clone()
    with pytest.raises(trio.ClosedResourceError):
        sender.fail(ValueError())
    assert sender.statistics().open_senders == 1
    with sender.subscribe() as receiver:
        other.send_nowait(1)
        assert receiver.receive_nowait() == 1


async def test_closing_a_sender_ends_the_sends_that_wait_on_it_and_no_others() -> None:
    """What was not accepted was not sent; who waits on a clone keeps waiting."""
    sender = open_channel(1)
    clone = sender.clone()
    sent: list[object] = []

    async def wait_in_vain() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await sender.send("mine")

    with sender.subscribe() as receiver:
        sender.send_nowait(0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_in_vain)
            await wait_all_tasks_blocked()
            nursery.start_soon(wait_to_send, clone, "its own", sent)
            await wait_all_tasks_blocked()
            sender.close()
            await wait_all_tasks_blocked()
            assert receiver.receive_nowait() == 0

        assert receiver.receive_nowait() == "its own"
        assert sent == ["its own"]


# -- The end


def test_after_the_last_close_everybody_reads_what_is_kept_and_then_the_end() -> None:
    """One of two senders is not the last; the end comes as often as it is asked for."""
    sender = open_channel()
    clone = sender.clone()
    with sender.subscribe() as quick, sender.subscribe() as slow:
        sender.send_nowait(0)
        quick.receive_nowait()
        sender.close()
        assert_nothing_there(quick)
        clone.send_nowait(1)
        clone.close()

        assert slow.receive_many_nowait() == [0, 1]
        assert_ended(slow)
        assert quick.receive_nowait() == 1
        assert_ended(quick)
        assert_ended(quick)


async def test_the_last_close_wakes_who_waits() -> None:
    """An `async for` ends."""
    sender = open_channel()
    got: list[int] = []

    async def read() -> None:
        with sender.subscribe() as receiver:
            got.extend([item async for item in receiver])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await sender.wait_for_receivers(1)
        async with sender:
            await sender.send(0)

    assert got == [0]


def test_who_subscribes_after_the_last_close_gets_the_replay_and_the_end() -> None:
    """The channel is over, what it kept is not gone."""
    sender = open_channel()
    send_all(sender, 0, 1)
    sender.close()

    with sender.subscribe(replay=1) as receiver, sender.subscribe() as other:
        assert receiver.receive_nowait() == 1
        assert_ended(receiver)
        assert_ended(other)


def test_a_failure_comes_after_the_backlog_and_is_not_an_end() -> None:
    """Finished and broken differ; each raise is a new exception from the same error."""
    sender = open_channel()
    error = ValueError("the sensor fell off")
    with sender.subscribe() as receiver:
        sender.send_nowait(0)
        sender.fail(error)

        assert receiver.receive_nowait() == 0
        raised: list[BaseException] = []
        for _ in range(2):
            with pytest.raises(trio.BrokenResourceError) as caught:
                receiver.receive_nowait()
            raised.append(caught.value)
        assert str(raised[0]) == "the channel was ended by an error: ValueError('the sensor fell off')"
        assert [again.__cause__ for again in raised] == [error, error]
        assert raised[0] is not raised[1]
        assert error.__traceback__ is None


async def test_a_failure_reaches_every_receiver_that_waits() -> None:
    """No sibling is forgotten."""
    sender = open_channel()
    told: list[str] = []

    async def read(name: str) -> None:
        with sender.subscribe() as receiver:
            with pytest.raises(trio.BrokenResourceError):
                await receiver.receive()
            told.append(name)

    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(read, name)
        await sender.wait_for_receivers(3)
        await wait_all_tasks_blocked()
        sender.fail(ValueError())

    assert sorted(told) == ["a", "b", "c"]


async def test_a_failure_closes_all_senders_and_ends_their_waits() -> None:
    """Clones too, as if each had been closed; a late subscriber is told of it after its replay."""
    sender = open_channel(1)
    clone = sender.clone()

    async def wait_in_vain() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await clone.send(1)

    with sender.subscribe():
        sender.send_nowait(0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_in_vain)
            await wait_all_tasks_blocked()
            sender.fail(ValueError())

    with pytest.raises(trio.ClosedResourceError):
        clone.send_nowait(1)
    assert sender.statistics().open_senders == 0
    with clone.subscribe(replay=1) as late:
        assert late.receive_nowait() == 0
        with pytest.raises(trio.BrokenResourceError):
            late.receive_nowait()


def test_the_first_end_stays_the_end() -> None:
    """Failing or closing what has ended does nothing."""
    closed, failed = open_channel(), open_channel()
    closed.close()
    failed.fail(ValueError("first"))

    closed.fail(ValueError())
    failed.fail(ValueError("second"))
    failed.close()

    with closed.subscribe() as receiver:
        assert_ended(receiver)
    with failed.subscribe() as receiver, pytest.raises(trio.BrokenResourceError, match="first"):
        receiver.receive_nowait()


def test_what_is_no_exception_cannot_be_failed_with() -> None:
    """A class is the usual slip."""
    with pytest.raises(TypeError) as caught:
        open_channel().fail(ValueError)  # type: ignore[arg-type]  # that is the point

    assert str(caught.value) == "error must be an exception object, got <class 'ValueError'>"


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
                "open_senders": 2,
                "open_receivers": 4,
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


# -- Misuse


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"overflow": "drop_oldest"},
            TypeError,
            "overflow must be a member of Overflow, such as Overflow.DROP_OLDEST, got 'drop_oldest'",
        ),
        ({"replay": -1}, ValueError, "replay must be at least 0, got -1"),
        ({"replay": True}, TypeError, "replay must be an int, got True"),
        (
            {"replay": 4},
            ValueError,
            "replay must be at most the channel's max_replay, which is 3, got 4; "
            "see open_broadcast_channel(..., max_replay=...)",
        ),
        ({"select": 3}, TypeError, "select must be a function of one item, or None, got 3"),
        ({"ids": "abc"}, TypeError, "ids must be an iterable of str, ids=['abc'] instead of ids='abc'"),
        ({"ids": 3}, TypeError, "ids must be an iterable of str, got 3"),
        ({"ids": ["a", 3]}, TypeError, "ids must be an iterable of str, got 3 in it"),
        ({"progress": 1}, TypeError, "progress must be True or False, got 1"),
    ],
)
def test_wrong_arguments_of_subscribe_are_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    """The message names the parameter, the value, and how to mend it; nothing is left subscribed."""
    sender = open_channel()
    with pytest.raises(error) as caught:
        sender.subscribe(**arguments)

    assert str(caught.value) == message
    assert sender.statistics().open_receivers == 0


def test_an_async_predicate_is_refused() -> None:
    """What it returns would be true for every item, and never awaited."""

    with pytest.raises(TypeError, match="select must be a plain function, it can't wait for anything, got <function"):
        open_channel().subscribe(select=trio.sleep)  # type: ignore[arg-type]  # that is the point
