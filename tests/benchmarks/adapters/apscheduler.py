"""APScheduler 4: a scheduler of jobs with a data store; here in memory, each job run at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from ..harness import Case
from ..jobs import give_back
from .driving import Call, asyncio_case, find

NAME = "APScheduler 4, memory, run_job"


def case(in_flight: int, workers: int) -> Case:
    """Calls."""
    apscheduler = find("apscheduler")
    if not hasattr(apscheduler, "AsyncScheduler"):
        raise ImportError("it is older than 4")
    return asyncio_case(partial(open_, apscheduler, workers), in_flight)


@asynccontextmanager
async def open_(apscheduler: Any, workers: int) -> AsyncGenerator[Call]:
    """A scheduler that runs in the background."""
    async with apscheduler.AsyncScheduler(max_concurrent_jobs=workers) as scheduler:
        await scheduler.start_in_background()

        async def call(body: int) -> int:
            result: int = await scheduler.run_job(give_back, args=(body,))
            return result

        yield call
