"""What a person sees: never a reason to fail."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator

import pytest
from rich.console import Console

from trio_jobs.cli._screen import is_live, open_screen, printable, say


@pytest.fixture
def broken_stream() -> Iterator[io.TextIOWrapper]:
    """A stream into a pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        yield stream


def ascii_stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)


def test_what_nobody_reads_is_lost_without_an_error(broken_stream: io.TextIOWrapper) -> None:
    """Neither when it is printed nor when Python flushes the stream at its end."""
    console = open_screen(broken_stream)

    say(console, "x" * 100_000)
    say(console, "y")
    broken_stream.flush()


def test_flushing_a_broken_stream_is_no_error_either(broken_stream: io.TextIOWrapper) -> None:
    """What was written before may be what does not get through."""
    broken_stream.write("left in the buffer")

    open_screen(broken_stream).file.flush()


def test_a_closed_stream_shows_nothing() -> None:
    """The shell's `2>&-` makes it None."""
    console = open_screen(None)

    say(console, "lost")

    assert not is_live(console)


def test_letters_that_the_stream_has_not_are_escaped() -> None:
    """A terminal of another age shows what it can."""
    stream = ascii_stream()

    say(open_screen(stream), "grün")
    stream.seek(0)

    assert stream.read() == "gr\\xfcn\n"


def test_a_stream_keeps_its_encoding_and_descriptor() -> None:
    """Which rich asks for, to know what can be drawn."""
    reader, writer = os.pipe()
    with os.fdopen(reader), os.fdopen(writer, "w", encoding="latin-1") as stream:
        console = open_screen(stream)

        assert console.encoding == "latin-1"
        assert console.file.fileno() == writer
        assert not is_live(console)


@pytest.mark.parametrize(("term", "live"), [("xterm", True), ("dumb", False)])
def test_a_terminal_is_live_unless_it_can_only_print(term: str, live: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As TERM says."""
    monkeypatch.setenv("TERM", term)
    leader, follower = os.openpty()
    with os.fdopen(leader), os.fdopen(follower, "w") as stream:
        assert is_live(open_screen(stream)) is live


def test_lines_are_not_wrapped(console: Console, said: Callable[[], str]) -> None:
    """A log has a message on one line."""
    line = " ".join(["word"] * 50)

    say(console, line)

    assert said() == f"{line}\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("[bold]ü", "[bold]ü"), ("a\n\tb", "a\n\tb"), ("\x1b[31m\r", "\\x1b[31m\\r"), ("\udcff", "\\udcff")],
)
def test_what_a_terminal_would_obey_is_escaped(
    text: str, shown: str, console: Console, said: Callable[[], str]
) -> None:
    """A file's name must not take over the screen; brackets are no markup."""
    say(console, text)

    assert printable(text) == shown
    assert said() == f"{shown.expandtabs()}\n"
