"""Making calls on asyncio, as `calls.drive` makes them on Trio; and modules that may not be there."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

from ..harness import Case, clock

Call: TypeAlias = Callable[[int], Awaitable[object]]


def find(module: str) -> Any:
    """The module, as checkers must not know it, for it may not be installed.

    Raises:
        ImportError: It is not.
    """
    return importlib.import_module(module)


async def drive(call: Call, in_flight: int, calls: int) -> float:
    """Make so many calls, ``in_flight`` tasks at a time; the seconds they took."""
    each = max(1, calls // in_flight)

    async def make_calls() -> None:
        for number in range(each):
            await call(number)

    start = clock()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(in_flight):
            tasks.create_task(make_calls())
    return (clock() - start) * calls / (each * in_flight)


def asyncio_case(opener: Callable[[], AbstractAsyncContextManager[Call]], in_flight: int) -> Case:
    """Calls to what ``opener`` opens."""

    async def measure(calls: int) -> float:
        async with opener() as call:
            return await drive(call, in_flight, calls)

    return lambda calls: asyncio.run(measure(calls))
