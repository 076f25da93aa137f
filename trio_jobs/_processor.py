"""The processor: it receives requests, runs each in a cancel scope of its own, and broadcasts every response.

How a request travels: sender -> waiting room -> worker -> job -> broadcast -> settlement. This file ties them together
and owns what is true of all requests at once: the life of the processor, deadlines, drain, the books.
"""

from __future__ import annotations

import logging
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from math import inf
from typing import Any, Generic, Literal, TypedDict, TypeVar, Unpack, overload

import attrs
import trio

from ._arguments import check_buffer_size, check_int, check_seconds
from ._asking import CallOptions
from ._broadcast import BroadcastReceiver, BroadcastSender, Overflow, open_broadcast_channel
from ._channel import DeadLetter, RequestReceiver
from ._client import Client
from ._current_run import running
from ._engine import Engine
from ._errors import ProcessorStopped
from ._hidden_nursery import open_hidden_nursery
from ._job import MISS, Job, check_name
from ._lifecycle import Event, ProcessorState, next_state
from ._memory import MemoryRequestReceiver, MemoryRequestSender
from ._message import AbortReason, Progress, Request, Response
from ._observable import AsyncValue, observable
from ._record import Record
from ._resources import Resources, check_resources, open_resources
from ._single_error import single_error
from ._submission import Submission
from ._waiting_room import Gate, WaitingRoom

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
ResourcesT = TypeVar("ResourcesT")

_log = logging.getLogger("trio_jobs")

_BUFFER_SIZE = 64

_UNWIND_STEPS = 10  # scheduler passes for waits that were abandoned a moment ago to take themselves down


@attrs.frozen(eq=False, repr=False)
class DrainReport(Record):
    """What a drain left behind."""

    handed_back: tuple[str, ...]
    """Ids of requests whose jobs were interrupted; they are to be run again."""
    waiting: tuple[str, ...]
    """Ids of requests that were accepted here and never started."""
    left: tuple[str, ...]
    """Ids of requests whose jobs, in spite of having been cancelled, had not ended when the clean-up limit was over."""


@attrs.frozen(eq=False, repr=False)
class ProcessorStatistics(Record):
    """A processor at one moment: how much there is of what, and what became of the requests so far."""

    state: ProcessorState
    """What it does."""
    waiting: int
    """Requests that were accepted and have not started."""
    running: int
    """Jobs that run."""
    publishing: int
    """Jobs that have ended and whose responses wait for a slow subscriber or for their settlement."""
    concurrency: float
    """How many may run at the same time."""
    workers: int
    """Worker tasks there are, idle ones included."""
    claimed: int
    """Requests that were taken to be run. Always the sum of what follows, of ``running`` and of ``publishing``."""
    succeeded: int
    """Answered with `Succeeded`."""
    failed: int
    """Answered with `Failed`."""
    aborted: int
    """Answered with `Aborted`."""
    rejected: int
    """Kept as a dead letter without an answer."""
    released: int
    """Handed back."""
    lost: int
    """Answered, but held by somebody else by then."""
    left: int
    """Could not be answered nor handed back."""
    cache_failures: int
    """Look-ups in the job's cache that raised, and so were misses."""


class ProcessorOptions(TypedDict, Generic[ResourcesT], total=False):
    """What `Processor` can be told, all of it by keyword; described there."""

    resources: Resources[ResourcesT] | None
    requests: RequestReceiver[Any] | None
    responses: BroadcastSender[Any] | None
    concurrency: float
    gates: Sequence[Gate]
    request_buffer_size: float
    response_buffer_size: float
    room: int | None
    publish_limit: float | None
    grace: float
    cleanup_limit: float
    name: str | None


class Processor(Generic[RequestT, ResponseT, ResourcesT]):
    """Runs a job for every request that it is sent, and tells all who subscribed.

    Start it with ``await nursery.start(processor.run)``, or use `open_processor`, which does that. It runs once.

    Args:
        job: What to run.
        resources: What the job is given as its second argument: a value; an async context manager, opened before the
            first request and closed after the last answer; ``Shared(factory)``; or ``PerWorker(factory)``.
        requests: Where requests come from; by default a buffer of its own in memory.
        responses: Where responses go; by default a broadcast channel of its own, which ends with the processor. Of a
            channel that is given it closes its own handle.
        concurrency: How many requests run at the same time.
        gates: Asked, in this order, before a request starts.
        request_buffer_size: How many requests may wait before `send` does.
        response_buffer_size: How many responses a subscriber may be behind.
        room: With ``requests``, how many of them are claimed ahead; by default as many as run at the same time.
        publish_limit: Seconds for which a publish waits for a slow subscriber that chose to block; after them it is
            cut off. By default for ever in memory, and 60 where requests have leases.
        grace: Seconds that `drain` lets jobs run on unless told otherwise.
        cleanup_limit: Seconds for what has been cancelled to clean up.
        name: What messages call it; by default the job's name.

    Raises:
        TypeError, ValueError: A parameter has a wrong type or value; the message names both.
    """

    def __init__(
        self,
        job: Job[RequestT, ResponseT, ResourcesT],
        *,
        resources: Resources[ResourcesT] | None = None,
        requests: RequestReceiver[RequestT] | None = None,
        responses: BroadcastSender[Response[ResponseT]] | None = None,
        concurrency: float = 16,
        gates: Sequence[Gate] = (),
        request_buffer_size: float = _BUFFER_SIZE,
        response_buffer_size: float = _BUFFER_SIZE,
        room: int | None = None,
        publish_limit: float | None = None,
        grace: float = 10,
        cleanup_limit: float = 5,
        name: str | None = None,
    ) -> None:
        _check_job(job, resources)
        _check_channels(requests, responses, room, request_buffer_size, response_buffer_size)
        check_buffer_size("concurrency", concurrency, least=1)
        if name is not None:
            check_name(name)
        for gate in gates:
            if not isinstance(gate, Gate):
                raise TypeError(f"gates must be a sequence of Gate, got {gate!r} in it")
        if publish_limit is None:
            publish_limit = inf if requests is None or isinstance(requests, MemoryRequestReceiver) else 60
        self.name = job.name if name is None else name
        self._job = job
        self._resources = resources
        self._requests = requests
        self._grace = check_seconds("grace", grace)
        self._cleanup_limit = check_seconds("cleanup_limit", cleanup_limit)
        self._room = WaitingRoom(concurrency, gates)
        self._responses_are_ours = responses is None
        ahead = room or (64 if concurrency == inf else int(concurrency))
        self._engine: Engine[RequestT, ResponseT] = Engine(
            self.name,
            self._room,
            open_broadcast_channel(response_buffer_size) if responses is None else responses.clone(),
            requests,
            buffer_size=request_buffer_size if requests is None else ahead,
            publish_limit=check_seconds("publish_limit", publish_limit),
            on_done=self._end_if_done,
        )
        if isinstance(requests, MemoryRequestReceiver):
            requests._fetched_by(self._engine)
        self._idle = trio.Event()
        self._ended = trio.Event()
        self._cache_failures = 0
        self._failure: BaseException | None = None
        self.state: AsyncValue[ProcessorState] = observable(ProcessorState.NEW)
        self._own_sender: MemoryRequestSender[RequestT] = MemoryRequestSender(self._engine.buffer)
        self._client: Client[RequestT, ResponseT] | None = None
        if requests is None:
            self._client = Client(self._own_sender, self.broadcast)

    def __repr__(self) -> str:
        running = f"{len(self._engine.pool.running)}/{self._room.concurrency}"
        return f"<Processor {self.name} {self.state.value.value} waiting={len(self._room)} running={running}>"

    # --- what others hold on to

    def request_sender(self) -> MemoryRequestSender[RequestT]:
        """A new handle that sends requests here, within this process. Closing it does not stop the processor.

        Raises:
            RuntimeError: The processor receives from another transport; open a sender of that one.
        """
        if self._requests is None:
            return self._own_sender.clone()
        if isinstance(self._requests, MemoryRequestReceiver):
            return self._requests.sender()
        raise RuntimeError(f"{self.name} receives from {self._requests!r}, open a sender of that transport instead")

    @overload
    def subscribe(
        self,
        *,
        overflow: Overflow = Overflow.BLOCK,
        replay: int = 0,
        select: Callable[[Response[ResponseT] | Progress], bool] | None = None,
        ids: Iterable[str] | None = None,
        progress: Literal[True],
    ) -> BroadcastReceiver[Response[ResponseT] | Progress]: ...

    @overload
    def subscribe(
        self,
        *,
        overflow: Overflow = Overflow.BLOCK,
        replay: int = 0,
        select: Callable[[Response[ResponseT]], bool] | None = None,
        ids: Iterable[str] | None = None,
        progress: Literal[False] = False,
    ) -> BroadcastReceiver[Response[ResponseT]]: ...

    def subscribe(
        self,
        *,
        overflow: Overflow = Overflow.BLOCK,
        replay: int = 0,
        select: Callable[[Any], bool] | None = None,
        ids: Iterable[str] | None = None,
        progress: bool = False,
    ) -> BroadcastReceiver[Any]:
        """Receive every response from now on; see `BroadcastSender.subscribe` for what can be chosen."""
        return self.broadcast.subscribe(overflow=overflow, replay=replay, select=select, ids=ids, progress=progress)

    @property
    def broadcast(self) -> BroadcastSender[Response[ResponseT]]:
        """The channel that the responses go to, to look at its statistics or to wait for subscribers."""
        return self._engine.responses

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """Requests that failed for good or could not be run, oldest first; the last 1,000.

        With ``requests`` they lie where those came from.
        """
        return tuple(self._engine.buffer.dead)

    def statistics(self) -> ProcessorStatistics:
        """The processor at this moment."""
        books = self._engine.ledger
        return ProcessorStatistics(
            state=self.state.value,
            waiting=len(self._room),
            running=len(self._engine.pool.running),
            publishing=len(self._engine.pool.publishing),
            concurrency=self._room.concurrency,
            workers=self._engine.pool.workers,
            claimed=books.claimed,
            succeeded=books.succeeded,
            failed=books.failed,
            aborted=books.aborted,
            rejected=books.rejected,
            released=books.released,
            lost=books.lost,
            left=books.left,
            cache_failures=self._cache_failures,
        )

    # --- asking for work

    # Plain functions that return the client's coroutine: one of their own would cost something at every step.

    def call(self, body: RequestT, **options: Unpack[CallOptions]) -> Coroutine[Any, Any, ResponseT]:
        """Run the job for ``body`` and return what it returns, to be awaited; see `Client.call`."""
        return (self._client or self._open_client()).call(body, **options)

    def submit(
        self, body: RequestT, *, detached: bool = False, progress: bool = False, **options: Unpack[CallOptions]
    ) -> Coroutine[Any, Any, Submission[ResponseT]]:
        """Have the job run for ``body`` and go on at once, to be awaited; see `Client.submit`."""
        return (self._client or self._open_client()).submit(body, detached=detached, progress=progress, **options)

    def map(
        self,
        bodies: Iterable[RequestT | Request[RequestT]] | AsyncIterable[RequestT | Request[RequestT]],
        *,
        max_in_flight: int | None = None,
        ordered: bool = False,
        time_limit: float = inf,
    ) -> AbstractAsyncContextManager[trio.abc.ReceiveChannel[Response[ResponseT]]]:
        """Run the job for each of many bodies; see `Client.map`."""
        return (self._client or self._open_client()).map(
            bodies, max_in_flight=max_in_flight, ordered=ordered, time_limit=time_limit
        )

    def _open_client(self) -> Client[RequestT, ResponseT]:
        self._client = Client(self.request_sender(), self._engine.responses)
        return self._client

    async def cancel(self, request_id: str) -> bool:
        """Abort a request, waiting or running, for the reason `AbortReason.OPERATOR`.

        Returns when its job and all that the job started are gone: True if there was such a request, False if not, and
        then nothing happens later either. Cancelled, the request may have been aborted.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        worker = self._engine.pool.cancel_nowait(request_id, AbortReason.OPERATOR)
        if worker is not None:
            await worker.wait_gone()
            return True
        waiting = None if self._engine.over else self._room.find(request_id)
        if waiting is not None:
            self._engine.abort_waiting(waiting.request, AbortReason.OPERATOR, waiting.accepted)
        await trio.lowlevel.cancel_shielded_checkpoint()
        return waiting is not None

    # --- life

    def pause(self) -> None:
        """Start nothing new; what runs goes on, and requests are accepted as before.

        Raises:
            RuntimeError: It does not run, or is on its way to its end.
        """
        self._advance(Event.PAUSE)
        self._room.paused = True

    def resume(self) -> None:
        """Start requests again.

        Raises:
            RuntimeError: It does not run, or is on its way to its end.
        """
        self._advance(Event.RESUME)
        self._room.paused = bool(self._engine.handed_back)  # cancelled, it is on its way to its end
        self._engine.pool.wake()

    def close_requests(self) -> None:
        """Accept nothing more, answer all that was accepted, then end. Only jobs may still send, such as those here.

        Inside `open_processor` the end of the block does this.

        Raises:
            RuntimeError: It does not run yet.
        """
        self._advance(Event.CLOSE)
        if self.state.value is not ProcessorState.FINISHING:
            return
        self._engine.stop_accepting(lambda: None if running() is not None else self._stopped_error())
        self._room.paused = False
        self._engine.pool.wake()
        self._end_if_done()

    async def drain(self, grace: float | None = None) -> DrainReport:
        """Stop: start nothing more, let run what runs for ``grace`` seconds, then cancel it and hand it back.

        Returns at the latest after ``grace`` plus the clean-up limit, and says what was handed back and what is left: a
        job may hang in a shield of its own, which only the end of the process ends. Cancelled, it stays on its way to
        its end, without the time limits; call it again.

        The block of `open_processor` is not ended by it: whoever is in there sees it in `state`, and in their calls.

        Raises:
            TypeError, ValueError: ``grace`` is not a number of seconds, or negative.
            RuntimeError: It does not run yet.
        """
        grace = self._grace if grace is None else check_seconds("grace", grace)
        self._advance(Event.DRAIN)
        if self.state.value is ProcessorState.DRAINING:
            self._stop_accepting()
            with trio.move_on_after(grace):
                await self._idle.wait()
            await self._clean_up()
        else:
            await trio.lowlevel.checkpoint()
        interrupted = {request.id for request in self._engine.handed_back}
        waiting = [request.id for request in self._room]
        return DrainReport(
            handed_back=tuple(request_id for request_id in waiting if request_id in interrupted),
            waiting=tuple(request_id for request_id in waiting if request_id not in interrupted),
            left=tuple(self._engine.pool.running),
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Open the resources, run requests, and end: after `close_requests`, after `drain`, or with an error.

        Cancelled, or failing, it hands back what runs, and everybody who waits for an answer gets `ProcessorStopped`.

        Raises:
            RuntimeError: It was started before.
            JobFailed: Submitted work failed and nobody looked at its answer; several together as an ExceptionGroup.
            ConservationError: It cannot account for every request: a fault of trio-jobs.
            Others: As the resources, or the channel of requests, raise them.
        """
        self._advance(Event.START)
        try:
            with single_error():
                async with open_resources(
                    self._resources, limit=self._room.concurrency, cleanup_limit=self._cleanup_limit
                ) as resources:
                    self._engine.pool.run_job = self._bind(resources)
                    await self._serve(task_status)
        except BaseException as error:
            self._failure = error
            await self._close()
            raise
        await self._close()
        if self._client is not None:
            self._client._raise_unread()

    async def _serve(self, task_status: trio.TaskStatus[None]) -> None:
        self._engine.buffer.current_time = trio.lowlevel.current_clock().current_time
        async with trio.open_nursery() as self._engine.nursery:
            self._engine.nursery.start_soon(self._engine.watch_times)
            if self._requests is not None:
                self._engine.nursery.start_soon(self._claim, self._requests)
            self._advance(Event.OPENED)
            task_status.started()
            try:
                await self._engine.pool.serve()
            finally:
                self._engine.stop_serving(self._stopped_error)
            self._engine.nursery.cancel_scope.cancel()

    def _bind(self, resources: Any) -> Callable[[Any], Awaitable[Any]]:
        """The cheapest callable that runs the job for one body."""
        job = self._job
        if resources.shared and not job._caches:
            return job._bind(resources.value)
        run = self._run_asking_cache if job._caches else job.run
        if resources.shared:
            return lambda body: run(body, resources.value)

        async def run_lent(body: RequestT) -> ResponseT:
            try:
                instance = resources.lend_nowait()
            except trio.WouldBlock:
                instance = await resources.lend()
            try:
                return await run(body, instance)
            finally:
                resources.give_back(instance)

        return run_lent

    async def _run_asking_cache(self, body: RequestT, resources: ResourcesT) -> ResponseT:
        try:
            cached = await self._job.get_cached(body, resources)
        except Exception:
            self._cache_failures += 1
            _log.warning("%s: its cache failed, the job runs instead", self.name, exc_info=True)
            cached = MISS
        return await self._job.run(body, resources) if cached is MISS else cached

    async def _claim(self, requests: RequestReceiver[RequestT]) -> None:
        await self._engine.claim(requests, self._wait_until_not_paused)
        if self.state.value in (ProcessorState.RUNNING, ProcessorState.PAUSED):
            self.close_requests()
        else:
            self._end_if_done()

    async def _wait_until_not_paused(self) -> None:
        await self.state.wait_value(lambda state: state is not ProcessorState.PAUSED)

    def _advance(self, event: Event) -> None:
        state = next_state(self.state.value, event)
        self.state.value = state

    def _stopped_error(self) -> ProcessorStopped:
        """A new one each time, for it is raised in many tasks."""
        state = self.state.value
        # Cancelled or failing, it has not said so yet; nobody else is refused while it runs.
        runs = state in (ProcessorState.RUNNING, ProcessorState.PAUSED)
        error = ProcessorStopped(f"processor {self.name} is {'ending' if runs else state.value}")
        error.__cause__ = self._failure
        return error

    def _stop_accepting(self) -> None:
        self._room.paused = True
        self._engine.stop_accepting(self._stopped_error)
        self._end_if_done()

    async def _clean_up(self) -> None:
        """The grace is over: interrupt what still runs, for at most the clean-up limit."""
        self._engine.cut_off_slow_subscribers()
        self._engine.pool.interrupt()
        with trio.move_on_after(self._cleanup_limit):
            await self._ended.wait()
        if not self._ended.is_set():
            self._engine.abandon()
            for _ in range(_UNWIND_STEPS):
                await trio.lowlevel.checkpoint()

    def _end_if_done(self) -> None:
        if self.state.value is ProcessorState.DRAINING:
            if self._engine.pool.at_rest:
                self._idle.set()
                self._engine.pool.stop()
        elif (
            self.state.value is ProcessorState.FINISHING
            and self._engine.requests_ended
            and self._engine.pool.at_rest
            and not len(self._room)
        ):
            self._engine.buffer.refuse(self._stopped_error)
            self._engine.pool.stop()

    async def _close(self) -> None:
        """All workers are gone: hand back what is left, end the broadcast, balance the books."""
        self._engine.buffer.refuse(self._stopped_error)
        try:
            await self._engine.release_all(self._cleanup_limit)
        finally:
            self._end()

    def _end(self) -> None:
        unanswered = [request.id for request in self._room]
        self._room.close()
        self._advance(Event.END if self._failure is None else Event.FAIL)
        if self._responses_are_ours and self._failure is not None:
            self._engine.responses.fail(self._stopped_error())
        else:
            for request_id in unanswered:
                self._engine.responses._end_watcher(request_id, self._stopped_error())
            self._engine.responses.close()
        self._ended.set()
        self._check_books()

    def _check_books(self) -> None:
        try:
            self._engine.ledger.check()
        except Exception as error:
            if self._failure is None:
                raise
            self._failure.add_note(str(error))


def _check_job(job: object, resources: object) -> None:
    if not isinstance(job, Job):
        raise TypeError(f"job must be a Job, put @job above the function, got {job!r}")
    if resources is None and job._takes_resources:
        raise TypeError(f"job {job.name} takes resources, give them with resources=...")
    if resources is not None and job._takes_resources is False:
        raise TypeError(f"job {job.name} takes no resources: give it a second parameter, or leave resources out")
    check_resources(resources)


def _check_channels(
    requests: object, responses: object, room: object, request_buffer_size: object, response_buffer_size: object
) -> None:
    if requests is not None and not isinstance(requests, RequestReceiver):
        raise TypeError(f"requests must be a RequestReceiver, which settles what it receives, got {requests!r}")
    if responses is not None and not isinstance(responses, BroadcastSender):
        raise TypeError(f"responses must come from open_broadcast_channel(...), got {responses!r}")
    check_buffer_size("request_buffer_size", request_buffer_size, least=1)
    check_buffer_size("response_buffer_size", response_buffer_size, least=1)
    if requests is not None and request_buffer_size != _BUFFER_SIZE:
        raise TypeError("request_buffer_size is of a buffer of its own; with requests use room, what is claimed ahead")
    if responses is not None and response_buffer_size != _BUFFER_SIZE:
        raise TypeError("response_buffer_size is of a channel of its own; with responses that is its max_buffer_size")
    if room is not None:
        check_int("room", room, least=1)
        if requests is None:
            raise TypeError("room goes with requests; without them it is the request buffer: use request_buffer_size")


@asynccontextmanager
async def open_processor(
    job: Job[RequestT, ResponseT, ResourcesT], **options: Unpack[ProcessorOptions[ResourcesT]]
) -> AsyncGenerator[Processor[RequestT, ResponseT, ResourcesT]]:
    """Run a processor for the length of a block.

    The normal end of the block closes the request side and waits until everything accepted is answered, as a nursery
    waits for its tasks; a block that ends by an error or is cancelled drains without grace. Takes what `Processor`
    takes.

    Raises:
        JobFailed: Submitted work failed and nobody looked at its answer; several together as an ExceptionGroup.
    """
    processor: Processor[RequestT, ResponseT, ResourcesT] = Processor(job, **options)
    async with open_hidden_nursery() as nursery:
        await nursery.start(processor.run)
        try:
            yield processor
        except BaseException as error:
            with trio.CancelScope(shield=True):
                await processor.drain(0)
            if not isinstance(error, ProcessorStopped) or processor.state.value is not ProcessorState.FAILED:
                raise
            # A call told the block that the processor has failed: with what, the nursery raises.
        else:
            processor.close_requests()
