"""What one writes with Trio alone: the yardstick, with the same promises for one client.

No broadcast, no deadlines, no drain; whoever needs those writes more than this.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from math import inf
from typing import Generic, TypeVar

import trio

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
T = TypeVar("T")


class RawCancelled(Exception):
    """The request was cancelled."""


class RawProcessor(Generic[RequestT, ResponseT]):
    """Two memory channels, some workers, a cancel scope for each request, a task that hands out the answers."""

    def __init__(
        self, job: Callable[[RequestT], Awaitable[ResponseT]], workers: int, *, buffer_size: float = inf
    ) -> None:
        self._job = job
        self._workers = workers
        self.requests, self._to_do = trio.open_memory_channel[tuple[int, RequestT]](buffer_size)
        self._done, self.results = trio.open_memory_channel[tuple[int, ResponseT | None, Exception | None]](buffer_size)
        self._running: dict[int, trio.CancelScope] = {}
        self._answered: dict[int, trio.Event] = {}
        self._answers: dict[int, tuple[ResponseT | None, Exception | None]] = {}
        self._new_id = count().__next__

    async def call(self, body: RequestT) -> ResponseT | None:
        """Have the job run, and return what it returns."""
        request_id = self._new_id()
        answered = self._answered[request_id] = trio.Event()
        try:
            await self.requests.send((request_id, body))
            await answered.wait()
        except trio.Cancelled:
            self.cancel(request_id)
            raise
        finally:
            del self._answered[request_id]
        value, error = self._answers.pop(request_id)
        if error is not None:
            raise error
        return value

    def cancel(self, request_id: int) -> None:
        """Cancel what runs for this id."""
        if request_id in self._running:
            self._running[request_id].cancel()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until the request side is closed, and hand the answers to their callers."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._dispatch)
            await nursery.start(self.work)
            task_status.started()

    async def work(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until the request side is closed; somebody else reads the results."""
        async with self._done, trio.open_nursery() as workers:
            for _ in range(self._workers):
                workers.start_soon(self._work)
            task_status.started()

    async def _work(self) -> None:
        async for request_id, body in self._to_do:
            result: tuple[int, ResponseT | None, Exception | None]
            with trio.CancelScope() as scope:
                self._running[request_id] = scope
                try:
                    result = request_id, await self._job(body), None
                except Exception as error:
                    result = request_id, None, error
                finally:
                    del self._running[request_id]
            if scope.cancelled_caught:
                result = request_id, None, RawCancelled()
            await self._done.send(result)  # pyright: ignore[reportPossiblyUnboundVariable]  # without one, it was cancelled

    async def _dispatch(self) -> None:
        async for request_id, value, error in self.results:
            answered = self._answered.get(request_id)
            if answered is not None:
                self._answers[request_id] = value, error
                answered.set()


@asynccontextmanager
async def open_raw_processor(
    job: Callable[[RequestT], Awaitable[ResponseT]], workers: int, *, buffer_size: float = inf
) -> AsyncGenerator[RawProcessor[RequestT, ResponseT]]:
    """Run one for the length of a block."""
    processor = RawProcessor(job, workers, buffer_size=buffer_size)
    async with trio.open_nursery() as nursery:
        await nursery.start(processor.run)
        yield processor
        processor.requests.close()


class RawFanOut(Generic[T]):
    """A memory channel for each subscriber."""

    def __init__(self, buffer_size: float = inf) -> None:
        self._buffer_size = buffer_size
        self._senders: list[trio.MemorySendChannel[T]] = []

    def subscribe(self) -> trio.MemoryReceiveChannel[T]:
        """Receive what is sent from now on."""
        sender, receiver = trio.open_memory_channel[T](self._buffer_size)
        self._senders.append(sender)
        return receiver

    async def send(self, value: T) -> None:
        """Send it to one after another."""
        for sender in self._senders:
            await sender.send(value)

    def send_nowait(self, value: T) -> None:
        """Send it to all where there is room for it."""
        for sender in self._senders:
            sender.send_nowait(value)


def drain(channel: trio.MemoryReceiveChannel[T]) -> int:
    """Take all there is; how many that were."""
    taken = 0
    try:
        while True:
            channel.receive_nowait()
            taken += 1
    except trio.WouldBlock:
        return taken
