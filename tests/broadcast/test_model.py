"""Whatever is done to a broadcast channel, in whatever order, it does what a few plain lists do."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from math import inf
from random import Random
from typing import Any

import attrs
import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_jobs import Disconnected, Lagged, Progress
from trio_jobs._broadcast import BroadcastReceiver, BroadcastSender, Overflow, open_broadcast_channel

from .shorthand import everything


@attrs.frozen
class Item:
    number: int

    @property
    def id(self) -> str:
        return str(self.number % 3)


def is_even(item: Item | Progress) -> bool:
    return isinstance(item, Progress) or item.number % 2 == 0


KINDS: dict[str, tuple[dict[str, Any], Callable[[Any], bool]]] = {
    "plain": ({}, everything),
    "select": ({"select": is_even}, is_even),
    "ids": ({"ids": ["0", "2"]}, lambda item: item.id != "1"),
    "both": ({"ids": ["0"], "select": is_even}, lambda item: item.id == "0" and is_even(item)),
    "progress": ({"progress": True}, everything),
    "progress of one": ({"progress": True, "ids": ["1"]}, lambda item: item.id == "1"),
}


@attrs.define(eq=False)
class ModelReceiver:
    """What one receiver has to read, as one list of its own, whatever its kind."""

    kind: str
    overflow: Overflow
    replayed: list[Any]
    new: list[Any] = attrs.field(factory=list[Any])
    lag: int = 0
    skipped: int = 0
    cut_off: bool = False

    def wants(self, item: Any) -> bool:
        return not self.cut_off and KINDS[self.kind][1](item)

    @property
    def items(self) -> int:
        return sum(isinstance(entry, Item) for entry in self.new)

    @property
    def has_news(self) -> bool:
        return bool(self.replayed or self.new or self.lag)

    def forget_oldest(self, kind: type[Item | Progress]) -> None:
        self.new.remove(next(entry for entry in self.new if isinstance(entry, kind)))


class Model:
    """The channel: who waits to send, who receives, what was sent."""

    def __init__(self, size: float, max_replay: int) -> None:
        self.size = size
        self.max_replay = max_replay
        self.sent: list[Item] = []
        self.waiting: list[Item] = []
        self.receivers: list[ModelReceiver] = []

    def is_in_the_way(self, receiver: ModelReceiver) -> bool:
        return receiver.overflow is Overflow.BLOCK and receiver.items >= self.size

    def may_send(self, item: Item) -> bool:
        return not any(receiver.wants(item) and self.is_in_the_way(receiver) for receiver in self.receivers)

    def accept(self, item: Item) -> None:
        self.sent.append(item)
        for receiver in self.receivers:
            if receiver.wants(item):
                if receiver.items >= self.size and receiver.overflow is Overflow.DISCONNECT:
                    receiver.cut_off = True
                    receiver.new = []
                    continue
                if receiver.items >= self.size:
                    receiver.forget_oldest(Item)
                    receiver.lag += 1
                elif len(receiver.new) >= self.size:
                    receiver.forget_oldest(Progress)
                receiver.new.append(item)

    def admit(self) -> None:
        while self.waiting and self.may_send(self.waiting[0]):
            self.accept(self.waiting.pop(0))

    def publish_progress(self, progress: Progress) -> None:
        for receiver in self.receivers:
            if receiver.kind.startswith("progress") and receiver.wants(progress):
                if len(receiver.new) >= self.size:
                    if receiver.items == len(receiver.new):
                        continue
                    receiver.forget_oldest(Progress)
                receiver.new.append(progress)

    def subscribe(self, kind: str, overflow: Overflow, replay: int) -> None:
        kept = self.sent[len(self.sent) - self.max_replay :] if self.max_replay < len(self.sent) else self.sent
        wanted = [item for item in kept if KINDS[kind][1](item)]
        self.receivers.append(ModelReceiver(kind, overflow, wanted[-replay:] if replay else []))

    def take(self, receiver: ModelReceiver, limit: float) -> list[Any] | type[Exception] | int:
        """Items, or the error there is to be told, or by how much it lagged."""
        count = int(min(limit, len(receiver.replayed)))
        taken, receiver.replayed = receiver.replayed[:count], receiver.replayed[count:]
        if taken and (count == limit or receiver.lag or receiver.cut_off):
            return taken
        if receiver.cut_off:
            return Disconnected
        if receiver.lag:
            lag, receiver.lag = receiver.lag, 0
            receiver.skipped += lag
            return lag
        count = int(min(limit - count, len(receiver.new)))
        taken, receiver.new = taken + receiver.new[:count], receiver.new[count:]
        self.admit()
        return taken or trio.WouldBlock

    def disconnect_blocking(self) -> int:
        full = [receiver for receiver in self.receivers if not receiver.cut_off and self.is_in_the_way(receiver)]
        for receiver in full:
            receiver.overflow = Overflow.DISCONNECT
        self.admit()
        return len(full)


def what_happens(take: Callable[[], list[Any]]) -> list[Any] | type[Exception] | int:
    try:
        return take()
    except Lagged as lagged:
        return lagged.skipped
    except (trio.WouldBlock, Disconnected) as error:
        return type(error)


class Run:
    """The same steps on the channel and on the model, compared after each."""

    def __init__(self, size: float, max_replay: int, nursery: trio.Nursery) -> None:
        self.model = Model(size, max_replay)
        self.sender: BroadcastSender[Item] = open_broadcast_channel(size, max_replay=max_replay)
        self.receivers: list[BroadcastReceiver[Any]] = []
        self.scopes: dict[Item, trio.CancelScope] = {}
        self.returned: set[Item] = set()
        self.nursery = nursery
        self.count = 0

    async def do(self, step: Step) -> None:
        act = getattr(self, step.verb)
        if step.verb in OF_A_RECEIVER:
            if self.receivers:
                act(step.which % len(self.receivers), step.number)
        else:
            act(step)
        await wait_all_tasks_blocked()
        self.compare()

    def compare(self) -> None:
        model = self.model
        # sends that go on together return in any order
        assert self.returned == {item for item in model.sent if item in self.scopes}
        statistics = self.sender.statistics()
        there = [receiver for receiver in model.receivers if not receiver.cut_off]
        assert statistics.tasks_waiting_send == len(model.waiting)
        assert statistics.open_receive_channels == len(there)
        assert statistics.drop_oldest_receivers == sum(each.overflow is Overflow.DROP_OLDEST for each in there)
        assert statistics.full_block_receivers == sum(model.is_in_the_way(each) for each in there)
        assert statistics.current_buffer_used == max((each.items for each in there if each.kind == "plain"), default=0)
        for receiver, expected in zip(self.receivers, model.receivers, strict=True):
            of_one = receiver.statistics()
            assert of_one.unread == len(expected.replayed) + len(expected.new)
            assert of_one.skipped == expected.skipped + expected.lag

    def next_item(self) -> Item:
        self.count += 1
        return Item(self.count)

    # What is done to the channel

    def send_nowait(self, _: Step) -> None:
        item = self.next_item()
        expected = not self.model.waiting and self.model.may_send(item)
        try:
            self.sender.send_nowait(item)
        except trio.WouldBlock:
            assert not expected
        else:
            assert expected
            self.model.accept(item)

    def send(self, _: Step) -> None:
        item = self.next_item()
        scope = self.scopes[item] = trio.CancelScope()

        async def send() -> None:
            with scope, suppress(trio.ClosedResourceError):
                await self.sender.send(item)
                self.returned.add(item)

        self.nursery.start_soon(send)
        self.model.waiting.append(item)
        if self.model.waiting == [item]:
            self.model.admit()

    def cancel_send(self, step: Step) -> None:
        if self.model.waiting:
            item = self.model.waiting.pop(step.which % len(self.model.waiting))
            self.scopes[item].cancel()
            self.model.admit()

    def subscribe(self, step: Step) -> None:
        replay = min(step.number, self.model.max_replay)
        arguments, _ = KINDS[step.kind]
        subscribe: Callable[..., BroadcastReceiver[Any]] = self.sender.subscribe
        self.receivers.append(subscribe(overflow=step.overflow, replay=replay, **arguments))
        self.model.subscribe(step.kind, step.overflow, replay)

    def publish_progress(self, step: Step) -> None:
        progress = Progress(self.next_item(), id=str(step.number % 3))
        self.sender._publish_progress(progress)
        self.model.publish_progress(progress)

    def disconnect_blocking(self, _: Step) -> None:
        assert self.sender._disconnect_blocking() == self.model.disconnect_blocking()

    # What is done to one of its receivers

    def take(self, which: int, _: int) -> None:
        self.compare_take(which, 1, lambda receiver: [receiver.receive_nowait()])

    def take_many(self, which: int, number: int) -> None:
        if number == 0:
            self.compare_take(which, inf, lambda receiver: receiver.receive_many_nowait())
        else:
            self.compare_take(which, number, lambda receiver: receiver.receive_many_nowait(number))

    def compare_take(self, which: int, limit: float, take: Callable[[BroadcastReceiver[Any]], list[Any]]) -> None:
        expected = self.model.take(self.model.receivers[which], limit)
        assert what_happens(lambda: take(self.receivers[which])) == expected

    def fork(self, which: int, _: int) -> None:
        receiver = self.model.receivers[which]
        self.receivers.append(self.receivers[which].fork())
        self.model.receivers.append(
            attrs.evolve(receiver, replayed=list(receiver.replayed), new=list(receiver.new), skipped=0)
        )

    def close(self, which: int, _: int) -> None:
        self.receivers.pop(which).close()
        self.model.receivers.pop(which)
        self.model.admit()

    def drop(self, which: int, _: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del self.receivers[which]
        self.model.receivers.pop(which)
        self.model.admit()

    # The end

    async def end(self, error: Exception | None) -> None:
        """Everybody reads what the model says it has, and then the end."""
        if error is None:
            self.sender.close()
        else:
            self.sender.fail(error)
        await wait_all_tasks_blocked()
        self.model.waiting.clear()
        for which, receiver in enumerate(self.receivers):
            while self.model.receivers[which].has_news:
                self.compare_take(which, 2, lambda receiver: receiver.receive_many_nowait(2))
            if self.model.receivers[which].cut_off:
                ending: type[Exception] = Disconnected
            else:
                ending = trio.EndOfChannel if error is None else trio.BrokenResourceError
            with pytest.raises(ending):
                receiver.receive_nowait()


OF_A_RECEIVER = ["take", "take_many", "fork", "close", "drop"]
VERBS = ["send_nowait", "send", "cancel_send", "subscribe", "publish_progress", "disconnect_blocking"]
# Sending and taking more often than the rest: else channels are mostly empty.
MANY = ["send_nowait"] * 4 + ["send"] * 2 + ["take"] * 2 + ["take_many"] + ["subscribe"] * 3 + ["publish_progress"] * 2


@attrs.frozen
class Step:
    verb: str
    kind: str = "plain"
    overflow: Overflow = Overflow.BLOCK
    which: int = 0
    number: int = 0


# What chance does not always come to
SEND_AND_GIVE_UP = [Step("subscribe"), Step("send_nowait"), Step("send"), Step("send"), Step("cancel_send", which=1)]
CROWD_OUT_PROGRESS = [Step("subscribe", "progress"), Step("publish_progress"), Step("send_nowait")]


STEPS = st.builds(
    Step,
    verb=st.sampled_from(VERBS + OF_A_RECEIVER + MANY),
    kind=st.sampled_from([*KINDS, "plain", "plain", "progress"]),
    overflow=st.sampled_from(Overflow),
    which=st.integers(0, 5),
    number=st.integers(0, 5),
)


@example(1, 0, SEND_AND_GIVE_UP, None)
@example(1, 0, CROWD_OUT_PROGRESS, None)
@given(
    size=st.sampled_from([1, 2, 3, 5, inf]),
    max_replay=st.integers(0, 5),
    steps=st.lists(STEPS, max_size=12) | st.lists(STEPS, min_size=40, max_size=80),  # short to read, long to get far
    error=st.sampled_from([None, ValueError()]),
)
@settings(deadline=None)
def test_a_channel_does_what_plain_lists_do(
    size: float, max_replay: int, steps: list[Step], error: Exception | None
) -> None:
    """Receivers of every kind and policy, replays, forks, waiting senders, cancelling, closing and dropping."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            run = Run(size, int(min(max_replay, size)), nursery)
            try:
                for step in steps:
                    await run.do(step)
                await run.end(error)
            finally:
                for receiver in run.receivers:
                    receiver.close()

    trio.run(main)


def test_plain_lists_give_up_who_is_in_the_way() -> None:
    """Chance seldom comes to it, so it is held here; the next item then cuts it off."""
    model = Model(1, 0)
    model.subscribe("plain", Overflow.BLOCK, 0)
    model.accept(Item(1))

    assert not model.may_send(Item(2))
    assert model.disconnect_blocking() == 1
    assert model.may_send(Item(2))


async def pause(random: Random) -> None:
    for _ in range(random.randrange(4)):
        await trio.lowlevel.checkpoint()


@attrs.define
class Soak:
    """Tasks that send and receive at random, and give up at random."""

    sender: BroadcastSender[Item]
    random: Random
    sent: list[Item] = attrs.field(factory=list[Item])
    """What was accepted, as seen by one receiver that misses nothing."""
    numbers: Iterator[int] = attrs.Factory(count)
    ended: trio.Event = attrs.Factory(trio.Event)

    async def listen(self) -> None:
        with self.sender.subscribe() as receiver, suppress(trio.EndOfChannel):
            while True:
                self.sent.extend(await receiver.receive_many())
        self.ended.set()

    async def send(self, handle: BroadcastSender[Item]) -> None:
        with handle:
            for _ in range(15):
                with trio.move_on_after(self.random.choice([0, 1, inf])):
                    await handle.send(Item(next(self.numbers)))
                await pause(self.random)

    async def receive(self, kind: str, overflow: Overflow) -> None:
        arguments, wanted = KINDS[kind]
        seen: list[Item | None] = []
        since = self.sender._channel.ring.head
        subscribe: Callable[..., BroadcastReceiver[Any]] = self.sender.subscribe
        with subscribe(overflow=overflow, **arguments) as receiver:
            with suppress(trio.EndOfChannel, Disconnected):
                while True:
                    await self.receive_some(receiver, seen)
            is_cut_off = overflow is Overflow.DISCONNECT
        await self.ended.wait()
        expected = [item for item in self.sent[since:] if wanted(item)]
        assert len(seen) == len(expected) or (is_cut_off and len(seen) < len(expected))
        assert all(got in (None, item) for got, item in zip(seen, expected, strict=False))
        assert None not in seen or overflow is Overflow.DROP_OLDEST

    async def receive_some(self, receiver: BroadcastReceiver[Item], seen: list[Item | None]) -> None:
        with trio.move_on_after(self.random.choice([0, 1, inf])):
            try:
                if self.random.random() < 0.5:
                    seen.append(await receiver.receive())
                else:
                    seen += await receiver.receive_many(self.random.choice([1, 2, None]))
            except Lagged as lagged:
                seen += [None] * lagged.skipped
        await pause(self.random)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.listen)
            await self.sender.wait_for_receivers(1)
            for _ in range(3):
                nursery.start_soon(self.send, self.sender.clone())
            self.sender.close()
            for _ in range(12):
                kind = self.random.choice(["plain", "select", "ids", "both"])
                nursery.start_soon(self.receive, kind, self.random.choice(list(Overflow)))
                await pause(self.random)


@pytest.mark.parametrize("seed", range(40))
def test_what_each_receiver_saw_and_lost_is_what_was_sent(seed: int) -> None:
    """In one order, with every loss told at its place, whatever is cancelled meanwhile."""
    random = Random(seed)
    soak = Soak(open_broadcast_channel(random.choice([1, 2, 3, 7])), random)

    trio.run(soak.run, clock=MockClock(autojump_threshold=0))

    assert soak.sender.statistics().open_receive_channels == 0
