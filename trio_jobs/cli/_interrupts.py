"""SIGINT and SIGTERM: the first asks to stop, the second cancels, the third ends the process whatever it is doing.

`trio.open_signal_receiver` would hear nothing while a job blocks Trio's loop, and takes two signals that come close
together for one.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

import trio

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LAST = 3


class Interrupts:
    """The signals that have come so far. Made by `open_interrupts`."""

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        """Which signal came first, if one came."""
        self._count = 0
        self._news = trio.Event()

    async def wait(self, count: int) -> None:
        """Wait until this many have come."""
        await trio.lowlevel.checkpoint()
        while self._count < count:
            await self._news.wait()

    def arrived(self, number: int) -> int:
        """Count one more; called between any two instructions of the main thread."""
        self.first = self.first or signal.Signals(number)
        self._count += 1
        return self._count

    def tell(self) -> None:
        """Wake who waits."""
        self._news.set()
        self._news = trio.Event()


@contextmanager
def open_interrupts(before_the_end: Callable[[], object]) -> Generator[Interrupts]:
    """Receive signals for the length of a block, in the main thread.

    Args:
        before_the_end: Called when the third comes, before the process ends by it. It must not print through objects
            that may be in the middle of printing.
    """
    token = trio.lowlevel.current_trio_token()
    interrupts = Interrupts()

    def handle(number: int, _: FrameType | None) -> None:
        if interrupts.arrived(number) < _LAST:
            token.run_sync_soon(interrupts.tell)
            return
        before_the_end()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    previous = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield interrupts
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
