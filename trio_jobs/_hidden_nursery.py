"""A nursery inside a context manager of ours: what leaves the block is what happened, not how we are built."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio

from ._single_error import single_error


@asynccontextmanager
async def open_hidden_nursery() -> AsyncGenerator[trio.Nursery]:
    """As `trio.open_nursery`, except for the errors that leave it.

    An error of the block leaves as it was raised, also if it is a group. The only error of a task leaves as
    itself. If the block and a task failed, both leave in one group.
    """
    error: BaseException | None = None
    try:
        with single_error():
            async with trio.open_nursery() as nursery:
                try:
                    yield nursery
                except BaseException as raised:
                    error = raised
                    nursery.cancel_scope.cancel(reason="the block that the nursery belongs to failed")
    except BaseException as of_a_task:
        if error is None or isinstance(error, trio.Cancelled):
            raise
        raise BaseExceptionGroup("a block and a task of its failed", [error, of_a_task]) from None
    if error is not None:
        raise error
