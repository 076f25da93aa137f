"""Where lines go: written as soon as they are there, by a thread, so a slow reader holds up nothing but the answers."""

from __future__ import annotations

import os
import select
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, asynccontextmanager

import trio

from .._single_error import single_error

_MOST_UNWRITTEN = 1 << 20  # bytes; beyond them `write` waits
_BETWEEN_WRITES = 0.01  # seconds in which lines gather: a thread for each would be most of the work
_LAST_WORDS = 1  # seconds that a reader who does not read is given once the run was broken off


class Output:
    """Lines on their way to a file descriptor. Made by `open_output`."""

    def __init__(self, descriptor: int, around: Callable[[], AbstractContextManager[object]] | None) -> None:
        self._descriptor = descriptor
        self._around = around
        self._unwritten = bytearray()
        self._writing = False
        self._closed = False
        self._something_new = trio.Event()
        self._taken = trio.Event()
        self._scope = trio.CancelScope(shield=True)

    def write_nowait(self, line: bytes) -> None:
        """Have it written, however much else is waiting."""
        self._unwritten += line
        self._something_new.set()

    async def write(self, line: bytes) -> None:
        """Have it written, and wait while too much is unwritten. Cancelled, it is written all the same."""
        self.write_nowait(line)
        await trio.lowlevel.checkpoint()
        while len(self._unwritten) > _MOST_UNWRITTEN:
            await self._taken.wait()

    async def flush(self) -> None:
        """Wait until everything is written."""
        await trio.lowlevel.checkpoint()
        while self._unwritten or self._writing:
            await self._taken.wait()

    def hurry(self) -> None:
        """Give a reader who does not read one second more, then give up what is not written."""
        self._scope.deadline = trio.current_time() + _LAST_WORDS

    def close(self) -> None:
        """Nothing more comes."""
        self._closed = True
        self._something_new.set()

    async def write_until_closed(self) -> None:
        """Write what there is, again and again; not to be cancelled, for what was said is to be read."""
        with self._scope:
            await trio.lowlevel.checkpoint()
            while not self._closed or self._unwritten:
                await self._something_new.wait()
                self._something_new = trio.Event()
                batch, self._unwritten = self._unwritten, bytearray()
                self._writing = True
                await self._write(batch)
                self._writing = False
                self._taken.set()
                self._taken = trio.Event()
                await trio.sleep(_BETWEEN_WRITES)

    async def _write(self, batch: bytearray) -> None:
        if self._around is None:
            await trio.to_thread.run_sync(_write_all, self._descriptor, batch, abandon_on_cancel=True)
        else:
            with self._around():
                _write_all(self._descriptor, batch)
            await trio.lowlevel.checkpoint()


@asynccontextmanager
async def open_output(
    descriptor: int, *, around: Callable[[], AbstractContextManager[object]] | None = None
) -> AsyncGenerator[Output]:
    """Write lines to ``descriptor``, which is not closed; the end of the block waits until all is written.

    After a block that was cancelled or failed a reader who does not read is waited for a second.

    Args:
        around: For a terminal that shows something else too: what to do around each write, which then happens at once.

    Raises:
        OSError: Writing failed, which cancels the block: a `BrokenPipeError` if the reader went away.
    """
    output = Output(descriptor, around)
    with single_error():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(output.write_until_closed)
            try:
                yield output
            except BaseException:
                output.hurry()
                raise
            finally:
                output.close()


def _write_all(descriptor: int, batch: bytearray) -> None:
    """Blocks until it is written."""
    with memoryview(batch) as left:
        written = 0
        while written < len(left):
            try:
                written += os.write(descriptor, left[written:])
            except BlockingIOError:  # another program made the terminal or pipe non-blocking
                select.select([], [descriptor], [])
