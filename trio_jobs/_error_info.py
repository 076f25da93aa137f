"""What is kept of an exception once its job has ended: data, never the exception itself.

An exception object holds its traceback, the traceback its frames, a frame every local of a job. An `ErrorInfo`
holds code positions and text instead, so a response can be kept, broadcast to many and written to a wire.
"""

from __future__ import annotations

import linecache
from collections.abc import Sequence
from types import TracebackType
from typing import cast

import attrs

from ._single_error import is_group

MAX_TEXT = 4_096  # characters of a message or a note
MAX_FRAMES = 40  # per exception: the outermost and the innermost half each
MAX_RELATED = 16  # exceptions of one tree: causes, contexts and members of groups together


@attrs.frozen
class FrameInfo:
    """One line of a traceback."""

    filename: str
    """The file's name as its code object has it."""
    lineno: int
    """The line that was running, counted from 1; 0 where Python knows none."""
    function: str
    """The qualified name of the function."""

    def __str__(self) -> str:
        text = f'  File "{self.filename}", line {self.lineno}, in {self.function}'
        source = linecache.getline(self.filename, self.lineno).strip()
        return f"{text}\n    {source}" if source else text


@attrs.frozen
class ErrorInfo:
    """An exception as data: what failed, with what words, where.

    Sizes are limited: a text to 4,096 characters, a traceback to 40 lines, a tree of causes and groups to 16
    exceptions. What was left out is said in its place.
    """

    type_name: str
    """The class, qualified by its module unless it is a builtin: ``ValueError``, ``httpx.ReadTimeout``."""
    message: str = ""
    """What ``str(error)`` said."""
    frames: tuple[FrameInfo, ...] = ()
    """The traceback, outermost call first."""
    notes: tuple[str, ...] = ()
    """What was added with ``add_note``, and what the framework has to say of the circumstances."""
    cause: ErrorInfo | None = None
    """The exception that this one was raised from, or in whose handling it was raised."""
    errors: tuple[ErrorInfo, ...] = ()
    """The members, if it was an exception group."""

    @classmethod
    def from_exception(cls, error: BaseException, *, notes: tuple[str, ...] = ()) -> ErrorInfo:
        """Describe ``error``; no method of it that raises, loops or talks without end can do harm."""
        return _Describing().describe(error, notes)

    def __str__(self) -> str:
        return f"{self.type_name}: {self.message}" if self.message else self.type_name

    @property
    def traceback(self) -> str:
        """The traceback as Python prints one, causes first.

        Source lines are read when asked for, so they are those of the file as it is now.
        """
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        lines: list[str] = []
        if self.cause is not None:
            lines += [*self.cause._lines(), "", "which led to:", ""]
        if self.frames:
            lines.append("Traceback (most recent call last):")
        lines += [str(frame) for frame in self.frames]
        lines += [str(self), *self.notes]
        for number, member in enumerate(self.errors, 1):
            lines.append(f"  +-- {number} of {len(self.errors)}")
            lines += [f"  | {line}" for block in member._lines() for line in block.split("\n")]
        return lines


class _Describing:
    """One walk over an exception's causes and members, with what it may still spend."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def describe(self, error: BaseException, notes: tuple[str, ...] = ()) -> ErrorInfo:
        self._seen.add(id(error))
        cause = error.__cause__
        if cause is None and not error.__suppress_context__:
            cause = error.__context__
        members: tuple[BaseException, ...] = ()
        if is_group(error):
            members = error.exceptions
        return ErrorInfo(
            type_name=_type_name(type(error)),
            message=_text_of(error),
            frames=_frames_of(error.__traceback__),
            notes=(*_notes_of(error), *notes),
            cause=None if cause is None else self._related(cause),
            errors=tuple(info for member in members if (info := self._related(member)) is not None),
        )

    def _related(self, error: BaseException) -> ErrorInfo | None:
        if id(error) in self._seen or len(self._seen) > MAX_RELATED:
            return None
        if len(self._seen) == MAX_RELATED:
            self._seen.add(id(error))
            return ErrorInfo(_type_name(type(error)), "further causes and members were left out")
        return self.describe(error)


def _type_name(cls: type[BaseException]) -> str:
    if cls.__module__ == "builtins":
        return cls.__qualname__
    return f"{cls.__module__}.{cls.__qualname__}"


def _text_of(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as broken:  # a job's exception may do anything, that must not fail the processor
        return f"<its __str__ raised {type(broken).__name__}>"
    return shorten(text)


def _notes_of(error: BaseException) -> tuple[str, ...]:
    notes: object = getattr(error, "__notes__", ())
    if not isinstance(notes, list | tuple):
        return ()
    some = cast("Sequence[object]", notes)[:MAX_RELATED]
    return tuple(shorten(note) for note in some if isinstance(note, str))


def shorten(text: str, limit: int = MAX_TEXT) -> str:
    """``text`` if it has at most ``limit`` characters, else its beginning and how much is missing.

    Lone surrogates are escaped: they could not be encoded by whoever writes the text somewhere.
    """
    if len(text) > limit:
        text = f"{text[:limit]}… ({len(text) - limit} more characters)"
    return text.encode("utf-8", "backslashreplace").decode()


def _frames_of(traceback: TracebackType | None) -> tuple[FrameInfo, ...]:
    frames: list[FrameInfo] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        frames.append(FrameInfo(code.co_filename, traceback.tb_lineno or 0, code.co_qualname))
        traceback = traceback.tb_next
    if len(frames) > MAX_FRAMES:
        half = MAX_FRAMES // 2
        left_out = FrameInfo(f"<{len(frames) - MAX_FRAMES} frames left out>", 0, "...")
        frames = [*frames[:half], left_out, *frames[-half:]]
    return tuple(frames)
