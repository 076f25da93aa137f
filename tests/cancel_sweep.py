"""Run a scenario once for each checkpoint of one of its tasks, with a cancellation injected there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Self

import trio
from trio.testing import MockClock


class Victim(trio.abc.Instrument):
    """The block in which the cancellation comes, at one chosen step of the task that enters it.

    Used as ``with victim: ...``. ``parked=False`` cancels as the task is about to go on, so that the next checkpoint is
    where it hears of it; ``parked=True`` cancels after it has yielded, so that what it waits for is aborted.
    """

    def __init__(self, step: int, *, parked: bool) -> None:
        self.parked = parked
        self.injected = False
        self._step = step
        self._task: trio.lowlevel.Task | None = None
        self.scope = trio.CancelScope()

    def __enter__(self) -> Self:
        self._task = trio.lowlevel.current_task()
        self.scope.__enter__()
        return self

    def __exit__(self, *error: object) -> bool | None:
        self._task = None
        return self.scope.__exit__(*error)  # type: ignore[arg-type]  # passed on as it came

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if not self.parked:
            self._count(task)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.parked:
            self._count(task)

    def _count(self, task: trio.lowlevel.Task) -> None:
        if task is not self._task or self.injected:
            return
        if self._step == 0:
            self.injected = True
            self.scope.cancel()
        self._step -= 1


def sweep(scenario: Callable[[Victim], Awaitable[None]]) -> int:
    """Run ``scenario`` with a cancellation at each step of its victim, then once without; how many runs that took."""
    runs = 0
    for parked in (False, True):
        step = 0
        while True:
            victim = Victim(step, parked=parked)
            try:
                trio.run(scenario, victim, clock=MockClock(autojump_threshold=0), instruments=[victim])
            except BaseException as error:
                error.add_note(f"cancelled at step {step}, parked={parked}")
                raise
            runs += 1
            if not victim.injected:
                break
            step += 1
    return runs
