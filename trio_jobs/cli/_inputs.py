"""Where requests come from: lines, JSON lines, or the files under folders; read no faster than they are run.

1. Reading blocks, so a thread does it, a chunk of bytes or some hundred names at a time, and is
   not waited for once nobody wants its answer: a terminal on which nobody types does not keep the
   command from ending.
2. What cannot be read, a line or a folder, is an input that failed. The others go on.
"""

from __future__ import annotations

import json
import os
import select
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NoReturn, Protocol, TypeAlias

import attrs
import trio

from .._error_info import ErrorInfo
from ._did_you_mean import did_you_mean
from ._exit_code import WrongUse

Form: TypeAlias = Literal["lines", "json", "files"]

STDIN = "-"

_CHUNK = 65_536  # bytes that are read in one go
_NAMES = 256  # names of files, likewise
_BOM = b"\xef\xbb\xbf"


@attrs.frozen
class Input:
    """What the job is given once, and what the output says of it."""

    body: Any
    """The request's body: a str, what JSON has, or a Path."""
    text: str
    """The same as JSON, as it stands in the output; the job may have changed the body by then."""
    place: str
    """Where it is from, for messages: ``numbers.txt:3``, or the path."""
    weight: int
    """How much of the total it is: bytes, or 1 for a file."""


@attrs.frozen
class BadInput:
    """What could not be read, so no job ran for it."""

    error: ErrorInfo
    """Why."""
    text: str
    """What there was instead, as JSON."""
    place: str
    """Where it is, for messages."""
    weight: int
    """How much of the total it is."""


Item: TypeAlias = Input | BadInput


@attrs.frozen
class FileId:
    """What a file is, under whatever name."""

    device: int
    number: int

    @classmethod
    def of(cls, found: os.stat_result) -> FileId | None:
        """The identity of a regular file; None for pipes, terminals and the like."""
        return cls(found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


class _Source(Protocol):
    def batches(self) -> Iterator[Iterable[Item]]:
        """The inputs, some at a time; advancing it blocks."""
        ...

    def total(self) -> int | None:
        """The weight of all, if it can be known beforehand; blocks."""
        ...


class Inputs:
    """The inputs one by one, in the order in which they are there."""

    def __init__(self, sources: Iterable[_Source], *, reads_stdin: bool = False) -> None:
        self.reads_stdin = reads_stdin
        """Whether standard input is among what is read."""
        self._sources = list(sources)
        self._batches = (batch for source in self._sources for batch in source.batches())
        self._batch: Iterator[Item] = iter(())

    def __aiter__(self) -> Inputs:
        return self

    async def __anext__(self) -> Item:
        """The next input. Cancelled, what was being read is lost, so do not go on."""
        await trio.lowlevel.checkpoint()
        while (item := next(self._batch, None)) is None:
            batch = await trio.to_thread.run_sync(next, self._batches, None, abandon_on_cancel=True)
            if batch is None:
                raise StopAsyncIteration
            self._batch = iter(batch)
        return item

    async def total(self) -> int | None:
        """The weight of all, or None where that shows only at the end."""
        await trio.lowlevel.checkpoint()
        weights = [await trio.to_thread.run_sync(source.total, abandon_on_cancel=True) for source in self._sources]
        known = [weight for weight in weights if weight is not None]
        return sum(known) if len(known) == len(weights) else None


def open_inputs(names: Sequence[str], form: Form | None, *, stdin: int | None, output: FileId | None) -> Inputs:
    """The inputs that these names stand for; nothing is read yet.

    Args:
        names: Files, folders or ``-`` for standard input; none is the same as that.
        form: What an input is; by default the files under folders, and the lines of all else.
        stdin: The descriptor of standard input; None if that is closed.
        output: The file that is written, which must not be read at the same time.

    Raises:
        WrongUse: A name is not there, or does not go with the form or the others.
    """
    for name in names:
        if name != STDIN and not os.path.lexists(name):
            raise WrongUse(f'no file or folder "{name}"{_similar(name)}')
    if (form or _usual_form(names)) == "files":
        return Inputs(_Files(Path(name), output) for name in _checked_paths(names))
    parse = _parse_json if form == "json" else _parse_line
    sources = [_Lines(name, stdin, parse) for name in names or [STDIN]]
    for source in sources:
        _check_readable(source, output)
    return Inputs(sources, reads_stdin=any(source.name == STDIN for source in sources))


def _usual_form(names: Sequence[str]) -> Form:
    folders = [name for name in names if os.path.isdir(name)]
    others = [name for name in names if name not in folders]
    if folders and others:
        raise WrongUse(
            f'"{folders[0]}" is a folder and "{others[0]}" is none: '
            "add --from files to run the job on paths, or name files only to run it on their lines"
        )
    return "files" if folders else "lines"


def _checked_paths(names: Sequence[str]) -> Sequence[str]:
    if not names or STDIN in names:
        raise WrongUse("--from files wants files or folders: name them after the job, as in `.`")
    return names


def _check_readable(source: _Lines, output: FileId | None) -> None:
    if source.name != STDIN and os.path.isdir(source.name):
        raise WrongUse(f'"{source.name}" is a folder, which has no lines: use --from files')
    found = source.stat()
    if found is None:
        raise WrongUse("standard input is closed: name files after the job")
    if output is not None and FileId.of(found) == output:
        raise WrongUse(f'"{source.name}" is the output too: write to another file')


def _similar(name: str) -> str:
    path = Path(name)
    there = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    return did_you_mean(path.name, sorted(there))


# --- lines


@attrs.frozen
class _Lines:
    """The lines of a file."""

    name: str
    stdin: int | None
    parse: Callable[[bytes, str], Item | None]

    def batches(self) -> Iterator[Iterable[Item]]:
        place = "stdin" if self.name == STDIN else self.name
        number = 0
        try:
            for lines in whole_lines(self._chunks()):
                if number == 0:
                    lines[0] = lines[0].removeprefix(_BOM)
                yield self._items(lines, place, number + 1)
                number += len(lines)
        except OSError as error:
            yield [BadInput(_described(error), json.dumps(place), place, 0)]

    def _items(self, lines: list[bytes], place: str, first: int) -> Iterator[Item]:
        for number, line in enumerate(lines, first):
            item = self.parse(line, f"{place}:{number}")
            if item is not None:
                yield item

    def _chunks(self) -> Iterator[bytes]:
        if self.name == STDIN:
            assert self.stdin is not None
            # Not through sys.stdin, in which a thread that is left behind would hold a lock that
            # Python wants when it ends.
            yield from _chunks_of(self.stdin)
        else:
            with open(self.name, "rb", buffering=0) as file:
                yield from _chunks_of(file.fileno())

    def stat(self) -> os.stat_result | None:
        """What the system says of it; None for a closed standard input."""
        if self.name != STDIN:
            return os.stat(self.name)
        return None if self.stdin is None else os.fstat(self.stdin)

    def total(self) -> int | None:
        """The bytes, if it is a regular file."""
        found = self.stat()
        return found.st_size if found is not None and stat.S_ISREG(found.st_mode) else None


def _chunks_of(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:  # another program made the terminal or pipe non-blocking
            select.select([descriptor], [], [])
            continue
        if not chunk:
            return
        yield chunk


def whole_lines(chunks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The lines that each chunk completes, without their ends; the last may lack its end."""
    begun: list[bytes] = []
    for chunk in chunks:
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = b"".join([*begun, lines[0]])
            begun = []
            yield lines
        begun.append(rest)
    last = b"".join(begun)
    if last:
        yield [last]


def _parse_line(line: bytes, place: str) -> Item:
    weight = len(line) + 1
    try:
        text = line.removesuffix(b"\r").decode()
    except UnicodeDecodeError as error:
        return BadInput(_described(error), json.dumps(_shown(line)), place, weight)
    return Input(text, json.dumps(text, ensure_ascii=False), place, weight)


def _parse_json(line: bytes, place: str) -> Item | None:
    weight = len(line) + 1
    if not line.strip():
        return None
    try:
        text = line.decode().strip()
        return Input(json.loads(text, parse_constant=_refuse), text, place, weight)
    except (ValueError, RecursionError) as error:
        return BadInput(_described(error, place), json.dumps(_shown(line)), place, weight)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"JSON has no {constant}")


def _shown(line: bytes) -> str:
    return line.decode(errors="backslashreplace")


def _described(error: Exception, place: str | None = None) -> ErrorInfo:
    """Without a traceback, which would be of our own code."""
    described = attrs.evolve(ErrorInfo.from_exception(error), frames=(), cause=None)
    if place is None:
        return described
    return attrs.evolve(described, message=f"{place} is no JSON: {described.message}")


# --- files


@attrs.frozen
class _Files:
    """A file, or all the files under a folder."""

    root: Path
    output: FileId | None

    def batches(self) -> Iterator[Iterable[Item]]:
        items = self._walk()
        while batch := list(islice(items, _NAMES)):
            yield batch

    def total(self) -> int | None:
        """How many there are."""
        return sum(item.weight for item in self._walk())

    def _walk(self) -> Iterator[Item]:
        """Sorted by name, a folder's content at the folder's place.

        What is named is taken whatever it is. Below that, hidden entries, __pycache__, links and
        what is no file (pipes, sockets) are left out, and so is the output.
        """
        to_visit = [(self.root, self.root.is_dir())]
        while to_visit:
            path, is_folder = to_visit.pop()
            if not is_folder:
                name = str(path)
                yield Input(path, json.dumps(name, ensure_ascii=False), name, 1)
                continue
            try:
                entries = sorted(os.scandir(path), key=lambda entry: entry.name, reverse=True)
            except OSError as error:
                yield BadInput(_described(error), json.dumps(str(path)), str(path), 0)
                continue
            to_visit += [(path / entry.name, entry.is_dir()) for entry in entries if self._is_wanted(entry)]

    def _is_wanted(self, entry: os.DirEntry[str]) -> bool:
        if entry.name.startswith(".") or entry.name == "__pycache__" or entry.is_symlink():
            return False
        if entry.is_dir():
            return True
        if self.output is not None and entry.inode() == self.output.number:
            return FileId.of(entry.stat()) != self.output
        return entry.is_file()
