"""Where requests come from: lines, JSON lines, files; and what is asked for wrongly."""

from __future__ import annotations

import json
import os
import select
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from trio_jobs.cli import _inputs
from trio_jobs.cli._exit_code import WrongUse
from trio_jobs.cli._inputs import BadInput, FileId, Form, Input, Inputs, Item, open_inputs, whole_lines


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def stdin() -> Iterator[Callable[[bytes], int]]:
    """A standard input that says these bytes and then ends: its descriptor."""
    opened: list[int] = []

    def say(text: bytes) -> int:
        reader, writer = os.pipe()
        opened.append(reader)
        os.write(writer, text)
        os.close(writer)
        return reader

    yield say
    for descriptor in opened:
        os.close(descriptor)


def opened(*names: str, form: Form | None = None, stdin: int | None = None, output: FileId | None = None) -> Inputs:
    return open_inputs(names, form, stdin=stdin, output=output)


async def bodies(inputs: Inputs) -> list[Any]:
    return [item.body if isinstance(item, Input) else item.error.message async for item in inputs]


async def all_of(inputs: Inputs) -> list[Item]:
    return [item async for item in inputs]


def write(name: str, content: bytes = b"") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# --- lines


async def test_each_line_is_an_input_empty_ones_too() -> None:
    """Without its end, which may be that of another system, or missing at the end of the file."""
    write("a.txt", b"one\n\ntwo\r\nth\xc3\xbcree")

    assert await bodies(opened("a.txt")) == ["one", "", "two", "thüree"]


async def test_several_files_are_read_one_after_another() -> None:
    """As named; standard input is one of them."""
    write("a.txt", b"one\n")
    write("b.txt", b"two\n")

    assert await bodies(opened("b.txt", "a.txt")) == ["two", "one"]


async def test_standard_input_is_read_where_nothing_is_named(stdin: Callable[[bytes], int]) -> None:
    """Or where a hyphen stands for it."""
    inputs = opened(stdin=stdin(b"one\n"))

    assert inputs.reads_stdin
    assert [item.place async for item in inputs] == ["stdin:1"]
    write("a.txt", b"a\n")
    assert await bodies(opened("a.txt", "-", stdin=stdin(b"two\n"))) == ["a", "two"]


async def test_an_input_says_where_it_is_and_how_much_it_is() -> None:
    """For messages and for the display."""
    write("a.txt", b"one\ntwo\n")

    items = await all_of(opened("a.txt"))

    assert items[1] == Input("two", '"two"', "a.txt:2", 4)


async def test_a_line_that_is_no_text_is_bad_and_the_others_go_on() -> None:
    """It is shown as far as it can be."""
    write("a.txt", b"one\n\xff!\nthree\n")

    items = await all_of(opened("a.txt"))

    assert isinstance(items[1], BadInput)
    assert items[1].error.type_name == "UnicodeDecodeError"
    assert (items[1].place, json.loads(items[1].text), items[1].weight) == ("a.txt:2", "\\xff!", 3)
    assert isinstance(items[2], Input)


async def test_a_byte_order_mark_is_no_part_of_the_first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """But of a later one it is, also of one with which a chunk begins."""
    monkeypatch.setattr(_inputs, "_CHUNK", len(b"\xef\xbb\xbfone\n"))
    write("a.txt", b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n")

    assert await bodies(opened("a.txt")) == ["one", "\ufefftwo"]


async def test_lines_longer_than_what_is_read_in_one_go_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of lines stay right too."""
    monkeypatch.setattr(_inputs, "_CHUNK", 5)
    write("a.txt", b"a line of many chunks\nb\n" + b"c" * 11)

    items = await all_of(opened("a.txt"))

    assert [(item.place, item.text) for item in items] == [
        ("a.txt:1", '"a line of many chunks"'),
        ("a.txt:2", '"b"'),
        ("a.txt:3", '"ccccccccccc"'),
    ]


@settings(deadline=None)
@given(st.lists(st.binary()))
def test_lines_do_not_depend_on_how_they_were_cut(chunks: list[bytes]) -> None:
    """The same bytes in other pieces are the same lines."""
    lines = b"".join(chunks).split(b"\n")

    found = [line for some in whole_lines(chunks) for line in some]

    assert found == (lines if lines[-1] else lines[:-1])


async def test_a_file_that_cannot_be_read_any_more_is_bad_and_the_others_go_on() -> None:
    """It may have gone since the command began."""
    gone = write("a.txt", b"one\n")
    write("b.txt", b"two\n")
    inputs = opened("a.txt", "b.txt")
    gone.unlink()

    items = await all_of(inputs)

    assert isinstance(items[0], BadInput)
    assert (items[0].place, items[0].error.type_name) == ("a.txt", "FileNotFoundError")
    assert isinstance(items[1], Input)


async def test_a_pipe_that_another_program_made_nonblocking_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no error that nothing is there yet."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    really_select = select.select

    def write_then_select(to_read: list[int], to_write: list[int], failing: list[int]) -> object:
        os.write(writer, b"one\n")
        os.close(writer)
        return really_select(to_read, to_write, failing)

    monkeypatch.setattr(select, "select", write_then_select)
    items = await all_of(opened(stdin=reader))
    os.close(reader)

    assert [item.place for item in items] == ["stdin:1"]


async def test_reading_what_never_comes_can_be_cancelled() -> None:
    """A terminal on which nobody types does not keep the command from ending."""
    reader, writer = os.pipe()

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bodies, opened(stdin=reader))
            await wait_all_tasks_blocked()
            scope.cancel()

    os.close(writer)  # the thread that was left behind ends
    assert scope.cancelled_caught


# --- JSON


async def test_each_line_of_json_is_an_input() -> None:
    """Whatever value it is; lines without one are passed over."""
    write("a.jsonl", b'{"a": [1.50]}\n\n null \r\n"x"')

    items = await all_of(opened("a.jsonl", form="json"))

    assert [(item.body, item.text, item.place) for item in items if isinstance(item, Input)] == [
        ({"a": [1.5]}, '{"a": [1.50]}', "a.jsonl:1"),
        (None, "null", "a.jsonl:3"),
        ("x", '"x"', "a.jsonl:4"),
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "Expecting property name"),
        (b"1 2", "Extra data"),
        (b"[NaN]", "JSON has no NaN"),
        (b"\xff", "can't decode byte"),
        (b"[" * 100_000, "recursion"),
        (b"1" * 5_000, "4300 digits"),
    ],
)
async def test_a_line_that_is_no_json_is_bad_and_says_where(line: bytes, problem: str) -> None:
    """The run goes on; the error names file and line."""
    write("a.jsonl", b"1\n" + line + b"\n3\n")

    items = await all_of(opened("a.jsonl", form="json"))

    bad = items[1]
    assert isinstance(bad, BadInput)
    assert bad.error.message.startswith("a.jsonl:2 is no JSON: ")
    assert problem in bad.error.message
    assert bad.error.frames == ()
    assert isinstance(items[2], Input)


# --- files


async def test_the_files_under_a_folder_are_sorted_and_whole_paths() -> None:
    """A folder's content stands where the folder does."""
    for name in ["docs/b/z", "docs/b/a", "docs/c", "docs/a"]:
        write(name)

    items = await all_of(opened("docs"))

    assert [item.place for item in items] == ["docs/a", "docs/b/a", "docs/b/z", "docs/c"]
    assert items[0] == Input(Path("docs/a"), '"docs/a"', "docs/a", 1)


async def test_hidden_ones_links_caches_and_pipes_are_left_out() -> None:
    """A link could lead round in a circle, a pipe would hold up the job."""
    for name in ["docs/.git/x", "docs/.x", "docs/__pycache__/x", "docs/real"]:
        write(name)
    os.symlink("real", "docs/link")
    os.symlink("..", "docs/around")
    os.mkfifo("docs/pipe")

    assert await bodies(opened("docs")) == [Path("docs/real")]


async def test_what_is_named_is_taken_whatever_it_is() -> None:
    """Whoever names it wants it."""
    write(".hidden/x")
    os.symlink(".hidden/x", "link")

    assert await bodies(opened("link", ".hidden", form="files")) == [Path("link"), Path(".hidden/x")]


async def test_a_folder_that_cannot_be_listed_is_bad_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not passed over in silence."""
    write("docs/a/x")
    write("docs/b")
    scandir = os.scandir

    def refuse(path: Path) -> Any:
        if path.name == "a":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    items = await all_of(opened("docs"))

    assert isinstance(items[0], BadInput)
    assert (items[0].place, items[0].error.type_name) == ("docs/a", "PermissionError")
    assert [item.place for item in items[1:]] == ["docs/b"]


async def test_the_output_is_no_input_although_it_lies_there() -> None:
    """Else a run would read what it writes."""
    write("docs/a")
    output = write("docs/out.jsonl")

    assert await bodies(opened("docs", output=FileId.of(output.stat()))) == [Path("docs/a")]


async def test_a_file_of_the_same_number_on_another_disk_is_no_output() -> None:
    """Both are looked at."""
    path = write("docs/a")
    found = FileId.of(path.stat())
    assert found is not None

    assert await bodies(opened("docs", output=FileId(found.device + 1, found.number))) == [Path("docs/a")]


async def test_many_files_come_in_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is lost in between."""
    monkeypatch.setattr(_inputs, "_NAMES", 3)
    for number in range(7):
        write(f"docs/{number}")

    assert await bodies(opened("docs")) == [Path(f"docs/{number}") for number in range(7)]


# --- how much there is


async def test_the_total_of_lines_is_bytes_and_that_of_folders_files() -> None:
    """What the inputs are weighed in."""
    write("docs/a", b"one\ntwo\n")
    write("docs/b")

    assert await opened("docs/a").total() == 8
    assert await opened("docs").total() == 2


async def test_the_total_of_a_pipe_shows_only_at_the_end(stdin: Callable[[bytes], int]) -> None:
    """Also where a file comes with it."""
    write("a.txt", b"one\n")

    assert await opened("a.txt", "-", stdin=stdin(b"")).total() is None


# --- wrong use


@pytest.mark.parametrize(
    ("names", "form", "message"),
    [
        (["nmaes.txt"], None, 'no file or folder "nmaes.txt"; did you mean "names.txt"?'),
        (["nowhere/x"], None, 'no file or folder "nowhere/x"'),
        (["docs", "names.txt"], None, '"docs" is a folder and "names.txt" is none: add --from files'),
        (["docs"], "lines", '"docs" is a folder, which has no lines: use --from files'),
        ([], "files", "--from files wants files or folders: name them after the job"),
        (["docs", "-"], "files", "--from files wants files or folders: name them after the job"),
        ([], None, "standard input is closed: name files after the job"),
        (["names.txt"], "json", '"names.txt" is the output too: write to another file'),
    ],
)
def test_wrong_use_is_told_with_the_mend(names: list[str], form: Form | None, message: str) -> None:
    """Before anything is read."""
    output = FileId.of(write("names.txt").stat())
    Path("docs").mkdir()

    with pytest.raises(WrongUse) as caught:
        opened(*names, form=form, output=output)

    assert str(caught.value).startswith(message)
