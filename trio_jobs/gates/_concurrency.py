"""A limit on how many requests run at the same time, over all processors that share it."""

from __future__ import annotations

from typing import Any

from .._arguments import check_int
from .._message import Request
from .._waiting_room import Gate, Hold

_SLOT = "slot"


class Concurrency(Gate):
    """At most ``limit`` requests run at the same time.

    A processor has a limit of its own, ``concurrency=``; this one is for several that share a scarce
    thing: give the same object to each. A request that waits for it holds no slot of its processor.

    Raises:
        TypeError, ValueError: ``limit`` is not an int of at least 1.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        check_int("limit", limit, least=1)
        self.limit = limit
        self.running: int = 0

    def __repr__(self) -> str:
        return f"<Concurrency {self.running}/{self.limit}>"

    def ask(self, request: Request[Any], now: float) -> Hold | None:
        """No while ``limit`` are running."""
        if self.running < self.limit:
            return None
        return Hold(_SLOT, f"waits for one of {self.limit} shared slots", everyone=True)

    def started(self, request: Request[Any], now: float) -> None:
        """It takes a slot."""
        self.running += 1

    def finished(self, request: Request[Any], now: float) -> None:
        """Its slot is free: those who waited are asked again, in order."""
        self.running -= 1
        self.free(_SLOT)
