"""Resources: when they open and close, who has which instance, and what leaves when one of them fails."""

from __future__ import annotations

import functools
import gc
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from math import inf
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from trio_jobs import PerWorker, Shared
from trio_jobs._resources import Pool, PoolStatistics, check_resources, open_resources

from .broken_resources import raise_when_closed, raise_when_opened

variable: ContextVar[str] = ContextVar("variable", default="outside")


@attrs.frozen(eq=False)
class Connection:
    """What the tests lend."""

    number: int


@attrs.define
class Host:
    """Makes connections and remembers what became of them."""

    events: list[str] = attrs.field(factory=list[str])
    tasks: list[trio.lowlevel.Task] = attrs.field(factory=list[trio.lowlevel.Task])
    seconds_to_open: float = 0
    seconds_to_close: float = 0

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[Connection]:
        connection = Connection(len(self.tasks) + 1)
        self.tasks.append(trio.lowlevel.current_task())
        await trio.sleep(self.seconds_to_open)
        self.events.append(f"open {connection.number}")
        try:
            yield connection
        finally:
            assert trio.lowlevel.current_task() is self.tasks[connection.number - 1]
            await trio.sleep(self.seconds_to_close)
            self.events.append(f"close {connection.number}")


@asynccontextmanager
async def fail_when(failing: trio.Event, error: Exception | None) -> AsyncGenerator[str]:
    """Something with a task in its background, which fails, or ends it."""

    async def background() -> None:
        await failing.wait()
        if error is not None:
            raise error
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(background)
        yield "instance"


def leaves(error: BaseException) -> list[BaseException]:
    """The errors in a group, or the error."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return [leaf for member in group.exceptions for leaf in leaves(member)]
    return [error]


# -- What may be given


@pytest.mark.parametrize("value", [None, 3, "text", [1], Connection, trio.sleep])
async def test_a_plain_value_is_given_as_it_is(value: object) -> None:
    """Whatever can't be opened is not touched."""
    async with open_resources(value) as pool:
        assert pool.shared
        assert pool.value is value


async def test_a_plain_value_needs_no_task() -> None:
    """Most processors have no other resources, and an idle one should cost little."""
    task = trio.lowlevel.current_task()
    nurseries = list(task.child_nurseries)
    async with open_resources("text", 3) as pool:
        assert task.child_nurseries == nurseries
        assert pool.statistics() == PoolStatistics(limit=1, opening=0, opened=1, free=0, tasks_waiting=0)
        assert repr(pool) == "<Pool of str opened=1/1 free=0 waiting=0>"

    assert repr(pool) == "<Pool of str opened=1/1 free=0 waiting=0 ended>"


@pytest.mark.parametrize("resources", [None, Shared(list[int])])
async def test_a_block_of_what_all_share_begins_with_a_checkpoint(resources: Any) -> None:
    """Cancelled, it does not begin."""
    block = open_resources(resources)
    with assert_checkpoints():
        await block.__aenter__()
    await block.__aexit__(None, None, None)
    with trio.CancelScope() as scope:
        scope.cancel()
        await open_resources(resources).__aenter__()

    assert scope.cancelled_caught


@pytest.mark.parametrize("given", ["instance", "shared"])
async def test_a_context_manager_is_open_in_the_block(given: str) -> None:
    """Opened before it and closed after it, in one task."""
    host = Host()
    async with open_resources(host.connect() if given == "instance" else Shared(host.connect)) as pool:
        assert pool.shared
        assert pool.value.number == 1
        assert host.events == ["open 1"]

    assert host.events == ["open 1", "close 1"]


async def test_a_shared_value_is_made_for_the_block() -> None:
    """``Shared(factory)`` calls its factory each time the block begins."""
    shared = Shared(list[int])
    async with open_resources(shared) as first, open_resources(shared) as second:
        assert first.value == second.value == []
        assert first.value is not second.value


async def test_instances_that_are_lent_are_made_when_asked_for() -> None:
    """``PerWorker(factory)`` opens none that nobody needs."""
    host = Host()
    async with open_resources(PerWorker(host.connect), 3) as pool:
        assert not pool.shared
        await wait_all_tasks_blocked()
        assert host.events == []
        assert (await pool.lend()).number == 1
        assert (await pool.lend()).number == 2

    assert host.events == ["open 1", "open 2", "close 2", "close 1"]


async def test_instances_that_are_lent_may_be_plain_values() -> None:
    """The factory need not return a context manager."""
    async with open_resources(PerWorker(list[int]), 2) as pool:
        first, second = await pool.lend(), await pool.lend()

        assert first == second == []
        assert first is not second


async def test_what_is_lent_has_no_value_for_all() -> None:
    """It would break the promise of exclusive use."""
    async with open_resources(PerWorker(list[int])) as pool:
        with pytest.raises(RuntimeError, match=r"list is lent, one to each run: use lend\(\) and give_back\(\)"):
            _ = pool.value


async def async_factory() -> None: ...


async def generator_factory() -> AsyncGenerator[None]:
    yield  # pragma: no cover  # it is refused before it runs


def needs_an_argument(host: str) -> None: ...


@pytest.mark.parametrize("kind", [Shared, PerWorker])
@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (3, "{kind} needs what makes the resource, {kind}(lambda: ...), got the resource itself: 3"),
        (None, "{kind} needs what makes the resource, {kind}(lambda: ...), got the resource itself: None"),
        (Host().connect(), "{kind} needs what makes the resource, {kind}(lambda: ...), got the resource itself: <"),
        (async_factory, "{kind} got the async function <function async_factory at"),
        (async_factory, ": let it yield, with @asynccontextmanager above it"),
        (generator_factory, "{kind} got the async generator <function generator_factory at"),
        (generator_factory, ": put @asynccontextmanager above it"),
        (needs_an_argument, "{kind} calls <function needs_an_argument at"),
        (needs_an_argument, "without arguments (missing a required argument: 'host'): use functools.partial"),
    ],
)
def test_what_is_no_factory_is_refused(kind: type[Any], factory: Any, message: str) -> None:
    """At once, with the mend."""
    with pytest.raises(TypeError) as caught:
        kind(factory)

    assert message.format(kind=kind.__name__) in str(caught.value)


@pytest.mark.parametrize("kind", [Shared, PerWorker])
@pytest.mark.parametrize("factory", [dict, functools.partial(needs_an_argument, "here"), lambda size=3: size, Host])
def test_whatever_can_be_called_without_arguments_is_a_factory(kind: type[Any], factory: Any) -> None:
    """Classes, partials, functions all of whose parameters have defaults, and what hides its parameters."""
    assert kind(factory).factory is factory


async def test_a_coroutine_is_no_resource() -> None:
    """Neither given nor made; and it is not left without having been awaited."""
    with pytest.raises(TypeError, match="resources must not be a coroutine: use an async context manager"):
        await open_resources(async_factory()).__aenter__()
    with pytest.raises(TypeError, match="resources must not be a coroutine"):
        await open_resources(Shared(lambda: async_factory())).__aenter__()


async def test_an_async_generator_is_no_resource() -> None:
    """A decorator was forgotten."""
    with pytest.raises(TypeError, match="resources must not be an async generator: put @asynccontextmanager above"):
        await open_resources(generator_factory()).__aenter__()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"limit": 0}, ValueError, "limit must be at least 1, got 0"),
        ({"limit": 1.5}, TypeError, "limit must be an int or math.inf, got 1.5"),
        ({"cleanup_limit": -1}, ValueError, "cleanup_limit must be at least 0 seconds, got -1"),
        ({"cleanup_limit": "5"}, TypeError, "cleanup_limit must be a number of seconds, got '5'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """The message names the option and what it was given."""
    with pytest.raises(error) as caught:
        open_resources(None, **options)

    assert str(caught.value) == message


# -- Lending


async def test_the_instance_that_was_used_last_is_lent_first() -> None:
    """It is the warmest."""
    async with open_resources(PerWorker(Host().connect), 3) as pool:
        first, second = await pool.lend(), await pool.lend()
        pool.give_back(second)
        pool.give_back(first)

        assert pool.lend_nowait() is first
        assert pool.lend_nowait() is second


async def test_lend_nowait_opens_nothing() -> None:
    """It only takes what is free."""
    async with open_resources(PerWorker(Host().connect), 2) as pool:
        with pytest.raises(trio.WouldBlock):
            pool.lend_nowait()
        instance = await pool.lend()
        with pytest.raises(trio.WouldBlock):
            pool.lend_nowait()
        pool.give_back(instance)

        assert pool.lend_nowait() is instance


async def test_lend_is_a_checkpoint_whether_it_waits_or_not() -> None:
    """As every async function of Trio."""
    async with open_resources(PerWorker(list[int])) as pool:
        with assert_checkpoints():
            instance = await pool.lend()
        pool.give_back(instance)
        with assert_checkpoints():
            await pool.lend()


async def test_there_are_never_more_than_the_limit() -> None:
    """Whoever comes then waits, and is served in the order of coming."""
    host, served = Host(), list[str]()
    async with open_resources(PerWorker(host.connect), 2) as pool:

        async def borrow(name: str) -> None:
            await pool.lend()
            served.append(name)

        first, second = await pool.lend(), await pool.lend()
        async with trio.open_nursery() as nursery:
            for name in ("a", "b"):
                nursery.start_soon(borrow, name)
                await wait_all_tasks_blocked()
            assert pool.statistics() == PoolStatistics(limit=2, opening=0, opened=2, free=0, tasks_waiting=2)
            pool.give_back(second)
            await wait_all_tasks_blocked()
            assert served == ["a"]
            pool.give_back(first)

    assert served == ["a", "b"]
    assert len(host.tasks) == 2


async def test_without_a_limit_everybody_gets_one() -> None:
    """``math.inf`` is one."""
    async with open_resources(PerWorker(Host().connect), inf) as pool:
        assert [(await pool.lend()).number for _ in range(50)] == list(range(1, 51))


async def test_no_newcomer_goes_before_one_who_waits() -> None:
    """What is given back while somebody waits is never free."""
    async with open_resources(PerWorker(list[int])) as pool:
        instance = await pool.lend()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.lend)
            await wait_all_tasks_blocked()
            pool.give_back(instance)

            with pytest.raises(trio.WouldBlock):
                pool.lend_nowait()


async def test_what_was_given_back_serves_one_for_whom_another_is_being_opened(autojump_clock: MockClock) -> None:
    """Whichever comes first; the other is then free."""
    host = Host(seconds_to_open=10)
    async with open_resources(PerWorker(host.connect), 2) as pool:
        first = await pool.lend()
        lent: list[Connection] = []

        async def borrow() -> None:
            lent.append(await pool.lend())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(borrow)
            await wait_all_tasks_blocked()
            pool.give_back(first)
        assert lent == [first]
        await trio.sleep(11)

        assert pool.lend_nowait().number == 2


async def test_a_borrower_who_is_cancelled_takes_none_along(autojump_clock: MockClock) -> None:
    """What was being opened for it is for the next, and it is opened in spite of the cancellation."""
    host = Host(seconds_to_open=10)
    async with open_resources(PerWorker(host.connect), 3) as pool:
        with trio.move_on_after(5):
            await pool.lend()
        assert pool.statistics() == PoolStatistics(limit=3, opening=1, opened=0, free=0, tasks_waiting=0)

        assert (await pool.lend()).number == 1
        assert trio.current_time() == 10

    assert len(host.tasks) == 1


async def test_a_cancelled_borrower_is_not_served(autojump_clock: MockClock) -> None:
    """It left the queue; what is given back goes to the next in it, else it is free."""
    async with open_resources(PerWorker(list[int])) as pool:
        instance = await pool.lend()
        with trio.move_on_after(1):
            await pool.lend()
        pool.give_back(instance)

        assert pool.lend_nowait() is instance


async def test_lend_in_a_cancelled_scope_takes_nothing() -> None:
    """A free instance stays free."""
    async with open_resources(PerWorker(list[int])) as pool:
        pool.give_back(await pool.lend())
        with trio.CancelScope() as scope:
            scope.cancel()
            await pool.lend()

        assert scope.cancelled_caught
        assert pool.statistics().free == 1


async def test_one_who_was_served_keeps_it_although_cancelled_in_the_same_moment() -> None:
    """What was handed over is owned: no instance falls between two stools."""
    lent: list[list[int]] = []
    async with open_resources(PerWorker(list[int])) as pool:

        async def borrow() -> None:
            lent.append(await pool.lend())

        instance = await pool.lend()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(borrow)
            await wait_all_tasks_blocked()
            pool.give_back(instance)
            nursery.cancel_scope.cancel()

    assert lent == [instance]


async def test_many_borrowers_never_share_an_instance(autojump_clock: MockClock) -> None:
    """Whatever the order of coming, leaving and giving up."""
    in_use: set[int] = set()
    host = Host(seconds_to_open=3)

    async def borrow(number: int) -> None:
        with trio.move_on_after(number % 7):
            try:
                connection = pool.lend_nowait()
            except trio.WouldBlock:
                connection = await pool.lend()
            assert connection.number not in in_use
            in_use.add(connection.number)
            try:
                await trio.sleep(number % 5)
            finally:
                in_use.remove(connection.number)
                pool.give_back(connection)

    async with open_resources(PerWorker(host.connect), 4) as pool:
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(borrow, number)
                await trio.sleep(number % 3 / 4)

        await trio.sleep(3)  # for those that were on their way

        assert pool.statistics() == PoolStatistics(limit=4, opening=0, opened=4, free=4, tasks_waiting=0)


async def test_it_does_not_see_the_context_of_the_job_that_made_it_necessary() -> None:
    """It outlives that job, so it is opened in the context of the block."""

    @asynccontextmanager
    async def look() -> AsyncGenerator[str]:
        yield variable.get()

    variable.set("block")
    async with open_resources(PerWorker(look), 2) as pool:
        variable.set("job")

        assert await pool.lend() == "block"
        assert await pool.lend() == "block"


async def test_it_does_not_change_the_context_of_another() -> None:
    """Each has a copy."""

    @asynccontextmanager
    async def change() -> AsyncGenerator[str]:
        before = variable.get()
        variable.set("changed")
        yield before

    async with open_resources(PerWorker(change), 2) as pool:
        assert await pool.lend() == "outside"
        assert await pool.lend() == "outside"


async def test_there_is_one_that_is_shared() -> None:
    """Whatever the limit."""
    async with open_resources(Shared(Host().connect), 3) as pool:
        assert pool.statistics() == PoolStatistics(limit=1, opening=0, opened=1, free=0, tasks_waiting=0)


async def test_it_shows_its_state() -> None:
    """In its repr and in its statistics."""
    async with open_resources(PerWorker(Host().connect), 3) as pool:
        pool.give_back(await pool.lend())

        assert repr(pool) == "<Pool of connect opened=1/3 free=1 waiting=0>"
        assert pool.statistics() == PoolStatistics(limit=3, opening=0, opened=1, free=1, tasks_waiting=0)

    assert repr(pool) == "<Pool of connect opened=1/3 free=1 waiting=0 ended>"


# -- The end


async def test_after_the_block_nothing_is_lent() -> None:
    """Giving back does no harm."""
    async with open_resources(PerWorker(list[int])) as pool:
        instance = await pool.lend()
    pool.give_back(instance)

    with pytest.raises(trio.ClosedResourceError, match="list is being closed"):
        pool.lend_nowait()
    with pytest.raises(trio.ClosedResourceError):
        await pool.lend()


async def test_whoever_waits_outside_the_block_is_told_of_its_end() -> None:
    """Nobody waits for ever."""
    async with trio.open_nursery() as nursery:
        async with open_resources(PerWorker(list[int])) as pool:
            await pool.lend()

            async def borrow() -> None:
                with pytest.raises(trio.BrokenResourceError, match="there will be no list any more"):
                    await pool.lend()

            nursery.start_soon(borrow)
            await wait_all_tasks_blocked()


async def test_what_is_still_being_opened_at_the_end_is_given_up(autojump_clock: MockClock) -> None:
    """Nobody needs it any more, so nobody waits for it."""
    host = Host(seconds_to_open=100)
    async with open_resources(PerWorker(host.connect), 2) as pool:
        with trio.move_on_after(1):
            await pool.lend()

    assert trio.current_time() == 1
    assert host.events == []


async def test_what_opens_although_it_was_given_up_is_closed(autojump_clock: MockClock) -> None:
    """It could not be stopped, so it is there, and nobody had it."""
    events: list[str] = []

    @asynccontextmanager
    async def stubborn() -> AsyncGenerator[None]:
        with trio.CancelScope(shield=True):
            await trio.sleep(10)
        events.append("open")
        try:
            yield
        finally:
            events.append("close")

    async with open_resources(PerWorker(stubborn), 2) as pool:
        with trio.move_on_after(1):
            await pool.lend()

    assert events == ["open", "close"]


async def test_an_error_is_not_lost_while_something_is_given_up(autojump_clock: MockClock) -> None:
    """Not even if a cancellation comes meanwhile."""

    @asynccontextmanager
    async def stubborn() -> AsyncGenerator[None]:
        with trio.CancelScope(shield=True):
            await trio.sleep(10)
        yield

    with pytest.raises(ValueError, match="body"), trio.move_on_after(5):
        async with open_resources(PerWorker(stubborn)) as pool:
            with trio.move_on_after(1):
                await pool.lend()
            raise ValueError("body")

    assert trio.current_time() == 10


async def test_instances_are_closed_one_after_another_last_opened_first(autojump_clock: MockClock) -> None:
    """Lent or free."""
    host = Host(seconds_to_close=1)
    async with open_resources(PerWorker(host.connect), 3) as pool:
        first = await pool.lend()
        await pool.lend()
        await pool.lend()
        pool.give_back(first)

    assert host.events == ["open 1", "open 2", "open 3", "close 3", "close 2", "close 1"]
    assert trio.current_time() == 3


async def cancelled_in_the_block(resources: Any, **options: Any) -> trio.CancelScope:
    with trio.CancelScope() as scope:
        async with open_resources(resources, **options) as pool:
            if not pool.shared:
                await pool.lend()
            scope.cancel()
            await trio.lowlevel.checkpoint()
    return scope


@pytest.mark.parametrize("kind", [Shared, PerWorker])
async def test_a_cancelled_block_still_closes_them(kind: type[Any], autojump_clock: MockClock) -> None:
    """Closing is shielded."""
    host = Host(seconds_to_close=2)
    scope = await cancelled_in_the_block(kind(host.connect))

    assert scope.cancelled_caught
    assert host.events == ["open 1", "close 1"]
    assert trio.current_time() == 2


async def test_a_cancellation_while_they_are_closed_does_not_stop_it(autojump_clock: MockClock) -> None:
    """Not even one that comes late."""
    host = Host(seconds_to_close=3)
    with trio.move_on_after(1):
        async with open_resources(host.connect()):
            pass

    assert host.events == ["open 1", "close 1"]


async def test_closing_has_a_limit_for_all_together(autojump_clock: MockClock) -> None:
    """What is not closed by then is cancelled, and that is an error if the block ended well."""
    host = Host(seconds_to_close=4)
    with pytest.raises(ExceptionGroup, match="connect failed") as caught:
        async with open_resources(PerWorker(host.connect), 3, cleanup_limit=5) as pool:
            for _ in range(3):
                await pool.lend()

    assert [type(error) for error in caught.value.exceptions] == [trio.TooSlowError, trio.TooSlowError]
    assert host.events == ["open 1", "open 2", "open 3", "close 3"]
    assert trio.current_time() == 5


def test_the_function_that_opens_resources_is_not_taken_for_them() -> None:
    """The parentheses are easily forgotten, and the job would be given the function."""
    host = Host()
    with pytest.raises(TypeError, match=r"^resources got the function connect .* call it: resources=connect\(...\)$"):
        check_resources(host.connect)
    check_resources(host.connect())


def test_a_context_manager_that_is_not_async_is_not_taken_for_what_it_yields() -> None:
    """The job would be given the context manager, never entered; objects that can be entered as well are values."""

    @contextmanager
    def connect() -> Generator[str]:
        yield "connected"

    with pytest.raises(TypeError, match="put @asynccontextmanager above an async function instead"):
        check_resources(connect())
    with connect() as value, Path(__file__).open() as file:
        check_resources(value)
        check_resources(file)


async def test_the_limit_is_five_seconds_unless_told_otherwise(autojump_clock: MockClock) -> None:
    """And the error says what happened."""
    with pytest.raises(trio.TooSlowError, match=r"^connect was not closed within the clean-up limit"):
        async with open_resources(Host(seconds_to_close=inf).connect()):
            pass

    assert trio.current_time() == 5


async def test_there_need_not_be_a_limit(autojump_clock: MockClock) -> None:
    """``math.inf`` waits as long as it takes."""
    host = Host(seconds_to_close=1_000)
    async with open_resources(host.connect(), cleanup_limit=inf):
        pass

    assert trio.current_time() == 1_000


# -- Errors


@pytest.mark.parametrize("resources", [None, Shared(Host().connect), PerWorker(list[int])])
@pytest.mark.parametrize(
    "error", [ValueError("body"), ExceptionGroup("g", [ValueError("body")]), KeyboardInterrupt(), SystemExit(2)]
)
async def test_the_error_of_the_block_leaves_as_it_is(resources: Any, error: BaseException) -> None:
    """The same object, in no group, with nothing added."""
    with pytest.raises(type(error)) as caught:
        async with open_resources(resources) as pool:
            if not pool.shared:
                await pool.lend()
            raise error

    assert caught.value is error
    assert error.__context__ is None
    assert not hasattr(error, "__notes__")


async def test_an_instance_that_cannot_be_opened_is_the_error() -> None:
    """The block does not begin; the error itself leaves."""
    with pytest.raises(OSError, match="no such host") as caught:
        await open_resources(raise_when_opened()).__aenter__()

    assert type(caught.value) is OSError


async def test_an_instance_that_cannot_be_lent_ends_the_block() -> None:
    """Whoever waits is cancelled with the block, and the error leaves, not as if it came of being cancelled."""
    pools: list[Pool[None]] = []
    with pytest.raises(OSError, match="no such host") as caught:
        async with open_resources(PerWorker(raise_when_opened), 2) as pool:
            pools.append(pool)
            await pool.lend()

    assert caught.value.__context__ is None
    assert pools[0].statistics() == PoolStatistics(limit=2, opening=0, opened=0, free=0, tasks_waiting=0)


async def test_a_factory_that_raises_is_an_instance_that_cannot_be_opened() -> None:
    """It makes no difference where."""

    def fail() -> int:
        raise OSError("no such file")

    with pytest.raises(OSError, match="no such file"):
        async with open_resources(PerWorker(fail)) as pool:
            await pool.lend()


async def test_whoever_waits_in_a_shield_is_told() -> None:
    """A cancelled block would not reach it."""
    told: list[BaseException] = []
    with pytest.raises(OSError, match="no such host") as caught:
        async with open_resources(PerWorker(raise_when_opened)) as pool:
            with trio.CancelScope(shield=True):
                try:
                    await pool.lend()
                except trio.BrokenResourceError as error:
                    told.append(error)
                try:
                    await pool.lend()
                except trio.ClosedResourceError as error:
                    told.append(error)

    assert [type(error) for error in told] == [trio.BrokenResourceError, trio.ClosedResourceError]
    assert str(told[0]) == "there will be no raise_when_opened any more"
    assert told[0].__cause__ is caught.value


async def test_whoever_waits_in_a_shield_is_told_when_all_is_cancelled(autojump_clock: MockClock) -> None:
    """What was being opened for it was cancelled too."""
    with trio.move_on_after(1) as scope:
        async with open_resources(PerWorker(Host(seconds_to_open=10).connect)) as pool:
            with trio.CancelScope(shield=True), pytest.raises(trio.BrokenResourceError):
                await pool.lend()
            await trio.lowlevel.checkpoint()

    assert scope.cancelled_caught
    assert trio.current_time() == 1


async def test_cancelled_while_the_shared_one_opens_the_block_does_not_begin(autojump_clock: MockClock) -> None:
    """Opening is no shield."""
    with trio.move_on_after(1) as scope:
        await open_resources(Host(seconds_to_open=10).connect()).__aenter__()

    assert scope.cancelled_caught
    assert trio.current_time() == 1


@pytest.mark.parametrize("lent", [True, False])
async def test_an_instance_that_fails_while_it_is_open_ends_the_block(lent: bool) -> None:
    """Its own group stays as it is."""
    failing = trio.Event()
    make = functools.partial(fail_when, failing, OSError("gone"))
    with pytest.raises(ExceptionGroup) as caught:
        async with open_resources(PerWorker(make) if lent else Shared(make)) as pool:
            if lent:
                await pool.lend()
            failing.set()
            await trio.sleep_forever()

    assert [str(error) for error in caught.value.exceptions] == ["gone"]


async def test_an_instance_that_ends_by_itself_ends_the_block() -> None:
    """Nobody could go on using it."""
    failing = trio.Event()
    with pytest.raises(RuntimeError, match="fail_when ended by itself while it was needed"):
        async with open_resources(Shared(functools.partial(fail_when, failing, None))):
            failing.set()
            await trio.sleep_forever()


async def test_a_kept_cancelled_does_not_look_like_a_cancellation() -> None:
    """A block would wait for ever for an instance whose opening raised one."""
    kept: list[trio.Cancelled] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as error:
            kept.append(error)
            raise

    def fail() -> int:
        raise kept[0]

    with pytest.raises(RuntimeError, match="fail ended by itself while it was needed") as caught:
        async with open_resources(PerWorker(fail)) as pool:
            await pool.lend()

    assert caught.value.__cause__ is kept[0]


async def test_an_error_of_the_block_and_of_an_instance_leave_together() -> None:
    """Neither is lost."""
    failing = trio.Event()
    with pytest.raises(BaseExceptionGroup) as caught:
        async with open_resources(Shared(functools.partial(fail_when, failing, OSError("gone")))):
            failing.set()
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("body")

    assert [str(error) for error in leaves(caught.value)] == ["gone", "body"]


async def test_errors_of_several_instances_leave_together() -> None:
    """None is a mere note on another."""
    failing = trio.Event()
    errors = [OSError("one"), OSError("other")]
    with pytest.raises(BaseExceptionGroup) as caught:
        async with open_resources(PerWorker(lambda: fail_when(failing, errors.pop())), 2) as pool:
            await pool.lend()
            await pool.lend()
            failing.set()
            await trio.sleep_forever()

    assert {str(error) for error in leaves(caught.value)} == {"one", "other"}


async def test_an_error_of_closing_leaves_if_there_is_no_other() -> None:
    """As it is."""
    with pytest.raises(OSError, match="cannot close 1") as caught:
        async with open_resources(raise_when_closed()):
            pass

    assert type(caught.value) is OSError


async def test_errors_of_closing_leave_together() -> None:
    """One instance that can't be closed does not keep the others from being closed."""
    numbers = iter([1, 2])
    with pytest.raises(ExceptionGroup, match="<lambda> failed") as caught:
        async with open_resources(PerWorker(lambda: raise_when_closed(next(numbers))), 2) as pool:
            await pool.lend()
            await pool.lend()

    assert [str(error) for error in caught.value.exceptions] == ["cannot close 2", "cannot close 1"]


async def test_an_error_of_closing_does_not_replace_that_of_the_block() -> None:
    """It is a note on it, traceback included."""
    with pytest.raises(ValueError, match="body") as caught:
        async with open_resources(raise_when_closed()):
            raise ValueError("body")

    (note,) = caught.value.__notes__
    assert note.startswith("closing the resources raised as well:\nTraceback (most recent call last):\n")
    assert note.endswith("OSError: cannot close 1")


async def test_an_error_of_closing_does_not_replace_that_of_an_instance() -> None:
    """The one that ended the block leads."""
    made: list[AbstractAsyncContextManager[int | None]] = [raise_when_opened(), raise_when_closed()]

    with pytest.raises(OSError, match="no such host") as caught:
        async with open_resources(PerWorker(made.pop), 2) as pool:
            await pool.lend()
            await pool.lend()

    assert ["cannot close 1" in note for note in caught.value.__notes__] == [True]


async def test_an_error_of_closing_does_not_replace_a_cancellation() -> None:
    """The scope that was cancelled still catches its own, and only the error goes on."""
    scope = trio.CancelScope()
    with pytest.raises(ExceptionGroup) as caught:
        with scope:
            async with open_resources(raise_when_closed()):
                scope.cancel()
                await trio.lowlevel.checkpoint()

    assert [str(error) for error in leaves(caught.value)] == ["cannot close 1"]
    assert scope.cancelled_caught


async def test_an_error_of_closing_is_not_lost_in_a_group_of_cancellations() -> None:
    """A note on what a scope is going to catch would be lost with it."""
    with pytest.raises(ExceptionGroup) as caught:
        with trio.CancelScope() as scope:
            async with open_resources(raise_when_closed()):
                scope.cancel()
                try:
                    await trio.lowlevel.checkpoint()
                except trio.Cancelled as error:
                    raise BaseExceptionGroup("several tasks", [error]) from None

    assert [str(error) for error in leaves(caught.value)] == ["cannot close 1"]


async def test_a_time_out_stays_a_time_out_when_closing_is_too_slow(autojump_clock: MockClock) -> None:
    """The caller's scope catches what is its own; that closing took too long is not lost either."""
    scope = trio.CancelScope(deadline=trio.current_time() + 1)
    with pytest.raises(ExceptionGroup) as caught:
        with scope:
            async with open_resources(Host(seconds_to_close=10).connect(), cleanup_limit=2):
                await trio.sleep_forever()

    assert scope.cancelled_caught
    assert [type(error) for error in leaves(caught.value)] == [trio.TooSlowError]
    assert trio.current_time() == 3


async def test_an_instance_may_shield_its_closing(autojump_clock: MockClock) -> None:
    """Nobody can end that but itself: the block ends when it does, not before."""

    @asynccontextmanager
    async def shielded() -> AsyncGenerator[None]:
        yield
        with trio.CancelScope(shield=True):
            await trio.sleep(60)

    async with open_resources(shielded(), cleanup_limit=1):
        pass

    assert trio.current_time() == 60


async def test_an_instance_may_end_in_its_own_way_when_its_closing_is_cancelled(autojump_clock: MockClock) -> None:
    """What it raises then is the error."""

    @asynccontextmanager
    async def complain() -> AsyncGenerator[None]:
        yield
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            raise OSError("half closed") from None

    with pytest.raises(OSError, match="half closed"):
        async with open_resources(complain(), cleanup_limit=1):
            pass


async def test_the_pool_keeps_no_error_once_it_has_left() -> None:
    """It would hold the frames, and they it."""
    pools: list[Pool[Any]] = []
    with pytest.raises(OSError, match="no such host"):
        async with open_resources(PerWorker(raise_when_opened)) as pool:
            pools.append(pool)
            await pool.lend()

    assert pools[0]._failures == []


# -- Interrupted from the keyboard


class InterruptsWhenAdded(float):
    """A number of seconds during whose use somebody presses Control-C."""

    def __radd__(self, other: float) -> float:
        signal.raise_signal(signal.SIGINT)
        return other + float(self)


def test_interrupted_while_closing_the_limit_holds() -> None:
    """What is open is closed at once, the interrupt leaves."""
    hosts = [Host(seconds_to_close=1), Host(seconds_to_close=100), Host(seconds_to_close=1)]
    making = iter(hosts)

    async def main() -> None:
        try:
            async with open_resources(
                PerWorker(lambda: next(making).connect()), 3, cleanup_limit=InterruptsWhenAdded(5)
            ) as pool:
                for _ in hosts:
                    await pool.lend()
        finally:
            assert trio.current_time() == 5

    with pytest.raises(BaseExceptionGroup) as caught:
        trio.run(main, clock=MockClock(autojump_threshold=0))

    assert [type(error) for error in leaves(caught.value)] == [KeyboardInterrupt]
    assert [host.events for host in hosts] == [["open 1", "close 1"], ["open 1"], ["open 1", "close 1"]]


# -- Cancelled at every point


async def test_cancelled_at_any_moment_what_was_opened_is_closed(autojump_clock: MockClock) -> None:
    """Each moment of a life with two instances is tried."""
    moments = [tenth / 10 for tenth in range(70)]
    lives: list[list[str]] = []

    async def live(host: Host) -> None:
        async with open_resources(PerWorker(host.connect), 2) as pool:
            first = await pool.lend()
            await pool.lend()
            pool.give_back(first)
            await trio.sleep(1)

    for moment in moments:
        host = Host(seconds_to_open=1, seconds_to_close=1)
        with trio.move_on_after(moment):
            await live(host)
        lives.append(host.events)

    assert {tuple(events) for events in lives} == {
        (),
        ("open 1", "close 1"),
        ("open 1", "open 2", "close 2", "close 1"),
    }


@pytest.mark.parametrize("resources", [None, Shared(Host().connect), PerWorker(Host().connect)])
async def test_an_error_of_the_block_that_has_left_is_freed_at_once(resources: Any) -> None:
    """Not when the garbage is next collected: its frames hold whatever a job had in its hands."""
    freed: list[str] = []

    class Large:
        def __del__(self) -> None:
            freed.append("large")

    async def use() -> None:
        large = Large()
        async with open_resources(resources) as pool:
            if not pool.shared:
                await pool.lend()
            raise ValueError(f"body {large}")

    gc.collect()
    gc.disable()
    try:
        with suppress(ValueError):
            await use()
        await trio.lowlevel.checkpoint()

        assert freed == ["large"]
    finally:
        gc.enable()
