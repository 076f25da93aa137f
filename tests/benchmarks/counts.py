"""What can be counted exactly; the suite holds these numbers as well, in tests/test_costs.py."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from .calls import drive, ours, raw
from .counting import AsyncRun, count_calls, count_steps
from .harness import Bench
from .jobs import give_back, give_back_job, give_back_later, give_back_later_job

CALLS = 1000

GOALS = [
    # in flight, workers, steps at most, with a job that has a checkpoint
    (1, 1, 2, 3),
    (100, 16, 1.5, 2.1),
]


def calls_to(opener: Callable[[], AbstractAsyncContextManager[Any]], in_flight: int) -> AsyncRun:
    """So many calls, ``in_flight`` tasks at a time."""

    async def run(calls: int) -> None:
        async with opener() as processor:
            await drive(processor.call, in_flight, calls)

    return run


def measure(bench: Bench) -> None:
    """Steps, polls and Python calls of a `call`."""
    rows: list[tuple[str, ...]] = []
    for in_flight, workers, at_most, with_checkpoint in GOALS:
        where = f"{in_flight} in flight, {workers} worker{'s' if workers > 1 else ''}"
        cases = {
            "raw Trio": raw(give_back, workers),
            "trio-jobs": ours(give_back_job, workers),
            "raw Trio, job with a checkpoint": raw(give_back_later, workers),
            "trio-jobs, job with a checkpoint": ours(give_back_later_job, workers),
        }
        steps = {name: count_steps(calls_to(opener, in_flight), CALLS) for name, opener in cases.items()}
        for name, opener in cases.items():
            bench.progress(f"{where}: {name}")
            called = count_calls(calls_to(opener, in_flight), CALLS)
            counted = (steps[name].tasks, steps[name].polls, called.all, called.own)
            rows.append((f"{where}: {name}", *(f"{number:.2f}" for number in counted)))
        for name, limit in (("trio-jobs", at_most), ("trio-jobs, job with a checkpoint", with_checkpoint)):
            what = f"task steps of a call, {where}{name.removeprefix('trio-jobs')}"
            bench.goal(what, limit, steps[name].tasks, "counted", unit="steps")
    bench.table("a call, counted", ("", "steps", "polls", "Python calls", "our own"), rows)
