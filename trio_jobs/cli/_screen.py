"""What a person sees on standard error, or reads in a log: never a reason to fail."""

from __future__ import annotations

import os
from typing import TextIO

from rich.console import Console
from rich.text import Text


class _Forgiving:
    """A stream whose reader may go away: what is written then is lost."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:
        return self._stream.encoding

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            return self.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except OSError:  # it stays in a buffer: the flush that comes next sees to that
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            silence(self._stream)


def silence(stream: TextIO) -> None:
    """Let what was or will be written to ``stream`` go nowhere.

    Python flushes its streams once more when it ends, and complains about those that are broken.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def open_screen(stream: TextIO | None) -> Console:
    """A console on this stream, which is None where the shell closed it."""
    if stream is None:
        return Console(quiet=True, force_terminal=False)
    return Console(file=_Forgiving(stream), highlight=False, markup=False, emoji=False)  # type: ignore[arg-type]


def is_live(console: Console) -> bool:
    """Whether what was printed can be changed: it is a terminal, and not one that can only print."""
    return not console.quiet and console.file.isatty() and not console.is_dumb_terminal


def say(console: Console, text: str, style: str = "") -> None:
    """Print lines, wrapped by nobody but the terminal."""
    console.print(Text(printable(text), style=style), soft_wrap=True)


def printable(text: str) -> str:
    """``text`` with everything escaped that a terminal would obey, as names of files and errors may have it."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)
