"""FastStream: handlers of messages; its test broker for Redis, which is in memory, and its request with an answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from ..harness import Case
from ..jobs import give_back
from .driving import Call, asyncio_case, find

NAME = "FastStream, TestRedisBroker, request"


def case(in_flight: int, workers: int) -> Case:
    """Calls."""
    return asyncio_case(partial(open_, find("faststream.redis")), in_flight)


@asynccontextmanager
async def open_(redis: Any) -> AsyncGenerator[Call]:
    """A broker with one handler."""
    broker = redis.RedisBroker()
    broker.subscriber("give-back")(give_back)
    async with redis.TestRedisBroker(broker) as running:

        async def call(body: int) -> object:
            answer = await running.request(body, "give-back", timeout=100)
            return await answer.decode()

        yield call
