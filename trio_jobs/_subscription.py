"""The inside of a broadcast channel: what its handles share, and what each receiver has still to read.

1. One order for all. Waiting senders go on first come, first served; nobody overtakes them.
2. A cancelled call did not happen: between taking an item and returning it there is no checkpoint.
3. Predicates are asked before anything changes, sinks are told after everything has. Both may do as they like.
4. Whoever receives everything is a position in one shared ring; whoever selects has a bounded queue of its own.
5. Nothing in here knows a receiver's handle, so that one that is dropped unclosed can be collected. Then it is closed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast

import attrs
import outcome
import trio
from trio.lowlevel import (
    Abort,
    RaiseCancelT,
    Task,
    TrioToken,
    checkpoint,
    current_task,
    current_trio_token,
    reschedule,
    wait_task_rescheduled,
)

from ._errors import Disconnected, Lagged
from ._message import Progress
from ._ring import WEIGHTS, Overflow, Ring

T = TypeVar("T")

Ending: TypeAlias = Callable[[], Exception]
"""Makes what receiving raises once nothing is left: a new exception each time, for many may raise it."""


class Sink(Protocol):
    """Who is given an answer in this process, synchronously, when it is accepted. Its methods must not raise."""

    def _deliver(self, item: Any, cause: BaseException | None) -> None:
        """The item of a watched id was accepted; ``cause`` is the exception that it tells of, if it is known here."""
        ...

    def _end(self, error: BaseException | None) -> None:
        """It will not come: the channel has ended, with the error that ``fail`` was given."""
        ...


@attrs.define(eq=False)
class WaitingSend(Generic[T]):
    """An item whose task is parked in ``send``."""

    item: T
    cause: BaseException | None
    handle: object
    asked: dict[Selection[T], bool]
    """What predicates have said of it, so that each is asked once."""


class Broadcast(Generic[T]):
    """What the handles of one channel share."""

    def __init__(self, ring: Ring[T]) -> None:
        self.ring = ring
        self.open_senders = 0
        self.ending: Ending | None = None
        """Set once nothing more will be sent."""
        self.failure: BaseException | None = None
        self.sending: OrderedDict[Task, WaitingSend[T]] = OrderedDict()
        self.receiving: dict[Subscription[T], Task] = {}
        """Tasks that wait for whatever comes next; a selection keeps its task itself."""
        self.block_cursors: dict[Cursor[T], None] = {}
        self.selections: dict[Selection[T], None] = {}
        self.unindexed: dict[Selection[T], None] = {}
        """Those that have to be asked about every item."""
        self.indexed: dict[str, tuple[Selection[T], ...]] = {}
        """Those that chose ids; tuples, so that a predicate cannot change what is being looked at."""
        self.sinks: dict[str, Sink] = {}
        """Who is given the next item of an id."""
        self.counting: dict[Task, Callable[[int], bool]] = {}
        """Tasks that wait for a number of receivers, and for which."""
        self.dropped: list[Subscription[T]] = []
        """Receivers whose handle was collected unclosed; appended to in any thread."""
        self.token: TrioToken | None = None
        """Wakes the run whose tasks wait here. Set before ``dropped`` is looked at, so that no drop is missed."""
        self.admitting = False

    # --- sending

    def offer(self, item: T, cause: BaseException | None, asked: dict[Selection[T], bool]) -> bool:
        """Accept ``item`` unless somebody is in its way; whether it was accepted."""
        if self.ending is not None:
            raise trio.ClosedResourceError
        if self.dropped:
            self.reap()
        if self.sending:
            return False
        chosen: Sequence[Selection[T]] = ()
        if self.selections:
            if self.ring.blocked:
                return False
            chosen = self.choose(item, asked)
            if self.ending is not None:  # a predicate ended the channel
                raise trio.ClosedResourceError
        if not (self.put(item, chosen) if chosen or self.receiving or self.counting else self.ring.append(item)):
            return False
        if self.sinks:
            sink = self.sinks.pop(id_of(item), None)  # as deliver, without the call
            if sink is not None:
                sink._deliver(item, cause)
        return True

    def choose(self, item: T, asked: dict[Selection[T], bool]) -> list[Selection[T]]:
        """Which selections want ``item``; each is asked once, also one that was made by a predicate just now."""
        while True:
            candidates = self.candidates(item)
            unasked = [selection for selection in candidates if selection not in asked]
            if not unasked:
                return [selection for selection in candidates if asked[selection]]
            for selection in unasked:
                asked[selection] = selection.wants(item)

    def candidates(self, item: object) -> list[Selection[T]]:
        """Which selections may want ``item``."""
        indexed = self.indexed.get(id_of(item), ()) if self.indexed else ()
        return [*self.unindexed, *indexed]

    def put(self, item: T, chosen: Sequence[Selection[T]]) -> bool:
        """Hand ``item`` to all who receive everything and to ``chosen``, unless one of them is in the way."""
        for selection in chosen:
            if selection.is_in_the_way:
                return False
        if not self.ring.append(item):
            return False
        if self.receiving:
            for task in self.receiving.values():
                reschedule(task)
            self.receiving.clear()
        for selection in chosen:
            selection.put(item)
        if self.counting:
            self.wake_counting()
        return True

    def deliver(self, item: T, cause: BaseException | None) -> None:
        """Tell the sink that watches the id of ``item``."""
        sink = self.sinks.pop(id_of(item), None)
        if sink is not None:
            sink._deliver(item, cause)

    def admit(self) -> None:
        """Let waiting senders go on as far as there is room."""
        if self.admitting:  # a predicate or a sink made room: the loop that called it goes on
            return
        self.admitting = True
        try:
            while self.sending and not self.ring.blocked:
                task, waiting = next(iter(self.sending.items()))
                chosen = self.choose(waiting.item, waiting.asked) if self.selections else ()
                if self.sending.get(task) is not waiting:  # a predicate cancelled it or closed its handle
                    continue
                if not self.put(waiting.item, chosen):
                    break
                del self.sending[task]
                reschedule(task)
                self.deliver(waiting.item, waiting.cause)
        finally:
            self.admitting = False

    async def wait_for_room(self, waiting: WaitingSend[T]) -> None:
        """Park until ``waiting`` was accepted."""
        task = current_task()
        self.sending[task] = waiting

        def abort(_: RaiseCancelT) -> Abort:
            del self.sending[task]
            self.admit()  # its item may have been all that held up those behind
            return Abort.SUCCEEDED

        await wait_task_rescheduled(abort)

    def publish_progress(self, progress: Progress) -> None:
        """Hand it to those who take it; it never waits and is not kept for later ones."""
        if self.selections and self.ending is None:
            for selection in self.candidates(progress):
                if isinstance(selection, ProgressSelection) and selection.wants(progress):
                    selection.put_progress(progress)

    def disconnect_blocking(self) -> int:
        """Turn BLOCK receivers that have no room into DISCONNECT ones; how many.

        Those that get full by what waiting senders then send are not slow yet: they have had no turn to read it.
        """
        full = self.full_block_receivers()
        for subscription in full:
            subscription.turn_to_disconnect()
        self.admit()
        return len(full)

    def full_block_receivers(self) -> list[Subscription[T]]:
        """Those that `send` waits for."""
        ring = self.ring
        full: list[Subscription[T]] = []
        if ring.blocked:
            full += [cursor for cursor in self.block_cursors if cursor.position == ring.tail]
        full += [selection for selection in self.selections if selection.is_in_the_way]
        return full

    # --- the end

    def refuse(self, handle: object | None) -> None:
        """Let sends that wait on this handle, or on any, end with `trio.ClosedResourceError`."""
        for task, waiting in list(self.sending.items()):
            if handle is None or waiting.handle is handle:
                del self.sending[task]
                reschedule(task, outcome.Error(trio.ClosedResourceError()))

    def end(self, ending: Ending, error: BaseException | None) -> None:
        """Nothing more will be sent; nobody waits to."""
        self.ending, self.failure = ending, error
        for subscription in [*self.receiving, *self.selections]:
            subscription.wake()
        sinks, self.sinks = self.sinks, {}
        for sink in {id(sink): sink for sink in sinks.values()}.values():
            sink._end(error)

    # --- receivers

    @property
    def open_receivers(self) -> int:
        """Those that were not closed, cut off or broken."""
        return sum(self.ring.count(overflow) for overflow in Overflow) + len(self.selections)

    def wake_counting(self) -> None:
        """The number of receivers may have changed."""
        if self.counting:
            count = self.open_receivers
            for task, enough in list(self.counting.items()):
                if enough(count):
                    del self.counting[task]
                    reschedule(task)

    async def wait_for_count(self, enough: Callable[[int], bool]) -> None:
        """Wait until there are as many receivers as ``enough`` asks for."""
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

    def left(self) -> None:
        """A receiver is gone."""
        self.wake_counting()
        self.admit()

    def drop(self, subscription: Subscription[T]) -> None:
        """The handle of a receiver is gone; called in any thread, at any moment."""
        self.dropped.append(subscription)
        if self.token is not None:
            with suppress(trio.RunFinishedError):  # then nobody waits here
                self.token.run_sync_soon(self.reap, idempotent=True)

    def reap(self) -> None:
        """Close what was dropped."""
        while self.dropped:
            self.dropped.pop().close()


def id_of(item: object) -> str:
    """What an item is found by in a table of ids; an empty string for one that has no id."""
    item_id = getattr(item, "id", None)
    return item_id if isinstance(item_id, str) else ""


def disconnected() -> Exception:
    """What a receiver gets that was cut off."""
    return Disconnected(
        "this receiver was cut off: it was a whole buffer behind when the next item came; "
        "receive faster, or choose a larger max_buffer_size or another overflow"
    )


def broken_by(error: BaseException, what: str) -> Ending:
    """An end by an error."""

    def ending() -> Exception:
        broken = trio.BrokenResourceError(f"{what}: {error!r}")
        broken.__cause__ = error
        return broken

    return ending


def busy() -> Exception:
    """What the second of two tasks gets that receive on one handle."""
    return trio.BusyResourceError("another task receives on this handle: give each task one of its own, with fork()")


class Subscription(ABC, Generic[T]):
    """What a receiver has still to read, and what it is to be told."""

    __slots__ = ("broadcast", "busy", "closed", "ending", "overflow", "receiving", "replayed", "skipped")

    def __init__(self, broadcast: Broadcast[T], overflow: Overflow, receiving: dict[Subscription[T], Task]) -> None:
        self.broadcast = broadcast
        self.overflow = overflow
        self.receiving = receiving
        """Where its task is while it waits: with all others that the same event wakes."""
        self.replayed: deque[T] | None = None
        self.skipped = 0
        """Items that it has lost, and was told of."""
        self.busy = False
        self.closed = False
        self.ending: Ending | None = None
        """Set when it gets nothing more, though others do: it was cut off, or its predicate raised."""

    # What each kind does in its own way; "new" is what was not replayed

    @abstractmethod
    def register(self) -> None:
        """Receive from now on."""

    @abstractmethod
    def unregister(self) -> None:
        """Receive nothing more, and hold nobody back."""

    @abstractmethod
    def replay(self, count: int) -> None:
        """Have the last ``count`` items first; called right after `register`."""

    @abstractmethod
    def twin(self) -> Subscription[T]:
        """Another, not registered, that has the same new items to read."""

    @abstractmethod
    def has_news(self) -> bool:
        """Whether there is anything new to read or to be told."""

    @abstractmethod
    def take_new(self, limit: float) -> list[T]:
        """At least one new item and at most ``limit``; raises if there is none, or something is to be told first."""

    @abstractmethod
    def forget_new(self) -> None:
        """Let go of new items, and of what was to be told of lost ones."""

    @abstractmethod
    def count_new(self) -> int:
        """How many items `take_new` could take, were there no limit and nothing to be told."""

    @abstractmethod
    def count_lag(self) -> int:
        """How many items it has lost since it was last told."""

    @abstractmethod
    def turn_to_disconnect(self) -> None:
        """Change the policy from BLOCK."""

    # What they have in common

    async def wait_until_ready(self) -> None:
        """A checkpoint, after which there is something to take or to be told.

        What is there before it is there after it, for nobody else takes it. Where nothing is, waiting is it.
        """
        if self.busy:
            raise busy()
        self.busy = True
        try:
            if self.has_news() or self.replayed or self.closed or self.ending or self.broadcast.ending:
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

    def wake(self) -> None:
        """There is something for the task that may be waiting."""
        task = self.receiving.pop(self, None)
        if task is not None:
            reschedule(task)

    def take(self, limit: float) -> list[T]:
        """At least one item and at most ``limit``; raises `trio.WouldBlock`, or whatever there is to be told."""
        if self.closed:
            raise trio.ClosedResourceError
        if not self.replayed:
            return self.take_new(limit)
        count = min(limit, len(self.replayed))
        items = [self.replayed.popleft() for _ in range(int(count))]
        if count < limit and self.count_new() and not self.count_lag():
            items += self.take_new(limit - count)
        return items

    def why_nothing(self) -> Exception:
        """What to raise where no item is left."""
        return (self.ending or self.broadcast.ending or trio.WouldBlock)()

    def fork(self) -> Subscription[T]:
        """Another at the same position."""
        if self.closed:
            raise trio.ClosedResourceError
        twin = self.twin()
        twin.ending = self.ending
        if self.replayed:
            twin.replayed = self.replayed.copy()
        if twin.ending is None:
            twin.register()
            self.broadcast.wake_counting()
        return twin

    def cut_off(self, ending: Ending) -> None:
        """It gets nothing more, though others do."""
        self.unregister()
        self.ending = ending
        self.wake()
        self.broadcast.left()

    def close(self) -> None:
        """Its handle is closed or gone."""
        if self.closed:
            return
        if self.ending is None:
            self.unregister()
        self.skipped += self.count_lag()
        self.closed = True
        self.replayed = None
        self.forget_new()
        self.wake()
        self.broadcast.left()

    @property
    def unread(self) -> int:
        """How many items can be taken without waiting."""
        return 0 if self.closed else len(self.replayed or ()) + self.count_new()

    @property
    def is_over(self) -> bool:
        """Whether nothing will ever be received any more."""
        return self.closed or (bool(self.ending or self.broadcast.ending) and not self.unread)


class Cursor(Subscription[T]):
    """Receives everything: a position in the ring."""

    __slots__ = ("position", "weight")

    def __init__(self, broadcast: Broadcast[T], overflow: Overflow, position: int) -> None:
        super().__init__(broadcast, overflow, broadcast.receiving)
        self.position = position
        self.weight = WEIGHTS[overflow]

    def register(self) -> None:
        self.broadcast.ring.enter(self.position, self.weight)
        if self.overflow is Overflow.BLOCK:
            self.broadcast.block_cursors[self] = None

    def unregister(self) -> None:
        self.broadcast.ring.leave(self.position, self.weight)
        self.broadcast.block_cursors.pop(self, None)

    def replay(self, count: int) -> None:
        self.replayed = deque(self.broadcast.ring.last(count))

    def twin(self) -> Subscription[T]:
        return Cursor(self.broadcast, self.overflow, self.position)

    def has_news(self) -> bool:
        return self.position < self.broadcast.ring.head

    def take_new(self, limit: float) -> list[T]:
        broadcast, position = self.broadcast, self.position
        ring = broadcast.ring
        if position < ring.tail:
            raise self.overtaken()
        count = ring.head - position
        if not count:
            raise self.why_nothing()
        if count > limit:
            count = int(limit)
        items = ring.read(position, count, self.weight)
        self.position = position + count
        if broadcast.sending:
            broadcast.admit()
        return items

    def overtaken(self) -> Exception:
        """What it is to be told when the ring has gone on without it."""
        if self.overflow is Overflow.DISCONNECT:
            self.ending = disconnected
            return disconnected()
        skipped = self.count_lag()
        self.skipped += skipped
        self.position += skipped
        return Lagged(skipped)

    def forget_new(self) -> None:
        pass  # it has none of its own

    def count_new(self) -> int:
        tail, head = self.broadcast.ring.tail, self.broadcast.ring.head
        if self.position < tail and self.overflow is Overflow.DISCONNECT:
            return 0
        return head - max(self.position, tail)

    def count_lag(self) -> int:
        if self.overflow is not Overflow.DROP_OLDEST or self.closed:
            return 0
        return max(0, self.broadcast.ring.tail - self.position)

    def turn_to_disconnect(self) -> None:
        weight = WEIGHTS[Overflow.DISCONNECT]
        self.broadcast.ring.enter(self.position, weight)  # before it leaves, or the position might be let go
        self.unregister()
        self.overflow, self.weight = Overflow.DISCONNECT, weight


class Selection(Subscription[T]):
    """Receives some items: the ring knows nothing of it, it has a bounded queue of its own."""

    __slots__ = ("ids", "items", "lag", "select")

    def __init__(
        self,
        broadcast: Broadcast[T],
        overflow: Overflow,
        select: Callable[[Any], bool] | None,
        ids: tuple[str, ...] | None,
    ) -> None:
        super().__init__(broadcast, overflow, {})
        self.select = select
        self.ids = ids
        self.items: deque[T] = deque()
        self.lag = 0

    def register(self) -> None:
        broadcast = self.broadcast
        broadcast.selections[self] = None
        if self.ids is None:
            broadcast.unindexed[self] = None
        else:
            for item_id in self.ids:
                broadcast.indexed[item_id] = (*broadcast.indexed.get(item_id, ()), self)

    def unregister(self) -> None:
        broadcast = self.broadcast
        del broadcast.selections[self]
        if self.ids is None:
            del broadcast.unindexed[self]
        else:
            for item_id in self.ids:
                others = tuple(other for other in broadcast.indexed.pop(item_id) if other is not self)
                if others:
                    broadcast.indexed[item_id] = others

    def wants(self, item: Any) -> bool:
        """Whether an item of its ids is selected. A predicate that raises breaks this receiver off, nothing else."""
        if self.select is None:
            return True
        try:
            return bool(self.select(item))
        except BaseException as error:  # whatever it is, it must not become the sender's
            if not self.closed and self.ending is None:
                self.cut_off(broken_by(error, "the select= of this receiver raised"))
            return False

    def replay(self, count: int) -> None:
        replayed: deque[T] = deque(maxlen=count)
        for item in self.broadcast.ring.last(self.broadcast.ring.max_replay):
            if (self.ids is None or id_of(item) in self.ids) and self.wants(item):
                replayed.append(item)
            if self.ending is not None:
                break
        self.replayed = replayed

    def twin(self) -> Subscription[T]:
        twin = type(self)(self.broadcast, self.overflow, self.select, self.ids)
        twin.items, twin.lag = self.items.copy(), self.lag
        return twin

    @property
    def has_room(self) -> bool:
        """Whether an item can be added."""
        return len(self.items) < self.broadcast.ring.max_size

    @property
    def is_in_the_way(self) -> bool:
        """Whether what it wants has to wait for it."""
        return self.overflow is Overflow.BLOCK and not self.has_room

    def put(self, item: T) -> None:
        """Have ``item``; not while it `is_in_the_way`."""
        if not self.has_room:
            if self.overflow is Overflow.DISCONNECT:
                self.forget_new()
                self.cut_off(disconnected)
                return
            self.drop_oldest()
            self.lag += 1
        self.items.append(item)
        self.wake()

    def drop_oldest(self) -> T:
        """Take the oldest item out."""
        return self.items.popleft()

    def has_news(self) -> bool:
        return bool(self.items or self.lag)

    def take_new(self, limit: float) -> list[T]:
        if self.lag:
            skipped, self.lag = self.lag, 0
            self.skipped += skipped
            raise Lagged(skipped)
        count = min(limit, self.count_new())
        if not count:
            raise self.why_nothing()
        items = [self.take_next() for _ in range(int(count))]
        if self.broadcast.sending:
            self.broadcast.admit()
        return items

    def take_next(self) -> T:
        """What comes first."""
        return self.drop_oldest()

    def forget_new(self) -> None:
        self.items.clear()
        self.lag = 0

    def count_new(self) -> int:
        return len(self.items)

    def count_lag(self) -> int:
        return self.lag

    def turn_to_disconnect(self) -> None:
        self.overflow = Overflow.DISCONNECT


class ProgressSelection(Selection[T]):
    """Receives Progress as well, which gives way to items wherever there is no room for both."""

    __slots__ = ("passed", "progress")

    def __init__(
        self,
        broadcast: Broadcast[T],
        overflow: Overflow,
        select: Callable[[Any], bool] | None,
        ids: tuple[str, ...] | None,
    ) -> None:
        super().__init__(broadcast, overflow, select, ids)
        self.passed = 0
        """How many items have left the queue."""
        self.progress: deque[tuple[int, Progress]] = deque()
        """Each with the number of items, of all there ever were, that came before it: that is their common order."""

    def twin(self) -> Subscription[T]:
        twin = cast("ProgressSelection[T]", super().twin())
        twin.passed, twin.progress = self.passed, self.progress.copy()
        return twin

    def put(self, item: T) -> None:
        if self.progress and self.count_new() >= self.broadcast.ring.max_size:
            self.progress.popleft()
        super().put(item)

    def put_progress(self, progress: Progress) -> None:
        """Have ``progress`` if there is room for it, or an older one to be forgotten."""
        if self.closed or self.ending is not None:
            return
        if self.count_new() >= self.broadcast.ring.max_size:
            if not self.progress:
                return
            self.progress.popleft()
        self.progress.append((self.passed + len(self.items), progress))
        self.wake()

    def drop_oldest(self) -> T:
        self.passed += 1
        return super().drop_oldest()

    def take_next(self) -> T:
        if self.progress and self.progress[0][0] <= self.passed:
            # the type of subscribe() has told who asked for it
            return cast("T", self.progress.popleft()[1])
        return self.drop_oldest()

    def has_news(self) -> bool:
        return bool(self.progress) or super().has_news()

    def forget_new(self) -> None:
        super().forget_new()
        self.progress.clear()

    def count_new(self) -> int:
        return len(self.items) + len(self.progress)
