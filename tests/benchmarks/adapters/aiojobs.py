"""aiojobs: a scheduler of tasks, with a limit of how many run."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from ..harness import Case
from ..jobs import give_back
from .driving import Call, asyncio_case, find

NAME = "aiojobs, spawn and wait"


def case(in_flight: int, workers: int) -> Case:
    """Calls."""
    return asyncio_case(partial(open_, find("aiojobs"), workers), in_flight)


@asynccontextmanager
async def open_(aiojobs: Any, workers: int) -> AsyncGenerator[Call]:
    """A scheduler."""
    async with aiojobs.Scheduler(limit=workers, pending_limit=0) as scheduler:

        async def call(body: int) -> int:
            job = await scheduler.spawn(give_back(body))
            result: int = await job.wait()
            return result

        yield call
