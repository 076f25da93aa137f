"""Jobs that need a core of their own: they run in a worker process, which cancelling kills."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Awaitable, Callable
from importlib import import_module
from operator import attrgetter
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, overload

import trio

from ._arguments import check_int, name_of
from ._errors import MissingExtra
from ._job import DecoratedJob, Kind, RequestT_contra, ResourcesT_contra, ResponseT_co

P = ParamSpec("P")
RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
ResourcesT = TypeVar("ResourcesT")


class ProcessJob(DecoratedJob[RequestT_contra, ResponseT_co, ResourcesT_contra, P]):
    """What `process_job` makes: a job, and still the plain function when it is called."""

    def __init__(
        self, function: Callable[P, ResponseT_co], *, max_processes: int | None = None, name: str | None = None
    ) -> None:
        super().__init__(function, name=name, wanted=Kind.SYNC, decorator="@process_job")
        _refuse_what_no_process_finds(function)
        self._function = function
        self._max_processes = max_processes or os.cpu_count() or 1
        self._own_limiter: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar(self.name)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> ResponseT_co:
        """Call the plain function: in this process, with nothing around it."""
        return self._function(*args, **kwargs)

    async def run(self, request: RequestT_contra, resources: ResourcesT_contra) -> ResponseT_co:
        """Call the function in a worker process; what goes there and what comes back is pickled.

        Cancelled, the process is killed, wherever the function is.

        Raises:
            MissingExtra: trio-parallel is not installed.
            trio_parallel.BrokenWorkerError: The process died, by the function's doing or by the system's.
        """
        run_in_process = _find_runner()
        found = (self._function.__module__, self._function.__qualname__)
        response = await run_in_process(
            _call_in_process,
            *found,
            *self._arguments(request, resources),
            kill_on_cancel=True,
            limiter=self._limiter_in_force(),
        )
        return cast("ResponseT_co", response)

    def _limiter_in_force(self) -> trio.CapacityLimiter:
        try:
            return self._own_limiter.get()
        except LookupError:
            limiter = trio.CapacityLimiter(self._max_processes)
            self._own_limiter.set(limiter)
            return limiter


def _call_in_process(module: str, qualname: str, *arguments: Any) -> Any:
    """What the worker process runs. A function can't be sent: under its name pickle would find the job that it became.

    That job is found here, and called as the plain function.
    """
    return attrgetter(qualname)(import_module(module))(*arguments)


def _find_runner() -> Callable[..., Awaitable[Any]]:
    try:
        import trio_parallel  # type: ignore[import-untyped]  # it has no py.typed
    except ImportError:
        raise MissingExtra("@process_job", extra="parallel") from None
    return cast("Callable[..., Awaitable[Any]]", trio_parallel.run_sync)  # pyright: ignore[reportUnknownMemberType]


def _refuse_what_no_process_finds(function: Callable[..., Any]) -> None:
    """Raise unless another process finds ``function`` by the name of its module and its own."""
    bound_in_c = getattr(function, "__module__", None) is None  # as the append of a list
    if not inspect.isroutine(function) or inspect.ismethod(function) or bound_in_c or "<" in function.__qualname__:
        raise TypeError(
            f"@process_job cannot use {name_of(function)}, a worker process does not find it by its name: "
            "use a function at the top level of a module"
        )


class ProcessJobDecorator(Protocol):
    """What ``process_job(...)`` with options returns: it is put above the function."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[RequestT, ResourcesT, P], ResponseT], /
    ) -> ProcessJob[RequestT, ResponseT, ResourcesT, Concatenate[RequestT, ResourcesT, P]]: ...

    @overload
    def __call__(
        self, function: Callable[Concatenate[RequestT, P], ResponseT], /
    ) -> ProcessJob[RequestT, ResponseT, object, Concatenate[RequestT, P]]: ...


@overload
def process_job(
    function: Callable[Concatenate[RequestT, ResourcesT, P], ResponseT], /
) -> ProcessJob[RequestT, ResponseT, ResourcesT, Concatenate[RequestT, ResourcesT, P]]: ...


@overload
def process_job(
    function: Callable[Concatenate[RequestT, P], ResponseT], /
) -> ProcessJob[RequestT, ResponseT, object, Concatenate[RequestT, P]]: ...


@overload
def process_job(*, max_processes: int | None = None, name: str | None = None) -> ProcessJobDecorator: ...


def process_job(
    function: Callable[..., Any] | None = None,
    /,
    *,
    max_processes: int | None = None,
    name: str | None = None,
) -> Any:
    """Make a `Job` of a function that needs a core and stays callable as it was; the job runs it in a worker process.

    Needs the extra ``parallel``. What the function may take is said at `job`; it must be at the top level of a module
    that the process can import, and request, resources and response must be picklable. Processes are kept for the
    next call. Cancelling kills the process.

    Args:
        max_processes: How many processes the job has at most, one for each core unless told otherwise. The others wait.
        name: What messages call the job; the function's name unless told otherwise.

    Raises:
        TypeError, ValueError: The function cannot be a job, or an option is wrong. The message says how to mend it.
    """
    if max_processes is not None:
        check_int("max_processes", max_processes, least=1)
    make = functools.partial(ProcessJob[Any, Any, Any, ...], max_processes=max_processes, name=name)
    return make if function is None else make(function)
