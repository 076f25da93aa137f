"""Where requests wait until they may start: who comes next, decided without waiting for anything and without I/O.

1. A waiting request holds nothing: no slot, no task, no lock.
2. Gates are asked in their order when a request's turn comes; the first that says no keeps it, and names what it waits for.
3. A kept request is not asked again before that was freed or the time has come. So a start costs no more for those that wait.
4. Requests that nobody keeps start in the order in which they were accepted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import chain, count, islice
from math import inf
from typing import Any, NamedTuple

import attrs

from ._message import Request


@attrs.frozen
class Hold:
    """A gate's no."""

    on: Hashable
    """What must be freed before it is worth asking again; the gate names it when it frees it."""
    why: str
    """The same for people: ``waits for key 'a'``."""
    until: float = inf
    """When time alone will do, on Trio's clock."""


class Gate(ABC):
    """Asked before a request starts; it decides at once, from what it has counted, and never waits.

    One gate may serve several processors: each joins it, and hears when something is freed.
    """

    def __init__(self) -> None:
        self._rooms: list[WaitingRoom] = []

    @abstractmethod
    def ask(self, request: Request[Any], now: float) -> Hold | None:
        """May it start now? None for yes. Asking changes nothing: another gate may still say no."""

    @abstractmethod
    def started(self, request: Request[Any], now: float) -> None:
        """Every gate said yes, it starts."""

    @abstractmethod
    def finished(self, request: Request[Any], now: float) -> None:
        """It has ended, however it ended. Call `free` for what others may wait for."""

    def free(self, on: Hashable) -> None:
        """Let those who wait for ``on`` be asked again."""
        for room in self._rooms:
            room.freed(self, on)

    def join(self, room: WaitingRoom) -> None:
        """Tell ``room`` from now on what is freed."""
        self._rooms.append(room)

    def leave(self, room: WaitingRoom) -> None:
        """Do not tell it any more."""
        self._rooms.remove(room)


class Waiting(NamedTuple):
    """A request that waits."""

    request: Request[Any]
    """The request."""
    accepted: float
    """Since when, on Trio's clock."""


class _Line:
    """Requests first in, first out, with the times at which they were accepted.

    The times are packed doubles: as objects they would add a sixth to the memory of a million waiting requests.
    """

    __slots__ = ("_gone", "_requests", "_times", "accepted")

    def __init__(self) -> None:
        self._requests: deque[Request[Any]] = deque()
        self._times = array("d")
        self._gone = 0  # how many of the times at the beginning belong to requests that have left
        self.accepted = 0.0

    def __len__(self) -> int:
        return len(self._requests)

    def waiting(self) -> Iterator[Waiting]:
        return map(Waiting, self._requests, islice(self._times, self._gone, None))

    def append(self, request: Request[Any], accepted: float) -> None:
        self._requests.append(request)
        self._times.append(accepted)

    def pop(self) -> Request[Any]:
        """The first; when it was accepted is in ``accepted`` then."""
        request = self._requests.popleft()
        gone = self._gone
        self.accepted = self._times[gone]
        self._gone = gone = gone + 1
        if gone > 512 and 2 * gone > len(self._times):
            del self._times[:gone]
            self._gone = 0
        return request


@attrs.define(eq=False)
class _Kept:
    """A request that may not start yet."""

    request: Request[Any]
    accepted: float
    why: str
    kept: bool = True
    """False as soon as it went back into line: by what was freed, or by its time."""


class WaitingRoom:
    """The requests that a processor has accepted and not started, and whether the next may start.

    The number of slots is a gate as well, only that it keeps nobody in particular: who is next waits at the head of the line.
    """

    def __init__(self, concurrency: float = inf, gates: Sequence[Gate] = ()) -> None:
        self.concurrency = concurrency
        self.running = 0
        self.paused = False
        self.accepted = 0.0
        """When the request that `take` returned last was accepted."""
        self.on_ready: Callable[[], object] = _nobody
        """Called when something may be taken that could not be before."""
        self._gates = tuple(gates)
        self._line = _Line()
        self._back = _Line()  # was kept or ran already, so is older than all of _line
        self._kept: dict[tuple[Gate, Hashable], deque[_Kept]] = {}
        self._timed: list[tuple[float, int, _Kept]] = []
        self._sequence = count().__next__
        self._size = 0
        self._dropped: set[str] = set()
        self._index: dict[str, Waiting] | None = None  # made by the first look-up of an id; most rooms never need it
        for gate in self._gates:
            gate.join(self)

    def __len__(self) -> int:
        """How many wait."""
        return self._size

    def __iter__(self) -> Iterator[Request[Any]]:
        """Those who wait, for a person to look at: it visits all of them."""
        return (one.request for one in self._everyone())

    def _everyone(self) -> Iterator[Waiting]:
        in_line = chain(self._back.waiting(), self._line.waiting())
        kept = chain.from_iterable(self._kept.values())
        delayed = (one for _, _, one in self._timed if one.why == _DELAYED)
        not_in_line = (Waiting(one.request, one.accepted) for one in chain(kept, delayed) if one.kept)
        return (one for one in chain(in_line, not_in_line) if one.request.id not in self._dropped)

    @property
    def may_start(self) -> bool:
        """Whether it is worth calling `take`."""
        return self.running < self.concurrency and not self.paused and bool(self._line or self._back)

    @property
    def next_time(self) -> float:
        """When `wake` is due: the earliest time that somebody waits for, or inf."""
        while self._timed and not self._timed[0][2].kept:
            heappop(self._timed)
        return self._timed[0][0] if self._timed else inf

    def add(self, request: Request[Any], now: float) -> None:
        """Accept ``request``: it waits behind the others."""
        self._line.append(request, now)
        self._size += 1
        if self._index is not None:
            self._index[request.id] = Waiting(request, now)

    def give_back(self, request: Request[Any], now: float, delay: float = 0) -> None:
        """It was taken and has not been answered: it waits again, before those who came later, after ``delay`` seconds."""
        self._size += 1
        if self._index is not None:
            self._index[request.id] = Waiting(request, now)
        if delay > 0:
            heappush(self._timed, (now + delay, self._sequence(), _Kept(request, now, _DELAYED)))
        else:
            self._back.append(request, now)

    def take(self, now: float) -> Request[Any] | None:
        """The next that may start, which it thereby does; None if nobody may. Call `finished` when it has ended."""
        if self.running >= self.concurrency or self.paused:
            return None
        while line := self._back or self._line:
            request = line.pop()
            if self._dropped and request.id in self._dropped:
                self._dropped.discard(request.id)
                continue
            if self._gates and self._keep(request, line.accepted, now):
                continue
            self.accepted = line.accepted
            self.running += 1
            self._forget(request.id)
            for gate in self._gates:
                gate.started(request, now)
            return request
        return None

    def finished(self, request: Request[Any], now: float) -> None:
        """What `take` returned has ended, its slot is free."""
        self.running -= 1
        for gate in self._gates:
            gate.finished(request, now)

    def freed(self, gate: Gate, on: Hashable) -> None:
        """Put those whom ``gate`` kept for ``on`` back into line."""
        for one in self._kept.pop((gate, on), ()):
            self._unkeep(one)
        self.on_ready()

    def wake(self, now: float) -> None:
        """Put those whose time has come back into line."""
        while self._timed and self._timed[0][0] <= now:
            self._unkeep(heappop(self._timed)[2])
        self.on_ready()

    def drop(self, request_id: str) -> None:
        """Let go of a request that is known to wait here."""
        self._dropped.add(request_id)
        self._forget(request_id)

    def find(self, request_id: str) -> Waiting | None:
        """The request of this id, if it waits. The first call looks at all of them, later ones at a table."""
        if self._index is None:
            self._index = {one.request.id: one for one in self._everyone()}
        return self._index.get(request_id)

    def why(self, request_id: str) -> str:
        """What keeps the request of this id waiting, for a person; it visits those who are kept."""
        for one in chain(chain.from_iterable(self._kept.values()), (one for _, _, one in self._timed)):
            if one.kept and one.request.id == request_id:
                return one.why
        return "paused" if self.paused else "waits for its turn"

    def close(self) -> None:
        """Hear no more from the gates."""
        for gate in self._gates:
            gate.leave(self)

    def _forget(self, request_id: str) -> None:
        self._size -= 1
        if self._index is not None:
            self._index.pop(request_id, None)

    def _keep(self, request: Request[Any], accepted: float, now: float) -> bool:
        for gate in self._gates:
            hold = gate.ask(request, now)
            if hold is not None:
                one = _Kept(request, accepted, hold.why)
                self._kept.setdefault((gate, hold.on), deque()).append(one)
                if hold.until != inf:
                    heappush(self._timed, (hold.until, self._sequence(), one))
                return True
        return False

    def _unkeep(self, one: _Kept) -> None:
        if one.kept:
            one.kept = False
            self._back.append(one.request, one.accepted)


_DELAYED = "was given back with a delay"


def _nobody() -> None:
    """Nobody needs to know."""
