"""A typed face for trio-util's ``AsyncValue``, which carries no types of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Protocol, TypeVar, cast, overload

import trio_util  # type: ignore[import-untyped]  # it has no py.typed

T = TypeVar("T")


class AsyncValue(Protocol[T]):
    """A value that tasks can wait for; see trio-util for all that it can do. Never an event log: readers see the
    latest."""

    @property
    def value(self) -> T:
        """What it is now."""
        ...

    @value.setter
    def value(self, value: T) -> None: ...

    @overload
    async def wait_value(self, value: T, *, held_for: float = 0) -> T: ...

    @overload
    async def wait_value(self, predicate: Callable[[T], bool], *, held_for: float = 0) -> T: ...

    def eventual_values(self) -> AsyncGenerator[T, None]:
        """Iterate over the present value and the later ones, without those that came and went unseen.

        Wrap it in ``contextlib.aclosing`` where the loop may be left early.
        """
        ...


def observable(value: T) -> AsyncValue[T]:
    """An `AsyncValue` that starts as ``value``."""
    return cast("AsyncValue[T]", trio_util.AsyncValue(value))  # pyright: ignore[reportUnknownMemberType]
