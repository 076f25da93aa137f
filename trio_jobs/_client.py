"""Asking for work and getting the answer: one call, many calls, or work that goes on while you do something else.

1. The answer is subscribed to before the request is sent, and selected by its id before anything is buffered: a client that
   waits in `send` never holds back the workers that would make room for it.
2. Whatever way a call ends, it leaves nothing behind: no task, no subscription, no entry in a table.
3. Who goes takes the work along: a call that is cancelled has its job cancelled, and returns when that is gone.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from math import inf
from typing import Any, Generic, Protocol, TypedDict, TypeVar, Unpack

import outcome
import trio
from trio.lowlevel import Abort, RaiseCancelT, Task, current_task, reschedule

from ._arguments import check_int, check_seconds
from ._broadcast import BroadcastSender
from ._call_cycle import find_call_cycle
from ._current_run import Runner, running
from ._errors import CallCycle, JobFailed, JobTooSlow, ProcessorStopped
from ._memory import MemoryRequestSender, RequestBuffer
from ._message import NO_HEADERS, Aborted, AbortReason, Failed, Progress, Request, Response
from ._single_error import single_error

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
ResponseT_co = TypeVar("ResponseT_co", covariant=True)


class Responses(Protocol[ResponseT_co]):
    """Where answers can be had: a processor, a broadcast channel, a transport, a scripted double."""

    def subscribe(self, *, ids: Iterable[str]) -> trio.abc.ReceiveChannel[Any]:
        """Receive, from now on, the responses to the requests of these ids and no others."""
        ...


class CallOptions(TypedDict, total=False):
    """What a request can be told, besides its body."""

    key: str | None
    """What it is about, for gates that look at keys."""
    priority: int
    """Larger is sooner, for gates that look at it."""
    time_limit: float
    """Seconds from now after which its answer is of no more use; part of the message, kept wherever it runs."""
    headers: Mapping[str, str]
    """For tracing and the like."""


def _new_request(body: RequestT, options: CallOptions, runner: Runner | None) -> Request[RequestT]:
    """The request for ``body``: with the earliest of all deadlines there are here, and the run it is part of."""
    deadline = trio.current_effective_deadline()
    time_limit = options.get("time_limit", inf)
    if time_limit != inf:
        deadline = min(deadline, trio.current_time() + check_seconds("time_limit", time_limit))
    parent = None if runner is None else runner.request
    if parent is None:
        return Request(
            body,
            key=options.get("key"),
            priority=options.get("priority", 0),
            deadline=deadline,
            headers=options.get("headers", NO_HEADERS),
        )
    return Request(
        body,
        key=options.get("key"),
        priority=options.get("priority", 0),
        deadline=min(deadline, parent.deadline),
        parent_id=parent.id,
        root_id=parent.root_id or parent.id,
        headers=options.get("headers", NO_HEADERS),
    )


class _Call:
    """An answer that one task waits for."""

    __slots__ = ("answer", "error", "raise_cancel", "task")

    def __init__(self) -> None:
        self.task: Task | None = None
        self.raise_cancel: RaiseCancelT | None = None
        self.answer: tuple[Response[Any], BaseException | None] | None = None
        self.error: ProcessorStopped | None = None

    def deliver(self, item: Response[Any], cause: BaseException | None) -> None:
        """It is there: wake who waits, or keep it for a task that is still on its way back from sending."""
        task, self.task = self.task, None
        if task is None:
            self.answer = item, cause
        elif self.raise_cancel is not None and type(item) is Aborted:
            reschedule(task, outcome.capture(self.raise_cancel))
        else:
            reschedule(task, outcome.Value((item, cause)))

    def end(self, error: BaseException | None) -> None:
        """It will not come any more."""
        stopped = _stopped(error)
        task, self.task = self.task, None
        if task is None:
            self.error = stopped
        elif self.raise_cancel is not None:
            reschedule(task, outcome.capture(self.raise_cancel))
        else:
            reschedule(task, outcome.Error(stopped))


def _stopped(error: BaseException | None) -> ProcessorStopped:
    """A new error for each who waits: one object raised in many tasks would collect all their tracebacks."""
    if isinstance(error, ProcessorStopped):
        stopped = ProcessorStopped(*error.args)
        stopped.__cause__ = error.__cause__
        return stopped
    stopped = ProcessorStopped("the channel of responses ended before the answer came")
    stopped.__cause__ = error
    return stopped


def _unwrap(response: Response[ResponseT], cause: BaseException | None) -> ResponseT:
    if cause is not None and isinstance(response, Failed):
        raise JobFailed(response.error, request_id=response.id) from cause
    return response.unwrap()


class Submission(Generic[ResponseT]):
    """Work that was asked for and goes on: wait for its answer, watch its progress, or cancel it. Made by `Client.submit`."""

    def __init__(self, client: Client[Any, ResponseT], request: Request[Any]) -> None:
        self.request = request
        """The request as it was sent."""
        self._client = client
        self._since = trio.current_time()
        self._response: Response[ResponseT] | None = None
        self._error: ProcessorStopped | None = None
        self._done = trio.Event()
        self._read = False

    def __repr__(self) -> str:
        state = "ended" if self._error else "open" if self._response is None else type(self._response).__name__
        return f"<Submission {self.request.id} {state}>"

    @property
    def id(self) -> str:
        """The request's id."""
        return self.request.id

    async def wait(self) -> Response[ResponseT]:
        """Wait for the answer, which thereby was looked at; many may wait, again and again.

        Cancelled, the work goes on.

        Raises:
            ProcessorStopped: The processor is gone and will not answer.
            CallCycle: This is awaited in a job, and can never come.
        """
        runner = running()
        if runner is None or self._done.is_set():
            await self._done.wait()
        else:
            with self._client.waiting_for(runner, self.request):
                await self._done.wait()
        self._read = True
        if self._response is None:
            raise _stopped(self._error)
        return self._response

    async def cancel(self) -> None:
        """Abort the work, and return when it is gone. Without effect on what has been answered.

        Cancelled, the work may have been aborted. Where it runs in another process this asks for nothing and returns at once.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        self._read = True
        if not self._done.is_set() and self._client.cancel_request(self.request, self._since):
            await self._done.wait()
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()

    def progress(self) -> ProgressReceiver:
        """What the job reports from now on, until its answer comes: a channel of `Progress`, to be closed."""
        return ProgressReceiver(self._client.subscribe_to_progress(self.request.id), ended=self._done.is_set())

    @property
    def unread_failure(self) -> Failed | None:
        """Its answer, if that is a failure and nobody has looked at it."""
        return self._response if isinstance(self._response, Failed) and not self._read else None

    def deliver(self, item: Response[ResponseT], cause: BaseException | None) -> None:
        """It is answered."""
        self._response = item
        self._done.set()
        self._client.answered(self)

    def end(self, error: BaseException | None) -> None:
        """It will not be answered any more."""
        self._error = _stopped(error)
        self._done.set()
        self._client.answered(self)


class ProgressReceiver(trio.abc.ReceiveChannel[Progress]):
    """What one job reports of itself; it ends when the job does."""

    def __init__(self, receiver: trio.abc.ReceiveChannel[Any], *, ended: bool) -> None:
        self._receiver = receiver
        self._ended = ended

    async def receive(self) -> Progress:
        """The next report.

        Raises:
            trio.EndOfChannel: The request is answered.
        """
        item = None if self._ended else await self._receiver.receive()
        if isinstance(item, Progress):
            return item
        if self._ended:
            await trio.lowlevel.checkpoint()
        self._ended = True
        raise trio.EndOfChannel

    async def aclose(self) -> None:
        """Stop listening; a checkpoint."""
        await self._receiver.aclose()


class Client(Generic[RequestT, ResponseT]):
    """Sends requests and finds their answers. Made by `open_client`; a `Processor` has one built in."""

    def __init__(self, sender: trio.abc.SendChannel[Request[RequestT]], responses: Responses[ResponseT]) -> None:
        self._sender = sender
        self._responses = responses
        self._broadcast = _broadcast_of(responses)
        self._buffer: RequestBuffer[RequestT] | None = getattr(sender, "buffer", None)
        self._submissions: dict[str, Submission[ResponseT]] = {}
        self._unread: list[Submission[ResponseT]] = []
        self._all_answered = trio.Event()
        self._nursery: trio.Nursery | None = None

    def __repr__(self) -> str:
        return f"<Client open={len(self._submissions)}>"

    async def call(self, body: RequestT, **options: Unpack[CallOptions]) -> ResponseT:
        """Have the job run for ``body``, and return what it returns.

        The earliest deadline of the scopes around this call travels with the request. Cancelled, the job is cancelled too, and
        this returns when it is gone, if it runs in this process.

        Args:
            body: What the job is given.
            options: ``key``, ``priority``, ``time_limit`` and ``headers``, see `CallOptions`.

        Raises:
            JobFailed: The job raised; if it ran in this process, that is the ``__cause__``.
            JobTooSlow: ``time_limit`` is over; it is a `trio.TooSlowError`.
            JobAborted: Somebody cancelled the request.
            ProcessorStopped: The processor is gone and will not answer.
            CallCycle: This is called in a job, and can never start.
        """
        runner = running()
        request = _new_request(body, options, runner)
        if self._broadcast is None:
            return (await self._ask_elsewhere(request)).unwrap()
        await trio.lowlevel.checkpoint_if_cancelled()
        if runner is None:
            response, cause = await self._ask(request, self._broadcast)
        else:
            with self.waiting_for(runner, request):
                response, cause = await self._ask(request, self._broadcast)
        return _unwrap(response, cause)

    async def submit(
        self, body: RequestT, *, detached: bool = False, **options: Unpack[CallOptions]
    ) -> Submission[ResponseT]:
        """Have the job run for ``body``; return as soon as the request was sent.

        The work belongs to the client's block: its normal end waits for it, its end by an error cancels it, and a failure that
        nobody looked at is raised there. With ``detached`` it belongs to nobody. Cancelled, nothing was sent.

        Raises:
            ProcessorStopped: The processor is gone.
        """
        request = _new_request(body, options, running())
        submission = Submission(self, request)
        if not detached:
            self._submissions[request.id] = submission
        try:
            await self._send(request, submission)
        except BaseException:
            self._submissions.pop(request.id, None)
            raise
        return submission

    @asynccontextmanager
    async def map(
        self,
        bodies: Iterable[RequestT | Request[RequestT]] | AsyncIterable[RequestT | Request[RequestT]],
        *,
        max_in_flight: int | None = None,
        ordered: bool = False,
        time_limit: float = inf,
    ) -> AsyncIterator[trio.abc.ReceiveChannel[Response[ResponseT]]]:
        """Have the job run for each of ``bodies``; the block is given a channel of their responses.

        Responses come as they are completed, or with ``ordered`` in the order of ``bodies``. Bodies are taken from the iterable
        no faster than answers are received, so it may be endless. A Request among them is sent as it is. Leaving the block early
        cancels what is not answered, and waits until that is gone.

        Args:
            bodies: What the job is given, one after another.
            max_in_flight: How many may be sent and not yet received from the channel; 64 by default.
            ordered: Whether to keep the order of ``bodies``; one slow job then holds up all behind it.
            time_limit: Seconds for each, counted from when it is sent.

        Raises:
            ProcessorStopped: From the channel, when the processor is gone.
        """
        limit = 64 if max_in_flight is None else max_in_flight
        check_int("max_in_flight", limit, least=1)
        check_seconds("time_limit", time_limit)
        if not isinstance(bodies, Iterable | AsyncIterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"bodies must be an iterable or an async iterable, got {bodies!r}")
        mapping: _Mapping[RequestT, ResponseT] = _Mapping(self, limit, in_order=ordered)
        options: CallOptions = {} if time_limit == inf else {"time_limit": time_limit}
        with single_error():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(mapping.feed, bodies, options)
                try:
                    yield mapping
                finally:
                    nursery.cancel_scope.cancel()
                    await mapping.cancel_rest()

    def raise_unread(self) -> None:
        """Raise the failures of submitted work that nobody looked at."""
        failures = [failed for one in self._unread if (failed := one.unread_failure) is not None]
        self._unread.clear()
        errors = [JobFailed(failed.error, request_id=failed.id) for failed in failures]
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ExceptionGroup("submitted work failed, and nobody looked at its answers", errors)

    # --- sending

    async def _ask(
        self, request: Request[RequestT], broadcast: BroadcastSender[Any]
    ) -> tuple[Response[ResponseT], BaseException | None]:
        """Send and wait, in one go: with room for the request the only checkpoint is the wait for the answer."""
        call = _Call()
        request_id = request.id
        broadcast._watch(request_id, call)  # pyright: ignore[reportPrivateUsage]
        try:
            try:
                self._sender.send_nowait(request)  # type: ignore[attr-defined]
            except trio.WouldBlock:
                await self._sender.send(request)
            if call.answer is not None:
                return call.answer
            if call.error is not None:
                raise call.error
            return await self._park(request, call, broadcast)
        except BaseException:
            broadcast._unwatch(request_id, call)  # pyright: ignore[reportPrivateUsage]
            raise

    async def _park(
        self, request: Request[RequestT], call: _Call, broadcast: BroadcastSender[Any]
    ) -> tuple[Response[ResponseT], BaseException | None]:
        since = trio.current_time()
        call.task = current_task()

        def abort(raise_cancel: RaiseCancelT) -> Abort:
            broadcast._unwatch(request.id, call)  # pyright: ignore[reportPrivateUsage]
            if self.cancel_request(request, since):
                broadcast._watch(request.id, call)  # pyright: ignore[reportPrivateUsage]
                call.raise_cancel = raise_cancel
                return Abort.FAILED
            return Abort.SUCCEEDED

        answer: tuple[Response[ResponseT], BaseException | None] = await trio.lowlevel.wait_task_rescheduled(abort)
        return answer

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
        raise JobTooSlow(request_id=request.id)

    async def _send(self, request: Request[RequestT], sink: Submission[ResponseT] | _Mapped) -> None:
        """Send ``request``; its answer goes to ``sink``. Cancelled, it was not sent."""
        broadcast = self._broadcast
        if broadcast is None:
            await self._send_elsewhere(request, sink)
            return
        broadcast._watch(request.id, sink)  # pyright: ignore[reportPrivateUsage]
        try:
            await self._sender.send(request)
        except BaseException:
            broadcast._unwatch(request.id, sink)  # pyright: ignore[reportPrivateUsage]
            raise

    async def _send_elsewhere(self, request: Request[RequestT], sink: Submission[ResponseT] | _Mapped) -> None:
        if self._nursery is None:
            raise RuntimeError("use open_client(...) around it: somebody has to wait for the answers")
        receiver = self._responses.subscribe(ids=[request.id])
        try:
            await self._sender.send(request)
        except BaseException:
            with trio.CancelScope(shield=True):
                await receiver.aclose()
            raise
        self._nursery.start_soon(self._relay, request, receiver, sink)

    async def _relay(
        self,
        request: Request[RequestT],
        receiver: trio.abc.ReceiveChannel[Any],
        sink: Submission[ResponseT] | _Mapped,
    ) -> None:
        try:
            with trio.move_on_at(request.deadline) as scope:
                sink.deliver(await _receive(receiver), None)
            if scope.cancelled_caught:
                sink.deliver(Aborted(AbortReason.DEADLINE, id=request.id, attempt=request.attempt), None)
        except ProcessorStopped as error:
            sink.end(error)
        finally:
            with trio.CancelScope(shield=True):
                await receiver.aclose()

    # --- for what this file hands out

    @contextmanager
    def waiting_for(self, runner: Runner, *requests: Request[Any]) -> Iterator[None]:
        """Note that ``runner``'s job waits for these answers; raise `CallCycle` if none of them can ever come."""
        consumer = None if self._buffer is None else self._buffer.consumer
        if consumer is None:
            yield
            return
        runner.calls.update({request.id: consumer for request in requests})
        try:
            if all(consumer.runner_of(request.id) is None for request in requests):
                cycle = find_call_cycle(consumer)
                if cycle is not None:
                    raise CallCycle(cycle)
            yield
        finally:
            for request in requests:
                del runner.calls[request.id]

    def cancel_request(self, request: Request[Any], since: float) -> bool:
        """Abort what was sent at ``since``; whether its job still runs here, so that an answer will come."""
        if self._buffer is None:
            return False
        late = request.deadline <= trio.current_time()
        return self._buffer.cancel(request, AbortReason.DEADLINE if late else AbortReason.CALLER, since)

    def subscribe_to_progress(self, request_id: str) -> trio.abc.ReceiveChannel[Any]:
        """Receive what is reported for one request, and then its response."""
        if self._broadcast is None:
            raise RuntimeError("progress is seen in the process that runs the job, and this client sends elsewhere")
        return self._broadcast.subscribe(ids=[request_id], progress=True)

    def answered(self, submission: Submission[ResponseT]) -> None:
        """It needs no more waiting for."""
        if self._submissions.pop(submission.id, None) is None:
            return
        if submission.unread_failure is not None:
            self._unread.append(submission)
        if not self._submissions:
            self._all_answered.set()

    # --- the end of its block

    async def _wait_all(self) -> None:
        while self._submissions:
            self._all_answered = trio.Event()
            await self._all_answered.wait()

    async def _cancel_all(self) -> None:
        with trio.CancelScope(shield=True):
            for submission in list(self._submissions.values()):
                await submission.cancel()


class _Mapped:
    """Where one of many answers goes."""

    __slots__ = ("_mapping", "place", "request", "since")

    def __init__(self, mapping: _Mapping[Any, Any], place: int, request: Request[Any]) -> None:
        self._mapping = mapping
        self.place = place
        self.request = request
        self.since = trio.current_time()

    def deliver(self, item: Response[Any], cause: BaseException | None) -> None:
        """It is answered."""
        self._mapping.answered(self, item)

    def end(self, error: BaseException | None) -> None:
        """It will not be answered any more."""
        self._mapping.ended(self, error)


class _Mapping(trio.abc.ReceiveChannel[Response[ResponseT]], Generic[RequestT, ResponseT]):
    """The channel that `Client.map` gives out, and who feeds it."""

    def __init__(self, client: Client[RequestT, ResponseT], limit: int, *, in_order: bool) -> None:
        self._client = client
        self._slots = trio.Semaphore(limit)
        self._in_order = in_order
        self._open: dict[int, _Mapped] = {}
        self._early: dict[int, Response[ResponseT]] = {}
        self._next_place = 0
        self._places = count().__next__
        self._fed = False
        self._error: BaseException | None = None
        self._nothing_open = trio.Event()
        self._put, self._out = trio.open_memory_channel[Response[ResponseT]](inf)  # bounded by the slots

    def __repr__(self) -> str:
        return f"<responses in_flight={len(self._open)} to_receive={self._out.statistics().current_buffer_used}>"

    async def receive(self) -> Response[ResponseT]:
        """The next response.

        Raises:
            trio.EndOfChannel: All are received.
            ProcessorStopped: The processor is gone, and so are the answers that have not come.
        """
        runner = running()
        try:
            if runner is None or self._out.statistics().current_buffer_used:
                response = await self._out.receive()
            else:
                with self._client.waiting_for(runner, *(one.request for one in self._open.values())):
                    response = await self._out.receive()
        except trio.EndOfChannel:
            if self._error is not None:
                raise _stopped(self._error) from None
            raise
        self._slots.release()
        return response

    async def aclose(self) -> None:
        """Receive nothing more; a checkpoint. The end of the block cancels what is not answered."""
        await self._out.aclose()

    async def feed(self, bodies: Iterable[Any] | AsyncIterable[Any], options: CallOptions) -> None:
        """Send a request for each body, as slots become free."""
        if isinstance(bodies, AsyncIterable):
            async for body in bodies:
                await self._send(body, options)
        else:
            for body in bodies:
                await self._send(body, options)
        self._fed = True
        self._close_if_done()

    async def _send(self, body: Any, options: CallOptions) -> None:
        await self._slots.acquire()
        request = body if isinstance(body, Request) else _new_request(body, options, running())
        one = _Mapped(self, self._places(), request)
        self._open[one.place] = one
        try:
            await self._client._send(request, one)  # pyright: ignore[reportPrivateUsage]  # same file
        except ProcessorStopped as error:
            self.ended(one, error)
        except BaseException:
            self._open.pop(one.place, None)
            raise

    def answered(self, one: _Mapped, response: Response[ResponseT]) -> None:
        """Put it where it belongs."""
        del self._open[one.place]
        if self._in_order:
            self._early[one.place] = response
            while self._next_place in self._early:
                self._deliver(self._early.pop(self._next_place))
                self._next_place += 1
        else:
            self._deliver(response)
        self._close_if_done()

    def _deliver(self, response: Response[ResponseT]) -> None:
        try:
            self._put.send_nowait(response)
        except (trio.BrokenResourceError, trio.ClosedResourceError):  # nobody receives any more
            pass

    def ended(self, one: _Mapped, error: BaseException | None) -> None:
        """It will not come: those after it neither."""
        self._open.pop(one.place, None)
        self._error = error or ProcessorStopped("the channel of responses ended before all answers had come")
        self._put.close()
        self._close_if_done()

    def _close_if_done(self) -> None:
        if not self._open:
            self._nothing_open.set()
            if self._fed:
                self._put.close()

    async def cancel_rest(self) -> None:
        """Abort what is not answered, and wait until that is gone."""
        self._out.close()
        for one in list(self._open.values()):
            if one.place in self._open and not self._client.cancel_request(one.request, one.since):
                self._open.pop(one.place, None)
        with trio.CancelScope(shield=True):
            while self._open:
                self._nothing_open = trio.Event()
                await self._nothing_open.wait()


async def _receive(receiver: trio.abc.ReceiveChannel[Any]) -> Response[Any]:
    """The first response that comes."""
    try:
        while True:
            item = await receiver.receive()
            if not isinstance(item, Progress):
                return item  # type: ignore[no-any-return]  # it is the other side's word
    except (trio.EndOfChannel, trio.BrokenResourceError) as error:
        raise _stopped(error) from error


def _broadcast_of(responses: object) -> BroadcastSender[Any] | None:
    """The broadcast channel of this process behind ``responses``, if there is one."""
    if isinstance(responses, BroadcastSender):
        return responses
    behind = getattr(responses, "broadcast", None)
    return behind if isinstance(behind, BroadcastSender) else None


async def send_receive(
    sender: trio.abc.SendChannel[Request[RequestT]],
    responses: Responses[ResponseT],
    body: RequestT,
    **options: Unpack[CallOptions],
) -> ResponseT:
    """Send a request for ``body`` and return its answer: one call, without a client around it.

    It subscribes before it sends, and leaves nothing behind however it ends; see `Client.call` for the rest.

    Args:
        sender: Where requests go.
        responses: Where answers can be had; anything with ``subscribe(ids=...)``, never an open receiver.
        body: What the job is given.
        options: ``key``, ``priority``, ``time_limit`` and ``headers``, see `CallOptions`.
    """
    return await Client(_checked(sender), _checked_responses(responses)).call(body, **options)


@asynccontextmanager
async def open_client(
    sender: trio.abc.SendChannel[Request[RequestT]], responses: Responses[ResponseT]
) -> AsyncIterator[Client[RequestT, ResponseT]]:
    """A client for many calls, and the block that submitted work belongs to.

    Its normal end waits for all submitted work; its end by an error, or by being cancelled, cancels that.

    Args:
        sender: Where requests go. It is not closed.
        responses: Where answers can be had; anything with ``subscribe(ids=...)``, never an open receiver.

    Raises:
        JobFailed: Submitted work failed and nobody looked at its answer; several together as an ExceptionGroup.
    """
    client: Client[RequestT, ResponseT] = Client(_checked(sender), _checked_responses(responses))
    with single_error():
        async with trio.open_nursery() as client._nursery:  # pyright: ignore[reportPrivateUsage]  # same file
            try:
                yield client
                await client._wait_all()  # pyright: ignore[reportPrivateUsage]
            except BaseException:
                await client._cancel_all()  # pyright: ignore[reportPrivateUsage]
                raise
    client.raise_unread()


def _checked(sender: trio.abc.SendChannel[Request[RequestT]]) -> trio.abc.SendChannel[Request[RequestT]]:
    if not isinstance(sender, trio.abc.SendChannel):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"sender must be a channel to send into, such as processor.request_sender(), got {sender!r}")
    return sender


def _checked_responses(responses: Responses[ResponseT]) -> Responses[ResponseT]:
    if not callable(getattr(responses, "subscribe", None)):
        raise TypeError(
            "responses must be something to subscribe to, such as a processor or a broadcast channel, never an open "
            f"receiver, got {responses!r}"
        )
    return responses
