"""How far a run is: counted, shown live, or said now and then."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from math import inf
from typing import TypeAlias

import pytest
import trio
from rich.console import Console
from trio.testing import MockClock

from trio_jobs.cli._progress import Progress, Tally, duration, per_second

OnScreen: TypeAlias = Callable[[str], list[str]]


def tally(**counts: int) -> Tally:
    return Tally(trio.current_time(), **counts)


def terminal(width: int = 80) -> Console:
    """A console that thinks it is a terminal."""
    return Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, legacy_windows=False)


def sent_to(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@asynccontextmanager
async def running(progress: Progress) -> AsyncGenerator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(progress.run)
        yield
        nursery.cancel_scope.cancel()


# --- counting


async def test_what_is_done_is_what_came_to_an_end_of_whatever_kind() -> None:
    """Also what was interrupted, at the end of a run."""
    assert tally(succeeded=1, failed=2, aborted=3, interrupted=4).done == 10


async def test_the_fraction_is_known_once_the_total_is() -> None:
    """And never more than all: a file may grow while it is read."""
    assert tally(weight=3).fraction is None
    assert tally(weight=3, total=0).fraction is None
    assert tally(weight=3, total=4).fraction == 0.75
    assert tally(weight=5, total=4).fraction == 1


async def test_the_rate_and_the_rest_are_those_from_the_start_until_now(autojump_clock: MockClock) -> None:
    """Ten in five seconds, and a quarter of all: fifteen seconds more."""
    at_first = tally(succeeded=10, weight=1, total=4)
    await trio.sleep(5)

    assert at_first.rate(trio.current_time()) == 2
    assert at_first.seconds_left(trio.current_time()) == 15


async def test_there_is_no_telling_at_the_very_start() -> None:
    """Nothing is divided by zero."""
    at_first = tally(total=4)

    assert at_first.rate(trio.current_time()) == 0
    assert at_first.seconds_left(trio.current_time()) == inf


# --- live


@pytest.mark.parametrize(("width", "filled"), [(200, 20), (80, 17), (50, 0)])
async def test_a_terminal_shows_how_far_it_is_and_what_runs(
    width: int, filled: int, on_screen: OnScreen, autojump_clock: MockClock
) -> None:
    """With a bar as long as there is room for; what went wrong shows when something did."""
    console = terminal(width)
    shown = tally(succeeded=10_000, failed=1, aborted=2, weight=1, total=2)
    async with running(Progress(console, shown, lambda: 3, live=True)):
        await trio.sleep(5.05)

        first, second = on_screen(sent_to(console))
        assert first.count("━") == filled
        assert first.replace("━", "").split() == ["10,003", "done", "50%", "2,001/s", "5.0", "s", "left"]
        assert second == "10,000 succeeded  3 running  1 failed  2 aborted"


async def test_where_the_total_is_not_known_it_shows_how_long_it_has_run(
    on_screen: OnScreen, autojump_clock: MockClock
) -> None:
    """And no bar; what did not go wrong is not mentioned."""
    console = terminal()
    async with running(Progress(console, tally(succeeded=7), lambda: 0, live=True)):
        await trio.sleep(70.05)

        assert on_screen(sent_to(console)) == ["7 done  0.1/s  1:10", "7 succeeded  0 running"]


async def test_the_display_changes_ten_times_a_second(on_screen: OnScreen, autojump_clock: MockClock) -> None:
    """It shows what is so now, driven by Trio and by no thread."""
    console = terminal()
    shown = tally()
    async with running(Progress(console, shown, lambda: 0, live=True)):
        await trio.sleep(0.05)
        shown.succeeded = 5
        assert on_screen(sent_to(console))[1] == "0 succeeded  0 running"
        await trio.sleep(0.1)

        assert on_screen(sent_to(console))[1] == "5 succeeded  0 running"


async def test_the_display_goes_when_the_run_ends(on_screen: OnScreen, autojump_clock: MockClock) -> None:
    """The cursor is back, and the lines are free for what comes next."""
    console = terminal()
    async with running(Progress(console, tally(), lambda: 0, live=True)):
        await trio.sleep(0.05)
    console.print("next")

    assert on_screen(sent_to(console)) == ["next", "", ""]
    assert sent_to(console).rindex("\x1b[?25h") > sent_to(console).rindex("\x1b[?25l")


async def test_the_display_makes_room_for_other_writing(on_screen: OnScreen, autojump_clock: MockClock) -> None:
    """And comes back behind it."""
    console = terminal()
    progress = Progress(console, tally(succeeded=1), lambda: 0, live=True)
    async with running(progress):
        await trio.sleep(0.05)
        with progress.hidden():
            console.file.write("a line of the output\n")

        lines = on_screen(sent_to(console))
        assert [lines[0], lines[2]] == ["a line of the output", "1 succeeded  0 running"]


async def test_what_was_not_shown_is_not_shown_after_other_writing() -> None:
    """Before it begins and after it has ended there is nothing to bring back."""
    console = terminal()

    with Progress(console, tally(), lambda: 0, live=True).hidden():
        pass

    assert sent_to(console) == ""


# --- in a log


async def test_a_log_gets_a_line_each_half_minute(
    console: Console, said: Callable[[], str], autojump_clock: MockClock
) -> None:
    """With what is known by then."""
    shown = tally(succeeded=3)
    async with running(Progress(console, shown, lambda: 0, live=False)):
        await trio.sleep(31)
        shown.failed, shown.aborted, shown.weight, shown.total = 1_000, 2, 3, 4
        await trio.sleep(30)

    assert said().splitlines() == [
        "trio-jobs: 3 done, 0.1/s",
        "trio-jobs: 1,005 done, 1,000 failed, 2 aborted, 17/s, 0:20 left",
    ]


# --- words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (10, "0:10"), (59.9, "0:59"), (61, "1:01"), (36_610, "10:10:10")],
)
def test_a_duration_is_as_exact_as_is_of_use(seconds: float, text: str) -> None:
    """Tenths of seconds, seconds, or hours."""
    assert duration(seconds) == text


@pytest.mark.parametrize(("rate", "text"), [(0.25, "0.2/s"), (9.94, "9.9/s"), (1234.5, "1,234/s")])
def test_a_rate_is_as_exact_as_is_of_use(rate: float, text: str) -> None:
    """A digit after the point only for small ones."""
    assert per_second(rate) == text
