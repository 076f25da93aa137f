"""Jobs that block: they run in a worker thread, and being cancelled is something they can take part in."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast, overload

import trio

from ._arguments import check_int
from ._current_run import running
from ._job import DecoratedJob, Kind, RequestT_contra, ResourcesT_contra, ResponseT_co

P = ParamSpec("P")
T = TypeVar("T")
RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
ResourcesT = TypeVar("ResourcesT")

MAX_THREADS = 40  # as many as Trio's own limiter has


class ThreadJob(DecoratedJob[RequestT_contra, ResponseT_co, ResourcesT_contra, P]):
    """What `thread_job` makes: a job, and still the plain blocking function when it is called."""

    def __init__(
        self,
        function: Callable[P, ResponseT_co],
        *,
        max_threads: int | None = None,
        limiter: trio.CapacityLimiter | None = None,
        abandon_on_cancel: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(function, name=name, wanted=Kind.SYNC, decorator="@thread_job")
        self._function = function
        self._limiter = limiter
        self._max_threads = MAX_THREADS if max_threads is None else max_threads
        self._abandon_on_cancel = abandon_on_cancel
        # A limiter for each run of Trio: an earlier one's may have been left with threads that never came back.
        self._own_limiter: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar(self.name)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> ResponseT_co:
        """Call the plain function: in this thread, with nothing around it."""
        return self._function(*args, **kwargs)

    async def run(self, request: RequestT_contra, resources: ResourcesT_contra) -> ResponseT_co:
        """Call the function in a worker thread.

        Cancelled before the thread started, nothing was called. Cancelled later, this waits for the thread, unless the
        job may be abandoned, and ends as the thread does: a value is returned and an error raised in spite of having
        been cancelled. A processor ends the wait when its clean-up limit is over; the thread then goes on alone.
        """
        function = cast("Callable[..., ResponseT_co]", self._function)
        bound = functools.partial(function, *self._arguments(request, resources))
        call = _ThreadCall(bound, self._limiter_in_force())
        await call.run(self.name, abandon_on_cancel=self._abandon_on_cancel)
        return call.result()

    def _limiter_in_force(self) -> trio.CapacityLimiter:
        if self._limiter is not None:
            return self._limiter
        try:
            return self._own_limiter.get()
        except LookupError:
            limiter = trio.CapacityLimiter(self._max_threads)
            self._own_limiter.set(limiter)
            return limiter


class _ThreadCall(Generic[T]):
    """One call in a thread. It stands in for the limiter, so it knows when the thread began and when it is gone."""

    def __init__(self, function: Callable[[], T], limiter: trio.CapacityLimiter) -> None:
        self._function = function
        self._limiter = limiter
        self._started = False
        self._gone = trio.Event()
        self._value: T
        self._error: BaseException | None = None

    async def run(self, name: str, *, abandon_on_cancel: bool) -> None:
        """Return when `result` is there; raise Cancelled if nobody waits for that any more."""
        limiter = cast("trio.CapacityLimiter", self)  # Trio takes whatever has the two methods below
        try:
            await trio.to_thread.run_sync(self._in_thread, abandon_on_cancel=True, limiter=limiter, thread_name=name)
        except trio.Cancelled:
            if abandon_on_cancel or not self._started:
                raise
            await self._wait_gone()
            if not self._gone.is_set():
                raise

    def result(self) -> T:
        """What the function returned; raises what it raised."""
        if self._error is None:
            return self._value
        error, self._error = self._error, None
        try:
            raise error
        finally:
            del error, self  # each would hold the other through the traceback

    async def _wait_gone(self) -> None:
        """Wait for the thread, cancelled or not; whoever runs the job may end the wait."""
        runner = running()
        with trio.CancelScope(shield=True) as shield:
            if runner is not None:
                runner.shields.add(shield)
            try:
                await self._gone.wait()
            finally:
                if runner is not None:
                    runner.shields.discard(shield)

    def _in_thread(self) -> None:
        try:
            value = self._function()
            if inspect.iscoroutine(value):
                value.close()
                raise TypeError("the function of a @thread_job returned a coroutine: use @job")
        except BaseException as error:
            self._error = error
        else:
            self._value = value

    async def acquire_on_behalf_of(self, borrower: object) -> None:
        """Wait for a token of the real limiter; from there to the start of the thread nothing can be cancelled."""
        await self._limiter.acquire_on_behalf_of(borrower)
        self._started = True

    def release_on_behalf_of(self, borrower: object) -> None:
        """The thread is gone: called by Trio in its own thread."""
        self._limiter.release_on_behalf_of(borrower)
        self._gone.set()


class ThreadJobDecorator(Protocol):
    """What ``thread_job(...)`` with options returns: it is put above the function."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[RequestT, ResourcesT, P], ResponseT], /
    ) -> ThreadJob[RequestT, ResponseT, ResourcesT, Concatenate[RequestT, ResourcesT, P]]: ...

    @overload
    def __call__(
        self, function: Callable[Concatenate[RequestT, P], ResponseT], /
    ) -> ThreadJob[RequestT, ResponseT, object, Concatenate[RequestT, P]]: ...


@overload
def thread_job(
    function: Callable[Concatenate[RequestT, ResourcesT, P], ResponseT], /
) -> ThreadJob[RequestT, ResponseT, ResourcesT, Concatenate[RequestT, ResourcesT, P]]: ...


@overload
def thread_job(
    function: Callable[Concatenate[RequestT, P], ResponseT], /
) -> ThreadJob[RequestT, ResponseT, object, Concatenate[RequestT, P]]: ...


@overload
def thread_job(
    *,
    max_threads: int | None = None,
    limiter: trio.CapacityLimiter | None = None,
    abandon_on_cancel: bool = False,
    name: str | None = None,
) -> ThreadJobDecorator: ...


def thread_job(
    function: Callable[..., Any] | None = None,
    /,
    *,
    max_threads: int | None = None,
    limiter: trio.CapacityLimiter | None = None,
    abandon_on_cancel: bool = False,
    name: str | None = None,
) -> Any:
    """Make a `Job` of a blocking function, which stays callable as it was; the job runs it in a worker thread.

    What the function may take is said at `job`. In the thread the context variables of the run are visible, and
    ``trio.from_thread.run(report, body)`` reports progress. Cancelling waits for the thread; a function that calls
    ``trio.from_thread.check_cancelled()`` now and then is left there. What it awaits through ``trio.from_thread.run``
    is not cancelled with it.

    Args:
        max_threads: How many threads the job has at most, 40 unless told otherwise. The others wait.
        limiter: Instead of that, a limiter that several jobs share.
        abandon_on_cancel: When cancelled, leave the thread to itself at once: only for what does no harm if it goes on
            unseen, beside a later run of the same request.
        name: What messages call the job; the function's name unless told otherwise.

    Raises:
        TypeError, ValueError: The function cannot be a job, or an option is wrong. The message says how to mend it.
    """
    if max_threads is not None:
        check_int("max_threads", max_threads, least=1)
    if limiter is not None:
        if max_threads is not None:
            raise TypeError("max_threads goes with the job's own limiter, give only one of max_threads and limiter")
        if not isinstance(limiter, trio.CapacityLimiter):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"limiter must be a trio.CapacityLimiter, for a number use max_threads, got {limiter!r}")
    if not isinstance(abandon_on_cancel, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"abandon_on_cancel must be True or False, got {abandon_on_cancel!r}")
    make = functools.partial(
        ThreadJob[Any, Any, Any, ...],
        max_threads=max_threads,
        limiter=limiter,
        abandon_on_cancel=abandon_on_cancel,
        name=name,
    )
    return make if function is None else make(function)
