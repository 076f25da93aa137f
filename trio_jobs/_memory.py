"""The request channel within a process: a buffer, handles to send, handles to receive and settle.

A processor without another transport keeps its requests here as well; then its waiting room is the buffer.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from math import inf
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

import attrs
import outcome
import trio
from trio.lowlevel import Abort, RaiseCancelT, Task, current_task, enable_ki_protection, reschedule

from ._arguments import check_buffer_size, check_seconds
from ._channel import DeadLetter, RequestReceiver
from ._errors import LeaseLost
from ._message import AbortReason, Request
from ._record import Record
from ._waiting_room import WaitingRoom

RequestT = TypeVar("RequestT")

MAX_DEAD_LETTERS = 1_000  # kept per channel, the oldest go first; statistics() counts them all


@attrs.frozen(eq=False, repr=False)
class RequestChannelStatistics(Record):
    """The state of a request channel, with Trio's names where they exist."""

    current_buffer_used: int
    """Requests that were sent and not received."""
    max_buffer_size: float
    """How many there can be before `send` waits."""
    open_send_channels: int
    """Handles that may still send."""
    open_receive_channels: int
    """Handles that may still receive."""
    tasks_waiting_send: int
    """Tasks blocked in `send`."""
    tasks_waiting_receive: int
    """Tasks blocked in `receive`."""
    unsettled: int
    """Requests that were received and not settled yet."""
    dead_letters: int
    """Requests that were rejected since the channel was opened."""


class RequestBuffer(Generic[RequestT]):
    """What the handles of one channel share. The rules are here, in methods that cannot wait."""

    def __init__(self, max_buffer_size: float, room: WaitingRoom) -> None:
        self.max_buffer_size = max_buffer_size
        self.room = room
        self.open_senders = 0
        self.open_receivers = 0
        self.sending: OrderedDict[Task, tuple[Request[RequestT], MemoryRequestSender[RequestT]]] = OrderedDict()
        self.receiving: OrderedDict[Task, tuple[MemoryRequestReceiver[RequestT], trio.CancelScope]] = OrderedDict()
        self.dead: deque[DeadLetter] | tuple[()] = ()  # made with the first: it takes 600 bytes of every processor
        self.dead_count = 0
        self.unsettled = 0
        self.consumer: Consumer | None = None
        """The processor whose own buffer this is."""
        self.fetchers: list[Consumer] = []
        """Processors that receive through a handle."""
        self.current_time: Callable[[], float] = trio.current_time
        self._refusal: Callable[[], Exception | None] | None = None
        self._watching = trio.CancelScope()  # of the first in line, its deadline is when something delayed is due

    def statistics(self) -> RequestChannelStatistics:
        return RequestChannelStatistics(
            current_buffer_used=len(self.room),
            max_buffer_size=self.max_buffer_size,
            open_send_channels=self.open_senders,
            open_receive_channels=self.open_receivers,
            tasks_waiting_send=len(self.sending),
            tasks_waiting_receive=len(self.receiving),
            unsettled=self.unsettled,
            dead_letters=self.dead_count,
        )

    @enable_ki_protection
    def put_nowait(self, request: Request[RequestT]) -> float:
        """Accept ``request`` and return the time; `trio.WouldBlock` if it has to wait, an error if nobody takes it."""
        if self._refusal is not None and (error := self._refusal()) is not None:
            raise error
        if self.sending or (self.room.size >= self.max_buffer_size and not self.receiving):
            raise trio.WouldBlock
        now = self.current_time()
        if self.receiving:
            self._hand_over(request)
        else:
            self.room.add(request, now)  # as accept, without the call
            if self.consumer is not None:
                self.consumer.request_arrived(request, now)
        return now

    @enable_ki_protection
    def take(self, now: float) -> Request[RequestT] | None:
        """What may start next, leaving the buffer; whoever waits to send moves up."""
        request = self.room.take(now)
        if self.sending:
            if request is None and self.consumer is None:  # no buffer, or it is full of what is delayed
                self._admit()
                request = self.room.take(now)
            while self.sending and self.room.size < self.max_buffer_size:
                self._admit()
        return request

    def cancel(self, request: Request[Any], reason: AbortReason, since: float) -> bool:
        """Abort what was sent here at ``since``, wherever it is by now; whether its job still runs."""
        if self.consumer is not None:
            return self.consumer.cancel_request(request, reason, since)
        return any(fetcher.cancel_request(request, reason, since) for fetcher in self.fetchers)

    def withdraw(self, request: Request[Any]) -> bool:
        """Take it out again if nobody has received it: whether so, and then nobody will ever answer it."""
        if self.consumer is not None or self.room.find(request.id) is None:
            return False
        self.drop(request.id)
        return True

    def drop(self, request_id: str) -> None:
        """Take out a request of which it is known that it waits."""
        self.room.drop(request_id)
        while self.sending and self.room.size < self.max_buffer_size:
            self._admit()

    @enable_ki_protection
    def give_back(self, request: Request[RequestT], delay: float = 0) -> None:
        """It was taken and is not answered: it comes again, before what was sent later."""
        if self.receiving and not delay:
            self._hand_over(request)
            return
        now = self.current_time()
        self.room.give_back(request, now, delay)
        if self.consumer is not None:
            self.consumer.request_arrived(request, now)
        self.attend()

    def bury(self, request: Request[RequestT], reason: str) -> None:
        """Keep it as a dead letter."""
        if not self.dead:
            self.dead = deque(maxlen=MAX_DEAD_LETTERS)
        self.dead.append(DeadLetter(request, reason))
        self.dead_count += 1

    def refuse(self, error: Callable[[], Exception | None]) -> None:
        """Accept nothing more: who waits to send, and who sends later, gets a new ``error()``, unless that is None.

        It is called in the context of the task that sends.
        """
        self._refusal = error
        for task in list(self.sending):
            refused = task.context.copy().run(error)
            if refused is not None:
                del self.sending[task]
                reschedule(task, outcome.Error(refused))

    @enable_ki_protection
    def attend(self) -> None:
        """Give those who wait to receive what there is for them, or the end; the first of them watches the time."""
        if not self.receiving:
            return
        now = self.current_time()
        if self.room.next_time <= now:
            self.room.wake(now)
        while self.receiving and (request := self.take(now)) is not None:
            self._hand_over(request)
        if self.has_ended:
            while self.receiving:
                task, _ = self.receiving.popitem(last=False)
                reschedule(task, outcome.Error(trio.EndOfChannel()))
        for _, scope in self.receiving.values():
            if scope is not self._watching:
                self._watching.deadline = inf
                self._watching = scope
            scope.deadline = self.room.next_time
            break

    @property
    def has_ended(self) -> bool:
        """Whether nothing is left and nobody can send any more."""
        return not self.open_senders and not len(self.room)

    def sender_closed(self) -> None:
        self.open_senders -= 1
        self.attend()

    def receiver_closed(self) -> None:
        self.open_receivers -= 1
        if not self.open_receivers and self._refusal is None:
            self.refuse(_nobody_receives)

    def _hand_over(self, request: Request[RequestT]) -> None:
        task, (receiver, _) = self.receiving.popitem(last=False)
        receiver._hold(request)
        reschedule(task, outcome.Value(request))

    def accept(self, request: Request[RequestT]) -> None:
        now = self.current_time()
        self.room.add(request, now)
        if self.consumer is not None:
            self.consumer.request_arrived(request, now)

    def _admit(self) -> None:
        task, (request, _) = self.sending.popitem(last=False)
        self.accept(request)
        reschedule(task)


class Caller(Protocol):
    """A job that runs, as one that may wait for others."""

    @property
    def calls(self) -> Mapping[str, Consumer]:
        """The ids that it waits for, and who was sent them."""
        ...


class Consumer(Protocol):
    """A processor, as the channel that feeds it sees it."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def request_arrived(self, request: Request[Any], now: float) -> None:
        """It waits in the room since ``now``."""
        ...

    def cancel_request(self, request: Request[Any], reason: AbortReason, since: float) -> bool:
        """Abort what was sent at ``since``; whether its job still runs, so that an answer is worth waiting for."""
        ...

    def slot_holders(self) -> Collection[Caller] | None:
        """The jobs in its slots; None while there is a free one."""
        ...

    def runner_of(self, request_id: str) -> Caller | None:
        """The job that runs for this request, if it does."""
        ...

    def has_ended(self, request_id: str) -> bool:
        """Whether its job has ended, and only its response is on the way."""
        ...


def _nobody_receives() -> trio.BrokenResourceError:
    return trio.BrokenResourceError("every receiver of this request channel is closed")


class MemoryRequestSender(trio.abc.SendChannel[Request[RequestT]]):
    """The sending end of a request channel. Made by `open_request_channel` or `Processor.request_sender`."""

    def __init__(self, buffer: RequestBuffer[RequestT]) -> None:
        self._buffer = buffer
        self._closed = False
        buffer.open_senders += 1

    def __repr__(self) -> str:
        if self._closed:
            return "<MemoryRequestSender closed>"
        return f"<MemoryRequestSender {len(self._buffer.room)}/{self._buffer.max_buffer_size}>"

    def statistics(self) -> RequestChannelStatistics:
        """The state of the channel at this moment."""
        return self._buffer.statistics()

    def send_nowait(self, value: Request[RequestT]) -> None:
        """Send without waiting.

        Raises:
            trio.WouldBlock: The buffer is full, or others wait to send.
            trio.ClosedResourceError: You closed this handle.
            trio.BrokenResourceError: Every receiver is closed; `ProcessorStopped` if a processor has stopped.
            TypeError: ``value`` is not a Request.
        """
        if not isinstance(value, Request):
            raise TypeError(f"a request channel carries Requests: send(Request(body)) instead of {value!r}")
        self._put_nowait(value)

    def _put_nowait(self, request: Request[RequestT]) -> float:
        """As `send_nowait`, for what is known to be a Request; when it was accepted, on Trio's clock."""
        if self._closed:
            raise trio.ClosedResourceError
        return self._buffer.put_nowait(request)

    @enable_ki_protection
    async def send(self, value: Request[RequestT]) -> None:
        """Send, waiting while the buffer is full; first come, first served. Cancelled, it was not sent.

        Raises:
            trio.ClosedResourceError: You closed this handle, maybe while this waited.
            trio.BrokenResourceError: Every receiver is closed; `ProcessorStopped` if a processor has stopped.
            TypeError: ``value`` is not a Request.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self.send_nowait(value)
        except trio.WouldBlock:
            pass
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return

        task = current_task()
        buffer = self._buffer
        buffer.sending[task] = value, self

        def abort(_: RaiseCancelT) -> Abort:
            del buffer.sending[task]
            return Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def clone(self) -> MemoryRequestSender[RequestT]:
        """Another handle on the same channel, to be closed on its own.

        Raises:
            trio.ClosedResourceError: This one is closed.
        """
        if self._closed:
            raise trio.ClosedResourceError
        return MemoryRequestSender(self._buffer)

    @enable_ki_protection
    def close(self) -> None:
        """Close this handle; when it was the last, receivers get what is left and then `trio.EndOfChannel`."""
        if self._closed:
            return
        self._closed = True
        sending = self._buffer.sending
        for task in [task for task, (_, handle) in sending.items() if handle is self]:
            del sending[task]
            reschedule(task, outcome.Error(trio.ClosedResourceError()))
        self._buffer.sender_closed()

    async def aclose(self) -> None:
        """Close this handle, see `close`; a checkpoint."""
        self.close()
        await trio.lowlevel.checkpoint()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class MemoryRequestReceiver(RequestReceiver[RequestT]):
    """The receiving end of a request channel: clones compete, and each settles what it received.

    Made by `open_request_channel`.

    Closing a handle gives back what it has not settled. Requests that nobody can receive any more are lost with the
    process, as everything in memory.
    """

    def __init__(self, buffer: RequestBuffer[RequestT]) -> None:
        self._buffer = buffer
        self._closed = False
        self._held: dict[str, list[Request[RequestT]]] = {}  # more than one only if somebody gave two the same id
        self._fetcher: Consumer | None = None
        buffer.open_receivers += 1

    def __repr__(self) -> str:
        if self._closed:
            return "<MemoryRequestReceiver closed>"
        unsettled = sum(map(len, self._held.values()))
        return f"<MemoryRequestReceiver waiting={len(self._buffer.room)} unsettled={unsettled}>"

    def statistics(self) -> RequestChannelStatistics:
        """The state of the channel at this moment."""
        return self._buffer.statistics()

    def _fetched_by(self, consumer: Consumer) -> None:
        """A processor receives through this handle: until it is closed, what it received can be cancelled there."""
        self._fetcher = consumer
        self._buffer.fetchers.append(consumer)

    def sender(self) -> MemoryRequestSender[RequestT]:
        """A new handle that sends into the channel."""
        return MemoryRequestSender(self._buffer)

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """What was rejected, oldest first; the last 1,000 are kept."""
        return tuple(self._buffer.dead)

    @enable_ki_protection
    def receive_nowait(self) -> Request[RequestT]:
        """The next request, held by this handle until it is settled.

        Raises:
            trio.WouldBlock: There is none at the moment.
            trio.EndOfChannel: All senders are closed and nothing is left.
            trio.ClosedResourceError: You closed this handle.
        """
        self._buffer.attend()  # those who wait come first
        return self._receive_nowait()

    def _receive_nowait(self) -> Request[RequestT]:
        if self._closed:
            raise trio.ClosedResourceError
        buffer = self._buffer
        now = buffer.current_time()
        if buffer.room.next_time <= now:
            buffer.room.wake(now)
        request = buffer.take(now)
        if request is not None:
            self._hold(request)
            return request
        if buffer.has_ended:
            raise trio.EndOfChannel
        raise trio.WouldBlock

    @enable_ki_protection
    async def receive(self) -> Request[RequestT]:
        """The next request, held by this handle until it is settled. Cancelled, none was received.

        Raises:
            trio.EndOfChannel: All senders are closed and nothing is left.
            trio.ClosedResourceError: You closed this handle, maybe while this waited.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            request = self.receive_nowait()
        except trio.WouldBlock:
            pass
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return request

        first = False
        try:
            while True:
                with trio.CancelScope() as scope:
                    return await self._park(scope, first=first)
                first = True  # only the first in line watches the time: what was released with a delay may come now
                with suppress(trio.WouldBlock):
                    return self._receive_nowait()
        finally:
            self._buffer.attend()

    async def _park(self, scope: trio.CancelScope, *, first: bool) -> Request[RequestT]:
        task = current_task()
        receiving = self._buffer.receiving
        receiving[task] = self, scope
        if first:
            receiving.move_to_end(task, last=False)
        self._buffer.attend()

        def abort(_: RaiseCancelT) -> Abort:
            del receiving[task]
            return Abort.SUCCEEDED

        request: Request[RequestT] = await trio.lowlevel.wait_task_rescheduled(abort)
        return request

    def _hold(self, request: Request[RequestT]) -> None:
        """From now on it is this handle that settles ``request``; called by the channel."""
        self._held.setdefault(request.id, []).append(request)
        self._buffer.unsettled += 1

    async def ack(self, request: Request[Any]) -> None:
        """It was answered: it never comes again. Cancelled, that is so all the same.

        Raises:
            LeaseLost: This handle does not hold it.
        """
        self._settle(request)
        await trio.lowlevel.checkpoint()

    @enable_ki_protection
    async def release(self, request: Request[Any], delay: float = 0, *, charge: bool = False) -> None:
        """Give it back, before what was sent later; with a ``delay`` in seconds, for that long nobody gets it.

        With ``charge`` it comes back as the next attempt.

        Raises:
            LeaseLost: This handle does not hold it.
            TypeError, ValueError: ``delay`` is not a finite number of seconds of at least 0.
        """
        if check_seconds("delay", delay) == inf:
            raise ValueError("delay must be finite, reject what is never to come again")
        await trio.lowlevel.checkpoint_if_cancelled()
        request = self._settle(request)
        if charge:
            request = attrs.evolve(request, attempt=request.attempt + 1)
        self._buffer.give_back(request, delay)
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def reject(self, request: Request[Any], reason: str) -> None:
        """Keep it as a dead letter with ``reason``; see `dead_letters`. Cancelled, it is kept all the same.

        Raises:
            LeaseLost: This handle does not hold it.
        """
        self._buffer.bury(self._settle(request), reason)
        await trio.lowlevel.checkpoint()

    async def extend(self, request: Request[Any], seconds: float) -> None:
        """Check that it is held by this handle: in memory that never ends by itself.

        Raises:
            LeaseLost: It is not.
        """
        await trio.lowlevel.checkpoint()
        if request.id not in self._held:
            raise LeaseLost(request.id)

    def _settle(self, request: Request[Any]) -> Request[RequestT]:
        """It is held no longer; return it as it was received."""
        same_id = self._held.get(request.id)
        if same_id is None:
            raise LeaseLost(request.id)
        held = same_id.pop(next((place for place, one in enumerate(same_id) if one is request), 0))
        if not same_id:
            del self._held[request.id]
        self._buffer.unsettled -= 1
        return held

    def clone(self) -> MemoryRequestReceiver[RequestT]:
        """Another handle that competes for the same requests.

        Raises:
            trio.ClosedResourceError: This one is closed.
        """
        if self._closed:
            raise trio.ClosedResourceError
        return MemoryRequestReceiver(self._buffer)

    @enable_ki_protection
    def close(self) -> None:
        """Close this handle; what it has not settled comes to another.

        After the last is closed, `send` raises `trio.BrokenResourceError`.
        """
        if self._closed:
            return
        self._closed = True
        receiving = self._buffer.receiving
        for task in [task for task, (handle, _) in receiving.items() if handle is self]:
            del receiving[task]
            reschedule(task, outcome.Error(trio.ClosedResourceError()))
        while self._held:
            first = next(iter(self._held.values()))[0]
            self._buffer.give_back(self._settle(first))
        if self._fetcher is not None:
            self._buffer.fetchers.remove(self._fetcher)
        self._buffer.receiver_closed()

    async def aclose(self) -> None:
        """Close this handle, see `close`; a checkpoint."""
        self.close()
        await trio.lowlevel.checkpoint()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RequestChannel(NamedTuple, Generic[RequestT]):
    """The two ends of a request channel."""

    sender: MemoryRequestSender[RequestT]
    receiver: MemoryRequestReceiver[RequestT]


def open_request_channel(max_buffer_size: float) -> RequestChannel[Any]:
    """Open a channel for requests within this process.

    Args:
        max_buffer_size: How many may wait before `send` does; 0 for a hand-over, ``math.inf`` for no limit.

    Raises:
        TypeError, ValueError: ``max_buffer_size`` is not an int or ``math.inf``, or is negative.
    """
    check_buffer_size("max_buffer_size", max_buffer_size, least=0)
    buffer: RequestBuffer[Any] = RequestBuffer(max_buffer_size, WaitingRoom())
    return RequestChannel(MemoryRequestSender(buffer), MemoryRequestReceiver(buffer))
