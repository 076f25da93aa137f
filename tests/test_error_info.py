"""Errors as data: what is kept of an exception, how much of it, and that none can do harm."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
import trio

from trio_jobs import ErrorInfo
from trio_jobs._error_info import (
    FEW_FRAMES,
    FRAMES_KEPT,
    MAX_FRAMES,
    MAX_NAME,
    MAX_RELATED,
    MAX_TEXT,
    FrameInfo,
    _Describing,
    _frame,
    _frames_of,
    _outermost_and_innermost,
    shorten,
)

MOST_BYTES = 64 * 1024


def raised(error: BaseException) -> BaseException:
    """``error`` after it was raised, with its traceback."""
    try:
        raise error
    except BaseException as caught:
        return caught


def from_raised(error: BaseException) -> ErrorInfo:
    return ErrorInfo.from_exception(raised(error))


def texts(info: ErrorInfo) -> Iterator[str]:
    """Everything that would go to a wire."""
    yield info.type_name
    yield info.message
    yield from info.notes
    for frame in info.frames:
        yield frame.filename
        yield frame.function
    for related in [*([info.cause] if info.cause else []), *info.errors]:
        yield from texts(related)


def tree(info: ErrorInfo) -> list[ErrorInfo]:
    """All of it, the one itself first."""
    related = [*([info.cause] if info.cause else []), *info.errors]
    return [info, *(below for one in related for below in tree(one))]


# -- What is kept


def test_it_says_type_message_and_place() -> None:
    """The class without a module if it is a builtin, and one frame per line of the traceback."""
    info = from_raised(ValueError("no such thing"))

    assert info.type_name == "ValueError"
    assert info.message == "no such thing"
    (frame,) = info.frames
    assert frame.function == "raised"
    assert frame.filename == __file__
    assert str(frame).endswith(f", line {frame.lineno}, in raised\n    raise error")


class Mine(Exception):
    """One of ours."""


@pytest.mark.parametrize(
    ("error", "type_name"),
    [
        (KeyError("x"), "KeyError"),
        (trio.BrokenResourceError(), "trio.BrokenResourceError"),
        (Mine(), f"{__name__}.Mine"),
    ],
)
def test_a_type_that_is_no_builtin_is_named_with_its_module(error: Exception, type_name: str) -> None:
    """So that two of one name can be told apart."""
    assert ErrorInfo.from_exception(error).type_name == type_name


@pytest.mark.parametrize(("skipped", "left"), [(0, 2), (1, 1), (2, 0), (9, 0)])
def test_frames_of_whoever_catches_an_error_can_be_left_out(skipped: int, left: int) -> None:
    """The outermost; there may be fewer than are to be left out."""

    def fail() -> None:
        raise ValueError

    with pytest.raises(ValueError) as caught:  # noqa: PT011  # there is only one
        fail()

    assert len(ErrorInfo.from_exception(caught.value, skip_frames=skipped).frames) == left


def test_an_error_that_was_never_raised_has_no_frames() -> None:
    """And no cause."""
    assert ErrorInfo.from_exception(ValueError("x")) == ErrorInfo("ValueError", "x")


def test_notes_are_kept_and_those_of_the_framework_follow() -> None:
    """In the order in which they were added."""
    error = ValueError("x")
    error.add_note("first")
    error.add_note("second")

    info = ErrorInfo.from_exception(error, notes=("it was being stopped",))

    assert info.notes == ("first", "second", "it was being stopped")


@pytest.mark.parametrize("notes", [3, None, "text", {"a": 1}])
def test_notes_that_are_none_are_left_out(notes: Any) -> None:
    """Anything may be put there."""
    error = ValueError("x")
    error.__notes__ = notes

    assert ErrorInfo.from_exception(error).notes == ()


def test_a_note_that_is_no_text_is_left_out() -> None:
    """The others are kept."""
    error = ValueError("x")
    error.__notes__ = ["first", 2, "third"]  # type: ignore[list-item]  # what a careless library does

    assert ErrorInfo.from_exception(error).notes == ("first", "third")


def test_an_explicit_cause_is_kept() -> None:
    """``raise ... from ...``."""
    error = ValueError("outer")
    error.__cause__ = raised(OSError("inner"))
    error.__context__ = KeyError("other")

    cause = ErrorInfo.from_exception(error).cause

    assert cause is not None
    assert (cause.type_name, cause.message) == ("OSError", "inner")
    assert [frame.function for frame in cause.frames] == ["raised"]


def test_the_error_in_whose_handling_it_was_raised_is_its_cause() -> None:
    """As Python prints it."""
    error = ValueError("outer")
    error.__context__ = OSError("inner")

    assert ErrorInfo.from_exception(error).cause == ErrorInfo("OSError", "inner")


def test_a_suppressed_context_is_no_cause() -> None:
    """``raise ... from None``."""
    error = ValueError("outer")
    error.__context__ = OSError("inner")
    error.__suppress_context__ = True

    assert ErrorInfo.from_exception(error).cause is None


def test_members_of_a_group_are_kept() -> None:
    """Groups in groups as well."""
    info = from_raised(ExceptionGroup("outer", [ValueError("a"), ExceptionGroup("inner", [OSError("b")])]))

    assert info.type_name == "ExceptionGroup"
    assert [member.type_name for member in info.errors] == ["ValueError", "ExceptionGroup"]
    assert info.errors[1].errors == (ErrorInfo("OSError", "b"),)


def test_str_is_type_and_message() -> None:
    """Without a colon where there is no message."""
    assert str(ErrorInfo("ValueError", "x")) == "ValueError: x"
    assert str(ErrorInfo("ValueError")) == "ValueError"


def test_equal_errors_are_equal() -> None:
    """It is data."""
    assert from_raised(ValueError("x")) == from_raised(ValueError("x"))
    assert len({from_raised(ValueError("x")), from_raised(ValueError("x"))}) == 1


def test_it_cannot_be_changed() -> None:
    """Many share it."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        ErrorInfo("ValueError").message = "y"  # type: ignore[misc]  # the mistake


def test_it_holds_nothing_of_the_job() -> None:
    """Neither the exception nor a frame nor a local of one."""

    class Large:
        """Something that ought to be freed."""

    def fail() -> None:
        large = Large()
        references.append(weakref.ref(large))
        raise ValueError(large)

    references: list[weakref.ref[Large]] = []
    infos: list[ErrorInfo] = []
    try:
        fail()
    except ValueError as error:
        infos.append(ErrorInfo.from_exception(error))
    gc.collect()

    assert infos[0].type_name == "ValueError"
    assert references[0]() is None


# -- The traceback as text


def test_the_traceback_reads_as_pythons() -> None:
    """Causes first, then the frames with their source lines, then what was raised."""
    error = raised(ValueError("outer"))
    error.__cause__ = OSError("inner")
    error.add_note("a note")
    info = ErrorInfo.from_exception(error)

    assert info.traceback.split("\n") == [
        "OSError: inner",
        "",
        "which led to:",
        "",
        "Traceback (most recent call last):",
        f'  File "{__file__}", line {info.frames[0].lineno}, in raised',
        "    raise error",
        "ValueError: outer",
        "a note",
    ]


def test_members_of_a_group_are_indented_in_the_traceback() -> None:
    """With their number."""
    info = ErrorInfo.from_exception(BaseExceptionGroup("two", [ValueError("a"), raised(OSError("b"))]))

    assert info.traceback.split("\n")[:6] == [
        "ExceptionGroup: two (2 sub-exceptions)",
        "  +-- 1 of 2",
        "  | ValueError: a",
        "  +-- 2 of 2",
        "  | Traceback (most recent call last):",
        f'  |   File "{__file__}", line {info.errors[1].frames[0].lineno}, in raised',
    ]


def test_a_frame_without_source_is_one_line() -> None:
    """Code that was made at run time, or whose file is gone."""
    assert str(FrameInfo("<string>", 3, "f")) == '  File "<string>", line 3, in f'


# -- Limits


def test_a_long_text_says_what_is_missing() -> None:
    """Its beginning is kept."""
    assert shorten("x" * 10, 10) == "x" * 10
    assert shorten("x" * 11, 10) == "x" * 10 + "… (1 more characters)"
    assert ErrorInfo.from_exception(ValueError("x" * 5_000)).message == "x" * 4_096 + "… (904 more characters)"


def test_lone_surrogates_are_escaped() -> None:
    """Whoever writes the text could not encode them."""
    assert shorten("a\udc80ä") == "a\\udc80ä"


def deep(depth: int) -> None:
    if depth:
        deep(depth - 1)
    raise ValueError("deep")


def test_a_long_traceback_keeps_both_ends() -> None:
    """Where it began and where it failed matter most."""
    with pytest.raises(ValueError, match="deep") as caught:
        deep(100)
    frames = ErrorInfo.from_exception(caught.value).frames

    assert len(frames) == MAX_FRAMES + 1
    assert frames[0].function == "test_a_long_traceback_keeps_both_ends"
    assert frames[MAX_FRAMES // 2] == FrameInfo("<62 frames left out>", 0, "...")
    assert {frame.function for frame in frames[MAX_FRAMES // 2 + 1 :]} == {"deep"}


def test_a_traceback_of_the_most_frames_is_whole() -> None:
    """The limit is not one less."""
    with pytest.raises(ValueError, match="deep") as caught:
        deep(MAX_FRAMES - 2)

    assert len(ErrorInfo.from_exception(caught.value).frames) == MAX_FRAMES


def chain(length: int) -> BaseException:
    """Errors each of which led to the next."""
    error: BaseException = ValueError("0")
    for number in range(1, length):
        following = ValueError(str(number))
        following.__cause__ = error
        error = following
    return error


def test_a_long_chain_is_cut_and_says_so() -> None:
    """The latest are kept."""
    infos = tree(ErrorInfo.from_exception(chain(100)))

    assert [info.message for info in infos[:-1]] == [str(99 - number) for number in range(MAX_RELATED)]
    assert infos[-1].message == "further causes and members were left out"


def test_a_chain_of_the_most_errors_is_whole() -> None:
    """The limit is not one less."""
    infos = tree(ErrorInfo.from_exception(chain(MAX_RELATED)))

    assert [info.message for info in infos] == [str(number) for number in reversed(range(MAX_RELATED))]


def test_a_large_group_is_cut_and_says_so() -> None:
    """Once."""
    infos = tree(ErrorInfo.from_exception(ExceptionGroup("g", [ValueError(str(n)) for n in range(100)])))

    assert len(infos) == MAX_RELATED + 1
    assert infos[-1].message == "further causes and members were left out"


def test_an_error_that_leads_to_itself_is_described_once() -> None:
    """A circle of causes has an end here."""
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first

    assert [info.message for info in tree(ErrorInfo.from_exception(first))] == ["first", "second"]


# -- Nasty ones


class OwnInit(Exception):
    def __init__(self, *, code: int) -> None:
        self.code = code


class RaisingStr(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class RaisingStrAndRepr(RaisingStr):
    def __repr__(self) -> str:
        raise ValueError("no text")  # pragma: no cover  # nothing asks for it


class ExitingStr(Exception):
    def __str__(self) -> str:
        sys.exit(3)


class NoText(Exception):
    def __str__(self) -> str:
        return 3  # type: ignore[return-value]  # the mistake


class RecursiveStr(Exception):
    def __str__(self) -> str:
        return str(self)


class OddText(str):
    """A text that is not what it seems."""

    def __len__(self) -> int:
        raise ValueError("no length")  # pragma: no cover  # nothing asks for it

    def encode(self, *_: Any, **__: Any) -> bytes:
        raise ValueError("no bytes")  # pragma: no cover  # nothing asks for it

    __slots__ = ()


class OddStr(Exception):
    def __str__(self) -> str:
        return OddText("odd")


class RaisingNotes(Exception):
    @property
    def __notes__(self) -> list[str]:  # type: ignore[override]  # the mistake
        raise ValueError("no notes")


class RaisingCause(Exception):
    @property
    def __cause__(self) -> BaseException | None:  # type: ignore[override]  # the mistake
        raise ValueError("no cause")


class RaisingAttributes(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise ValueError(f"no {name}")


class LyingGroup(ExceptionGroup[Exception]):
    exceptions = (3, "four")  # type: ignore[assignment]  # the mistake


class OddModule(Exception):
    __module__ = 3  # type: ignore[assignment]  # the mistake


class Hashless(Exception):
    __hash__ = None  # type: ignore[assignment]  # the mistake

    def __eq__(self, other: object) -> bool:
        raise ValueError("no comparison")  # pragma: no cover  # nothing asks for it


def with_notes(number: int, length: int) -> Exception:
    error = ValueError("x")
    for _ in range(number):
        error.add_note("ü" * length)
    return error


def nested(depth: int) -> Exception:
    error: Exception = ValueError("x" * 10_000)
    for _ in range(depth):
        error = ExceptionGroup[Exception]("g" * 10_000, [error, OSError("y" * 10_000)])
    return error


def with_long_names(length: int = 50_000, depth: int = 100, message: str = "x") -> BaseException:
    name = "\N{DESERET SMALL LETTER LONG I}" * length  # four bytes each
    namespace: dict[str, Any] = {}
    source = f"def {name}(depth, message):\n if depth: {name}(depth - 1, message)\n raise ValueError(message)"
    exec(compile(source, name, "exec"), namespace)
    with pytest.raises(ValueError, match="x") as caught:
        namespace[name](depth, message)
    return caught.value


def with_long_names_and_notes() -> BaseException:
    error = with_long_names()
    for _ in range(MAX_RELATED):
        error.add_note("\N{GRINNING FACE}" * 10_000)
    return error


def with_cause(cause: BaseException) -> Exception:
    error = ValueError("x")
    error.__cause__ = cause
    return error


def many_large() -> Exception:
    members = [with_notes(50, 10_000) for _ in range(50)]
    return ExceptionGroup("€" * 10_000_000, members)


NASTY: dict[str, Callable[[], BaseException]] = {
    "its own __init__": lambda: OwnInit(code=3),
    "__str__ raises": RaisingStr,
    "__str__ and __repr__ raise": RaisingStrAndRepr,
    "__str__ exits": ExitingStr,
    "__str__ returns no text": NoText,
    "__str__ calls itself": RecursiveStr,
    "__str__ returns an odd text": OddStr,
    "__notes__ raises": RaisingNotes,
    "__cause__ raises": RaisingCause,
    "every attribute raises": RaisingAttributes,
    "members that are no errors": lambda: LyingGroup("g", [ValueError("x")]),
    "a module that is no text": OddModule,
    "cannot be compared": Hashless,
    "10 MB of text": lambda: ValueError("x" * 10_000_000),
    "10 MB of text in four bytes each": lambda: ValueError("\N{GRINNING FACE}" * 10_000_000),
    "lone surrogates": lambda: ValueError("\udc80" * 10_000),
    "an argument of 10 MB": lambda: KeyError(b"\0" * 10_000_000),
    "1,000 large notes": lambda: with_notes(1_000, 10_000),
    "a circle of causes": lambda: with_cause(with_cause(ValueError("x"))),
    "10,000 causes": lambda: chain(10_000),
    "a group 50 deep": lambda: nested(50),
    "50 large members": many_large,
    "a class with a name of 1 MB": lambda: type("N" * 1_000_000, (Exception,), {})("x"),
    "functions and files with names of 50 kB": with_long_names,
    "the same, and large notes": with_long_names_and_notes,
    "few frames with long names, and a long text": lambda: with_long_names(50_000, FEW_FRAMES - 3, "x" * MAX_TEXT),
    "no Exception": lambda: GeneratorExit("x"),
    "a nasty cause": lambda: with_cause(RaisingAttributes()),
    "nasty members": lambda: ExceptionGroup("g", [RaisingStr(), OddModule(), ValueError("\udc80" * 5_000)]),
}


@pytest.mark.parametrize("name", NASTY)
def test_no_error_is_too_nasty_to_be_described(name: str) -> None:
    """Whatever it is, it becomes data that can be encoded, of at most 64 KiB."""
    info = ErrorInfo.from_exception(raised(NASTY[name]()))

    assert all(type(text) is str for text in texts(info))
    assert sum(len(text.encode()) for text in texts(info)) <= MOST_BYTES
    assert info.type_name
    assert info.traceback


def test_an_error_whose_text_cannot_be_had_says_so() -> None:
    """The rest of it is as of any other."""
    info = from_raised(RaisingStr())

    assert info.message == "<its __str__ raised ValueError>"
    assert info.frames != ()


def test_an_error_that_cannot_be_described_at_all_says_so() -> None:
    """Its type is known all the same."""
    info = from_raised(RaisingAttributes())

    assert info.type_name == f"{__name__}.RaisingAttributes"
    assert info.message == "<describing it raised ValueError>"


def test_an_odd_text_becomes_a_plain_one() -> None:
    """No object of the job's hides in it."""
    message = from_raised(OddStr()).message

    assert type(message) is str
    assert message == "odd"


def test_a_keyboard_interrupt_is_not_swallowed() -> None:
    """It is meant for the program, whatever is running at the time."""

    class Interrupted(Exception):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ErrorInfo.from_exception(Interrupted())


@pytest.mark.parametrize("error", [ValueError(), KeyError("x"), Mine("x" * MAX_TEXT), ValueError("x" * (MAX_TEXT + 1))])
@pytest.mark.parametrize("depth", [0, FEW_FRAMES - 1, FEW_FRAMES])
def test_the_usual_error_is_described_as_any_other(error: BaseException, depth: int) -> None:
    """Only quicker."""

    def fail(depth: int) -> None:
        if depth:
            fail(depth - 1)
        raise error

    error.__traceback__ = None
    with pytest.raises(type(error)):
        fail(depth)
    usual = ErrorInfo.from_exception(error)

    assert usual == _Describing().describe(error, str(error), _frames_of(error.__traceback__))
    assert len(usual.frames) == depth + 2


def test_what_is_kept_of_a_traceback_for_the_next_one_is_small() -> None:
    """So many lines of code, and none that has a long name."""
    _frame.cache_clear()
    ErrorInfo.from_exception(with_long_names(MAX_NAME, depth=3))

    assert _frame.cache_info().currsize == 1  # that of this file
    assert _frame.cache_info().maxsize == FRAMES_KEPT


def test_what_comes_first_gets_most_of_the_room() -> None:
    """The error itself, its frames, then what led to it."""
    error = raised(ValueError("x" * 4_096))
    error.__cause__ = many_large()
    info = ErrorInfo.from_exception(error)

    assert info.message == "x" * 4_096
    assert [frame.function for frame in info.frames] == ["raised"]


def test_a_traceback_that_does_not_fit_keeps_both_ends_of_it() -> None:
    """As many lines as there is room for, and where the others were."""
    frames = ErrorInfo.from_exception(with_long_names()).frames

    assert len(frames) == MAX_FRAMES // 2 + 1
    assert frames[0].function == "with_long_names"
    assert frames[MAX_FRAMES // 4] == FrameInfo("<82 frames left out>", 0, "...")


@pytest.mark.parametrize("most", [0, 1, 2, 3, 9, 10, 11])
def test_the_ends_of_a_traceback_are_as_many_lines_as_asked_for(most: int) -> None:
    """And one for those between, if there are any; the innermost is the last to go."""
    frames = [FrameInfo("f.py", line, "f") for line in range(10)]
    kept = _outermost_and_innermost(frames, most)

    assert len(kept) == min(most + 1, 10)
    assert [frame in kept for frame in frames].count(True) == min(most, 10)
    assert most == 0 or kept[-1] == frames[-1]


def test_long_names_are_cut() -> None:
    """Of types, files and functions."""
    info = ErrorInfo.from_exception(with_long_names())
    name = ErrorInfo.from_exception(type("N" * 1_000, (Exception,), {"__module__": "m"})()).type_name

    assert name == "m." + "N" * 254 + "… (746 more characters)"
    assert {len(frame.filename) for frame in info.frames[-3:]} == {256 + len("… (49744 more characters)")}
    assert {len(frame.function) for frame in info.frames[-3:]} == {256 + len("… (49744 more characters)")}


def test_what_did_not_fit_is_said_in_its_place() -> None:
    """With the true number of what is missing."""
    info = ErrorInfo.from_exception(with_notes(16, 10_000))

    assert info.notes[0] == "ü" * 4_096 + "… (5904 more characters)"
    kept = info.notes[15].count("ü")
    assert kept < 4_096
    assert info.notes[15] == "ü" * kept + f"… ({10_000 - kept} more characters)"
