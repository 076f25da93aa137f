"""Running requests: workers that come when there is work, each taking one request after another.

1. Whatever a job does, it neither ends another job nor shows in it: errors stop here, a used scope and a changed
   context are thrown away.
2. A worker holds at most one request. Whoever ends it, that request is answered or handed back.
3. At most one worker is on its way to the waiting room; it sends for the next if it finds more. A burst wakes no herd.
4. Jobs that never yield share one budget a scheduler pass, so other tasks get their turn.
5. Never a task, an event, a scope or a UUID per request: that is what makes a queued request cheap.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, copy_context
from math import inf
from operator import is_
from typing import Any, Protocol

import trio
from trio.lowlevel import Abort, RaiseCancelT, Task, current_task, enable_ki_protection, reschedule

from ._current_run import current_run
from ._error_info import ErrorInfo
from ._errors import StrayCancelled
from ._memory import Consumer, RequestBuffer
from ._message import Aborted, AbortReason, Failed, Progress, Request, Response, quick_failure, quick_success
from ._settlement import Ledger
from ._single_error import is_group

BUDGET = 32  # jobs a scheduler pass that do not yield, all workers together: above 16 nothing is gained (docs/figures)
SLICE = 100e-6  # seconds of Trio's clock they may take together; in virtual time none pass, so only the budget counts


class Owner(Protocol):
    """The processor, as its workers see it."""

    def complete(
        self, request: Request[Any], response: Response[Any], cause: BaseException | None
    ) -> Coroutine[Any, Any, None] | None:
        """Publish and settle; what it returns, if anything, has still to be awaited for that."""
        ...

    def hand_back(self, request: Request[Any]) -> None:
        """The run was interrupted: the request is to be run again."""
        ...

    def abort_interrupted(self, request: Request[Any], reason: AbortReason, waited: float, ran: float) -> None:
        """The run was interrupted, and nobody wants its answer any more for ``reason``."""
        ...

    def refuse(self, request: Request[Any], waited: float) -> None:
        """It is not run: its deadline has passed, or another of its id runs. See to it otherwise."""
        ...

    def nothing_may_start(self) -> None:
        """Some that wait in the room wait for a time."""
        ...

    def all_done(self) -> None:
        """Nothing runs any more; told once `WorkerPool.closing` is set."""
        ...

    def publish_progress(self, progress: Progress) -> None:
        """Tell those who subscribed to it."""
        ...


class WorkerPool:
    """The workers of one processor and the requests they run."""

    def __init__(self, name: str, buffer: RequestBuffer[Any], owner: Owner, ledger: Ledger) -> None:
        self.name = name
        self.ledger = ledger
        self.running: dict[str, Worker] = {}
        self.rejecting = 0
        self.publishing: dict[str, Request[Any]] = {}
        """Jobs that have ended and whose responses wait for a slow subscriber, or for their settlement."""
        self.run_job: Callable[[Any], Awaitable[Any]]
        self.current_time: Callable[[], float] = trio.current_time
        self.ticks = 0  # moved by whoever of this processor runs: standing still while a job ran, the job did not yield
        self._buffer = buffer
        self._room = buffer.room
        self._owner = owner
        self.idle: dict[Task, None] = {}  # last in, first out: the warmest worker first
        self.workers = 0
        """How many there are at the moment, idle ones included."""
        self.on_its_way = False
        self.on_taken: Callable[[], object] | None = None
        """Called when a request has left the waiting room, for whoever fills it."""
        self.closing = False
        """Whether its owner waits for the end of all that runs."""
        self.stopping = False
        self._stopped = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._context: Context
        self.current_pass = 0  # scheduler passes in which some worker ran, counted
        self._left = BUDGET
        self._spent = 0.0

    # --- life

    async def serve(self) -> None:
        """Run requests until `stop`; cancelled, every running request is handed back."""
        self._context = copy_context()
        self.current_time = trio.lowlevel.current_clock().current_time
        async with trio.open_nursery() as self._nursery:
            try:
                if self._room.may_start:
                    self.wake()
                await self._stopped.wait()
            finally:
                self._nursery = None  # cancelled or not: who is sent for from now on would come too late

    def stop(self) -> None:
        """Let the workers end as soon as each has nothing to run."""
        self.stopping = True
        self._stopped.set()
        while self.idle:
            reschedule(self.idle.popitem()[0])

    def interrupt(self) -> None:
        """Cancel whatever runs, to be handed back."""
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel(reason="the processor is being stopped")

    # --- work

    def look(self) -> None:
        """Something may start that could not before: see that somebody looks."""
        self.ticks += 1
        if not self.on_its_way:
            self.wake()

    def wake(self) -> None:
        """Send for one worker, unless all there may be are busy."""
        if self.idle:
            self.on_its_way = True
            reschedule(self.idle.popitem()[0])
        elif self.workers < self._room.concurrency and self._nursery is not None and not self.stopping:
            self.on_its_way = True
            self.workers += 1
            worker = Worker(self)
            # in a copy of the processor's own context: the task that happens to send for it must not show in the job
            self._context.copy().run(self._nursery.start_soon, worker.work)

    @enable_ki_protection
    def start(self, worker: Worker, now: float) -> Request[Any] | None:
        """Give ``worker`` the next request that may start; None if there is none."""
        running, room, buffer = self.running, self._room, self._buffer
        while True:
            if not room.size:  # then nobody waits to send either, there is room
                return None
            request = buffer.take(now) if buffer.sending else room.take(now)  # the same, one call less
            if request is None:
                if room.timed:
                    self._owner.nothing_may_start()
                return None
            self.ledger.claimed += 1
            if self.on_taken is not None:
                self.on_taken()
            waited = now - room.accepted
            request_id = request.id
            if request.deadline > now and request_id not in running and request_id not in self.publishing:
                break
            room.finished(request, now)
            self._owner.refuse(request, waited)
        running[request_id] = worker
        worker.request = request
        worker.started = now
        worker.waited = waited
        current_run.set((worker, request))
        self.ticks += 1
        if not self.on_its_way and room.size and (self.idle or self.workers < room.concurrency) and room.may_start:
            self.wake()
        return request

    @enable_ki_protection
    def finish(
        self, worker: Worker, response: Response[Any], cause: BaseException | None, now: float
    ) -> Coroutine[Any, Any, None] | None:
        """The job has ended with ``response``; what this returns, if anything, is still to be awaited."""
        request = worker.request
        assert request is not None
        worker.request = None
        del self.running[request.id]
        rest = self._owner.complete(request, response, cause)
        if rest is not None:
            self.publishing[request.id] = request
            return self._finish_slowly(request, rest)
        room = self._room
        room.finished(request, now)
        if self.closing and (room.paused or not room.size):  # else another follows at once
            self.tell_if_done()
        return None

    async def _finish_slowly(self, request: Request[Any], rest: Coroutine[Any, Any, None]) -> None:
        try:
            await rest
        finally:
            del self.publishing[request.id]
            self._room.finished(request, self.current_time())
            self.tell_if_done()

    def ended(self, worker: Worker) -> None:
        """The task of ``worker`` is over."""
        self.workers -= 1
        request = worker.request
        if request is not None:
            worker.request = None
            del self.running[request.id]
            now = self.current_time()
            self._room.finished(request, now)
            if worker.reason is None:
                self._owner.hand_back(request)
            else:
                self._owner.abort_interrupted(request, worker.reason, worker.waited, now - worker.started)
        worker.tell_gone()
        self.tell_if_done()
        if self._room.may_start:
            self.wake()

    def tell_if_done(self) -> None:
        """Tell an owner that waits for it that nothing runs and nothing is being published."""
        if self.closing and self.at_rest:
            self._owner.all_done()

    @property
    def at_rest(self) -> bool:
        """Whether nothing runs, and nothing is being published or settled."""
        return not (self.running or self.publishing or self.rejecting)

    async def be_idle(self) -> None:
        """Wait to be sent for; whoever is sent for next begins a new scheduler pass."""
        task = current_task()
        idle = self.idle
        idle[task] = None
        seen = self.current_pass

        def abort(_: RaiseCancelT) -> Abort:
            del idle[task]
            return Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
        self.arrived(seen)

    def arrived(self, seen: int) -> None:
        """The worker that was sent for in the pass ``seen`` is there."""
        self.on_its_way = False
        self._new_pass(seen)

    # --- fairness

    def must_yield(self, seconds: float) -> bool:
        """Count a job that took ``seconds`` without yielding: have they had enough of this scheduler pass?"""
        self._left -= 1
        self._spent += seconds
        return self._left <= 0 or self._spent > SLICE

    async def let_others_run(self) -> None:
        """Give every other task its turn; if a worker is on its way, that one goes on with the work."""
        if self.on_its_way:
            await self.be_idle()
            return
        seen = self.current_pass
        await trio.lowlevel.checkpoint()
        self._new_pass(seen)

    def _new_pass(self, seen: int) -> None:
        """The first worker that runs in a new scheduler pass renews the budget for all."""
        self.ticks += 1
        if self.current_pass == seen:
            self.current_pass = seen + 1
            self._left, self._spent = BUDGET, 0.0

    # --- cancelling

    def runs(self, request: Request[Any]) -> bool:
        """Whether it is this very request that runs, and not another of its id."""
        worker = self.running.get(request.id)
        return worker is not None and worker.request is request

    def cancel_nowait(self, request_id: str, reason: AbortReason) -> Worker | None:
        """Cancel the job that runs for this id; the worker that runs it, or None."""
        worker = self.running.get(request_id)
        if worker is not None and worker.reason is None:
            worker.reason = reason
            worker.scope.cancel(reason=reason.value)
        return worker

    def publish_progress(self, progress: Progress) -> None:
        """Pass it on."""
        self._owner.publish_progress(progress)


class Worker:
    """One task that runs one request after another, each as if in a cancel scope and a context of its own."""

    __slots__ = (
        *("_clean", "_gone", "_pool", "_sent_in"),
        *("calls", "reason", "request", "scope", "shields", "started", "waited"),
    )

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self._sent_in = pool.current_pass
        self._gone: trio.Event | None = None
        self._clean: list[object] = []
        self.request: Request[Any] | None = None
        self.reason: AbortReason | None = None
        self.scope = trio.CancelScope()
        self.shields: set[trio.CancelScope] = set()
        self.calls: dict[str, Consumer] = {}
        self.started = 0.0
        self.waited = 0.0

    async def work(self) -> None:
        """Run requests until there is no more use for this worker."""
        pool = self._pool
        pool.arrived(self._sent_in)
        current_run.set(None)
        self._clean = list(copy_context().values())
        try:
            while await self._work_in_one_scope():
                pass
        finally:
            pool.ended(self)

    async def _work_in_one_scope(self) -> bool:
        """Run requests until the scope is used up (True) or this worker is (False)."""
        pool = self._pool
        run_job = pool.run_job
        response: Response[Any] | None = None
        cause: BaseException | None = None
        self.scope = trio.CancelScope()
        self.reason = None
        now = pool.current_time()
        with self.scope:
            while True:
                request = pool.start(self, now)
                if request is None:
                    if pool.stopping:
                        return False
                    await pool.be_idle()
                    now = pool.current_time()
                    continue
                tick = pool.ticks
                try:
                    value = await run_job(request.body)
                except BaseException as error:  # the job's errors end here, our own cancellation passes
                    response, cause = self._failure(error), error
                    now = pool.current_time()
                else:
                    now = pool.current_time()
                    ran = now - self.started
                    response = quick_success(value, request.id, request.attempt, self.waited, ran)
                if self.reason is not None:
                    break
                rest = pool.finish(self, response, cause, now)
                request = value = response = cause = None  # an idle worker must not keep the last ones alive
                if rest is not None:
                    await rest
                    now = pool.current_time()
                if self._context_changed():
                    return False
                if pool.ticks == tick and pool.must_yield(now - self.started):
                    await pool.let_others_run()
                    now = pool.current_time()
        await self._finish_cancelled(response, cause)
        return not self._context_changed()

    async def _finish_cancelled(self, response: Response[Any] | None, cause: BaseException | None) -> None:
        """The scope was cancelled for the request that ran; its job has ended, with a response of its own or
        without."""
        request, reason = self.request, self.reason
        assert request is not None
        assert reason is not None
        now = self._pool.current_time()
        self.tell_gone()
        if response is None:
            ran = now - self.started
            response = Aborted(reason, id=request.id, attempt=request.attempt, waited=self.waited, ran=ran)
        rest = self._pool.finish(self, response, cause, now)
        if rest is not None:
            await rest

    def _failure(self, error: BaseException) -> Failed:
        """What the job raised, as its response; raises again what is not the job's own."""
        cancelled: BaseException | None = None
        own: BaseException | None = None
        if isinstance(error, KeyboardInterrupt):
            raise error
        if is_group(error):
            if error.subgroup(KeyboardInterrupt) is not None:
                raise KeyboardInterrupt from error
            cancelled, own = error.split(trio.Cancelled)
        elif isinstance(error, trio.Cancelled):
            cancelled = error
        else:
            own = error
        if cancelled is not None and trio.current_effective_deadline() == -inf and (own is None or self.reason is None):
            # Either it was this request that was cancelled, and nothing else was raised; or all of them are, and this
            # one is handed back with whatever its clean-up raised.
            raise cancelled
        if own is None:
            own = StrayCancelled()
            own.__cause__ = error
        return self._failed(own)

    def _failed(self, error: BaseException) -> Failed:
        _forget_earlier_raise(error)
        request = self.request
        assert request is not None
        notes = () if self.reason is None else (f"it was being stopped at the time: {self.reason.value}",)
        info = ErrorInfo.from_exception(error, notes=notes, skip_frames=1)  # the worker's own
        ran = self._pool.current_time() - self.started
        return quick_failure(info, request.id, request.attempt, self.waited, ran)

    def _context_changed(self) -> bool:
        """Whether a job left a context variable other than it found it; anything that is not the same object counts."""
        current_run.set(None)
        context, clean = copy_context(), self._clean  # with the same variables they have the same order
        return len(context) != len(clean) or not all(map(is_, context.values(), clean))

    # --- for those who look at a running job from outside

    async def wait_gone(self) -> None:
        """Wait until the job that runs now, and all its children, are gone."""
        if self._gone is None:
            self._gone = trio.Event()
        await self._gone.wait()

    def tell_gone(self) -> None:
        """Its job is gone."""
        if self._gone is not None:
            self._gone.set()
            self._gone = None

    def publish_progress(self, body: object) -> None:
        """Tell those who subscribed to progress what the running job says of itself."""
        request = self.request
        assert request is not None
        self._pool.publish_progress(Progress(body, id=request.id))


def _forget_earlier_raise(error: BaseException) -> None:
    """Cut off what an exception object that is raised again and again collects: the tracebacks of its earlier jobs.

    Ten thousand raises of one object leave ten thousand tracebacks in it, and all the frames in them.
    """
    traceback = error.__traceback__
    if traceback is None:
        return
    here = traceback.tb_frame.f_code
    while traceback.tb_next is not None:
        if traceback.tb_next.tb_frame.f_code is here:
            traceback.tb_next = None
        else:
            traceback = traceback.tb_next
