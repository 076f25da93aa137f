"""What else there is, doing the same trivial job: what one pays for each call.

Most of them do more than that, with their default settings: serialization, middlewares, retries. So the numbers say
what a call costs there, not how well it is written. Each is in a file of its own below ``adapters``, and left out where
it is not installed.
"""

from __future__ import annotations

import importlib

from . import calls
from .harness import Bench, Case
from .jobs import give_back, give_back_job

ADAPTERS = (
    "asyncio_queues",
    "asyncio_tasks",
    "aiochan",
    "aiojobs",
    "anyio_streams",
    "taskiq",
    "dramatiq",
    "apscheduler",
    "faststream",
)


def measure(bench: Bench) -> None:
    """One call at a time, and a hundred."""
    for in_flight, workers in ((1, 1), (100, 16)):
        cases: dict[str, Case] = {
            "raw Trio": calls.case(calls.raw(give_back, workers), in_flight, calls.plain),
            "trio-jobs": calls.case(calls.ours(give_back_job, workers), in_flight, calls.plain),
        }
        for name in ADAPTERS:
            adapter = importlib.import_module(f".adapters.{name}", __package__)
            try:
                cases[adapter.NAME] = adapter.case(in_flight, workers)
            except ImportError as error:
                bench.note(f"{adapter.NAME}: left out, {error}")
        bench.compare(f"a call, {in_flight} in flight", cases, least=in_flight)
