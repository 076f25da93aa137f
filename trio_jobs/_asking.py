"""Sending a request and being given its answer, whoever waits for it and wherever the processor is.

1. The answer is subscribed to before the request is sent, and selected by its id before anything is buffered: who
   waits in `send` never holds back the workers that would make room for it.
2. Whatever way it ends, nothing is left behind: no task, no subscription, no entry in a table.
3. Who goes takes the work along: where a call is cancelled its job is cancelled, and the call returns when it is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, nullcontext
from math import inf
from typing import Any, Generic, Protocol, TypeAlias, TypedDict, TypeVar, cast, runtime_checkable

import outcome
import trio
from trio.lowlevel import (
    Abort,
    RaiseCancelT,
    Task,
    cancel_shielded_checkpoint,
    checkpoint_if_cancelled,
    current_task,
    reschedule,
    wait_task_rescheduled,
)

from ._arguments import check_seconds
from ._broadcast import BroadcastReceiver, BroadcastSender, Sink
from ._call_cycle import find_call_cycle
from ._current_run import Runner, running
from ._errors import CallCycle, ProcessorStopped
from ._memory import MemoryRequestSender, RequestBuffer
from ._message import NO_HEADERS, Aborted, AbortReason, Progress, Request, Response, quick_request

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
ResponseT_co = TypeVar("ResponseT_co", covariant=True)

Answer: TypeAlias = tuple[Response[ResponseT], BaseException | None]
"""A response and, if the job ran in this process and raised, its exception."""


class Responses(Protocol[ResponseT_co]):
    """Where answers can be had: a processor, a broadcast channel, a transport, a scripted double."""

    def subscribe(self, *, ids: Iterable[str]) -> trio.abc.ReceiveChannel[Response[ResponseT_co]]:
        """Receive, from now on, the responses to the requests of these ids and no others."""
        ...


class CallOptions(TypedDict, total=False):
    """What a request can be told, besides its body."""

    id: str
    """Names it and its answer, and must be unique; by default a new one."""
    key: str | None
    """What it is about, for gates that look at keys."""
    priority: int
    """Larger is sooner, for gates that look at it."""
    time_limit: float
    """Seconds from now after which its answer is of no more use; part of the message, kept wherever it runs."""
    headers: Mapping[str, str]
    """For tracing and the like."""


def new_request(
    body: RequestT,
    *,
    id: str | None = None,
    key: str | None = None,
    priority: int = 0,
    time_limit: float = inf,
    headers: Mapping[str, str] = NO_HEADERS,
    **unknown: object,
) -> Request[RequestT]:
    """The request for ``body``: with the earliest of all deadlines there are here, and the run that it is part of."""
    if unknown:
        raise TypeError(
            f"a request has no option {next(iter(unknown))!r}, only id, key, priority, time_limit and headers; "
            "for a limit on the waiting alone put trio.fail_after(...) around it"
        )
    if isinstance(body, Request):
        raise TypeError(
            f"the Request is made here: give its body, and its id, key, priority and headers as options, got {body!r}; "
            "map(...) and request_sender() take whole Requests"
        )
    deadline = trio.current_effective_deadline()
    if time_limit != inf:
        deadline = min(deadline, trio.current_time() + check_seconds("time_limit", time_limit))
    runner = running()
    parent_id = root_id = None
    if runner is not None and (parent := runner.request) is not None:
        deadline = min(deadline, parent.deadline)
        parent_id, root_id = parent.id, parent.root_id or parent.id
    if id is None:
        return quick_request(body, key, priority, deadline, parent_id, root_id, headers)
    return Request(
        body,
        id=id,
        key=key,
        priority=priority,
        deadline=deadline,
        parent_id=parent_id,
        root_id=root_id,
        headers=headers,
    )


class Call:
    """An answer that one task waits for."""

    __slots__ = ("_asking", "_raise_cancel", "_request", "answer", "error", "since", "task")

    def __init__(self, asking: Asking[Any, Any], request: Request[Any]) -> None:
        self._asking = asking
        self._request = request
        self.task: Task | None = None
        """Who waits; while it is still on its way from sending, nobody."""
        self.since = 0.0
        """When it began to wait."""
        self._raise_cancel: RaiseCancelT | None = None
        self.answer: Answer[Any] | None = None
        self.error: ProcessorStopped | None = None

    def abort(self, raise_cancel: RaiseCancelT) -> Abort:
        """The task is cancelled: at once if no job runs for it, else when that job is gone."""
        asking, request = self._asking, self._request
        asking.unwatch(request, self)
        if asking.withdraw(request) or not asking.cancel(request, self.since):
            return Abort.SUCCEEDED
        asking.watch(request, self)
        self._raise_cancel = raise_cancel
        return Abort.FAILED

    def _deliver(self, item: Response[Any], cause: BaseException | None) -> None:
        """It is there: wake who waits, or keep it for a task that is still on its way back from sending."""
        task, self.task = self.task, None
        self.answer = item, cause
        if task is None:
            return
        if self._raise_cancel is not None and type(item) is Aborted:
            reschedule(task, outcome.capture(self._raise_cancel))
        else:
            reschedule(task)

    def _end(self, error: BaseException | None) -> None:
        """It will not come any more."""
        task, self.task = self.task, None
        self.error = stopped(error)
        if task is None:
            return
        if self._raise_cancel is not None:
            reschedule(task, outcome.capture(self._raise_cancel))
        else:
            reschedule(task)


def stopped(error: BaseException | None) -> ProcessorStopped:
    """A new error for each who waits: one object raised in many tasks would collect all their tracebacks."""
    if isinstance(error, ProcessorStopped):
        again = ProcessorStopped(*error.args)
        again.__cause__ = error.__cause__
    else:
        again = ProcessorStopped("the channel of responses ended before the answer came")
        again.__cause__ = error
    return again


class Asking(Generic[RequestT, ResponseT]):
    """Where requests go and where answers are found: what a client, a submission and a mapping have in common."""

    def __init__(self, sender: trio.abc.SendChannel[Request[RequestT]], responses: Responses[ResponseT]) -> None:
        self._sender = sender
        self._responses = responses
        self._broadcast = _broadcast_of(responses)
        self._buffer: RequestBuffer[RequestT] | None = None
        self._put_nowait: Callable[[Request[RequestT]], float] = _may_wait
        if isinstance(sender, MemoryRequestSender):
            here = cast("MemoryRequestSender[RequestT]", sender)
            self._buffer, self._put_nowait = here._buffer, here._put_nowait
        self.nursery: trio.Nursery | None = None
        """Of the block around it; where the processor is elsewhere, it waits for answers there."""

    def watch(self, request: Request[Any], sink: Sink) -> None:
        """Give ``sink`` the answer to ``request`` as soon as it is published in this process."""
        assert self._broadcast is not None
        self._broadcast._watch(request.id, sink)

    def unwatch(self, request: Request[Any], sink: Sink) -> None:
        """Do not give it any more, where it is found in this process."""
        if self._broadcast is not None:
            self._broadcast._unwatch(request.id, sink)

    async def ask_in_job(self, request: Request[RequestT]) -> Answer[ResponseT]:
        """As `ask`, for a job that runs here: it might wait for itself."""
        runner = running()
        assert runner is not None
        with self.waiting_for(runner, request):
            return await self.ask(request)

    async def ask(self, request: Request[RequestT]) -> Answer[ResponseT]:
        """Send ``request`` and wait for its answer, in one go: with room for it that is a single checkpoint."""
        broadcast = self._broadcast
        if broadcast is None:
            return await self._ask_elsewhere(request), None
        if request.deadline == -inf:  # what a scope that is cancelled already has given it
            await checkpoint_if_cancelled()
        call = Call(self, request)
        broadcast._watch(request.id, call)
        try:
            try:
                call.since = self._put_nowait(request)
            except trio.WouldBlock:
                if not await self._send_in_time(request):
                    broadcast._unwatch(request.id, call)
                    return _too_late(request), None
                call.since = trio.current_time()
            if call.answer is None and call.error is None:
                call.task = current_task()
                await wait_task_rescheduled(call.abort)
            if call.error is not None:
                raise call.error
        except BaseException:
            broadcast._unwatch(request.id, call)
            raise
        assert call.answer is not None
        return call.answer

    async def _send_in_time(self, request: Request[Any]) -> bool:
        """Send it, waiting for room until its deadline at the latest; whether it was sent."""
        with trio.move_on_at(request.deadline) as scope:
            await self._sender.send(request)
        return not scope.cancelled_caught

    async def _ask_elsewhere(self, request: Request[RequestT]) -> Response[ResponseT]:
        """Where there is no broadcast of ours to look into: a subscription for one answer."""
        receiver = self._responses.subscribe(ids=[request.id])
        try:
            with trio.move_on_at(request.deadline) as scope:
                await self._sender.send(request)
                return await _receive(receiver)
        finally:
            with trio.CancelScope(shield=True):
                await receiver.aclose()
        assert scope.cancelled_caught
        return _too_late(request)

    async def send(self, request: Request[RequestT], sink: Sink) -> None:
        """Send ``request``; its answer goes to ``sink``. Cancelled, it was not sent."""
        broadcast = self._broadcast
        if broadcast is None:
            await self._send_elsewhere(request, sink)
            return
        broadcast._watch(request.id, sink)
        sent = False
        try:
            sent = await self._send_in_job_or_not(request)
        finally:
            if not sent:
                broadcast._unwatch(request.id, sink)
        if not sent:
            sink._deliver(_too_late(request), None)

    async def _send_in_job_or_not(self, request: Request[RequestT]) -> bool:
        """A job that waits to send waits as well, maybe for its own slot; whether it was sent in time."""
        await checkpoint_if_cancelled()
        try:
            self._put_nowait(request)
        except trio.WouldBlock:
            runner = running()
            with nullcontext() if runner is None else self.waiting_for(runner, request):
                return await self._send_in_time(request)
        await cancel_shielded_checkpoint()
        return True

    async def _send_elsewhere(self, request: Request[RequestT], sink: Sink) -> None:
        if self.nursery is None:
            raise RuntimeError("use open_client(...) around it: somebody has to wait for the answers")
        receiver = self._responses.subscribe(ids=[request.id])
        try:
            await self._sender.send(request)
        except BaseException:
            with trio.CancelScope(shield=True):
                await receiver.aclose()
            raise
        self.nursery.start_soon(self._relay, request, receiver, sink)

    async def _relay(
        self,
        request: Request[RequestT],
        receiver: trio.abc.ReceiveChannel[Any],
        sink: Sink,
    ) -> None:
        try:
            with trio.move_on_at(request.deadline) as scope:
                sink._deliver(await _receive(receiver), None)
            if scope.cancelled_caught:
                sink._deliver(_too_late(request), None)
        except ProcessorStopped as error:
            sink._end(error)
        finally:
            with trio.CancelScope(shield=True):
                await receiver.aclose()

    @contextmanager
    def waiting_for(self, runner: Runner, request: Request[Any]) -> Generator[None]:
        """Note that ``runner``'s job waits for the answer to ``request``; raise `CallCycle` if that can never come."""
        self.begin_waiting(runner, request)
        try:
            yield
        finally:
            self.end_waiting(runner, request)

    def begin_waiting(self, runner: Runner, request: Request[Any]) -> None:
        """From now on ``runner``'s job waits for it; raise `CallCycle`, and note nothing, if that is in vain."""
        consumer = None if self._buffer is None else self._buffer.consumer
        if consumer is None:
            return
        runner.calls[request.id] = consumer
        if consumer.runner_of(request.id) is None:
            cycle = find_call_cycle(consumer)
            if cycle is not None:
                del runner.calls[request.id]
                raise CallCycle(cycle)

    def end_waiting(self, runner: Runner, request: Request[Any]) -> None:
        """It does not wait for that any more."""
        runner.calls.pop(request.id, None)

    def withdraw(self, request: Request[Any]) -> bool:
        """Take it out of its channel if nobody has received it yet; then no answer will be found here."""
        return self._buffer is not None and self._broadcast is not None and self._buffer.withdraw(request)

    def cancel(self, request: Request[Any], since: float, reason: AbortReason = AbortReason.CALLER) -> bool:
        """Abort what was sent at ``since``; whether its job still runs here, so that an answer will come."""
        if self._buffer is None:
            return False
        late = request.deadline <= trio.current_time()
        return self._buffer.cancel(request, AbortReason.DEADLINE if late else reason, since)

    def subscribe_to_progress(self, request_id: str) -> BroadcastReceiver[Any]:
        """Receive what is reported for one request, and then its response."""
        if self._broadcast is None:
            raise RuntimeError("progress is seen in the process that runs the job, and this client sends elsewhere")
        return self._broadcast.subscribe(ids=[request_id], progress=True)


def _may_wait(_: Request[Any]) -> float:
    """What stands for `send_nowait` where a sender has none: to send may always mean to wait."""
    raise trio.WouldBlock


def _too_late(request: Request[Any]) -> Aborted:
    """Its deadline has passed before it was sent, or before it was answered elsewhere."""
    return Aborted(AbortReason.DEADLINE, id=request.id, attempt=request.attempt)


async def _receive(receiver: trio.abc.ReceiveChannel[Any]) -> Response[Any]:
    """The first response that comes."""
    try:
        while True:
            item = await receiver.receive()
            if not isinstance(item, Progress):
                return item  # type: ignore[no-any-return]  # it is the other side's word
    except (trio.EndOfChannel, trio.BrokenResourceError) as error:
        raise stopped(error) from error


def _broadcast_of(responses: object) -> BroadcastSender[Any] | None:
    """The broadcast channel of this process behind ``responses``, if there is one."""
    if isinstance(responses, BroadcastSender):
        return responses  # pyright: ignore[reportUnknownVariableType]  # of whatever it is
    return _broadcast_of(responses.broadcast) if isinstance(responses, _HasBroadcast) else None


@runtime_checkable
class _HasBroadcast(Protocol):
    """A processor, for one."""

    @property
    def broadcast(self) -> object:
        """The channel that its responses go to."""
        ...
