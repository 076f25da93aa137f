"""Exact counts of what a run does: task steps, I/O polls, calls of Python functions, objects made.

They are the same each time and on every machine, and those of Python calls nearly so on every Python. What a start and
an end cost falls out of the difference between a run and one that is twice as long. Time stands still meanwhile, or how
many jobs share a slice of it would depend on how fast the machine is.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from math import inf
from pathlib import Path
from types import CodeType, FrameType
from typing import TypeAlias

import attrs
import trio

import trio_jobs

AsyncRun: TypeAlias = Callable[[int], Awaitable[None]]
"""An async function that does so many operations."""

PACKAGE = str(Path(trio_jobs.__file__).parent)


@attrs.frozen
class Steps:
    """How often something happened in Trio's loop, for each operation."""

    tasks: float
    """How often a task was run until it waited or ended."""
    polls: float
    """How often Trio asked for I/O: once for all tasks that were ready."""


@attrs.frozen
class Calls:
    """How often Python functions were called, for each operation; to go on with a coroutine counts as a call."""

    all: float
    """Trio's own included."""
    own: float
    """Those of trio_jobs, which no other release of Trio changes."""


class StoppedClock(trio.abc.Clock):
    """A clock that always says the same; it costs as many Python calls as Trio's own."""

    def start_clock(self) -> None:
        """Nothing starts."""

    def current_time(self) -> float:
        """The beginning."""
        return 0.0

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """What is not due now never is."""
        return 0.0 if deadline <= 0 else inf


class StepCounter(trio.abc.Instrument):
    """Counts the steps of all tasks, the polls, and the tasks that were started."""

    def __init__(self) -> None:
        self.steps = 0
        self.polls = 0
        self.tasks = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """A task is about to be run."""
        self.steps += 1

    def before_io_wait(self, timeout: float) -> None:
        """Trio is about to ask for I/O."""
        self.polls += 1

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """A task was started."""
        self.tasks += 1


def count_steps(run: AsyncRun, operations: int) -> Steps:
    """What each of ``operations`` asks of Trio's loop."""

    def counted(times: int) -> tuple[int, int]:
        counter = StepCounter()
        trio.run(run, times, instruments=[counter], clock=StoppedClock())
        return counter.steps, counter.polls

    return Steps(*_difference(counted, operations))


def count_calls(run: AsyncRun, operations: int) -> Calls:
    """What each of ``operations`` asks of the interpreter."""
    return Calls(*_difference(lambda times: _calls(run, times), operations))


def _difference(counted: Callable[[int], tuple[int, int]], operations: int) -> Iterator[float]:
    once, twice = counted(operations), counted(2 * operations)
    return ((more - less) / operations for less, more in zip(once, twice, strict=True))


def _calls(run: AsyncRun, times: int) -> tuple[int, int]:
    called: Counter[int] = Counter()  # by identity: the hash of a code object is that of all its parts
    codes: dict[int, CodeType] = {}

    def profile(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            code = frame.f_code
            called[id(code)] += 1
            codes[id(code)] = code

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        trio.run(run, times, clock=StoppedClock())
    finally:
        sys.setprofile(before)
    return called.total(), sum(called[number] for number, code in codes.items() if _is_own(code))


def _is_own(code: CodeType) -> bool:
    # What attrs generates has a file name such as <attrs generated methods trio_jobs._message.Request>.
    return code.co_filename.startswith(PACKAGE) or " trio_jobs." in code.co_filename
