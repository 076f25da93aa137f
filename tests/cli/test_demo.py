"""`trio-jobs demo`: two tables made of the same answers."""

from __future__ import annotations

import hashlib
import io
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from rich.console import Console

from trio_jobs import (
    Aborted,
    AbortReason,
    BroadcastSender,
    ErrorInfo,
    Failed,
    Response,
    Succeeded,
    open_broadcast_channel,
)
from trio_jobs.cli import run_command
from trio_jobs.cli._demo import Demo, Kinds, Largest
from trio_jobs.cli._inputs import Inputs, open_inputs
from trio_jobs.cli.example import FileFacts


def inputs(folder: Path) -> Inputs:
    return open_inputs([str(folder)], "files", stdin=None, output=None)


def facts(name: str, size: int, kind: str = "text/plain") -> Succeeded[FileFacts]:
    return Succeeded(FileFacts(Path(name), kind, size, 1, 2, "0" * 64), id=name)


def table_of(out: Console) -> list[list[str]]:
    assert isinstance(out.file, io.StringIO)
    return [line.split() for line in out.file.getvalue().splitlines()]


def digest(content: str) -> str:
    """As much of it as is shown."""
    return hashlib.sha256(content.encode()).hexdigest()[:12]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder of three files."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.py").write_text("one two\n" * 1000)
    (tmp_path / "inner" / "b.txt").write_text("three\n")
    (tmp_path / "unknown").touch()
    return tmp_path


async def test_the_largest_files_and_the_kinds_are_shown(tree: Path, console: Console) -> None:
    """Both tables have all files, with names as they are below the folder."""
    code = await Demo(tree, console, console).run(inputs(tree))

    lines = table_of(console)
    assert code == 0
    assert ["a.py", "8.0", "kB", "1,000", "2,000", digest("one two\n" * 1000)] in lines
    assert ["inner/b.txt", "6", "bytes", "1", "1", digest("three\n")] in lines
    assert ["all", "3", "files", "8.0", "kB", "1,001", "2,001"] in lines
    assert ["text/x-python", "1", "8.0", "kB", "100%"] in lines
    assert ["unknown", "1", "0", "bytes", "0%"] in lines


async def test_it_says_how_to_go_on(tree: Path, console: Console, said: Callable[[], str]) -> None:
    """With a command that can be copied."""
    await Demo(tree / "inner", console, console).run(inputs(tree / "inner"))

    assert f"    trio-jobs map trio_jobs.cli.example:file_facts {tree}/inner\n" in said()


async def test_everything_fits_into_eighty_columns(tree: Path, console: Console, said: Callable[[], str]) -> None:
    """Also where names are long."""
    (tree / ("long" * 30)).touch()

    await Demo(tree, console, console).run(inputs(tree))

    commands = [line for line in said().splitlines() if "trio-jobs map" in line]
    assert max(len(line) for line in said().splitlines() if line not in commands) <= 80


async def test_a_file_that_cannot_be_read_is_named(tree: Path, console: Console, said: Callable[[], str]) -> None:
    """The others are counted all the same."""
    found = inputs(tree)
    first = await anext(found)
    (tree / "inner" / "b.txt").unlink()

    code = await Demo(tree, console, console).run(found)

    assert first.place.endswith("a.py")
    assert code == 1
    assert "failed: FileNotFoundError" in said()
    assert ["1", "file", "0", "bytes", "0", "0"] in table_of(console)


async def test_a_folder_that_cannot_be_listed_is_named(tree: Path, console: Console, said: Callable[[], str]) -> None:
    """It may have gone since."""
    found = inputs(tree / "inner")
    (tree / "inner" / "b.txt").unlink()
    (tree / "inner").rmdir()

    assert await Demo(tree, console, console).run(found) == 1
    assert "failed: FileNotFoundError" in said()


async def test_ctrl_c_ends_it(tree: Path, console: Console, said: Callable[[], str]) -> None:
    """At once, without tables."""

    class Interrupted(Inputs):
        def __aiter__(self) -> Interrupted:
            signal.raise_signal(signal.SIGINT)
            return self

    assert await Demo(tree, console, console).run(Interrupted([])) == 130
    assert said() == ""


def test_only_the_largest_are_kept() -> None:
    """A large folder takes no more memory than a small one; what failed is kept apart."""
    largest = Largest()
    for size in range(1000):
        largest.add(facts("a", size))

    largest.add(Failed(ErrorInfo("OSError", "no"), id="1"))
    largest.add(Aborted(AbortReason.OPERATOR, id="2"))

    assert largest.failures == ["OSError: no", "aborted (operator)"]
    assert [one.size for one in largest.facts] == list(range(999, 991, -1))
    assert (largest.files, largest.bytes) == (1000, sum(range(1000)))


async def test_the_kinds_are_counted_from_a_subscription_of_their_own() -> None:
    """Failures are of no kind."""
    answers: BroadcastSender[Response[FileFacts]] = open_broadcast_channel(16)
    kinds = Kinds(answers.subscribe())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kinds.listen)
        for answer in (facts("a", 1), facts("b", 2), facts("c", 3, "x"), Failed(ErrorInfo("E"), id="1")):
            await answers.send(answer)
        answers.close()

    assert kinds.files == {"text/plain": 2, "x": 1}
    assert kinds.bytes == {"text/plain": 3, "x": 3}


def test_by_default_it_is_the_package_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """Real files that are there wherever it is installed."""
    assert run_command(["demo"]) == 0
    assert "_processor.py" in capsys.readouterr().out


def test_what_is_no_folder_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """With the mend."""
    assert run_command(["demo", "nowhere"]) == 2
    assert capsys.readouterr().err == 'trio-jobs: "nowhere" is no folder: name one, such as `.`\n'
