"""The broadcast channel: what is sent once is received by all who subscribed, each in the way that it chose.

1. One order for all. Waiting senders go on first come, first served; nobody overtakes them.
2. A cancelled call did not happen. Between taking an item and returning it there is no checkpoint.
3. Predicates, the only foreign code in here, are asked before anything changes. They may do as they like.
4. A receiver without ``select``, ``ids`` and ``progress`` is a position in one shared ring; the others have a queue of their own.
5. The state of a receiver knows nothing of its handle: a handle that is dropped unclosed can be collected, and then is closed.
"""

from __future__ import annotations

import sys
import warnings
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from inspect import iscoroutinefunction
from math import inf
from typing import Any, Generic, Literal, Protocol, Self, TypeAlias, TypeVar, cast, overload

import attrs
import outcome
import trio
from trio.lowlevel import (
    Abort,
    RaiseCancelT,
    Task,
    TrioToken,
    cancel_shielded_checkpoint,
    checkpoint,
    checkpoint_if_cancelled,
    current_task,
    current_trio_token,
    enable_ki_protection,
    reschedule,
    wait_task_rescheduled,
)

from ._arguments import check_buffer_size, check_int
from ._errors import Disconnected, Lagged
from ._message import Progress
from ._ring import WEIGHTS, Overflow, Ring

__all__ = [
    "BroadcastReceiver",
    "BroadcastReceiverStatistics",
    "BroadcastSender",
    "BroadcastStatistics",
    "Overflow",
    "Sink",
    "open_broadcast_channel",
]

T = TypeVar("T")

Ending: TypeAlias = Callable[[], Exception]
"""Makes what receiving raises once nothing is left: a new exception for each who asks."""


@attrs.frozen
class BroadcastStatistics:
    """The state of a broadcast channel, with Trio's names where they exist."""

    current_buffer_used: int
    """Items that some receiver without a queue of its own has still to read."""
    max_buffer_size: float
    """How many there can be before the slowest receiver overflows."""
    kept: int
    """Items in the ring, with those that are only there for ``replay``."""
    open_senders: int
    """Handles that may still send."""
    open_receivers: int
    """Receivers that were not closed, cut off or broken by their own predicate; the sum of the next three."""
    block_receivers: int
    """Those with `Overflow.BLOCK`."""
    drop_oldest_receivers: int
    """Those with `Overflow.DROP_OLDEST`."""
    disconnect_receivers: int
    """Those with `Overflow.DISCONNECT`."""
    full_block_receivers: int
    """Those with `Overflow.BLOCK` that have no room: `send` waits for them."""
    tasks_waiting_send: int
    """Tasks blocked in `send`."""
    tasks_waiting_receive: int
    """Tasks blocked in `receive` or `receive_many`."""


@attrs.frozen
class BroadcastReceiverStatistics:
    """The state of one receiver of a broadcast channel."""

    unread: int
    """Items that it can still receive without waiting."""
    skipped: int
    """Items that it has lost so far because it was too slow, told in a `Lagged` already or not."""
    overflow: Overflow
    """What happens when it is too slow."""
    tasks_waiting_receive: int
    """1 while a task waits on this handle, else 0."""
    channel: BroadcastStatistics
    """The state of the whole channel."""


class Sink(Protocol):
    """Who is given an answer in this process, synchronously, when it is accepted. Its methods must not raise."""

    def deliver(self, item: Any, cause: BaseException | None) -> None:
        """The item of a watched id was accepted; ``cause`` is the exception that it tells of, if it is known here."""
        ...

    def end(self, error: BaseException | None) -> None:
        """It will not come: the channel has ended, with the error that `fail` was given."""
        ...


def open_broadcast_channel(max_buffer_size: float, *, max_replay: int | None = None) -> BroadcastSender[T]:  # pyright: ignore[reportInvalidTypeVarUse]  # it is what the caller says it is
    """Open a channel within this process whose every item goes to all who subscribed; `subscribe` makes receivers.

    Items are not copied: send what nobody changes.

    Args:
        max_buffer_size: How many items a receiver can be behind before it overflows; ``math.inf`` for no limit.
        max_replay: How many of the last items are kept for later ``subscribe(replay=...)`` though everybody has read them.
            By default ``max_buffer_size``, and 0 where that is ``math.inf``.

    Raises:
        TypeError, ValueError: A size is not an int (or ``math.inf``), or out of range.

    Example::

        prices: BroadcastSender[float] = open_broadcast_channel(64)
        with prices.subscribe() as receiver:
            await prices.send(3.50)
            assert await receiver.receive() == 3.50
    """
    check_buffer_size("max_buffer_size", max_buffer_size, least=1)
    if max_replay is None:
        max_replay = 0 if max_buffer_size == inf else int(max_buffer_size)
    check_int("max_replay", max_replay, least=0)
    if max_replay > max_buffer_size:
        raise ValueError(f"max_replay must be at most max_buffer_size, which is {max_buffer_size}, got {max_replay}")
    return BroadcastSender(_Channel(Ring(max_buffer_size, max_replay)))


# --- the state that all handles share


@attrs.define(eq=False)
class _WaitingSend(Generic[T]):
    """An item whose task is parked in `send`."""

    item: T
    cause: BaseException | None
    asked: dict[_OwnQueue[T], bool]
    """What predicates have said of it, so that each is asked once."""
    sender: BroadcastSender[T]


class _Channel(Generic[T]):
    """What the handles of one channel share. No method of it waits, but for the two that park a task."""

    def __init__(self, ring: Ring[T]) -> None:
        self.ring = ring
        self.open_senders = 0
        self.ending: Ending | None = None
        self.failure: BaseException | None = None
        self.sending: OrderedDict[Task, _WaitingSend[T]] = OrderedDict()
        self.receiving: dict[_Subscription[T], Task] = {}
        """Tasks that wait for whatever comes next; who has a queue of its own keeps its task itself."""
        self.block_cursors: dict[_Cursor[T], None] = {}
        self.own_queues: dict[_OwnQueue[T], None] = {}
        self.unindexed: dict[_OwnQueue[T], None] = {}
        """Those that have to be asked about every item."""
        self.indexed: dict[str, tuple[_OwnQueue[T], ...]] = {}
        """Those that chose ids; tuples, so that what a predicate changes is not what is being looked at."""
        self.sinks: dict[str, tuple[Sink, ...]] = {}
        self.counting: dict[Task, Callable[[int], bool]] = {}
        """Tasks that wait for a number of receivers, and which."""
        self.dropped: list[_Subscription[T]] = []
        """Receivers whose handle was collected unclosed; appended to in any thread."""
        self.token: TrioToken | None = None
        """Wakes the run in which tasks wait here; set before they look at ``dropped``, so none is missed."""
        self.admitting = False

    # --- sending

    def offer(self, item: T, cause: BaseException | None, asked: dict[_OwnQueue[T], bool]) -> bool:
        """Accept ``item``, unless somebody is in its way; whether it was accepted."""
        if self.dropped:
            self.reap()
        if self.sending or self.ring.blocked:
            return False
        chosen = self.choose(item, asked) if self.own_queues else ()
        if chosen and self.is_held_up(chosen):
            return False
        self.accept(item, cause, chosen)
        return True

    def choose(self, item: T, asked: dict[_OwnQueue[T], bool]) -> list[_OwnQueue[T]]:
        """Who, of those with a queue of their own, wants ``item``; each is asked once, also who subscribes meanwhile."""
        while True:
            candidates = self.candidates(item)
            unasked = [queue for queue in candidates if queue not in asked]
            if not unasked:
                return [queue for queue in candidates if asked[queue]]
            for queue in unasked:
                asked[queue] = queue.wants(item)

    def candidates(self, item: object) -> list[_OwnQueue[T]]:
        """Who, of those with a queue of their own, may want ``item``."""
        indexed = self.indexed.get(_id_of(item), ()) if self.indexed else ()
        return [*self.unindexed, *indexed]

    def is_held_up(self, chosen: Iterable[_OwnQueue[T]]) -> bool:
        """Whether an item for ``chosen`` has to wait."""
        return self.ring.blocked > 0 or any(queue.is_in_the_way for queue in chosen)

    def accept(self, item: T, cause: BaseException | None, chosen: Iterable[_OwnQueue[T]]) -> None:
        """Hand ``item`` to everybody; nobody is in its way."""
        self.ring.append(item)
        if self.receiving:
            for task in self.receiving.values():
                reschedule(task)
            self.receiving.clear()
        for queue in chosen:
            queue.put(item)
        if self.counting:
            self.wake_counting()
        if self.sinks:
            for sink in self.sinks.pop(_id_of(item), ()):
                sink.deliver(item, cause)

    def admit(self) -> None:
        """Let waiting senders go on as far as there is room."""
        if self.admitting:  # a predicate made room: who asked it will see
            return
        self.admitting = True
        try:
            while self.sending and not self.ring.blocked:
                task, waiting = next(iter(self.sending.items()))
                chosen = self.choose(waiting.item, waiting.asked) if self.own_queues else ()
                if self.sending.get(task) is not waiting:  # a predicate closed or cancelled it
                    continue
                if self.is_held_up(chosen):
                    break
                del self.sending[task]
                reschedule(task)
                self.accept(waiting.item, waiting.cause, chosen)
        finally:
            self.admitting = False

    async def wait_for_room(self, waiting: _WaitingSend[T]) -> None:
        task = current_task()
        self.sending[task] = waiting

        def abort(_: RaiseCancelT) -> Abort:
            del self.sending[task]
            self.admit()  # who waits behind may want to go where there is room
            return Abort.SUCCEEDED

        await wait_task_rescheduled(abort)

    def refuse(self, sender: BroadcastSender[T] | None) -> None:
        """Let sends that wait on this handle, or on all, end with `trio.ClosedResourceError`."""
        for task, waiting in list(self.sending.items()):
            if sender is None or waiting.sender is sender:
                del self.sending[task]
                reschedule(task, outcome.Error(trio.ClosedResourceError()))

    def end(self, ending: Ending, error: BaseException | None) -> None:
        """Nothing more will be sent."""
        self.ending, self.failure = ending, error
        for subscription in [*self.receiving, *self.own_queues]:
            subscription.wake()
        sinks, self.sinks = self.sinks, {}
        for sink in {id(sink): sink for watching in sinks.values() for sink in watching}.values():
            sink.end(error)

    def disconnect_blocking(self) -> int:
        """Turn every BLOCK receiver that has no room into a DISCONNECT one, until nobody waits for one; how many."""
        turned = self.turn_full_ones()
        for _ in range(len(self.sending)):
            self.admit()
            turned += self.turn_full_ones()
        return turned

    def turn_full_ones(self) -> int:
        full = self.full_block_receivers()
        for subscription in full:
            subscription.turn_to_disconnect()
        return len(full)

    def full_block_receivers(self) -> list[_Subscription[T]]:
        ring = self.ring
        full: list[_Subscription[T]] = []
        if ring.blocked:
            full += [cursor for cursor in self.block_cursors if cursor.position == ring.tail]
        full += [queue for queue in self.own_queues if queue.is_in_the_way]
        return full

    def publish_progress(self, progress: Progress) -> None:
        if self.own_queues and self.ending is None:
            for queue in self.candidates(progress):
                if queue.takes_progress and queue.wants(progress):
                    queue.put_progress(progress)

    # --- receivers

    @property
    def open_receivers(self) -> int:
        return sum(self.ring.count(overflow) for overflow in Overflow) + len(self.own_queues)

    def left(self) -> None:
        """A receiver is not there any more."""
        self.wake_counting()
        self.admit()

    def wake_counting(self) -> None:
        if self.counting:
            count = self.open_receivers
            for task, enough in list(self.counting.items()):
                if enough(count):
                    del self.counting[task]
                    reschedule(task)

    async def wait_for_count(self, enough: Callable[[int], bool]) -> None:
        self.token = current_trio_token()
        self.reap()
        if enough(self.open_receivers):
            await checkpoint()
            return

        task = current_task()
        self.counting[task] = enough

        def abort(_: RaiseCancelT) -> Abort:
            del self.counting[task]
            return Abort.SUCCEEDED

        await wait_task_rescheduled(abort)

    def drop(self, subscription: _Subscription[T]) -> None:
        """The handle is gone; called in any thread, at any moment."""
        self.dropped.append(subscription)
        if self.token is not None:
            try:
                self.token.run_sync_soon(self.reap, idempotent=True)
            except trio.RunFinishedError:
                pass  # then nobody waits here

    def reap(self) -> None:
        """Close what was dropped."""
        while self.dropped:
            self.dropped.pop().close()

    def statistics(self) -> BroadcastStatistics:
        self.reap()
        ring = self.ring
        by_policy = {overflow: ring.count(overflow) for overflow in Overflow}
        for queue in self.own_queues:
            by_policy[queue.overflow] += 1
        return BroadcastStatistics(
            current_buffer_used=ring.unread,
            max_buffer_size=ring.max_size,
            kept=len(ring),
            open_senders=self.open_senders,
            open_receivers=self.open_receivers,
            block_receivers=by_policy[Overflow.BLOCK],
            drop_oldest_receivers=by_policy[Overflow.DROP_OLDEST],
            disconnect_receivers=by_policy[Overflow.DISCONNECT],
            full_block_receivers=len(self.full_block_receivers()),
            tasks_waiting_send=len(self.sending),
            tasks_waiting_receive=len(self.receiving) + sum(len(queue.receiving) for queue in self.own_queues),
        )


def _id_of(item: object) -> str:
    """What an item is found by in a table of ids; an empty string, which is no id, for one that has none."""
    item_id = getattr(item, "id", None)
    return item_id if isinstance(item_id, str) else ""


# --- the state of one receiver


class _Subscription(ABC, Generic[T]):
    """What a receiver has still to read, and what it is to be told."""

    __slots__ = (
        "busy",
        "channel",
        "closed",
        "ending",
        "overflow",
        "receiving",
        "replayed",
        "skipped",
    )

    def __init__(
        self,
        channel: _Channel[T],
        overflow: Overflow,
        receiving: dict[_Subscription[T], Task],
    ) -> None:
        self.channel = channel
        self.overflow = overflow
        self.receiving = receiving
        """Where its task is found while it waits: together with all that the same event wakes."""
        self.replayed: deque[T] | None = None
        self.skipped = 0
        self.busy = False
        self.closed = False
        self.ending: Ending | None = None
        """Set when it gets nothing more, though the channel goes on: it was cut off, or its predicate raised."""

    # What each kind does in its own way

    @abstractmethod
    def register(self) -> None:
        """Receive from now on."""

    @abstractmethod
    def unregister(self) -> None:
        """Receive nothing more, and hold nobody back."""

    @abstractmethod
    def fork(self) -> _Subscription[T]:
        """Another that stands where this one does."""

    @abstractmethod
    def has_news(self) -> bool:
        """Whether there is something to take, or to be told, besides what was replayed."""

    @abstractmethod
    def take_new(self, limit: float) -> list[T]:
        """At most ``limit`` items besides what was replayed; raises if there are none."""

    @abstractmethod
    def count_unread(self) -> int:
        """Items besides what was replayed."""

    @abstractmethod
    def count_lag(self) -> int:
        """Items that it has lost since it was last told."""

    @abstractmethod
    def turn_to_disconnect(self) -> None:
        """Change a BLOCK receiver's policy."""

    # What they have in common

    @property
    def is_ready(self) -> bool:
        """Whether there is something to take or to raise."""
        return (
            self.has_news()
            or self.closed
            or bool(self.replayed)
            or self.ending is not None
            or self.channel.ending is not None
        )

    async def wait_until_ready(self) -> None:
        """A checkpoint; where nothing is there yet, waiting for it is the checkpoint."""
        self.check_not_busy()
        self.busy = True
        try:
            if self.is_ready:
                await checkpoint()
                return
            receiving = self.receiving
            receiving[self] = current_task()

            def abort(_: RaiseCancelT) -> Abort:
                del receiving[self]
                return Abort.SUCCEEDED

            await wait_task_rescheduled(abort)
        finally:
            self.busy = False

    def check_not_busy(self) -> None:
        if self.busy:
            raise trio.BusyResourceError(
                "another task receives on this handle, give each task a receiver of its own: fork()"
            )

    def wake(self) -> None:
        task = self.receiving.pop(self, None)
        if task is not None:
            reschedule(task)

    def take(self, limit: float) -> list[T]:
        """At least one item and at most ``limit``; `trio.WouldBlock` if there is none yet, else what there is to be told."""
        if self.closed:
            raise trio.ClosedResourceError
        if not self.replayed:
            return self.take_new(limit)
        count = min(limit, len(self.replayed))
        items = [self.replayed.popleft() for _ in range(int(count))]
        if count < limit and self.count_unread() and not self.count_lag():
            items += self.take_new(limit - count)
        return items

    def why_nothing(self) -> Exception:
        """What to raise where no item is left."""
        ending = self.ending or self.channel.ending or trio.WouldBlock
        return ending()

    def cut_off(self, ending: Ending) -> None:
        """It gets nothing more, though the channel goes on."""
        self.unregister()
        self.ending = ending
        self.wake()
        self.channel.left()

    def close(self) -> None:
        if self.closed:
            return
        if self.ending is None:
            self.unregister()
        self.closed = True
        self.replayed = None
        self.wake()
        self.channel.left()

    def statistics(self) -> BroadcastReceiverStatistics:
        return BroadcastReceiverStatistics(
            unread=self.unread,
            skipped=self.skipped + self.count_lag(),
            overflow=self.overflow,
            tasks_waiting_receive=int(self in self.receiving),
            channel=self.channel.statistics(),
        )

    @property
    def unread(self) -> int:
        if self.closed:
            return 0
        return len(self.replayed or ()) + self.count_unread()

    @property
    def is_over(self) -> bool:
        """Whether nothing will ever be received any more."""
        if self.closed:
            return True
        return (self.ending or self.channel.ending) is not None and not self.unread


class _Cursor(_Subscription[T]):
    """A receiver of everything: a position in the ring."""

    __slots__ = ("position", "weight")

    def __init__(self, channel: _Channel[T], overflow: Overflow, position: int) -> None:
        super().__init__(channel, overflow, channel.receiving)
        self.position = position
        self.weight = WEIGHTS[overflow]

    def register(self) -> None:
        self.channel.ring.enter(self.position, self.weight)
        if self.overflow is Overflow.BLOCK:
            self.channel.block_cursors[self] = None

    def unregister(self) -> None:
        self.channel.ring.leave(self.position, self.weight)
        self.channel.block_cursors.pop(self, None)

    def fork(self) -> _Subscription[T]:
        return _Cursor(self.channel, self.overflow, self.position)

    def replay(self, count: int) -> None:
        """Have the last items first."""
        self.replayed = deque(self.channel.ring.last(count))

    def has_news(self) -> bool:
        return self.position < self.channel.ring.head

    def take_new(self, limit: float) -> list[T]:
        channel, position = self.channel, self.position
        ring = channel.ring
        if position < ring.tail:
            raise self.overtaken()
        count = ring.head - position
        if not count or self.ending is not None:
            raise self.why_nothing()
        if count > limit:
            count = int(limit)
        items = ring.slice(position, count)
        self.position = ring.move(position, count, self.weight)
        if channel.sending:
            channel.admit()
        return items

    def overtaken(self) -> Exception:
        """What to raise when the ring has gone on without it."""
        if self.overflow is Overflow.DISCONNECT:
            self.ending = _disconnected
            return _disconnected()
        skipped = self.count_lag()
        self.skipped += skipped
        self.position += skipped
        return Lagged(skipped)

    def count_unread(self) -> int:
        ring = self.channel.ring
        if self.ending is not None:
            return 0
        if self.position < ring.tail and self.overflow is Overflow.DISCONNECT:
            return 0
        return ring.head - max(self.position, ring.tail)

    def count_lag(self) -> int:
        if self.overflow is not Overflow.DROP_OLDEST or self.closed:
            return 0
        return max(0, self.channel.ring.tail - self.position)

    def turn_to_disconnect(self) -> None:
        weight = WEIGHTS[Overflow.DISCONNECT]
        self.channel.ring.enter(self.position, weight)  # first, or the position might be let go
        self.unregister()
        self.overflow, self.weight = Overflow.DISCONNECT, weight


class _OwnQueue(_Subscription[T]):
    """A receiver of some items, or of progress: a bounded queue, the ring knows nothing of it."""

    __slots__ = ("ids", "items", "lag", "passed", "progress", "select", "takes_progress")

    def __init__(
        self,
        channel: _Channel[T],
        overflow: Overflow,
        *,
        select: Callable[[Any], bool] | None,
        ids: tuple[str, ...] | None,
        takes_progress: bool,
    ) -> None:
        super().__init__(channel, overflow, {})
        self.select = select
        self.ids = ids
        self.takes_progress = takes_progress
        self.items: deque[T] = deque()
        self.passed = 0
        """How many items have left the queue."""
        self.progress: deque[tuple[int, Progress]] = deque()
        """Each with the number of items, of all there were, that came before it."""
        self.lag = 0

    def register(self) -> None:
        channel = self.channel
        channel.own_queues[self] = None
        if self.ids is None:
            channel.unindexed[self] = None
        else:
            for item_id in self.ids:
                _add_to(channel.indexed, item_id, self)

    def unregister(self) -> None:
        channel = self.channel
        del channel.own_queues[self]
        if self.ids is None:
            del channel.unindexed[self]
        else:
            for item_id in self.ids:
                _discard_from(channel.indexed, item_id, self)

    def fork(self) -> _Subscription[T]:
        twin = _OwnQueue(
            self.channel,
            self.overflow,
            select=self.select,
            ids=self.ids,
            takes_progress=self.takes_progress,
        )
        twin.items, twin.progress = self.items.copy(), self.progress.copy()
        twin.passed, twin.lag = self.passed, self.lag
        return twin

    def wants(self, item: Any) -> bool:
        """Whether an item of its ids is selected; asks the predicate. If that raises, this receiver is broken off."""
        if self.select is None:
            return True
        try:
            return bool(self.select(item))
        except BaseException as error:  # whatever it is, it must not become the sender's
            if not self.closed and self.ending is None:
                self.cut_off(_broken_by(error, "the select= of this receiver raised"))
            return False

    def replay(self, count: int) -> None:
        """Have the last items first that it wants; it is registered already."""
        replayed: deque[T] = deque(maxlen=count)
        for item in self.channel.ring.last(self.channel.ring.max_replay):
            if (self.ids is None or _id_of(item) in self.ids) and self.wants(item):
                replayed.append(item)
            if self.ending is not None:
                break
        self.replayed = replayed

    @property
    def has_room(self) -> bool:
        """Whether an item can be added; Progress makes room for one."""
        return len(self.items) < self.channel.ring.max_size

    @property
    def is_in_the_way(self) -> bool:
        """Whether a send of what it wants has to wait for it."""
        return self.overflow is Overflow.BLOCK and not self.has_room

    def put(self, item: T) -> None:
        """Have ``item``; not while `is_in_the_way`."""
        if not self.has_room:
            if self.overflow is Overflow.DISCONNECT:
                self.items.clear()
                self.progress.clear()
                self.cut_off(_disconnected)
                return
            self.items.popleft()
            self.passed += 1
            self.lag += 1
        if self.progress and self.count_unread() >= self.channel.ring.max_size:
            self.progress.popleft()
        self.items.append(item)
        self.wake()

    def put_progress(self, progress: Progress) -> None:
        """Have ``progress`` if there is room, or an older one to be forgotten."""
        if self.closed or self.ending is not None:
            return
        if self.count_unread() >= self.channel.ring.max_size:
            if not self.progress:
                return
            self.progress.popleft()
        self.progress.append((self.passed + len(self.items), progress))
        self.wake()

    def has_news(self) -> bool:
        return bool(self.items or self.progress or self.lag)

    def take_new(self, limit: float) -> list[T]:
        if self.lag:
            skipped, self.lag = self.lag, 0
            self.skipped += skipped
            raise Lagged(skipped)
        count = min(limit, self.count_unread())
        if not count:
            raise self.why_nothing()
        items = [self.take_next() for _ in range(int(count))]
        if self.channel.sending:
            self.channel.admit()
        return items

    def take_next(self) -> T:
        if self.progress and self.progress[0][0] <= self.passed:
            # whoever asked for progress was told by the type of subscribe() that it comes too
            return cast("T", self.progress.popleft()[1])
        self.passed += 1
        return self.items.popleft()

    def count_unread(self) -> int:
        return len(self.items) + len(self.progress)

    def count_lag(self) -> int:
        return self.lag

    def turn_to_disconnect(self) -> None:
        self.overflow = Overflow.DISCONNECT


W = TypeVar("W")


def _add_to(table: dict[str, tuple[W, ...]], item_id: str, watcher: W) -> None:
    table[item_id] = (*table.get(item_id, ()), watcher)


def _discard_from(table: dict[str, tuple[W, ...]], item_id: str, watcher: W) -> None:
    rest = tuple(other for other in table.get(item_id, ()) if other is not watcher)
    if rest:
        table[item_id] = rest
    else:
        table.pop(item_id, None)


def _disconnected() -> Exception:
    return Disconnected(
        "this receiver was cut off: it was a whole buffer behind when the next item came; "
        "receive faster, or choose a larger max_buffer_size or another overflow"
    )


def _broken_by(error: BaseException, what: str) -> Ending:
    def ending() -> Exception:
        broken = trio.BrokenResourceError(f"{what}: {error!r}")
        broken.__cause__ = error
        return broken

    return ending


# --- the handles


class BroadcastSender(trio.abc.SendChannel[T]):
    """The sending end of a broadcast channel, and where receivers come from. Made by `open_broadcast_channel`.

    Several tasks may use one handle; `clone` where each should close its own. With no receivers, sending succeeds.
    """

    def __init__(self, channel: _Channel[T]) -> None:
        self._channel = channel
        self._closed = False
        channel.open_senders += 1

    def __repr__(self) -> str:
        if self._is_closed:
            return "<BroadcastSender closed>"
        ring = self._channel.ring
        receivers = self._channel.open_receivers
        return f"<BroadcastSender {ring.unread}/{ring.max_size} receivers={receivers}>"

    def statistics(self) -> BroadcastStatistics:
        """The state of the channel at this moment."""
        return self._channel.statistics()

    # --- sending

    @enable_ki_protection
    def send_nowait(self, value: T) -> None:
        """Send without waiting.

        Raises:
            trio.WouldBlock: A BLOCK receiver is a whole buffer behind, or others wait to send.
            trio.ClosedResourceError: You closed this handle, or somebody ended the channel with `fail`.
        """
        self._check_open()
        if not self._channel.offer(value, None, {}):
            raise trio.WouldBlock

    @enable_ki_protection
    async def send(self, value: T) -> None:
        """Send, waiting for BLOCK receivers that are a whole buffer behind; first come, first served.

        Cancelled, it was not sent.

        Raises:
            trio.ClosedResourceError: You closed this handle, or somebody ended the channel with `fail`, maybe while this waited.
        """
        await self._publish(value, None)

    async def _publish(self, item: T, cause: BaseException | None) -> None:
        """As `send`; sinks that watch the item's id are given ``cause`` as well."""
        await checkpoint_if_cancelled()
        self._check_open()
        channel = self._channel
        channel.token = current_trio_token()
        asked: dict[_OwnQueue[T], bool] = {}
        if channel.offer(item, cause, asked):
            await cancel_shielded_checkpoint()
        else:
            await channel.wait_for_room(_WaitingSend(item, cause, asked, self))

    @enable_ki_protection
    def _publish_nowait(self, item: T, cause: BaseException | None) -> None:
        """As `send_nowait`; sinks that watch the item's id are given ``cause`` as well."""
        self._check_open()
        if not self._channel.offer(item, cause, {}):
            raise trio.WouldBlock

    @enable_ki_protection
    def _publish_progress(self, progress: Progress) -> None:
        """Tell receivers that subscribed with ``progress=True``; never waits, and drops the oldest where there is no room."""
        self._channel.publish_progress(progress)

    @enable_ki_protection
    def _disconnect_blocking(self) -> int:
        """Turn BLOCK receivers that are in the way of waiting senders, or of the next one, into DISCONNECT; how many."""
        return self._channel.disconnect_blocking()

    # --- the end

    @property
    def _is_closed(self) -> bool:
        return self._closed or self._channel.ending is not None

    def _check_open(self) -> None:
        if self._closed or self._channel.ending is not None:
            raise trio.ClosedResourceError

    @enable_ki_protection
    def clone(self) -> BroadcastSender[T]:
        """Another handle on the same channel, to be closed on its own.

        Raises:
            trio.ClosedResourceError: This one is closed.
        """
        self._check_open()
        return BroadcastSender(self._channel)

    @enable_ki_protection
    def close(self) -> None:
        """Close this handle; after the last, receivers read what is kept for them and get `trio.EndOfChannel`."""
        if self._is_closed:
            return
        self._closed = True
        channel = self._channel
        channel.open_senders -= 1
        channel.refuse(self)
        if channel.open_senders:
            channel.admit()
        else:
            channel.end(trio.EndOfChannel, None)

    async def aclose(self) -> None:
        """Close this handle, see `close`; a checkpoint."""
        self.close()
        await checkpoint()

    @enable_ki_protection
    def fail(self, error: BaseException) -> None:
        """Close all handles that send; receivers read what is kept, and get `trio.BrokenResourceError` from ``error``.

        Where the channel has ended already, nothing happens.

        Raises:
            trio.ClosedResourceError: You closed this handle, and others are open.
            TypeError: ``error`` is not an exception.
        """
        if not isinstance(error, BaseException):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
            raise TypeError(f"error must be an exception object, got {error!r}")
        channel = self._channel
        if channel.ending is not None:
            return
        self._check_open()
        channel.open_senders = 0
        channel.refuse(None)
        channel.end(_broken_by(error, "the channel was ended by an error"), error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- receivers

    @overload
    def subscribe(
        self,
        *,
        overflow: Overflow = Overflow.BLOCK,
        replay: int = 0,
        select: Callable[[T | Progress], bool] | None = None,
        ids: Iterable[str] | None = None,
        progress: Literal[True],
    ) -> BroadcastReceiver[T | Progress]: ...

    @overload
    def subscribe(
        self,
        *,
        overflow: Overflow = Overflow.BLOCK,
        replay: int = 0,
        select: Callable[[T], bool] | None = None,
        ids: Iterable[str] | None = None,
        progress: bool = False,
    ) -> BroadcastReceiver[T]: ...

    @enable_ki_protection
    def subscribe(
        self,
        *,
        overflow: Overflow = Overflow.BLOCK,
        replay: int = 0,
        select: Callable[[Any], bool] | None = None,
        ids: Iterable[str] | None = None,
        progress: bool = False,
    ) -> BroadcastReceiver[Any]:
        """A receiver of what is accepted from now on. Works on a closed handle, and after the end, too: replay, then the end.

        Close the receiver, or use it in ``with``: a BLOCK receiver that nobody reads makes every sender wait.

        Args:
            overflow: What happens when it is a whole buffer behind, see `Overflow`.
            replay: How many of the last items it gets first; at most the channel's ``max_replay``. They make no sender wait
                and cannot lag. With ``select`` or ``ids``, the last selected ones of those kept.
            select: A plain function that says whether an item is received; asked at most once for each item, in the sender's
                task. If it raises, this receiver alone is broken: it reads what it has, then gets
                `trio.BrokenResourceError` from that error.
            ids: Receive only items whose attribute ``id`` is one of these; a send costs the same however many ids are watched.
            progress: Receive each `Progress` as well, in order. Where there is no room the oldest Progress is forgotten.

        With any of the last three it has a queue of ``max_buffer_size`` of its own, and items that are not for it neither
        lag nor occupy it.

        Raises:
            TypeError, ValueError: An argument has a wrong type or value; the message names both.
        """
        _check_subscription(self._channel.ring.max_replay, overflow, replay, select, progress)
        wanted_ids = None if ids is None else _checked_ids(ids)
        channel = self._channel
        subscription: _Cursor[T] | _OwnQueue[T]
        if select is None and wanted_ids is None and not progress:
            subscription = _Cursor(channel, overflow, channel.ring.head)
        else:
            subscription = _OwnQueue(channel, overflow, select=select, ids=wanted_ids, takes_progress=progress)
        subscription.register()
        if replay:
            subscription.replay(replay)
        channel.wake_counting()
        return BroadcastReceiver(subscription)

    @enable_ki_protection
    async def wait_for_receivers(self, n: int) -> None:
        """Wait until there are at least ``n`` receivers; there were, at some moment, when it returns.

        Raises:
            TypeError, ValueError: ``n`` is not an int of at least 0.
        """
        check_int("n", n, least=0)
        await self._channel.wait_for_count(lambda count: count >= n)

    @enable_ki_protection
    async def wait_no_receivers(self) -> None:
        """Wait until every receiver is closed, cut off or dropped; there was none, at some moment, when it returns."""
        await self._channel.wait_for_count(lambda count: count == 0)

    # --- callers in this process

    @enable_ki_protection
    def _watch(self, item_id: str, sink: Sink) -> None:
        """Give ``sink`` the next item of this id, once. After the end it is told of that at once."""
        channel = self._channel
        if channel.ending is not None:
            sink.end(channel.failure)
        else:
            _add_to(channel.sinks, item_id, sink)

    @enable_ki_protection
    def _unwatch(self, item_id: str, sink: Sink) -> None:
        """Give it nothing; no error if it was given its item already."""
        _discard_from(self._channel.sinks, item_id, sink)

    @enable_ki_protection
    def _end_watchers(self, item_id: str, error: BaseException | None) -> None:
        """Tell who watches this id that its item will not come, though the channel goes on."""
        for sink in self._channel.sinks.pop(item_id, ()):
            sink.end(error)


def _check_subscription(max_replay: int, overflow: object, replay: object, select: object, progress: object) -> None:
    if not isinstance(overflow, Overflow):
        raise TypeError(f"overflow must be a member of Overflow, such as Overflow.DROP_OLDEST, got {overflow!r}")
    check_int("replay", replay, least=0)
    if cast("int", replay) > max_replay:
        raise ValueError(
            f"replay must be at most the channel's max_replay, which is {max_replay}, got {replay}; "
            "see open_broadcast_channel(..., max_replay=...)"
        )
    if select is not None and not callable(select):
        raise TypeError(f"select must be a function of one item, or None, got {select!r}")
    if iscoroutinefunction(select):
        raise TypeError(f"select must be a plain function, it can't wait for anything, got {select!r}")
    if not isinstance(progress, bool):
        raise TypeError(f"progress must be True or False, got {progress!r}")


def _checked_ids(ids: Iterable[object]) -> tuple[str, ...]:
    if isinstance(ids, str):
        raise TypeError(f"ids must be an iterable of str, ids=[{ids!r}] instead of ids={ids!r}")
    if not isinstance(ids, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
        raise TypeError(f"ids must be an iterable of str, got {ids!r}")
    checked: dict[str, None] = {}
    for item_id in ids:
        if not isinstance(item_id, str):
            raise TypeError(f"ids must be an iterable of str, got {item_id!r} in it")
        checked[item_id] = None
    return tuple(checked)


class BroadcastReceiver(trio.abc.ReceiveChannel[T]):
    """The receiving end of a broadcast channel, for one task. Made by `BroadcastSender.subscribe`.

    Close it, or use it in ``with``. One that is dropped unclosed warns with a ResourceWarning; it holds nobody back.
    """

    __slots__ = ("__weakref__", "_subscription")

    def __init__(self, subscription: _Subscription[T]) -> None:
        self._subscription = subscription

    def __repr__(self) -> str:
        subscription = self._subscription
        if subscription.closed:
            return "<BroadcastReceiver closed>"
        state = f"unread={subscription.unread} overflow={subscription.overflow.name}"
        lag = subscription.count_lag()
        return f"<BroadcastReceiver {state}{f' lag={lag}' if lag else ''}>"

    @enable_ki_protection
    def __del__(self) -> None:
        subscription: _Subscription[T] | None = getattr(self, "_subscription", None)
        if subscription is None or subscription.closed or sys.is_finalizing():
            return
        # Any thread, any moment: only mark it.
        text = None if subscription.is_over else f"{self!r} was dropped without being closed"
        subscription.channel.drop(subscription)
        if text is not None:
            warnings.warn(
                f"{text}; use `with sender.subscribe() as receiver:` or close()",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )

    def statistics(self) -> BroadcastReceiverStatistics:
        """The state of this receiver, and of its channel, at this moment."""
        return self._subscription.statistics()

    @enable_ki_protection
    def receive_nowait(self) -> T:
        """The next item.

        Raises:
            trio.WouldBlock: There is none at the moment.
            Others: As `receive`.
        """
        self._subscription.check_not_busy()
        return self._subscription.take(1)[0]

    @enable_ki_protection
    async def receive(self) -> T:
        """The next item. Cancelled, it is still there.

        Raises:
            Lagged: You were too slow and chose `Overflow.DROP_OLDEST`; the next call goes on at the oldest item that is kept.
            Disconnected: You were too slow and chose `Overflow.DISCONNECT`.
            trio.EndOfChannel: Every sender is closed, and everything was read.
            trio.BrokenResourceError: The channel was ended by an error, or your own ``select`` raised, and everything was read.
            trio.ClosedResourceError: You closed this handle, maybe while this waited.
            trio.BusyResourceError: Another task receives on this handle: `fork` it.
        """
        await self._subscription.wait_until_ready()
        return self._subscription.take(1)[0]

    @enable_ki_protection
    def receive_many_nowait(self, max_items: int | None = None) -> list[T]:
        """All items that are there, at least one and at most ``max_items``.

        Raises:
            trio.WouldBlock: There is none at the moment.
            Others: As `receive_many`.
        """
        limit = _checked_limit(max_items)
        self._subscription.check_not_busy()
        return self._subscription.take(limit)

    @enable_ki_protection
    async def receive_many(self, max_items: int | None = None) -> list[T]:
        """Wait for an item and take all that are there, at most ``max_items``: one wake-up for a burst.

        Cancelled, they are still there.

        Raises:
            TypeError, ValueError: ``max_items`` is not an int of at least 1, or None.
            Others: As `receive`.
        """
        limit = _checked_limit(max_items)
        await self._subscription.wait_until_ready()
        return self._subscription.take(limit)

    @enable_ki_protection
    def fork(self) -> BroadcastReceiver[T]:
        """An independent receiver of the same kind at the same position: it gets what this one has still to read, and on.

        Raises:
            trio.ClosedResourceError: This one is closed.
        """
        subscription = self._subscription
        if subscription.closed:
            raise trio.ClosedResourceError
        twin = subscription.fork()
        if subscription.replayed:
            twin.replayed = subscription.replayed.copy()
        twin.ending = subscription.ending
        if twin.ending is None:
            twin.register()
            subscription.channel.wake_counting()
        return BroadcastReceiver(twin)

    @enable_ki_protection
    def close(self) -> None:
        """Close this handle: it holds nobody back any more, and a task that waits on it gets `trio.ClosedResourceError`."""
        self._subscription.close()

    async def aclose(self) -> None:
        """Close this handle, see `close`; a checkpoint."""
        self.close()
        await checkpoint()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _checked_limit(max_items: int | None) -> float:
    if max_items is None:
        return inf
    check_int("max_items", max_items, least=1)
    return max_items
