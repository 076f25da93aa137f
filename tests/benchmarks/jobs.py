"""The jobs that all of them run: trivial ones, for what is measured is what is around them."""

from __future__ import annotations

import time

import trio

import trio_jobs


async def give_back(body: int) -> int:
    """Return at once."""
    return body


async def give_back_later(body: int) -> int:
    """Let others run, then return."""
    await trio.lowlevel.checkpoint()
    return body


class Refused(Exception):
    """What `refuse` raises."""


async def refuse(body: int) -> int:
    """Fail."""
    raise Refused(body)


async def compute(body: int) -> int:
    """Keep the processor busy for 20 microseconds."""
    end = time.perf_counter_ns() + 20_000
    while time.perf_counter_ns() < end:
        pass
    return body


give_back_job = trio_jobs.job(give_back)
give_back_later_job = trio_jobs.job(give_back_later)
refuse_job = trio_jobs.job(refuse)
compute_job = trio_jobs.job(compute)
