"""Handles that are closed, and channels that end: who hears of it, and what is still read."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from .shorthand import assert_ended, assert_nothing_there, open_channel, send_all, wait_to_send

# -- Who stands in a sender's way goes away


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
    assert sender.statistics().open_send_channels == 1
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
    assert sender.statistics().open_send_channels == 0
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
