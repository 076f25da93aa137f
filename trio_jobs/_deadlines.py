"""Which of many deadlines passes next: one heap for all, so that a deadline costs neither a task nor a scope."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import inf

_SWEEP_FROM = 64  # entries; below it is not worth looking how many of them are dead


class Deadlines:
    """The deadlines of requests that are still to be answered.

    What is discarded leaves its entry behind until it comes up, or until more than half of all entries are dead: then one
    sweep removes those.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        self._live: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._live)

    @property
    def next(self) -> float:
        """The earliest, or inf."""
        heap = self._heap
        while heap and self._live.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else inf

    def add(self, request_id: str, deadline: float) -> None:
        """Watch the deadline of a request."""
        heap = self._heap
        if len(heap) > _SWEEP_FROM + 2 * len(self._live):
            heap[:] = [(due, request_id) for request_id, due in self._live.items()]
            heapify(heap)
        self._live[request_id] = deadline
        heappush(heap, (deadline, request_id))

    def discard(self, request_id: str) -> None:
        """It was answered, its deadline is of no more interest."""
        self._live.pop(request_id, None)

    def pop_due(self, now: float) -> list[str]:
        """The ids of those whose deadline has passed, earliest first; they are not watched any more."""
        due: list[str] = []
        while self.next <= now:
            _, request_id = heappop(self._heap)
            del self._live[request_id]
            due.append(request_id)
        return due
