"""Which of many deadlines passes next: one heap for all, so none costs a task or a scope."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from math import inf
from typing import Any

from ._message import Request
from ._waiting_room import Waiting

_SWEEP_FROM = 64  # entries; below it is not worth looking how many of them are dead


class Deadlines:
    """The deadlines of requests that are still to be answered.

    What is discarded leaves its entry behind until it comes up, or until more than half of all
    entries are dead: then one sweep removes those.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        self._live: dict[str, tuple[Request[Any], float]] = {}  # as Waiting, which costs a Python call to make

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._live

    def __len__(self) -> int:
        return len(self._live)

    @property
    def next(self) -> float:
        """The earliest, or inf."""
        heap = self._heap
        while heap:
            due, request_id = heap[0]
            one = self._live.get(request_id)
            if one is not None and one[0].deadline == due:
                return due
            heappop(heap)
        return inf

    def add(self, request: Request[Any], accepted: float) -> None:
        """Watch the deadline of a request that was accepted at ``accepted``."""
        heap = self._heap
        if len(heap) > _SWEEP_FROM + 2 * len(self._live):
            heap[:] = [(one.deadline, request_id) for request_id, (one, _) in self._live.items()]
            heapify(heap)
        self._live[request.id] = request, accepted
        heappush(heap, (request.deadline, request.id))

    def discard(self, request_id: str) -> None:
        """It was answered, its deadline is of no more interest."""
        self._live.pop(request_id, None)

    def forget(self, request: Request[Any]) -> None:
        """As `discard`, for this very request and no other of its id."""
        one = self._live.get(request.id)
        if one is not None and one[0] is request:
            del self._live[request.id]

    def pop_due(self, now: float) -> Iterator[Waiting]:
        """Those whose deadline has passed, earliest first; they are not watched any more.

        One by one: what is done about the first may answer the next.
        """
        while self.next <= now:
            _, request_id = heappop(self._heap)
            yield Waiting(*self._live.pop(request_id))
