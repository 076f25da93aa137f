"""A job: an async function of a request and its resources, apart from where, how and for whom it runs."""

from __future__ import annotations

import enum
import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import (
    Any,
    Concatenate,
    Final,
    Generic,
    NoReturn,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    overload,
)

from ._arguments import name_of

P = ParamSpec("P")
RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
ResourcesT = TypeVar("ResourcesT")
RequestT_contra = TypeVar("RequestT_contra", contravariant=True)
ResponseT_co = TypeVar("ResponseT_co", covariant=True)
ResourcesT_contra = TypeVar("ResourcesT_contra", contravariant=True)


class Miss(enum.Enum):
    """The type of `MISS`, for annotations: ``async def get_cached(...) -> bytes | Miss``."""

    MISS = "MISS"

    def __repr__(self) -> str:
        return "MISS"

    __str__ = __repr__


MISS: Final = Miss.MISS
"""What `Job.get_cached` returns when it knows no response, so that None can be one."""


class Job(ABC, Generic[RequestT_contra, ResponseT_co, ResourcesT_contra]):
    """What is to be done for a request; it knows no channel, no id, no thread and no transport.

    Subclass it where a job has settings or a cache; otherwise put `job` above a function.
    """

    name: str = "Job"
    """What messages call it: the name of the class, unless the class or the instance sets another."""

    _takes_resources: bool | None = None  # None where that cannot be told

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.name = cls.__dict__.get("name", cls.__name__)
        for method in ("run", "get_cached"):
            if method in cls.__dict__ and not inspect.iscoroutinefunction(cls.__dict__[method]):
                raise TypeError(
                    f"{cls.__qualname__}.{method} must be an async function that returns: "
                    f"async def {method}(self, request, resources)"
                )

    @abstractmethod
    async def run(self, request: RequestT_contra, resources: ResourcesT_contra) -> ResponseT_co:
        """Do the work for ``request`` and return the response; what it raises is a failure."""

    async def get_cached(self, request: RequestT_contra, resources: ResourcesT_contra) -> ResponseT_co | Miss:
        """Return the response if it is known without running, else `MISS`.

        A processor asks a job that defines this before it runs it. When this raises, it is a miss.
        """
        return MISS

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def _caches(self) -> bool:
        """Whether there is any use in asking `get_cached`."""
        # The class alone, for type checkers: with its parameters it would not be the same object.
        return type(self).get_cached is not cast("Any", Job).get_cached

    def _bind(self, resources: ResourcesT_contra) -> Callable[[RequestT_contra], Awaitable[ResponseT_co]]:
        """The cheapest callable that runs one request: no layer of its own where none is needed."""
        run = self.run
        return lambda request: run(request, resources)


class DecoratedJob(
    Job[RequestT_contra, ResponseT_co, ResourcesT_contra],
    Generic[RequestT_contra, ResponseT_co, ResourcesT_contra, P],
):
    """A job that one of the decorators made from a function, with that function's name, module and docstring.

    ``__wrapped__`` is the function.
    """

    __wrapped__: Callable[P, Any]
    __name__: str
    __qualname__: str

    def __init__(self, function: Callable[P, Any], *, name: str | None, wanted: Kind, decorator: str) -> None:
        if name is not None:
            check_name(name)
        refuse_other_kinds(function, wanted, decorator)
        takes_both = takes_resources(function, decorator)
        functools.update_wrapper(cast("Callable[P, Any]", self), function)
        self._takes_resources = takes_both
        self.name: str = name_of(function) if name is None else name

    def _arguments(self, request: Any, resources: Any) -> tuple[Any, ...]:
        """What the function is called with."""
        return (request, resources) if self._takes_resources else (request,)


class FunctionJob(DecoratedJob[RequestT_contra, ResponseT_co, ResourcesT_contra, P]):
    """What `job` makes: a job, and still the plain function when it is called."""

    def __init__(
        self,
        function: Callable[P, Coroutine[Any, Any, ResponseT_co]],
        *,
        name: str | None = None,
        get_cached: Callable[..., Awaitable[Any]] | None = None,
    ) -> None:
        super().__init__(function, name=name, wanted=Kind.ASYNC, decorator="@job")
        self._function = function
        self._look_up = get_cached
        if get_cached is not None:
            refuse_other_kinds(get_cached, Kind.ASYNC, "get_cached=")
            self._look_up_takes_resources = takes_resources(get_cached, "get_cached=")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, ResponseT_co]:
        """Call the plain function: no processor, no cache, nothing around it."""
        return self._function(*args, **kwargs)

    async def run(self, request: RequestT_contra, resources: ResourcesT_contra) -> ResponseT_co:
        """Call the function with what it takes: the request, or the request and the resources."""
        return await self._bind(resources)(request)

    async def get_cached(self, request: RequestT_contra, resources: ResourcesT_contra) -> ResponseT_co | Miss:
        """Ask the function that was given as ``get_cached``; without one, it is a miss."""
        if self._look_up is None:
            return MISS
        if self._look_up_takes_resources:
            return cast("ResponseT_co", await self._look_up(request, resources))
        return cast("ResponseT_co", await self._look_up(request))

    @property
    def _caches(self) -> bool:
        return self._look_up is not None

    def _bind(self, resources: ResourcesT_contra) -> Callable[[RequestT_contra], Awaitable[ResponseT_co]]:
        function = cast("Callable[..., Awaitable[ResponseT_co]]", self._function)
        if self._takes_resources:
            return lambda request: function(request, resources)
        return function


class JobDecorator(Protocol):
    """What ``job(...)`` with options returns: it is put above the function."""

    @overload
    def __call__(
        self,
        function: Callable[Concatenate[RequestT, ResourcesT, P], Coroutine[Any, Any, ResponseT]],
        /,
    ) -> FunctionJob[RequestT, ResponseT, ResourcesT, Concatenate[RequestT, ResourcesT, P]]: ...

    @overload
    def __call__(
        self, function: Callable[Concatenate[RequestT, P], Coroutine[Any, Any, ResponseT]], /
    ) -> FunctionJob[RequestT, ResponseT, object, Concatenate[RequestT, P]]: ...


@overload
def job(
    function: Callable[Concatenate[RequestT, ResourcesT, P], Coroutine[Any, Any, ResponseT]], /
) -> FunctionJob[RequestT, ResponseT, ResourcesT, Concatenate[RequestT, ResourcesT, P]]: ...


@overload
def job(
    function: Callable[Concatenate[RequestT, P], Coroutine[Any, Any, ResponseT]], /
) -> FunctionJob[RequestT, ResponseT, object, Concatenate[RequestT, P]]: ...


@overload
def job(*, name: str | None = None, get_cached: Callable[..., Awaitable[Any]] | None = None) -> JobDecorator: ...


def job(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    get_cached: Callable[..., Awaitable[Any]] | None = None,
) -> Any:
    """Make a `Job` of an async function, which stays callable as it was.

    The function takes the request, or the request and the resources: how many required parameters it has
    decides. Further parameters need defaults, which a processor leaves alone. Of a method, decorate the bound
    one: ``job(thing.method)``.

    Example::

        @job
        async def thumbnail(path: str, images: ImageStore) -> bytes: ...

    Args:
        name: What messages call the job; the function's name unless told otherwise.
        get_cached: An async function with the same parameters, asked first: it returns the response, or `MISS`.

    Raises:
        TypeError: A processor could not run it: it is not async, yields, or can't be called with one or two arguments.
            The message says how to mend it.
    """
    if function is None:
        return functools.partial(FunctionJob[Any, Any, Any, ...], name=name, get_cached=get_cached)
    return FunctionJob[Any, Any, Any, ...](function, name=name, get_cached=get_cached)


# --- what a function is


class Kind(enum.Enum):
    """What somebody gave to a decorator."""

    ASYNC = "an async function"
    SYNC = "a sync function"
    ASYNC_GENERATOR = "an async generator"
    GENERATOR = "a generator"
    CLASS = "a class"
    JOB = "a job already"
    NOT_CALLABLE = "not callable"


_MENDS = {
    Kind.ASYNC: "use @job",
    Kind.SYNC: "write async def, or use @thread_job for code that blocks",
    Kind.ASYNC_GENERATOR: "a job returns one response, use report() for partial results",
    Kind.GENERATOR: "a job returns one response, use report() for partial results",
    Kind.CLASS: "subclass Job, or decorate a function",
    Kind.JOB: "give it to a processor as it is",
    Kind.NOT_CALLABLE: "put the decorator above a function",
}


def kind_of(function: object) -> Kind:
    """What ``function`` is; partials and objects with ``__call__`` are what they call."""
    while isinstance(function, functools.partial):
        function = cast("object", function.func)
    if isinstance(function, Job):
        return Kind.JOB
    if isinstance(function, type):
        return Kind.CLASS
    if not callable(function):
        return Kind.NOT_CALLABLE
    either = (function, type(function).__call__)
    if any(map(inspect.iscoroutinefunction, either)):
        return Kind.ASYNC
    if any(map(inspect.isasyncgenfunction, either)):
        return Kind.ASYNC_GENERATOR
    if any(map(inspect.isgeneratorfunction, either)):
        return Kind.GENERATOR
    return Kind.SYNC


def refuse_other_kinds(function: object, wanted: Kind, decorator: str) -> None:
    """Raise a TypeError with the mend unless ``function`` is of the kind that is ``wanted``."""
    kind = kind_of(function)
    if kind is not wanted:
        _refuse(function, decorator, f"is {kind.value}", _MENDS[kind])


def takes_resources(function: Callable[..., Any], decorator: str) -> bool:
    """Whether ``function`` takes (request, resources) rather than (request).

    Raises:
        TypeError: It can be called with neither, or it does not show which of the two it wants.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:
        _refuse(function, decorator, "does not show its parameters", "call it in a function")
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            seen = f"takes *{parameter.name}, which hides whether it wants the resources"
            _refuse(function, decorator, seen, "name its parameters: request, or request, resources")
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            seen = f"requires the keyword {parameter.name}, which no processor gives"
            _refuse(function, decorator, seen, "give it a default, or use functools.partial")
    return _second_is_resources(function, decorator, parameters)


def _second_is_resources(function: Callable[..., Any], decorator: str, parameters: list[inspect.Parameter]) -> bool:
    by_position = [
        parameter
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    if not by_position:
        _refuse(function, decorator, "takes no request", "give it one parameter")
    if by_position[0].name in ("self", "cls"):
        _refuse(function, decorator, "is a method", "decorate the bound one: job(thing.method)")
    if len(by_position) == 1:
        return False
    if by_position[1].default is not inspect.Parameter.empty:
        seen = f"has a default for {by_position[1].name}, so it may be the resources or an option"
        mend = "make it required if it is the resources, keyword-only if it is an option"
        _refuse(function, decorator, seen, mend)
    for parameter in by_position[2:]:
        if parameter.default is parameter.empty:
            seen = f"requires {parameter.name} beyond request and resources"
            _refuse(function, decorator, seen, "put it into the request or the resources")
    return True


def check_name(name: object) -> None:
    """Raise unless ``name`` can name something in a message."""
    if not isinstance(name, str) or not name:
        raise TypeError(f"name must be a str with at least one character, got {name!r}")


def _refuse(function: object, decorator: str, seen: str, mend: str) -> NoReturn:
    what = name_of(function) if callable(function) else repr(function)
    raise TypeError(f"{decorator} cannot use {what}, it {seen}: {mend}")
