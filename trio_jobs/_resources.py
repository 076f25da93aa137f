"""What jobs are given to work with: opened in tasks of their own, lent, given back, closed in time.

1. An instance is entered and left by one task, its keeper, so it may hold nurseries and cancel scopes. What need not be
   opened has none.
2. A keeper inherits neither the cancel scope nor the context variables of the job that made it necessary.
3. An instance is with one borrower or free, never both; whoever is cancelled while waiting takes none along.
4. Closing is shielded, in the reverse order of opening, bounded as a whole, and replaces no other error.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncContextDecorator,
    ContextDecorator,
    asynccontextmanager,
    nullcontext,
)
from contextvars import copy_context
from math import inf
from typing import Any, Generic, TypeAlias, TypeVar, cast, overload

import attrs
import outcome
import trio
from trio.lowlevel import Abort, RaiseCancelT, Task

from ._arguments import check_buffer_size, check_seconds, name_of
from ._error_info import ErrorInfo
from ._record import Record

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@attrs.frozen(init=False, eq=False, repr=False)
class _Made(Record, Generic[T_co]):
    """Resources that a processor makes for itself."""

    factory: Callable[[], Any]
    """Called without arguments; it returns an instance, or an async context manager that yields one."""

    @overload
    def __init__(self, factory: Callable[[], AbstractAsyncContextManager[T_co]]) -> None: ...

    @overload
    def __init__(self, factory: Callable[[], T_co]) -> None: ...

    def __init__(self, factory: Callable[[], Any]) -> None:
        _check_factory(type(self).__name__, factory)
        object.__setattr__(self, "factory", factory)  # it is frozen


class Shared(_Made[T_co]):
    """One instance for all requests.

    ``factory`` is called when the processor starts. It returns the instance, or an async context manager that is open
    from before the first request until after the last answer.

    Raises:
        TypeError: ``factory`` cannot be called without arguments, or would not return an instance.

    Example::

        Processor(thumbnail, resources=Shared(open_store))
    """


class PerWorker(_Made[T_co]):
    """Instances that no two requests use at the same time, as many as there is need for.

    ``factory`` is called when a request finds no instance free, at most as often as requests may run at the same time.
    It returns the instance, or an async context manager that is open from then until after the last answer.

    Raises:
        TypeError: ``factory`` cannot be called without arguments, or would not return an instance.

    Example::

        Processor(thumbnail, resources=PerWorker(open_connection), concurrency=4)
    """


Resources: TypeAlias = T | AbstractAsyncContextManager[T] | Shared[T] | PerWorker[T]
"""What a processor may be given where its job is given a ``T``."""


@attrs.frozen(eq=False, repr=False)
class PoolStatistics(Record):
    """A pool at one moment."""

    limit: float
    """How many instances there may be."""
    opening: int
    """How many are on their way."""
    opened: int
    """How many there are."""
    free: int
    """How many of those nobody uses."""
    tasks_waiting: int
    """Borrowers that wait for one."""


@overload
def open_resources(
    resources: Shared[T] | PerWorker[T] | AbstractAsyncContextManager[T], limit: float = 1, *, cleanup_limit: float = 5
) -> AbstractAsyncContextManager[Pool[T]]: ...


@overload
def open_resources(
    resources: T, limit: float = 1, *, cleanup_limit: float = 5
) -> AbstractAsyncContextManager[Pool[T]]: ...


def open_resources(
    resources: Any, limit: float = 1, *, cleanup_limit: float = 5
) -> AbstractAsyncContextManager[Pool[Any]]:
    """Have ``resources`` open in a block: what is shared from its beginning on, what is lent when it is asked for.

    An instance that cannot be opened, fails or ends by itself cancels the block, and its error is what leaves. The
    block's own error leaves as it is, with a note for each that came while closing. When the block is cancelled, what
    was open is closed all the same, and an error of that leaves beside the Cancelled.

    Args:
        limit: How many instances of a `PerWorker` there may be.
        cleanup_limit: Seconds for closing all of them; after these what still closes is cancelled.

    Raises:
        TooSlowError: The block ended well, but an instance was not closed within ``cleanup_limit``.
    """
    check_buffer_size("limit", limit, least=1)
    check_seconds("cleanup_limit", cleanup_limit)
    if not isinstance(resources, _Made) and not _has_to_be_opened(resources):
        return _Given(resources)
    return _open_pool(Pool(resources, limit), cleanup_limit)


@asynccontextmanager
async def _open_pool(pool: Pool[T], cleanup_limit: float) -> AsyncGenerator[Pool[T]]:
    error: BaseException | None = None
    async with trio.open_nursery() as nursery:
        try:
            with trio.CancelScope() as pool.block:
                await pool.open(nursery)
                yield pool
        except BaseException as its_own:  # kept out of the nursery, which would wrap it in a group
            error = its_own
        await pool.close(cleanup_limit)
    error = pool.error_to_raise(error)
    if error is None:
        return
    context = error.__context__
    try:
        raise error
    finally:
        error.__context__ = context  # Python has just put there what is being handled


class Pool(Generic[T]):
    """The instances of one processor: one that all share, or several that are lent."""

    block: trio.CancelScope
    """Around those who use the instances; cancelled when one fails."""

    def __init__(self, resources: Any, limit: float) -> None:
        self.shared = not isinstance(resources, PerWorker)
        """Whether there is one ``value`` for all, and nothing to lend."""
        made: Any = resources.factory if isinstance(resources, _Made) else resources
        self._name = name_of(_function_of(made))
        self._factory: Callable[[], Any] = made if isinstance(resources, _Made) else lambda: made
        self._limit = 1 if self.shared else limit
        self._opening: dict[_Keeper[T], None] = {}
        self._opened: list[_Keeper[T]] = []  # in the order in which they opened
        self._free: list[T] = []
        self._waiting: dict[Task, None] = {}  # first come, first served
        self._ended = False
        self._closing = False
        self._failures: list[BaseException] = []
        self._closing_errors: list[BaseException] = []

    def __repr__(self) -> str:
        now = self.statistics()
        ended = " ended" if self._ended else ""
        return (
            f"<Pool of {self._name} opened={now.opened}/{now.limit} free={now.free} waiting={now.tasks_waiting}{ended}>"
        )

    def statistics(self) -> PoolStatistics:
        """The pool at this moment."""
        return PoolStatistics(
            limit=self._limit,
            opening=len(self._opening),
            opened=len(self._opened),
            free=len(self._free),
            tasks_waiting=len(self._waiting),
        )

    # --- using

    @property
    def value(self) -> T:
        """The one instance that all share."""
        if not self.shared:
            raise RuntimeError(f"{self._name} is lent, one to each run: use lend() and give_back()")
        return self._value

    def lend_nowait(self) -> T:
        """An instance that is yours until you `give_back` it: of the free ones, the one used last.

        Raises:
            WouldBlock: None is free.
            ClosedResourceError: The pool has ended.
        """
        if self._ended:
            raise trio.ClosedResourceError(f"{self._name} is being closed")
        if not self._free:
            raise trio.WouldBlock
        return self._free.pop()

    async def lend(self) -> T:
        """An instance that is yours until you `give_back` it, opened for you unless there are as many as there may be.

        Cancelled, nothing was lent; what was being opened is for the next borrower.

        Raises:
            ClosedResourceError: The pool has ended.
            BrokenResourceError: It ended while you waited, by an instance that failed or is not opened any more.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if not self._free and not self._ended:
            return await self._wait_for_one()
        instance = self.lend_nowait()
        await trio.lowlevel.cancel_shielded_checkpoint()
        return instance

    def give_back(self, instance: T) -> None:
        """Let the next one have it."""
        if self._waiting:
            trio.lowlevel.reschedule(self._next_waiting(), outcome.Value(instance))
        else:
            self._free.append(instance)

    async def _wait_for_one(self) -> T:
        task = trio.lowlevel.current_task()
        self._waiting[task] = None
        # What is on its way may be for nobody any more, so it counts for whoever waits.
        if len(self._opening) < len(self._waiting) and len(self._opening) + len(self._opened) < self._limit:
            self._open_another()

        def abort(_: RaiseCancelT) -> Abort:
            del self._waiting[task]
            return Abort.SUCCEEDED

        return cast("T", await trio.lowlevel.wait_task_rescheduled(abort))

    def _next_waiting(self) -> Task:
        task = next(iter(self._waiting))
        del self._waiting[task]
        return task

    # --- life

    async def open(self, nursery: trio.Nursery) -> None:
        """From now on open instances in ``nursery``; a shared one at once."""
        self._nursery = nursery
        self._context = copy_context()
        if self.shared:
            self._value = await self.lend()

    @trio.lowlevel.enable_ki_protection
    async def close(self, cleanup_limit: float) -> None:
        """Close all instances, the last opened first, within ``cleanup_limit`` seconds; not to be cancelled."""
        self._ended = self._closing = True
        self._end_waiting()
        deadline = trio.current_time() + cleanup_limit
        for keeper in self._opening:
            keeper.scope.cancel(reason="nobody needs the resource any more")
        for keeper in self._opened:
            keeper.scope.deadline = deadline
        # No deadline here: each keeper has it, and if one has a shield of its own, the nursery would wait all the same.
        keepers = list(reversed(self._opened))
        try:
            with trio.CancelScope(shield=True):
                for keeper in keepers:
                    keeper.close.set()
                    await keeper.gone.wait()
        finally:
            for keeper in keepers:  # interrupted from the keyboard: all at once then
                keeper.close.set()

    def error_to_raise(self, error: BaseException | None) -> BaseException | None:
        """What leaves the block, given its own ``error``: nothing is lost, and nothing is wrapped needlessly."""
        errors = [*self._failures] if error is None else [*self._failures, error]
        leading = next((error for error in errors if _split(error)[1] is not None), None)
        if leading is None:
            errors = [*errors, *self._closing_errors]
        else:
            for closing_error in self._closing_errors:
                leading.add_note(_noted(closing_error))
        # They hold the frame of the block, which holds this.
        self._failures, self._closing_errors = [], []
        if len(errors) > 1:
            return BaseExceptionGroup(f"{self._name} failed", errors)
        return errors[0] if errors else None

    def _open_another(self) -> None:
        keeper: _Keeper[T] = _Keeper(self._name, self._factory)
        self._opening[keeper] = None
        self._context.copy().run(self._nursery.start_soon, self._keep, keeper)

    async def _keep(self, keeper: _Keeper[T]) -> None:
        """The task of one instance. It raises nothing, so that its error does not meet the block's in a group."""
        cancelled: BaseException | None = None
        error: BaseException | None = None
        try:
            await keeper.keep(self._has_opened)
        except BaseException as raised:
            cancelled, error = _split(raised)
        self._opening.pop(keeper, None)
        if not self._closing:
            if error is None and trio.current_effective_deadline() != -inf:
                error = RuntimeError(f"{self._name} ended by itself while it was needed")
                error.__cause__ = cancelled
            self._fail(error)
        elif error is not None:
            self._closing_errors.append(error)
        keeper.gone.set()

    def _has_opened(self, keeper: _Keeper[T], instance: T) -> None:
        del self._opening[keeper]
        self._opened.append(keeper)
        self.give_back(instance)

    def _fail(self, error: BaseException | None) -> None:
        """An instance failed with ``error``, or is not opened because all is cancelled: that ends the block."""
        self._failures += [] if error is None else [error]
        self._ended = True
        self.block.cancel(reason=f"{self._name} failed")
        self._end_waiting()

    def _end_waiting(self) -> None:
        """Whoever still waits, in a shield or outside the block, must not wait for ever."""
        while self._waiting:
            broken = trio.BrokenResourceError(f"there will be no {self._name} any more")
            broken.__cause__ = self._failures[0] if self._failures else None
            trio.lowlevel.reschedule(self._next_waiting(), outcome.Error(broken))


class _Given(Pool[T]):
    """A value that all share as it is: there is nothing to open and nothing to close, so neither a task nor a nursery.

    Its own context manager.
    """

    def __init__(self, value: T) -> None:
        super().__init__(value, limit=1)
        self._value = value

    def statistics(self) -> PoolStatistics:
        """It is there from the beginning."""
        return attrs.evolve(super().statistics(), opened=1)

    async def __aenter__(self) -> Pool[T]:
        await trio.lowlevel.checkpoint()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended = True


class _Keeper(Generic[T]):
    """Opens one instance, keeps it open and closes it, all in one task."""

    def __init__(self, name: str, factory: Callable[[], Any]) -> None:
        self._name = name
        self._factory = factory
        self.scope = trio.CancelScope()
        self.close = trio.Event()
        self.gone = trio.Event()

    async def keep(self, has_opened: Callable[[_Keeper[T], T], None]) -> None:
        """Have the instance open until ``close`` is set; raises what it raises, and when it is not closed in time."""
        with self.scope:
            async with _as_context(self._factory()) as instance:
                # From here on only its own deadline ends it: a cancelled processor still closes what it has opened.
                self.scope.shield = True
                has_opened(self, instance)
                await self.close.wait()
        if self.scope.cancelled_caught and self.scope.deadline != inf:
            raise trio.TooSlowError(
                f"{self._name} was not closed within the clean-up limit, so its closing was cancelled; "
                "see cleanup_limit="
            )


def _function_of(made: object) -> object:
    """What is known by a name: of a context manager that a decorated function made, that function."""
    return getattr(made, "func", made) if isinstance(made, AsyncContextDecorator) else made


def check_resources(resources: object) -> None:
    """Raise a TypeError with the mend for what would be taken for a value, and can hardly be meant."""
    if inspect.isroutine(resources) and inspect.isasyncgenfunction(inspect.unwrap(resources)):
        name = name_of(resources)
        raise TypeError(f"resources got the function {name} that opens them, call it: resources={name}(...)")
    if isinstance(resources, AbstractContextManager) and isinstance(resources, ContextDecorator):
        raise TypeError(
            f"resources got a context manager that is not async, {resources!r}: put @asynccontextmanager above an "
            "async function instead, or enter it around the processor and give what it yields"
        )


def _has_to_be_opened(resources: Any) -> bool:
    """Whether it is more than a value; what is refused when it is opened counts as well."""
    return (
        isinstance(resources, AbstractAsyncContextManager)
        or inspect.iscoroutine(resources)
        or inspect.isasyncgen(resources)
    )


def _as_context(made: Any) -> AbstractAsyncContextManager[Any]:
    """What a factory returned, as something that can be opened."""
    if inspect.iscoroutine(made):
        made.close()
        raise TypeError("resources must not be a coroutine: use an async context manager, see @asynccontextmanager")
    if inspect.isasyncgen(made):
        raise TypeError("resources must not be an async generator: put @asynccontextmanager above its function")
    if isinstance(made, AbstractAsyncContextManager):
        return cast("AbstractAsyncContextManager[Any]", made)
    return nullcontext(made)


def _check_factory(kind: str, factory: Any) -> None:
    """Raise a TypeError with the mend unless ``factory`` can be called without arguments and returns an instance."""
    if isinstance(factory, AbstractAsyncContextManager) or not callable(factory):
        raise TypeError(
            f"{kind} needs what makes the resource, {kind}(lambda: ...), got the resource itself: {factory!r}"
        )
    if inspect.iscoroutinefunction(factory):
        raise TypeError(f"{kind} got the async function {factory!r}: let it yield, with @asynccontextmanager above it")
    if inspect.isasyncgenfunction(factory):
        raise TypeError(f"{kind} got the async generator {factory!r}: put @asynccontextmanager above it")
    try:
        inspect.signature(factory).bind()
    except ValueError:
        return  # it does not show its parameters, so it will be seen when it is called
    except TypeError as error:
        raise TypeError(f"{kind} calls {factory!r} without arguments ({error}): use functools.partial") from None


def _split(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """What of ``error`` is cancellation, and what else it is."""
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).split(trio.Cancelled)
    return (error, None) if isinstance(error, trio.Cancelled) else (None, error)


def _noted(error: BaseException) -> str:
    return f"closing the resources raised as well:\n{ErrorInfo.from_exception(error).traceback}"
