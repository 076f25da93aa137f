"""The broadcast channel: what a send costs with receivers that wait, that take bursts, that do not look at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from math import inf
from typing import NamedTuple, TypeAlias

import trio
import trio.testing
from trio.lowlevel import Abort, RaiseCancelT, Task, current_task, reschedule, wait_task_rescheduled

from trio_jobs import BroadcastReceiver, BroadcastSender, Overflow, open_broadcast_channel

from .harness import Bench, Case, clock
from .raw import RawFanOut, drain

BURST = 256

Take: TypeAlias = Callable[[], Awaitable[int]]
"""Waits for something, and says how many items that was."""


class Ends(NamedTuple):
    """A way from one to many."""

    send: Callable[[int], Awaitable[None]]
    takes: list[Take]


Open: TypeAlias = Callable[[ExitStack, int], Ends]
"""Opens a way to so many receivers."""


# --- ways


class Bell:
    """Wakes all who wait, and carries nothing: the least that any channel to waiting tasks can cost."""

    def __init__(self) -> None:
        self._waiting: dict[Task, None] = {}
        self._items = 0

    async def send(self, item: int) -> None:
        """Wake them."""
        waiting, self._waiting = self._waiting, {}
        self._items = self._items + 1 if not waiting else 1
        for task in waiting:
            reschedule(task)

    async def take(self) -> int:
        """Wait to be woken; everything sent by then counts as taken."""
        task = current_task()
        self._waiting[task] = None

        def abort(_: RaiseCancelT) -> Abort:
            self._waiting.pop(task, None)
            return Abort.SUCCEEDED

        await wait_task_rescheduled(abort)
        return self._items


def wake_ups(_: ExitStack, receivers: int) -> Ends:
    """No channel."""
    bell = Bell()
    return Ends(bell.send, [bell.take] * receivers)


def raw_awaited(_: ExitStack, receivers: int) -> Ends:
    """A memory channel each, sent to with `send`."""
    fan_out: RawFanOut[int] = RawFanOut()
    return Ends(fan_out.send, [one_of(fan_out.subscribe()) for _ in range(receivers)])


def raw_nowait(_: ExitStack, receivers: int) -> Ends:
    """A memory channel each, sent to with `send_nowait`, and drained."""
    fan_out: RawFanOut[int] = RawFanOut()

    async def send(item: int) -> None:
        fan_out.send_nowait(item)

    return Ends(send, [all_of(fan_out.subscribe()) for _ in range(receivers)])


def one_of(channel: trio.abc.ReceiveChannel[int]) -> Take:
    """Take one item each time."""

    async def take() -> int:
        await channel.receive()
        return 1

    return take


def all_of(channel: trio.MemoryReceiveChannel[int]) -> Take:
    """Take all there are each time."""

    async def take() -> int:
        await channel.receive()
        return 1 + drain(channel)

    return take


def many_of(receiver: BroadcastReceiver[int]) -> Take:
    """Take all there are each time."""

    async def take() -> int:
        return len(await receiver.receive_many())

    return take


def ours(take: Callable[[BroadcastReceiver[int]], Take]) -> Open:
    """The broadcast channel."""

    def open_(stack: ExitStack, receivers: int) -> Ends:
        sender: BroadcastSender[int] = open_broadcast_channel(inf)
        stack.enter_context(sender)

        async def send(item: int) -> None:
            sender.send_nowait(item)

        return Ends(send, [take(stack.enter_context(sender.subscribe())) for _ in range(receivers)])

    return open_


# --- measuring


def to_waiting(open_: Open, receivers: int, burst: int = 1) -> Case:
    """Send bursts to tasks that all wait, the next one when all have read everything."""

    async def measure(bursts: int) -> float:
        taken = 0

        async def read(take: Take) -> None:
            nonlocal taken
            while True:
                got = await take()  # not in one line: it would add to what there was before it waited
                taken += got

        with ExitStack() as stack:
            ends = open_(stack, receivers)
            async with trio.open_nursery() as nursery:
                for take in ends.takes:
                    nursery.start_soon(read, take)
                await trio.testing.wait_all_tasks_blocked()
                start = clock()
                for number in range(1, bursts + 1):
                    for item in range(burst):
                        await ends.send(item)
                    while taken < number * burst * receivers:
                        await trio.lowlevel.checkpoint()
                seconds = clock() - start
                nursery.cancel_scope.cancel()
        return seconds

    return lambda bursts: trio.run(measure, bursts)


def to_idle(receivers: int, overflow: Overflow, buffer_size: float) -> Case:
    """Send to receivers that nobody reads."""

    async def measure(sends: int) -> float:
        with ExitStack() as stack:
            sender: BroadcastSender[int] = open_broadcast_channel(buffer_size)
            stack.enter_context(sender)
            for _ in range(receivers):
                stack.enter_context(sender.subscribe(overflow=overflow))
            start = clock()
            for item in range(sends):
                sender.send_nowait(item)
            return clock() - start

    return lambda sends: trio.run(measure, sends)


def measure(bench: Bench) -> None:
    """One item at a time, bursts, and receivers that do not wait."""
    for receivers in (1, 10, 100, 1000):
        table = bench.compare(
            f"an item to {receivers:,} waiting receivers, for each",
            {
                "waking the tasks, no channel": to_waiting(wake_ups, receivers),
                "trio-jobs, receive": to_waiting(ours(one_of), receivers),
                "trio-jobs, receive_many": to_waiting(ours(many_of), receivers),
                "a memory channel each, await send": to_waiting(raw_awaited, receivers),
            },
            per=receivers,
            least=20,
        )
        if receivers > 1:
            cost = table["trio-jobs, receive"]
            by_hand = table["a memory channel each, await send"]
            what = f"broadcast to {receivers:,} waiting receivers"
            bench.goal(what, 1.8, cost.ratio, "waking the tasks, no channel")
            bench.goal(what, 0.5, cost.ratio / by_hand.ratio, "await send to a memory channel each")

    for receivers, at_most in ((10, 0.30), (100, 0.15)):
        table = bench.compare(
            f"bursts of {BURST} to {receivers} receivers that take all there is, for each item and receiver",
            {
                "a memory channel each, drained": to_waiting(raw_nowait, receivers, BURST),
                "trio-jobs, receive_many": to_waiting(ours(many_of), receivers, BURST),
                "trio-jobs, receive": to_waiting(ours(one_of), receivers, BURST),
            },
            per=receivers * BURST,
        )
        bench.goal(
            f"bursts of {BURST} to {receivers} receivers that take all there is",
            at_most,
            table["trio-jobs, receive_many"].ratio,
            "a memory channel each, drained",
        )

    for overflow, buffer_size in ((Overflow.DROP_OLDEST, 64), (Overflow.BLOCK, inf)):
        cases = {
            f"{receivers:,} receivers": to_idle(receivers, overflow, buffer_size) for receivers in (1, 10, 1000, 10_000)
        }
        table = bench.compare(
            f"a send, receivers that do not wait, {overflow.name}, buffer {buffer_size}", cases, least=10_000
        )
        for receivers in (1000, 10_000):
            bench.goal(
                f"a send, {receivers:,} receivers that do not wait, {overflow.name}",
                1.25,
                table[f"{receivers:,} receivers"].ratio,
                "one such receiver",
            )
