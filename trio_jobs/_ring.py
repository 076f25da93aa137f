"""What many receivers have still to read, kept once: a window of items and a count of who stands where.

1. An item has a position for ever. The window keeps those from `tail` to `head`; a receiver is a number, the position
   of what it reads next.
2. Receivers are counted per position, never items per receiver. So adding an item costs the same however many are
   behind, and reading many costs two counts.
3. What somebody has still to read stays, and the last ``max_replay`` besides, never more than ``max_size`` in all.
4. A full window overtakes who stands on its oldest item: DROP_OLDEST is pushed along, DISCONNECT is forgotten. Nobody
   overtakes BLOCK: then `append` adds nothing.
"""

from __future__ import annotations

import enum
from typing import Generic, TypeVar, cast

T = TypeVar("T")


class Overflow(enum.Enum):
    """What happens when a receiver of a broadcast is a whole buffer behind and the next item comes."""

    BLOCK = "block"
    """`send` waits for it: nothing is lost, and the slowest sets the pace."""
    DROP_OLDEST = "drop_oldest"
    """It loses the oldest item; its next receive says how many in `Lagged`, then it goes on."""
    DISCONNECT = "disconnect"
    """It is cut off: its next receive raises `Disconnected`, and so does every later one."""


# Three counts in one int, so that moving is one look-up and one addition whatever the policy.
_BITS = 30
_ONE_FIELD = (1 << _BITS) - 1
WEIGHTS = {
    Overflow.BLOCK: 1,
    Overflow.DROP_OLDEST: 1 << _BITS,
    Overflow.DISCONNECT: 1 << 2 * _BITS,
}
_BLOCK = _ONE_FIELD * WEIGHTS[Overflow.BLOCK]
_DISCONNECT = _ONE_FIELD * WEIGHTS[Overflow.DISCONNECT]


class Ring(Generic[T]):
    """The items of one broadcast, and where its receivers stand. What a receiver may do is up to the caller."""

    __slots__ = ("_base", "_items", "head", "max_replay", "max_size", "receivers", "standing", "tail")

    def __init__(self, max_size: float, max_replay: int) -> None:
        self.max_size = max_size
        self.max_replay = max_replay
        self.head = 0
        """The position of the next item to come."""
        self.tail = 0
        """The position of the oldest item kept."""
        self.standing: dict[int, int] = {}
        """Who reads next at a position, as packed counts; positions with nobody are absent."""
        self.receivers = 0
        """All of them, as packed counts."""
        # A list whose front is deleted now and then instead of one that wraps around: as cheap, and a slice is a slice.
        self._items: list[T | None] = []
        self._base = 0  # position of _items[0]

    def __len__(self) -> int:
        return self.head - self.tail

    def count(self, overflow: Overflow) -> int:
        """How many receivers have this policy and are not cut off."""
        return self.receivers // WEIGHTS[overflow] & _ONE_FIELD

    @property
    def unread(self) -> int:
        """How many items somebody has still to read."""
        return self.head - min(self.standing, default=self.head)

    @property
    def blocked(self) -> int:
        """How many BLOCK receivers are in the way of the next `append`."""
        if self.head - self.tail < self.max_size:
            return 0
        return self.standing.get(self.tail, 0) & _BLOCK

    def append(self, item: T) -> bool:
        """Add an item, unless it is `blocked`; whether it was added."""
        head, tail = self.head, self.tail
        if head == tail and not self.standing and not self.max_replay:  # nobody is there to read it
            self.head = self.tail = self._base = head + 1
            return True
        if head - tail >= self.max_size:
            if tail in self.standing and not self._overtake(tail):
                return False
            index = tail - self._base
            tail += 1
            if 2 * index < len(self._items):  # as _forget(tail), which is not called for every item
                self._items[index] = None
                self.tail = tail
            else:
                self._forget(tail)
        self._items.append(item)
        self.head = head + 1
        if head - tail >= self.max_replay and tail not in self.standing:
            self._release()
        return True

    def slice(self, position: int, count: int) -> list[T]:
        """``count`` items from ``position`` on, all of them kept."""
        index = position - self._base
        return cast("list[T]", self._items[index : index + count])

    def last(self, count: int) -> list[T]:
        """The newest items, at most ``count``, oldest first."""
        start = max(self.tail, self.head - count)
        return self.slice(start, self.head - start)

    # A receiver that was overtaken counts at the tail, for that is what it reads next, or nowhere if it is cut off.

    def enter(self, position: int, weight: int) -> None:
        """Somebody subscribes at ``position``."""
        if position < self.tail:
            if weight & _DISCONNECT:
                return
            position = self.tail
        self.receivers += weight
        self.standing[position] = self.standing.get(position, 0) + weight

    def leave(self, position: int, weight: int) -> None:
        """Who stood at ``position`` is gone."""
        if position < self.tail:
            if weight & _DISCONNECT:
                return
            position = self.tail
        self.receivers -= weight
        left = self.standing[position] - weight
        if left:
            self.standing[position] = left
        else:
            self._vacate(position)

    def read(self, position: int, count: int, weight: int) -> list[T]:
        """Who stands at ``position``, and was not overtaken, reads ``count`` items and goes on."""
        standing, there = self.standing, position + count
        standing[there] = standing.get(there, 0) + weight
        index = position - self._base
        items = cast("list[T]", self._items[index : index + count])
        left = standing[position] - weight
        if left:
            standing[position] = left
        else:
            self._vacate(position)
        return items

    def _vacate(self, position: int) -> None:
        del self.standing[position]
        if position == self.tail and self.head - position > self.max_replay:
            self._release()

    def _overtake(self, tail: int) -> bool:
        """Let the oldest item go although somebody has still to read it; not if that is a BLOCK receiver."""
        standing = self.standing
        overtaken = standing[tail]
        if overtaken & _BLOCK:
            return False
        del standing[tail]
        cut_off = overtaken & _DISCONNECT
        if cut_off:
            self.receivers -= cut_off
            overtaken -= cut_off
        if overtaken:
            standing[tail + 1] = standing.get(tail + 1, 0) + overtaken
        return True

    def _release(self) -> None:
        """Let go of what everybody has read, but for the last ``max_replay``."""
        standing, position, end = self.standing, self.tail, self.head - self.max_replay
        while position < end and position not in standing:
            position += 1
        self._forget(position)

    def _forget(self, position: int) -> None:
        """Keep nothing before ``position``."""
        items = self._items
        gone = position - self._base
        if 2 * gone > len(items):  # then fewer items move up than have gone since the last time
            del items[:gone]
            self._base = position
        else:
            items[self.tail - self._base : gone] = [None] * (position - self.tail)
        self.tail = position
