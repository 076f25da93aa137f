"""The broadcast channel as its users see it: what a receiver gets, and what it costs the others."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs import Disconnected
from trio_jobs._broadcast import Overflow, open_broadcast_channel

from .broadcast.shorthand import (
    assert_ended,
    assert_lagged,
    assert_nothing_left_unread,
    assert_nothing_there,
    everything,
    open_channel,
    send_all,
)

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
    assert sender.statistics().open_receive_channels == 0


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
        assert sender.statistics().open_receive_channels == 1
        send_all(sender, 2)
        assert sender.statistics().open_receive_channels == 0
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
        assert sender.statistics().open_receive_channels == 0


def test_a_closed_receiver_cannot_be_forked() -> None:
    """It has no position any more."""
    receiver = open_channel().subscribe()
    receiver.close()

    with pytest.raises(trio.ClosedResourceError):
        receiver.fork()


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
    assert sender.statistics().open_receive_channels == 0


def test_an_async_predicate_is_refused() -> None:
    """What it returns would be true for every item, and never awaited."""

    with pytest.raises(TypeError, match="select must be a plain function, it can't wait for anything, got <function"):
        open_channel().subscribe(select=trio.sleep)  # type: ignore[arg-type]  # that is the point
