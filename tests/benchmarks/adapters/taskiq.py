"""taskiq: a distributed task queue; its broker in memory runs the task where it is sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from ..harness import Case
from ..jobs import give_back
from .driving import Call, asyncio_case, find

NAME = "taskiq, InMemoryBroker that awaits in place"


def case(in_flight: int, workers: int) -> Case:
    """Calls."""
    return asyncio_case(partial(open_, find("taskiq"), workers), in_flight)


@asynccontextmanager
async def open_(taskiq: Any, workers: int) -> AsyncGenerator[Call]:
    """A broker and its task."""
    broker = taskiq.InMemoryBroker(max_async_tasks=workers, await_inplace=True)
    task = broker.task(task_name="give_back")(give_back)
    await broker.startup()

    async def call(body: int) -> int:
        sent = await task.kiq(body)
        result: int = (await sent.wait_result(check_interval=0.001)).return_value
        return result

    yield call
    await broker.shutdown()
