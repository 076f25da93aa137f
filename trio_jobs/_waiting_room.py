"""Where requests wait until they may start: who comes next, decided without waiting for anything and without I/O.

1. A waiting request holds nothing: no slot, no task, no lock.
2. Gates are asked in their order when a request's turn comes; the first that says no keeps it, and names what for.
3. A kept request is not asked about again before that was freed or the time has come, and then the first of those who
   wait for the same speaks for all: another no for it keeps them all. So a start costs no more for those that wait.
4. Requests that nobody keeps start in the order in which they were accepted; those kept for the same, in the order in
   which they were kept.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import chain, count, islice
from math import inf
from typing import Any, NamedTuple

import attrs

from ._message import Request
from ._record import Record


@attrs.frozen(eq=False, repr=False)
class Hold(Record):
    """A gate's no."""

    on: Hashable
    """What must be freed before it is worth asking again; the gate names it when it frees it."""
    why: str
    """The same for people: ``waits for key 'a'``."""
    until: float = inf
    """When time alone will do, on Trio's clock; for all who wait for the same."""
    everyone: bool = False
    """Whether the answer would be the same whoever asked: then nobody else is asked about either."""


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

    def _join(self, room: WaitingRoom) -> None:
        """Tell ``room`` from now on what is freed."""
        self._rooms.append(room)

    def _leave(self, room: WaitingRoom) -> None:
        """Do not tell it any more."""
        self._rooms.remove(room)


class Waiting(NamedTuple):
    """A request that waits."""

    request: Request[Any]
    """The request."""
    accepted: float
    """Since when, on Trio's clock."""


class _Line(deque[Request[Any]]):
    """Requests first in, first out, with the times at which they were accepted.

    The times are packed doubles: as objects they would add a sixth to the memory of a million waiting requests. A deque
    itself, since whether it is empty is asked for every request that starts.
    """

    __slots__ = ("_gone", "accepted", "times")

    def __init__(self) -> None:
        super().__init__()
        self.times = array("d")
        self._gone = 0  # how many of the times at the beginning belong to requests that have left
        self.accepted = 0.0

    def waiting(self) -> Iterator[Waiting]:
        return map(Waiting, self, islice(self.times, self._gone, None))

    def put(self, request: Request[Any], accepted: float) -> None:
        """To its end."""
        self.append(request)
        self.times.append(accepted)

    def take(self) -> Request[Any]:
        """The first; when it was accepted is in ``accepted`` then."""
        request = self.popleft()
        gone = self._gone
        self.accepted = self.times[gone]
        self._gone = gone = gone + 1
        if gone > 512 and 2 * gone > len(self.times):
            del self.times[:gone]
            self._gone = 0
        return request

    def take_out(self, request_id: str, most: int) -> int:
        """Take out those of this id, at most so many; return how many there were. It visits all."""
        removed = 0
        for _ in range(len(self)):
            request = self.take()
            if removed < most and request.id == request_id:
                removed += 1
            else:
                self.put(request, self.accepted)
        return removed


@attrs.define(eq=False)
class _Group:
    """Requests that are kept for the same; or were, and are about to be asked about again."""

    place: tuple[Gate, Hashable]
    """Who keeps them, and for what."""
    line: _Line = attrs.field(factory=_Line)
    why: str = ""
    until: float = inf
    """When `WaitingRoom.wake` frees them; inf once it has, or what they wait for was freed."""
    freed: bool = False


class WaitingRoom:
    """The requests that a processor has accepted and not started, and whether the next may start.

    The number of slots is a gate as well, only that it keeps nobody in particular: who is next waits at the head of the
    line.
    """

    def __init__(self, concurrency: float = inf, gates: Sequence[Gate] = ()) -> None:
        self.concurrency = concurrency
        self.running = 0
        self.paused = False
        self.accepted = 0.0
        """When the request that `take` returned last was accepted."""
        self.on_ready: Callable[[], object] = _nobody
        """Called when something may be taken that could not be before: it was freed, or its time has come."""
        self._gates = tuple(gates)
        self._line = _Line()
        self._back = _Line()  # was delayed or ran already, so is older than all of _line
        self._kept: dict[tuple[Gate, Hashable], _Group] = {}
        self._freed: deque[tuple[Gate, Hashable]] = deque()  # groups to be asked about again, older than all of _back
        self._shut: _Group | None = None  # what everyone waits for
        self.timed: list[tuple[float, int, _Group | Waiting]] = []
        self._sweep_at = _SWEEP_FROM
        self._sequence = count().__next__
        self.size = 0
        """How many wait."""
        self._dropped: dict[str, int] = {}  # ids and how many of each are to be skipped when their turn comes
        self._not_swept = 0  # how many of these the last sweep left, for they are delayed
        self._index: dict[str, Waiting] | None = None  # made by the first look-up of an id; most rooms never need it
        for gate in self._gates:
            gate._join(self)

    def __len__(self) -> int:
        """How many wait."""
        return self.size

    def __iter__(self) -> Iterator[Request[Any]]:
        """Those who wait, for a person to look at: it visits all of them."""
        return (one.request for one in self._everyone())

    def _everyone(self) -> Iterator[Waiting]:
        skipped = self._dropped.copy()
        delayed = (one for _, _, one in self.timed if isinstance(one, Waiting))
        for one in chain(*(line.waiting() for line in self._lines()), delayed):
            if skipped.get(one.request.id, 0):
                skipped[one.request.id] -= 1
            else:
                yield one

    def _lines(self) -> Iterator[_Line]:
        """Those that are to be asked about first, then those who are kept."""
        yield from (self._kept[place].line for place in self._freed)
        yield self._back
        yield self._line
        yield from (group.line for group in self._kept.values() if not group.freed)

    @property
    def may_start(self) -> bool:
        """Whether it is worth calling `take`."""
        if not self.size or self.running >= self.concurrency or self.paused or self._shut is not None:
            return False  # without a size what stands in line was dropped
        return bool(self._line or self._back or self._freed)

    @property
    def next_time(self) -> float:
        """When `wake` is due: the earliest time that somebody waits for, or inf."""
        while self.timed and not _is_awaited(self.timed[0]):
            heappop(self.timed)
        return self.timed[0][0] if self.timed else inf

    def add(self, request: Request[Any], now: float) -> None:
        """Accept ``request``: it waits behind the others."""
        if self._dropped or self._index is not None:
            self._remember(request, now)
        else:
            self.size += 1
        line = self._line  # as line.put, without the call
        line.append(request)
        line.times.append(now)

    def give_back(self, request: Request[Any], now: float, delay: float = 0) -> None:
        """It was taken and not answered: it waits again, before those who came later, after ``delay`` seconds."""
        self._remember(request, now)
        if delay > 0:
            self._watch(now + delay, Waiting(request, now))
        else:
            self._back.put(request, now)

    def take(self, now: float) -> Request[Any] | None:
        """The next that may start, which it thereby does; None if nobody may. Call `finished` when it has ended."""
        if self.running >= self.concurrency or self.paused or self._shut is not None:
            return None
        while line := (self._line_of_freed() if self._freed else None) or self._back or self._line:
            if self._dropped and self._was_dropped(line[0].id):
                line.take()
            elif self._gates and self._keep_first(line, now):
                if self._shut is not None:
                    break
            else:
                request = line.take()
                self.accepted = line.accepted
                if self._freed:
                    self._line_of_freed()  # `may_start` counts on it that none of them is empty
                self.running += 1
                self.size -= 1
                if self._index is not None:
                    del self._index[request.id]
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
        """Ask again about those whom ``gate`` keeps for ``on``."""
        place = gate, on
        if place in self._kept:
            self._free(place)
            self.on_ready()

    def wake(self, now: float) -> None:
        """Ask again about those whose time has come."""
        woken = False
        while self.next_time <= now:
            _, _, one = heappop(self.timed)
            woken = True
            if isinstance(one, _Group):
                self._free(one.place)
            else:
                self._back.put(*one)
        if woken:
            self.on_ready()

    def drop(self, request_id: str) -> None:
        """Let go of a request that is known to wait here; of several with this id, of one."""
        self._dropped[request_id] = self._dropped.get(request_id, 0) + 1
        self._forget(request_id)
        if len(self._dropped) > _SWEEP_FROM + self.size + 2 * self._not_swept:
            self._sweep_dropped()

    def find(self, request_id: str) -> Waiting | None:
        """A request of this id, if one waits. The first call looks at all of them, later ones at a table."""
        if self._index is not None:
            return self._index.get(request_id)
        index = {one.request.id: one for one in self._everyone()}
        if len(index) == self.size:  # else two have one id, and a table could not say whether the other still waits
            self._index = index
        return index.get(request_id)

    def why(self, request_id: str) -> str:
        """What keeps the request of this id waiting, for a person; it visits those who are kept."""
        for group in self._kept.values():
            if not group.freed and any(one.request.id == request_id for one in group.line.waiting()):
                return group.why
        for _, _, one in self.timed:
            if isinstance(one, Waiting) and one.request.id == request_id:
                return "was given back with a delay"
        if self.paused:
            return "paused"
        return "waits for its turn" if self._shut is None else self._shut.why

    def close(self) -> None:
        """Hear no more from the gates."""
        for gate in self._gates:
            gate._leave(self)

    # --- who waits

    def _remember(self, request: Request[Any], now: float) -> None:
        if self._dropped and request.id in self._dropped:
            self._remove_dropped(request.id)
        self.size += 1
        if self._index is not None:
            if request.id in self._index:
                self._index = None
            else:
                self._index[request.id] = Waiting(request, now)

    def _forget(self, request_id: str) -> None:
        self.size -= 1
        if self._index is not None:
            del self._index[request_id]

    def _was_dropped(self, request_id: str) -> bool:
        """Whether one of this id is to be skipped, which the caller then does."""
        left = self._dropped.pop(request_id, 0)
        if left > 1:
            self._dropped[request_id] = left - 1
        return left > 0

    def _remove_dropped(self, request_id: str) -> None:
        """Take out at last what was dropped: one of the same id comes, and would be skipped in its place."""
        left = self._dropped.pop(request_id)
        for line in self._lines():
            left -= line.take_out(request_id, left)
        if left:
            self.timed = [
                entry for entry in self.timed if isinstance(entry[2], _Group) or entry[2].request.id != request_id
            ]
            heapify(self.timed)

    def _sweep_dropped(self) -> None:
        """Take out what was dropped before it is most of what is here, for its turn may be long in coming."""
        for line in self._lines():
            for _ in range(len(line)):
                request = line.take()
                if not self._was_dropped(request.id):
                    line.put(request, line.accepted)
        if self._freed:
            self._line_of_freed()  # lets go of groups that are empty now
        self._not_swept = len(self._dropped)

    # --- who is kept

    def _keep_first(self, line: _Line, now: float) -> bool:
        """Ask about the first of ``line``; whether a gate keeps it, and it is seen to."""
        request = line[0]
        for gate in self._gates:
            hold = gate.ask(request, now)
            if hold is not None:
                self._keep(line, (gate, hold.on), hold)
                return True
        return False

    def _keep(self, line: _Line, place: tuple[Gate, Hashable], hold: Hold) -> None:
        group = self._kept.get(place)
        if group is None:
            group = self._kept[place] = _Group(place)
        if group.line is line:  # it was freed, but not enough for the first: so for none of them
            group.freed = False
            self._freed.popleft()
        else:
            request = line.take()
            group.line.put(request, line.accepted)
        group.why = hold.why
        if hold.until < group.until:
            group.until = hold.until
            self._watch(hold.until, group)
        if hold.everyone:
            self._shut = group

    def _free(self, place: tuple[Gate, Hashable]) -> None:
        group = self._kept[place]
        group.until = inf
        if group is self._shut:
            self._shut = None
        if not group.freed:
            group.freed = True
            self._freed.append(place)

    def _line_of_freed(self) -> _Line | None:
        """The first freed group that is not empty yet."""
        while self._freed:
            line = self._kept[self._freed[0]].line
            if line:
                return line
            self._kept.pop(self._freed.popleft()).until = inf
        return None

    def _watch(self, time: float, one: _Group | Waiting) -> None:
        """Have `wake` see to it; what is not awaited any more is swept out before there is too much of it."""
        if len(self.timed) >= self._sweep_at:
            self.timed = [entry for entry in self.timed if _is_awaited(entry)]
            heapify(self.timed)
            self._sweep_at = _SWEEP_FROM + 2 * len(self.timed)
        heappush(self.timed, (time, self._sequence(), one))


_SWEEP_FROM = 64  # entries; below it is not worth looking how many of them are still awaited


def _is_awaited(entry: tuple[float, int, _Group | Waiting]) -> bool:
    """Whether its time still means something: a group may have been freed before."""
    time, _, one = entry
    return isinstance(one, Waiting) or one.until == time


def _nobody() -> None:
    """Nobody needs to know."""
