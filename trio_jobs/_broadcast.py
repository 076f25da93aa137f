"""The broadcast channel: what is sent once is received by all who subscribed, each in the way that it chose.

This file says what can be done and asked; `_subscription` does it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable
from inspect import iscoroutinefunction
from math import inf
from typing import Any, Literal, Self, TypeAlias, TypeVar, cast, overload

import attrs
import trio
from trio.lowlevel import (
    cancel_shielded_checkpoint,
    checkpoint,
    checkpoint_if_cancelled,
    current_trio_token,
    enable_ki_protection,
)

from ._arguments import check_buffer_size, check_int
from ._message import Progress
from ._record import Record
from ._ring import Overflow, Ring
from ._subscription import (
    Broadcast,
    Cursor,
    ProgressSelection,
    Selection,
    Sink,
    Subscription,
    WaitingSend,
    broken_by,
    busy,
)

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

Asked: TypeAlias = dict[Selection[Any], bool]
"""What predicates have said of an item, so that each is asked once however often it is tried."""


@attrs.frozen(eq=False, repr=False)
class BroadcastStatistics(Record):
    """The state of a broadcast channel, with Trio's names where they exist."""

    current_buffer_used: int
    """Items that some receiver without a queue of its own has still to read."""
    max_buffer_size: float
    """How many there can be before the slowest receiver overflows."""
    kept: int
    """Items in the ring, with those that are only there for ``replay``."""
    open_send_channels: int
    """Handles that may still send."""
    open_receive_channels: int
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


@attrs.frozen(eq=False, repr=False)
class BroadcastReceiverStatistics(Record):
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


def open_broadcast_channel(max_buffer_size: float, *, max_replay: int | None = None) -> BroadcastSender[T]:  # pyright: ignore[reportInvalidTypeVarUse]  # it is what the caller's annotation says
    """Open a channel within this process whose every item goes to all who subscribed; `subscribe` makes receivers.

    Items are not copied: send what nobody changes.

    Args:
        max_buffer_size: How many items a receiver can be behind before it overflows; ``math.inf`` for no limit.
        max_replay: How many of the last items are kept for a later ``subscribe(replay=...)`` when everybody has read
            them. By default ``max_buffer_size``, and 0 where that is ``math.inf``.

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
    return BroadcastSender(Broadcast(Ring(max_buffer_size, max_replay)))


class BroadcastSender(trio.abc.SendChannel[T]):
    """The sending end of a broadcast channel, and where receivers come from. Made by `open_broadcast_channel`.

    Several tasks may use one handle; `clone` where each should close its own. With no receivers, sending succeeds.
    """

    def __init__(self, channel: Broadcast[T]) -> None:
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
        return _statistics_of(self._channel)

    # --- sending

    @enable_ki_protection
    def send_nowait(self, value: T) -> None:
        """Send without waiting.

        Raises:
            trio.WouldBlock: A BLOCK receiver is a whole buffer behind, or others wait to send.
            trio.ClosedResourceError: You closed this handle, or somebody ended the channel with `fail`.
        """
        self._publish_nowait(value, None, {})

    @enable_ki_protection
    async def send(self, value: T) -> None:
        """Send, waiting for BLOCK receivers that are a whole buffer behind; first come, first served.

        Cancelled, it was not sent.

        Raises:
            trio.ClosedResourceError: You closed this handle, or somebody ended the channel with `fail`, maybe while
                this waited.
        """
        await self._publish(value, None, {})

    async def _publish(self, item: T, cause: BaseException | None, asked: Asked) -> None:
        """As `send`; a sink that watches the item's id is given ``cause`` as well.

        What predicates have said of it is in ``asked``, and is added there.
        """
        await checkpoint_if_cancelled()
        self._check_open()
        channel = self._channel
        channel.token = current_trio_token()
        if channel.offer(item, cause, asked):
            await cancel_shielded_checkpoint()
        else:
            await channel.wait_for_room(WaitingSend(item, cause, self, asked))

    @enable_ki_protection
    def _publish_nowait(self, item: T, cause: BaseException | None, asked: Asked) -> None:
        """As `send_nowait`; for the rest see `_publish`."""
        if self._closed:
            raise trio.ClosedResourceError
        if not self._channel.offer(item, cause, asked):
            raise trio.WouldBlock

    @enable_ki_protection
    def _publish_progress(self, progress: Progress) -> None:
        """Tell receivers that subscribed with ``progress=True``; never waits: the oldest Progress makes room."""
        self._channel.publish_progress(progress)

    @enable_ki_protection
    def _disconnect_blocking(self) -> int:
        """Turn BLOCK receivers in the way of the first waiting send, or the next, into DISCONNECT ones; how many."""
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
        channel.end(broken_by(error, "the channel was ended by an error"), error)

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
        """A receiver of what is accepted from now on.

        Works on a closed handle too, and after the end: then it gets the replay, and the end. Close the receiver, or
        use it in ``with``: a BLOCK receiver that nobody reads makes every sender wait.

        Args:
            overflow: What happens when it is a whole buffer behind, see `Overflow`.
            replay: How many of the last items it gets first; at most the channel's ``max_replay``. They make no sender
                wait and cannot lag. With ``select`` or ``ids``: the last that are selected, of the ``max_replay`` kept.
            select: A plain function that says whether an item is received; asked at most once for each item, in the
                sender's task or in that of a receiver who makes room for a send that waits. If it raises, this receiver
                alone is broken: it reads what it has, then gets `trio.BrokenResourceError` from that error.
            ids: Receive only items whose attribute ``id`` is one of these; a send costs the same however many ids are
                watched.
            progress: Receive each `Progress` as well, in order. Where there is no room the oldest one is forgotten.

        With any of the last three the receiver has a queue of ``max_buffer_size`` of its own, and items that are not
        for it neither lag nor occupy it.

        Raises:
            TypeError, ValueError: An argument has a wrong type or value; the message names both.
        """
        _check_subscription(self._channel.ring.max_replay, overflow, replay, select, progress)
        wanted_ids = None if ids is None else _checked_ids(ids)
        channel = self._channel
        subscription: Subscription[T]
        if progress:
            subscription = ProgressSelection(channel, overflow, select, wanted_ids)
        elif select is not None or wanted_ids is not None:
            subscription = Selection(channel, overflow, select, wanted_ids)
        else:
            subscription = Cursor(channel, overflow, channel.ring.head)
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
        """Give ``sink`` the next item of this id, once. After the end it is told of that at once.

        Raises:
            ValueError: Another waits for it.
        """
        channel = self._channel
        if channel.ending is not None:
            sink._end(channel.failure)
        elif channel.sinks.setdefault(item_id, sink) is not sink:
            raise ValueError(
                f"a request with the id {item_id!r} has not been answered yet: ids must be unique, or the answer to "
                "one would be taken for that to the other; leave id away to have a new one"
            )

    @enable_ki_protection
    def _unwatch(self, item_id: str, sink: Sink) -> None:
        """Give it nothing; no error if it was given its item already."""
        if self._channel.sinks.get(item_id) is sink:
            del self._channel.sinks[item_id]

    @enable_ki_protection
    def _end_watcher(self, item_id: str, error: BaseException | None) -> None:
        """Tell who watches this id that its item will not come, though the channel goes on."""
        sink = self._channel.sinks.pop(item_id, None)
        if sink is not None:
            sink._end(error)


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

    def __init__(self, subscription: Subscription[T]) -> None:
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
        subscription: Subscription[T] | None = getattr(self, "_subscription", None)
        if subscription is None or subscription.closed or sys.is_finalizing():
            return
        was_over, was = subscription.is_over, repr(self)  # before the run may close it, for this may be any thread
        subscription.broadcast.drop(subscription)
        if not was_over:
            warnings.warn(
                f"{was} was dropped without being closed: use `with sender.subscribe() as receiver:`, or close()",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )

    def _abandon(self) -> None:
        """Close it in any thread, maybe a little later; it must not be used any more."""
        subscription = self._subscription
        del self._subscription
        if not subscription.closed:
            subscription.broadcast.drop(subscription)

    def statistics(self) -> BroadcastReceiverStatistics:
        """The state of this receiver, and of its channel, at this moment."""
        subscription = self._subscription
        return BroadcastReceiverStatistics(
            unread=subscription.unread,
            skipped=subscription.skipped + subscription.count_lag(),
            overflow=subscription.overflow,
            tasks_waiting_receive=int(subscription in subscription.receiving),
            channel=_statistics_of(subscription.broadcast),
        )

    @enable_ki_protection
    def receive_nowait(self) -> T:
        """The next item.

        Raises:
            trio.WouldBlock: There is none at the moment.
            Others: As `receive`.
        """
        return self._take_nowait(1)[0]

    @enable_ki_protection
    async def receive(self) -> T:
        """The next item. Cancelled, it is still there.

        Raises:
            Lagged: You were too slow and chose `Overflow.DROP_OLDEST`; the next call goes on at the oldest item kept.
            Disconnected: You were too slow and chose `Overflow.DISCONNECT`.
            trio.EndOfChannel: Every sender is closed, and everything was read.
            trio.BrokenResourceError: Somebody ended the channel with an error, or your own ``select`` raised, and
                everything was read.
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
        return self._take_nowait(_checked_limit(max_items))

    def _take_nowait(self, limit: float) -> list[T]:
        if self._subscription.busy:
            raise busy()
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
        """An independent receiver of the same kind at the same position.

        It gets what this one has still to read, and what comes.

        Raises:
            trio.ClosedResourceError: This one is closed.
        """
        return BroadcastReceiver(self._subscription.fork())

    @enable_ki_protection
    def close(self) -> None:
        """Close this handle: it holds nobody back, and a task that waits on it gets `trio.ClosedResourceError`."""
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


def _statistics_of(channel: Broadcast[Any]) -> BroadcastStatistics:
    channel.reap()
    ring = channel.ring
    by_policy = {overflow: ring.count(overflow) for overflow in Overflow}
    for selection in channel.selections:
        by_policy[selection.overflow] += 1
    waiting_themselves = sum(len(selection.receiving) for selection in channel.selections)
    return BroadcastStatistics(
        current_buffer_used=ring.unread,
        max_buffer_size=ring.max_size,
        kept=len(ring),
        open_send_channels=channel.open_senders,
        open_receive_channels=channel.open_receivers,
        block_receivers=by_policy[Overflow.BLOCK],
        drop_oldest_receivers=by_policy[Overflow.DROP_OLDEST],
        disconnect_receivers=by_policy[Overflow.DISCONNECT],
        full_block_receivers=len(channel.full_block_receivers()),
        tasks_waiting_send=len(channel.sending),
        tasks_waiting_receive=len(channel.receiving) + waiting_themselves,
    )
