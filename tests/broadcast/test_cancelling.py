"""Cancelled at any step, a call has either happened or not: nothing in between, and nothing left behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs._broadcast import BroadcastReceiver, BroadcastSender, Overflow, open_broadcast_channel

from ..cancel_sweep import Victim, sweep
from .shorthand import everything

Receive = Callable[[BroadcastReceiver[Any]], Awaitable[list[Any]]]


async def receive_one(receiver: BroadcastReceiver[Any]) -> list[Any]:
    return [await receiver.receive()]


async def receive_many(receiver: BroadcastReceiver[Any]) -> list[Any]:
    return await receiver.receive_many()


def assert_nothing_left(sender: BroadcastSender[Any]) -> None:
    statistics = sender.statistics()
    assert statistics.open_receive_channels == 0
    assert statistics.tasks_waiting_send == 0
    assert statistics.tasks_waiting_receive == 0
    assert not sender._channel.counting


SUBSCRIPTIONS: list[dict[str, Any]] = [
    {},
    {"select": everything},
    {"progress": True},
    {"overflow": Overflow.DISCONNECT},
    {"replay": 2},
]


@pytest.mark.parametrize("subscription", SUBSCRIPTIONS)
@pytest.mark.parametrize("receive", [receive_one, receive_many])
def test_a_cancelled_receive_has_taken_nothing(receive: Receive, subscription: dict[str, Any]) -> None:
    """What the task got and what is still there are together what was sent."""

    async def scenario(victim: Victim) -> None:
        sender: BroadcastSender[int] = open_broadcast_channel(6)
        sender.send_nowait(-2)
        sender.send_nowait(-1)
        got: list[int] = []

        async def read(receiver: BroadcastReceiver[int]) -> None:
            with victim:
                while True:
                    got.extend(await receive(receiver))

        subscribe: Callable[..., BroadcastReceiver[Any]] = sender.subscribe
        with subscribe(**subscription) as receiver:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read, receiver)
                for number in (0, 1, 2):
                    await sender.send(number)
                await wait_all_tasks_blocked()
                await sender.send(3)
                await wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            with suppress(trio.WouldBlock):
                got += receiver.receive_many_nowait()
        assert got == ([-2, -1] if "replay" in subscription else []) + [0, 1, 2, 3]
        assert_nothing_left(sender)

    assert sweep(scenario) >= 8


@pytest.mark.parametrize("subscription", SUBSCRIPTIONS[:3])
def test_a_cancelled_send_was_not_sent(subscription: dict[str, Any]) -> None:
    """A send that returned was; those behind it are not held up."""

    async def scenario(victim: Victim) -> None:
        sender: BroadcastSender[str] = open_broadcast_channel(1)
        sent: list[str] = []
        got: list[str] = []

        async def send(name: str) -> None:
            for number in range(3):
                await sender.send(f"{name}{number}")
                sent.append(f"{name}{number}")

        async def send_until_cancelled() -> None:
            with victim:
                await send("a")

        subscribe: Callable[..., BroadcastReceiver[Any]] = sender.subscribe
        with subscribe(**subscription) as receiver:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_until_cancelled)
                nursery.start_soon(send, "b")
                while True:
                    await wait_all_tasks_blocked()
                    try:
                        got.append(receiver.receive_nowait())
                    except trio.WouldBlock:
                        break

        assert sorted(got) == sorted(sent)
        assert [item for item in got if item.startswith("b")] == ["b0", "b1", "b2"]
        assert_nothing_left(sender)

    assert sweep(scenario) >= 8


@pytest.mark.parametrize("none", [False, True])
def test_a_cancelled_wait_for_receivers_leaves_nothing_behind(none: bool) -> None:
    """Neither for those that are there nor for those that are not."""

    async def scenario(victim: Victim) -> None:
        sender: BroadcastSender[int] = open_broadcast_channel(1)
        receiver = sender.subscribe()

        async def wait() -> None:
            with victim:
                for _ in range(2):
                    await (sender.wait_no_receivers() if none else sender.wait_for_receivers(2))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            with receiver.fork():
                await wait_all_tasks_blocked()
            receiver.close()
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert_nothing_left(sender)

    assert sweep(scenario) >= 3


async def test_an_item_that_comes_in_the_same_tick_as_the_cancellation_is_still_there() -> None:
    """Whichever comes first."""
    for cancel_first in (False, True):
        sender: BroadcastSender[int] = open_broadcast_channel(1)
        got: list[int] = []
        with sender.subscribe() as receiver:
            scope = trio.CancelScope()

            async def read(receiver: BroadcastReceiver[int], scope: trio.CancelScope, got: list[int]) -> None:
                with scope:
                    got.append(await receiver.receive())

            async with trio.open_nursery() as nursery:
                nursery.start_soon(read, receiver, scope, got)
                await wait_all_tasks_blocked()
                if cancel_first:
                    scope.cancel()
                sender.send_nowait(7)
                scope.cancel()
            if cancel_first:
                got.append(receiver.receive_nowait())
            assert got == [7]


async def test_room_that_appears_in_the_same_tick_as_the_cancellation() -> None:
    """Either the send was cancelled and the item is nowhere, or it was sent and returns."""
    for cancel_first in (False, True):
        sender: BroadcastSender[int] = open_broadcast_channel(1)
        sent: list[int] = []
        with sender.subscribe() as receiver:
            sender.send_nowait(0)
            scope = trio.CancelScope()

            async def send(sender: BroadcastSender[int], scope: trio.CancelScope, sent: list[int]) -> None:
                with scope:
                    await sender.send(1)
                    sent.append(1)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(send, sender, scope, sent)
                await wait_all_tasks_blocked()
                if cancel_first:
                    scope.cancel()
                assert receiver.receive_nowait() == 0
                scope.cancel()
            if cancel_first:
                with pytest.raises(trio.WouldBlock):
                    receiver.receive_nowait()
                assert sent == []
            else:
                assert receiver.receive_nowait() == 1
                assert sent == [1]


async def test_a_call_that_is_cancelled_before_it_begins_does_nothing() -> None:
    """Not even where it would not have to wait."""
    sender: BroadcastSender[int] = open_broadcast_channel(2)
    with sender.subscribe() as receiver:
        sender.send_nowait(0)
        with trio.CancelScope() as scope:
            scope.cancel()
            with pytest.raises(trio.Cancelled):
                await sender.send(1)
            with pytest.raises(trio.Cancelled):
                await receiver.receive()
            with pytest.raises(trio.Cancelled):
                await receiver.receive_many()

        assert receiver.receive_many_nowait() == [0]


async def test_closing_when_cancelled_closes_all_the_same() -> None:
    """As everywhere in Trio."""
    sender: BroadcastSender[int] = open_broadcast_channel(2)
    receiver = sender.subscribe()
    with trio.CancelScope() as scope:
        scope.cancel()
        with pytest.raises(trio.Cancelled):
            await receiver.aclose()
        with pytest.raises(trio.Cancelled):
            await sender.aclose()

    statistics = sender.statistics()
    assert (statistics.open_receive_channels, statistics.open_send_channels) == (0, 0)
