"""Lines in the order of their inputs, although answers come in another."""

from __future__ import annotations

import attrs


@attrs.define
class InOrder:
    """Keeps lines back until all before them have come. What is kept is bounded by whoever numbers the inputs."""

    _early: dict[int, bytes] = attrs.field(factory=dict[int, bytes], init=False)
    _next: int = attrs.field(default=0, init=False)

    def put(self, number: int, line: bytes) -> list[bytes]:
        """The line of the input with this number, counted from 0, has come: the lines whose turn it is."""
        self._early[number] = line
        ready: list[bytes] = []
        while self._next in self._early:
            ready.append(self._early.pop(self._next))
            self._next += 1
        return ready


class AsCompleted:
    """Keeps nothing back."""

    def put(self, number: int, line: bytes) -> list[bytes]:
        """The line alone."""
        return [line]
