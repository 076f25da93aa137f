"""Jobs: what a function must be to become one, and what it is afterwards."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from trio_jobs import MISS, Job, job
from trio_jobs._job import Miss


@job
async def double(number: int) -> int:
    """Twice the number."""
    return number * 2


@job
async def scaled(number: int, factor: int) -> int:
    """The number, scaled by the resources."""
    return number * factor


# -- A decorated function


async def test_it_is_still_the_plain_function() -> None:
    """Called as before the decorator, with its arguments by position or by name."""
    assert await double(2) == 4
    assert await double(number=2) == 4  # type: ignore[call-arg]  # no type shows a name before a ParamSpec
    assert await scaled(2, factor=5) == 10  # type: ignore[call-arg]  # the same


async def test_it_is_a_job() -> None:
    """A job is run with a request and resources, whether the function takes these or not."""
    assert isinstance(double, Job)
    assert await double.run(2, None) == 4
    assert await scaled.run(2, 5) == 10


def test_it_looks_like_the_function() -> None:
    """Help, documentation and debuggers find what they look for."""
    assert double.__name__ == "double"
    assert double.__qualname__ == "double"
    assert double.__doc__ == "Twice the number."
    assert double.__module__ == __name__
    assert inspect.iscoroutinefunction(double.__wrapped__)
    assert str(inspect.signature(scaled)) == "(number: 'int', factor: 'int') -> 'int'"


def test_it_is_called_as_the_function() -> None:
    """Its name is the function's, in messages and in its repr."""
    assert double.name == "double"
    assert repr(double) == "<FunctionJob double>"


def test_it_can_be_given_another_name() -> None:
    """``@job(name=...)`` says what messages call it."""
    named = job(name="twice")(double.__wrapped__)

    assert named.name == "twice"
    assert named.__name__ == "double"


@pytest.mark.parametrize("name", ["", 3, b"twice"])
def test_a_name_that_names_nothing_is_refused(name: Any) -> None:
    """The message shows what was given."""
    with pytest.raises(TypeError, match=f"name must be a str with at least one character, got {name!r}"):
        job(name=name)(double.__wrapped__)


def test_binding_adds_no_layer_to_a_function_of_the_request() -> None:
    """A processor calls the very function."""
    assert double._bind(None) is double.__wrapped__


async def test_binding_holds_the_resources_of_a_function_that_takes_them() -> None:
    """What a processor calls takes the request alone."""
    assert await scaled._bind(5)(2) == 10


# -- Which functions can be jobs


async def returns(request: object) -> object:
    return request


class AsyncCallable:
    """An object that is called as an async function."""

    async def __call__(self, request: object) -> object:
        return request


class Service:
    """An object with a job in it."""

    async def answer(self, request: object, resources: object) -> tuple[object, object]:
        return request, resources


async def with_options(
    request: object, resources: object, size: int = 3, *, colour: str = "red", **more: object
) -> str:
    return f"{request} {resources} {size} {colour} {more}"


async def positional(request: object, /) -> object:
    return request


async def with_default(request: object = None) -> object:
    return request


async def keyword_option(request: object, *, size: int = 3) -> str:
    return f"{request} {size}"


@pytest.mark.parametrize(
    ("function", "response"),
    [
        (returns, "request"),
        (positional, "request"),
        (with_default, "request"),
        (keyword_option, "request 3"),
        (with_options, "request resources 3 red {}"),
        (AsyncCallable(), "request"),
        (Service().answer, ("request", "resources")),
        (functools.partial(with_options, size=4), "request resources 4 red {}"),
        (functools.partial(with_options, resources="bound"), "request bound 3 red {}"),
        (functools.partial(AsyncCallable()), "request"),
        (functools.partial(functools.partial(Service().answer), "given"), ("given", "request")),
    ],
)
async def test_whatever_takes_a_request_or_a_request_and_resources_can_be_a_job(
    function: Callable[..., Any], response: object
) -> None:
    """Defaults are left alone; bound methods, partials and objects count as what they call."""
    made = job(function)

    assert await made.run("request", "resources") == response
    assert await made._bind("resources")("request") == response


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (functools.partial(functools.partial(returns)), "returns"),
        (AsyncCallable(), "AsyncCallable"),
        (functools.partial(AsyncCallable()), "AsyncCallable"),
        (Service().answer, "answer"),
    ],
)
def test_what_is_no_plain_function_has_a_name_too(function: Any, name: str) -> None:
    """That of what is called in the end."""
    assert job(function).name == name


def sync(request: object) -> None: ...


async def async_generator(request: object) -> AsyncIterator[object]:
    yield request  # pragma: no cover  # it is refused before it runs


def generator(request: object) -> Iterator[object]:
    yield request  # pragma: no cover  # it is refused before it runs


class SyncCallable:
    def __call__(self, request: object) -> None: ...


class GeneratorCallable:
    def __call__(self, request: object) -> Iterator[object]:
        yield request  # pragma: no cover  # it is refused before it runs


class AsyncGeneratorCallable:
    async def __call__(self, request: object) -> AsyncIterator[object]:
        yield request  # pragma: no cover  # it is refused before it runs


async def no_parameter() -> None: ...


async def keywords_only(*, request: object = None) -> None: ...


async def three(request: object, resources: object, more: object) -> None: ...


async def five(request: object, resources: object, size: int = 3, *, more: object) -> None: ...


async def rest(*rest: object) -> None: ...


async def request_and_rest(request: object, *rest: object) -> None: ...


async def ambiguous(request: object, size: int = 3) -> None: ...


USE_REPORT = "a job returns one response, use report() for partial results"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (sync, "sync, it is a sync function: write async def, or use @thread_job for code that blocks"),
        (SyncCallable(), "SyncCallable, it is a sync function: write async def, or use @thread_job"),
        (functools.lru_cache(returns), "returns, it is a sync function: write async def"),
        (async_generator, f"async_generator, it is an async generator: {USE_REPORT}"),
        (AsyncGeneratorCallable(), f"AsyncGeneratorCallable, it is an async generator: {USE_REPORT}"),
        (generator, f"generator, it is a generator: {USE_REPORT}"),
        (GeneratorCallable(), f"GeneratorCallable, it is a generator: {USE_REPORT}"),
        (AsyncCallable, "AsyncCallable, it is a class: subclass Job, or decorate a function"),
        (double, "double, it is a job already: give it to a processor as it is"),
        (functools.partial(double), "double, it is a job already: give it to a processor as it is"),
        (3, "3, it is not callable: put the decorator above a function"),
        ("double", "'double', it is not callable: put the decorator above a function"),
        (no_parameter, "no_parameter, it takes no request: give it one parameter"),
        (keywords_only, "keywords_only, it takes no request: give it one parameter"),
        (three, "three, it requires more beyond request and resources: put it into the request or the"),
        (five, "five, it requires the keyword more, which no processor gives: give it a default, or use"),
        (rest, "rest, it takes *rest, which hides whether it wants the resources: name its parameters"),
        (request_and_rest, "request_and_rest, it takes *rest, which hides whether it wants the resources"),
        (ambiguous, "ambiguous, it has a default for size, so it may be the resources or an option: make"),
        (Service.answer, "answer, it is a method: decorate the bound one: job(thing.method)"),
        (AsyncCallable.__call__, "__call__, it is a method: decorate the bound one: job(thing.method)"),
    ],
)
def test_what_cannot_be_a_job_is_refused_at_once(function: Any, message: str) -> None:
    """The message names the function, what is wrong and the mend."""
    with pytest.raises(TypeError) as caught:
        job(function)

    assert f"@job cannot use {message}" in str(caught.value)


def test_a_decorator_with_options_refuses_the_same() -> None:
    """Options or none, a sync function is no job."""
    with pytest.raises(TypeError, match="@job cannot use sync, it is a sync function"):
        job(name="twice")(sync)  # type: ignore[arg-type]  # the mistake


def test_a_callable_that_hides_its_parameters_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python says a ValueError of what has no signature, as some functions written in C."""

    def no_signature(function: object) -> inspect.Signature:
        raise ValueError(f"no signature found for {function}")

    monkeypatch.setattr(inspect, "signature", no_signature)

    with pytest.raises(
        TypeError, match="@job cannot use returns, it does not show its parameters: call it in a function"
    ):
        job(returns)


def test_attributes_of_the_function_stay_without_harm() -> None:
    """What other decorators left on it is kept, and is not taken for a part of the job."""

    async def marked(request: object) -> None: ...

    marked.__dict__.update(label="kept", name="lost", _takes_resources=True)
    made = job(marked)

    assert made.__dict__["label"] == "kept"
    assert made.name == "marked"
    assert made._bind(None) is marked


# -- The cache


async def test_a_look_up_of_its_own_is_asked_with_what_it_takes() -> None:
    """``get_cached=`` takes the request, or the request and the resources."""

    async def look_up(number: int) -> int | Miss:
        return MISS if number % 2 else number * 2

    async def look_up_with_resources(number: int, known: dict[int, int]) -> int | Miss:
        return known.get(number, MISS)

    by_request = job(get_cached=look_up)(double.__wrapped__)
    by_both = job(get_cached=look_up_with_resources)(double.__wrapped__)

    assert await by_request.get_cached(2, None) == 4
    assert await by_request.get_cached(3, None) is MISS
    assert await by_both.get_cached(3, {3: 6}) == 6
    assert by_request._caches
    assert await by_request.run(3, None) == 6


async def test_without_a_look_up_everything_is_a_miss() -> None:
    """And a processor need not ask."""
    assert await double.get_cached(2, None) is MISS
    assert not double._caches


@pytest.mark.parametrize(
    ("look_up", "message"),
    [
        (sync, "get_cached= cannot use sync, it is a sync function"),
        (three, "get_cached= cannot use three, it requires more beyond request and resources"),
        ({}, "get_cached= cannot use {}, it is not callable"),
    ],
)
def test_a_look_up_that_could_not_be_asked_is_refused(look_up: Any, message: str) -> None:
    """The message says that it is the look-up that is wrong."""
    with pytest.raises(TypeError) as caught:
        job(get_cached=look_up)(double.__wrapped__)

    assert message in str(caught.value)


def test_the_sentinel_says_what_it_is() -> None:
    """There is one MISS, and it is no response."""
    assert repr(MISS) == str(MISS) == "MISS"
    assert Miss("MISS") is MISS


# -- A class


class Greeting(Job[str, str, None]):
    """Greets."""

    async def run(self, request: str, resources: None) -> str:
        return f"hello {request}"


class CachedGreeting(Greeting):
    """Knows some greetings."""

    async def get_cached(self, request: str, resources: None) -> str | Miss:
        return "hello you" if request == "you" else MISS


async def test_a_class_is_a_job_of_its_name() -> None:
    """Only `run` has to be written."""
    greeting = Greeting()

    assert greeting.name == "Greeting"
    assert repr(greeting) == "<Greeting Greeting>"
    assert await greeting._bind(None)("you") == "hello you"


async def test_a_class_without_look_up_is_not_asked() -> None:
    """What `Job` itself defines is a miss."""
    greeting = Greeting()

    assert not greeting._caches
    assert await greeting.get_cached("you", None) is MISS


async def test_a_class_with_look_up_is_asked() -> None:
    """Defining `get_cached` is enough."""
    greeting = CachedGreeting()

    assert greeting._caches
    assert await greeting.get_cached("you", None) == "hello you"


def test_a_class_may_choose_its_name() -> None:
    """An attribute is enough."""

    class Named(Greeting):
        name = "greet"

    class Named2(Named):
        """A class of its own."""

    assert Named().name == "greet"
    assert Named2().name == "Named2"


def test_an_instance_may_choose_its_name() -> None:
    """Where it depends on the settings."""

    class Configured(Greeting):
        def __init__(self, language: str) -> None:
            self.name = f"greet in {language}"

    assert Configured("Latin").name == "greet in Latin"
    assert repr(Configured("Latin")) == "<Configured greet in Latin>"


def test_a_class_without_run_cannot_be_made() -> None:
    """It would have nothing to do."""
    with pytest.raises(TypeError, match=r"abstract method '?run'?"):
        Job()  # type: ignore[abstract]  # the mistake


@pytest.mark.parametrize("method", ["run", "get_cached"])
@pytest.mark.parametrize("function", [sync, generator, async_generator, 3])
def test_a_class_whose_methods_are_not_async_is_refused(method: str, function: object) -> None:
    """When it is defined, not when it is first run."""
    with pytest.raises(TypeError, match=f"Wrong.{method} must be an async function that returns: async def {method}"):
        type("Wrong", (Greeting,), {method: function})


def test_a_class_may_take_options_of_its_own_bases() -> None:
    """Checking methods does not get in the way of other bases."""
    seen: list[str] = []

    class Registered:
        def __init_subclass__(cls, *, label: str, **options: Any) -> None:
            super().__init_subclass__(**options)
            seen.append(label)

    class Both(Greeting, Registered, label="both"):
        """A job that is something else as well."""

    assert seen == ["both"]
    assert isinstance(Both(), Job)
