"""What is kept of an exception once its job has ended: data, never the exception itself.

An exception object holds its traceback, the traceback its frames, a frame every local of a job. An `ErrorInfo`
holds code positions and text instead, so a response can be kept, broadcast to many and written to a wire.
"""

from __future__ import annotations

import linecache
from collections.abc import Sequence
from functools import lru_cache
from types import TracebackType
from typing import cast

import attrs

from ._record import Record, draft_of
from ._single_error import is_group

MAX_TEXT = 4_096  # characters of a message or a note
MAX_NAME = 256  # characters of a type's, a file's or a function's name
MAX_FRAMES = 40  # per exception: the outermost and the innermost half each
MAX_RELATED = 16  # exceptions of one tree: causes, contexts and members of groups together
MAX_BYTES = 48_000  # of all texts of one tree, in UTF-8; to say what was left out comes on top: below 64 KiB in all

FEW_FRAMES = 12  # their names and that of a type, each of MAX_NAME characters, need not be counted beside a MAX_TEXT
FRAMES_KEPT = 1_024  # lines of code in which something was raised lately


@attrs.frozen(weakref_slot=False, eq=False, repr=False)
class FrameInfo(Record):
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


@attrs.frozen(weakref_slot=False, eq=False, repr=False)
class ErrorInfo(Record):
    """An exception as data: what failed, with what words, where.

    Sizes are limited: a text to 4,096 characters, a traceback to 40 lines, a tree of causes and groups to 16
    exceptions and 64 KiB. What was left out is said in its place.
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
    def from_exception(cls, error: BaseException, *, notes: tuple[str, ...] = (), skip_frames: int = 0) -> ErrorInfo:
        """Describe ``error``; nothing that it says, raises or refers to can do harm.

        Args:
            error: What was raised.
            notes: To be added to its own.
            skip_frames: How many of its outermost frames are of no interest, such as that of whoever catches it.
        """
        try:
            text, frames = _text_of(error), _frames_of(_inside(error.__traceback__, skip_frames))
            if not notes and _is_usual(error, text, frames):
                return _usual_info(_type_name(type(error)), text, tuple(frames))
            return _Describing().describe(error, text, frames, notes)
        except KeyboardInterrupt:  # meant for the program, not of the error's making
            raise
        except BaseException as broken:  # a job's exception may do anything, that must not fail the processor
            return cls(_type_name(type(error)), f"<describing it raised {_type_name(type(broken))}>")

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


def _is_usual(error: BaseException, text: str, frames: list[FrameInfo]) -> bool:
    """Whether it is what almost every error is: alone, raised not deep down, with a short ASCII text.

    Where no limit of its parts is reached, that of the whole is not either, so nothing need be counted.
    """
    return (
        len(frames) <= FEW_FRAMES
        and type(text) is str
        and len(text) <= MAX_TEXT
        and text.isascii()
        and error.__cause__ is None
        and (error.__context__ is None or error.__suppress_context__)
        and not isinstance(error, BaseExceptionGroup)
        and getattr(error, "__notes__", None) is None
    )


_ErrorInfoDraft = draft_of(ErrorInfo)


def _usual_info(type_name: str, message: str, frames: tuple[FrameInfo, ...]) -> ErrorInfo:
    """The same as `ErrorInfo`."""
    draft = _ErrorInfoDraft()
    draft.type_name = type_name
    draft.message = message
    draft.frames = frames
    draft.notes = ()
    draft.cause = None
    draft.errors = ()
    draft.__class__ = ErrorInfo
    info: ErrorInfo = draft
    return info


class _Describing:
    """One walk over an exception's causes and members, with what it may still spend; what comes first gets most."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._bytes_left = MAX_BYTES

    def describe(
        self, error: BaseException, text: str, frames: list[FrameInfo], notes: tuple[str, ...] = ()
    ) -> ErrorInfo:
        self._seen.add(id(error))
        cause = error.__cause__
        if cause is None and not error.__suppress_context__:
            cause = error.__context__
        return ErrorInfo(  # what comes first gets most
            self._spend(_type_name(type(error))),
            self._spend(text),
            self._spend_on_frames(frames),
            tuple(map(self._spend, (*_notes_of(error), *notes))),
            None if cause is None else self._related(cause),
            self._members(error.exceptions) if is_group(error) else (),
        )

    def _members(self, errors: tuple[BaseException, ...]) -> tuple[ErrorInfo, ...]:
        return tuple(info for error in errors if (info := self._related(error)) is not None)

    def _related(self, error: BaseException) -> ErrorInfo | None:
        if id(error) in self._seen or len(self._seen) > MAX_RELATED:
            return None
        if len(self._seen) == MAX_RELATED:
            self._seen.add(id(error))
            return ErrorInfo(self._spend(_type_name(type(error))), "further causes and members were left out")
        return self.describe(error, _text_of(error), _frames_of(error.__traceback__))

    def _spend(self, text: str) -> str:
        """As much of ``text`` as there is left to spend."""
        kept = shorten(text)
        size = _size(kept)
        if size > self._bytes_left:
            kept = shorten(text, min(MAX_TEXT, self._bytes_left // 6))  # no character takes more bytes
            size = _size(kept)
        self._bytes_left = max(0, self._bytes_left - size)
        return kept

    def _spend_on_frames(self, frames: list[FrameInfo]) -> tuple[FrameInfo, ...]:
        most = MAX_FRAMES
        while True:
            kept = _outermost_and_innermost(frames, most)
            size = _size("".join([name for frame in kept for name in (frame.filename, frame.function)]))
            if size <= self._bytes_left or most == 0:
                self._bytes_left = max(0, self._bytes_left - size)
                return tuple(kept)
            most //= 2


def _type_name(cls: type[BaseException]) -> str:
    module, name = cls.__module__, cls.__qualname__
    return shorten(name if module == "builtins" else f"{module}.{name}", MAX_NAME)


def _text_of(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as broken:
        return f"<its __str__ raised {_type_name(type(broken))}>"
    return text


def _notes_of(error: BaseException) -> tuple[str, ...]:
    notes: object = getattr(error, "__notes__", ())
    if not isinstance(notes, list | tuple):
        return ()
    some = cast("Sequence[object]", notes)[:MAX_RELATED]
    return tuple(note for note in some if isinstance(note, str))


def shorten(text: str, limit: int = MAX_TEXT) -> str:
    """``text`` if it has at most ``limit`` characters, else its beginning and how much is missing.

    Lone surrogates are escaped: they could not be encoded by whoever writes the text somewhere.
    """
    if type(text) is str and len(text) <= limit and text.isascii():
        return text
    text = str.__str__(text)  # a plain one: an exception may have made it of a class of its own
    if len(text) > limit:
        text = f"{text[:limit]}… ({len(text) - limit} more characters)"
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _inside(traceback: TracebackType | None, frames: int) -> TracebackType | None:
    """What is left of it without so many of the outermost frames."""
    while frames and traceback is not None:
        frames, traceback = frames - 1, traceback.tb_next
    return traceback


def _frames_of(traceback: TracebackType | None) -> list[FrameInfo]:
    frames: list[FrameInfo] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        filename, function = code.co_filename, code.co_qualname
        # What is kept for the next error must not be of any size.
        make = _frame if len(filename) + len(function) <= MAX_NAME else _make_frame
        frames.append(make(filename, traceback.tb_lineno or 0, function))
        traceback = traceback.tb_next
    return frames


def _make_frame(filename: str, lineno: int, function: str) -> FrameInfo:
    return FrameInfo(shorten(filename, MAX_NAME), lineno, shorten(function, MAX_NAME))


_frame = lru_cache(maxsize=FRAMES_KEPT)(_make_frame)


def _outermost_and_innermost(frames: list[FrameInfo], most: int) -> list[FrameInfo]:
    """``frames`` if there are at most that many, else both ends of them and how many lie between."""
    left_out = len(frames) - most
    if left_out <= 0:
        return frames
    outermost = most // 2
    between = FrameInfo(f"<{left_out} frames left out>", 0, "...")
    return [*frames[:outermost], between, *frames[len(frames) - (most - outermost) :]]
