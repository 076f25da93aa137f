"""Lines on their way to a descriptor."""

from __future__ import annotations

import os
import select
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_jobs.cli import _output
from trio_jobs.cli._output import open_output


@attrs.define
class Pipe:
    reader: int
    writer: int

    def read(self) -> bytes:
        """What there is."""
        return os.read(self.reader, 1 << 20)

    def read_until(self, end: bytes) -> None:
        """Wait for the one who writes."""
        while not self.read().endswith(end):
            pass

    def fill(self) -> int:
        """Write until nothing more fits; how much that was."""
        os.set_blocking(self.writer, False)
        filled = 0
        while True:
            try:
                filled += os.write(self.writer, b"." * 4096)
            except BlockingIOError:
                os.set_blocking(self.writer, True)
                return filled


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe; the test may close its ends."""
    pipe = Pipe(*os.pipe())
    yield pipe
    for descriptor in (pipe.reader, pipe.writer):
        if descriptor >= 0:
            os.close(descriptor)


async def test_a_line_is_written_while_the_block_still_runs(pipe: Pipe) -> None:
    """A reader need not wait for the end."""
    os.set_blocking(pipe.reader, False)
    async with open_output(pipe.writer) as output:
        await output.write(b"one\n")
        await output.flush()

        assert pipe.read() == b"one\n"


async def test_a_flush_waits_for_what_is_being_written(pipe: Pipe) -> None:
    """Also when nothing more is behind it."""
    filled = pipe.fill()
    async with open_output(pipe.writer) as output:
        await output.write(b"one\n")
        while output._unwritten:
            await trio.lowlevel.checkpoint()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(output.flush)
            await wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1

            assert os.read(pipe.reader, filled) == b"." * filled


async def test_the_end_waits_until_all_is_written(pipe: Pipe) -> None:
    """In the order in which it was handed over."""
    async with open_output(pipe.writer) as output:
        for number in range(1000):
            await output.write(b"%d\n" % number)
        output.write_nowait(b"last\n")

    assert pipe.read() == b"".join(b"%d\n" % number for number in range(1000)) + b"last\n"


async def test_an_empty_output_ends_at_once(pipe: Pipe) -> None:
    """Nothing was said, nothing is written."""
    async with open_output(pipe.writer):
        pass

    os.close(pipe.writer)
    pipe.writer = -1
    assert pipe.read() == b""


async def test_a_slow_reader_holds_up_whoever_writes(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unwritten is bounded."""
    monkeypatch.setattr(_output, "_MOST_UNWRITTEN", 10)
    filled = pipe.fill()
    async with open_output(pipe.writer) as output:
        async with trio.open_nursery() as nursery:
            await output.write(b"taken\n")
            while output._unwritten:
                await trio.lowlevel.checkpoint()
            nursery.start_soon(output.write, b"more than ten bytes\n")
            await wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1

            assert os.read(pipe.reader, filled) == b"." * filled

    assert pipe.read() == b"taken\nmore than ten bytes\n"


async def test_a_cancelled_write_is_written_all_the_same(pipe: Pipe) -> None:
    """What was handed over is not forgotten."""
    async with open_output(pipe.writer) as output:
        with trio.CancelScope() as scope:
            scope.cancel()
            await output.write(b"one\n")

    assert scope.cancelled_caught
    assert pipe.read() == b"one\n"


async def test_a_cancelled_block_still_writes(pipe: Pipe) -> None:
    """What was said before is to be read."""
    with trio.CancelScope() as scope:
        async with open_output(pipe.writer) as output:
            output.write_nowait(b"one\n")
            scope.cancel()
            await trio.lowlevel.checkpoint()

    assert pipe.read() == b"one\n"


async def test_a_cancelled_block_waits_a_second_for_who_does_not_read(
    pipe: Pipe, autojump_clock: trio.testing.MockClock
) -> None:
    """Then it ends, whatever is unwritten."""
    pipe.fill()
    start = trio.current_time()

    with trio.CancelScope() as scope:
        async with open_output(pipe.writer) as output:
            output.write_nowait(b"one\n")
            scope.cancel()
            await trio.lowlevel.checkpoint()

    assert trio.current_time() == start + 1
    pipe.read_until(b"one\n")  # by the thread that was left behind


async def test_a_block_can_be_told_to_hurry(pipe: Pipe, autojump_clock: trio.testing.MockClock) -> None:
    """It then waits no longer than a cancelled one."""
    pipe.fill()
    start = trio.current_time()

    async with open_output(pipe.writer) as output:
        output.write_nowait(b"one\n")
        output.hurry()

    assert trio.current_time() == start + 1
    pipe.read_until(b"one\n")


async def test_a_reader_that_goes_away_cancels_the_block(pipe: Pipe) -> None:
    """With a BrokenPipeError, alone."""
    os.close(pipe.reader)
    pipe.reader = -1

    with pytest.raises(BrokenPipeError):
        async with open_output(pipe.writer) as output:
            output.write_nowait(b"one\n")
            await trio.sleep_forever()


async def test_a_pipe_that_another_program_made_nonblocking_is_waited_for(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no error that it is full."""
    filled = pipe.fill()
    os.set_blocking(pipe.writer, False)
    really_select = select.select

    def read_then_select(to_read: list[int], to_write: list[int], failing: list[int]) -> object:
        assert os.read(pipe.reader, filled) == b"." * filled
        return really_select(to_read, to_write, failing)

    monkeypatch.setattr(select, "select", read_then_select)
    async with open_output(pipe.writer) as output:
        output.write_nowait(b"one\n")

    assert pipe.read() == b"one\n"


async def test_a_shared_terminal_is_written_to_at_once_between_what_it_shows(pipe: Pipe) -> None:
    """No thread: the display is hidden until the lines are there."""
    seen: list[object] = []

    @contextmanager
    def hidden() -> Generator[None]:
        seen.append("hide")
        yield
        seen.append(pipe.read())

    async with open_output(pipe.writer, around=hidden) as output:
        await output.write(b"one\n")

    assert seen == ["hide", b"one\n"]
