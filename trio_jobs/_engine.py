"""What becomes of each request: claimed, published, settled, aborted or handed back.

The engine knows requests; of the life of its processor it knows that one day nothing more is accepted. How a request
travels: sender -> waiting room -> worker -> job -> broadcast -> settlement.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import suppress
from math import inf
from typing import Any, Generic, TypeVar

import trio
from trio.lowlevel import enable_ki_protection

from ._broadcast import Asked, BroadcastSender
from ._channel import RequestReceiver
from ._current_run import current_run
from ._deadlines import Deadlines
from ._errors import LeaseLost
from ._memory import RequestBuffer
from ._message import Aborted, AbortReason, Failed, Progress, Request, Response, Succeeded
from ._settlement import SETTLEMENTS, Case, Ledger, Verb
from ._waiting_room import WaitingRoom
from ._worker import Worker, WorkerPool

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

_CASES = {Succeeded: Case.SUCCEEDED, Failed: Case.FAILED, Aborted: Case.ABORTED}


class Engine(Generic[RequestT, ResponseT]):
    """The requests of one processor, from the waiting room to their settlement.

    Without ``requests`` the waiting room is the request buffer, and a settlement is forgetting. With them, requests are
    claimed there as the waiting room takes them, and settled there.
    """

    def __init__(
        self,
        name: str,
        room: WaitingRoom,
        responses: BroadcastSender[Response[ResponseT]],
        requests: RequestReceiver[RequestT] | None,
        *,
        buffer_size: float,
        publish_limit: float,
        on_done: Callable[[], object],
    ) -> None:
        self.name = name
        self.room = room
        self.responses = responses
        self.requests = requests
        self.buffer: RequestBuffer[RequestT] = RequestBuffer(buffer_size if requests is None else inf, room)
        self.buffer.consumer = self
        self.ledger = Ledger()
        self.pool = WorkerPool(name, self.buffer, self, self.ledger)
        self.receiving = trio.CancelScope()
        """Of the task that claims; cancelled, it claims nothing more."""
        self.requests_ended = requests is None
        """Whether nothing more will be claimed."""
        self.handed_back: list[Request[RequestT]] = []
        """Requests whose runs were interrupted."""
        self.nursery: trio.Nursery | None = None
        """Where answers wait that could not be published at once; None before it runs."""
        self.over = False
        """Whether nothing is run or aborted here any more, only handed back."""
        self._buffer_size = buffer_size
        self._publish_limit = publish_limit
        self._on_done = on_done
        self._deadlines = Deadlines()
        self._alarm = trio.CancelScope()
        self._alarm_at = -inf
        self._room_left = trio.Event()
        self._publish_scopes: set[trio.CancelScope] = set()
        self._settle_scopes: set[trio.CancelScope] = set()
        room.on_ready = self.pool.look

    # --- in the background

    async def claim(
        self, requests: RequestReceiver[RequestT], wait_until_running: Callable[[], Awaitable[object]]
    ) -> None:
        """Claim requests from the transport, as many as the waiting room takes."""
        self.pool.on_taken = self._room_was_left
        with self.receiving:
            while True:
                await wait_until_running()
                while self.room.size >= self._buffer_size:
                    self._room_left = trio.Event()
                    await self._room_left.wait()
                try:
                    request = await requests.receive()
                except trio.EndOfChannel:
                    break
                self.buffer.accept(request)  # also when nothing is accepted any more: then it is released from there
        self.requests_ended = True

    async def watch_times(self) -> None:
        """Sleep until the earliest deadline or delay, whatever comes first, for all requests."""
        while True:
            self._alarm_at = min(self._deadlines.next, self.room.next_time)
            with trio.CancelScope(deadline=self._alarm_at) as self._alarm:
                await trio.sleep_forever()
            now = trio.current_time()
            for request, accepted in self._deadlines.pop_due(now):
                if self.pool.runs(request):
                    self.pool.cancel_nowait(request.id, AbortReason.DEADLINE)
                else:
                    self.abort_waiting(request, AbortReason.DEADLINE, accepted)
            if self.room.next_time <= now:
                self.room.wake(now)

    def _room_was_left(self) -> None:
        """There is room for one more."""
        self._room_left.set()

    def _set_alarm(self, time: float) -> None:
        if time < self._alarm_at:
            self._alarm_at = self._alarm.deadline = time

    def nothing_may_start(self) -> None:
        """What waits may wait for a time."""
        self._set_alarm(self.room.next_time)

    # --- the end

    def stop_accepting(self, error: Callable[[], Exception | None]) -> None:
        """Claim nothing more, and refuse what is sent with a new ``error()``; tell when nothing runs any more."""
        self.buffer.refuse(error)
        self.receiving.cancel(reason="the processor is on its way to its end")
        self.pool.closing = True

    def stop_serving(self, error: Callable[[], Exception | None]) -> None:
        """Nobody is left who could run or answer anything: refuse what is sent with a new ``error()``."""
        self.over = True
        self.buffer.refuse(error)

    def cut_off_slow_subscribers(self) -> None:
        """Let no publish wait any longer, nor any that is still to come."""
        self._publish_limit = 0
        for scope in self._publish_scopes:
            scope.cancel(reason="the grace is over")

    def abandon(self) -> None:
        """Wait no longer for what cannot be cancelled: threads, settlements."""
        shields = [scope for worker in self.pool.running.values() for scope in worker.shields]
        for scope in (*shields, *self._settle_scopes):
            scope.cancel(reason="the clean-up limit is over")

    async def release_all(self, limit: float) -> None:
        """Hand what waits here back to where it came from, for at most ``limit`` seconds; in memory it stays here."""
        waiting, requests = list(self.room), self.requests
        if requests is None:
            interrupted = {request.id for request in self.handed_back}
            back = sum(request.id in interrupted for request in waiting)
            self.ledger.claimed += back
            self.ledger.released += back
            return
        self.ledger.claimed += len(waiting)
        self.ledger.left += len(waiting)  # until it is known of each
        with trio.CancelScope(shield=True, deadline=trio.current_time() + limit):
            for request in waiting:
                try:
                    await requests.release(request)
                except LeaseLost:
                    self.ledger.lost += 1
                else:
                    self.ledger.released += 1
                self.ledger.left -= 1

    # --- what becomes of one request; called by the workers

    @enable_ki_protection
    def complete(
        self, request: Request[Any], response: Response[Any], cause: BaseException | None
    ) -> Coroutine[Any, Any, None] | None:
        """Publish and settle; what it returns, if anything, has still to be awaited for that."""
        if request.deadline != inf:
            self._deadlines.discard(request.id)
        if self.requests is not None:
            return self._complete_slowly(request, response, cause, {})
        asked: Asked = {}
        try:
            self.responses._publish_nowait(response, cause, asked)
        except trio.WouldBlock:
            return self._complete_slowly(request, response, cause, asked)
        if type(response) is Succeeded:
            self.ledger.succeeded += 1
        else:
            self._enter(response)
            if isinstance(response, Failed):
                self.buffer.bury(request, str(response.error))
        return None

    async def _complete_slowly(
        self, request: Request[Any], response: Response[Any], cause: BaseException | None, asked: Asked
    ) -> None:
        try:
            with trio.CancelScope(shield=True) as scope:
                self._settle_scopes.add(scope)
                try:
                    await self._publish(response, cause, asked)
                    await self._settle(request, response)
                    return
                finally:
                    self._settle_scopes.discard(scope)
        except BaseException:
            self.ledger.left += 1
            raise
        self.ledger.left += 1  # the scope was cancelled: its transport gives it to somebody again when the lease ends

    async def _publish(self, response: Response[Any], cause: BaseException | None, asked: Asked) -> None:
        """Publish, cutting off slow blocking subscribers after the publish limit or at the drain's grace."""
        while True:  # room made by one cut off may be taken by those who wait to publish, and fill another
            with trio.move_on_after(self._publish_limit) as limit:
                self._publish_scopes.add(limit)
                try:
                    await self.responses._publish(response, cause, asked)
                    return
                finally:
                    self._publish_scopes.discard(limit)
            self.responses._disconnect_blocking()
            with suppress(trio.WouldBlock):
                self.responses._publish_nowait(response, cause, asked)
                return

    async def _settle(self, request: Request[Any], response: Response[Any]) -> None:
        case, reason = _CASES[type(response)], ""
        if isinstance(response, Failed):
            reason = str(response.error)
        try:
            await self._tell(SETTLEMENTS[case].verb, request, reason)
        except LeaseLost:
            self.ledger.lost += 1
        else:
            self._enter(response)

    async def _tell(self, verb: Verb, request: Request[Any], reason: str) -> None:
        """Carry out what follows on a response; in memory what is not rejected is settled by being forgotten."""
        requests = self.requests
        if requests is None:
            if verb is Verb.REJECT:
                self.buffer.bury(request, reason)
        elif verb is Verb.REJECT:
            await requests.reject(request, reason)
        else:
            await requests.ack(request)

    def _enter(self, response: Response[Any]) -> None:
        """Into the books."""
        if type(response) is Succeeded:
            self.ledger.succeeded += 1
        elif type(response) is Failed:
            self.ledger.failed += 1
        else:
            self.ledger.aborted += 1

    def refuse(self, request: Request[Any], waited: float) -> None:
        """It is not run: its deadline has passed, or another of its id runs."""
        if request.id in self.pool.running or request.id in self.pool.publishing:
            self._reject(request, "a request of the same id runs already")
        else:
            self._answer_unstarted(request, AbortReason.DEADLINE, waited)
        self.pool.tell_if_done()

    def hand_back(self, request: Request[Any]) -> None:
        """Its run was interrupted, as only the end of the processor does: it waits again, and nothing else starts."""
        self.room.paused = True
        self.handed_back.append(request)
        self.ledger.claimed -= 1  # it waits again, as any other that did not start
        self.buffer.give_back(request)

    def abort_interrupted(self, request: Request[Any], reason: AbortReason, waited: float, ran: float) -> None:
        """Answer a request whose run was interrupted, and whose caller may wait for it to be gone."""
        self.room.paused = True
        response = Aborted(reason, id=request.id, attempt=request.attempt, waited=waited, ran=ran)
        self._do_later(request, self.complete(request, response, None))

    def all_done(self) -> None:
        """Nothing runs, nothing is being published, and it is on its way to its end."""
        self._on_done()

    def publish_progress(self, progress: Progress) -> None:
        """Tell those who subscribed to it."""
        self.responses._publish_progress(progress)

    def abort_waiting(self, request: Request[Any], reason: AbortReason, accepted: float) -> None:
        """Answer a request that waits in the room, and take it out of there."""
        self.buffer.drop(request.id)
        self.ledger.claimed += 1
        self._room_was_left()
        self._answer_unstarted(request, reason, self.buffer.current_time() - accepted)
        self._on_done()

    def _answer_unstarted(self, request: Request[Any], reason: AbortReason, waited: float) -> None:
        response = Aborted(reason, id=request.id, attempt=request.attempt, waited=waited)
        self._do_later(request, self.complete(request, response, None))

    def _reject(self, request: Request[Any], reason: str) -> None:
        self._deadlines.forget(request)
        self.ledger.rejected += 1
        if self.requests is None:
            self.buffer.bury(request, reason)
        else:
            assert self.nursery is not None
            self.pool.rejecting += 1
            self.nursery.start_soon(self._tell_rejected, self.requests, request, reason)

    async def _tell_rejected(self, requests: RequestReceiver[Any], request: Request[Any], reason: str) -> None:
        try:
            await requests.reject(request, reason)
        finally:
            self.pool.rejecting -= 1
            self.pool.tell_if_done()

    def _do_later(self, request: Request[Any], rest: Coroutine[Any, Any, None] | None) -> None:
        """Do in a task of its own what could not be done at once."""
        if rest is None:
            return
        if self.nursery is None:  # it does not run yet, and somebody who does not read holds up even this answer
            rest.close()
            self.ledger.left += 1
            return
        self.pool.publishing[request.id] = request
        self.nursery.start_soon(self._finish_unstarted, request, rest)

    async def _finish_unstarted(self, request: Request[Any], rest: Coroutine[Any, Any, None]) -> None:
        try:
            await rest
        finally:
            del self.pool.publishing[request.id]
            self.pool.tell_if_done()

    # --- called by the channel that requests come through

    def request_arrived(self, request: Request[Any], now: float) -> None:
        """It waits in the room since ``now``."""
        deadline = request.deadline
        if deadline != inf and request.id not in self._deadlines:
            self._deadlines.add(request, now)
            if deadline < self._alarm_at:
                self._set_alarm(deadline)
        pool = self.pool
        if current_run.get() is None:  # a job that sends has not yielded by that
            pool.ticks += 1
        if not pool.on_its_way:
            pool.wake()

    def cancel_request(self, request: Request[Any], reason: AbortReason, since: float) -> bool:
        """Abort what was sent at ``since``; whether its job still runs, so that an answer is worth waiting for."""
        if self.over:
            return False
        running = self.pool.running.get(request.id)
        if running is not None and running.request is request:
            self.pool.cancel_nowait(request.id, reason)
            return True
        if running is None and self.requests is None:
            if not self.has_ended(request.id):
                self.abort_waiting(request, reason, since)
        else:  # another processor may have claimed it, or another of its id runs, and it was or will be rejected
            waiting = self.room.find(request.id)
            if waiting is not None:
                self.abort_waiting(waiting.request, reason, waiting.accepted)
        return False

    def slot_holders(self) -> Collection[Worker] | None:
        """The jobs in its slots; None while there is a free one."""
        if self.room.running < self.room.concurrency or self.pool.publishing:
            return None  # who publishes holds a slot as well, and waits for no job
        return self.pool.running.values()

    def runner_of(self, request_id: str) -> Worker | None:
        """The job that runs for this request, if it does."""
        return self.pool.running.get(request_id)

    def has_ended(self, request_id: str) -> bool:
        """Whether its job has ended, and only its response is on the way."""
        return request_id in self.pool.publishing
